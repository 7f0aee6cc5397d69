"""A picture through a window of the reader's choice: exact levels from all stored bits, for those who may see it."""

import io

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.urls import reverse
from PIL import Image, PngImagePlugin

from diagnosis.models import Scan
from diagnosis.tests.factories import HEIGHT, WIDTH, scan_of
from diagnosis.tests.pictures import chest_like_16_bit, encoded
from ml.preprocess import DISPLAY_LEVELS, eight_bit

pytestmark = pytest.mark.django_db


def scan_with(owner, picture: Image.Image, **options) -> Scan:
    scan = scan_of(owner)
    scan.picture.save("", ContentFile(encoded(picture, "PNG", **options)))
    return scan


@pytest.fixture
def deep(alice) -> Scan:
    """Holds each fourth level of 16 bits, from 0 to 65532."""
    return scan_with(alice, Image.fromarray(np.arange(0, 65536, 4, dtype=np.uint16).reshape(128, 128)))


def picture_url(scan: Scan) -> str:
    return reverse("diagnosis:scan_picture", args=[scan.pk])


def levels_url(scan: Scan) -> str:
    return reverse("diagnosis:scan_levels", args=[scan.pk])


def shown(browser, scan: Scan, **window) -> np.ndarray:
    response = browser.get(picture_url(scan), window)
    assert response.status_code == 200
    picture = Image.open(io.BytesIO(response.getvalue()))
    assert (picture.format, picture.mode) == ("PNG", "L")
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize(
    "window",
    [
        {"center": 100},
        {"width": 100},
        {"center": "", "width": ""},
        {"center": "much", "width": 100},
        {"center": "nan", "width": 100},
        {"center": 100, "width": "inf"},
        {"center": -1, "width": 100},
        {"center": 65536, "width": 100},
        {"center": 100, "width": 0},
        {"center": 100, "width": -5},
        {"center": 100, "width": 65536},
        {"center": 100, "width": "1e999"},
    ],
)
def test_a_window_that_is_none_is_refused_with_a_sentence(browser, deep, window):
    response = browser.get(picture_url(deep), window)
    assert response.status_code == 400
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content.decode() == "center has to be a number from 0 to 65535, and width one from 1 to 65535."


def test_of_8_bits_a_window_ends_at_255(browser, alice):
    response = browser.get(picture_url(scan_of(alice)), {"center": 256, "width": 10})
    assert response.status_code == 400
    assert "from 0 to 255" in response.content.decode()


def test_strangers_find_neither_the_window_nor_the_levels(client, bob, deep):
    assert client.get(levels_url(deep)).status_code == 302
    client.force_login(bob)
    assert client.get(picture_url(deep), {"center": 100, "width": 50}).status_code == 404
    assert client.get(picture_url(deep), {"center": "nonsense"}).status_code == 404
    assert client.get(levels_url(deep)).status_code == 404


def test_staff_who_may_see_scans_find_both(client, rita, deep):
    client.force_login(rita)
    assert client.get(picture_url(deep), {"center": 100, "width": 50}).status_code == 200
    assert client.get(levels_url(deep)).status_code == 200


def test_the_window_spreads_the_stored_levels_from_black_to_white(browser, deep):
    levels = shown(browser, deep, center=30_000, width=510).ravel()

    of = {stored: levels[stored // 4] for stored in (0, 29_744, 29_748, 29_852, 30_000, 30_252, 30_256, 65_532)}
    # Two stored levels are one of the screen: (stored - 29745) / 2, and a half to the even one.
    assert of == {0: 0, 29_744: 0, 29_748: 2, 29_852: 54, 30_000: 128, 30_252: 254, 30_256: 255, 65_532: 255}
    assert len(set(levels)) > 120, "eight bits of the whole range would hold three of them"


def test_a_width_of_1_is_a_threshold(browser, deep):
    levels = shown(browser, deep, center=30_002, width=1).ravel()
    assert set(levels[: 30_002 // 4 + 1]) == {0}
    assert set(levels[30_002 // 4 + 1 :]) == {255}


def test_a_window_of_fractions_is_taken_as_it_is(browser, deep):
    levels = shown(browser, deep, center=4.5, width=10)
    assert list(levels[0, :3]) == [round(255 * 0.05), round(255 * 0.45), round(255 * 0.85)]


def test_8_bits_are_windowed_too(browser, alice):
    scan = scan_with(alice, Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)))
    levels = shown(browser, scan, center=100, width=51).ravel()
    assert [levels[stored] for stored in (74, 75, 100, 125, 126)] == [0, 2, 128, 252, 255]


def test_the_levels_tell_the_window_that_shows_what_the_model_sees(browser, alice):
    picture = chest_like_16_bit(WIDTH, HEIGHT, bits=12)
    scan = scan_with(alice, picture)

    levels = browser.get(levels_url(scan)).json()

    low, high = levels["black_from"], levels["white_from"]
    assert (levels["white"], levels["lowest"], levels["highest"]) == (65535, *picture.getextrema())
    usual = shown(browser, scan, center=(low + high) / 2, width=high - low)
    assert np.array_equal(usual, shown(browser, scan))
    assert np.array_equal(usual, np.asarray(eight_bit(picture, picture.size)))


def test_levels_that_are_meant_for_a_screen_are_shown_from_end_to_end(browser, alice):
    text = PngImagePlugin.PngInfo()
    text.add_text(*DISPLAY_LEVELS)
    scan = scan_with(alice, chest_like_16_bit(WIDTH, HEIGHT, bits=15), pnginfo=text)
    levels = browser.get(levels_url(scan)).json()
    assert (levels["black_from"], levels["white_from"]) == (0, 65535)
    assert np.array_equal(shown(browser, scan), shown(browser, scan, center=32767.5, width=65535))


def test_the_levels_of_8_bits_are_told_without_a_look_at_a_pixel(browser, alice, monkeypatch):
    scan = scan_of(alice)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda picture: pytest.fail("it is decoded"))
    told = browser.get(levels_url(scan)).json()
    assert told == {"white": 255, "lowest": 0, "highest": 255, "black_from": 0, "white_from": 255}


def test_both_are_private_and_kept_by_the_reader_s_browser_for_an_hour(browser, deep):
    for response in (browser.get(picture_url(deep), {"center": 100, "width": 50}), browser.get(levels_url(deep))):
        assert "private" in response["Cache-Control"]
        assert "max-age=3600" in response["Cache-Control"]
