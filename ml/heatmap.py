"""A heatmap as a picture that can be laid over the X-ray; Pillow and NumPy only."""

import numpy as np
from PIL import Image

from ml.preprocess import CANONICAL_SIZE

# Nine colours of matplotlib's "inferno" (Smith and van der Walt 2015, CC0), evenly spaced: its lightness grows evenly
# with the heat, for colour-blind readers too.
INFERNO = np.array(
    [
        (0, 0, 4),
        (31, 12, 72),
        (85, 15, 109),
        (136, 34, 106),
        (186, 54, 85),
        (227, 89, 51),
        (249, 140, 10),
        (249, 201, 50),
        (252, 255, 164),
    ],
    np.float32,
)

# The colour of each of 256 degrees of heat, with the degree as its opacity: 256 × RGBA.
_HEAT = np.arange(256)
_COLOURS = np.stack(
    [*(np.interp(_HEAT, np.linspace(0, 255, len(INFERNO)), channel) for channel in INFERNO.T), _HEAT], axis=-1
)
_PALETTE = np.rint(_COLOURS).astype(np.uint8).tobytes()


def smooth(heatmap: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge a coarse (rows, columns) map of 0..1 to `size` (width, height): (height, width) float32, 0..1.

    The map covers the whole picture, so its cells are stretched to the picture's shape. Raises ValueError for what is
    no such map.
    """
    if heatmap.ndim != 2 or not heatmap.size or not (np.min(heatmap) >= 0 and np.max(heatmap) <= 1):
        raise ValueError(f"A heatmap has rows and columns of values 0..1; got shape {heatmap.shape}.")
    enlarged = Image.fromarray(heatmap.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    # Bicubic interpolation overshoots beside a sharp step.
    return np.clip(np.asarray(enlarged), 0, 1)


def heatmap_image(heatmap: np.ndarray, size: tuple[int, int] = (CANONICAL_SIZE, CANONICAL_SIZE)) -> Image.Image:
    """Give a coarse (rows, columns) map of 0..1 as a picture of `size` (width, height), its 256 colours in a palette.

    Without heat it is transparent; the more heat, the lighter and the more opaque. Raises ValueError for what is no
    such map.
    """
    image = Image.fromarray(np.rint(255 * smooth(heatmap, size)).astype(np.uint8))
    image.putpalette(_PALETTE, "RGBA")
    return image
