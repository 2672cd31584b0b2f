"""`python -m tests.faults [--write]`: runs all cases and prints what came of them, or writes it to the page."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults import asking, report, world
from tests.faults.cases import CASES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="What a provider can do wrong.")
    parser.add_argument("--write", action="store_true", help=f"write the table to {report.PAGE.name}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, world.running(Path(folder)) as running:
        found = asking.run(running, CASES)
    for told in found.left_over:
        print(f"Left open {told}", file=sys.stderr)
    written = report.table(found)
    if options.write:
        report.PAGE.write_text(report.with_table(report.PAGE.read_text(), written))
    else:
        print(written)
    return 1 if found.left_over else 0


if __name__ == "__main__":
    sys.exit(main())
