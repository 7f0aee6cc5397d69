"""The stress validation's pictures: held-out ones changed in fixed ways, each as another place might make them.

Every shift of SHIFTS takes part in every choice; those that MEASURED has beside them are for evaluations alone.

Every shift takes an 8-bit grayscale picture and a severity and gives such a picture of the same size. Severity 0 is
the picture as it is (but for rounding), 1 the strength that everything is chosen on; a robustness curve goes through
SEVERITIES. Some of them (equalised, uneven, tubes) are like nothing that training draws.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from ml.augmentation import add_noise, crop_share, levels, through_size
from ml.preprocess import jpeg_round_trip

# What a device or an archive burns into the corners of a picture: upper left, upper right, lower left, lower right.
WORDS = ("CHEST AP\n03Y F", "R\nPORTABLE", "ID 0034812\n14:22", "W 4096\nkV 60")

Shift = Callable[[Image.Image, float], Image.Image]

SEVERITIES = (0.5, 1.0, 1.5)
BOX = Image.Resampling.BOX


def shifted(picture: Image.Image, name: str, severity: float = 1.0) -> Image.Image:
    """Give `picture` under the shift called `name`, one of MEASURED."""
    return MEASURED[name](picture, severity)


def coarse(picture: Image.Image, severity: float) -> Image.Image:
    """Lose all detail finer than 96 pixels a side (at severity 1)."""
    side = max(8, round(picture.width * (96 / 224) ** severity))
    return through_size(through_size(picture, side, side), *picture.size)


def cropped(picture: Image.Image, severity: float) -> Image.Image:
    """Keep the middle 70 % of the area (at severity 1)."""
    return through_size(crop_share(picture, 1 - 0.3 * severity, 1.0, 0.5, 0.5), *picture.size)


def recompressed(picture: Image.Image, severity: float) -> Image.Image:
    """Save it as JPEG at quality 25 (at severity 1); half of that for every half severity more."""
    return jpeg_round_trip(picture, max(1, round(25 * 2 ** (2 * (1 - severity)))))


def marked(picture: Image.Image, severity: float) -> Image.Image:
    """Put a black border around and a white marker into the upper left corner, as scanners and cassettes do."""
    framed = Image.new("L", picture.size, 0)
    margin = max(1, round(severity * (picture.width // 20)))
    inner = picture.width - 2 * margin, picture.height - 2 * margin
    framed.paste(through_size(picture, *inner), (margin, margin))
    framed.paste(245, (2 * margin, 2 * margin, 4 * margin, 4 * margin))
    return framed


def equalised(picture: Image.Image, severity: float) -> Image.Image:
    """Go towards a flat histogram, as some devices process their pictures."""
    return Image.blend(picture, ImageOps.equalize(picture), min(1.0, severity / 1.5))


def uneven(picture: Image.Image, severity: float) -> Image.Image:
    """Lighten the lower right and darken the upper left by 35 % (at severity 1), as an off-centre beam does."""
    across, down = np.meshgrid(np.linspace(-1, 1, picture.width), np.linspace(-1, 1, picture.height))
    factor = 1 + 0.35 * severity * (across + down) / 2
    return Image.fromarray(np.clip(np.rint(np.asarray(picture) * factor), 0, 255).astype(np.uint8))


def lettered(picture: Image.Image, severity: float) -> Image.Image:
    """Burn two white lines of text into each corner, 3.5 % of the width high (at severity 1), the same ones always."""
    scale = 4  # drawn larger, so that letters have soft edges, as in a large picture that was squashed
    wide, high = (scale * side for side in picture.size)
    layer = Image.new("L", (wide, high))
    pen, height = ImageDraw.Draw(layer), 0.035 * severity * wide
    font, margin = ImageFont.load_default(max(1.0, height)), 0.02 * wide
    for corner, words in enumerate(WORDS):
        right, lower = corner % 2, corner // 2
        _, _, width, depth = pen.multiline_textbbox((0, 0), words, font=font)
        place = (wide - margin - width if right else margin, high - margin - depth if lower else margin)
        pen.multiline_text(place, words, fill=255, font=font)
    return Image.composite(Image.new("L", picture.size, 255), picture, layer.resize(picture.size, BOX))


def tubes(picture: Image.Image, severity: float) -> Image.Image:
    """Draw four bright lines (at severity 1) across the chest, always the same ones, as leads and tubes lie."""
    drawn = picture.copy()
    pen, rng = ImageDraw.Draw(drawn), np.random.default_rng(0)
    for _ in range(round(4 * severity)):
        ends = rng.uniform(0.1, 0.9, (3, 2)) * picture.size
        pen.line([tuple(end) for end in ends], fill=225, width=max(1, picture.width // 110), joint="curve")
    return drawn


SHIFTS: dict[str, Shift] = {
    "none": lambda picture, severity: picture,
    "darker": lambda picture, severity: levels(picture, offset=-35 * severity),
    "flatter": lambda picture, severity: levels(picture, gain=1 - 0.4 * severity, offset=15 * severity),
    "gamma": lambda picture, severity: levels(picture, gamma=0.6**severity),
    "blurred": lambda picture, severity: picture.filter(ImageFilter.GaussianBlur(1.3 * severity)),
    "sharpened": lambda picture, severity: picture.filter(ImageFilter.UnsharpMask(1.5, round(150 * severity), 0)),
    "noisy": lambda picture, severity: add_noise(picture, 8.0 * severity, np.random.default_rng(0)),
    "coarse": coarse,
    "cropped": cropped,
    "recompressed": recompressed,
    "marked": marked,
    "equalised": equalised,
    "uneven": uneven,
    "tubes": tubes,
}

# What an evaluation measures beside them: the same text always, where the augmentation lettered draws its own.
MEASURED: dict[str, Shift] = {**SHIFTS, "lettered": lettered}
