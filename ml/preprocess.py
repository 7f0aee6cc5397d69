"""From a picture to the numbers that the network sees; training and serving both come through here.

Pillow and NumPy only, so that the web process and a notebook can use it without TensorFlow.
"""

import io

import numpy as np
from PIL import Image

# Written into every checkpoint; a checkpoint made with other steps is refused instead of answering wrongly.
PREPROCESSING = "squash224-jpeg75-v1"

# The public data set is known in this form: squashed (the aspect is lost) and saved as JPEG. A full-size original
# that skips the JPEG round trip lies far from every training picture in feature space.
CANONICAL_SIZE = 224
JPEG_QUALITY = 75

# Pillow's own conversion of these to 8 bits clips at 255, which makes a white square of an X-ray. Their full range is
# no guide either: 16-bit files mostly hold 10 to 12 bits. Half a per cent at each end leaves room for burnt-in markers.
DEEP_MODES = ("I;16", "I", "F")
DEEP_WINDOW = (0.5, 99.5)
WINDOW_GRID = 512

# In the info of a picture of mode I;16: its 0 and 65535 are black and white of a screen already, because the window
# that its DICOM file names was applied. A text of its PNG file, so that it travels with the levels.
DISPLAY_LEVELS = ("levels", "display")


def eight_bit(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Give `picture` (any mode and shape) as 8-bit grayscale of `size` (width, height), aspect ignored.

    8-bit pictures keep their levels; colour becomes ITU-R 601 luma. Deeper ones (modes I;16, I, F) are windowed: their
    own percentiles DEEP_WINDOW map linearly to 0 and 255, what lies outside is clipped. Not so those with
    DISPLAY_LEVELS in their info: percentiles would stretch what a radiologist's window shows, so all 16 bits map to 8.
    """
    if picture.mode == "I;16B":  # big-endian: Pillow can neither resize nor convert it rightly
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16))
    key, value = DISPLAY_LEVELS
    if picture.mode == "I;16" and picture.info.get(key) == value:
        levels = np.asarray(picture.resize(size, Image.Resampling.BILINEAR), np.uint32)
        return Image.fromarray(((levels + 128) // 257).astype(np.uint8))  # 65535 = 255 × 257
    if picture.mode in DEEP_MODES:
        return _windowed(picture, size)
    gray = picture if picture.mode == "L" else picture.convert("L")
    return gray if gray.size == size else gray.resize(size, Image.Resampling.BILINEAR)


def shown_window(picture: Image.Image) -> tuple[float, float]:
    """Give the levels that eight_bit maps to 0 and to 255 in a deep `picture` (modes I;16, I, F)."""
    key, value = DISPLAY_LEVELS
    if picture.mode == "I;16" and picture.info.get(key) == value:
        return 0.0, 65535.0
    # A grid of pixels tells the percentiles as well as all of them, and both sizes of a picture get the same window.
    grid = picture.resize([min(side, WINDOW_GRID) for side in picture.size], Image.Resampling.NEAREST)
    low, high = np.percentile(np.asarray(grid), DEEP_WINDOW)
    if high <= low:
        # Nearly one level: the picture's own range is the window, and a flat picture becomes black.
        low, high = picture.getextrema()
    return float(low), float(high)


def _windowed(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    low, high = shown_window(picture)
    levels = np.asarray(picture.resize(size, Image.Resampling.BILINEAR), dtype=np.float64)
    shares = (levels - low) / max(high - low, np.finfo(np.float64).tiny)
    return Image.fromarray(np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8))


def squash(picture: Image.Image, size: int) -> Image.Image:
    """Give `picture` (any mode and shape) as an 8-bit grayscale square, `size` × `size` pixels, aspect ignored."""
    return eight_bit(picture, (size, size))


def as_jpeg(picture: Image.Image, quality: int = JPEG_QUALITY) -> bytes:
    """Give the file of the 8-bit grayscale `picture` as JPEG at `quality` (1..95)."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def jpeg_round_trip(picture: Image.Image, quality: int = JPEG_QUALITY) -> Image.Image:
    """Give the 8-bit grayscale `picture` as it looks after it was saved as JPEG at `quality` (1..95)."""
    with Image.open(io.BytesIO(as_jpeg(picture, quality)), formats=["JPEG"]) as decoded:
        decoded.load()
        return decoded


def canonical_jpeg(picture: Image.Image) -> bytes:
    """Give the JPEG file that `canonical` decodes: all that a model needs of `picture`, in a few KB."""
    return as_jpeg(squash(picture, CANONICAL_SIZE))


def canonical(picture: Image.Image) -> Image.Image:
    """Give `picture` in the form of the data set: 224 × 224, 8-bit grayscale, after one JPEG round trip."""
    return jpeg_round_trip(squash(picture, CANONICAL_SIZE))


def to_array(picture: Image.Image, size: int) -> np.ndarray:
    """Give `picture` as (size, size, 1) float32 grey levels, 0..255.

    The network itself makes three channels of it and subtracts the ImageNet means, so that the normalisation travels
    with the weights.
    """
    return np.asarray(squash(picture, size), dtype=np.float32)[..., np.newaxis]


def model_input(picture: Image.Image, size: int) -> np.ndarray:
    """Give any picture as the network's input: (size, size, 1) float32, 0..255."""
    return to_array(canonical(picture), size)
