"""How long a DICOM file of 10 MB takes to become a picture to store.

Intake alone, with the start of the process that decodes: no database, no broker, no page.
"""

import io
import time

import numpy as np

SIDE = 2288  # 2 × 2288² bytes are 10.5 MB
BITS = 14
ROUNDS = 5


def dicom_of_ten_megabytes() -> bytes:
    """Give a drawn picture of SIDE × SIDE pixels with BITS bits as an uncompressed DICOM file with a window."""
    import pydicom
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    noise = np.random.default_rng(0).normal(0, 0.01, (SIDE, SIDE))
    chest = 0.6 - 0.35 * np.exp(-(((np.abs(x - 0.5) - 0.2) / 0.12) ** 2) - ((y - 0.5) / 0.3) ** 2) + noise
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = pydicom.dataset.FileDataset("", {}, preamble=bytes(128), file_meta=meta)
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "CR", "CHEST", "PA"
    dataset.Rows = dataset.Columns = SIDE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, BITS, BITS - 1, 0
    dataset.WindowCenter, dataset.WindowWidth = 2 ** (BITS - 1), 2**BITS
    dataset.PixelData = np.rint((2**BITS - 1) * np.clip(chest, 0, 1)).astype("<u2").tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def jpeg_2000(data: bytes) -> bytes:
    """Give an uncompressed DICOM file as one that is compressed by JPEG 2000 without loss."""
    import pydicom
    from pydicom.uid import JPEG2000Lossless

    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def seconds_of_dicom_intake(data: bytes, *, rounds: int = ROUNDS) -> list[float]:
    """Give the seconds that intake took for `data`, once a round. Django's settings have to be set up."""
    from diagnosis import intake

    limits = intake.Limits.from_settings()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        intake.clean(io.BytesIO(data), limits=limits).compressing.result()
        taken.append(time.perf_counter() - began)
    return taken
