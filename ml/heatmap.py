"""A heatmap as a picture that can be laid over the X-ray, and where it is hottest; Pillow and NumPy only."""

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


# Where a frontal chest X-ray of the data set shows what, in eighths of its width and height: the mean of its pneumonias
# has the lungs from the second to the sixth row, and spine and heart in the two columns in the middle.
LUNG_LEFT = "over the lung on the picture's left"
BETWEEN = "between the lungs, on spine or heart"
LUNG_RIGHT = "over the lung on the picture's right, or the heart beside it"
BELOW = "below the lungs"
BESIDE = "beside or above them"
PLACES = (LUNG_LEFT, BETWEEN, LUNG_RIGHT, BELOW, BESIDE)


def hottest(heatmap: np.ndarray) -> str:
    """Say at which of PLACES a (rows, columns) map that covers the whole picture is hottest, roughly."""
    row, column = np.unravel_index(np.argmax(heatmap), heatmap.shape)
    down, across = (row + 0.5) / heatmap.shape[0], (column + 0.5) / heatmap.shape[1]
    if not (1 / 8 <= across <= 7 / 8 and down >= 1 / 8):
        return BESIDE
    if down > 6 / 8:
        return BELOW
    return LUNG_LEFT if across < 3 / 8 else LUNG_RIGHT if across > 5 / 8 else BETWEEN


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
