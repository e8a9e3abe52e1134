"""The tables in docs/operating.md are those of the code. `python -m tests.architecture.test_operating` writes them."""

from __future__ import annotations

import ast
import inspect
import json
import logging
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, fields
from functools import partial
from typing import Any

import pytest

from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.backends.postgres.settings import PostgresSettings
from kirimhook.backends.settings import InboxSettings
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.observe import LOG_EVENTS, METRICS
from kirimhook.operating.reconciling import metrics as reconciling
from kirimhook.operating.reconciling.verdicts import FOR_PEOPLE, RULES, TO_REPLAY
from kirimhook.settings import ReceiverSettings, SenderSettings, described
from kirimhook.telling import Kind, Notice, document
from tests.architecture.tables import Tables, found_in, write
from tests.architecture.tree import ROOT

DOCUMENT = ROOT / "docs/operating.md"


def settings(of: Any) -> str:
    usual, known = of(), described(of)
    rows = [f"| `{name}` | {getattr(usual, name)} | {about.about} |" for name, (_, about) in known.items()]
    return "\n".join(["| Setting | Default | |", "|---|---|---|", *rows])


def attributes(of: type[Any]) -> dict[str, str]:
    """What is written under each attribute of a class, on one line."""
    [body] = (
        node.body
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(of))))
        if isinstance(node, ast.ClassDef)
    )
    return dict(_attributes(body))


def _attributes(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            told = ast.literal_eval(following.value) if isinstance(following, ast.Expr) else ""
            yield node.target.id, " ".join(told.split())


def inbox_options(of: type[Any], without: tuple[str, ...] = ()) -> str:
    """What a URL can say that has a default, or that must be said: all but `without`, which the rest of it says."""
    about = attributes(of)
    rows = [
        f"| `{field.name}` | {_usual(field.default)} | {about[field.name]} |"
        for field in fields(of)
        if field.name in about and field.name not in without
    ]
    return "\n".join(["| Option | Default | |", "|---|---|---|", *rows])


def _usual(value: object) -> str:
    """As a URL says it."""
    return "" if value is MISSING else str(value).lower() if isinstance(value, bool) else str(value)


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


def told() -> str:
    """What `--notify` tells."""
    died, disabled = 1_779_530_395_000, 1_779_530_395_120
    who = "wbs_01KS9P3GZ8W6N2T4V6X8ZACEGJ"
    examples = [f"wbd_01KS9P5{letter}Q0R2S4T6V8XA1C3E5" for letter in "ABCDE"]
    notices = [
        Notice(Kind.DEAD_LETTERS, "rejected", died, disabled, who, None, 20, tuple(examples), "answered 400"),
        Notice(
            Kind.SUBSCRIPTION_DISABLED, "consecutive_failures", disabled, disabled, who, detail="deliveries held: 7"
        ),
    ]
    example = document("sender", notices, 1_779_530_396.0, examples)
    return f"```json\n{json.dumps(example, indent=2)}\n```"


def verdicts() -> str:
    """What becomes of a dead letter, by the first rule that holds."""
    becomes = dict.fromkeys(TO_REPLAY, "replayed") | dict.fromkeys(FOR_PEOPLE, "left for you")
    rows = [f"| `{rule.verdict}` | {becomes.get(rule.verdict, '')} | {rule.about} |" for rule in RULES]
    return "\n".join(["| Verdict | | |", "|---|---|---|", *rows])


def reconcile() -> str:
    rows = [f"| `{reconciling.PREFIX}{name}` | {about} |" for name, about in reconciling.METRICS.items()]
    return "\n".join(["| Gauge | |", "|---|---|", *rows])


TABLES: Tables = {
    "verdicts": verdicts,
    "reconcile": reconcile,
    "told": told,
    "settings": partial(settings, ReceiverSettings),
    "sender settings": partial(settings, SenderSettings),
    "inbox options": partial(inbox_options, InboxSettings),
    "sqlite options": partial(inbox_options, SQLiteSettings, ("path",)),
    "postgresql options": partial(inbox_options, PostgresSettings, ("dsn",)),
    "nats options": partial(inbox_options, JetStreamSettings, ("servers", "name")),
    "log events": log_events,
    "metrics": metrics,
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_the_code_says(name: str) -> None:
    assert found_in(DOCUMENT, name) == TABLES[name]()


if __name__ == "__main__":
    write(DOCUMENT, TABLES)
