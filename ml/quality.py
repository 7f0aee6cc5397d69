"""What is poor in a given picture before any network sees it, and whether it has colours; Pillow and NumPy only."""

from enum import StrEnum

import numpy as np
from PIL import Image

from ml.preprocess import CANONICAL_SIZE, DEEP_MODES

# A grid of pixels tells the shares as well as all of them.
GRID = 512

# JPEG moves levels by one or two, also those at the ends.
NEAR_END = 2

# Beside the body all is black, so a third of a good picture may be; bones and markers are never white in a fifth of it.
MOST_BLACK = 0.5
MOST_WHITE = 0.2

# Levels between the 5th and the 95th percentile of the picture inside its border.
LEAST_CONTRAST = 40

# Mean distance of a place's chroma from the usual chroma of places as bright (Cb and Cr of ITU-R 601, 0..181). A grey
# picture in colour channels has under 1, tinted film too, a red marker on 2 % of it 3; photographs have 4 to 30.
MOST_CHROMA = 3.0
BRIGHTNESS_STEPS = 16
COLOUR_GRID = 64


class QualityIssue(StrEnum):
    """One thing that is poor in a picture; an answer is given all the same."""

    TOO_SMALL = "TOO_SMALL"
    CLIPPED = "CLIPPED"
    LOW_CONTRAST = "LOW_CONTRAST"


def quality_issues(picture: Image.Image) -> list[QualityIssue]:
    """List what is poor in `picture`, of any mode and size, as it was given: before any squashing or windowing.

    Too small: its shorter side is below the CANONICAL_SIZE that every picture is brought to, so that it would have to
    be enlarged. Clipped: inside a plain border, over MOST_BLACK of the pixels lie at the black end or over MOST_WHITE
    at the white one. Low contrast: fewer than LEAST_CONTRAST levels between the 5th and the 95th percentile.
    """
    levels, white = _levels(picture)
    inside = _inside_border(levels, black=NEAR_END)
    black_share, white_share = np.mean(inside <= NEAR_END), np.mean(inside >= white - NEAR_END)
    low, high = np.percentile(inside, (5, 95))
    found = {
        QualityIssue.TOO_SMALL: min(picture.size) < CANONICAL_SIZE,
        QualityIssue.CLIPPED: black_share > MOST_BLACK or white_share > MOST_WHITE,
        QualityIssue.LOW_CONTRAST: high - low < LEAST_CONTRAST,
    }
    return [issue for issue, poor in found.items() if poor]


def is_colour(picture: Image.Image) -> bool:
    """Tell whether `picture`, of any mode and size, has colours that its brightness doesn't explain, as no X-ray has.

    A grey picture saved with colour channels has none, nor one with a small coloured marker, nor a scan of tinted film,
    where places of one brightness have one colour.
    """
    if picture.mode in ("1", "L", "LA", "La", *DEEP_MODES) or picture.mode.startswith("I;"):
        return False
    # A palette can't be averaged, so first pick pixels, then convert, then average the noise away.
    picked = _opaque(_picked(picture)).resize((COLOUR_GRID, COLOUR_GRID), Image.Resampling.BOX)
    places = np.asarray(picked.convert("YCbCr"), np.float64).reshape(-1, 3)
    steps = (places[:, 0] * BRIGHTNESS_STEPS // 256).astype(int)
    deviations = [_deviations(places[steps == step, 1:]) for step in np.unique(steps)]
    return bool(np.concatenate(deviations).mean() > MOST_CHROMA)


def _deviations(chroma: np.ndarray) -> np.ndarray:
    """Give the distance of each (Cb, Cr) from the median of all."""
    return np.linalg.norm(chroma - np.median(chroma, axis=0), axis=1)


def _opaque(picture: Image.Image) -> Image.Image:
    """Lay it on black: what is transparent may hide any colour."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    clear = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "black"), clear).convert("RGB")


def _picked(picture: Image.Image) -> Image.Image:
    size = (min(picture.width, GRID), min(picture.height, GRID))
    return picture if picture.size == size else picture.resize(size, Image.Resampling.NEAREST)


def _levels(picture: Image.Image) -> tuple[np.ndarray, float]:
    """Give (rows, columns) float64 levels from 0 up, and the level of white.

    White is 255 in 8 bits. Deeper pictures seldom use their full range: theirs goes from their own lowest level to
    their highest, and that of mode F, whose unit is unknown, is spread over 16 bits.
    """
    if picture.mode == "I;16B":  # big-endian: Pillow can't resize it
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16))
    picked = _picked(picture)
    if picture.mode not in DEEP_MODES:
        return np.asarray(picked.convert("L"), np.float64), 255.0
    levels = np.asarray(picked, np.float64)
    levels -= levels.min()
    if picture.mode == "F":
        levels *= 65535 / (levels.max() or 1.0)
    return levels, float(levels.max())


def _inside_border(levels: np.ndarray, *, black: float) -> np.ndarray:
    """Cut off black rows and columns at the edges, which collimators and scanners leave; all black stays as it is."""
    lit = levels > black
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if not rows.size:
        return levels
    return levels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
