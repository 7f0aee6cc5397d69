"""A person with a real browser, in front of the whole site: no part is a stand-in, only the model is tiny."""

import io
import itertools
import re
from pathlib import Path
from zipfile import ZipFile

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from diagnosis.tests.archive_files import zipped
from diagnosis.tests.dicom_files import dicom_file, stored_values
from diagnosis.tests.embedded import EmbeddedSite
from diagnosis.tests.factories import PASSWORD
from diagnosis.tests.pictures import chest_like, colourful, encoded
from diagnosis.tests.servers import chromium_program, wait_for

SEEDS = itertools.count()
ANSWER_SECONDS = 60

pytestmark = [
    pytest.mark.browser,
    # The browser's driver leaves its pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory, tiny_checkpoint):
    site = EmbeddedSite(tmp_path_factory.mktemp("site") / "var", checkpoint=tiny_checkpoint)
    try:
        site.start()
        yield site
    finally:
        site.kill()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        # Chromium refuses its sandbox to root.
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, site: EmbeddedSite):
    """A window of its own for each test; a script error or a refused script fails it."""
    context = browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert problems == []


@pytest.fixture
def x_ray(tmp_path: Path) -> Path:
    path = tmp_path / "chest.jpg"
    path.write_bytes(encoded(chest_like(900, 760, seed=next(SEEDS)), "JPEG"))
    return path


def sign_up(page: Page, username: str) -> None:
    page.goto("/accounts/signup/")
    page.locator("input[name=username]").fill(username)
    page.locator("input[name=email]").fill(f"{username}@example.org")
    page.locator("input[name=password1]").fill(PASSWORD)
    page.locator("input[name=password2]").fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    expect(page).to_have_url(re.compile("/scans/$"))


def upload(page: Page, *files: Path, reference: str = "") -> None:
    page.goto("/scans/new/")
    page.locator("input[name=image]").set_input_files(list(files))
    page.locator("input[name=reference]").fill(reference)
    page.get_by_role("button", name="Upload and read").click()


def await_answer(page: Page) -> None:
    expect(page.locator("#answer")).to_have_attribute(
        "data-state", re.compile("SUCCEEDED|FAILED"), timeout=ANSWER_SECONDS * 1000
    )


def test_from_signing_up_to_a_live_answer_in_the_history_and_a_review_in_the_admin(page, site, x_ray, browser):
    sign_up(page, "alice")
    with site.worker_held():
        upload(page, x_ray, reference="ward 3")
        expect(page).to_have_url(re.compile(r"/scans/[0-9a-f-]{36}/$"))
        expect(page.locator("#answer")).to_have_attribute("data-state", "QUEUED")
        page.evaluate("window.notReloaded = true")

    await_answer(page)

    answer = page.locator("#answer")
    expect(answer).to_have_attribute("data-state", "SUCCEEDED")
    assert page.evaluate("window.notReloaded"), "the answer must appear without a reload"
    label, probability = answer.get_attribute("data-label"), float(answer.get_attribute("data-probability"))
    assert label in ("NORMAL", "PNEUMONIA")
    assert 0 <= probability <= 1
    shown = re.search(r"Calibrated probability of pneumonia:\D*([\d.]+)", answer.inner_text()).group(1)
    assert float(shown) == pytest.approx(100 * probability, abs=0.11)
    expect(page.locator("body")).to_contain_text("Not a medical device")
    scan_url = page.url
    assert downloaded(page, "Report (PDF)", menu="Download").startswith(b"%PDF-"), "the poll brought its link"

    page.goto("/scans/")
    expect(page.get_by_text("ward 3")).to_be_visible()
    thumbnail = page.locator("main img").first
    # It is loaded lazily, so not necessarily with the page.
    wait_for(lambda: thumbnail.evaluate("image => image.complete && image.naturalWidth > 0"))

    review_as_staff(browser, site, label)
    # The owner's answer stays what it was.
    page.goto(scan_url)
    expect(page.locator("#answer")).to_have_attribute("data-label", label)

    page.goto("/accounts/")
    with ZipFile(io.BytesIO(downloaded(page, "Download everything (ZIP)"))) as everything:
        assert everything.testzip() is None
        assert [name for name in everything.namelist() if name.startswith("pictures/")]


def downloaded(page: Page, link: str, menu: str = "") -> bytes:
    """Follow a link to a file, in a menu that has to be opened first if it is in one."""
    if menu:
        page.get_by_role("button", name=menu).click()
    with page.expect_download() as download:
        page.get_by_role("link", name=link).click()
    return download.value.path().read_bytes()


def review_as_staff(browser: Browser, site: EmbeddedSite, label: str) -> None:
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    page.goto("/admin/diagnosis/prediction/")
    page.locator("input[name=login]").fill("demo")
    page.locator("input[name=password]").fill(site.demo_password)
    page.locator("main button[type=submit]").click()
    page.locator("#result_list tbody tr a").first.click()
    expect(page.get_by_role("application", name="X-ray")).to_be_visible()
    other = "NORMAL" if label == "PNEUMONIA" else "PNEUMONIA"
    page.locator(f"button[name=label][value={other}]").first.click()
    expect(page.locator(".messagelist")).to_contain_text("Your review is recorded")
    context.close()


def test_the_slider_sets_the_strength_of_the_heatmap_by_mouse_and_by_key_and_the_switch_hides_it(page, x_ray):
    sign_up(page, "hanna")
    upload(page, x_ray)
    await_answer(page)
    heatmap, slider = page.locator(".heatmap"), page.get_by_label("Strength")
    expect(heatmap).to_be_visible()
    expect(heatmap).to_have_css("opacity", "0.6")
    image = heatmap.locator("image").get_attribute("href")
    assert page.request.get(image).headers["content-type"] == "image/png"
    # It covers the picture and nothing else, whatever the poll or a reload brought it.
    over, under = heatmap.bounding_box(), page.locator("img.picture").bounding_box()
    assert [over[side] for side in over] == pytest.approx([under[side] for side in over], abs=1)

    slider.fill("20")
    expect(heatmap).to_have_css("opacity", "0.2")
    slider.press("ArrowRight")
    expect(heatmap).to_have_css("opacity", "0.25")
    expect(page.locator(".heatmap-strength output")).to_have_text("25\N{NO-BREAK SPACE}%")

    page.get_by_label("Heatmap", exact=True).press("Space")
    expect(heatmap).to_be_hidden()
    page.get_by_label("Heatmap", exact=True).press("Space")
    expect(heatmap).to_have_css("opacity", "0.25")


def test_without_javascript_the_answer_comes_by_reloading(browser, site, page, x_ray):
    sign_up(page, "nora")
    signed_in = page.context.storage_state()
    context = browser.new_context(base_url=site.url, java_script_enabled=False, storage_state=signed_in)
    plain = context.new_page()

    with site.worker_held():
        upload(plain, x_ray)
        expect(plain.locator("#answer")).to_have_attribute("data-state", "QUEUED")

    await_answer(plain)
    expect(plain.locator("#answer")).to_have_attribute("data-state", "SUCCEEDED")
    expect(plain.locator(".heatmap")).to_have_css("opacity", "0.6")
    expect(plain.get_by_label("Strength")).to_be_hidden()
    plain.get_by_label("Heatmap", exact=True).uncheck()
    expect(plain.locator(".heatmap")).to_be_hidden()
    context.close()


def test_a_colour_photograph_is_told_to_be_no_chest_x_ray(page, tmp_path):
    photograph = tmp_path / "holiday.png"
    photograph.write_bytes(encoded(colourful(400, 300), "PNG"))
    sign_up(page, "carla")

    upload(page, photograph)
    await_answer(page)

    answer = page.locator("#answer")
    expect(answer).to_have_attribute("data-reason", "NOT_A_CHEST_XRAY")
    expect(answer).to_contain_text("not a frontal chest X-ray")
    assert "%" not in answer.inner_text()


def test_polling_stops_when_the_answer_is_there(page, site, x_ray):
    sign_up(page, "paula")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/status/" in request.url else None)
    with site.worker_held():
        upload(page, x_ray)
        page.wait_for_timeout(2500)
        assert asked, "it polls while there is no answer"
    await_answer(page)
    asked.clear()

    page.wait_for_timeout(2500)

    assert asked == []


def test_one_bad_file_among_several_is_named_and_the_good_ones_are_kept(page, x_ray, tmp_path):
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear colleague, please find the X-ray attached.")
    second = tmp_path / "second.png"
    second.write_bytes(encoded(chest_like(300, 300, seed=77), "PNG"))
    sign_up(page, "olga")

    upload(page, x_ray, letter, second)

    expect(page).to_have_url(re.compile("/uploads/[0-9a-f-]{36}/$"))
    expect(page.locator("main")).to_contain_text("letter.jpg")
    expect(page.locator("main")).to_contain_text("not a picture")
    expect(page.locator("main img")).to_have_count(2)


def test_an_archive_shows_how_far_its_answers_are_and_what_was_refused(page, site, tmp_path):
    archive = tmp_path / "study.zip"
    chests = {f"PAT/{seed}": dicom_file(stored_values(12, 300, 260, seed=next(SEEDS))) for seed in range(2)}
    archive.write_bytes(zipped({**chests, "PAT/ct": dicom_file(Modality="CT")}))
    sign_up(page, "zoe")
    with site.worker_held():
        upload(page, archive)
        expect(page).to_have_url(re.compile("/uploads/[0-9a-f-]{36}/$"))
        expect(page.get_by_role("heading", name="0 of 2 scans read")).to_be_visible()
        expect(page.get_by_role("progressbar")).to_have_attribute("value", "0")
        page.evaluate("window.notReloaded = true")

    expect(page.get_by_role("heading", name="2 of 2 scans read")).to_be_visible(timeout=ANSWER_SECONDS * 1000)

    assert page.evaluate("window.notReloaded"), "the count must go on without a reload"
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "2")
    expect(page.locator("main")).to_contain_text("computed tomography")
    expect(page.locator("main")).to_contain_text("WRONG_MODALITY")
    expect(page.locator("main img")).to_have_count(2)


def test_a_folder_is_chosen_as_a_whole(page, tmp_path):
    folder = tmp_path / "DICOM"
    folder.mkdir()
    for number in range(2):
        (folder / f"IM{number}").write_bytes(dicom_file(stored_values(12, 300, 260, seed=next(SEEDS))))
    sign_up(page, "fay")
    page.goto("/scans/new/")
    page.locator("input[name=folder]").set_input_files(folder)
    expect(page.locator("[data-chosen] li")).to_have_count(2)
    page.get_by_role("button", name="Upload and read").click()
    expect(page.get_by_role("heading", name="Upload of 2 files")).to_be_visible()
    expect(page.locator("main img")).to_have_count(2)


def test_a_folder_is_dropped_with_all_that_lies_in_it(page, tmp_path):
    series = tmp_path / "study" / "DICOM" / "SER1"
    series.mkdir(parents=True)
    for number in range(2):
        (series / f"IM{number}").write_bytes(dicom_file(stored_values(12, 300, 260, seed=next(SEEDS))))
    (tmp_path / "study" / "chest.png").write_bytes(encoded(chest_like(300, 260, seed=next(SEEDS)), "PNG"))
    sign_up(page, "fred")
    page.goto("/scans/new/")
    box = page.locator(".drop-zone").bounding_box()
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(tmp_path / "study")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 10}
        session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})
    expect(page.locator("[data-chosen] li")).to_have_count(3)
    page.get_by_role("button", name="Upload and read").click()
    expect(page.get_by_role("heading", name="Upload of 3 files")).to_be_visible()
    expect(page.locator("main img")).to_have_count(3)


def test_what_was_chosen_can_be_left_out_again(page, x_ray):
    sign_up(page, "uma")
    page.goto("/scans/new/")
    page.locator("input[name=image]").set_input_files(x_ray)
    page.get_by_role("button", name="Choose none of them").click()
    expect(page.locator("[data-chosen] li")).to_have_count(0)
    assert page.locator("input[name=image]").evaluate("input => input.files.length") == 0


def test_a_large_upload_shows_how_much_of_it_was_sent_and_can_be_stopped(page, tmp_path):
    archive = tmp_path / "study.zip"
    archive.write_bytes(zipped({str(seed): dicom_file(stored_values(12, 700, 600, seed=seed)) for seed in (501, 502)}))
    assert archive.stat().st_size > 500_000
    sign_up(page, "sonia")
    network = page.context.new_cdp_session(page)
    line = {"offline": False, "latency": 0, "downloadThroughput": -1}
    network.send("Network.emulateNetworkConditions", {**line, "uploadThroughput": 100_000})
    upload(page, archive)
    bar = page.get_by_role("progressbar", name="How much has been sent")
    wait_for(lambda: 0.1 < bar.evaluate("bar => bar.value") < 0.9)
    expect(page.get_by_text("Uploading ")).to_be_visible()

    page.get_by_role("button", name="Stop").click()

    expect(bar).to_be_hidden()
    expect(page).to_have_url(re.compile("/scans/new/$"))
    network.send("Network.emulateNetworkConditions", {**line, "uploadThroughput": -1})
    page.get_by_role("button", name="Upload and read").click()
    expect(page.get_by_role("heading", name="Upload of 2 files")).to_be_visible()


def test_what_is_refused_is_said_on_the_page_which_takes_another_file(page, x_ray, tmp_path):
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear colleague, please find the X-ray attached.")
    sign_up(page, "lena")
    upload(page, letter)
    expect(page.get_by_text("letter.jpg: This file is not a picture")).to_be_visible()
    page.locator("input[name=image]").set_input_files(x_ray)
    expect(page.locator("[data-chosen] li")).to_have_count(1)
    page.get_by_role("button", name="Upload and read").click()
    expect(page).to_have_url(re.compile("/scans/[0-9a-f-]{36}/$"))

    upload(page, x_ray)

    expect(page.get_by_text("You have given this file before")).to_be_visible()


def test_a_stranger_finds_nothing_under_the_address_of_a_scan(page, browser, site, x_ray):
    sign_up(page, "anna")
    upload(page, x_ray)
    expect(page).to_have_url(re.compile("/scans/[0-9a-f-]{36}/$"))
    scan_url = page.url
    context = browser.new_context(base_url=site.url)
    stranger = context.new_page()
    sign_up(stranger, "boris")

    response = stranger.goto(scan_url)

    assert response.status == 404
    stranger.goto("/scans/")
    expect(stranger.locator("main img")).to_have_count(0)
    context.close()


def test_the_dashboard_draws_its_graphs_under_the_sites_own_policy_in_both_modes(page, site, x_ray):
    sign_up(page, "gina")
    upload(page, x_ray)
    await_answer(page)
    page.goto("/scans/")
    assert_drawn(page, 1)
    page.get_by_role("button", name="Account of").click()
    page.get_by_role("button", name="Sign out").click()
    page.goto("/dashboard/")
    page.locator("input[name=login]").fill("demo")
    page.locator("input[name=password]").fill(site.demo_password)
    page.locator("main button[type=submit]").click()
    page.get_by_role("button", name="Count now").click()
    expect(page.locator("#now")).to_contain_text("uses the active model")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert_drawn(page, 3)
    page.set_viewport_size({"width": 360, "height": 800})
    # The graphs follow the new width a moment later.
    assert wait_for(lambda: page.evaluate("document.documentElement.scrollWidth") <= 360)
    page.locator(".graph summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("table", name="Scans and answers a day")).to_be_visible()


def assert_drawn(page: Page, least: int) -> None:
    """At least so many graphs have left something on their canvas."""
    drawn = """() => {
        const pixels = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        const canvases = [...document.querySelectorAll("canvas[data-graph]")].filter((canvas) => canvas.width);
        return canvases.filter((canvas) => pixels(canvas).some(Boolean)).length;
    }"""
    assert wait_for(lambda: page.evaluate(drawn)) >= least


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_the_window(page, width, x_ray):
    sign_up(page, f"wanda{width}")
    upload(page, x_ray, reference="a rather long reference " * 4)
    await_answer(page)
    page.set_viewport_size({"width": width, "height": 800})
    card = page.locator("#answer a").first.get_attribute("href")
    for address in (page.url, card, "/", "/scans/", "/scans/new/", "/accounts/", "/accounts/password/change/"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address


def test_the_page_of_the_api_asks_the_site_itself_with_a_token_made_on_the_account_page(page):
    sign_up(page, "ivan")
    page.goto("/accounts/")
    page.get_by_role("button", name="Make a token").click()
    token = page.get_by_label("Copy the token now.").input_value()
    page.goto("/api-docs/")
    page.locator("button.authorize").click()
    page.locator(".auth-container input").fill(token)
    page.locator(".auth-btn-wrapper button.authorize").click()
    page.locator(".btn-done").click()
    page.locator("#operations-scans-listScans .opblock-summary").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200", timeout=30_000)
