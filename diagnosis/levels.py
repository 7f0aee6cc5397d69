"""The grey levels of a stored picture, seen through a window of the reader's choice.

A window is its centre and its width in stored levels, as DICOM's LINEAR_EXACT has it (PS3.3 C.11.2.1.3.2): black up to
centre - width / 2, white from centre + width / 2, straight between. It only shows; the model never sees it.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from ml.preprocess import DEEP_MODES, shown_window

# Levels of these modes, 0 to the number.
WHITE = {"L": 255, "I;16": 65535}


class Levels(NamedTuple):
    """What a stored picture holds, and what of it is shown while nobody has chosen a window; all in stored levels."""

    white: int  # the highest level that its bits can hold: 255 or 65535
    lowest: float
    highest: float
    black_from: float  # shown black up to here
    white_from: float  # shown white from here on


def white_of(picture: Image.Image) -> int:
    """Give the highest level that a stored `picture`, mode "L" or "I;16", can hold; reads no pixel."""
    return WHITE[picture.mode]


def levels_of(picture: Image.Image) -> Levels:
    """Give the levels of a stored `picture`, mode "L" or "I;16". One of 8 bits is not decoded, and told as 0..255."""
    white = white_of(picture)
    if picture.mode not in DEEP_MODES:
        return Levels(white, 0, white, 0, white)
    black_from, white_from = shown_window(picture)
    levels = np.asarray(picture)
    return Levels(white, int(levels.min()), int(levels.max()), black_from, white_from)


def through_window(picture: Image.Image, *, center: float, width: float) -> Image.Image:
    """Give a stored `picture`, mode "L" or "I;16", as 8-bit grayscale through the window; `width` is above 0.

    Each level is looked up once, so that a large picture is never held as floating-point numbers.
    """
    shares = (np.arange(white_of(picture) + 1) - (center - width / 2)) / width
    table = np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)
    return Image.fromarray(table[np.asarray(picture)])
