"""The shifts of the stress validation: fixed, gradual, the picture's size kept."""

import numpy as np
import pytest
from PIL import Image

from ml.augmentation import add_noise
from ml.preprocess import CANONICAL_SIZE
from ml.shifts import MEASURED, SEVERITIES, SHIFTS, shifted
from ml.tests.conftest import draw_xray


@pytest.fixture
def picture() -> Image.Image:
    """A drawn chest with the grain of a real one."""
    drawn = draw_xray(ill=False, size=(CANONICAL_SIZE, CANONICAL_SIZE))
    return add_noise(drawn, 5.0, np.random.default_rng(0))


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).mean())


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", MEASURED)
def test_a_shift_is_fixed_keeps_size_and_mode_and_changes_the_picture(name, severity, picture):
    changed = shifted(picture, name, severity)
    assert (changed.size, changed.mode) == (picture.size, "L")
    assert changed.tobytes() == shifted(picture, name, severity).tobytes()
    assert (changed.tobytes() == picture.tobytes()) == (name == "none")


@pytest.mark.parametrize("name", [name for name in MEASURED if name != "none"])
def test_a_higher_severity_goes_further_from_the_picture(name, picture):
    away = [distance(picture, shifted(picture, name, severity)) for severity in SEVERITIES]
    assert away[0] < away[1] < away[2]


def test_a_marker_and_a_border_are_put_on(picture):
    changed = np.asarray(shifted(picture, "marked"))
    assert changed[:8].max() == 0
    assert (changed[24:42, 24:42] == 245).all()


def test_uneven_light_leaves_the_middle_and_darkens_one_corner():
    grey = Image.new("L", (101, 101), 100)
    changed = np.asarray(shifted(grey, "uneven"))
    assert (changed[0, 0], changed[50, 50], changed[-1, -1]) == (65, 100, 135)


def test_letters_stand_in_the_corners_alone_and_nothing_is_chosen_under_them(picture):
    changed = np.asarray(shifted(picture, "lettered")) != np.asarray(picture)
    third = CANONICAL_SIZE // 3
    for rows in (changed[:third], changed[-third:]):
        assert rows[:, :third].any()
        assert rows[:, -third:].any()
    assert not changed[third:-third].any()
    assert "lettered" not in SHIFTS
