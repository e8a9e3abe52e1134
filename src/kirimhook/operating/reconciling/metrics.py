"""What a reconciling came to, as Prometheus reads it from a file (node_exporter's textfile collector). No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kirimhook.operating.reconciling.plan import Plan
from kirimhook.operating.reconciling.states import State
from kirimhook.operating.reconciling.verdicts import Verdict

PREFIX = "kirimhook_reconcile_"


class Figures(NamedTuple):
    """`at`: unix seconds of the look. `left`: letters that need people. `state`: of a watch; None: a single pass."""

    subscription_id: str
    at: float
    plan: Plan
    left: int
    replayed_in_hour: int
    is_clean: bool
    state: State | None = None


METRICS: Mapping[str, str] = {
    "letters": "Dead letters of the last look, by what they come to.",
    "left": "Dead letters that need people.",
    "replayed_last_hour": "Dead letters that were replayed in the hour before.",
    "last_look_timestamp_seconds": "When the dead letters were last looked at.",
    "clean": "1 when nothing is left.",
    "state": "1 for the state of the watch.",
}
"""Every metric, all of them gauges."""


def exposition(figures: Figures) -> str:
    """The text of the file."""
    values: dict[str, Iterable[tuple[dict[str, str], float]]] = {
        "letters": [({"verdict": verdict.value}, figures.plan.counts[verdict]) for verdict in Verdict],
        "left": [({}, figures.left)],
        "replayed_last_hour": [({}, figures.replayed_in_hour)],
        "last_look_timestamp_seconds": [({}, figures.at)],
        "clean": [({}, int(figures.is_clean))],
        "state": [] if figures.state is None else [({"state": s.value}, int(s is figures.state)) for s in State],
    }
    lines: list[str] = []
    for name, about in METRICS.items():
        lines += [f"# HELP {PREFIX}{name} {about}", f"# TYPE {PREFIX}{name} gauge"]
        for labels, value in values[name]:
            named = {"subscription": figures.subscription_id, **labels}
            shown = ",".join(f'{label}="{text}"' for label, text in named.items())
            lines.append(f"{PREFIX}{name}{{{shown}}} {value:.17g}")
    return "\n".join([*lines, ""])
