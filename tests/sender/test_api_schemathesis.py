"""schemathesis reads the document and tries to break the API, call by call and in sequences that follow ids from answer
to request: no 500, no answer that is not in the document, nothing valid refused, nothing invalid accepted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

import pytest

from tests.sender.api import listening, publish, subscribe, world
from tests.sender.databases import Databases

HOOKS = "tests.sender.schemathesis_hooks"
EXAMPLES = 8
"""For each call and phase."""


async def attack(url: str, key: str, folder: Path) -> tuple[int | None, str]:
    """Run schemathesis' own command, all checks on, in an empty folder; its exit status and what it printed."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(root), "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/v1/openapi.json"),
        *(
            "--header",
            f"Authorization: Bearer {key}",
            "--checks",
            "all",
            "--phases",
            "examples,coverage,fuzzing,stateful",
        ),
        *("--max-examples", str(EXAMPLES), "--generation-database", "none", "--no-shrink", "--request-timeout", "10"),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


def test_schemathesis_finds_nothing(postgres_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On PostgreSQL, the stricter of the two: it takes no NUL, no half pairs, no number that does not fit."""
    databases = Databases(postgres_url)

    async def main() -> tuple[int | None, str, dict[str, int]]:
        async with world(databases, writes_per_minute=0, reads_per_minute=0) as here, listening(here.api.app) as url:
            for _ in range(2):
                await subscribe(here.api)
            await publish(here.api, 5)
            status, output = await attack(url, here.api.key, tmp_path)
            return status, output, dict(here.meter.counter("kirimhook_sender_requests_total"))

    with caplog.at_level(logging.ERROR, "kirimhook"):
        status, output, counts = asyncio.run(main())
    assert status == 0, output
    assert "Tested: 15" in output
    assert caplog.records == []
    assert counts["ok"] > 100
    assert not {"internal_error", "service_unavailable"} & set(counts), counts
    assert {"invalid_field_value", "invalid_limit", "resource_not_found", "missing_api_key"} <= set(counts)
