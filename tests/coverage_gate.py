"""The gate on coverage: at least 95 % of the branches and of the lines of the packages below.

Not of `operating`, parts of which run only in processes that tests start and kill: those are not counted.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from pathlib import Path

from coverage import Coverage

LEAST = 95.0
PACKAGES = ("client", "contract", "receiver", "sender", "telling")


def main() -> int:
    coverage = Coverage()
    coverage.load()
    short = [package for package in PACKAGES if not enough(coverage, package)]
    if short:
        print(f"coverage of {' and '.join(short)} is under {LEAST:.0f} %")
    return 1 if short else 0


def enough(coverage: Coverage, package: str) -> bool:
    """Print what one package reaches, and what it misses where that is too little."""
    files = [f"*/kirimhook/{package}/*"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        coverage.json_report(include=files, outfile=str(report))
        totals = json.loads(report.read_text())["totals"]
    branches, lines = totals["percent_branches_covered"], totals["percent_statements_covered"]
    print(f"coverage of {package}: {branches:.1f} % of branches, {lines:.1f} % of lines")
    if min(branches, lines) >= LEAST:
        return True
    missed = io.StringIO()
    coverage.report(include=files, file=missed, show_missing=True, skip_covered=True)
    print(missed.getvalue())
    return False


if __name__ == "__main__":
    sys.exit(main())
