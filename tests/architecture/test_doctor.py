"""The table in docs/doctor.md is the doctor's own. `python -m tests.architecture.test_doctor` writes it. And its rows
are whole: each is needed by those below it only, and says all that a report needs."""

from __future__ import annotations

import re

from kirimhook.operating.doctor.table import CHECKS
from tests.architecture.tables import Tables, found_in, write
from tests.architecture.tree import ROOT

DOCUMENT = ROOT / "docs/doctor.md"


def checks() -> str:
    rows = [
        f"| `{check.id}`{' (`--probe-events`)' if check.probes else ''} | {check.tries} | {check.right} "
        f"| {check.section} | {check.cost} |"
        for check in CHECKS
    ]
    return "\n".join(["| Check | Tries | Right | Contract | Else |", "|---|---|---|---|---|", *rows])


TABLES: Tables = {"checks": checks}


def test_the_table_is_what_the_code_says() -> None:
    assert found_in(DOCUMENT, "checks") == checks()


def test_a_check_needs_only_what_was_done_before() -> None:
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids)
    assert [check.id for place, check in enumerate(CHECKS) if check.needs and check.needs not in ids[:place]] == []


def test_every_row_is_whole() -> None:
    for check in CHECKS:
        assert re.fullmatch("[a-z0-9_]+", check.id)
        assert re.fullmatch(r"\d(, \d)* \[(seed|docs|ours)\]", check.section)
        assert all(text.endswith((".", ")")) for text in (check.tries, check.right, check.cost)), check.id


if __name__ == "__main__":
    write(DOCUMENT, TABLES)
