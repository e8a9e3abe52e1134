"""What the tests of serving processes share: a folder with handlers, `serve` started in it, requests to it."""

from __future__ import annotations

import json
import queue
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from kirimhook.contract.samples import load
from kirimhook.contract.signature import Secret
from kirimhook.testing.requests import signed_request
from kirimhook.testing.served import Served

SECRET = Secret("whsec_" + "A1b2" * 10 + "xyz")
OTHER = Secret("whsec_" + "Z9y8" * 10 + "abc")
SOON = 30.0

APP = '''
from pathlib import Path
from kirimhook import Event, Hooks

hooks = Hooks()


@hooks.on("contact.*")
async def contact(event: Event) -> None:
    print("handled", event.id, flush=True)


@hooks.on("conversation.closed")
def waits(event: Event) -> None:
    """Until somebody opens the pipe for writing."""
    print("began", event.id, flush=True)
    Path("gate").read_bytes()
    print("ended", event.id, flush=True)
'''
NEVER_LOOKS = """
from kirimhook.receiver.secrets.sources import FileSource

FileSource.interval = FileSource.mismatch_interval = 3600.0
"""
"""Appended to `APP`: the secrets file is read at the start, and when somebody says so."""


class Serving(Served):
    """`kirimhook …` in a folder with `APP` as app.py; what its handlers print can be waited for."""

    def __init__(self, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.printed: queue.SimpleQueue[str] = queue.SimpleQueue()
        if not (folder / "app.py").exists():
            (folder / "app.py").write_text(APP)
        super().__init__(
            arguments,
            folder=folder,
            environment={"KIRIM_WEBHOOK_SECRETS": SECRET.reveal(), **(environment or {})},
            printed=self.printed.put,
        )

    def prints(self, line: str) -> None:
        while self.printed.get(timeout=SOON) != line:
            pass

    @property
    def url(self) -> str:
        return str(self.started()["url"])

    def admin(self, path: str) -> tuple[int, bytes]:
        return get(f"{self.started()['admin_url']}{path}")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.admin("/status")[1])
        return found

    def problems(self) -> list[str]:
        return [problem["code"] for problem in json.loads(self.admin("/readyz")[1])["problems"]]

    def metric(self, name: str, **labels: str) -> float:
        page = self.admin("/metrics")[1].decode()
        samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    @property
    def everything(self) -> str:
        """All that it logged."""
        return "\n".join(json.dumps(line) for line in self.log)


@contextmanager
def serve(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[Serving]:
    """`kirimhook serve app:hooks` on any ports; killed in the end, if it is still there."""
    ports = ("--port", "0", "--admin-port", "0")
    with Serving(folder, "serve", "app:hooks", *ports, *arguments, environment=environment) as served:
        yield served


def get(url: str, method: str = "GET") -> tuple[int, bytes]:
    return _exchange(urllib.request.Request(url, method=method), None)


def post(
    url: str,
    event_id: str,
    kind: str = "contact.created",
    *,
    secret: Secret = SECRET,
    now: float | None = None,
    context: ssl.SSLContext | None = None,
) -> tuple[int, bytes]:
    """Deliver the sample of this type as an event of this id."""
    signed = signed_request(load(kind).renewed(event_id=event_id), secret, now=now)
    return _exchange(urllib.request.Request(url, signed.body, signed.headers, method="POST"), context)


def is_refused(url: str) -> bool:
    """False: it was answered, or reset. Raises TimeoutError when it was accepted by nobody."""
    try:
        post(url, "evt_late")
    except OSError as error:
        cause = getattr(error, "reason", error)
        if isinstance(cause, TimeoutError):
            raise cause from error
        return isinstance(cause, ConnectionRefusedError)
    return False


def _exchange(request: urllib.request.Request, context: ssl.SSLContext | None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=SOON, context=context) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def open_gate(folder: Path) -> None:
    """Let the handler that waits go on. Blocks until there is one."""
    (folder / "gate").write_bytes(b"go")
