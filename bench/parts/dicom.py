"""Taking in a DICOM file of 10 MB, uncompressed and compressed without loss, as the site does.

Each file is decoded in a process of its own; its start is part of the time.
"""

from functools import partial

from bench.dicom_intake import SIDE, dicom_of_ten_megabytes, jpeg_2000, seconds_of_dicom_intake
from bench.measure import interleaved
from bench.report import Report
from bench.site import django_with, work_folder


def measure(report: Report) -> None:
    """Take in both files in turns."""
    plain = dicom_of_ten_megabytes()
    files = {
        "uncompressed": (plain, "uncompressed"),
        "jpeg_2000": (jpeg_2000(plain), "JPEG 2000, lossless"),
    }
    with work_folder() as folder:
        django_with({"SITE_MODE": "embedded", "VAR_DIR": str(folder / "var")})
        subjects = {name: partial(once, data) for name, (data, _) in files.items()}
        found = interleaved(subjects, rounds=report.options.rounds(15, quick=2), failed=report.fail)
        for name, values in found.items():
            report.add(name, f"intake: from a DICOM file, {files[name][1]}, to the clean PNG", "ms", values)
    sizes = ", ".join(f"{what} {len(data) / 1e6:.1f} MB" for data, what in files.values())
    report.note(f"A drawn chest of {SIDE} × {SIDE} px with 14 bits; {sizes}.")


def once(data: bytes) -> float:
    """Take it in and give the milliseconds."""
    return 1000 * seconds_of_dicom_intake(data, rounds=1)[0]
