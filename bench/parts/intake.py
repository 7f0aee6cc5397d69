"""Taking in a large JPEG, and what the worker does with it before the network."""

import io

from PIL import Image

from bench.measure import interleaved, milliseconds
from bench.pictures import jpegs
from bench.report import Report
from bench.site import django_with, work_folder

SIDE = 2700


def measure(report: Report) -> None:
    """Time each step on the same drawn picture."""
    with work_folder() as folder:
        django_with({"SITE_MODE": "embedded", "VAR_DIR": str(folder / "var")})
        from diagnosis.intake import Limits, clean
        from ml.checkpoint import SHIPPED, Checkpoint
        from ml.preprocess import model_input

        size = Checkpoint.read(SHIPPED).metadata.image_size
        given = next(jpegs(0, SIDE, SIDE))
        stored = clean(io.BytesIO(given), limits=Limits.from_settings()).png

        def decode() -> None:
            with Image.open(io.BytesIO(given)) as picture:
                picture.load()

        def prepare() -> None:
            with Image.open(io.BytesIO(stored), formats=["PNG"]) as picture:
                picture.load()
                model_input(picture, size)

        steps = {
            "decode": ("decoding the JPEG alone", decode),
            "clean": (
                "intake: from the JPEG to the clean PNG",
                lambda: clean(io.BytesIO(given), limits=Limits.from_settings()).png,
            ),
            "prepare": ("the worker: from the stored PNG to the network's input", prepare),
        }
        timed = {name: (lambda step=step: milliseconds(step)) for name, (_, step) in steps.items()}
        found = interleaved(timed, rounds=report.options.rounds(25, quick=3), failed=report.fail)
        for name, values in found.items():
            report.add(name, steps[name][0], "ms", values)
    megabytes = len(given) / 2**20, len(stored) / 2**20
    report.note("A drawn JPEG of {0} × {0} px, {1:.1f} MB; the stored PNG has {2:.1f} MB.".format(SIDE, *megabytes))
