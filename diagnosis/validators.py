"""What a field of a row may hold, where its type alone does not say it."""

from django.core.exceptions import ValidationError

from ml.quality import QualityIssue


def check_quality_issues(codes: object) -> None:
    """Raise ValidationError unless `codes` is a list of distinct codes of ml.quality."""
    known = [issue.value for issue in QualityIssue]
    if not isinstance(codes, list) or any(code not in known or codes.count(code) > 1 for code in codes):
        raise ValidationError("This is no list of known codes, each once.", code="unknown_quality_issue")


def check_refused(files: object) -> None:
    """Raise ValidationError unless `files` is a list of objects that each are one refused file."""
    if not isinstance(files, list) or not all(map(_is_refused, files)):
        raise ValidationError("This is no list of refused files.", code="unknown_refusal")


def _is_refused(file: object) -> bool:
    """Tell whether `file` holds the texts file, code and sentence, and the values in the sentence, if it has any."""
    if not isinstance(file, dict):
        return False
    values = file.get("values", {})
    texts = {name: text for name, text in file.items() if name != "values"}
    return (
        set(texts) == {"file", "code", "sentence"}
        and all(isinstance(text, str) for text in texts.values())
        and isinstance(values, dict)
        and all(isinstance(value, str | int | float) for value in values.values())
    )
