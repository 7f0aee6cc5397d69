"""What is said of a poor picture, and what counts as colour."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from sklearn.datasets import load_sample_image

from diagnosis.tests.pictures import chest_like, chest_like_16_bit
from ml.augmentation import levels
from ml.quality import QualityIssue, is_colour, quality_issues


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I;16B", "I", "F"])
def test_a_black_picture_of_any_mode_is_clipped_and_flat(mode):
    assert quality_issues(Image.new(mode, (300, 300))) == [QualityIssue.CLIPPED, QualityIssue.LOW_CONTRAST]


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1)])
def test_a_picture_of_one_pixel_or_line_is_told_to_be_small(size):
    assert QualityIssue.TOO_SMALL in quality_issues(Image.new("L", size, 90))


@pytest.mark.parametrize(
    "picture",
    [
        chest_like(),
        chest_like().convert("RGB"),
        chest_like_16_bit(),
        chest_like_16_bit(bits=16),
        Image.fromarray(np.asarray(chest_like(), np.float32) / 255),
        chest_like(1200, 224),
    ],
    ids=["8 bits", "RGB", "12 bits", "16 bits", "float 0..1", "wide"],
)
def test_a_good_picture_has_no_issue(picture):
    assert quality_issues(picture) == []


def test_fewer_pixels_than_the_network_looks_at_are_too_small():
    assert quality_issues(chest_like(900, 223)) == [QualityIssue.TOO_SMALL]


@pytest.mark.parametrize("offset", [120, -170])
def test_over_and_underexposed_pictures_are_clipped(offset):
    assert QualityIssue.CLIPPED in quality_issues(levels(chest_like(), offset=offset))


def test_16_bit_levels_that_were_cut_off_are_clipped():
    deep = np.asarray(chest_like_16_bit())

    assert quality_issues(Image.fromarray(np.minimum(deep, np.percentile(deep, 60).astype(np.uint16)))) == [
        QualityIssue.CLIPPED
    ]


def test_a_black_border_is_not_taken_for_clipping():
    assert quality_issues(ImageOps.expand(chest_like(), border=300, fill=0)) == []


def test_a_border_does_not_lend_its_contrast_to_a_flat_picture():
    flat = ImageOps.expand(levels(chest_like(), gain=0.1), border=100, fill=0)

    assert quality_issues(flat) == [QualityIssue.LOW_CONTRAST]


def test_a_16_bit_picture_of_few_levels_has_no_contrast():
    assert QualityIssue.LOW_CONTRAST in quality_issues(chest_like_16_bit(bits=5))


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_a_photograph_has_colours(name, mode):
    assert is_colour(Image.fromarray(load_sample_image(name)).convert(mode))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F"])
def test_a_grey_picture_in_any_mode_has_none(mode):
    assert not is_colour(chest_like().convert(mode))


def test_a_deep_grey_picture_has_none():
    assert not is_colour(chest_like_16_bit())


@pytest.mark.parametrize("colours", [("#05081e", "#bed2ff"), ("#140a00", "#ffebbe")], ids=["blue base", "sepia"])
def test_a_scan_of_tinted_film_has_none(colours):
    assert not is_colour(ImageOps.colorize(chest_like(), *colours))


def test_noise_in_the_colour_channels_makes_none():
    grey = np.asarray(chest_like().convert("RGB"), float)
    noisy = grey + np.random.default_rng(0).normal(0, 8, grey.shape)

    assert not is_colour(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)))


def test_a_small_coloured_marker_makes_none_and_a_large_one_does():
    def marked(side: int) -> Image.Image:
        picture = chest_like(400, 400).convert("RGB")
        ImageDraw.Draw(picture).rectangle((10, 10, 10 + side, 10 + side), fill="red")
        return picture

    assert not is_colour(marked(40))
    assert is_colour(marked(160))


def test_grey_levels_shown_as_a_rainbow_have_colours():
    rainbow = chest_like().convert("RGB").point([*range(256), *reversed(range(256)), *[128] * 256])

    assert is_colour(rainbow)
