"""Why a file that was given can't become a scan. Standard library only: the process that decodes DICOM says it too."""


class Refusal(Exception):
    """The file can't become a scan; `code` is for programs, str() is one sentence that is safe to show and to keep."""

    def __init__(self, code: str, sentence: str):
        super().__init__(code, sentence)
        self.code = code

    def __str__(self) -> str:
        return self.args[1]


class TooManyFiles(Exception):
    """More files than one upload may have; the text is safe to show. Nothing was stored."""

    def __init__(self, given: int, *, most: int) -> None:
        super().__init__(f"These are {given} files; at most {most} can be uploaded at once. Nothing was stored.")


def damaged() -> Refusal:
    """Its bytes don't make a picture."""
    return Refusal("DAMAGED", "This picture is damaged or cut short; export or download it again and upload that.")


def too_many_pixels(what: str) -> Refusal:
    """Decoding it would cost more than is allowed; `what` says how many it has."""
    return Refusal("TOO_MANY_PIXELS", f"{what}; scale it down and upload it again.")


def check_sides(kind: str, width: int, height: int, *, max_pixels: float, min_side: int) -> None:
    """Refuse a `kind` of picture by the `width` and `height` that it claims, before any pixel is decoded."""
    if width * height > max_pixels:
        raise too_many_pixels(
            f"This {kind} picture has {width:,} × {height:,} pixels and at most {max_pixels / 1e6:g} million are "
            "accepted"
        )
    if min(width, height) < min_side:
        raise Refusal(
            "TOO_SMALL",
            f"This picture has {width:,} × {height:,} pixels and each side must have at least {min_side}; "
            "upload the X-ray in its full size.",
        )
