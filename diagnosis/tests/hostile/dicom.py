"""DICOM files that lie about themselves, unfold, nest or carry scripts."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from diagnosis.tests.dicom_files import compressed, dataset_of, dicom_file, written
from diagnosis.tests.hostile.bombs import progressive_jpeg
from diagnosis.tests.hostile.files import ANSWER, HostileFile

SCRIPT = "<script>alert(1)</script>"
FIRST_ELEMENT = 132 + 12  # behind the preamble and the length of the file meta information


def files() -> Iterator[HostileFile]:
    """Give each of them."""
    for kind, outcome, make in (*_contents(), *_of_pydicom()):
        yield HostileFile(f"DICOM {kind}", outcome, make, "file.dcm")
    for kind, outcome, make in _bombs():
        yield HostileFile(f"DICOM {kind}", outcome, make, "file.dcm", is_bomb=True)


def _contents() -> Iterator[tuple]:
    yield "with scripts as texts", ANSWER, _with_scripts
    yield "that ends in its header", "NO_PIXELS", lambda: dicom_file()[:200]
    whole = dicom_file()
    for share in (0.1, 0.5, 0.99):
        yield f"cut at {share}", "DAMAGED", lambda share=share: whole[: int(len(whole) * share)]
    yield "whose pixels claim 4 GB and are whole", ANSWER, lambda: _with_length(2**32 - 2)
    yield "with pixels of 4 bytes", "DAMAGED", lambda: _with_length(4)
    yield "that claims 65535 × 65535 pixels", "TOO_MANY_PIXELS", lambda: dicom_file(Rows=65_535, Columns=65_535)
    yield "with sequences 20,000 deep", "DAMAGED", _deep
    yield "of a film", "SEVERAL_PAGES", lambda: dicom_file(NumberOfFrames=1_000_000)


def _bombs() -> Iterator[tuple]:
    yield "deflated from 200 MB", "TOO_MANY_PIXELS", _deflated_bomb
    yield "of RLE that unfolds", "DAMAGED", _rle_bomb
    yield "of JPEG 2000 larger than it says", "DAMAGED", _jpeg_2000_bomb
    for name, syntax in (("baseline", JPEGBaseline8Bit), ("extended", JPEGExtended12Bit)):
        yield f"of {name} JPEG with 3,000 scans", "TOO_INTRICATE", lambda syntax=syntax: _scans(syntax)
    levels = np.zeros((5656, 5656), np.uint16)
    yield "of JPEG 2000 as large as allowed", ANSWER, lambda: compressed(dataset_of(levels), JPEG2000Lossless)
    yield "deflated as large as allowed", ANSWER, lambda: written(dataset_of(levels), DeflatedExplicitVRLittleEndian)


def _of_pydicom() -> Iterator[tuple]:
    """Give files that come with pydicom because they once broke something; none is a chest X-ray."""
    for name, outcome in (
        ("rtplan_truncated.dcm", "DICOM_DOCUMENT"),
        ("no_meta_group_length.dcm", "NO_PIXELS"),
        ("image_dfl.dcm", "WRONG_MODALITY"),
        ("nested_priv_SQ.dcm", "DAMAGED"),
        ("priv_SQ.dcm", "NO_PIXELS"),
        ("UN_sequence.dcm", "NO_PIXELS"),
        ("badVR.dcm", "WRONG_MODALITY"),
        ("meta_missing_tsyntax.dcm", "DAMAGED"),
        ("empty_charset_LEI.dcm", "NO_PIXELS"),
        ("zipMR.gz", "NOT_A_PICTURE"),
    ):
        yield f"of pydicom: {name}", outcome, Path(str(get_testdata_file(name, download=False))).read_bytes


def _with_scripts() -> bytes:
    texts = ("PatientName", "PatientID", "StudyDescription", "InstitutionName", "Manufacturer", "PatientComments")
    return dicom_file(**dict.fromkeys(texts, SCRIPT))


def _with_length(length: int) -> bytes:
    data = dicom_file()
    place = data.rindex(b"\xe0\x7f\x10\0OW\0\0") + 8
    return data[:place] + struct.pack("<L", length) + data[place + 4 :]


def _start(data: bytes) -> int:
    """Give where the data set begins, behind the file meta information."""
    return FIRST_ELEMENT + struct.unpack("<L", data[FIRST_ELEMENT - 4 : FIRST_ELEMENT])[0]


def _deep() -> bytes:
    whole = dicom_file()
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return whole[: _start(whole)] + 20_000 * (struct.pack("<HH2sHL", 0x8, 0x2218, b"SQ", 0, 0xFFFFFFFF) + item)


def _deflated_bomb() -> bytes:
    whole = written(dataset_of(), DeflatedExplicitVRLittleEndian)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return whole[: _start(whole)] + b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()


def _rle_bomb() -> bytes:
    """Give a frame whose segments hold the same 20 MB: 10 million runs of 128 bytes."""
    dataset = pydicom.dcmread(io.BytesIO(compressed(dataset_of(), RLELossless)))
    runs = b"\x81\0" * 10_000_000
    dataset.PixelData = encapsulate([struct.pack("<16L", 2, 64, 66, *[0] * 13) + runs])
    return written(dataset)


def _jpeg_2000_bomb() -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(compressed(dataset_of(np.zeros((6000, 6000), np.uint16)), JPEG2000Lossless)))
    dataset.Rows = dataset.Columns = 100
    return written(dataset)


def _scans(syntax: pydicom.uid.UID) -> bytes:
    dataset = dataset_of(np.zeros((4096, 4096), np.uint8), bits=8)
    dataset.PixelData = encapsulate([progressive_jpeg(4096, more=3000)])
    dataset["PixelData"].VR = "OB"
    return written(dataset, syntax)
