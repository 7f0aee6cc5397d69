"""A reader with a real browser and no mouse: through the cases, by keys alone."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings as site_settings
from django.db import connection
from playwright.sync_api import Page, Route, expect, sync_playwright

from diagnosis.models import Prediction
from diagnosis.states import State
from diagnosis.tests.factories import prediction_at, scan_of
from diagnosis.tests.review.pages import review_page
from diagnosis.tests.servers import chromium_program

pytestmark = [
    pytest.mark.browser,
    pytest.mark.services,
    pytest.mark.django_db(transaction=True),
    # The browser's driver leaves its pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def cases(alice, model_version) -> list[Prediction]:
    """Three answers in the order of the worklist."""
    return [
        prediction_at(State.SUCCEEDED, scan_of(alice), probability=probability, has_heatmap=True)
        for probability in (0.9, 0.8, 0.7)
    ]


@pytest.fixture
def page(live_server, client, rita, cases):
    """Rita's window; a script error or a refused script fails the test."""
    client.force_login(rita)
    cookie = client.cookies[site_settings.SESSION_COOKIE_NAME].value
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=["--no-sandbox"])
        context = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})
        context.add_cookies([{"name": site_settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
        yield page
        browser.close()
    assert problems == []


def at(case: Prediction) -> re.Pattern:
    return re.compile(re.escape(review_page(case)))


def press(page: Page, key: str) -> None:
    page.wait_for_load_state("load")
    page.keyboard.press(key)


def reviews(case: Prediction) -> list[tuple[str, str]]:
    """Give (verdict, note) of each, from another thread: in this one runs the browser's loop, which Django shuns."""

    def ask() -> list[tuple[str, str]]:
        try:
            return list(case.reviews.order_by("pk").values_list("label", "note"))
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ask).result()


def test_three_cases_are_judged_by_keys_alone(page, cases):
    first, second, third = cases
    page.goto("/review/")
    page.locator("#start").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(at(first))

    # To and fro without a verdict.
    press(page, "j")
    expect(page).to_have_url(at(second))
    press(page, "ArrowLeft")
    expect(page).to_have_url(at(first))

    press(page, "a")
    expect(page).to_have_url(at(second))
    press(page, "n")
    page.keyboard.type("a cuff, a jacket")
    expect(page).to_have_url(at(second))
    page.keyboard.press("Tab")
    page.evaluate("document.activeElement.blur()")
    press(page, "c")
    expect(page).to_have_url(at(third))
    press(page, "u")
    expect(page.get_by_text("That was the last one of this list.")).to_be_visible()
    expect(page.get_by_text("Nothing waits for you here")).to_be_visible()

    said = [("PNEUMONIA", ""), ("NORMAL", "a cuff, a jacket"), ("UNUSABLE", "")]
    assert [reviews(case) for case in cases] == [[each] for each in said]


def test_keys_do_nothing_while_a_slider_is_moved_with_a_modifier_or_when_they_are_off(page, cases):
    first, second, _ = cases
    page.goto(review_page(first))
    page.get_by_label("Strength").focus()
    press(page, "ArrowRight")
    press(page, "j")
    page.evaluate("document.activeElement.blur()")
    for chord in ("Control+c", "Alt+a", "Meta+j"):
        press(page, chord)
    expect(page).to_have_url(at(first))

    page.get_by_label("Use the keys").press("Space")
    page.evaluate("document.activeElement.blur()")
    for key in "acuj":
        press(page, key)
    page.reload()
    press(page, "a")
    expect(page).to_have_url(at(first))
    assert not reviews(first)

    # What is remembered can be taken back; the buttons never stopped.
    page.get_by_label("Use the keys").check()
    page.get_by_role("button", name="Agree: Pneumonia").click()
    expect(page).to_have_url(at(second))
    press(page, "z")
    expect(page).to_have_url(at(first))
    assert reviews(first) == [("PNEUMONIA", "")]


def test_a_verdict_key_pressed_before_the_picture_is_there_says_nothing(page, cases):
    first, second, _ = cases
    waiting: list[Route] = []
    page.route("**/picture/", lambda route: waiting.append(route))
    page.goto(review_page(first), wait_until="domcontentloaded")
    page.keyboard.press("a")
    page.wait_for_timeout(300)
    assert not reviews(first)
    for route in waiting:
        route.continue_()
    press(page, "a")
    expect(page).to_have_url(at(second))


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_of_readers_is_wider_than_the_window(page, cases, width):
    page.set_viewport_size({"width": width, "height": 800})
    for address in ("/review/", review_page(cases[0]), "/review/agreement/?version=any"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
