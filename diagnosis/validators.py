"""What a field of a row may hold, where its type alone does not say it."""

from django.core.exceptions import ValidationError

from ml.quality import QualityIssue


def check_quality_issues(codes: object) -> None:
    """Raise ValidationError unless `codes` is a list of distinct codes of ml.quality."""
    known = [issue.value for issue in QualityIssue]
    if not isinstance(codes, list) or any(code not in known or codes.count(code) > 1 for code in codes):
        raise ValidationError("This is no list of known codes, each once.", code="unknown_quality_issue")


def check_refused(files: object) -> None:
    """Raise ValidationError unless `files` is a list of objects that each hold the texts file, code and sentence."""
    texts = {"file", "code", "sentence"}
    if not isinstance(files, list) or not all(
        isinstance(file, dict) and set(file) == texts and all(isinstance(text, str) for text in file.values())
        for file in files
    ):
        raise ValidationError("This is no list of refused files.", code="unknown_refusal")
