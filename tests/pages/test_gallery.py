"""Every macro renders what a page may hold: whatever text goes in, no tag comes out; every control has a name."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from tests.pages.gallery import PREFIX, site, values

NOW = 1_800_000_000.0
SITE = site(lambda: NOW)
PLAIN = "plain words"
NASTY = st.sampled_from(
    ["<script>alert(1)</script>", '" onmouseover="x', "'><img src=x>", "</pre><b>", "{{ 1 }}", "&lt;"]
)


class Tags(HTMLParser):
    """The tags of a page with the names of their attributes, and their values."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attributes)) for tag, attributes in self.found]


def rendered(text: str = PLAIN) -> str:
    return SITE.render("gallery.html", **values(text, NOW))


def test_every_macro_of_the_file_is_in_the_gallery() -> None:
    macros = {name for name in vars(SITE._env.globals["m"]) if not name.startswith("_")}
    used = set(re.findall(r"m\.(\w+)\(", str(SITE._env.loader.get_source(SITE._env, "gallery.html")[0])))  # type: ignore[union-attr]  # it has a loader
    shared = set(re.findall(r"m\.(\w+)\(", str(SITE._env.loader.get_source(SITE._env, "base.html")[0])))  # type: ignore[union-attr]  # it has a loader
    assert macros
    assert macros - used - shared == set()


@settings(max_examples=60, deadline=None)
@given(st.one_of(NASTY, st.text(min_size=1), st.builds("{}{}{}".format, st.text(), NASTY, st.text())))
def test_text_never_becomes_a_tag_or_an_attribute(text: str) -> None:
    assert Tags(rendered(text)).shape == Tags(rendered()).shape


def test_text_comes_out_as_it_went_in() -> None:
    text = '<b>5 > 3 & "so" it\'s</b>'
    given_back = [attributes.get("data-copy") for _, attributes in Tags(rendered(text)).found]
    assert text in given_back


def test_nothing_is_inline() -> None:
    """The policy of content would drop it, and say so in the console."""
    tags = Tags(rendered()).found
    assert [tag for tag, _ in tags if tag == "style"] == []
    assert [attributes for tag, attributes in tags if tag == "script" and "src" not in attributes] == []
    assert [name for _, attributes in tags for name in attributes if name == "style" or name.startswith("on")] == []


def test_every_control_has_a_name_and_every_reference_an_end() -> None:
    tags = Tags(rendered()).found
    ids = Counter(attributes["id"] for _, attributes in tags if "id" in attributes)
    labelled = {attributes["for"] for tag, attributes in tags if tag == "label"}
    controls = [a for tag, a in tags if tag in {"input", "select", "textarea"} and a.get("type") != "hidden"]
    referred = {one for _, a in tags for one in a.get("aria-describedby", "").split()}
    assert len(controls) > 10
    assert [control for control in controls if "aria-label" not in control and control.get("id") not in labelled] == []
    assert [name for name, times in ids.items() if times > 1] == []
    assert labelled | referred <= set(ids)
    assert referred


def test_the_first_page_has_nothing_under_it() -> None:
    """The pages under the others are theirs."""
    assert SITE.current(f"{PREFIX}/x") == ""


def test_the_link_of_the_page_is_marked_and_no_other() -> None:
    assert [SITE.current(path) for path in (PREFIX, f"{PREFIX}/other/1", "/elsewhere", "/gallerys")] == [
        PREFIX,
        f"{PREFIX}/other",
        "",
        "",
    ]


def test_a_name_that_nobody_gave_is_an_error() -> None:
    given_values = values()
    del given_values["long"]
    with pytest.raises(UndefinedError, match="long"):
        SITE.render("gallery.html", **given_values)


def test_a_region_is_that_part_of_the_page_alone() -> None:
    page = rendered()
    region = SITE.region("gallery.html", "rows", **values(PLAIN, NOW))
    assert f'<div id="live-rows" data-region>\n{region}</div>' in page
    with pytest.raises(KeyError):
        SITE.region("gallery.html", "unknown")
