"""The guide's commands, as it prints them but for the host and the ids it leaves open, work by the real curl, over the
server that we ship: subscribe, look at the dead letters, replay one, replay in bulk.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from kirimhook.contract.events import DOCUMENTED_TYPES
from tests.sender.api import World, listening, publish, world
from tests.sender.databases import Databases

COMMANDS = (Path(__file__).parent / "guide_commands.txt").read_text("utf-8").strip().split("\n\n")
PRINTED_HOST = "https://api-kckit.kirim.chat"


class Guide:
    """Runs the guide's commands against one server."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._environment = {"PATH": os.environ["PATH"], "KIRIM_KEY": key}

    async def run(self, command: str, **ids: str) -> Any:
        """The JSON that it answers; exit status and HTTP status are good."""
        assert command.count(PRINTED_HOST) == 1
        command = command.replace(PRINTED_HOST, self._url)
        for prefix, value in ids.items():
            command = command.replace(f"{prefix}_…", value)
        assert "…" not in command
        shown = command.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", shown, env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b""), output
        return json.loads(output)


async def bury(here: World, databases: Databases) -> None:
    """Every delivery becomes a dead letter, as after its eighth failure."""
    ended = int(here.clock() * 1000)

    def operation(connection: Connection) -> None:
        connection.exec_driver_sql("DELETE FROM queue")
        connection.exec_driver_sql(
            "UPDATE deliveries SET status = 'dead', dead_reason = 'attempts_exhausted', attempt_count = 8, "
            f"next_attempt_at = NULL, finished_at = {ended}"
        )

    async with databases.opened() as database:
        await database.write(operation)


@pytest.mark.needs("curl")
def test_the_guides_commands_work_as_printed(databases: Databases) -> None:
    subscribe, list_dead, replay, bulk_replay = COMMANDS

    async def main() -> None:
        async with world(databases) as here, listening(here.api.app) as url:
            guide = Guide(url, here.api.key)
            made = (await guide.run(subscribe))["data"]
            assert made["object"] == "webhook_subscription"
            assert made["url"] == "https://your-server.example.com/kirim-webhook"
            assert made["status"] == "active"
            assert made["events"] == list(DOCUMENTED_TYPES)
            assert made["description"] == "Production handler"
            assert re.fullmatch(r"wbs_[0-9A-HJKMNP-TV-Z]{26}", made["id"])
            assert re.fullmatch(r"whsec_[A-Za-z0-9_-]{43}=?", made["initial_secret"])
            (secret,) = made["secrets"]
            assert re.fullmatch(r"sec_[0-9A-HJKMNP-TV-Z]{26}", secret["id"])
            assert secret["expires_at"] is None

            await publish(here.api, 3)
            assert (await guide.run(list_dead, wbs=made["id"]))["data"] == []
            await bury(here, databases)
            dead = (await guide.run(list_dead, wbs=made["id"]))["data"]
            assert [one["status"] for one in dead] == ["dead"] * 3

            fresh = (await guide.run(replay, wbd=dead[0]["id"]))["data"]
            assert re.fullmatch(r"wbd_[0-9A-HJKMNP-TV-Z]{26}", fresh["id"])
            assert fresh == {
                "object": "webhook_delivery",
                "id": fresh["id"],
                "replayed_from": dead[0]["id"],
                "status": "pending",
            }
            bulk = (await guide.run(bulk_replay, wbs=made["id"]))["data"]
            assert (bulk["enqueued"], bulk["capped"], bulk["last_created_at"]) == (3, False, dead[0]["created_at"])

    asyncio.run(main())


def test_the_guides_rotation_refuses_no_secret_and_shows_each_once(databases: Databases) -> None:
    """Its fifth chapter: POST the new one, then DELETE the old one."""

    async def main() -> None:
        async with world(databases) as here:
            path = "/webhook_subscriptions"
            made = (
                await here.api.call("POST", path, {"url": "https://a.example.com", "events": ["contact.created"]})
            ).data
            new = await here.api.call("POST", f"{path}/{made['id']}/secrets", {"expires_in_hours": 720})
            assert new.status == 201
            assert new.data["object"] == "webhook_secret"
            assert new.data["secret"].startswith("whsec_")
            listed = await here.api.call("GET", f"{path}/{made['id']}")
            assert {one["id"] for one in listed.data["secrets"]} == {made["secrets"][0]["id"], new.data["id"]}
            assert b"whsec_" not in listed.body
            gone = await here.api.call("DELETE", f"{path}/{made['id']}/secrets/{made['secrets'][0]['id']}")
            assert (gone.status, gone.body) == (204, b"")
            left = (await here.api.call("GET", f"{path}/{made['id']}")).data["secrets"]
            assert [one["id"] for one in left] == [new.data["id"]]

    asyncio.run(main())
