"""Why a file that was given can't become a scan. Standard library only: the process that decodes DICOM says it too.

Sentences are written in English, with %(names) for their values, and translated when they are shown
(diagnosis/sentences.py); makemessages finds them as the second argument of Refusal.
"""

from typing import Any


class Explained(Exception):
    """Something that a person may read: a `sentence` and the `values` in it, texts and numbers; both may be kept.

    str() is the sentence in English, for programs and logs.
    """

    sentence: str
    values: dict[str, Any]

    def __str__(self) -> str:
        if not self.values:
            return self.sentence
        return self.sentence % {name: _written(value) for name, value in self.values.items()}


class Refusal(Explained):
    """The file can't become a scan; `code` is for programs, the one sentence is safe to show and to keep."""

    def __init__(self, code: str, sentence: str, **values: Any):
        super().__init__(code, sentence, values)
        self.code, self.sentence, self.values = code, sentence, values


class TooManyFiles(Explained):
    """More files than one upload may have; the text is safe to show. Nothing was stored."""

    def __init__(self, given: int, *, most: int) -> None:
        super().__init__(given, most)
        self.sentence = gettext_noop(
            "These are %(given)s files; at most %(most)s can be uploaded at once. Nothing was stored."
        )
        self.values = {"given": given, "most": most}


def gettext_noop(text: str) -> str:
    """Mark `text` for translation, as Django's function of this name, which can't be loaded here."""
    return text


def damaged() -> Refusal:
    """Its bytes don't make a picture."""
    return Refusal("DAMAGED", "This picture is damaged or cut short; export or download it again and upload that.")


def too_many_pixels(sentence: str, **values: Any) -> Refusal:
    """Decoding it would cost more than is allowed; `sentence` says how many it has."""
    return Refusal("TOO_MANY_PIXELS", sentence, **values)


def check_sides(kind: str, width: int, height: int, *, max_pixels: float, min_side: int) -> None:
    """Refuse a `kind` of picture by the `width` and `height` that it claims, before any pixel is decoded."""
    if width * height > max_pixels:
        raise too_many_pixels(
            "This %(kind)s picture has %(width)s × %(height)s pixels and at most %(millions)s million are accepted; "
            "scale it down and upload it again.",
            kind=kind,
            width=width,
            height=height,
            millions=max_pixels / 1e6,
        )
    if min(width, height) < min_side:
        raise Refusal(
            "TOO_SMALL",
            "This picture has %(width)s × %(height)s pixels and each side must have at least %(least)s; "
            "upload the X-ray in its full size.",
            width=width,
            height=height,
            least=min_side,
        )


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
