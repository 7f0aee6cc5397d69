"""Measure one part, in a process of its own: `python -m bench.run PART OUT [--quick] [--scans N]`.

OUT gets what was measured also when the part fails half-way.
"""

import argparse
import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from bench.parts import PARTS
from bench.report import Options, Report, reason
from bench.site import SITE_VARIABLES


def main() -> None:
    """Run it; the exit status is 0 also when it failed: the report says so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scans", type=int, default=Options.scans)
    given = parser.parse_args()
    # However it is ended, what it started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in SITE_VARIABLES:
        os.environ.pop(name, None)
    found = measured(given.part, Options(quick=given.quick, scans=given.scans))
    given.out.write_text(json.dumps(found))


def measured(part: str, options: Options) -> dict:
    """Measure `part`, and give its place in results.json; whatever it raises becomes its reason."""
    report, began, outcome = Report(options), time.monotonic(), {"status": "measured"}
    try:
        importlib.import_module(f"bench.parts.{part}").measure(report)
    except Exception as error:  # noqa: BLE001 - the other parts go on, and the reason is recorded
        traceback.print_exc(file=sys.stderr)
        outcome = {"status": "failed", "reason": reason(error)}
    return {"title": PARTS[part], **outcome, "seconds": round(time.monotonic() - began, 1), **report.as_json()}


if __name__ == "__main__":
    main()
