"""What a DICOM file says of itself: the facts that are kept, and which files are refused for it.

De-identified by construction: WANTED names every element that is ever looked at, and kept.Facts everything that leaves
this process. No text of the file is passed on as it stands: each value is one of a short list, or a number in a range.
"""

import math
import re
from datetime import date, datetime
from typing import Any

from pydicom import Dataset

from diagnosis.dicom.kept import MILLIMETRES, MODALITIES, OLDEST, PHOTOMETRIC, Facts
from diagnosis.refusals import Refusal, gettext_noop

# Every element that is read; all others are passed over unread: names, dates, numbers, private ones, overlays, icons.
# The body part, the orientation and two dates are looked at and not kept.
WANTED = (
    *("DirectoryRecordSequence", "EncapsulatedDocument", "SOPClassUID"),
    *("Modality", "BodyPartExamined", "AnatomicRegionSequence", "ViewPosition", "ViewCodeSequence"),
    *("PatientOrientation", "PatientAge", "PatientBirthDate", "StudyDate"),
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"),
    *("GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData"),
    *("BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData"),
    *("PixelData", "FloatPixelData", "DoubleFloatPixelData"),
)

# What a file without a modality may be by its class; any other class is some other kind of picture or no picture.
PLAIN_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.7": "",
}

# Only these are named to the user: whatever else stands there may be anything.
OTHER_MODALITIES = {
    "CT": gettext_noop("computed tomography (CT)"),
    "MR": gettext_noop("magnetic resonance (MR)"),
    "US": gettext_noop("ultrasound (US)"),
    "MG": gettext_noop("mammography (MG)"),
    "NM": gettext_noop("nuclear medicine (NM)"),
    "PT": gettext_noop("positron emission tomography (PT)"),
    "XA": gettext_noop("angiography (XA)"),
    "RF": gettext_noop("fluoroscopy (RF)"),
    "RG": gettext_noop("a digitised film (RG)"),
    "IO": gettext_noop("a dental X-ray (IO)"),
    "PX": gettext_noop("a dental X-ray (PX)"),
    "XC": gettext_noop("a photograph (XC)"),
    "SC": gettext_noop("a secondary capture (SC)"),
    "OT": gettext_noop("another kind (OT)"),
}
DOCUMENTS = {"SR", "DOC", "PR", "KO", "PLAN", "REG", "RTPLAN", "RTSTRUCT", "ECG", "HD", "AU"}

CHEST_WORDS = (
    *("CHEST", "CXR", "THORA", "THORÁ", "TORAX", "TÓRAX", "TORAC", "TORÁC", "LUNG", "PULM", "PLEURA"),
    *("PECHO", "PEITO", "POITRINE", "BRUSTKORB", "ГРУД", "胸", "肺", "흉"),
)
# The spine is named after the chest that it passes through: THORACIC SPINE, THORACOLUMBAR, COLUMNA TORÁCICA.
SPINE_WORDS = ("SPIN", "LUMB", "COLUMN", "VERTEB", "VÉRTEB", "RACHIS", "WIRBEL")
NO_BODY_PART = {"", "UNKNOWN", "NONE", "OTHER", "ANY", "N/A", "NA", "DEFAULT", "UNSPECIFIED", "BODY", "TRUNK"}

VIEW_WORDS = {
    **dict.fromkeys(("AP", "ANTERO-POSTERIOR", "ANTEROPOSTERIOR", "ANTERO POSTERIOR", "A-P", "A/P", "A.P."), "AP"),
    **dict.fromkeys(("PA", "POSTERO-ANTERIOR", "POSTEROANTERIOR", "POSTERO ANTERIOR", "P-A", "P/A", "P.A."), "PA"),
}
# Lateral, decubitus and oblique ones, as DICOM names them and as some devices do.
OTHER_VIEWS = {"LL", "RL", "LLD", "RLD", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "LT", "RT"}
OTHER_VIEW_WORDS = {"LAT", "LATL", "LATR", "OBL"}  # among others: LEFT LAT, CHEST LAT, XTABLE LAT, LAT/L
OTHER_VIEW_PARTS = ("LATERAL", "OBLIQU", "OBLIC", "DECUB", "LLAT", "RLAT", "PERFIL", "PROFIL")


def facts_of(dataset: Dataset) -> Facts:
    """Give what is kept of `dataset`, or raise Refusal when it is no frontal X-ray of a chest in one picture."""
    _check_is_a_picture(dataset)
    modality = _modality(dataset)
    _check_body_part(dataset)
    view = _view(dataset)
    _check_frames(dataset)
    photometric = text_of(dataset, "PhotometricInterpretation") or "MONOCHROME2"
    if photometric not in PHOTOMETRIC:
        raise Refusal(
            "UNSUPPORTED_PIXELS",
            "This DICOM file stores its pixels in a colour model that is not read; export it as a grey picture.",
        )
    row_spacing, column_spacing = _spacing(dataset)
    return Facts(modality, view, photometric, row_spacing, column_spacing, _age(dataset))


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Give the value of an element, of several values the first, None where it is absent, empty or unreadable."""
    try:
        value = dataset.get(keyword)
    except (ValueError, TypeError, OverflowError, AttributeError, NotImplementedError):
        return None
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        return value
    return value[0] if len(value) else None


def text_of(dataset: Dataset, keyword: str) -> str:
    """Give the value of an element as text in capitals, "" where there is none."""
    value = value_of(dataset, keyword)
    return "" if value is None else " ".join(str(value).replace("\0", " ").split()).upper()


def number_of(dataset: Dataset, keyword: str) -> float | None:
    """Give the value of an element as a finite number, None where there is none."""
    try:
        number = float(value_of(dataset, keyword))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _check_is_a_picture(dataset: Dataset) -> None:
    if "DirectoryRecordSequence" in dataset or dataset.get("SOPClassUID") == "1.2.840.10008.1.3.10":
        raise Refusal(
            "DICOMDIR",
            "This is the table of contents of a DICOM folder (DICOMDIR) and no picture; upload the files that lie "
            "beside it.",
        )
    if "EncapsulatedDocument" in dataset or text_of(dataset, "Modality") in DOCUMENTS:
        raise Refusal(
            "DICOM_DOCUMENT",
            "This DICOM file holds a report or another document and no X-ray; upload the X-ray that it belongs to.",
        )


def _modality(dataset: Dataset) -> str:
    modality = text_of(dataset, "Modality")
    kind = PLAIN_CLASSES.get(str(dataset.get("SOPClassUID", "") or "1.2.840.10008.5.1.4.1.1.7"))
    if modality in MODALITIES:
        return modality
    if not modality and kind is not None:
        return kind
    if modality in OTHER_MODALITIES:
        raise Refusal(
            "WRONG_MODALITY",
            "This DICOM file says that it is %(kind)s; only plain X-rays (CR, DX or DR) are accepted.",
            kind=OTHER_MODALITIES[modality],
        )
    raise Refusal(
        "WRONG_MODALITY",
        "This DICOM file says that it was not made as a plain X-ray; only plain X-rays (CR, DX or DR) are accepted.",
    )


def _check_body_part(dataset: Dataset) -> None:
    named = [text_of(dataset, "BodyPartExamined"), *_meanings(dataset, "AnatomicRegionSequence")]
    part = next((part for part in named if part not in NO_BODY_PART), "")
    if part and (any(word in part for word in SPINE_WORDS) or not any(word in part for word in CHEST_WORDS)):
        raise Refusal(
            "WRONG_BODY_PART",
            "This DICOM file says that it shows another part of the body; only X-rays of the chest are accepted.",
        )


def _view(dataset: Dataset) -> str:
    named = [text_of(dataset, "ViewPosition").replace("_", " "), *_meanings(dataset, "ViewCodeSequence")]
    for view in named:
        if view in VIEW_WORDS:
            return VIEW_WORDS[view]
    # Along a row of a frontal picture one goes to the patient's left or right, of a lateral one to front or back.
    along_a_row = text_of(dataset, "PatientOrientation")[:1]
    if along_a_row in ("A", "P") or any(_is_not_frontal(view) for view in named):
        raise Refusal(
            "NOT_FRONTAL",
            "This DICOM file says that it is a lateral or oblique view; only frontal views (AP or PA) are accepted.",
        )
    for view in named:  # some say more: AP SUPINE, PA ERECT, CHEST PA
        directions = _words(view) & {"AP", "PA"}
        if len(directions) == 1:
            return directions.pop()
    return ""


def _is_not_frontal(view: str) -> bool:
    return (
        view in OTHER_VIEWS or bool(_words(view) & OTHER_VIEW_WORDS) or any(part in view for part in OTHER_VIEW_PARTS)
    )


def _words(view: str) -> set[str]:
    return set(re.split(r"[^A-Z]+", view))


def _meanings(dataset: Dataset, keyword: str) -> list[str]:
    try:
        return [text_of(item, "CodeMeaning") for item in dataset.get(keyword) or []]
    except (ValueError, TypeError, AttributeError):
        return []


def _check_frames(dataset: Dataset) -> None:
    frames = number_of(dataset, "NumberOfFrames")
    if frames is not None and frames > 1:
        raise Refusal("SEVERAL_PAGES", "This DICOM file has several frames; export the X-ray as one single picture.")


def _spacing(dataset: Dataset) -> tuple[float | None, float | None]:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        try:
            row, column = (float(value) for value in dataset.get(keyword) or ())
        except (TypeError, ValueError, OverflowError, AttributeError):
            continue
        if all(MILLIMETRES[0] <= value <= MILLIMETRES[1] for value in (row, column)):
            return round(row, 6), round(column, 6)
    return None, None


def _age(dataset: Dataset) -> int | None:
    said = re.fullmatch(r"(\d{1,3})([DWMY]?)", text_of(dataset, "PatientAge"))
    if said:
        years = int(int(said[1]) / {"D": 365.25, "W": 52.18, "M": 12}.get(said[2], 1))
    else:
        born, taken = _day(dataset, "PatientBirthDate"), _day(dataset, "StudyDate")
        if not born or not taken or born > taken:
            return None
        years = taken.year - born.year - ((taken.month, taken.day) < (born.month, born.day))
    return min(years, OLDEST) if years <= 130 else None


def _day(dataset: Dataset, keyword: str) -> date | None:
    try:
        return datetime.strptime(text_of(dataset, keyword)[:8], "%Y%m%d").date()  # noqa: DTZ007
    except ValueError:
        return None
