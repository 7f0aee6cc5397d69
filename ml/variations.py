"""Chest X-rays as other hospitals might have taken them, at random: what ml.refusal is fitted on."""

import itertools
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from ml.augmentation import robust, through_size, with_borders, with_markers, with_text


def varied(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Vary a canonical picture far beyond its hospital, as long as it stays an upright frontal chest X-ray.

    What lies on or in a patient (leads, tubes, clothing, implants) and burnt-in text are drawn anew each time.
    """
    if rng.random() < 0.3:  # the heart may lie on either side: sides are mistaken, and organs do lie mirrored
        picture = ImageOps.mirror(picture)
    for chance, change in BEFORE_ROBUST:
        if rng.random() < chance:
            picture = change(picture, rng)
    picture = robust(picture, rng)
    for chance, change in AFTER_ROBUST:
        if rng.random() < chance:
            picture = change(picture, rng)
    return picture


def flattened(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Go towards a flat histogram, as many devices do."""
    return Image.blend(picture, ImageOps.equalize(picture), rng.uniform(0.3, 1.0))


def emphasised(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Strengthen all that is finer than a rib or than a lung, as the processing of digital devices does."""
    radius = float(np.exp(rng.uniform(np.log(3), np.log(25))))
    return picture.filter(ImageFilter.UnsharpMask(radius, int(rng.uniform(40, 180)), 0))


def with_wires(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Lay one to eight leads, tubes or seams over it, some ending in an electrode; what is denser looks brighter."""

    def draw(pen: ImageDraw.ImageDraw, side: int) -> None:
        for _ in range(int(rng.integers(1, 9))):
            points = side * rng.uniform(-0.1, 1.1, (int(rng.integers(2, 5)), 2))
            width, level = side * rng.uniform(0.003, 0.02), int(rng.integers(60, 256))
            pen.line(_bent(points), fill=level, width=max(1, round(width)), joint="curve")
            if rng.random() < 0.4:
                pen.circle(tuple(points[0]), side * rng.uniform(0.01, 0.03), fill=level)

    return _denser(picture, draw, rng.uniform(0.3, 1.0))


def with_devices(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Put one to eight small dense things on it, boxes, rings and bars: pacemakers, clips, buttons, screws."""

    def draw(pen: ImageDraw.ImageDraw, side: int) -> None:
        for _ in range(int(rng.integers(1, 9))):
            largest = 0.15 if rng.random() < 0.25 else 0.05
            x, y = side * rng.uniform(0.05, 0.95, 2)
            half = side * rng.uniform(0.01, largest, 2) / 2
            box = (x - half[0], y - half[1], x + half[0], y + half[1])
            level, shape = int(rng.integers(120, 256)), int(rng.integers(3))
            if shape == 0:
                pen.rounded_rectangle(box, radius=0.4 * half.min(), fill=level)
            elif shape == 1:
                pen.ellipse(box, fill=level)
            else:
                pen.ellipse(box, outline=level, width=max(1, round(0.008 * side)))

    return _denser(picture, draw, rng.uniform(0.5, 1.0))


def framed(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Lay it on a larger plain ground, mostly black, as scanners and viewers do; the size stays."""
    # Now and then far from all four edges, as an archive pads a tall picture to a wide one.
    widest = 0.15 if rng.random() < 0.7 else 0.25
    left, top, right, bottom = (round(rng.uniform(0, widest) * picture.width) for _ in range(4))
    ground = Image.new("L", picture.size, 0 if rng.random() < 0.7 else int(rng.integers(0, 256)))
    ground.paste(through_size(picture, picture.width - left - right, picture.height - top - bottom), (left, top))
    return ground


def _denser(picture: Image.Image, draw: Callable[[ImageDraw.ImageDraw, int], None], strength: float) -> Image.Image:
    """Brighten `picture` where `draw` draws, by `strength` (0..1) of what is missing to white."""
    side = 2 * max(picture.size)  # drawn at twice the size, so that lines have soft edges
    layer = Image.new("L", (side, side))
    draw(ImageDraw.Draw(layer), side)
    layer = layer.resize(picture.size, Image.Resampling.BOX)
    return ImageChops.screen(picture, layer.point([round(strength * level) for level in range(256)]))


def _bent(points: np.ndarray) -> list[tuple[float, float]]:
    """Give a smooth curve from the first of (n, 2) points to the last, which the others draw towards them (Bézier)."""
    share = np.linspace(0, 1, 24)[:, np.newaxis]
    curves = list(points)
    while len(curves) > 1:
        curves = [(1 - share) * one + share * other for one, other in itertools.pairwise(curves)]
    return [(float(x), float(y)) for x, y in curves[0]]


Change = Callable[[Image.Image, np.random.Generator], Image.Image]

# What happens in or to the patient and in the device comes first, then the variations of training, then the archive.
BEFORE_ROBUST: tuple[tuple[float, Change], ...] = (
    (0.5, with_wires),
    (0.25, with_devices),
    (0.25, flattened),
    (0.3, emphasised),
)
AFTER_ROBUST: tuple[tuple[float, Change], ...] = (
    (0.4, framed),
    (0.4, with_borders),
    (0.3, with_markers),
    (0.4, with_text),
)

ALTERATIONS: tuple[Callable[[Image.Image], Image.Image], ...] = (
    ImageOps.invert,
    lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    ImageOps.invert,
    lambda picture: picture.transpose(Image.Transpose.ROTATE_180),
    ImageOps.invert,
    lambda picture: picture.transpose(Image.Transpose.ROTATE_270),
)
