"""Everything of a person as one ZIP archive, written while it is sent: neither it nor a file of it is held whole."""

import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, cast

from allauth.account.models import EmailAddress
from django.core.files.base import File
from django.db.models.fields.files import FieldFile
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext

from diagnosis.audit.reading import events_of, told
from diagnosis.batch import oldest_first
from diagnosis.export import history
from diagnosis.models import Preferences, Review, Upload
from diagnosis.tokens import ApiToken

# Bytes of a stored file that are read at a time, and that are sent at once.
PIECE = 256 * 1024


@dataclass(frozen=True)
class Member:
    """A file of the archive; pictures are packed by themselves, words are worth packing."""

    name: str
    parts: Iterable[bytes]
    made_at: datetime
    is_packed: bool = False

    def entry(self) -> zipfile.ZipInfo:
        """Describe it to the archive."""
        entry = zipfile.ZipInfo(self.name, self.made_at.astimezone(UTC).timetuple()[:6])
        entry.compress_type = zipfile.ZIP_STORED if self.is_packed else zipfile.ZIP_DEFLATED
        return entry


class Outlet:
    """What an archive has written since it was last taken; without a way back, so that the archive doesn't seek."""

    def __init__(self) -> None:
        self._written = bytearray()

    def __len__(self) -> int:
        return len(self._written)

    def write(self, data: bytes) -> int:
        """Add to it."""
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: all is there at once."""

    def take(self) -> bytes:
        """Give it, and begin anew."""
        taken, self._written = bytes(self._written), bytearray()
        return taken


def zipped(members: Iterable[Member]) -> Iterator[bytes]:
    """Give the archive of `members` piece by piece; each is asked for when the ones before it are written."""
    outlet = Outlet()
    with zipfile.ZipFile(cast(IO[bytes], outlet), "w") as archive:
        for member in members:
            with archive.open(member.entry(), "w") as place:
                for part in member.parts:
                    place.write(part)
                    if len(outlet) >= PIECE:
                        yield outlet.take()
    yield outlet.take()


def everything_of(owner: Any, request: HttpRequest) -> Iterator[bytes]:
    """Give the archive of all that the site holds of `owner`; addresses in it are on the site of `request`."""
    return zipped(_members(owner, request))


def _members(owner: Any, request: HttpRequest) -> Iterator[Member]:
    now = timezone.now()
    lost: list[str] = []
    yield Member("README.txt", [read_me(owner, now).encode()], now)
    yield Member("account.json", [_json(account_of(owner))], now)
    yield Member("scans.json", history.as_json(owner, request), now)
    yield Member("scans.csv", history.as_csv(owner), now)
    yield Member("uploads.json", _list(uploads_of(owner)), now)
    yield Member("reviews.json", _list(reviews_by(owner)), now)
    yield Member("events.json", _list(events_about(owner)), now)
    yield from _files_of(owner, lost)
    if lost:
        yield Member("MISSING.txt", ["".join(f"{line}\n" for line in lost).encode()], now)


def _files_of(owner: Any, lost: list[str]) -> Iterator[Member]:
    """Give every stored file; into `lost` comes a line for each that can't be had."""
    for scan in history.scans_of(owner):
        yield from _file(f"pictures/{scan.pk}.png", scan.picture, scan.created_at, lost)
        for prediction in scan.predictions.all():
            if prediction.heatmap:
                made_at = prediction.finished_at or prediction.requested_at
                yield from _file(f"heatmaps/{prediction.pk}.png", prediction.heatmap, made_at, lost)


def _file(name: str, stored: FieldFile, made_at: datetime, lost: list[str]) -> Iterator[Member]:
    try:
        file = stored.storage.open(stored.name or "")
    except FileNotFoundError:
        lost.append(f"{name}: " + gettext("the file is missing in the storage of the site."))
    except OSError:
        lost.append(f"{name}: " + gettext("the storage of the site could not be reached; try again later."))
    else:
        with file:
            yield Member(name, _pieces(file, name, lost), made_at, is_packed=True)


def _pieces(file: File, name: str, lost: list[str]) -> Iterator[bytes]:
    try:
        yield from file.chunks(PIECE)
    except OSError:
        lost.append(f"{name}: " + gettext("the file could not be read to its end; what is here is cut short."))


def account_of(owner: Any) -> dict[str, Any]:
    """Tell all that the site keeps of the account itself; of the password and the token it keeps only hashes."""
    token = ApiToken.objects.filter(user=owner).first()
    preferences = Preferences.of(owner)
    return {
        "user_name": owner.get_username(),
        "first_name": owner.first_name,
        "last_name": owner.last_name,
        "email": owner.email,
        "email_addresses": [
            {"email": address.email, "verified": address.verified, "primary": address.primary}
            for address in EmailAddress.objects.filter(user=owner).order_by("pk")
        ],
        "language": preferences.language or None,
        "time_zone": preferences.time_zone or None,
        "joined_at": _iso(owner.date_joined),
        "last_signed_in_at": _iso(owner.last_login),
        "is_staff": owner.is_staff,
        "groups": list(owner.groups.order_by("name").values_list("name", flat=True)),
        "api_token": token
        and {
            "made_at": _iso(token.created_at),
            "last_used_at": _iso(token.last_used_at),
            "expires_at": _iso(token.expires_at),
        },
    }


def uploads_of(owner: Any) -> Iterator[dict[str, Any]]:
    """Tell of each time that several files were given at once."""
    for upload in oldest_first(Upload.objects.filter(owner=owner).prefetch_related("scans"), by="created_at"):
        yield {
            "id": str(upload.pk),
            "given_at": _iso(upload.created_at),
            "files": upload.given,
            "files_that_were_here_before": upload.known,
            "refused": upload.refused,
            "scans": [str(scan.pk) for scan in upload.scans.all()],
        }


def reviews_by(owner: Any) -> Iterator[dict[str, Any]]:
    """Tell of each review that `owner` wrote as a reader; of the scans, which may be others', the answer's id alone."""
    for review in oldest_first(Review.objects.filter(reviewer=owner), by="created_at"):
        yield {
            "prediction": str(review.prediction_id),
            "label": review.label,
            "note": review.note,
            "created_at": _iso(review.created_at),
        }


def events_about(owner: Any) -> Iterator[dict[str, Any]]:
    """Tell what was done with the scans and the account of `owner`; of others, as on the pages, their role alone."""
    for event in oldest_first(events_of(owner=owner), by="at"):
        [shown] = told([event], reader=owner)
        yield {
            "at": _iso(event.at),
            "action": event.action,
            "who": shown.who,
            "scan": str(shown.scan.pk) if shown.scan else None,
            "detail": event.detail,
        }


def read_me(owner: Any, now: datetime) -> str:
    """Explain each file of the archive."""
    files = {
        "account.json": gettext(
            "your account: names, email addresses, language, time zone, dates; never a password or a token"
        ),
        "scans.json": gettext("every scan with every answer and what readers said of it, in the words of the API"),
        "scans.csv": gettext("the same as a table for spreadsheets, a row for each answer; the columns are below"),
        "uploads.json": gettext("uploads of several files at once, with what was refused and why"),
        "reviews.json": gettext("reviews that you wrote, if you review"),
        "events.json": gettext("what was done with your scans and your account, when, by you, by staff or by readers"),
        "pictures/": gettext("every picture as it is stored, named by the id of its scan; 8 or 16 bits of grey"),
        "heatmaps/": gettext("every heatmap, named by the id of its answer; transparent, to lay over the picture"),
        "MISSING.txt": gettext("only there if a file could not be had: which one, and why"),
    }
    title = gettext("Everything that this site holds of %(name)s, as of %(moment)s") % {
        "name": owner.get_username(),
        "moment": _iso(now),
    }
    left_out = gettext(
        "Left out are what is made of a picture and can be made again: small pictures for lists, and what the model "
        "reads. The files that were uploaded are not kept, only their pixels. Times are in ISO 8601 with their zone; "
        "text is UTF-8."
    )
    warning = gettext(
        "For education and research only. Not a medical device: never use an answer to decide about a person's care."
    )
    columns = gettext("Columns of scans.csv")
    return "\n".join(
        [
            title,
            "",
            warning,
            "",
            *(f"{name:<14}{words}" for name, words in files.items()),
            "",
            left_out,
            "",
            f"{columns}:",
            *(f"  {name:<28}{words}" for name, words in history.COLUMNS.items()),
            "",
        ]
    )


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def _list(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """Give a JSON list, row by row."""
    start = "[\n"
    for row in rows:
        yield f"{start}{json.dumps(row, ensure_ascii=False)}".encode()
        start = ",\n"
    yield b"[]\n" if start == "[\n" else b"\n]\n"
