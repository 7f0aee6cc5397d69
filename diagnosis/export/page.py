"""A report and its pictures → one tagged PDF page, the same bytes for the same answer."""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import cast

import typst
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models.fields.files import FieldFile
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from PIL import Image
from rest_framework.request import Request

from diagnosis import audit
from diagnosis.audit import Action
from diagnosis.export.report import Fact, Report, report_of
from diagnosis.files import StorageAway
from diagnosis.models import Prediction
from ml.preprocess import eight_bit

TEMPLATE = Path(settings.BASE_DIR, "templates", "diagnosis", "report.typ")

# What the page gives a picture, 84 × 74 mm, at 200 dots an inch.
MOST_PIXELS = (661, 583)

# As much of the heatmap as the page of the scan shows at first.
HEATMAP_STRENGTH = 0.6

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def report_response(prediction: Prediction, request: HttpRequest | Request) -> HttpResponse:
    """Give the report under a name that tells nothing of a person, and write down who got it.

    Raises NotFinished, StorageAway.
    """
    report = report_of(prediction, address=request.build_absolute_uri(prediction.scan.get_absolute_url()))
    pdf = typeset(report, pictures_of(prediction))
    audit.record(action=Action.EXPORTED, actor=cast(User, request.user), scan=prediction.scan, detail="PDF")
    headers = {
        "Content-Disposition": f'attachment; filename="report-{prediction.pk.hex[:8]}.pdf"',
        "X-Content-Type-Options": "nosniff",
    }
    return HttpResponse(pdf, content_type="application/pdf", headers=headers)


@dataclass(frozen=True)
class Shown:
    """A picture on the page; `ratio` is its width divided by its height, `svg` a drawing that holds nothing but it.

    The typesetting takes text alone, and an SVG is the text that a picture can be.
    """

    alt: str
    caption: str
    ratio: float
    svg: str


@lru_cache(maxsize=1)
def fonts() -> typst.Fonts:
    """Give the fonts that come with the typesetting, and for what these lack those of this machine."""
    return typst.Fonts()


def typeset(report: Report, pictures: list[Shown]) -> bytes:
    """Give the PDF. What the owner wrote in a script that no font here has is replaced by words that say so."""
    try:
        return _compiled(report, pictures)
    except typst.TypstError:
        without = without_unprintable(report)
        if without == report:
            raise
        return _compiled(without, pictures)


def _compiled(report: Report, pictures: list[Shown]) -> bytes:
    words = asdict(report) | {
        "limits": asdict(report.limits),
        "disclaimer": asdict(report.disclaimer),
        "pictures": [asdict(shown) for shown in pictures],
    }
    changed_at = words.pop("changed_at").replace(microsecond=0)
    return _pdf(TEMPLATE.read_bytes(), inputs={"report": json.dumps(words)}, timestamp=changed_at)


def _pdf(template: bytes, *, inputs: dict[str, str], timestamp: datetime) -> bytes:
    return typst.compile(
        template,
        format="pdf",
        font_paths=fonts(),
        sys_inputs=inputs,
        timestamp=timestamp,
        # For archives, and for readers who don't see the page.
        pdf_standards=["a-2a", "ua-1"],
    )


def without_unprintable(report: Report) -> Report:
    """Replace the owner's words that the fonts here can't show."""

    def checked(fact: Fact) -> Fact:
        words = fact.words if is_printable(fact.words) else gettext("(in letters that can't be printed here)")
        return Fact(fact.name, words)

    return replace(
        report,
        reference=checked(report.reference) if report.reference else None,
        scan=replace(report.scan, facts=[checked(fact) for fact in report.scan.facts]),
    )


def is_printable(words: str) -> bool:
    """Tell whether the fonts here have a sign for each character."""
    try:
        _pdf(b'#set document(title: "words")\n#sys.inputs.words', inputs={"words": words}, timestamp=EPOCH)
    except typst.TypstError:
        return False
    return True


def pictures_of(prediction: Prediction) -> list[Shown]:
    """Give the picture, and beside it the picture under its heatmap; none of what is missing or damaged."""
    with suppress(Unusable):
        picture = _for_print(prediction.scan.picture)
        found = [
            _shown(
                picture,
                alt=gettext("The X-ray of this scan, as it was stored"),
                caption=gettext("The picture as it was stored."),
            )
        ]
        if prediction.heatmap:
            with suppress(Unusable):
                found.append(
                    _shown(
                        _under_heatmap(picture, prediction.heatmap),
                        alt=gettext("The same picture under the heatmap: where the model looked"),
                        caption=gettext("The brighter a region, the more it counted (Grad-CAM)."),
                    )
                )
        return found
    return []


class Unusable(Exception):
    """A stored picture is missing or damaged, for good."""


@contextmanager
def _opened(stored: FieldFile) -> Iterator[Image.Image]:
    """Open a stored PNG. Raises Unusable, or StorageAway for what may pass."""
    try:
        with stored.storage.open(stored.name or "") as file, Image.open(file, formats=["PNG"]) as picture:
            picture.load()
            yield picture
    except StorageAway:
        raise
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises depends on what is damaged
        raise Unusable from error


def _for_print(stored: FieldFile) -> Image.Image:
    with _opened(stored) as picture:
        share = min(1.0, *(most / side for most, side in zip(MOST_PIXELS, picture.size, strict=True)))
        width, height = (max(1, round(share * side)) for side in picture.size)
        return eight_bit(picture, (width, height))


def _under_heatmap(picture: Image.Image, stored: FieldFile) -> Image.Image:
    """Lay the stored heatmap, stretched, over the grey `picture`; gives RGB of the same size."""
    with _opened(stored) as opened:
        heatmap = opened.convert("RGBA").resize(picture.size, Image.Resampling.BICUBIC)
    strength = heatmap.getchannel("A").point(lambda level: HEATMAP_STRENGTH * level)
    return Image.composite(heatmap.convert("RGB"), picture.convert("RGB"), strength)


def _shown(picture: Image.Image, *, alt: str, caption: str) -> Shown:
    buffer = io.BytesIO()
    # Colour at full resolution: the heatmap is all colour.
    options = {"subsampling": 0} if picture.mode == "RGB" else {}
    picture.save(buffer, "JPEG", quality=90, **options)
    jpeg, size = base64.b64encode(buffer.getvalue()).decode(), f'width="{picture.width}" height="{picture.height}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><image {size} href="data:image/jpeg;base64,{jpeg}"/></svg>'
    return Shown(alt=alt, caption=caption, ratio=picture.width / picture.height, svg=svg)
