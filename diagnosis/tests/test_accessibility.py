"""Every page can be used by everyone: WCAG 2.2 A and AA by axe, in light and dark, both languages, also at 360 pixels.

axe finds what a program can find. What only a person can judge, such as whether a text says what a picture shows, it
does not; test_keyboard.py holds what it can't see of the keyboard.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from allauth.account.models import EmailAddress
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core import signing
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.urls import URLPattern, get_resolver, reverse
from playwright.sync_api import Browser, Page, Route, sync_playwright

from diagnosis import audit, services
from diagnosis.dashboard.counting import count_days
from diagnosis.models import AuditEvent, ModelVersion, Prediction, Scan, Upload
from diagnosis.states import FailureReason, State
from diagnosis.tests.factories import PASSWORD, model_version_of, prediction_at, scan_of
from diagnosis.tests.servers import chromium_program, wait_for
from diagnosis.tokens import ApiToken

pytestmark = [
    pytest.mark.browser,
    # The browser's driver leaves its pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
ERROR_PAGES = ("400", "403_csrf", "429", "500", "503")
WORST = {"serious", "critical"}
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}

# Each page is opened twice; between them they have both languages, both widths, both themes.
WINDOWS = (
    {"locale": "en-GB", "viewport": DESK, "color_scheme": "light"},
    {"locale": "es-ES", "viewport": PHONE, "color_scheme": "dark"},
)

# What has a name in the URL conf and is no page of ours that a person looks at.
FILES = {"scan_picture", "scan_levels", "scan_thumbnail", "prediction_heatmap", "prediction_report"}
DOWNLOADS = {"history_csv", "history_json", "everything"}
ACTIONS = {"preferences_change", "language", "token_new", "token_revoke", "dashboard_count"}
PARTS = {"scan_status"}
STAFFS = ("worklist", "agreement", "dashboard", "dashboard_now")
NO_PAGES = {f"diagnosis:{name}" for name in FILES | DOWNLOADS | ACTIONS | PARTS} | {
    "healthz",
    "readyz",
    "metrics",
    "account_inactive",  # allauth's: who is locked out can't sign in, and this site never leads there
    "account_confirm_login_code",  # codes by mail are not switched on
    "account_set_password",  # for people without one, which other sites' sign-in would make
    "admin:login",
    "admin:logout",
    "admin:autocomplete",
    "admin:jsi18n",
    "admin:view_on_site",
    "admin:diagnosis_prediction_review",
}
# The API, and addresses without a name that only lead on to a page that has one.
NOT_OURS = ("api:", "admin:?")
# Nobody adds rows by hand, and no model version or prediction is deleted; all of these are the same refusal.
REFUSED = {
    "admin:diagnosis_apitoken_add",
    "admin:diagnosis_modelversion_add",
    "admin:diagnosis_prediction_add",
    "admin:diagnosis_scan_add",
    "admin:diagnosis_auditevent_add",
    "admin:diagnosis_auditevent_delete",
    "admin:diagnosis_modelversion_delete",
    "admin:diagnosis_prediction_delete",
}


@dataclass
class Rows:
    """What there is to look at; made before the browser starts, in whose thread the database can't be asked."""

    alice: User
    sam: User
    version: ModelVersion
    other_version: ModelVersion
    scans: dict[str, Scan] = field(default_factory=dict)

    @classmethod
    def made(cls, alice: User, rita: User, sam: User) -> "Rows":
        """Make a scan in every state, and what hangs on them."""
        metadata = json.loads((settings.BASE_DIR / "ml" / "weights" / "checkpoint.json").read_text())
        band = {"uncertain_low": 0.3, "uncertain_high": 0.7}
        rows = cls(
            alice,
            sam,
            model_version_of(name="vgg19-robust", metadata=metadata, active=True, **band),
            model_version_of(name="older"),
        )
        for name, probability in (("pneumonia", 0.97), ("normal", 0.08), ("uncertain", 0.55)):
            rows.scans[name] = scan = scan_of(alice, reference=f"A rather long reference of {name}, ward 3, room 12")
            prediction_at(State.SUCCEEDED, scan, rows.other_version, probability=0.4, has_heatmap=True)
            prediction_at(State.SUCCEEDED, scan, rows.version, probability=probability, has_heatmap=True)
        for reason in (FailureReason.NOT_A_CHEST_XRAY, FailureReason.TIMED_OUT):
            rows.scans[reason] = scan = scan_of(alice, quality_issues=["TOO_SMALL", "CLIPPED"])
            prediction_at(State.FAILED, scan, reason=reason)
        rows.scans["waiting"] = scan_of(alice, photometric_interpretation="MONOCHROME2", modality="DX", patient_age=3)
        prediction_at(State.QUEUED, rows.scans["waiting"])
        rows.scans["never asked"] = scan_of(alice)
        audit.record(action=audit.Action.VIEWED, actor=rita, scan=rows.scans["pneumonia"])
        services.record_review(
            prediction=rows.latest("pneumonia"), reviewer=rita, label="NORMAL", note="No sign of it."
        )
        ApiToken.objects.issue(user=alice, lifetime=None)
        count_days()
        return rows

    def beside(self, name: str) -> Prediction:
        """Give the oldest prediction of a scan."""
        return self.scans[name].predictions.last()

    def latest(self, name: str) -> Prediction:
        """Give the newest prediction of a scan."""
        return Prediction.objects.get(pk=self.scans[name].latest_prediction_id)


@dataclass(frozen=True)
class Visit:
    """One page, the name of its URL, and who opens it."""

    name: str
    address: str
    by: str = "alice"


def visits(rows: Rows) -> list[Visit]:
    """List every page that there is to look at."""
    refused = {
        "file": "File 2 of 3",
        "code": "EMPTY",
        "sentence": "This file is empty; export the picture again and upload the new file.",
    }
    upload = Upload.objects.create(owner=rows.alice, given=3, known=1, refused=[refused])
    upload.scans.set([rows.scans["normal"], rows.scans["waiting"]])
    pneumonia, sha256 = rows.latest("pneumonia"), rows.version.sha256
    earlier = rows.beside("pneumonia")
    strangers = (
        "account_login",
        "account_signup",
        "account_reset_password",
        "account_reset_password_done",
        "account_reset_password_from_key_done",
        "account_email_verification_sent",
    )
    own = ("scan_list", "scan_new", "account", "account_events", "account_erase")
    listed = [
        Visit("diagnosis:home", "/", "nobody"),
        *(Visit(name, reverse(name), "nobody") for name in strangers),
        Visit("account_confirm_email", reverse("account_confirm_email", args=[signing.dumps(1)]), "nobody"),
        Visit(
            "account_reset_password_from_key", reverse("account_reset_password_from_key", args=["a", "b-c"]), "nobody"
        ),
        Visit("diagnosis:model_card", reverse("diagnosis:model_card", args=[sha256]), "nobody"),
        Visit("diagnosis:api_docs", reverse("diagnosis:api_docs"), "nobody"),
        Visit("nothing there", "/no/such/page/", "nobody"),
        Visit("diagnosis:home", "/"),
        *(Visit(f"diagnosis:{name}", reverse(f"diagnosis:{name}")) for name in own),
        Visit("diagnosis:scan_list", "/scans/?q=nothing"),
        Visit("diagnosis:scan_list", "/scans/?since=2026-02-02&until=2026-01-01"),
        *(Visit("diagnosis:scan_detail", scan.get_absolute_url()) for scan in rows.scans.values()),
        Visit("diagnosis:scan_detail", f"{rows.scans['pneumonia'].get_absolute_url()}?heatmap={earlier.pk}"),
        Visit("diagnosis:scan_delete", reverse("diagnosis:scan_delete", args=[rows.scans["pneumonia"].pk])),
        Visit("diagnosis:scan_events", reverse("diagnosis:scan_events", args=[rows.scans["pneumonia"].pk])),
        Visit("diagnosis:scan_detail", f"{rows.scans['normal'].get_absolute_url()}?beside={rows.beside('normal').pk}"),
        Visit("diagnosis:upload_detail", upload.get_absolute_url()),
        *(
            Visit(name, reverse(name))
            for name in ("account_email", "account_change_password", "account_reauthenticate", "account_logout")
        ),
        *(Visit(f"diagnosis:{name}", reverse(f"diagnosis:{name}"), "sam") for name in STAFFS),
        Visit("diagnosis:worklist", f"{reverse('diagnosis:worklist')}?list=reviewed", "sam"),
        Visit("diagnosis:review", reverse("diagnosis:review", args=[rows.latest("uncertain").pk]), "sam"),
        Visit("diagnosis:review", reverse("diagnosis:review", args=[pneumonia.pk]), "sam"),
        Visit("admin:index", reverse("admin:index"), "sam"),
        *(Visit("admin:app_list", reverse("admin:app_list", args=[app]), "sam") for app in ("diagnosis", "auth")),
        *(Visit(name, reverse(name), "sam") for name in ("admin:password_change", "admin:password_change_done")),
        Visit(
            "admin:auth_user_password_change", reverse("admin:auth_user_password_change", args=[rows.alice.pk]), "sam"
        ),
    ]
    for model, row in (
        ("diagnosis_prediction", pneumonia),
        ("diagnosis_scan", rows.scans["pneumonia"]),
        ("diagnosis_modelversion", rows.version),
        ("diagnosis_apitoken", ApiToken.objects.get()),
        ("diagnosis_auditevent", AuditEvent.objects.first()),
        ("auth_user", rows.alice),
        ("auth_group", Group.objects.get(name="Reviewers")),
        ("account_emailaddress", EmailAddress.objects.create(user=rows.alice, email="alice@example.org")),
    ):
        names = {kind: f"admin:{model}_{kind}" for kind in ("changelist", "add", "change", "history", "delete")}
        lists = [kind for kind in ("changelist", "add") if names[kind] not in REFUSED]
        listed += [Visit(names[kind], reverse(names[kind]), "sam") for kind in lists]
        kinds = [kind for kind in ("change", "history", "delete") if names[kind] not in REFUSED]
        listed += [Visit(names[kind], reverse(names[kind], args=[row.pk]), "sam") for kind in kinds]
    activate = "admin:diagnosis_modelversion_activate"
    listed.append(Visit(activate, reverse(activate, args=[rows.other_version.pk]), "sam"))
    listed.append(Visit("refused", reverse("admin:diagnosis_scan_add"), "sam"))
    return listed


def named_pages(patterns: list | None = None, namespace: str = "") -> Iterator[str]:
    """Give the name of each address in the URL conf."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLPattern):
            yield f"{namespace}{pattern.name or '?'}"
        else:
            inner = f"{pattern.namespace}:" if pattern.namespace else ""
            yield from named_pages(pattern.url_patterns, namespace + inner)


@pytest.fixture
def rows(transactional_db, alice, rita, sam) -> Rows:
    return Rows.made(alice, rita, sam)


def test_no_page_of_the_url_conf_is_left_out(rows):
    looked_at = {visit.name for visit in visits(rows)}
    pages = {name for name in named_pages() if not name.startswith(NOT_OURS)}
    assert pages - looked_at - NO_PAGES - REFUSED == set(), "add the new page to visits(), or say why it is none"
    assert pages >= NO_PAGES | REFUSED, "these are gone"


def signed_in(browser: Browser, address: str, window: dict, name: str) -> Page:
    """Give a window in which `name` is signed in."""
    page = browser.new_context(base_url=address, reduced_motion="reduce", **window).new_page()
    if name != "nobody":
        page.goto("/accounts/login/")
        page.locator("input[name=login]").fill(name)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("main button[type=submit]").click()
        page.wait_for_url("**/scans/")
    return page


def problems_of(page: Page, axe: Axe, window: dict) -> list[str]:
    """Look at the page as it stands; say what is wrong with it, each rule with its first part."""
    violations = axe.run(page, options=RULES).response["violations"]
    found = [
        f"{each['id']} × {len(each['nodes'])}: {first['html'][:150]} {first['failureSummary'][:300]}"
        for each in violations
        if each["impact"] in WORST
        for first in each["nodes"][:1]
    ]
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wider > 0:
        found.append(f"is {wider} pixels wider than the window")
    if page.evaluate(CUT_OFF):
        found.append(f"cuts captions off: {page.evaluate(CUT_OFF)}")
    loose = page.evaluate(LOOSE)
    if loose:
        found.append(f"names descriptions that are not there: {loose}")
    if page.locator("html").get_attribute("lang") != window["locale"][:2]:
        found.append("is in another language")
    return found


def complete(page: Page) -> None:
    """Wait for what scripts bring, and open what is closed at first."""
    wait_for(lambda: page.evaluate(COMPLETE))
    if page.locator("#swagger-ui").count():
        page.locator(".opblock-post .opblock-summary-control").click()
        page.locator(".opblock-post .responses-wrapper").wait_for()


# What scripts bring after the page itself: the viewer of an X-ray, and the operations of the API.
COMPLETE = """[...document.querySelectorAll("[data-viewer]")].every((viewer) => viewer.querySelector(".viewer-live"))
  && [...document.querySelectorAll("#swagger-ui")].every((docs) => docs.querySelector(".opblock"))"""

# Captions of tables that have to be scrolled to be read; the tables themselves may be wider than a telephone.
CUT_OFF = """[...document.querySelectorAll(".table-responsive caption:not(.visually-hidden)")]
  .filter((caption) => caption.checkVisibility() && caption.getBoundingClientRect().right > innerWidth)
  .map((caption) => caption.textContent)"""

# Ids that a part says it is labelled or described by, and that nothing has.
LOOSE = """[...document.querySelectorAll("[aria-describedby], [aria-labelledby]")].flatMap((part) =>
  ["aria-describedby", "aria-labelledby"].flatMap((name) =>
    (part.getAttribute(name) ?? "").split(" ").filter((id) => id && !document.getElementById(id))))"""


def answer_with(html: str) -> Callable[[Route], None]:
    """Give a handler; Playwright calls it with as many arguments as it takes, so it takes one."""
    return lambda route: route.fulfill(body=html, content_type="text/html; charset=utf-8")


def test_no_page_shuts_anybody_out(rows, live_server):
    listed = visits(rows)
    # Nothing leads to them by an address, so they are given as they are rendered.
    request = RequestFactory().get("/")
    errors = {f"{name}.html": render_to_string(f"{name}.html", request=request) for name in ERROR_PAGES}
    axe, found, titles = Axe(), {}, {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=["--no-sandbox"])
        for number, window in enumerate(WINDOWS):
            for person in ("nobody", "alice", "sam"):
                page, seen = signed_in(browser, live_server.url, window, person), set()
                for place, visit in enumerate(each for each in listed if each.by == person):
                    # The second state of a page and the next ones are looked at in one of the windows.
                    if visit.name in seen and place % len(WINDOWS) != number:
                        continue
                    seen.add(visit.name)
                    page.goto(visit.address)
                    complete(page)
                    if not visit.name.startswith("admin:"):
                        titles.setdefault((window["locale"], page.title()), set()).add(visit.name)
                    if problems := problems_of(page, axe, window):
                        found[f"{visit.name} {visit.address} {window['locale']}"] = problems
                page.context.close()
        page = browser.new_context(base_url=live_server.url, **WINDOWS[0]).new_page()
        for name, html in errors.items():
            page.route(f"**/{name}", answer_with(html))
            page.goto(f"/{name}")
            if problems := problems_of(page, axe, WINDOWS[0]):
                found[name] = problems
        browser.close()
    assert found == {}
    assert {title: names for title, names in titles.items() if len(names) > 1} == {}
