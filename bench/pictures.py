"""Drawn pictures, of no patient: files as people give them, and inputs of the network."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from diagnosis.tests.pictures import chest_like, encoded
from ml.preprocess import canonical, model_input

# As large as the originals of the public set are on average.
USUAL_SIZE = (1328, 971)
JPEG_QUALITY = 90


def jpegs(first: int, width: int = USUAL_SIZE[0], height: int = USUAL_SIZE[1]) -> Iterator[bytes]:
    """Give JPEG files without end, no two alike; `first` is the number of the first one."""
    number = first
    while True:
        yield encoded(chest_like(width, height, seed=number), "JPEG", quality=JPEG_QUALITY)
        number += 1


def canonical_pictures(count: int) -> list[Image.Image]:
    """Give pictures as the training set has them, 224 × 224."""
    return [canonical(chest_like(448, 448, seed=number)) for number in range(count)]


def inputs(count: int, size: int) -> np.ndarray:
    """Give (count, size, size, 1) float32 inputs of the network, 0..255."""
    return np.stack([model_input(picture, size) for picture in canonical_pictures(count)])
