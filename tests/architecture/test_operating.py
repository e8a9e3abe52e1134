"""The tables in docs/operating.md are those of the code. `python -m tests.architecture.test_operating` writes them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from kirimhook.observe import LOG_EVENTS, METRICS
from kirimhook.settings import ReceiverSettings, SenderSettings, described
from tests.architecture.tree import ROOT

DOCUMENT = ROOT / "docs/operating.md"


def settings(of: Any) -> str:
    usual, known = of(), described(of)
    rows = [f"| `{name}` | {getattr(usual, name)} | {about.about} |" for name, (_, about) in known.items()]
    return "\n".join(["| Setting | Default | |", "|---|---|---|", *rows])


def log_events() -> str:
    rows = [
        f"| `{name}` | {logging.getLevelName(event.level).lower()} | {event.about} |"
        for name, event in LOG_EVENTS.items()
    ]
    return "\n".join(["| Event | Level | |", "|---|---|---|", *rows])


def metrics() -> str:
    rows = [
        f"| `{name}` | {metric.kind}{f' by {metric.label}' if metric.label else ''} | {metric.about} |"
        for name, metric in METRICS.items()
    ]
    return "\n".join(["| Metric | Kind | |", "|---|---|---|", *rows])


TABLES: dict[str, Callable[[], str]] = {
    "settings": partial(settings, ReceiverSettings),
    "sender settings": partial(settings, SenderSettings),
    "log events": log_events,
    "metrics": metrics,
}


def pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)", re.DOTALL)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_the_code_says(name: str) -> None:
    found = pattern(name).search(DOCUMENT.read_text())
    assert found is not None
    assert found[0].strip() == TABLES[name]()


def _replaced(table: str, _: re.Match[str]) -> str:
    return table + "\n"


if __name__ == "__main__":
    text = DOCUMENT.read_text()
    for name, table in TABLES.items():
        text = pattern(name).sub(partial(_replaced, table()), text, count=1)
    DOCUMENT.write_text(text)
