"""What is kept of a DICOM file beside its pixels, and the only values it may have. Standard library only."""

from dataclasses import dataclass

MODALITIES = ("CR", "DX", "DR")
VIEWS = ("AP", "PA")
PHOTOMETRIC = (
    *("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB"),
    *("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT"),
)

# So few people are 90 or more that the very age would tell who it is; nobody is older here.
OLDEST = 90
MILLIMETRES = (0.01, 10.0)


@dataclass(frozen=True)
class Facts:
    """What is kept of a DICOM file; what it doesn't say, or says unclearly, is "" or None."""

    modality: str  # of MODALITIES
    view_position: str  # of VIEWS
    photometric_interpretation: str  # of PHOTOMETRIC, as given
    row_spacing: float | None  # millimetres between the centres of two rows, of MILLIMETRES
    column_spacing: float | None  # both or none
    patient_age: int | None  # whole years; OLDEST means that or more
