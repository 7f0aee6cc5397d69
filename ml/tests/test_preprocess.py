"""What the network sees: exact sizes, ranges and levels, whatever was given."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from ml.preprocess import (
    CANONICAL_SIZE,
    DISPLAY_LEVELS,
    canonical,
    eight_bit,
    jpeg_round_trip,
    model_input,
    squash,
    to_array,
)

WIDTH, HEIGHT = 900, 700


def smooth_levels(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Give (height, width) float64 levels 0..1 with soft shapes and fine noise, as a film has them."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    soft = 0.5 + 0.3 * np.sin(7 * x) * np.cos(5 * y) + 0.15 * np.sin(40 * y)
    return np.clip(soft + np.random.default_rng(3).normal(0, 0.03, soft.shape), 0, 1)


def film(bits: int = 8) -> Image.Image:
    levels = np.rint((2**bits - 1) * smooth_levels())
    return Image.fromarray(levels.astype(np.uint8 if bits == 8 else np.uint16))


def saved_and_opened(picture: Image.Image, file_format: str, **options) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return Image.open(buffer)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16"])
@pytest.mark.parametrize("size", [128, 224])
def test_any_picture_becomes_one_square_of_float_levels(mode, size):
    picture = film(16) if mode == "I;16" else film().convert(mode)
    array = model_input(picture, size)
    assert array.shape == (size, size, 1)
    assert array.dtype == np.float32
    assert 0 <= array.min() < 60
    assert 195 < array.max() <= 255


def test_8_bit_levels_are_resized_by_pillow_bilinear_and_nothing_else():
    picture = film()
    expected = picture.resize((CANONICAL_SIZE, CANONICAL_SIZE), Image.Resampling.BILINEAR)
    assert np.array_equal(squash(picture, CANONICAL_SIZE), expected)
    assert np.array_equal(to_array(picture, CANONICAL_SIZE)[..., 0], np.asarray(expected, np.float32))


def test_an_8_bit_square_of_the_right_size_is_given_back_as_it_is():
    square = film().resize((224, 224))
    assert squash(square, 224) is square


def test_a_dim_8_bit_picture_stays_dim():
    dim = film().point(lambda level: level // 4)
    assert np.asarray(squash(dim, 224)).max() <= 63


def test_the_jpeg_round_trip_changes_pixels_but_little():
    square = squash(film(), CANONICAL_SIZE)
    changed = np.abs(np.asarray(jpeg_round_trip(square), float) - np.asarray(square, float))
    assert changed.max() > 0
    assert changed.mean() < 3
    assert jpeg_round_trip(square).mode == "L"


def test_a_full_size_picture_and_its_ready_squashed_copy_give_nearly_the_same_input():
    full = saved_and_opened(film(), "PNG")
    ready = saved_and_opened(film().resize((224, 224), Image.Resampling.BILINEAR), "JPEG", quality=75)
    difference = np.abs(model_input(full, 224) - to_array(ready, 224))
    assert difference.max() == 0, "a copy in the form of the data set must be what serving makes of the original"
    twice = np.abs(model_input(full, 224) - model_input(ready, 224))
    assert twice.mean() < 1.5


def test_the_same_picture_gives_the_same_input():
    assert np.array_equal(model_input(film(16), 224), model_input(film(16), 224))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_a_16_bit_file_keeps_its_contrast_however_few_bits_it_uses(bits, tmp_path: Path):
    path = tmp_path / "deep.png"
    film(bits).save(path)
    with Image.open(path) as deep:
        assert deep.mode == "I;16"
        seen = model_input(deep, 224)[..., 0]
    expected = model_input(film(), 224)[..., 0]
    assert np.corrcoef(seen.ravel(), expected.ravel())[0, 1] > 0.995
    assert np.abs(seen - expected).mean() < 15
    assert len(np.unique(seen)) > 150


def test_the_number_of_bits_a_file_uses_makes_no_difference():
    ten, sixteen = (np.asarray(squash(film(bits), 224), float) for bits in (10, 16))
    assert np.abs(ten - sixteen).max() <= 2


def test_a_burnt_in_marker_does_not_darken_a_16_bit_picture():
    plain = film(12)
    marked = plain.copy()
    marked.paste(65535, (10, 10, 40, 40))
    difference = np.abs(np.asarray(squash(plain, 224), float) - np.asarray(squash(marked, 224), float))
    assert np.median(difference) <= 3


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_levels_get_the_same_window_as_16_bit_ones(mode):
    levels = np.asarray(film(12))
    deep = Image.fromarray(levels.astype(np.int32 if mode == "I" else np.float32) * 16)
    assert deep.mode == mode
    difference = np.asarray(squash(deep, 224), float) - np.asarray(squash(film(12), 224), float)
    assert np.abs(difference).max() <= 1


def test_big_endian_levels_are_seen_like_little_endian_ones():
    levels = np.asarray(film(12))
    big = Image.frombytes("I;16B", (WIDTH, HEIGHT), levels.astype(">u2").tobytes())
    assert np.array_equal(squash(big, 224), squash(film(12), 224))


@pytest.mark.parametrize("level", [0, 900, 65535])
def test_a_flat_16_bit_picture_is_flat_and_black(level):
    flat = Image.fromarray(np.full((90, 90), level, np.uint16))
    assert np.unique(np.asarray(squash(flat, 224))).tolist() == [0]


def test_a_nearly_flat_16_bit_picture_uses_its_own_range():
    levels = np.full((400, 400), 500, np.uint16)
    levels[100:120, 100:120] = 900
    seen = np.asarray(eight_bit(Image.fromarray(levels), (400, 400)))
    assert (seen[0, 0], seen[110, 110]) == (0, 255)


def test_every_size_of_a_16_bit_picture_shows_the_same_levels():
    small, large = (np.asarray(eight_bit(film(12), size), float) for size in ((90, 70), (450, 350)))
    assert abs(np.median(small) - np.median(large)) <= 3


def test_canonical_is_the_form_of_the_data_set():
    form = canonical(film(16))
    assert (form.mode, form.size) == ("L", (CANONICAL_SIZE, CANONICAL_SIZE))


def test_a_deep_picture_that_is_windowed_for_display_is_shown_as_it_is(tmp_path):
    levels = np.linspace(20_000, 30_000, 64 * 64).reshape(64, 64).astype(np.uint16)
    text = PngImagePlugin.PngInfo()
    text.add_text(*DISPLAY_LEVELS)
    Image.fromarray(levels).save(tmp_path / "windowed.png", pnginfo=text)
    with Image.open(tmp_path / "windowed.png") as windowed:
        shown = np.asarray(eight_bit(windowed, (64, 64)))
    assert np.array_equal(shown, np.rint(levels / 257))
    stretched = np.asarray(eight_bit(Image.fromarray(levels), (64, 64)))
    assert (int(stretched.min()), int(stretched.max())) == (0, 255)
