"""One answer as words: all that its printed page says, in the language and the time zone that are active."""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import get_language, gettext

from diagnosis.models import Label, Prediction, Review, Scan
from diagnosis.states import FailureReason
from diagnosis.templatetags.probabilities import percent

# Names of files may be as long as the page is wide several times, without a space.
LONGEST_NAME = 72
LONGEST_WORD = 16

# What no page shows, or what turns the direction of all that follows: control characters, ends of lines and
# paragraphs, overrides of direction, halves of characters.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class NotFinished(Exception):
    """The prediction waits or is being read, so there is nothing to report; the text is safe to show."""

    def __init__(self) -> None:
        super().__init__(gettext("There is no report before the answer. Ask again when it is there."))


@dataclass(frozen=True)
class Fact:
    """Something known, and what it is called."""

    name: str
    words: str


@dataclass(frozen=True)
class Part:
    """Facts under a title."""

    title: str
    facts: list[Fact]


@dataclass(frozen=True)
class Note:
    """A sentence or two behind the few words that they begin with."""

    title: str
    words: str


@dataclass(frozen=True)
class Answer:
    """The label with its numbers; probabilities are 0..1, `band` is the uncertain one from low to high."""

    label: str
    is_pneumonia: bool
    uncertain: str
    sentence: str
    probability_name: str
    probability_words: str
    probability: float
    threshold: float
    band: tuple[float, float] | None
    bar_note: str
    bar_ends: tuple[str, str]


@dataclass(frozen=True)
class Report:
    """Everything on the page but the pictures; nobody's name is in it, unless the owner wrote one into the reference.

    `changed_at` is when the last of it came about.
    """

    changed_at: datetime
    language: str
    address: str
    answer: Answer | None
    answer_title: str
    sentences: list[str]
    reading: Part
    scan: Part
    quality: list[str]
    reference: Fact | None
    title: str = field(default_factory=lambda: gettext("Report of one answer"))
    site: str = field(default_factory=lambda: gettext("Chest X-ray reader"))
    kind: str = field(default_factory=lambda: gettext("Education and research only. Not a medical device."))
    quality_title: str = field(
        default_factory=lambda: gettext("The picture itself is poor, which makes any answer less sure.")
    )
    no_picture: str = field(default_factory=lambda: gettext("The stored picture is missing or damaged."))
    link_name: str = field(default_factory=lambda: gettext("This scan on the site, for those who may see it:"))

    @property
    def limits(self) -> Note:
        """Say what the model can't know."""
        return Note(
            gettext("What it can't know."),
            gettext(
                "It learnt from frontal X-rays of children aged 1–5 years in one hospital. Adults, other hospitals and "
                "other views are out of its scope, and a probability is about pictures like those, not about this "
                "person. A heatmap is not a localisation: it is coarse, may lie beside what a reader would point at, "
                "and is bright somewhere also where nothing is ill."
            ),
        )

    @property
    def disclaimer(self) -> Note:
        """Say what it is not."""
        return Note(
            gettext("Not a medical device."),
            gettext(
                "For education and research only; never use an answer to decide about a person's care. It is no "
                "diagnosis: a radiologist sees more than this model, and knows the patient."
            ),
        )


def report_of(prediction: Prediction, *, address: str) -> Report:
    """Put a prediction that has ended into words; `address` is that of its scan's page. Raises NotFinished."""
    if not prediction.is_terminal:
        raise NotFinished
    reviews = list(prediction.reviews.all())
    is_answered = prediction.probability is not None
    return Report(
        changed_at=max(moment for moment in (prediction.finished_at, *(r.created_at for r in reviews)) if moment),
        language=(get_language() or "en").split("-")[0],
        address=address,
        answer=answer_of(prediction) if is_answered else None,
        answer_title=gettext("The model's answer") if is_answered else refusal_of(prediction),
        sentences=sentences_of(prediction),
        reading=Part(gettext("This answer"), reading_of(prediction, reviews)),
        scan=Part(gettext("This picture"), scan_of(prediction.scan)),
        quality=[str(sentence) for sentence in prediction.scan.quality_sentences],
        reference=reference_of(prediction.scan),
    )


def answer_of(prediction: Prediction) -> Answer:
    """Give the label with its numbers, as the page of the scan does."""
    # An answer has both; a constraint of the database says so.
    probability, threshold = cast(float, prediction.probability), cast(float, prediction.threshold)
    sure = percent(cast(float, prediction.confidence))
    if prediction.is_pneumonia:
        sentence = gettext("The model is %(sure)s confident that the picture shows signs of pneumonia.")
    else:
        sentence = gettext("The model is %(sure)s confident that the picture shows no signs of pneumonia.")
    return Answer(
        label=str(prediction.get_label_display()),
        is_pneumonia=prediction.is_pneumonia,
        uncertain=gettext("Uncertain — ask a human reader") if prediction.is_uncertain else "",
        sentence=sentence % {"sure": sure},
        probability_name=gettext("Calibrated probability of pneumonia:"),
        probability_words=percent(probability),
        probability=probability,
        threshold=threshold,
        band=band_of(prediction),
        bar_note=gettext("operating point %(share)s") % {"share": percent(threshold)},
        bar_ends=(f"0\N{NO-BREAK SPACE}% · {Label.NORMAL.label}", f"{Label.PNEUMONIA.label} · 100\N{NO-BREAK SPACE}%"),
    )


def band_of(prediction: Prediction) -> tuple[float, float] | None:
    """Give the uncertain band of the version that answered, if it has one."""
    low, high = prediction.model_version.uncertain_low, prediction.model_version.uncertain_high
    return None if low is None or high is None else (low, high)


def refusal_of(prediction: Prediction) -> str:
    """Say in a few words that there is no answer."""
    if prediction.reason == FailureReason.NOT_A_CHEST_XRAY:
        return gettext("No answer: not a frontal chest X-ray")
    return gettext("No answer")


def sentences_of(prediction: Prediction) -> list[str]:
    """Explain the answer, or why there is none."""
    if prediction.probability is None:
        return [str(prediction.get_reason_display()), *advice_on(prediction.reason)]
    label, share = prediction.get_label_display().lower(), percent(prediction.threshold or 0)
    if prediction.is_pneumonia:
        place = gettext("At or above the operating point of %(share)s, this model version says %(label)s.")
    else:
        place = gettext("Below the operating point of %(share)s, this model version says %(label)s.")
    found = [place % {"share": share, "label": label}]
    if band := band_of(prediction):
        low, high = (percent(edge) for edge in band)
        if prediction.is_uncertain:
            inside = gettext(
                "The probability lies in the hatched uncertain band, from %(low)s to %(high)s. There the label is the "
                "least sure: have a radiologist look at the picture."
            )
        else:
            inside = gettext("The hatched band, %(low)s to %(high)s, is where it is uncertain.")
        found.append(inside % {"low": low, "high": high})
    if not prediction.is_uncertain and (prediction.confidence or 1) < 0.5:
        found.append(
            gettext(
                "A close call: the label changes at the operating point, not at 50 %, and the probability lies between "
                "the two."
            )
        )
    return [" ".join(found)]


def advice_on(reason: str) -> list[str]:
    """Say what a refusal means and what to do about it."""
    if reason != FailureReason.NOT_A_CHEST_XRAY:
        return []
    return [
        gettext(
            "The picture is unlike the chest X-rays that the model learnt from, so an answer would mean nothing. Most "
            "photographs, documents, other parts of the body, side views, CT and MRI, pictures in colour and inverted "
            "ones end here. Now and then a real chest X-ray does too."
        ),
        gettext(
            "Upload the frontal chest X-ray itself, as the machine or the viewer exports it: whole, upright, bones "
            "bright. Not a photograph of a screen or of a film."
        ),
    ]


def reading_of(prediction: Prediction, reviews: list[Review]) -> list[Fact]:
    """Tell who answered and when, and what readers said."""
    version = prediction.model_version
    found = [
        Fact(gettext("Model"), breakable(f"{version.name} {version.short_sha256}")),
        Fact(gettext("Asked"), moment_words(prediction.requested_at)),
        Fact(gettext("Read"), moment_words(prediction.finished_at)),
    ]
    if prediction.probability is None:
        found.append(Fact(gettext("Reason"), prediction.reason))
    else:
        found.append(Fact(gettext("Operating point"), percent(prediction.threshold or 0)))
        if band := band_of(prediction):
            low, high = (percent(edge) for edge in band)
            found.append(Fact(gettext("Uncertain band"), gettext("%(low)s to %(high)s") % {"low": low, "high": high}))
        found.append(Fact(gettext("Review"), review_words(reviews)))
    return found


def review_words(reviews: list[Review]) -> str:
    """Say how many people reviewed the answer and what they see, without a name.

    `reviews` come newest first; of each reader the last one counts.
    """
    if not reviews:
        return gettext("Not reviewed yet.")
    last: dict[object, Review] = {}
    for review in reviews:
        # A reader whose account is gone can't be told from another such one.
        last.setdefault(review.reviewer_id or ("gone", review.pk), review)
    date = date_format(timezone.localtime(reviews[0].created_at), "DATE_FORMAT")
    if len(last) == 1:
        verdict = verdict_words(agrees=reviews[0].agrees, label=reviews[0].get_label_display())
        return gettext("Reviewed by a reader on %(date)s: %(verdict)s.") % {"date": date, "verdict": verdict}
    verdicts = [verdict_words(agrees=review.agrees, label=review.get_label_display()) for review in last.values()]
    return gettext("Reviewed by %(count)d readers, last on %(date)s (%(verdicts)s).") % {
        "count": len(last),
        "date": date,
        "verdicts": "; ".join(f"{verdict}: {number}" for verdict, number in Counter(verdicts).most_common()),
    }


def verdict_words(*, agrees: bool, label: str) -> str:
    """Say what a reader makes of the answer."""
    return gettext("agrees") if agrees else gettext("reads it as %(label)s") % {"label": label}


def reference_of(scan: Scan) -> Fact | None:
    """Give the owner's own words for the scan."""
    return Fact(gettext("Reference"), breakable(scan.reference)) if scan.reference else None


def scan_of(scan: Scan) -> list[Fact]:
    """Tell of the picture, with what was kept of a DICOM file."""
    found = [
        Fact(gettext("File"), breakable(shortened(scan.file_name))),
        Fact(
            gettext("Size"),
            gettext("%(width)d × %(height)d pixels") % {"width": scan.width, "height": scan.height},
        ),
        Fact(gettext("Uploaded"), moment_words(scan.created_at)),
    ]
    if scan.is_dicom:
        unknown = gettext("not said")
        found += [
            Fact(gettext("Modality"), scan.modality or unknown),
            Fact(gettext("View"), scan.view_position or unknown),
            Fact(gettext("Pixel spacing"), scan.spacing_in_words or unknown),
            Fact(gettext("Patient's age"), scan.age_in_words or unknown),
        ]
    return found


def moment_words(moment: datetime | None) -> str:
    """Give a moment as people read it; "" for none."""
    return date_format(timezone.localtime(moment), "DATETIME_FORMAT") if moment else ""


def shortened(name: str) -> str:
    """Leave out the middle of a long name: its end tells the kind of file."""
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def breakable(text: str) -> str:
    """Let a line end within words that are longer than a line; no control character is left."""
    return re.sub(rf"(\S{{{LONGEST_WORD}}})(?=\S)", "\\1\N{ZERO WIDTH SPACE}", UNSEEN.sub(" ", text))
