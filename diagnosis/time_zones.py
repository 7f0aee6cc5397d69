"""The time zones that a person may live in."""

import zoneinfo
from functools import cache

# The others are other names of these, or offsets that know no summer time.
REGIONS = (
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
)


@cache
def all_names() -> frozenset[str]:
    """Give the names of all zones that this machine knows, but for its own; reading them takes a moment, so once."""
    return frozenset(zoneinfo.available_timezones() - {"localtime"})


def zone_named(name: str) -> zoneinfo.ZoneInfo | None:
    """Give the zone of this name, None for anything else: whatever a browser sends is looked up, never opened."""
    return zoneinfo.ZoneInfo(name) if name in all_names() else None


def names_by_region() -> list[tuple[str, list[tuple[str, str]]]]:
    """Give each region with the names to choose from, as choices of a form: (name, the place in words)."""
    names = sorted(all_names())
    return [(region, [(name, _place(name)) for name in names if name.startswith(f"{region}/")]) for region in REGIONS]


def _place(name: str) -> str:
    return name.partition("/")[2].replace("_", " ").replace("/", ", ")
