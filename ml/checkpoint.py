"""A trained model on disk: a folder with the weights and the metadata that makes them an answer.

    model.weights.h5    the weights in Keras's own layout, half precision
    refusal.npz         what tells a chest X-ray from other pictures, by the features of these weights
    checkpoint.json     Metadata; holds the sha256 of both

Nothing heavy is imported here: the web process reads the metadata, only the worker loads the rest.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from ml.labels import LABELS
from ml.preprocess import PREPROCESSING

WEIGHTS_FILE = "model.weights.h5"
REFUSAL_FILE = "refusal.npz"
METADATA_FILE = "checkpoint.json"

# 1: the first one. 2: refusal.npz, the uncertain band, the kind of head and of normalisation.
FORMAT_VERSION = 2

SHIPPED = Path(__file__).parent / "weights"


class CheckpointError(Exception):
    """The checkpoint can't be used; the text says why, and is safe to show to staff."""


class CheckpointMissing(CheckpointError):
    """There is no checkpoint in the folder, or a part of it is absent."""


class CheckpointCorrupt(CheckpointError):
    """The files are not what the metadata says: truncated, changed or unreadable."""


class CheckpointIncompatible(CheckpointError):
    """The files are whole, but were made by another version of the format, the labels or the preprocessing."""


@dataclass(frozen=True)
class Metadata:
    """What is known of a trained model.

    `temperature` and `bias` turn the difference d = logit(PNEUMONIA) - logit(NORMAL) into the calibrated probability
    of PNEUMONIA, sigmoid(d / temperature + bias). `threshold` (0..1) is this version's operating point on that
    probability: at or above it the label is PNEUMONIA. A probability from `uncertain[0]` to `uncertain[1]`, both ends
    included, is called uncertain and asks for a human reader. `head` and `normalisation` say which network
    ml.model.build_classifier has to make for the weights.
    """

    name: str
    created: str
    image_size: int
    temperature: float
    bias: float
    threshold: float
    uncertain: tuple[float, float]
    head: str = "dense"
    normalisation: str = "none"
    weights_sha256: str = ""
    refusal_sha256: str = ""
    labels: tuple[str, ...] = LABELS
    preprocessing: str = PREPROCESSING
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder whose metadata was read; `verify` looks at the weights too."""

    folder: Path
    metadata: Metadata

    @property
    def weights_path(self) -> Path:
        """Where the weights are."""
        return self.folder / WEIGHTS_FILE

    @property
    def refusal_path(self) -> Path:
        """Where the detector of other pictures is."""
        return self.folder / REFUSAL_FILE

    @property
    def sha256(self) -> str:
        """Name the version: sha256 over the metadata, which holds the sha256 of the other files."""
        return hashlib.sha256(_canonical_json(self.metadata)).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Give the metadata as it stands in the file."""
        return asdict(self.metadata)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the metadata of the checkpoint in `folder`.

        Raises CheckpointMissing, CheckpointCorrupt or CheckpointIncompatible.
        """
        path = folder / METADATA_FILE
        try:
            found = json.loads(path.read_text())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise CheckpointMissing(f"There is no checkpoint in {folder}: {METADATA_FILE} is absent.") from error
        except (OSError, ValueError) as error:
            raise CheckpointCorrupt(f"{path} can't be read: {error}") from error
        if not isinstance(found, dict):
            raise CheckpointCorrupt(f"{path} is not a JSON object.")
        expected = {"format_version": FORMAT_VERSION, "labels": list(LABELS), "preprocessing": PREPROCESSING}
        for key, value in expected.items():
            if found.get(key) != value:
                raise CheckpointIncompatible(
                    f"{path} says {key} = {found.get(key)!r}; this version of the software expects {value!r}."
                )
        try:
            known = {f.name for f in fields(Metadata)}
            low, high = found["uncertain"]
            typed = {"labels": LABELS, "uncertain": (low, high)}
            metadata = Metadata(**{key: value for key, value in found.items() if key in known} | typed)
        except (TypeError, ValueError, KeyError) as error:
            raise CheckpointCorrupt(f"{path} lacks a field: {error}") from error
        if not (
            0 < metadata.threshold < 1
            and 0 <= low <= metadata.threshold <= high <= 1
            and metadata.temperature > 0
            and metadata.image_size >= 32
        ):
            raise CheckpointCorrupt(f"{path} holds an impossible threshold, uncertain band, temperature or image size.")
        return cls(folder, metadata)

    def verify(self) -> None:
        """Compare both files with their sha256 in the metadata. Raises CheckpointMissing or CheckpointCorrupt."""
        expected = {
            self.weights_path: self.metadata.weights_sha256,
            self.refusal_path: self.metadata.refusal_sha256,
        }
        for path, sha256 in expected.items():
            try:
                found = file_sha256(path)
            except OSError as error:
                raise CheckpointMissing(f"{path} can't be read: {error.strerror}.") from error
            if found != sha256:
                raise CheckpointCorrupt(
                    f"{path} has sha256 {found[:12]}…, its metadata says {sha256[:12]}…: the file is truncated or was "
                    "changed."
                )


def write_metadata(folder: Path, metadata: Metadata) -> Checkpoint:
    """Write the metadata beside the files that are already in `folder`, whole or not at all."""
    temporary = folder / f"{METADATA_FILE}.part"
    temporary.write_text(json.dumps(asdict(metadata), indent=2, sort_keys=True) + "\n")
    os.replace(temporary, folder / METADATA_FILE)
    return Checkpoint(folder, metadata)


def file_sha256(path: Path) -> str:
    """Give the sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _canonical_json(metadata: Metadata) -> bytes:
    return json.dumps(asdict(metadata), sort_keys=True, separators=(",", ":")).encode()
