"""Checkpoint folders for tests: of a few bytes for whoever never loads them, or tiny ones that a worker can load."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from diagnosis.tests.servers import PROJECT
from ml.checkpoint import REFUSAL_FILE, WEIGHTS_FILE, Metadata, file_sha256, write_metadata

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
"""


def checkpoint_in(folder: Path, *, name: str = "spring", weights: bytes = b"weights", **fields: Any) -> Path:
    """Write a checkpoint of a few bytes into `folder`, which may be there already; give the folder."""
    folder.mkdir(exist_ok=True)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    (folder / REFUSAL_FILE).write_bytes(b"refusal")
    return described(folder, name=name, **fields)


def tiny_checkpoint_in(folder: Path) -> Path:
    """Write a VGG19 for pictures of 32 pixels, with random weights, into `folder`; give the folder."""
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([sys.executable, "-c", MAKE_FILES, folder], cwd=PROJECT, env=quiet, check=True)
    return described(folder, name="tiny", temperature=1.0, threshold=0.5, uncertain=(0.5, 0.5))


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
