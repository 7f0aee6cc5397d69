"""The viewer in a real browser: what it does to the pixels and the heatmap that a person sees."""

import io

import numpy as np
import pytest
from django.conf import settings as site_settings
from django.core.files.base import ContentFile
from django.urls import reverse
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from diagnosis.levels import through_window
from diagnosis.models import Scan
from diagnosis.states import State
from diagnosis.tests.factories import model_version_of, prediction_at, scan_of
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tests.servers import chromium_program, wait_for

pytestmark = [
    pytest.mark.browser,
    # The browser's driver leaves its pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

WIDTH, HEIGHT = 800, 640
# Takes a line more than others.
LONG_NAME = "vgg-one, trained once more on the pictures of two further hospitals"


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patched:
        # Playwright runs an event loop in this thread, from which Django would protect the database.
        patched.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        # Chromium refuses its sandbox to root.
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, live_server, chromium: Browser):
    """Alice's window; an error of a script, or what the content security policy refuses, fails the test."""
    yield from page_of(browser, live_server, chromium, viewport={"width": 1280, "height": 900})


@pytest.fixture
def phone(browser, live_server, chromium: Browser):
    """Alice's telephone."""
    size = {"width": 360, "height": 740}
    yield from page_of(browser, live_server, chromium, viewport=size, has_touch=True, is_mobile=True)


def page_of(browser, live_server, chromium: Browser, **options):
    context = chromium.new_context(base_url=live_server.url, reduced_motion="reduce", **options)
    name = site_settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": browser.cookies[name].value, "url": live_server.url}])
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
    yield page
    context.close()
    assert problems == []


def halves(left: int, right: int, dtype: type = np.uint8) -> Image.Image:
    """Give a picture of two levels, `left` and `right`."""
    levels = np.full((HEIGHT, WIDTH), left, dtype)
    levels[:, WIDTH // 2 :] = right
    return Image.fromarray(levels)


def scan_with(owner, picture: Image.Image, **fields) -> Scan:
    content = ContentFile(encoded(picture, "PNG"))
    scan = scan_of(owner, width=picture.width, height=picture.height, **fields)
    scan.picture.save("", content)
    return scan


def open_scan(page: Page, scan: Scan, query: str = "") -> Locator:
    """Open the page of `scan`; give its first viewer, with the picture drawn."""
    page.goto(scan.get_absolute_url() + query)
    for viewer in page.locator("[data-viewer]").all():
        expect(viewer.locator("[data-viewer-zoom]")).not_to_be_empty()
        expect(viewer.locator("[data-viewer-window]")).to_be_visible()
    return page.locator("[data-viewer]").first


def live(viewer: Locator) -> Locator:
    return viewer.get_by_role("application")


def seen(viewer: Locator) -> tuple[int, int]:
    """Give the grey levels that the screen shows at the middle of the picture's left and right half."""
    shot = Image.open(io.BytesIO(live(viewer).screenshot())).convert("L")
    return tuple(shot.getpixel((round(share * shot.width), shot.height // 2)) for share in (0.25, 0.75))


def await_seen(viewer: Locator, left: int, right: int) -> None:
    wait_for(lambda: np.abs(np.subtract(seen(viewer), (left, right))).max() <= 1)


def zoom_of(viewer: Locator) -> int:
    return int(viewer.locator("[data-viewer-zoom]").inner_text().removesuffix("\N{NO-BREAK SPACE}%"))


def layer(viewer: Locator) -> list[float]:
    """Give where the heatmap lies: left, top, width, height in pixels of the viewer."""
    box, around = viewer.locator(".heatmap").bounding_box(), viewer.bounding_box()
    return [box["x"] - around["x"], box["y"] - around["y"], box["width"], box["height"]]


def test_buttons_and_keys_zoom_and_move_and_the_heatmap_follows(page, alice):
    scan = scan_with(alice, chest_like(WIDTH, HEIGHT))
    prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    viewer = open_scan(page, scan)
    fit, at_fit = zoom_of(viewer), layer(viewer)

    viewer.get_by_role("button", name="Zoom in").click()
    wait_for(lambda: zoom_of(viewer) == pytest.approx(1.3 * fit, abs=2))
    assert layer(viewer)[2] == pytest.approx(1.3 * at_fit[2], rel=0.02)
    live(viewer).press("+")
    wait_for(lambda: zoom_of(viewer) == pytest.approx(1.69 * fit, abs=2))

    before = layer(viewer)
    live(viewer).press("ArrowRight")
    live(viewer).press("ArrowDown")
    wait_for(lambda: layer(viewer)[0] < before[0] - 10 and layer(viewer)[1] < before[1] - 10)

    viewer.get_by_role("button", name="Actual size").click()
    wait_for(lambda: zoom_of(viewer) == 100)
    live(viewer).press("0")
    wait_for(lambda: zoom_of(viewer) == fit)
    assert layer(viewer) == pytest.approx(at_fit, abs=1)


def test_a_window_and_inversion_change_the_levels_that_are_seen_and_reset_brings_them_back(page, alice):
    viewer = open_scan(page, scan_with(alice, halves(90, 110)))
    await_seen(viewer, 90, 110)

    viewer.get_by_label("Window width").fill("100")
    viewer.get_by_label("Window centre").fill("110")
    await_seen(viewer, round(255 * 0.3), round(255 * 0.5))

    viewer.get_by_role("button", name="Invert").click()
    await_seen(viewer, 255 - round(255 * 0.3), 255 - round(255 * 0.5))
    expect(viewer.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "true")

    viewer.get_by_role("button", name="Reset").click()
    await_seen(viewer, 90, 110)
    expect(viewer.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "false")


def test_a_window_shows_what_eight_bits_do_not_hold(page, alice):
    levels = halves(30_000, 30_040, np.uint16)
    levels.paste(65535, (0, 0, WIDTH, 40))
    levels.paste(0, (0, HEIGHT - 40, WIDTH, HEIGHT))
    viewer = open_scan(page, scan_with(alice, levels))
    # 40 of 65,536 levels are a sixth of one of 256.
    assert np.ptp(seen(viewer)) <= 1

    viewer.get_by_label("Window width").fill("100")
    viewer.get_by_label("Window centre").fill("30030")
    viewer.get_by_label("Window centre").dispatch_event("change")

    shown = through_window(levels, center=30030, width=100)
    expected = shown.getpixel((10, HEIGHT // 2)), shown.getpixel((WIDTH - 10, HEIGHT // 2))
    assert expected == (51, 153)
    await_seen(viewer, *expected)
    # Inverted at the browser, from the picture that the server sent.
    live(viewer).press("i")
    await_seen(viewer, *(255 - level for level in expected))
    live(viewer).press("r")
    wait_for(lambda: np.ptp(seen(viewer)) <= 1)


def test_dragging_windows_once_that_is_chosen_by_button_or_key_and_moves_nothing(page, alice):
    viewer = open_scan(page, scan_with(alice, halves(90, 110)))
    live(viewer).press("w")
    expect(viewer.get_by_role("button", name="Window by dragging")).to_have_attribute("aria-pressed", "true")
    box = live(viewer).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - box["width"] / 4, y, steps=5)
    page.mouse.up()

    width, center = (float(viewer.get_by_label(f"Window {name}").input_value()) for name in ("width", "centre"))
    assert width == pytest.approx(0.75 * 255, abs=5)
    assert center == pytest.approx(127.5, abs=5)
    left = round(255 * ((90 - center) / width + 0.5))
    await_seen(viewer, left, round(255 * ((110 - center) / width + 0.5)))

    live(viewer).press("ArrowDown")
    assert float(viewer.get_by_label("Window centre").input_value()) > center + 20

    viewer.get_by_role("button", name="Reset").click()

    expect(viewer.get_by_role("button", name="Window by dragging")).to_have_attribute("aria-pressed", "false")
    await_seen(viewer, 90, 110)
    # The arrows window no more.
    center = viewer.get_by_label("Window centre").input_value()
    live(viewer).press("ArrowDown")
    expect(viewer.get_by_label("Window centre")).to_have_value(center)


def test_an_earlier_answer_lies_beside_the_latest_and_both_move_window_and_invert_together(page, alice):
    scan = scan_with(alice, halves(90, 110))
    old = prediction_at(State.SUCCEEDED, scan, model_version_of(name=LONG_NAME), probability=0.2, has_heatmap=True)
    new = prediction_at(State.SUCCEEDED, scan, model_version_of(name="vgg-two"), probability=0.8, has_heatmap=True)
    page.goto(scan.get_absolute_url())
    page.get_by_label("Side by side with an earlier answer").select_option(str(old.pk))
    page.get_by_role("button", name="Compare").click()
    open_scan(page, scan, f"?beside={old.pk}")

    left, right = page.locator("[data-viewer]").all()
    assert live(left).bounding_box()["y"] == live(right).bounding_box()["y"]
    for viewer, prediction, words in ((left, new, ("80.0", "vgg-two")), (right, old, ("20.0", "vgg-one"))):
        assert str(prediction.pk) in viewer.locator(".heatmap image").get_attribute("href")
        for word in words:
            expect(viewer.locator("xpath=ancestor::figure")).to_contain_text(word)

    fit = zoom_of(left)
    for leader, follower in ((left, right), (right, left)):
        live(leader).press("+")
        live(leader).press("ArrowRight")
        wait_for(lambda follower=follower: zoom_of(follower) > 1.2 * fit)
        wait_for(lambda a=leader, b=follower: layer(a) == pytest.approx(layer(b), abs=1))
        leader.get_by_role("button", name="Fit").click()
        wait_for(lambda follower=follower: zoom_of(follower) == fit)

    for viewer in (left, right):
        viewer.get_by_label("Heatmap", exact=True).uncheck()
    right.get_by_label("Window width").fill("100")
    left.get_by_label("Window centre").fill("110")
    live(right).press("i")
    for viewer in (left, right):
        await_seen(viewer, 255 - round(255 * 0.3), 255 - round(255 * 0.5))


def test_the_strength_is_each_heatmap_s_own_and_the_key_h_switches_it(page, alice):
    scan = scan_with(alice, halves(90, 110))
    old = prediction_at(State.SUCCEEDED, scan, model_version_of(), has_heatmap=True)
    prediction_at(State.SUCCEEDED, scan, model_version_of(), has_heatmap=True)
    open_scan(page, scan, f"?beside={old.pk}")
    left, right = page.locator("[data-viewer]").all()

    right.get_by_label("Strength").fill("20")

    expect(right.locator(".heatmap")).to_have_css("opacity", "0.2")
    expect(left.locator(".heatmap")).to_have_css("opacity", "0.6")
    expect(right.locator("output", has_text="20\N{NO-BREAK SPACE}%")).to_be_visible()
    live(left).press("h")
    expect(left.locator(".heatmap")).to_be_hidden()
    expect(right.locator(".heatmap")).to_be_visible()


def test_an_answer_that_arrives_lays_its_heatmap_over_the_zoomed_picture_without_a_reload(page, alice):
    scan = scan_with(alice, halves(90, 110))
    waiting = prediction_at(State.RUNNING, scan, task_id="task")
    viewer = open_scan(page, scan)
    fit = zoom_of(viewer)
    live(viewer).press("+")
    live(viewer).press("+")
    wait_for(lambda: zoom_of(viewer) == pytest.approx(1.69 * fit, abs=2))
    page.evaluate("window.notReloaded = true")
    expect(viewer.locator(".heatmap")).to_have_count(0)
    zoom = zoom_of(viewer)

    answered = prediction_at(State.SUCCEEDED, scan_of(alice), has_heatmap=True)
    type(waiting).objects.succeed(
        waiting.pk, task_id="task", probability=0.9, threshold=0.5, milliseconds=187, heatmap=answered.heatmap.name
    )

    expect(viewer.locator(".heatmap")).to_be_visible(timeout=10_000)
    assert page.evaluate("window.notReloaded")
    assert zoom_of(viewer) == pytest.approx(zoom, abs=2)
    assert layer(viewer)[2] > 1.5 * viewer.bounding_box()["width"]
    viewer.get_by_label("Strength").fill("80")
    expect(viewer.locator(".heatmap")).to_have_css("opacity", "0.8")


def test_a_scale_tells_millimetres_where_the_file_names_its_spacing(page, alice):
    facts = {"photometric_interpretation": "MONOCHROME2", "row_spacing": 0.4, "column_spacing": 0.4}
    viewer = open_scan(page, scan_with(alice, halves(90, 110), **facts))
    scale = viewer.locator(".viewer-scale")
    bar = scale.locator(".viewer-scale-bar")
    for _ in range(2):
        millimetres = float(scale.inner_text().removesuffix("mm"))
        pixels_of_the_picture = bar.bounding_box()["width"] / (zoom_of(viewer) / 100)
        assert pixels_of_the_picture * 0.4 == pytest.approx(millimetres, rel=0.03)
        live(viewer).press("1")
        wait_for(lambda: zoom_of(viewer) == 100)
    assert open_scan(page, scan_with(alice, halves(90, 110))).locator(".viewer-scale").count() == 0


def test_on_a_telephone_a_finger_scrolls_the_page_until_two_or_a_double_tap_have_zoomed(phone, alice):
    scan = scan_with(alice, chest_like(WIDTH, HEIGHT))
    prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    viewer = open_scan(phone, scan)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    live(viewer).scroll_into_view_if_needed()
    fit, box = zoom_of(viewer), live(viewer).bounding_box()
    expect(live(viewer)).to_have_css("touch-action", "pan-x pan-y")

    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    pinch(phone, x, y)
    wait_for(lambda: zoom_of(viewer) > 1.5 * fit)
    expect(live(viewer)).to_have_css("touch-action", "none")
    before = layer(viewer)
    touch(phone, [[(x, y)], *[[(x - 10 * step, y)] for step in range(1, 6)]])
    wait_for(lambda: layer(viewer)[0] < before[0] - 25)

    viewer.get_by_role("button", name="Fit").click()
    wait_for(lambda: zoom_of(viewer) == fit)

    def zoomed_by_two_taps() -> bool:
        # On a busy machine two taps may come too far apart to be a double one.
        touch(phone, [[(x, y)]], times=2)
        return zoom_of(viewer) > 1.5 * fit

    wait_for(zoomed_by_two_taps)


def test_on_a_telephone_a_finger_windows_once_that_is_chosen_and_moves_the_strength(phone, alice):
    scan = scan_with(alice, halves(90, 110))
    prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    viewer = open_scan(phone, scan)
    width, center = (viewer.get_by_label(f"Window {name}") for name in ("width", "centre"))
    before = float(width.input_value()), float(center.input_value())
    fit = zoom_of(viewer)
    viewer.get_by_role("button", name="Window by dragging").tap()
    live(viewer).scroll_into_view_if_needed()
    box = live(viewer).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    touch(phone, [[(x, y)], *[[(x - 12 * step, y + 6 * step)] for step in range(1, 6)]])

    wait_for(lambda: float(width.input_value()) < before[0] - 20 and float(center.input_value()) > before[1] + 10)
    assert zoom_of(viewer) == fit
    # Two fingers zoom then too.
    pinch(phone, x, y)
    wait_for(lambda: zoom_of(viewer) > 1.5 * fit)

    strength = viewer.get_by_label("Strength")
    strength.scroll_into_view_if_needed()
    box = strength.bounding_box()
    y = box["y"] + box["height"] / 2
    touch(phone, [[(box["x"] + share * box["width"], y)] for share in (0.6, 0.5, 0.4, 0.3, 0.2)])
    wait_for(lambda: int(strength.input_value()) < 30)
    opacity = int(strength.input_value()) / 100
    expect(viewer.locator(".heatmap")).to_have_css("opacity", f"{opacity:g}")


def pinch(page: Page, x: float, y: float) -> None:
    """Spread two fingers round a point."""
    touch(page, [[(x - way, y), (x + way, y)] for way in (20, 30, 40, 50, 60)])


def touch(page: Page, moves: list[list[tuple[float, float]]], times: int = 1) -> None:
    """Lay fingers down where the first of `moves` says, move them on, lift them."""
    session = page.context.new_cdp_session(page)
    kinds = ["touchStart", *["touchMove"] * (len(moves) - 1)]
    for _ in range(times):
        for kind, fingers in zip(kinds, moves, strict=True):
            points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()


def test_a_reviewer_s_page_in_the_admin_has_it_too(page, client, sam, live_server, alice):
    scan = scan_with(alice, halves(90, 110))
    prediction = prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    client.force_login(sam)
    name = site_settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
    page.goto(reverse("admin:diagnosis_prediction_change", args=[prediction.pk]))
    viewer = page.locator("[data-viewer]")
    viewer.get_by_label("Heatmap", exact=True).uncheck()
    viewer.get_by_role("button", name="Invert").click()
    await_seen(viewer, 165, 145)
