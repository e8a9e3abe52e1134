"""`docs/guide.md` is run as it stands there: all seven steps, the guide's own commands and ours, in their order.

A real sender takes the place of the hosted API, and a real receiver that of the endpoint, over TLS. Only what a reader
fills in is filled in: hosts, ports, ids. Between steps 5 and 6 the endpoint is away, so that there are dead letters.
"""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from kirimhook.client import Kirim
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus
from kirimhook.receiver.secrets.listing import from_file
from kirimhook.testing.devca import make_certificates
from kirimhook.testing.served import Served
from tests.architecture.tree import ROOT
from tests.crash.waiting import until

PAGE = (ROOT / "docs" / "guide.md").read_text()
INTRODUCTION, *CHAPTERS = re.split(r"^## \d\. ", PAGE, flags=re.MULTILINE)
HOSTED, ENDPOINT = "https://api-kckit.kirim.chat", "https://your-server.example.com/kirim-webhook"
LOST = 3
"""Events published while the endpoint is away."""


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


class Reader:
    """Somebody who has the page in front of him, and a shell; what he starts with `&` he leaves running."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = folder / "environment.sh"
        self._environment.write_text(f'kirimhook() {{ {shlex.quote(sys.executable)} -m kirimhook "$@"; }}\n')
        self.started: dict[str, Served] = {}
        self.sender, self.receiver, self.admin = free_port(), free_port(), free_port()
        self._filled = {
            "127.0.0.1:8090": f"127.0.0.1:{self.sender}",
            "--port 8090": f"--port {self.sender} --admin-port 0 --schedule 0,0.2",
            "--port 8443": f"--port {self.receiver} --admin-port {self.admin}",
            "127.0.0.1:9090": f"127.0.0.1:{self.admin}",
            ENDPOINT: f"https://localhost:{self.receiver}/kirim-webhook",
            HOSTED: f"http://127.0.0.1:{self.sender}",
        }

    def fill_in(self, placeholder: str, value: str) -> None:
        self._filled[placeholder] = value

    def does(self, text: str) -> str:
        """All that this part of the page says, in its order; what was printed. Every command ends with 0."""
        return "".join([self._block(block) for block in blocks(text, "sh")])

    def starts(self, line: str) -> None:
        """Again, what it stopped."""
        command = shlex.split(self._fill(line).removesuffix("&"))
        served = self.started[command[1]] = Served(command[1:], folder=self._folder, environment=self.variables())
        served.started()

    def stops(self, name: str) -> None:
        assert self.started.pop(name).terminate() == 0

    def variables(self) -> dict[str, str]:
        """What was exported."""
        return dict(re.findall(r'^declare -x (KIRIM\w+)="(.*)"$', self._environment.read_text(), re.MULTILINE))

    def _block(self, block: str) -> str:
        running = [line for line in block.splitlines() if line.endswith(" &")]
        for line in running:
            self.starts(line)
        block = "\n".join(line for line in block.splitlines() if line not in running)
        function, *_ = self._environment.read_text().splitlines()
        script = f"source {self._environment}; set -e\n{self._fill(block)}\nexport -p > variables"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self._folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        kept = [line for line in (self._folder / "variables").read_text().splitlines() if " KIRIM" in line]
        self._environment.write_text("\n".join([function, *kept, ""]))
        return done.stdout

    def _fill(self, text: str) -> str:
        for placeholder, value in self._filled.items():
            text = text.replace(placeholder, value)
        return text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for served in self.started.values():
            served.end()


@pytest.mark.needs("curl")
def test_all_seven_steps_work_as_the_page_shows_them(tmp_path: Path) -> None:
    make_certificates(tmp_path, "localhost")
    endpoint, subscribe, verify, dedupe, work, dead_letters, rotation = CHAPTERS
    with Reader(tmp_path) as reader:
        reader.does(INTRODUCTION)
        given = reader.variables()
        kirim = Kirim(given["KIRIM_KEY"], base_url=given["KIRIM_API_URL"])
        with kirim:
            code, *_ = blocks(endpoint, "python")
            (tmp_path / "receiver.py").write_text(code)
            reader.does(endpoint)

            theirs, ours = blocks(subscribe, "sh")
            assert '"initial_secret":"whsec_' in reader.does(f"```sh\n{theirs}```")
            [by_curl] = kirim.webhook_subscriptions.list()
            kirim.webhook_subscriptions.delete(by_curl.id)  # its secret is in no file: ours would refuse its deliveries
            create, *others = re.split(r"^(?=kirimhook subscriptions list)", ours, flags=re.MULTILINE)
            assert "whsec_" not in reader.does(f"```sh\n{create}```")
            [subscription] = kirim.webhook_subscriptions.list()
            assert list(subscription.events) == list(by_curl.events)
            assert subscription.description == by_curl.description
            reader.fill_in("wbs_…", subscription.id)
            assert subscription.id in reader.does(f"```sh\n{''.join(others)}```")
            until(
                lambda: [one.status for one in kirim.webhook_deliveries.list(kind=DeliveryKind.TEST)] == ["succeeded"],
                "the test delivery",
            )

            exec(compile("\n".join(blocks(verify, "python")), "guide", "exec"), {})
            reader.does(verify)
            assert reader.does(dedupe).count("duplicate-ack") == 2
            assert "parked" in reader.does(work)

            reader.stops("serve")
            for _ in range(LOST):
                reader.does("```sh\nkirimhook sender publish --sample contact.created\n```")
            until(lambda: len(list(kirim.webhook_deliveries.list(status=DeliveryStatus.DEAD))) == LOST, "dead letters")
            dead = list(kirim.webhook_deliveries.list(status=DeliveryStatus.DEAD))
            [serve] = blocks(endpoint, "sh")
            reader.starts(serve.strip())
            reader.fill_in("wbd_…", dead[0].id)
            said = reader.does(dead_letters)
            assert said.count(dead[0].id) >= 2
            until(lambda: not list(kirim.webhook_deliveries.list(status=DeliveryStatus.PENDING)), "replays")
            for one in dead:
                held = reader.does(f"```sh\nkirimhook inbox list --event-id {one.event_id} --json\n```").splitlines()
                assert len(held) == 1

            [old] = from_file((tmp_path / "secrets.txt").read_bytes(), ())
            reader.does(rotation)
            [new] = from_file((tmp_path / "secrets.txt").read_bytes(), ())
            assert new != old
            [only] = kirim.webhook_subscriptions.get(subscription.id).secrets
            assert only.id not in {secret.id for secret in subscription.secrets}
