"""Measure, and write results.json and RESULTS.md: `python -m bench [--quick] [--only PART ... [--keep]]`."""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.machine import machine
from bench.measure import say
from bench.parts import PARTS
from bench.ratios import ratios
from bench.report import PROJECT, Options
from bench.table import table

# A part that hangs must not cost the others; the slowest reprocesses for hours when it is asked to.
LONGEST_SECONDS = 6 * 3600


def main() -> None:
    """Read the command line, measure, write. Exits with 1 when a part failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="PART", choices=PARTS, help=f"of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="show that everything works: the figures mean little")
    parser.add_argument("--scans", type=int, metavar="N", default=Options.scans, help="to reprocess (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="of the parts that are not measured keep what DIR has")
    parser.add_argument("--out", type=Path, metavar="DIR", default=PROJECT / "bench", help="bench/ by default")
    given = parser.parse_args()
    # However it is ended, the part that runs stops what it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    former = read(given.out) if given.keep else None
    if former and (problem := not_beside(former, machine(), quick=given.quick)):
        parser.error(problem)
    found = results(given.only or list(PARTS), Options(quick=given.quick, scans=given.scans))
    write(beside(former, found) if former else found, given.out)
    sys.exit(any(part["status"] == "failed" for part in found["parts"].values()))


def results(names: list[str], options: Options) -> dict[str, Any]:
    """Measure the parts one after the other; give what results.json holds."""
    found: dict[str, Any] = {"quick": options.quick, "machine": machine(), "parts": {}}
    for place, name in enumerate(names, 1):
        say(f"{place} of {len(names)}: {PARTS[name]} ({name})")
        found["parts"][name] = in_its_own_process(name, options)
    found["ratios"] = ratios(found["parts"])
    return found


def not_beside(former: dict[str, Any], here: dict[str, Any], *, quick: bool) -> str:
    """Say why the figures of the `former` run belong in no table with those that are measured `here`; "": they do."""
    for name in ("cpu", "cores"):
        if former["machine"][name] != here[name]:
            return f"--keep: the figures in the folder are of another machine ({former['machine'][name]})."
    return "--keep: one of the runs is a quick one, and the other is not." if former["quick"] != quick else ""


def beside(former: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Add to `found` the parts that only the `former` run measured; each says when, and of which commit."""
    of_former = "{date}, commit {commit}, load {load_at_the_start} at the start".format(**former["machine"])
    kept = {name: {"measured": of_former, **part} for name, part in former["parts"].items()}
    parts = {name: part for name in PARTS if (part := found["parts"].get(name) or kept.get(name))}
    return found | {"parts": parts, "ratios": ratios(parts)}


def read(folder: Path) -> dict[str, Any] | None:
    """Give the results in `folder`; None where there are none."""
    path = folder / "results.json"
    return json.loads(path.read_text()) if path.exists() else None


def in_its_own_process(name: str, options: Options) -> dict[str, Any]:
    """Measure a part where it can neither disturb the others nor take them along when it dies."""
    lost = {"title": PARTS[name], "status": "failed", "seconds": 0.0, "figures": {}, "notes": [], "failures": {}}
    with tempfile.TemporaryDirectory(prefix="pneumonia-bench-") as folder:
        out = Path(folder, "part.json")
        command = [sys.executable, "-m", "bench.run", name, str(out), "--scans", str(options.scans)]
        command += ["--quick"] if options.quick else []
        # What it prints is progress; standard output is kept free of it.
        process = subprocess.Popen(command, cwd=PROJECT, stdout=sys.stderr)
        try:
            status = process.wait(LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            return {**lost, "reason": f"It took longer than {LONGEST_SECONDS} s."}
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if not out.exists():
            return {**lost, "reason": f"Its process ended with status {status} and left no report."}
        return json.loads(out.read_text())


def write(found: dict[str, Any], folder: Path) -> None:
    """Write both files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    (folder / "RESULTS.md").write_text(table(found))
    say(f"Written: {folder / 'results.json'} and {folder / 'RESULTS.md'}")


if __name__ == "__main__":
    main()
