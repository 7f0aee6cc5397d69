"""Takes each file named on the standard input in a process of its own and tells what came of it and what it cost.

A program, so that no memory of a test counts: a path a line in, a JSON object a line out.
"""

import json
import logging
import os
import resource
import sys
import warnings
from pathlib import Path

import django

KIB = 1024


def main() -> None:
    """Answer line by line."""
    django.setup()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    from diagnosis import intake  # noqa: F401  # loaded before the fork, as in a web process

    for line in sys.stdin:
        if not os.fork():
            print(json.dumps(_measured(Path(line.strip()))), flush=True)
            os._exit(0)
        if os.wait()[1]:
            print(json.dumps({"outcomes": ["died"], "seconds": 0, "memory": 0}), flush=True)


def _measured(path: Path) -> dict:
    """Give the outcomes of all pictures in the file, seconds of computing, and bytes that memory grew by at most.

    The process that reads DICOM counts whole, with all its libraries.
    """
    before = resource.getrusage(resource.RUSAGE_SELF)
    outcomes = _outcomes(path)
    after, of_readers = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in (after, of_readers)) - before.ru_utime - before.ru_stime
    memory = KIB * (after.ru_maxrss - before.ru_maxrss + of_readers.ru_maxrss)
    return {"outcomes": outcomes, "seconds": seconds, "memory": memory}


def _outcomes(path: Path) -> list[str]:
    from django.conf import settings

    from diagnosis.archives import Archive, Budget, is_zip
    from diagnosis.intake import Limits, clean
    from diagnosis.refusals import Refusal
    from diagnosis.tests.hostile.files import ANSWER

    with path.open("rb") as file:
        try:
            if not is_zip(file):
                clean(file, limits=Limits.from_settings()).compressing.result()
                return [ANSWER]
            budget = Budget(settings.INTAKE_MAX_BYTES, settings.UPLOAD_MAX_FILES, settings.UPLOAD_MAX_UNPACKED_BYTES)
            outcomes = []
            for member in Archive(file, budget=budget).members():
                try:
                    if isinstance(member, Refusal):
                        raise member
                    clean(member, limits=Limits.from_settings()).compressing.result()
                    outcomes.append(ANSWER)
                except Refusal as refusal:
                    outcomes.append(refusal.code)
        except Refusal as refusal:
            return [refusal.code]
    return sorted(set(outcomes))


if __name__ == "__main__":
    main()
