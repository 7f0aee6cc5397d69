"""Everything can be done by the keyboard alone, and where it is can always be seen."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import FileChooser, Page, expect, sync_playwright

from diagnosis.models import Scan
from diagnosis.tests.factories import PASSWORD
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tests.servers import chromium_program

pytestmark = [
    pytest.mark.browser,
    # The browser's driver leaves its pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

MOST_TABS = 60

# What has the focus, and whether that can be seen: an outline, or a ring of shadow.
FOCUSED = """() => {
  const part = document.activeElement;
  const style = getComputedStyle(part);
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const box = part.getBoundingClientRect();
  return {
    isSeen: outlined || style.boxShadow !== "none",
    isOnPage: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
    tag: part.outerHTML.slice(0, 120),
  };
}"""


def tab_to(page: Page, selector: str) -> None:
    """Go on from part to part until `selector` has the focus; each stop on the way can be seen."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            continue
        focused = page.evaluate(FOCUSED)
        assert focused["isSeen"], focused["tag"]
        assert focused["isOnPage"], focused["tag"]
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"the keyboard never comes to {selector}")


def choose(page: Page, path: Path) -> None:
    """Choose `path` in the file chooser that Space opens of what has the focus."""
    choosers: list[FileChooser] = []
    # Once in some hundred runs a press opens no chooser that Playwright hears of, and a person presses again.
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    for _ in range(3):
        page.keyboard.press("Space")
        for _ in range(50):
            if choosers:
                choosers[0].set_files(path)
                return
            page.wait_for_timeout(100)
    pytest.fail("the keyboard opens no file chooser")


@pytest.fixture
def x_ray(tmp_path: Path) -> Path:
    path = tmp_path / "chest.png"
    path.write_bytes(encoded(chest_like(300, 260), "PNG"))
    return path


def test_from_sign_in_to_the_answer_and_its_end_by_the_keyboard_alone(
    transactional_db, alice, model_version, run_tasks_inline, live_server, x_ray
):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=["--no-sandbox"])
        window = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
        page = browser.new_context(base_url=live_server.url, **window).new_page()
        page.goto("/")

        # The first stop leads past the menu.
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()

        page.goto("/accounts/login/")
        tab_to(page, "input[name=login]")
        page.keyboard.type("alice")
        tab_to(page, "input[name=password]")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/scans/")

        tab_to(page, "a[href='/scans/new/']")
        page.keyboard.press("Enter")
        page.wait_for_url("**/scans/new/")
        tab_to(page, "input[name=image]")
        choose(page, x_ray)
        tab_to(page, "main button[type=submit]")
        page.keyboard.press("Enter")
        expect(page.locator("#answer")).to_have_attribute("data-state", "SUCCEEDED")

        tab_to(page, "a[href$='/delete/']")
        tab_to(page, ".heatmap-switch")
        page.keyboard.press("Space")
        expect(page.locator(".heatmap")).to_be_hidden()
        page.keyboard.press("Space")
        expect(page.locator(".heatmap").first).to_be_visible()
        tab_to(page, "input[data-viewer-strength]")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("output[for^=heatmap-strength]")).to_have_text(re.compile("^55"))

        # The choices at the foot of each page.
        tab_to(page, "#theme")
        page.keyboard.type("D")
        expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
        tab_to(page, ".language-switch button[value=es]")
        page.keyboard.press("Enter")
        expect(page.locator("html")).to_have_attribute("lang", "es")
        expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")

        tab_to(page, "a[href$='/delete/']")
        page.keyboard.press("Enter")
        page.wait_for_url("**/delete/")
        tab_to(page, "main button[type=submit]")
        page.keyboard.press("Enter")
        page.wait_for_url("**/scans/")
        expect(page.locator(".alert-success")).to_be_visible()
        browser.close()
    assert not Scan.objects.exists()


def test_the_choice_of_light_or_dark_goes_before_the_system_and_never_flashes(transactional_db, live_server):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=["--no-sandbox"])
        page = browser.new_context(base_url=live_server.url, color_scheme="dark").new_page()
        html = page.locator("html")
        page.goto("/")
        expect(html).to_have_attribute("data-bs-theme", "dark")
        page.emulate_media(color_scheme="light")
        expect(html).to_have_attribute("data-bs-theme", "light")
        page.get_by_label("Appearance").select_option("dark")
        expect(html).to_have_attribute("data-bs-theme", "dark")

        # Nothing moves for who asks for that.
        button = page.locator("main .btn").first
        assert button.evaluate("(part) => getComputedStyle(part).transitionProperty") != "none"
        page.emulate_media(reduced_motion="reduce")
        assert button.evaluate("(part) => getComputedStyle(part).transitionProperty") == "none"

        # The next page has it before anything of it is drawn.
        page.add_init_script("""new MutationObserver((_, observer) => {
          if (!document.body) return;
          window.themeAtFirst = document.documentElement.dataset.bsTheme;
          observer.disconnect();
        }).observe(document, { childList: true, subtree: true })""")
        page.goto("/accounts/login/")
        assert page.evaluate("window.themeAtFirst") == "dark"
        expect(page.get_by_label("Appearance")).to_have_value("dark")
        # Another tab follows at once.
        other = page.context.new_page()
        other.goto("/")
        other.get_by_label("Appearance").select_option("auto")
        expect(html).to_have_attribute("data-bs-theme", "light")
        browser.close()
