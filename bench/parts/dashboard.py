"""The staff's dashboard with a thousand, a hundred thousand and a million predictions in PostgreSQL.

The page reads what was counted of each day; so the counting is measured too: all days once, and the present day again,
as beat has it done.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.measure import interleaved, milliseconds, say
from bench.parts.pages import QUICK_SIZES, SIZES, filled, queries, signed_in, timed
from bench.report import Report
from bench.site import full_site, work_folder

PAGES = {"month": ("/dashboard/?days=30", "the last 30 days"), "year": ("/dashboard/?days=365", "the last 365 days")}


def measure(report: Report) -> None:
    """Fill the databases and count their days, then ask for the page in turns."""
    sizes = QUICK_SIZES if report.options.quick else SIZES
    with work_folder() as folder, full_site(folder):
        from diagnosis.dashboard.counting import count_days
        from diagnosis.tests.factories import person

        databases = filled(sizes)
        visits: dict[str, tuple[Callable[[], None], Callable[[], Any]]] = {}
        for rows, (use, _seeded) in databases.items():
            use()
            began = time.perf_counter()
            days = count_days().days
            report.add(
                f"count.{rows}", f"counting all {days} days, {rows:,} predictions", "s", [time.perf_counter() - began]
            )
            staff = signed_in(person("sam", is_staff=True, is_superuser=True))
            visits |= {f"{page}.{rows}": (use, partial(staff.get, PAGES[page][0])) for page in PAGES}
        subjects = {name: partial(timed, *visit) for name, visit in visits.items()}
        order = sorted(subjects, key=lambda name: list(PAGES).index(name.split(".")[0]))
        for name in order:
            subjects[name]()  # compiles templates, fills caches
        rounds = report.options.rounds(20, quick=3)
        found = interleaved({name: subjects[name] for name in order}, rounds=rounds, failed=report.fail)
        for name, values in found.items():
            page, count = name.split(".")
            what = f"the dashboard, {PAGES[page][1]}, {int(count):,} predictions"
            report.add(name, what, "ms", values)
            report.add(f"{name}.queries", what, "queries", [queries(*visits[name])])
        for rows, (use, _seeded) in databases.items():
            use()
            say(f"  counting today again, {rows:,} predictions")
            again = [milliseconds(count_days) for _ in range(report.options.rounds(5))]
            report.add(f"today.{rows}", f"counting today again, {rows:,} predictions", "ms", again)
    report.note(
        "The time is that of Django and PostgreSQL, without the web server and without the fragment that asks the "
        "workers, which waits a second for them. Today has as many predictions as any day; its count grows with them."
    )
