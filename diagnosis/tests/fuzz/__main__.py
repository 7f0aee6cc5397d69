"""Lets atheris change files in search of one that intake neither cleans nor refuses: make fuzz SECONDS=60.

Each input is taken as an upload is: an archive as its files, DICOM in its own process. Whatever is raised but a
Refusal is a failure, and so is a file that takes 5 seconds of computing or 1.5 GB of this process; libFuzzer
then leaves the file and ends with a status that is not 0. Options of libFuzzer may follow, and a folder to go on from.
"""

import logging
import sys
import tempfile
import warnings
from pathlib import Path

try:
    import atheris
except ImportError:
    print("Skipped: atheris has no wheel for this Python or this machine.", file=sys.stderr)
    sys.exit(0)

with atheris.instrument_imports(include=["PIL", "pydicom", "diagnosis", "ml", "zipfile"]):
    from diagnosis.decoding.reader import Reader
    from diagnosis.tests.fuzz.target import MOST_BYTES, give

from diagnosis.tests.hostile import corpus  # what only tests need is not instrumented


def main() -> None:
    """Fuzz with what the command line says, from the corpus of the tests; does not return."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder, Reader(seconds=5) as reader:
        for place, data in enumerate(corpus.small(MOST_BYTES)):
            (Path(folder) / f"{place:03}").write_bytes(data)
        options = [f"-max_len={MOST_BYTES}", "-timeout=120", "-rss_limit_mb=1536", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *options, *sys.argv[1:], folder], lambda data: give(data, reader))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
