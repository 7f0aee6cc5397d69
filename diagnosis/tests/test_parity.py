"""The network sees the same numbers whether a file is uploaded to the site or measured by `python -m ml.evaluate`."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from diagnosis import intake
from diagnosis.tests.pictures import chest_like, chest_like_16_bit, encoded
from ml.evaluate import open_picture
from ml.preprocess import CANONICAL_SIZE, model_input

LIMITS = intake.Limits(max_bytes=25 * 2**20, max_pixels=40_000_000, min_side=64)


def turned() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encoded(chest_like(700, 500, seed=5), "JPEG", exif=exif)


FILES = {
    "an original of full size": encoded(chest_like(2700, 2200, seed=1), "JPEG", quality=92),
    "a picture of the data set": encoded(chest_like(224, 224, seed=2), "JPEG", quality=75),
    "a colour JPEG": encoded(chest_like(640, 480, seed=3).convert("RGB"), "JPEG"),
    "a CMYK JPEG": encoded(chest_like(640, 480, seed=4).convert("CMYK"), "JPEG"),
    "a turned JPEG": turned(),
    "a 16-bit PNG": encoded(chest_like_16_bit(640, 480), "PNG"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [128, CANONICAL_SIZE])
def test_an_upload_and_an_evaluation_give_the_network_the_same_numbers(name, size, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(FILES[name])

    stored = intake.clean(io.BytesIO(FILES[name]), limits=LIMITS).png
    with Image.open(io.BytesIO(stored)) as picture:
        served = model_input(picture, size)

    np.testing.assert_array_equal(served, model_input(open_picture(path), size))
    assert served.std() > 10, "an empty picture would prove nothing"
