"""Stored values of a DICOM file → the grey levels that its own window shows.

The way of the standard (PS3.3 C.11): stored value → modality LUT or rescale → VOI LUT, or else the first window →
MONOCHROME1 turned round. All of it is worked out once for each possible stored value, of which there are 65,536 at
most, and the picture is then looked up; bits beside the stored ones, where overlays hide, never pass.

A picture with more than 8 bits keeps them: its levels are spread over 16. Where a VOI LUT or window was applied, black
and white of the 16 bits are those of the radiologist's screen, `for_display` says so, and ml.preprocess.eight_bit
takes them as they are. Where a file has none, or one that leaves a single grey, its own range is spread, and eight_bit
windows the result by its percentiles like any other deep picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

from diagnosis.dicom.facts import number_of, text_of, value_of
from diagnosis.headers import check_scans
from diagnosis.refusals import Refusal, check_sides, damaged

WHITE = 65535
MOST_BITS = 16

START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"

# Rows that are looked up at once, so that a large picture is never held as wide integers.
BAND_ROWS = 256


@dataclass(frozen=True)
class Levels:
    """`array` is (rows, columns) uint16 or uint8, or (rows, columns, 3) uint8 for one in colour."""

    array: np.ndarray
    for_display: bool = False


def levels_of(dataset: Dataset, syntax: UID, *, max_pixels: int, min_side: int) -> Levels:
    """Decode the picture in `dataset` and show it through its window; raises Refusal, or what the decoders raise."""
    if not value_of(dataset, "PixelData"):
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            raise Refusal(
                "UNSUPPORTED_PIXELS",
                "This DICOM file stores its pixels as floating-point numbers; export it with 16 bits or fewer.",
            )
        raise Refusal("NO_PIXELS", "This DICOM file holds no picture; upload the file of the X-ray itself.")
    rows, columns = (int(number_of(dataset, side) or 0) for side in ("Rows", "Columns"))
    if rows <= 0 or columns <= 0:
        raise damaged()
    check_sides("DICOM", columns, rows, max_pixels=max_pixels, min_side=min_side)
    stored = int(number_of(dataset, "BitsStored") or number_of(dataset, "BitsAllocated") or 0)
    if not 0 < stored <= MOST_BITS:
        raise _too_deep() if stored else damaged()
    _complete(dataset, stored)
    array = _decoded(dataset, syntax)
    if array.ndim == 3 and array.shape[2] == 3:
        return Levels(_eight_bit_colours(array, stored))
    if array.shape != (rows, columns):
        raise damaged()
    if text_of(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        coloured = apply_color_lut(array, dataset)
        return Levels(_eight_bit_colours(coloured, 8 * coloured.itemsize))
    return _shown(array, dataset, stored=stored, compressed=syntax.is_compressed)


def _complete(dataset: Dataset, stored: int) -> None:
    """Say for a file what it leaves out: decoders ask for each, and of a grey picture there is one usual value."""
    usual = {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PixelRepresentation": 0}
    for keyword, value in {**usual, "BitsStored": stored}.items():
        if value_of(dataset, keyword) is None:
            setattr(dataset, keyword, value)


def _too_deep() -> Refusal:
    return Refusal(
        "UNSUPPORTED_PIXELS",
        "This DICOM file stores its pixels with more than %(most)s bits; export it with 16 bits or fewer.",
        most=MOST_BITS,
    )


def _decoded(dataset: Dataset, syntax: UID) -> np.ndarray:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        decoder = None
    if decoder is None or not decoder.is_available:
        raise Refusal(
            "UNSUPPORTED_COMPRESSION",
            "This DICOM file is compressed in a way that is not read; export it uncompressed, or as JPEG 2000.",
        )
    if syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
        _check_codestream(dataset)
    # What lies beside the stored bits is cut off by _bands, which knows of those at the top of their words too.
    options: dict[str, Any] = {"correct_unused_bits": False}
    return decoder.as_array(dataset, index=0, **options)[0]


def _check_codestream(dataset: Dataset) -> None:
    """Refuse a codestream that is cut short or has far too many scans.

    The decoders of JPEG and JPEG-LS would give half a picture as a whole.
    """
    codestream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    check_scans(codestream, pixels=int(dataset.Rows) * int(dataset.Columns))
    if codestream.rfind(END_OF_IMAGE) < codestream.rfind(START_OF_SCAN):
        raise damaged()


def _eight_bit_colours(array: np.ndarray, bits: int) -> np.ndarray:
    return (array >> max(0, bits - 8)).astype(np.uint8)


def _shown(array: np.ndarray, dataset: Dataset, *, stored: int, compressed: bool) -> Levels:
    """Give the decoded grey `array` as it is shown."""
    bits, shift = stored, 0
    if compressed:
        # A compressed picture has no bits beside it; what it holds beyond those announced belongs to it.
        low, high = int(array.min()), int(array.max())
        bits = max(bits, high.bit_length() if low >= 0 else max(high.bit_length(), (~low).bit_length()) + 1)
        if bits > MOST_BITS:
            raise damaged()
    else:
        shift = max(0, int(number_of(dataset, "HighBit") or 0) + 1 - stored)
    values = np.arange(2**bits, dtype=np.int64)
    if number_of(dataset, "PixelRepresentation"):
        values[2 ** (bits - 1) :] -= 2**bits
    padding = _padding(values, dataset)
    present = np.zeros(2**bits, bool)
    for _, band in _bands(array, bits, shift):
        present[band] = True
    shares, for_display = _shares(values, dataset, present=present & ~padding)
    if text_of(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        shares = 1 - shares
    shares[padding] = 0
    white, dtype = (WHITE, np.uint16) if bits > 8 else (255, np.uint8)
    table = np.rint(white * shares).astype(dtype)
    levels = np.empty(array.shape, dtype)
    for top, band in _bands(array, bits, shift):
        levels[top : top + len(band)] = table[band]
    return Levels(levels, for_display=for_display and bits > 8)


def _bands(array: np.ndarray, bits: int, shift: int) -> Iterator[tuple[int, np.ndarray]]:
    """Give the stored bits from top to bottom as numbers 0..2**bits - 1, each band with its first row."""
    for top in range(0, len(array), BAND_ROWS):
        yield top, (array[top : top + BAND_ROWS].astype(np.int64) >> shift) & (2**bits - 1)


def _padding(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Mark the values that fill up where nothing was taken; they are black whatever the window."""
    padding = number_of(dataset, "PixelPaddingValue")
    if padding is None:
        return np.zeros(values.shape, bool)
    limit = number_of(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((padding, padding if limit is None else limit))
    return (values >= low) & (values <= high)


def _shares(values: np.ndarray, dataset: Dataset, *, present: np.ndarray) -> tuple[np.ndarray, bool]:
    """Give for each stored value its share of white, 0..1, and whether the file's own window says so.

    `present` marks the values that the picture has.
    """
    modality = _modality_values(values, dataset)
    for window in (_voi_lut, _window):
        shares = window(modality, dataset)
        # A window that leaves one grey of a picture with several was meant for another one.
        if shares is not None and present.any() and np.ptp(shares[present]) > 0:
            return shares, True
    if len(values) <= 256:
        low, high = modality.min(), modality.max()
    else:
        low, high = (modality[present].min(), modality[present].max()) if present.any() else (0.0, 0.0)
    if high <= low:
        return np.zeros(values.shape), False
    return np.clip((modality - low) / (high - low), 0, 1), False


def _modality_values(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    item = _first_item(dataset, "ModalityLUTSequence")
    through = None if item is None else _through_lut(values.astype(np.float64), item, dataset)
    if through is not None:
        return through[0]
    slope, intercept = number_of(dataset, "RescaleSlope"), number_of(dataset, "RescaleIntercept")
    return values * (slope or 1.0) + (intercept or 0.0)


def _voi_lut(modality: np.ndarray, dataset: Dataset) -> np.ndarray | None:
    item = _first_item(dataset, "VOILUTSequence")
    through = None if item is None else _through_lut(modality, item, dataset)
    if through is None:
        return None
    levels, largest = through
    # Some files announce 16 bits for entries of 12: white is the end of the bits that are used.
    return levels / (2 ** int(largest).bit_length() - 1)


def _window(modality: np.ndarray, dataset: Dataset) -> np.ndarray | None:
    """The formulas of PS3.3 C.11.2.1.2 and C.11.2.1.3, for a range of 0..1."""
    centre, width = number_of(dataset, "WindowCenter"), number_of(dataset, "WindowWidth")
    if centre is None or width is None or width <= 0:
        return None
    function = text_of(dataset, "VOILUTFunction")
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-4 * (modality - centre) / width))
    if function != "LINEAR_EXACT":
        centre, width = centre - 0.5, width - 1
    if width <= 0:
        return (modality > centre).astype(np.float64)
    return np.clip((modality - centre) / width + 0.5, 0, 1)


def _first_item(dataset: Dataset, keyword: str) -> Dataset | None:
    item = value_of(dataset, keyword)
    return item if isinstance(item, Dataset) else None


def _through_lut(values: np.ndarray, item: Dataset, dataset: Dataset) -> tuple[np.ndarray, int] | None:
    """Look `values` up in a LUT of the file and give the levels with the largest entry; None when it can't be used.

    pydicom's own way takes no table of 8 bits with more than 256 entries, and none of 9 bits.
    """
    try:
        entries, first, bits = (int(number) for number in item.LUTDescriptor)
        table = _lut_entries(item["LUTData"].value, entries or 2**16, bits, dataset)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None
    if not len(table) or not table.max():
        return None
    places = np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.int64)
    return table[places].astype(np.float64), int(table.max())


def _lut_entries(data: Any, entries: int, bits: int, dataset: Dataset) -> np.ndarray:
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] is not False else ">"
        kind = "u1" if bits <= 8 and len(data) < 2 * entries else f"{order}u2"
        return np.frombuffer(data[: len(data) // np.dtype(kind).itemsize * np.dtype(kind).itemsize], kind)[:entries]
    table = np.asarray([data] if np.isscalar(data) else list(data), np.int64) & 0xFFFF
    if bits <= 8 and len(table) == (entries + 1) // 2 < entries:  # two entries a word
        table = table.astype("<u2").view("u1")
    return table[:entries]
