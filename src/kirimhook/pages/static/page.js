// What the pages do beyond links and forms: live regions, relative times, copying, ticking all, asking first.
// Without it every page still reads and works.

// Swedish writes a date as ISO 8601 does, which nobody misreads; the zone is the reader's.
const format = new Intl.DateTimeFormat("sv-SE", {
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
  fractionalSecondDigits: 3, timeZoneName: "short",
});
const exactly = (moment) => format.format(moment).replace(",", ".");
const STEPS = [[60, 1, "s"], [3600, 60, "min"], [172800, 3600, "h"], [Infinity, 86400, "d"]];

// The same words as `ago` in moments.py.
function ago(moment) {
  const behind = (Date.now() - moment) / 1000;
  const seconds = Math.abs(behind);
  if (seconds < 1) return "just now";
  const [, size, unit] = STEPS.find(([below]) => seconds < below);
  const amount = `${Math.floor(seconds / size)} ${unit}`;
  return behind > 0 ? `${amount} ago` : `in ${amount}`;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tellTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = Date.parse(element.dateTime);
    if (Number.isNaN(moment)) continue;
    if ("exact" in element.dataset) {
      write(element, exactly(moment));
      element.title = element.dateTime;
    } else {
      write(element, ago(moment));
      element.title = exactly(moment);
    }
  }
}

// Makes `old` like `now` and touches only what differs: what is ticked, open, focused or selected stays so.
function match(old, now) {
  if (old.isEqualNode(now)) return;
  if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName || keyOf(old) !== keyOf(now)) {
    old.replaceWith(now);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== now.nodeValue) old.nodeValue = now.nodeValue;
    return;
  }
  if (old.nodeName === "TIME" && old.dateTime === now.dateTime) return;
  matchAttributes(old, now);
  matchChildren(old, now);
}

// What an element is known by among its siblings: its id, what it is keyed with, or what a control sends.
function keyOf(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return "";
  if (node.id || node.dataset?.key) return node.id || node.dataset.key;
  return "value" in node && node.name && node.type !== "hidden" ? `${node.name}=${node.getAttribute("value")}` : "";
}

const OURS = new Set(["open", "hidden"]); // of <details> and of copy buttons: the reader's and the module's own

function matchAttributes(old, now) {
  for (const { name } of [...old.attributes]) {
    if (!now.hasAttribute(name) && !OURS.has(name)) old.removeAttribute(name);
  }
  for (const { name, value } of now.attributes) {
    if (old.getAttribute(name) !== value && !OURS.has(name)) old.setAttribute(name, value);
  }
}

function matchChildren(old, now) {
  const wantedKeys = new Set([...now.children].map(keyOf));
  for (const child of [...old.children]) if (keyOf(child) && !wantedKeys.has(keyOf(child))) child.remove();
  const keyed = new Map([...old.children].filter(keyOf).map((child) => [keyOf(child), child]));
  let at = old.firstChild;
  for (const wanted of [...now.childNodes]) {
    const known = keyed.get(keyOf(wanted));
    if (known && known !== at) old.insertBefore(known, at);
    const here = known ?? (at && !keyOf(at) ? at : null);
    if (here) {
      at = here.nextSibling;
      match(here, wanted);
    } else {
      old.insertBefore(wanted, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function swap(name, html) {
  const region = document.getElementById(`live-${name}`);
  if (!region) return;
  const now = region.cloneNode(false);
  now.innerHTML = html;
  prepare(now);
  matchChildren(region, now);
  tellChecked();
}

// The page's own address with live=1: a stream of what changes. The browser opens it again by itself when it ends;
// where it was turned away, the page says so and asks again later.
function follow() {
  const state = document.querySelector("[data-live-state]");
  const last = new Map();
  let waiting = 0;
  let source = null;
  const say = (word) => {
    if (!state) return;
    state.hidden = false;
    state.dataset.liveState = word;
    write(state, word === "on" ? "live" : "not live");
    state.title = word === "on" ? "This page changes by itself" : `As of ${exactly(Date.now())}; trying again`;
  };
  const open = () => {
    const url = new URL(location.href);
    url.searchParams.set("live", "1");
    url.hash = "";
    source = new EventSource(url);
    source.onmessage = ({ data }) => {
      clearTimeout(waiting);
      waiting = 0;
      say("on");
      for (const [name, html] of Object.entries(JSON.parse(data))) {
        if (last.get(name) !== html) swap(name, html);
        last.set(name, html);
      }
    };
    source.onerror = () => {
      waiting ||= setTimeout(() => say("off"), 5000);
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 10000);
    };
  };
  // A page that nobody looks at holds no stream.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source.close();
    else if (source.readyState === EventSource.CLOSED) open();
  });
  addEventListener("pagehide", () => source.close());
  if (!document.hidden) open();
  else source = { close() {}, readyState: EventSource.CLOSED };
}

async function copy(button) {
  const label = button.dataset.label ?? (button.dataset.label = button.textContent);
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    write(button, "Copied");
  } catch {
    write(button, copyOldWay(button.dataset.copy) ? "Copied" : "Select and copy");
  }
  setTimeout(() => write(button, label), 2000);
}

// Where the page is not from a secure context (plain HTTP from another host), there is no clipboard to write to.
function copyOldWay(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "away";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

// <input type="checkbox" data-check-all="name">: ticks the boxes of that name in its form, or in the page.
const boxesOf = (all) =>
  [...(all.form ?? document).querySelectorAll(`input[type=checkbox]`)].filter((box) => box.name === all.dataset.checkAll);

function tellChecked() {
  for (const all of document.querySelectorAll("[data-check-all]")) {
    const boxes = boxesOf(all);
    const ticked = boxes.filter((box) => box.checked).length;
    all.checked = boxes.length > 0 && ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
    for (const told of document.querySelectorAll("[data-checked-count]")) {
      if (told.dataset.checkedCount === all.dataset.checkAll) write(told, ticked ? ` (${ticked})` : "");
    }
  }
}

function prepare(root) {
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
  for (const all of root.querySelectorAll("[data-check-all]")) all.hidden = false;
  tellTimes(root);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (button) copy(button);
});
document.addEventListener("change", (event) => {
  const box = event.target;
  if (box.dataset?.checkAll) for (const one of boxesOf(box)) one.checked = box.checked;
  if (box.type === "checkbox") tellChecked();
});
document.addEventListener("submit", (event) => {
  const asked = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (asked && !confirm(asked)) event.preventDefault();
});

prepare(document);
tellChecked();
setInterval(tellTimes, 10000);
if ("live" in document.body.dataset) follow();
