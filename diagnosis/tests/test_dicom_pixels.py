"""What of a DICOM file becomes the picture: every transfer syntax, and the window it is seen through."""

import base64
import io
import struct
import warnings

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from diagnosis.decoding.reader import Reader
from diagnosis.intake import CleanPicture, Limits, clean
from diagnosis.tests.dicom_files import compressed, dataset_of, dicom_file, of_pydicom, stored_values, written
from diagnosis.tests.given_files import levels, opened
from ml.preprocess import eight_bit
from ml.quality import QualityIssue

LIMITS = Limits(max_bytes=5 * 2**20, max_pixels=1_000_000, min_side=10)
# A ramp of 40 levels a column and 20 a row, 64 × 64 pixels, losslessly written by OpenJPH 0.26: no test's own package
# can write it.
HTJ2K_RAMP = base64.b85decode(
    r"|4;u>04YEK0000$0000$00000000000000$0000$0000000000009pH0sl|{2mk^A000XAQUDA90ssL31q1{@0smY86Cj9?kdTm&"
    r"kdTm&kdTmwh=~7W02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00001DgXihlfVEg0RMkS`jPb6?gD|d0KfnfzyK3~w%PUqf^-1d"
    r"YWo0#Q~<yL6;J>LSlYB{)Ap)z0(Agv+1S|rz%haBwgA8Y7K8u+X#i|&Y;0_7Y;5PsdU|n!cmT9C8jVJy(f<92KzsHf0qnW}zyKE9"
    r"00DFWGMP*!lgVT<nM@{=$z=Ke3VM2adU|?s0(}5j48t%C!!QiPFbu=~|9D_R2ftwm9{q$Md-f24?6U#D04}-!0e1k7<2a7vIF92u"
    r"j^j9v<2a7vIF92uj^jA~zx)b%dU|?#dU|?#dU|?#dT@ev0j4p=7-Nhv#u#IaF~%5Uj4{R-WB&ht+W-IuzhD3!{eS>__5cCz*Z>E="
    r"U;rNdfB<{;00Hc?0{__"
)
WHOLE = {"WindowCenter": 2048, "WindowWidth": 4096}


@pytest.fixture(scope="module")
def reader():
    with Reader(seconds=60) as reader:
        yield reader


@pytest.fixture
def cleaned(reader):
    def cleaned(data: bytes) -> CleanPicture:
        return clean(io.BytesIO(data), limits=LIMITS, reader=reader)

    return cleaned


def spread(values: np.ndarray) -> np.ndarray:
    """Give `values` from their lowest to their highest over 16 bits."""
    low, high = int(values.min()), int(values.max())
    return np.rint((values.astype(np.float64) - low) * (65535 / (high - low)))


def shown_by_pydicom(data: bytes) -> np.ndarray:
    """Give the picture as pydicom's own functions show it, spread from black to white of its range, 0..65535."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bits, signed = dataset.BitsStored, dataset.PixelRepresentation
        ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1])
        black, white = np.sort(apply_modality_lut(ends, dataset))
        shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset, prefer_lut=False)
    return (shown - black) * (65535 / (white - black))


# Transfer syntaxes


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_every_lossless_syntax_keeps_every_level(cleaned, syntax, bits):
    values = stored_values(bits) if bits > 8 else stored_values(bits).astype(np.uint8)
    dataset = dataset_of(values, bits=bits)
    data = compressed(dataset, syntax) if syntax == RLELossless else written(dataset, syntax)
    result = cleaned(data)
    assert opened(result.png).mode == ("I;16" if bits > 8 else "L")
    assert_kept(levels(result), values, bits=bits)


def assert_kept(found: np.ndarray, values: np.ndarray, *, bits: int) -> None:
    """See that each level is another one still, and that those of more than 8 bits fill 16."""
    assert len(np.unique(found)) == len(np.unique(values))
    assert np.abs(found - (spread(values) if bits > 8 else values.astype(float))).max() <= 1


def test_big_endian_keeps_every_level(cleaned):
    values = stored_values(12)
    dataset = dataset_of(values)
    dataset.PixelData = values.astype(">u2").tobytes()
    assert np.array_equal(levels(cleaned(written(dataset, ExplicitVRBigEndian))), spread(values))


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_2000_keeps_every_level_where_it_is_lossless(cleaned, bits):
    values = stored_values(bits) if bits > 8 else stored_values(bits).astype(np.uint8)
    data = compressed(dataset_of(values, bits=bits), JPEG2000Lossless)
    assert_kept(levels(cleaned(data)), values, bits=bits)


def test_jpeg_2000_that_loses_a_little_is_read(cleaned):
    values = stored_values(12)
    result = levels(cleaned(compressed(dataset_of(values), JPEG2000)))
    assert np.corrcoef(result.ravel(), values.ravel())[0, 1] > 0.999


def test_jpeg_baseline_is_read(cleaned):
    values = stored_values(8).astype(np.uint8)
    result = levels(cleaned(compressed(dataset_of(values, bits=8), JPEGBaseline8Bit)))
    assert result.dtype == np.uint8
    assert np.abs(result.astype(float) - values).mean() < 2


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("JPGExtended.dcm", JPEGExtended12Bit),
        ("MR_small_jpeg_ls_lossless.dcm", None),
        ("JPEGLSNearLossless_08.dcm", None),
        ("JPEGLSNearLossless_16.dcm", None),
        ("MR_small_RLE.dcm", None),
        ("MR_small_jp2klossless.dcm", None),
        ("JPEG2000.dcm", None),
        ("693_J2KI.dcm", None),
        ("MR_small.dcm", None),
        ("MR_small_implicit.dcm", None),
        ("MR_small_bigendian.dcm", None),
        ("MR_small_padded.dcm", None),
        ("image_dfl.dcm", None),
        ("J2K_pixelrep_mismatch.dcm", None),
    ],
)
def test_files_of_other_makers_show_what_pydicom_decodes(cleaned, name, syntax):
    elsewhere = ("WindowCenter", "WindowWidth", "VOILUTSequence", "PixelPaddingValue")
    data = of_pydicom(name, dict.fromkeys(elsewhere), syntax)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        decoded = pydicom.dcmread(str(get_testdata_file(name, download=False))).pixel_array.astype(np.int64)
    expected = decoded if decoded.max() <= 255 and decoded.min() >= 0 else spread(decoded)
    assert np.abs(levels(cleaned(data)).astype(float) - expected).max() <= 1


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLossless])
def test_lossless_jpeg_is_read_under_both_of_its_names(cleaned, syntax):
    data = of_pydicom("SC_rgb_jpeg_gdcm.dcm", syntax=syntax)
    given = pydicom.dcmread(str(get_testdata_file("SC_rgb_jpeg_gdcm.dcm", download=False))).pixel_array
    result = cleaned(data)
    assert np.array_equal(levels(result), np.asarray(Image.fromarray(given).convert("L")))
    assert result.is_colour


def test_high_throughput_jpeg_2000_is_read(cleaned):
    y, x = np.mgrid[0:64, 0:64]
    ramp = (40 * x + 20 * y).astype(np.uint16)
    dataset = dataset_of(ramp)
    dataset.PixelData = encapsulate([HTJ2K_RAMP])
    result = cleaned(written(dataset, HTJ2KLossless))
    assert_kept(levels(result), ramp, bits=12)


# With less around it


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("cut", ["preamble", "zeros", "meta"])
def test_a_file_without_its_preamble_is_read(cleaned, syntax, cut):
    data = written(dataset_of(), syntax)
    if cut == "zeros":
        data = data[128:]
    elif cut == "preamble":
        data = data[132:]
    else:
        length = struct.unpack("<L", data[140:144])[0]
        data = data[144 + length :]
    assert np.array_equal(levels(cleaned(data)), spread(stored_values()))


@pytest.mark.parametrize(
    "left_out", ["BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation"]
)
def test_what_a_grey_picture_does_not_say_of_its_pixels_is_taken_as_usual(cleaned, left_out):
    bits = 16 if left_out == "BitsStored" else 12
    whole, lacking = dicom_file(bits=bits), dicom_file(bits=bits, **{left_out: None})
    assert (levels(cleaned(lacking)) == levels(cleaned(whole))).all()


def test_a_file_without_a_name_for_its_syntax_is_read(cleaned):
    dataset = dataset_of()
    whole = written(dataset)
    name = dataset.file_meta.TransferSyntaxUID.encode()
    assert whole.count(name) == 1
    data = whole.replace(name, bytes(len(name)))
    assert np.array_equal(levels(cleaned(data)), spread(stored_values()))


# The window


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 1200, "WindowWidth": 900},
        {"WindowCenter": 1200, "WindowWidth": 900, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 1200, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": [1200, 40], "WindowWidth": [900, 80]},
        {"WindowCenter": 600, "WindowWidth": 450, "RescaleSlope": 0.5, "RescaleIntercept": 0},
        {"WindowCenter": 176, "WindowWidth": 900, "RescaleSlope": 1, "RescaleIntercept": -1024},
    ],
    ids=["linear", "exact", "sigmoid", "first of two", "slope", "intercept"],
)
def test_the_window_is_applied_as_the_standard_says(cleaned, window):
    data = dicom_file(**window)
    assert np.abs(levels(cleaned(data)) - shown_by_pydicom(data)).max() <= 1


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_monochrome1_is_turned_round(cleaned, photometric):
    values = stored_values(16)
    given = 65535 - values if photometric == "MONOCHROME1" else values
    data = dicom_file(given, bits=16, PhotometricInterpretation=photometric, WindowCenter=32768, WindowWidth=65536)
    result = cleaned(data)
    assert np.abs(levels(result).astype(int) - values).max() <= 1
    assert result.dicom.photometric_interpretation == photometric


def test_eight_bits_of_monochrome1_are_turned_round_too(cleaned):
    values = stored_values(8).astype(np.uint8)
    data = dicom_file(255 - values, bits=8, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(levels(cleaned(data)), values)


@pytest.mark.parametrize("bits", [12, 16])
def test_signed_values_are_read_as_signed(cleaned, bits):
    values = stored_values(bits).astype(np.int32) - 2 ** (bits - 1)
    data = dicom_file(values.astype(np.int16), bits=bits, WindowCenter=0, WindowWidth=2**bits)
    assert np.abs(levels(cleaned(data)) - shown_by_pydicom(data)).max() <= 1


def lut(entries: np.ndarray, *, first: int = 0, bits: int = 16) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, bits]
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    item["LUTDescriptor"].VR = "US"
    return item


def test_a_voi_lut_comes_before_a_window(cleaned):
    curve = np.rint(65535 * np.linspace(0, 1, 4096) ** 2)
    data = dicom_file(VOILUTSequence=[lut(curve)], WindowCenter=5, WindowWidth=10)
    assert np.abs(levels(cleaned(data)) - curve[stored_values()]).max() <= 1


def test_a_voi_lut_of_eight_bits_with_an_entry_for_each_of_twelve_is_read(cleaned):
    curve = np.rint(255 * np.linspace(0, 1, 4096) ** 0.5)
    data = dicom_file(VOILUTSequence=[lut(curve, bits=8)])
    assert np.abs(levels(cleaned(data)) - 257 * curve[stored_values()]).max() <= 1


def test_a_voi_lut_that_announces_more_bits_than_it_uses_is_not_dark(cleaned):
    data = dicom_file(VOILUTSequence=[lut(np.arange(4096), bits=16)])
    assert np.abs(levels(cleaned(data)) - stored_values() * (65535 / 4095)).max() <= 1


def test_a_modality_lut_is_applied_before_the_window(cleaned):
    turned = dicom_file(ModalityLUTSequence=[lut(np.arange(4096)[::-1])], **WHOLE)
    assert np.abs(levels(cleaned(turned)) - (4095 - stored_values().astype(int)) * (65535 / 4095)).max() <= 17


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 2048, "WindowWidth": 0},
        {"WindowCenter": 2048, "WindowWidth": -5},
        {"WindowCenter": 30000, "WindowWidth": 10},
        {"WindowCenter": 2048},
        {"VOILUTSequence": [lut(np.zeros(4096))]},
        {"RescaleSlope": 0, "RescaleIntercept": 0},
    ],
    ids=["width 0", "negative", "elsewhere", "half a window", "all black", "slope 0"],
)
def test_a_window_that_shows_nothing_is_passed_over(cleaned, window):
    result = cleaned(dicom_file(**window))
    assert np.array_equal(levels(result), spread(stored_values()))


def test_bits_beside_the_stored_ones_never_pass(cleaned):
    overlay = (np.arange(stored_values().size).reshape(stored_values().shape) % 7 == 0).astype(np.uint16) << 15
    data = dicom_file(stored_values() | overlay)
    assert np.array_equal(levels(cleaned(data)), spread(stored_values()))


def test_levels_at_the_top_of_their_words_are_found_there(cleaned):
    data = dicom_file(stored_values() << 4, HighBit=15)
    assert np.array_equal(levels(cleaned(data)), spread(stored_values()))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_narrows_no_contrast(cleaned, photometric):
    values = 1000 + stored_values(10)
    values[:, :20] = 4095
    data = dicom_file(values, PixelPaddingValue=4095, PhotometricInterpretation=photometric)
    result = levels(cleaned(data))
    assert (result[:, :20] == 0).all()
    assert (result[:, 20:].min(), result[:, 20:].max()) == (0, 65535)


# The window and the model


def test_the_model_sees_what_the_window_shows_and_no_percentile_stretches_it(cleaned):
    values = stored_values()
    result = cleaned(dicom_file(WindowCenter=2048, WindowWidth=12000))
    seen = np.asarray(eight_bit(opened(result.png), (values.shape[1], values.shape[0])))
    window = np.clip((values - 2047.5) / 11999 + 0.5, 0, 1)
    assert np.abs(seen - 255 * window).max() <= 1
    assert (int(seen.min()), int(seen.max())) == (int(np.rint(255 * window.min())), int(np.rint(255 * window.max())))
    assert seen.min() > 60
    thumbnail = np.asarray(opened(result.thumbnail))
    assert abs(float(thumbnail.mean()) - float(seen.mean())) < 2


def test_without_a_window_the_percentiles_choose_one(cleaned):
    result = cleaned(dicom_file(stored_values(10), bits=12))
    seen = np.asarray(eight_bit(opened(result.png), (160, 130)))
    assert (int(seen.min()), int(seen.max())) == (0, 255)


def test_a_window_that_hides_most_is_noted_as_poor_quality(cleaned):
    assert cleaned(dicom_file(**WHOLE)).quality_issues == [QualityIssue.TOO_SMALL]
    assert QualityIssue.CLIPPED in cleaned(dicom_file(WindowCenter=600, WindowWidth=200)).quality_issues
    assert QualityIssue.LOW_CONTRAST in cleaned(dicom_file(WindowCenter=2048, WindowWidth=64000)).quality_issues
