"""Which DICOM files are refused and how, what is kept of others, and that hostile ones cost only themselves."""

import io
import os
import random
import struct
import time
import zlib
from functools import partial

import numpy as np
import pydicom
import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import MPEG2MPML, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from diagnosis.decoding.kinds import is_dicom
from diagnosis.decoding.reader import Reader
from diagnosis.dicom import file
from diagnosis.dicom.kept import Facts
from diagnosis.intake import Limits, clean
from diagnosis.refusals import Refusal
from diagnosis.tests.dicom_files import compressed, dataset_of, dicom_file, of_pydicom, stored_values, written
from diagnosis.tests.factories import scan_of
from diagnosis.tests.pictures import chest_like, encoded

LIMITS = Limits(max_bytes=5 * 2**20, max_pixels=1_000_000, min_side=64)


@pytest.fixture(scope="module")
def reader():
    with Reader(seconds=60) as reader:
        yield reader


@pytest.fixture
def cleaned(reader):
    def cleaned(data):
        picture = clean(io.BytesIO(data), limits=LIMITS, reader=reader)
        assert picture.png
        return picture

    return cleaned


@pytest.fixture
def refusal(cleaned):
    def refusal(data: bytes) -> Refusal:
        with pytest.raises(Refusal) as caught:
            cleaned(data)
        assert str(caught.value).endswith(".")
        return caught.value

    return refusal


def code(meaning: str) -> Dataset:
    item = Dataset()
    item.CodeMeaning = meaning
    return item


def from_pydicom(name: str) -> bytes:
    with open(str(get_testdata_file(name, download=False)), "rb") as file:
        return file.read()


# What is kept


def test_the_facts_that_are_kept(cleaned):
    data = dicom_file(
        Modality="DX",
        ViewPosition="AP",
        PixelSpacing=[0.139, 0.14],
        PatientAge="034Y",
        PhotometricInterpretation="MONOCHROME1",
    )
    assert cleaned(data).dicom == Facts("DX", "AP", "MONOCHROME1", 0.139, 0.14, 34)


def test_a_file_that_says_next_to_nothing_is_accepted(cleaned):
    data = dicom_file(Modality=None, BodyPartExamined=None, ViewPosition=None, SOPClassUID=None)
    assert cleaned(data).dicom == Facts("", "", "MONOCHROME2", None, None, None)


def test_a_picture_that_is_no_dicom_file_has_no_facts():
    assert clean(io.BytesIO(encoded(chest_like())), limits=LIMITS).dicom is None


@pytest.mark.parametrize(
    ("elements", "years"),
    [
        ({"PatientAge": "003Y"}, 3),
        ({"PatientAge": "018M"}, 1),
        ({"PatientAge": "011M"}, 0),
        ({"PatientAge": "030W"}, 0),
        ({"PatientAge": "400D"}, 1),
        ({"PatientAge": "089Y"}, 89),
        ({"PatientAge": "090Y"}, 90),
        ({"PatientAge": "104Y"}, 90),
        ({"PatientAge": "999Y"}, None),
        ({"PatientBirthDate": "20100616", "StudyDate": "20130615"}, 2),
        ({"PatientBirthDate": "20100615", "StudyDate": "20130615"}, 3),
        ({"PatientBirthDate": "20140615", "StudyDate": "20130615"}, None),
        ({"PatientBirthDate": "20100615"}, None),
    ],
)
def test_the_age_is_in_whole_years_and_nobody_is_older_than_ninety(cleaned, elements, years):
    assert cleaned(dicom_file(**elements)).dicom.patient_age == years


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2)),
        ({"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.2, 0.2]}, (0.1, 0.1)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2)),
        ({"PixelSpacing": [500, 0.1]}, (None, None)),
    ],
)
def test_the_spacing_is_that_of_the_picture_or_else_of_the_detector(cleaned, elements, spacing):
    facts = cleaned(dicom_file(**elements)).dicom
    assert (facts.row_spacing, facts.column_spacing) == spacing


@pytest.mark.parametrize(
    "part",
    [
        *("CHEST", "Chest", "THORAX", "LUNG", "CHEST_AP", "CHESTABDOMEN", "UNKNOWN", "", None),
        *("PORTABLE CHEST", "CXR", "RX TORAX", "PECHO", "POITRINE"),
    ],
)
def test_a_chest_by_any_name_is_accepted(cleaned, part):
    assert cleaned(dicom_file(BodyPartExamined=part)).dicom


@pytest.mark.parametrize(
    ("view", "kept"),
    [
        *[("AP", "AP"), ("PA", "PA"), ("ANTERO-POSTERIOR", "AP"), ("", ""), ("SECRETVIEW", "")],
        *[("AP SUPINE", "AP"), ("PA ERECT", "PA"), ("CHEST_PA", "PA"), ("P.A.", "PA"), ("AP PA", ""), ("PAPA", "")],
    ],
)
def test_a_frontal_view_is_kept_by_its_short_name_alone(cleaned, view, kept):
    assert cleaned(dicom_file(ViewPosition=view)).dicom.view_position == kept


# What is refused for what it says of itself


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "MG", "OT", "SECRET"])
def test_another_modality_is_refused_and_only_a_known_one_is_named(refusal, modality):
    refused = refusal(dicom_file(Modality=modality))
    assert refused.code == "WRONG_MODALITY"
    assert ("SECRET" in modality) or f"({modality})" in str(refused)
    assert "SECRET" not in str(refused)


def test_a_file_without_modality_is_refused_by_its_class(refusal):
    assert refusal(dicom_file(Modality=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.2")).code == "WRONG_MODALITY"


@pytest.mark.parametrize(
    "elements",
    [
        {"BodyPartExamined": "HAND"},
        {"BodyPartExamined": "ABDOMEN"},
        {"BodyPartExamined": "SECRETNAME"},
        *[{"BodyPartExamined": spine} for spine in ("THORACIC SPINE", "THORACOLUMBAR", "COLUMNA TORACICA")],
        {"BodyPartExamined": None, "AnatomicRegionSequence": [code("Knee")]},
    ],
)
def test_another_part_of_the_body_is_refused_without_repeating_it(refusal, elements):
    refused = refusal(dicom_file(**elements))
    assert refused.code == "WRONG_BODY_PART"
    assert "SECRET" not in str(refused)


@pytest.mark.parametrize(
    "elements",
    [
        *[{"ViewPosition": view} for view in ("LL", "RL", "LATERAL", "LAT", "LLD", "RLO", "L_LAT")],
        *[{"ViewPosition": view} for view in ("LEFT LAT", "CHEST LAT", "LAT/L", "LATL", "AP OBL", "PERFIL")],
        {"ViewPosition": None, "ViewCodeSequence": [code("left lateral")]},
        {"ViewPosition": "", "PatientOrientation": ["P", "F"]},
    ],
)
def test_a_view_from_the_side_is_refused(refusal, elements):
    assert refusal(dicom_file(**elements)).code == "NOT_FRONTAL"


def test_several_frames_are_refused(refusal):
    values = np.stack([stored_values(), stored_values(seed=1)])
    data = dicom_file(values, NumberOfFrames=2, Rows=130, Columns=160)
    assert refusal(data).code == "SEVERAL_PAGES"


def test_a_file_without_pixels_is_refused(refusal):
    assert refusal(dicom_file(PixelData=None)).code == "NO_PIXELS"


def test_documents_in_dicom_clothes_are_refused(refusal):
    pdf = dataset_of(PixelData=None, Modality="CR")
    pdf.EncapsulatedDocument = b"%PDF-1.7 SECRET "
    assert refusal(written(pdf)).code == "DICOM_DOCUMENT"
    assert refusal(from_pydicom("test-SR.dcm")).code == "DICOM_DOCUMENT"


def test_the_table_of_contents_of_a_folder_is_refused(refusal):
    assert refusal(from_pydicom("DICOMDIR")).code == "DICOMDIR"


def test_a_film_of_compressed_frames_is_refused(refusal):
    dataset = dataset_of()
    dataset["PixelData"].is_undefined_length = True
    dataset.PixelData = pydicom.encaps.encapsulate([b"\0\0\1\xb3" + bytes(100)])
    assert refusal(written(dataset, MPEG2MPML)).code == "UNSUPPORTED_COMPRESSION"


def test_pixels_of_more_than_16_bits_are_refused(refusal):
    values = stored_values(16).astype(np.uint32) << 8
    assert refusal(dicom_file(values, bits=24)).code == "UNSUPPORTED_PIXELS"


def test_too_few_pixels_are_refused(refusal):
    assert refusal(dicom_file(stored_values(12, 63, 100))).code == "TOO_SMALL"


# Hostile ones


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused(refusal, syntax, share):
    dataset = dataset_of()
    is_packed = syntax in (RLELossless, JPEG2000Lossless)
    data = compressed(dataset, syntax) if is_packed else written(dataset, syntax)
    assert refusal(data[: int(share * len(data))]).code == "DAMAGED"


@pytest.mark.parametrize(
    "data",
    [
        compressed(dataset_of(stored_values(8).astype(np.uint8), bits=8), JPEGBaseline8Bit),
        of_pydicom("JPGExtended.dcm"),
        of_pydicom("MR_small_jpeg_ls_lossless.dcm"),
        of_pydicom("SC_rgb_jpeg_gdcm.dcm"),
        compressed(dataset_of(), JPEG2000Lossless),
    ],
    ids=["baseline", "extended", "jpeg-ls", "lossless", "jpeg 2000"],
)
def test_half_a_codestream_in_a_whole_file_is_never_half_a_picture(cleaned, refusal, data):
    assert cleaned(data)
    dataset = pydicom.dcmread(io.BytesIO(data))
    codestream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([codestream[: len(codestream) // 2]])
    assert refusal(written(dataset)).code == "DAMAGED"


@pytest.mark.parametrize(("rows", "columns"), [(60_000, 60_000), (1001, 1000), (65_535, 65_535)])
def test_a_claim_of_too_many_pixels_is_refused_by_the_claim(refusal, rows, columns):
    refused = refusal(dicom_file(Rows=rows, Columns=columns))
    assert refused.code == "TOO_MANY_PIXELS"
    assert f"{columns:,} × {rows:,}" in str(refused)


@pytest.mark.parametrize(("rows", "columns"), [(0, 160), (900, 900)])
def test_a_claim_that_the_pixels_dont_keep_is_refused(refusal, rows, columns):
    assert refusal(dicom_file(Rows=rows, Columns=columns)).code == "DAMAGED"


def test_a_codestream_larger_than_the_header_says_is_refused(refusal):
    large = compressed(dataset_of(stored_values(12, 900, 800)), JPEG2000Lossless)
    dataset = pydicom.dcmread(io.BytesIO(large))
    dataset.Rows = dataset.Columns = 100
    assert refusal(written(dataset)).code == "DAMAGED"


def test_a_deflated_bomb_is_refused_before_it_unfolds(refusal):
    whole = written(dataset_of(), DeflatedExplicitVRLittleEndian)
    start = file._announced_syntax(whole)[1]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(600)) + packer.flush()
    assert len(bomb) < LIMITS.max_bytes
    refused = refusal(whole[:start] + bomb)
    assert refused.code == "TOO_MANY_PIXELS"


def test_sequences_within_sequences_without_end_are_refused(refusal):
    deep = struct.pack("<HH2sHL", 0x0008, 0x2218, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    whole = written(dataset_of())
    start = file._announced_syntax(whole)[1]
    assert refusal(whole[:start] + 20_000 * deep).code in ("DAMAGED", "NO_PIXELS")


def test_mutated_files_give_a_clean_picture_or_a_refusal(cleaned):
    rng = random.Random(20)
    seeds = [
        dicom_file(WindowCenter=2048, WindowWidth=4096),
        written(dataset_of(), DeflatedExplicitVRLittleEndian),
        compressed(dataset_of(), RLELossless),
        compressed(dataset_of(), JPEG2000Lossless),
        of_pydicom("JPGExtended.dcm"),
        of_pydicom("MR_small_jpeg_ls_lossless.dcm"),
        of_pydicom("SC_rgb_jpeg_gdcm.dcm"),
    ]
    outcomes = set()
    for round_ in range(210):
        data = bytearray(seeds[round_ % len(seeds)])
        for _ in range(rng.choice((1, 3, 20))):
            where = rng.choice((rng.randrange(132, 900), rng.randrange(len(data))))
            data[where] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        try:
            result = cleaned(bytes(data))
            outcomes.add("CLEAN")
            assert result.png
        except Refusal as refused:
            outcomes.add(refused.code)
    assert outcomes >= {"CLEAN", "DAMAGED"}


APART = {"DICOM": dicom_file, "TIFF": partial(encoded, chest_like(), "TIFF")}


@pytest.mark.parametrize("made", APART.values(), ids=APART)
def test_a_file_that_takes_too_long_is_stopped_and_the_next_one_is_read(made):
    with Reader(seconds=60) as reader:
        small = {"max_pixels": 1_000_000, "min_side": 64}
        assert reader.read(made(), **small)
        held = reader._child.pid
        reader.seconds = 1
        os.kill(held, 19)  # SIGSTOP: it answers as one in an endless loop does
        began = time.monotonic()
        with pytest.raises(Refusal) as caught:
            reader.read(made(), **small)
        assert caught.value.code == "TOO_SLOW"
        assert time.monotonic() - began < 30
        reader.seconds = 60
        assert reader.read(dicom_file(), **small)
        assert reader._child.pid != held


def test_a_tiff_that_kills_what_decodes_it_is_refused_and_the_web_process_lives(reader):
    tiff = encoded(chest_like(), "TIFF")
    assert clean(io.BytesIO(tiff), limits=LIMITS, reader=reader).dicom is None
    os.kill(reader._child.pid, 11)
    with pytest.raises(Refusal) as caught:
        clean(io.BytesIO(tiff), limits=LIMITS, reader=reader)
    assert caught.value.code == "DAMAGED"
    assert clean(io.BytesIO(tiff), limits=LIMITS, reader=reader).png


def test_a_file_that_kills_its_reader_is_refused_and_the_next_one_is_read(caplog):
    with Reader(seconds=60) as reader:
        small = {"max_pixels": 1_000_000, "min_side": 64}
        assert reader.read(dicom_file(), **small)
        os.kill(reader._child.pid, 11)
        with pytest.raises(Refusal) as caught:
            reader.read(dicom_file(PatientName="SECRETNAME"), **small)
        assert caught.value.code == "DAMAGED"
        assert reader.read(dicom_file(), **small)
    assert "ended with status -11" in caplog.text
    assert "SECRET" not in caplog.text


def test_a_reader_leaves_no_process_behind():
    with Reader(seconds=60) as reader:
        reader.read(dicom_file(), max_pixels=1_000_000, min_side=64)
        process = reader._child
    assert process.returncode is not None


@pytest.mark.parametrize(
    "data",
    [encoded(chest_like(), file_format) for file_format in ("JPEG", "PNG", "WEBP", "TIFF", "BMP")]
    + [b"", b"\x08", b"Dear doctor, see attached.", bytes(4096), b"PK\x03\x04" + bytes(200)],
)
def test_other_files_are_not_taken_for_dicom(data):
    assert not is_dicom(data)


# What the database holds to


@pytest.mark.parametrize(
    "fields",
    [
        {"modality": "CR"},
        {"patient_age": 3},
        {"row_spacing": 0.1, "column_spacing": 0.1},
        {"photometric_interpretation": "SECRETNAME"},
        {"photometric_interpretation": "RGB", "modality": "CT"},
        {"photometric_interpretation": "RGB", "view_position": "LL"},
        {"photometric_interpretation": "RGB", "row_spacing": 0.1},
        {"photometric_interpretation": "RGB", "row_spacing": 0.1, "column_spacing": 500},
        {"photometric_interpretation": "RGB", "patient_age": 91},
    ],
)
def test_the_database_refuses_what_de_identification_forbids(alice, fields):
    with pytest.raises(IntegrityError):
        scan_of(alice, **fields)


def test_the_database_takes_what_is_kept(alice):
    facts = {"row_spacing": 0.139, "column_spacing": 0.139, "patient_age": 90, "modality": "DX", "view_position": "AP"}
    scan = scan_of(alice, photometric_interpretation="MONOCHROME1", **facts)
    scan.full_clean()
    assert scan.is_dicom
    assert scan.age_in_words == "90 years or more"
    scan.modality = "CT"
    with pytest.raises(ValidationError):
        scan.full_clean()
