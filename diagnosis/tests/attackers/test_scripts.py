"""Script text in everything that somebody can write, shown in a real browser: text, wherever it stands."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pypdf
import pytest
from allauth.account.models import EmailAddress
from django.core.files.uploadedfile import SimpleUploadedFile
from playwright.sync_api import Browser, ConsoleMessage, Dialog, sync_playwright

from diagnosis import services
from diagnosis.models import ModelVersion, Scan, Upload
from diagnosis.states import State
from diagnosis.tests.admin.pages import METRICS
from diagnosis.tests.attackers.doors import address_of, doors
from diagnosis.tests.attackers.people import House
from diagnosis.tests.attackers.test_headers import SAVED, SHOWN
from diagnosis.tests.dicom_files import dicom_file
from diagnosis.tests.factories import prediction_at
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tests.servers import chromium_program

pytestmark = [
    pytest.mark.browser,
    # The browser's driver leaves its pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def planted(name: str) -> str:
    """Give what would be an element of the page wherever it was not escaped, in an attribute too, and run a script.

    Without a slash: of a file's name only what comes behind the last one is kept.
    """
    return f"{name}'\"><img data-planted src=x onerror=alert(1)>"


FILE, REFERENCE, NOTE, VERSION, FIRST_NAME = map(planted, ("file", "reference", "note", "version", "first"))
EMAIL = '"<img data-planted src=x onerror=alert(1)>"@example.org'
TEXTS = (FILE, REFERENCE, NOTE, VERSION, FIRST_NAME, EMAIL)
ASKED = f"?q={planted('q')}&page={planted('page')}&next={planted('next')}&o={planted('o')}&show={planted('show')}"


# They are no pages.
FILES = {*SHOWN, *SAVED, "scans/<uuid:scan_id>/levels/", "healthz", "admin/jsi18n/", "admin/autocomplete/"}


@dataclass(frozen=True)
class Visit:
    """A page, the session of who opens it, and whether it reads what it is asked for."""

    what: str
    address: str
    session: str
    asks: bool


def plant(house: House) -> None:
    """Write it wherever somebody can: the owner on the pages, a reader, and who names versions and people."""
    chest = SimpleUploadedFile("chest.png", encoded(chest_like(200, 200, seed=5), "PNG"))
    ct = SimpleUploadedFile("a.dcm", dicom_file(Modality=planted("m")[:60], ViewPosition=planted("v")[:60]))
    told = SimpleUploadedFile("b.dcm", dicom_file(PatientName=planted("p"), StudyDescription=planted("s")))
    files = {"image": [chest, ct, told], "reference": REFERENCE}
    assert house.client_of("owner").post("/scans/new/", files).status_code == 302
    house.upload = Upload.objects.order_by("-created_at").first()
    house.scan = Scan.objects.get(reference=REFERENCE, original_name="chest.png")
    # The form's encoding of the test client knows no quotation marks.
    Scan.objects.filter(pk=house.scan.pk).update(original_name=FILE)
    house.scan.refresh_from_db()
    house.prediction = prediction_at(State.SUCCEEDED, house.scan, house.version, has_heatmap=True)
    services.record_review(prediction=house.prediction, reviewer=house.people["reviewer"], label="NORMAL", note=NOTE)
    training = {"command": VERSION, "recipe": {planted("key"): [planted("value")]}}
    ModelVersion.objects.update(name=VERSION, metadata={"training": training, "metrics": METRICS})
    alice = house.people["owner"]
    alice.first_name, alice.last_name = FIRST_NAME, planted("last")
    alice.save()
    EmailAddress.objects.filter(user=alice).update(email=EMAIL)


def visits(house: House) -> list[Visit]:
    """Give every page that there is, for the first of these who may open it; pages open to all for a stranger, too."""
    sessions = {name: house.client_of(name).cookies["sessionid"].value for name in ("owner", "reviewer", "superuser")}
    found = []
    for door in doors():
        names = [name for name in ("owner", "reviewer", "superuser") if door.answer_for(name) == "200"]
        if door.answer_for("anonymous") == "200":
            names = ["anonymous", *names]
        if door.method != "GET" or door.is_api or door.route in FILES:
            continue
        for name in names[:2] if names[:1] == ["anonymous"] else names[:1]:
            asks = not door.route.startswith("admin/") or door.route.count("/") == 3
            found.append(Visit(f"{door} by {name}", address_of(door.route, house), sessions.get(name, ""), asks))
    return found


@contextmanager
def window_at(address: str) -> Iterator["Window"]:
    """Start a browser; after the rows are made: in its thread the database can't be asked."""
    with sync_playwright() as playwright:
        # Chromium refuses its sandbox to root.
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=["--no-sandbox"])
        yield Window(browser, address)
        browser.close()


class Window:
    """A page of the browser; `problems` are scripts that ran or were stopped, and dialogs."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.context = browser.new_context(base_url=address, reduced_motion="reduce")
        self.page = self.context.new_page()
        self.address = address
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._said)
        self.page.on("dialog", self._asked)

    def _said(self, said: ConsoleMessage) -> None:
        if said.type == "error" and not said.text.startswith("Failed to load resource"):
            self.problems.append(said.text)

    def _asked(self, dialog: Dialog) -> None:
        self.problems.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def enter(self, session: str) -> None:
        """Be whose `session` it is, nobody with an empty one."""
        self.context.clear_cookies()
        if session:
            self.context.add_cookies([{"name": "sessionid", "value": session, "url": self.address}])

    def look(self, address: str) -> str:
        """Open a page and give the text of it all; notes what was planted and has become an element."""
        self.page.goto(address)
        grown = self.page.locator("[data-planted]").count()
        if grown:
            self.problems.append(f"{grown} elements grew of what was planted")
        return self.page.evaluate(TEXT)


# All that stands on the page, in fields and attributes as well.
TEXT = """[document.title, document.body.textContent, ...[...document.querySelectorAll("*")].flatMap((element) =>
  [element.value ?? "", ...[...element.attributes].map((attribute) => attribute.value)])].join("\\n")"""


def test_script_text_is_text_on_every_page_and_every_page_keeps_to_its_own_policy(
    transactional_db, house, sent, live_server
):
    plant(house)
    listed = visits(house)
    wrong, shown = {}, dict.fromkeys(TEXTS, 0)
    with window_at(live_server.url) as window:
        for visit in listed:
            window.enter(visit.session)
            for address in (visit.address, visit.address + ASKED) if visit.asks else (visit.address,):
                text = window.look(address)
                for word in TEXTS:
                    shown[word] += word in text
                if window.problems:
                    wrong[f"{visit.what} {address}"] = list(window.problems)
                    window.problems.clear()
    assert wrong == {}
    assert len(listed) > 60
    assert all(shown.values()), f"what no page shows proves nothing: {shown}"


def test_the_names_of_chosen_files_are_text_before_and_after_they_are_uploaded(transactional_db, house, live_server):
    session = house.client_of("owner").cookies["sessionid"].value
    files = [{"name": FILE, "mimeType": "image/png", "buffer": b"x" * size} for size in (10, 20)]
    with window_at(live_server.url) as window:
        window.enter(session)
        window.look("/scans/new/")
        window.page.locator("input[name=image]").set_input_files(files)
        window.page.locator("[data-chosen] li").first.wait_for()
        assert FILE in window.page.locator("[data-chosen]").inner_text()
        window.page.get_by_role("button", name="Upload and read").click()
        window.page.get_by_text("is not a picture").first.wait_for()
        assert FILE.replace('"', "%22") in window.page.locator("main").inner_text()  # as browsers send it
        assert window.page.locator("[data-planted]").count() == 0
        assert window.problems == []


def test_a_report_holds_no_script_and_leads_nowhere_but_to_the_site(house, sent):
    plant(house)
    address = f"/scans/{house.scan.pk}/predictions/{house.prediction.pk}/report.pdf"
    pdf = pypdf.PdfReader(io.BytesIO(house.client_of("owner").get(address).content))
    assert REFERENCE[:20] in pdf.pages[0].extract_text()
    assert not {"/OpenAction", "/AA", "/AcroForm"} & set(pdf.trailer["/Root"])
    links = [each.get_object()["/A"] for each in pdf.pages[0].get("/Annots", [])]
    assert {link["/S"] for link in links} <= {"/URI"}
    assert all(link["/URI"].startswith("http://testserver/") for link in links)


def test_a_program_that_shows_the_json_as_a_page_finds_no_element_either(house, sent):
    plant(house)
    for address in (f"/api/v1/scans/{house.scan.pk}/", f"/api/v1/scans/{house.scan.pk}/predictions/"):
        response = house.client_of("anonymous").get(
            address, headers={**house.bearer_of("owner"), "Accept": "text/html,*/*"}
        )
        assert response["Content-Type"] == "application/json"
        assert response["X-Content-Type-Options"] == "nosniff"
