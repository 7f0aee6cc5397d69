"""The bytes of a DICOM file → what is kept of it. Loads pydicom: only the child of diagnosis.decoding loads this."""

import io
import zlib
from typing import Any

from PIL import Image
from pydicom import config, dcmread
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian
from pydicom.uid import ExplicitVRLittleEndian as ExplicitLittle
from pydicom.uid import ImplicitVRLittleEndian as ImplicitLittle

from diagnosis.dicom.facts import WANTED, facts_of
from diagnosis.dicom.kept import Facts
from diagnosis.dicom.pixels import levels_of
from diagnosis.refusals import damaged, too_many_pixels

# pydicom neither warns nor judges.
config.settings.reading_validation_mode = config.IGNORE

PIXEL_DATA = (b"\xe0\x7f\x10\0", b"\x7f\xe0\0\x10")

# No picture needs more elements around it than this once it is unpacked.
MOST_AROUND = 8 * 2**20


def picture_of(data: bytes, *, max_pixels: int, min_side: int) -> tuple[Image.Image, bool, Facts]:
    """Give the picture in a file, mode "L", "I;16" or "RGB", whether its 16 bits are black to white of a screen, facts.

    Raises Refusal and whatever parsers raise.
    """
    dataset, syntax = parsed(data, max_unpacked=3 * max_pixels + MOST_AROUND)
    facts = facts_of(dataset)
    levels = levels_of(dataset, syntax, max_pixels=max_pixels, min_side=min_side)
    return Image.fromarray(levels.array), levels.for_display, facts


def parsed(data: bytes, *, max_unpacked: int) -> tuple[Any, Any]:
    """Give the wanted elements of a file with or without preamble, and its transfer syntax.

    pydicom would unpack a deflated file whole, however large it becomes, so that is done here.
    """
    if data.startswith(b"DICM"):
        data = bytes(128) + data
    syntax, start = _announced_syntax(data)
    if syntax == DeflatedExplicitVRLittleEndian:
        data, syntax = _inflated(data[start:], max_unpacked), ExplicitLittle
    dataset = dcmread(io.BytesIO(data), force=True, specific_tags=list(WANTED))
    if "PixelData" not in dataset and any(tag in data for tag in PIXEL_DATA):
        raise damaged()  # cut short within compressed pixels, which pydicom then passes over
    if not syntax:
        implicit, little = dataset.original_encoding
        syntax = ImplicitLittle if implicit else ExplicitLittle if little else ExplicitVRBigEndian
    return dataset, UID(syntax)


def _announced_syntax(data: bytes) -> tuple[str, int]:
    """Give the transfer syntax that the file meta information names, "" for none, and where the data set starts."""
    file = io.BytesIO(data)
    read_preamble(file, force=True)
    meta = _read_file_meta_info(file)
    return str(meta.get("TransferSyntaxUID", "") or ""), file.tell()


def _inflated(data: bytes, max_unpacked: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacked = inflater.decompress(data, max_unpacked)
    if inflater.unconsumed_tail:
        raise too_many_pixels(
            "This DICOM file unpacks to far more than is accepted; scale it down and upload it again."
        )
    if not inflater.eof:
        raise damaged()
    return unpacked
