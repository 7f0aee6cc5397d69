"""DICOM files for tests: drawn chests with the elements that a test names, and those that come with pydicom."""

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom import Dataset, FileDataset
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    generate_uid,
)

from diagnosis.tests.pictures import chest_levels

WIDTH, HEIGHT = 160, 130


def stored_values(bits: int = 12, width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> np.ndarray:
    """Give a drawn chest as (height, width) uint16 with levels 0..2**bits - 1."""
    return np.rint((2**bits - 1) * chest_levels(width, height, seed)).astype(np.uint16)


def dataset_of(values: np.ndarray | None = None, *, bits: int = 12, **elements: Any) -> FileDataset:
    """Give a frontal chest X-ray of a CR device with stored `values`; an element that is None is left out."""
    values = stored_values(bits) if values is None else values
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, preamble=bytes(128), file_meta=meta)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 1
    dataset.BitsAllocated = 8 * values.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
    usual = {
        "Modality": "CR",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PhotometricInterpretation": "MONOCHROME2",
    }
    set_elements(dataset, {**usual, **elements})
    return dataset


def set_elements(dataset: Dataset, elements: Mapping[str, Any]) -> None:
    """Set each of `elements`, also to values that DICOM doesn't know; one that is None is taken out."""
    for keyword, value in elements.items():
        if value is None:
            if keyword in dataset:
                del dataset[keyword]
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                setattr(dataset, keyword, value)


def written(dataset: Dataset, syntax: UID | str | None = None) -> bytes:
    """Give `dataset` as a file, in the uncompressed or deflated `syntax` or in the one that it has."""
    if syntax:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    buffer = io.BytesIO()
    if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
        pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=False, force_encoding=True)
    else:
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def dicom_file(values: np.ndarray | None = None, *, bits: int = 12, **elements: Any) -> bytes:
    """Give dataset_of as a file."""
    return written(dataset_of(values, bits=bits, **elements))


def compressed(dataset: FileDataset, syntax: UID, **options: Any) -> bytes:
    """Give `dataset` as a file in a compressed `syntax` that pydicom's plugins can write."""
    if syntax == JPEGBaseline8Bit:
        return _jpeg_baseline(dataset)
    if syntax == JPEG2000:
        options = {"j2k_psnr": [60], **options}
    elif syntax == JPEG2000Lossless:
        options = {"encoding_plugin": "pylibjpeg", **options}
    dataset.compress(syntax, generate_instance_uid=False, **options)
    return written(dataset)


def _jpeg_baseline(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(dataset.pixel_array.astype(np.uint8)).save(buffer, "JPEG", quality=98)
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset["PixelData"].VR = "OB"
    return written(dataset, JPEGBaseline8Bit)


def of_pydicom(name: str, changes: Mapping[str, Any] | None = None, syntax: UID | None = None) -> bytes:
    """Give a test file that comes with pydicom, said to be a frontal chest X-ray of a CR device.

    All else in it stays: the compressed picture above all.
    """
    path = get_testdata_file(name, download=False)
    assert path, f"{name} doesn't come with pydicom"
    dataset = pydicom.dcmread(Path(str(path)))
    usual = {"Modality": "CR", "BodyPartExamined": "CHEST", "ViewPosition": "PA"}
    set_elements(dataset, {**usual, **(changes or {})})
    return written(dataset, syntax)
