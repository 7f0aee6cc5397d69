"""Pictures that are no upright frontal chest X-ray: of every kind that is promised, and each one of its own."""

import numpy as np
import pytest
from PIL import Image

from ml.dataset import DatasetError
from ml.others import altered, grey, made, read_kinds
from ml.preprocess import canonical
from ml.tests.conftest import draw_xray


@pytest.fixture(scope="module")
def kinds():
    return made()


def test_every_kind_of_the_promise_is_there_and_the_pictures_are_some_eighty(kinds):
    promised = ("photograph", "document", "slice", "noise", "blank")
    assert [word for word in promised if not any(word in kind for kind in kinds)] == []
    assert 70 <= sum(map(len, kinds.values())) <= 90


def test_no_picture_is_there_twice(kinds):
    every = [canonical(picture).tobytes() for kind, found in kinds.items() if "colour" not in kind for picture in found]
    assert len(set(every)) == len(every)


def test_they_are_the_same_ones_each_time(kinds):
    again = made()
    assert list(again) == list(kinds)
    for kind, found in kinds.items():
        assert [picture.tobytes() for picture in again[kind]] == [picture.tobytes() for picture in found]


def test_all_but_the_blank_ones_show_something(kinds):
    for kind, found in kinds.items():
        spreads = [np.ptp(np.asarray(picture.convert("L"))) for picture in found]
        assert max(spreads) == 0 if kind == "blank" else min(spreads) > 60, kind


def test_an_xray_is_inverted_and_turned_every_way():
    picture = canonical(draw_xray(ill=True, seed=3))
    levels = np.asarray(picture)
    found = [np.asarray(change) for (change,) in altered([picture]).values()]
    for expected in (255 - levels, np.rot90(levels), np.rot90(levels, 2), np.rot90(levels, 3)):
        assert any(np.array_equal(expected, each) for each in found)
    assert len(found) == 4


def test_levels_of_any_range_go_from_black_to_white():
    picture = grey(np.linspace(-2000, 3000, 10_000).reshape(100, 100))
    assert picture.getextrema() == (0, 255)
    assert picture.getpixel((99, 49)) in (127, 128)


def test_the_folders_in_a_folder_are_kinds_of_pictures(tmp_path):
    for kind in ("hands", "feet", "empty"):
        (tmp_path / kind).mkdir()
    for name in ("hands/b.PNG", "hands/a.jpg", "feet/c.jpeg"):
        Image.new("L", (9, 9)).save(tmp_path / name)
    (tmp_path / "hands" / "notes.txt").write_text("two hands")
    found = read_kinds(tmp_path)
    assert {kind: [path.name for path in paths] for kind, paths in found.items()} == {
        "feet": ["c.jpeg"],
        "hands": ["a.jpg", "b.PNG"],
    }
    assert list(found) == ["feet", "hands"]


def test_a_folder_without_pictures_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="one folder for each kind"):
        read_kinds(tmp_path)
