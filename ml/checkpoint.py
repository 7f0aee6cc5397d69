"""A trained model on disk: a folder with the weights and the metadata that makes them an answer.

    model.weights.h5    the weights in Keras's own layout, half precision
    refusal.npz         what tells a chest X-ray from other pictures, by the features of these weights
    graph.xml .bin      the network as OpenVINO reads it, mostly in whole numbers; ml.export adds it
    checkpoint.json     Metadata; holds the sha256 of the others

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
GRAPH_FILE = "graph.xml"
GRAPH_WEIGHTS_FILE = "graph.bin"
METADATA_FILE = "checkpoint.json"

# 1: the first one. 2: refusal.npz, the uncertain band, the kind of head and of normalisation. 3: the graph, optional.
FORMAT_VERSION = 3
READABLE = (2, 3)

# What an older format doesn't have: it is no part of what names a version of that format.
SINCE = {"graph_sha256": 3, "graph_weights_sha256": 3, "graph_precision": 3}

# What tells of a version and changes no answer of it: no part of its name, so that it may come later.
NAMELESS = {"reference"}

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
    ml.model.build_classifier has to make for the weights. Both sha256 of a graph are empty where there is none;
    `graph_precision` is what it is computed in where it is not quantised, one of ml.serving_openvino.PRECISIONS.
    `reference` describes pictures and answers of held-out patients, see ml.drift; empty in checkpoints without one.
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
    graph_sha256: str = ""
    graph_weights_sha256: str = ""
    graph_precision: str = ""
    labels: tuple[str, ...] = LABELS
    preprocessing: str = PREPROCESSING
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    reference: dict[str, Any] = field(default_factory=dict)
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
    def graph_path(self) -> Path:
        """Where the graph is, if there is one."""
        return self.folder / GRAPH_FILE

    @property
    def graph_weights_path(self) -> Path:
        """Where the numbers of the graph are, if there is one."""
        return self.folder / GRAPH_WEIGHTS_FILE

    @property
    def has_graph(self) -> bool:
        """Tell whether the metadata name a graph; `verify` looks whether it is there."""
        return bool(self.metadata.graph_sha256)

    @property
    def sha256_by_path(self) -> dict[Path, str]:
        """Name the files beside the metadata, each with the sha256 that it has to have."""
        metadata = self.metadata
        files = {self.weights_path: metadata.weights_sha256, self.refusal_path: metadata.refusal_sha256}
        return files | self.sha256_by_graph_path

    @property
    def sha256_by_graph_path(self) -> dict[Path, str]:
        """Name the files of the graph, each with its sha256; empty where there is none."""
        if not self.has_graph:
            return {}
        metadata = self.metadata
        return {self.graph_path: metadata.graph_sha256, self.graph_weights_path: metadata.graph_weights_sha256}

    @property
    def sha256(self) -> str:
        """Name the version: sha256 over the metadata but NAMELESS, which holds the sha256 of the other files."""
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
        readable = {"format_version": READABLE, "labels": [list(LABELS)], "preprocessing": [PREPROCESSING]}
        for key, values in readable.items():
            if found.get(key) not in values:
                expected = " or ".join(map(repr, values))
                raise CheckpointIncompatible(
                    f"{path} says {key} = {found.get(key)!r}; this version of the software expects {expected}."
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
        """Compare every file with its sha256 in the metadata. Raises CheckpointMissing or CheckpointCorrupt."""
        compare_files(self.sha256_by_path)


def compare_files(sha256_by_path: dict[Path, str]) -> None:
    """Compare files with the sha256 that they have to have. Raises CheckpointMissing or CheckpointCorrupt."""
    for path, sha256 in sha256_by_path.items():
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
    named = {
        key: value
        for key, value in asdict(metadata).items()
        if key not in NAMELESS and SINCE.get(key, 0) <= metadata.format_version
    }
    return json.dumps(named, sort_keys=True, separators=(",", ":")).encode()
