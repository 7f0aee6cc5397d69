"""Pictures changed at random for training.

Every function takes and gives an 8-bit grayscale PIL picture; sizes may change, the last step of a pipeline squashes.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ml.preprocess import CANONICAL_SIZE, jpeg_round_trip, squash

BILINEAR = Image.Resampling.BILINEAR
Augmentation = Callable[[Image.Image, np.random.Generator], Image.Image]


# --- building blocks: picture → picture ---


def levels(picture: Image.Image, *, gain: float = 1.0, offset: float = 0.0, gamma: float = 1.0) -> Image.Image:
    """Change the grey levels: 255 · (level / 255) ** gamma, times `gain` around the middle, plus `offset`, clipped."""
    table = 255.0 * (np.arange(256) / 255.0) ** gamma
    table = (table - 127.5) * gain + 127.5 + offset
    return picture.point(np.clip(np.rint(table), 0, 255).astype(np.uint8).tolist())


def window(picture: Image.Image, black: float, white: float) -> Image.Image:
    """Squeeze the levels 0..255 linearly into black..white."""
    return picture.point(np.rint(np.linspace(black, white, 256)).astype(np.uint8).tolist())


def add_noise(picture: Image.Image, sigma: float, rng: np.random.Generator) -> Image.Image:
    """Add Gaussian noise of `sigma` grey levels."""
    noisy = np.asarray(picture, np.float32) + rng.normal(0.0, sigma, (picture.height, picture.width))
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def crop_share(picture: Image.Image, area: float, aspect: float, x: float, y: float) -> Image.Image:
    """Cut out `area` (0..1) of the picture at `aspect` (width / height), at the free position (x, y), each 0..1."""
    width = min(picture.width, max(8, round((area * aspect) ** 0.5 * picture.width)))
    height = min(picture.height, max(8, round((area / aspect) ** 0.5 * picture.height)))
    left, top = round(x * (picture.width - width)), round(y * (picture.height - height))
    return picture.crop((left, top, left + width, top + height))


def through_size(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Resample through another size, as an acquisition at that resolution would have: detail finer than it is lost."""
    return picture.resize((width, height), BILINEAR)


def with_levels(picture: Image.Image, mean: float, deviation: float) -> Image.Image:
    """Give the picture `mean` and standard `deviation` in grey levels, before what lies outside 0..255 is clipped."""
    found = np.asarray(picture, np.float32)
    wanted = (found - found.mean()) * (deviation / max(1.0, float(found.std()))) + mean
    return Image.fromarray(np.clip(np.rint(wanted), 0, 255).astype(np.uint8))


def with_gradient(picture: Image.Image, target: float, radius: float, *, axis: int) -> Image.Image:
    """Sharpen or soften until the mean absolute difference of neighbours along `axis` is `target` grey levels.

    What is strengthened (at most fourfold) or weakened is the detail finer than a Gaussian of `radius` pixels. `axis`
    is 0 for neighbours above each other (the vertical gradient), 1 for those side by side.
    """
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    detail = np.asarray(picture, np.float32) - soft
    low, high = 0.0, 4.0
    for _ in range(6):  # halving: the gradient rises with the strength of the detail
        middle = (low + high) / 2
        if np.abs(np.diff(soft + middle * detail, axis=axis)).mean() < target:
            low = middle
        else:
            high = middle
    return Image.fromarray(np.clip(np.rint(soft + high * detail), 0, 255).astype(np.uint8))


def with_borders(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cover some of the four edges by bars up to a ninth of the side, mostly black, as collimators leave them."""
    covered = np.array(picture)
    widest = max(2, picture.width // 9)
    for turn in range(4):
        if rng.random() < 0.5:
            level = 0 if rng.random() < 0.7 else int(rng.integers(0, 256))
            np.rot90(covered, turn)[: int(rng.integers(1, widest + 1))] = level
    return Image.fromarray(covered)


def with_markers(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Put one to three plain rectangles on it, mostly bright, where letters and clips are."""
    marked = picture.copy()
    for _ in range(int(rng.integers(1, 4))):
        width, height = (max(1, round(picture.width * rng.uniform(0.02, 0.16))) for _ in range(2))
        x, y = int(rng.integers(0, picture.width - width)), int(rng.integers(0, picture.height - height))
        if rng.random() < 0.7:  # near the upper or the lower edge
            y = min(y, picture.height - y - height) % max(1, picture.height // 8)
            y = y if rng.random() < 0.5 else picture.height - height - y
        marked.paste(int(rng.integers(150, 256)) if rng.random() < 0.8 else 0, (x, y, x + width, y + height))
    return marked


def with_text(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Burn one to six words into it, white or black, as devices and archives do."""
    written = picture.copy()
    pen = ImageDraw.Draw(written)
    for _ in range(int(rng.integers(1, 7))):
        word = _word(rng, 1, 15)
        font = ImageFont.load_default(float(rng.uniform(0.025, 0.12)) * picture.width)
        x, y = rng.uniform(-0.05, 0.9, 2) * picture.size
        pen.text((x, y), word, fill=int(rng.integers(190, 256)) if rng.random() < 0.8 else 0, font=font)
    return written


def with_captions(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Burn one to three lines of text into one to four corners, as archives put names, dates and sides there."""
    written = picture.copy()
    pen = ImageDraw.Draw(written)
    height = float(rng.uniform(0.015, 0.07)) * picture.width
    font = ImageFont.load_default(max(4.0, height))
    level = int(rng.integers(200, 256)) if rng.random() < 0.85 else 0
    for corner in rng.permutation(4)[: int(rng.integers(1, 5))]:
        lines = "\n".join(_word(rng, 4, 14) for _ in range(int(rng.integers(1, 4))))
        left, top, right, bottom = pen.multiline_textbbox((0, 0), lines, font=font)
        edge = float(rng.uniform(0.0, 0.05)) * picture.width
        x = edge if corner % 2 == 0 else picture.width - edge - (right - left)
        y = edge if corner < 2 else picture.height - edge - (bottom - top)
        pen.multiline_text((x, y), lines, fill=level, font=font, align="left" if corner % 2 == 0 else "right")
    return written


def _word(rng: np.random.Generator, shortest: int, longest: int) -> str:
    letters = list("ABCDEFGHIKLMNOPRSTUVWXYZ0123456789 :.-/")
    return "".join(rng.choice(letters, int(rng.integers(shortest, longest + 1))))


# --- for training ---


def gentle(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A small rotation, crop and change of brightness: the usual augmentation, for the recipe as described."""
    picture = picture.rotate(rng.uniform(-8, 8), BILINEAR)
    picture = crop_share(picture, rng.uniform(0.8, 1.0), rng.uniform(0.9, 1.1), rng.random(), rng.random())
    return levels(picture, gain=rng.uniform(0.9, 1.1), offset=rng.uniform(-12, 12))


def reframed(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Take it at another resolution (each side its own), angle, framing and aspect; back to CANONICAL_SIZE."""
    if rng.random() < 0.8:
        picture = through_size(picture, int(rng.integers(72, 225)), int(rng.integers(72, 225)))
    if rng.random() < 0.5:
        picture = picture.rotate(rng.uniform(-12, 12), BILINEAR)
    aspect = float(np.exp(rng.uniform(np.log(0.7), np.log(1.43))))
    picture = crop_share(picture, rng.uniform(0.35, 1.0), aspect, rng.random(), rng.random())
    return squash(picture, CANONICAL_SIZE)


def robust(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Hide how a picture was taken (size, sharpness, levels, framing), so that the disease is what is left to learn.

    In the data set the sharpness and the levels alone tell the label, because the two groups were exported
    differently. No horizontal flip: the heart is on the left.
    """
    picture = reframed(picture, rng)
    sharpness = rng.random()
    if sharpness < 0.35:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.6)))
    elif sharpness < 0.60:
        picture = picture.filter(ImageFilter.UnsharpMask(rng.uniform(0.8, 2.0), int(rng.uniform(50, 180)), 0))
    picture = levels(picture, gamma=float(np.exp(rng.uniform(-0.5, 0.5))))
    picture = window(picture, rng.uniform(0, 40), rng.uniform(200, 255))
    picture = levels(picture, gain=rng.uniform(0.5, 1.5), offset=rng.uniform(-40, 40))
    picture = add_noise(picture, rng.uniform(0, 6), rng)
    if rng.random() < 0.5:
        picture = jpeg_round_trip(picture, int(rng.integers(35, 96)))
    return picture


def matched(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Draw mean, deviation and sharpness from one distribution for all pictures, instead of changing what they were.

    What a picture had of them is gone, so it can't tell the label any more: the rule of ml.shortcuts, which finds the
    labels of the pictures as they are at a cross-validated AUC of 0.97, falls to 0.71 on these (0.81 on robust ones).
    Borders and markers come on top. Measured at the network's 128 pixels, on all training pictures.
    """
    return _archived(_matched(picture, rng), rng)


def lettered(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """As `matched`, and half of the pictures have text burned into them, in corners or anywhere.

    A network that has only seen plain rectangles takes the fine bright structure of letters for a finding.
    """
    picture = _matched(picture, rng)
    written = rng.random()
    if written < 0.3:
        picture = with_captions(picture, rng)
    elif written < 0.5:
        picture = with_text(picture, rng)
    return _archived(picture, rng)


def _matched(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    picture = reframed(picture, rng)
    picture = levels(picture, gamma=float(np.exp(rng.uniform(-0.5, 0.5))))
    picture = with_levels(picture, rng.uniform(85, 165), rng.uniform(28, 70))
    gradient = float(np.exp(rng.uniform(np.log(1.5), np.log(6.0))))
    picture = with_gradient(picture, gradient, rng.uniform(0.8, 3.0), axis=int(rng.random() < 0.3))
    picture = window(picture, rng.uniform(0, 40), rng.uniform(190, 255))
    if rng.random() < 0.35:
        picture = with_borders(picture, rng)
    if rng.random() < 0.35:
        picture = with_markers(picture, rng)
    return picture


def _archived(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    picture = add_noise(picture, rng.uniform(0, 6), rng)
    if rng.random() < 0.5:
        picture = jpeg_round_trip(picture, int(rng.integers(35, 96)))
    return picture


AUGMENTATIONS: dict[str, Augmentation] = {
    "gentle": gentle,
    "robust": robust,
    "matched": matched,
    "lettered": lettered,
}
