"""What a file is by its first bytes, and whether a child decodes it. Standard library only."""

import struct

from diagnosis.headers import TIFF

# How the first element of a file without preamble may be written: the explicit ones that stand in its first groups.
FIRST_GROUPS = (0x0002, 0x0008)
FIRST_VRS = {b"UL", b"UI", b"OB", b"CS", b"DA", b"TM", b"LO", b"SH", b"SQ", b"DT", b"UN", b"UR"}


def is_dicom(data: bytes) -> bool:
    """Tell whether `data` starts as a DICOM file does, with or without its preamble."""
    if data[128:132] == b"DICM" or data[:4] == b"DICM":
        return True
    if len(data) < 16:
        return False
    for order in "<>":
        group, element = struct.unpack(f"{order}HH", data[:4])
        if group in FIRST_GROUPS and element < 0x0100:
            explicit = data[4:6] in FIRST_VRS
            implicit = order == "<" and struct.unpack("<L", data[4:8])[0] <= min(len(data), 1024)
            return explicit or implicit
    return False


def is_tiff(data: bytes) -> bool:
    """Tell whether `data` starts as a TIFF does."""
    return data[:4] in TIFF


def is_read_apart(data: bytes) -> bool:
    """Tell whether a process of its own decodes `data`.

    DICOM and TIFF are containers for whatever compression there is: what a file costs, or does to its decoder, can't be
    told from its header.
    """
    return is_dicom(data) or is_tiff(data)
