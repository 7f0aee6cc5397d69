"""Files that are two things at once: a picture to one program, something else to another."""

from collections.abc import Iterator

from diagnosis.tests.archive_files import zipped
from diagnosis.tests.hostile.files import ANSWER, HostileFile
from diagnosis.tests.pictures import chest_like, encoded

HTML = b"<html><script>alert(document.domain)</script></html>"


def files() -> Iterator[HostileFile]:
    """Give each of them."""
    picture = chest_like(200, 160)
    png, jpeg = encoded(picture, "PNG"), encoded(picture, "JPEG", comment=HTML)
    yield HostileFile("PNG and ZIP", ANSWER, lambda: png + zipped({"a.html": HTML}), "a.zip")
    yield HostileFile("JPEG and HTML", ANSWER, lambda: jpeg + HTML, "a.html")
    yield HostileFile("JPEG and PHP", ANSWER, lambda: jpeg + b"<?php system($_GET[0]); ?>", "a.php")
    yield HostileFile(
        "GIF and JavaScript", "UNSUPPORTED_FORMAT", lambda: b"GIF89a/*" + bytes(8) + b"*/=1;alert(1);", "a.js"
    )
    yield HostileFile("PDF and JPEG", "UNSUPPORTED_FORMAT", lambda: b"%PDF-1.4\nstream\n" + jpeg, "a.jpg")
    yield HostileFile("JPEG and PDF", ANSWER, lambda: jpeg[:-2] + b"\xff\xd9\n%PDF-1.4\n", "a.pdf")
    yield HostileFile("BMP and JavaScript", "DAMAGED", lambda: b"BM=1/*" + bytes(60) + b"*/;alert(1)", "a.bmp")
    for kind in ("TIFF", "PNG"):
        picture_in = encoded(picture, kind)
        data = picture_in[:128].ljust(128, b"\0") + b"DICM" + picture_in[132:]
        yield HostileFile(f"{kind} in the preamble of DICOM", "NO_PIXELS", lambda data=data: data, "a.tif")
    yield HostileFile("TIFF and DICOM", ANSWER, _tiff_and_dicom, "a.dcm")


def _tiff_and_dicom() -> bytes:
    from diagnosis.tests.dicom_files import dicom_file

    data = dicom_file()
    return b"II*\0\x08\0\0\0" + bytes(120) + data[128:]
