"""What is poor in a picture, said to the person who reads the answer."""

from collections.abc import Collection

from django.utils.translation import gettext_lazy as _

from ml.preprocess import CANONICAL_SIZE
from ml.quality import QualityIssue

SENTENCES = {
    QualityIssue.TOO_SMALL: _(
        "The picture is small: its shorter side has fewer than the %(pixels)s pixels that the model looks at, so fine "
        "detail is missing."
    ),
    QualityIssue.CLIPPED: _(
        "A large part of the picture is plain black or plain white, so what was there can't be seen; it may have been "
        "under- or overexposed, or windowed too narrowly."
    ),
    QualityIssue.LOW_CONTRAST: _("The picture has almost no contrast: nearly all of it is of one grey."),
}


def sentences(codes: Collection[str]) -> dict[QualityIssue, str]:
    """Give a sentence for each of `codes`; codes of another version are passed over."""
    return {issue: SENTENCES[issue] % {"pixels": CANONICAL_SIZE} for issue in QualityIssue if issue in codes}
