"""Pages with a thousand, a hundred thousand and a million predictions in PostgreSQL: time, and number of queries.

Each size is a database of its own, beside the others in one server; the requests go through Django's test client, in
turns over the sizes.
"""

import html
import re
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.measure import interleaved, milliseconds, say
from bench.report import Report
from bench.site import full_site, work_folder

if TYPE_CHECKING:
    from diagnosis.tests.seeding import Seeded

SIZES = (1_000, 100_000, 1_000_000)
QUICK_SIZES = (1_000, 20_000)

PAGES = {
    "history_few": "history of somebody with 10 scans",
    "history_many": "history of somebody with half of all scans",
    "history_many_older": "its next page",
    "history_many_pneumonia": "the same, narrowed to PNEUMONIA",
    "history_many_normal": "narrowed to NORMAL, which only old scans have",
    "history_many_failed": "narrowed to what was not answered, which is rare and old",
    "history_many_search": "searched for a part of a file's name",
    "api_scans": "API: list of that person's scans",
    "api_scans_failed": "API: narrowed to what was not answered",
    "scan_detail": "a scan with its answer",
    "poll": "the fragment that an open page asks for",
    "admin_predictions": "admin: list of predictions",
    "admin_predictions_by_probability": "admin: list of predictions, sorted by probability",
    "admin_predictions_normal": "admin: predictions narrowed to NORMAL, which only old ones have",
    "admin_predictions_failed": "admin: predictions narrowed to what was not answered",
    "admin_predictions_corrected": "admin: predictions narrowed to the corrected ones",
    "admin_predictions_near": "admin: predictions narrowed to those near the operating point",
    "admin_predictions_of_many": "admin: predictions of somebody with half of all scans",
    "admin_predictions_of_former": "admin: predictions of somebody who gave many, long ago",
    "admin_predictions_search_owner": "admin: predictions searched by that person's name",
    "admin_predictions_search_file": "admin: predictions searched by a part of a file's name",
    "admin_scans": "admin: list of scans",
    "admin_scans_normal": "admin: scans narrowed to NORMAL, which only old ones have",
    "admin_scans_failed": "admin: scans narrowed to what was not answered",
    "admin_scans_search_owner": "admin: scans searched by the name of somebody who gave many, long ago",
    "admin_scans_search_file": "admin: scans searched by a part of a file's name",
    "admin_prediction": "admin: a prediction",
}


def measure(report: Report) -> None:
    """Fill the databases, then ask for every page in turns."""
    sizes = QUICK_SIZES if report.options.quick else SIZES
    with work_folder() as folder, full_site(folder):
        databases = filled(sizes)
        visits: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {}
        for rows, (use, seeded) in databases.items():
            use()
            visits |= {f"{page}.{rows}": (use, visit) for page, visit in visits_to_pages(seeded).items()}
        subjects = {name: partial(timed, *visit) for name, visit in visits.items()}
        # By page, then by size: what is compared runs side by side.
        order = sorted(subjects, key=lambda name: list(PAGES).index(name.split(".")[0]))
        for name in order:
            subjects[name]()  # compiles templates, fills caches
        rounds = report.options.rounds(20, quick=3)
        found = interleaved({name: subjects[name] for name in order}, rounds=rounds, failed=report.fail)
        for name, values in found.items():
            page, count = name.split(".")
            what = f"{PAGES[page]}, {int(count):,} predictions"
            report.add(name, what, "ms", values)
            report.add(f"{name}.queries", what, "queries", [queries(*visits[name])])
            report.add(f"{name}.size", what, "KiB", [size(*visits[name])])
    report.note("What is rare fills no page among a thousand predictions; such pages are compared with none.")
    report.note("The time is that of Django and PostgreSQL, without the web server. PostgreSQL has its usual settings.")


def filled(sizes: tuple[int, ...]) -> dict[int, tuple[Callable[[], None], "Seeded"]]:
    """Make a filled database of each size; give what makes it the one that Django uses, and what is in it."""
    from django.db import connections

    from diagnosis.tests.seeding import seed

    first = connections["default"]
    first.close()
    databases: dict[int, tuple[Callable[[], None], Seeded]] = {}
    for rows in sizes:
        name = f"rows_{rows}"
        with first._nodb_cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{first.settings_dict["NAME"]}"')
        wrapper = type(first)({**first.settings_dict, "NAME": name}, "default")
        use = partial(connections.__setitem__, "default", wrapper)
        use()
        began = time.monotonic()
        databases[rows] = use, seed(rows)
        say(f"  {rows:,} predictions written in {time.monotonic() - began:.0f} s")
    return databases


def visits_to_pages(seeded: "Seeded") -> dict[str, Callable[[], Any]]:
    """Give a request for each page of the database that is in use."""
    from diagnosis import services
    from diagnosis.models import ModelVersion, Scan
    from diagnosis.states import State, Trigger
    from diagnosis.tests.factories import person

    many, few = signed_in(person(seeded.much)), signed_in(person(seeded.few))
    former, program = person(seeded.former), program_of(person(seeded.much))
    staff = signed_in(person("sam", is_staff=True, is_superuser=True))
    waiting, answered = Scan.objects.filter(owner__username=seeded.much, latest_prediction__state=State.SUCCEEDED)[:2]
    services.request_prediction(
        scan=waiting, model_version=ModelVersion.objects.get(is_active=True), trigger=Trigger.ADMIN, enqueue=False
    )
    predictions, scans = "/admin/diagnosis/prediction/", "/admin/diagnosis/scan/"
    older = re.search(r'rel="next"[^>]*href="([^"]+)"', many.get("/scans/").content.decode())
    return {
        "history_few": partial(few.get, "/scans/"),
        "history_many": partial(many.get, "/scans/"),
        **({"history_many_older": partial(many.get, f"/scans/{html.unescape(older[1])}")} if older else {}),
        "history_many_pneumonia": partial(many.get, "/scans/?label=PNEUMONIA"),
        "history_many_normal": partial(many.get, "/scans/?label=NORMAL"),
        "history_many_failed": partial(many.get, "/scans/?state=FAILED"),
        "history_many_search": partial(many.get, "/scans/?q=IM-0000030"),
        "api_scans": partial(program.get, "/api/v1/scans/"),
        "api_scans_failed": partial(program.get, "/api/v1/scans/?state=FAILED"),
        "scan_detail": partial(many.get, answered.get_absolute_url()),
        "poll": partial(many.get, f"{waiting.get_absolute_url()}status/?seen=QUEUED"),
        "admin_predictions": partial(staff.get, predictions),
        "admin_predictions_by_probability": partial(staff.get, f"{predictions}?o=-5"),
        "admin_predictions_normal": partial(staff.get, f"{predictions}?label__exact=NORMAL"),
        "admin_predictions_failed": partial(staff.get, f"{predictions}?state__exact=FAILED"),
        "admin_predictions_corrected": partial(staff.get, f"{predictions}?review=corrected"),
        "admin_predictions_near": partial(staff.get, f"{predictions}?probability=near"),
        "admin_predictions_of_many": partial(
            staff.get, f"{predictions}?scan__owner__id__exact={person(seeded.much).pk}"
        ),
        "admin_predictions_of_former": partial(staff.get, f"{predictions}?scan__owner__id__exact={former.pk}"),
        "admin_predictions_search_owner": partial(staff.get, f"{predictions}?q={former.get_username()}"),
        "admin_predictions_search_file": partial(staff.get, f"{predictions}?q=IM-0000030"),
        "admin_scans": partial(staff.get, scans),
        "admin_scans_normal": partial(staff.get, f"{scans}?latest_prediction__label__exact=NORMAL"),
        "admin_scans_failed": partial(staff.get, f"{scans}?latest_prediction__state__exact=FAILED"),
        "admin_scans_search_owner": partial(staff.get, f"{scans}?q={former.get_username()}"),
        "admin_scans_search_file": partial(staff.get, f"{scans}?q=IM-0000030"),
        "admin_prediction": partial(staff.get, f"{predictions}{answered.latest_prediction_id}/change/"),
    }


def program_of(user: Any) -> Any:
    """Give a client that sends a token of `user`, of whom it is the only one."""
    from django.test import Client

    from diagnosis.tokens import ApiToken

    _, secret = ApiToken.objects.issue(user=user, lifetime=None)
    return Client(headers={"Authorization": f"Bearer {secret}"})


def signed_in(user: Any) -> Any:
    """Give the browser of `user` in the database that is in use."""
    from django.test import Client

    client = Client()
    client.force_login(user)
    return client


def timed(use: Callable[[], None], visit: Callable[[], Any]) -> float:
    """Ask for a page; connecting is not part of it."""
    from django.db import connection

    use()
    connection.ensure_connection()
    return milliseconds(partial(checked, visit))


def size(use: Callable[[], None], visit: Callable[[], Any]) -> float:
    """Weigh a page in KiB: it tells whether a list is full."""
    use()
    return len(visit().content) / 1024


def queries(use: Callable[[], None], visit: Callable[[], Any]) -> int:
    """Count the queries of a page."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    use()
    with CaptureQueriesContext(connection) as captured:
        checked(visit)
    return len(captured)


def checked(visit: Callable[[], Any]) -> None:
    """A page of an error would be fast."""
    response = visit()
    if response.status_code not in (200, 204):
        raise RuntimeError(f"The page has status {response.status_code}.")
