"""Pictures changed at random for training, and in fixed ways for the stress validation.

Every function takes and gives an 8-bit grayscale PIL picture; sizes may change, the last step of a pipeline squashes.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

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


# --- for training ---


def gentle(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A small rotation, crop and change of brightness: the usual augmentation, for the recipe as described."""
    picture = picture.rotate(rng.uniform(-8, 8), BILINEAR)
    picture = crop_share(picture, rng.uniform(0.8, 1.0), rng.uniform(0.9, 1.1), rng.random(), rng.random())
    return levels(picture, gain=rng.uniform(0.9, 1.1), offset=rng.uniform(-12, 12))


def robust(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Hide how a picture was taken (size, sharpness, levels, framing), so that the disease is what is left to learn.

    In the data set the sharpness and the levels alone tell the label, because the two groups were exported
    differently. No horizontal flip: the heart is on the left.
    """
    if rng.random() < 0.8:
        picture = through_size(picture, int(rng.integers(72, 225)), int(rng.integers(72, 225)))
    if rng.random() < 0.5:
        picture = picture.rotate(rng.uniform(-12, 12), BILINEAR)
    aspect = float(np.exp(rng.uniform(np.log(0.7), np.log(1.43))))
    picture = crop_share(picture, rng.uniform(0.35, 1.0), aspect, rng.random(), rng.random())
    picture = squash(picture, CANONICAL_SIZE)
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


AUGMENTATIONS: dict[str, Augmentation] = {"gentle": gentle, "robust": robust}


# --- the stress validation: fixed shifts of the held-out pictures ---


def marked(picture: Image.Image) -> Image.Image:
    """Put a white marker into the upper left corner and a black border around, as scanners and cassettes do."""
    framed = Image.new("L", picture.size, 0)
    margin = max(1, picture.width // 20)
    framed.paste(picture.resize((picture.width - 2 * margin, picture.height - 2 * margin), BILINEAR), (margin, margin))
    framed.paste(245, (2 * margin, 2 * margin, 4 * margin, 4 * margin))
    return framed


SHIFTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "none": lambda picture: picture,
    "darker": lambda picture: levels(picture, offset=-35),
    "flatter": lambda picture: levels(picture, gain=0.6, offset=15),
    "gamma": lambda picture: levels(picture, gamma=0.6),
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(1.3)),
    "sharpened": lambda picture: picture.filter(ImageFilter.UnsharpMask(1.5, 150, 0)),
    "noisy": lambda picture: add_noise(picture, 8.0, np.random.default_rng(0)),
    "coarse": lambda picture: squash(through_size(picture, 96, 96), CANONICAL_SIZE),
    "cropped": lambda picture: squash(crop_share(picture, 0.7, 1.0, 0.5, 0.5), CANONICAL_SIZE),
    "recompressed": lambda picture: jpeg_round_trip(picture, 25),
    "marked": marked,
}
