"""Synthetic pictures for tests: they look a little like a chest X-ray and come from no patient."""

import io

import numpy as np
from PIL import Image


def chest_levels(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Give a drawn chest as (height, width) float64, 0..1: dark lungs, bright spine, ribs, noise."""
    y, x = np.mgrid[0:height, 0:width]
    x, y = x / max(width - 1, 1), y / max(height - 1, 1)
    levels = 0.62 - 0.25 * np.abs(x - 0.5) + 0.08 * y
    for centre in (0.3, 0.7):
        lung = ((x - centre) / 0.15) ** 2 + ((y - 0.47) / 0.34) ** 2
        levels -= 0.38 / (1 + np.exp(12 * (lung - 1)))
    levels += 0.22 * np.exp(-(((x - 0.5) / 0.05) ** 2))
    levels += 0.05 * np.sin(2 * np.pi * (9 * y + 3 * (x - 0.5) ** 2)) * (np.abs(x - 0.5) > 0.07)
    levels += np.random.default_rng(seed).normal(0, 0.02, levels.shape)
    return np.clip(levels, 0, 1)


def chest_like(width: int = 320, height: int = 260, seed: int = 0) -> Image.Image:
    """Give a drawn chest as an 8-bit grayscale picture; another `seed` is another picture."""
    return Image.fromarray(np.rint(255 * chest_levels(width, height, seed)).astype(np.uint8))


def chest_like_16_bit(width: int = 320, height: int = 260, seed: int = 0, bits: int = 12) -> Image.Image:
    """Give a drawn chest as a 16-bit picture (mode "I;16") that uses only the lowest `bits` bits."""
    return Image.fromarray(np.rint((2**bits - 1) * chest_levels(width, height, seed)).astype(np.uint16))


def drawn_heatmap(side: int = 32) -> Image.Image:
    """Give a heatmap to lay over a picture: red, opaque in one spot and clear elsewhere."""
    y, x = np.mgrid[0:side, 0:side] / (side - 1)
    heat = np.exp(-(((x - 0.3) / 0.2) ** 2 + ((y - 0.6) / 0.2) ** 2))
    channels = np.stack([np.full_like(heat, 255), 40 + 160 * heat, 0 * heat, 255 * heat], axis=-1)
    return Image.fromarray(np.rint(channels).astype(np.uint8))


def encoded(picture: Image.Image, file_format: str = "JPEG", **options) -> bytes:
    """Give `picture` as a file of `file_format`, as Pillow writes it with `options`."""
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def colourful(width: int = 320, height: int = 260) -> Image.Image:
    """Give a picture that is plainly in colour: all hues from left to right, from dark to bright downwards."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (255 * x / width, np.full((height, width), 200), 40 + 200 * y / height)
    hsv = Image.merge("HSV", [Image.fromarray(np.rint(channel).astype(np.uint8)) for channel in channels])
    return hsv.convert("RGB")
