"""Checkpoint folders for tests: of a few bytes for whoever never loads them, or tiny ones that a worker can load."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from diagnosis.tests.servers import PROJECT
from ml.checkpoint import (
    GRAPH_FILE,
    GRAPH_WEIGHTS_FILE,
    REFUSAL_FILE,
    WEIGHTS_FILE,
    Metadata,
    file_sha256,
    write_metadata,
)

# In a process of its own, so that the tests' process does not load TensorFlow. Its detector lets every picture pass:
# a drawn chest is no chest X-ray.
MAKE_FILES = """
import sys
from pathlib import Path

import keras
import numpy as np

from ml.checkpoint import REFUSAL_FILE, WEIGHTS_FILE
from ml.model import build_classifier, save_half_precision
from ml.refusal import QUARTERS, Refusal
from ml.serving import FEATURE_CONVOLUTION

keras.utils.set_random_seed(1)
folder, model = Path(sys.argv[1]), build_classifier(image_size=32)
save_half_precision(model, folder / WEIGHTS_FILE)
channels = model.get_layer(FEATURE_CONVOLUTION).output.shape[-1]
shapes = (channels,), (channels, 1), (QUARTERS * channels,), ()
Refusal(*(np.zeros(shape, np.float32) for shape in shapes)).save(folder / REFUSAL_FILE)
if "graph" in sys.argv:
    import openvino as ov

    from ml.checkpoint import GRAPH_FILE
    from ml.graph import build_graph

    ov.save_model(build_graph(model), folder / GRAPH_FILE, compress_to_fp16=False)
"""


def checkpoint_in(folder: Path, *, name: str = "spring", weights: bytes = b"weights", **fields: Any) -> Path:
    """Write a checkpoint of a few bytes into `folder`, which may be there already; give the folder."""
    folder.mkdir(exist_ok=True)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    (folder / REFUSAL_FILE).write_bytes(b"refusal")
    return described(folder, name=name, **fields)


def tiny_checkpoint_in(folder: Path, *, graph: bool = False) -> Path:
    """Write a VGG19 for pictures of 32 pixels, with random weights, into `folder`; give the folder.

    With a `graph` a worker is up within a second or two, and does without TensorFlow.
    """
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    wanted = ["graph"] if graph else []
    subprocess.run([sys.executable, "-c", MAKE_FILES, folder, *wanted], cwd=PROJECT, env=quiet, check=True)
    fields: dict[str, Any] = {"name": "tiny", "temperature": 1.0, "threshold": 0.5, "uncertain": (0.5, 0.5)}
    if graph:
        fields |= {
            "graph_sha256": file_sha256(folder / GRAPH_FILE),
            "graph_weights_sha256": file_sha256(folder / GRAPH_WEIGHTS_FILE),
            "graph_precision": "fp32",
        }
    return described(folder, **fields)


def described(folder: Path, **fields: Any) -> Path:
    """Write metadata that fit the files in `folder`."""
    usual: dict[str, Any] = {
        "created": "2026-01-31",
        "image_size": 32,
        "temperature": 1.5,
        "bias": 0.0,
        "threshold": 0.4321,
        "uncertain": (0.25, 0.625),
        "weights_sha256": file_sha256(folder / WEIGHTS_FILE),
        "refusal_sha256": file_sha256(folder / REFUSAL_FILE),
    }
    write_metadata(folder, Metadata(**{**usual, **fields}))
    return folder
