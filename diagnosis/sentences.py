"""What is stored or passed on in English with its values, said in the language of the person who reads it."""

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext

from diagnosis.numbers import written
from diagnosis.refusals import Explained

PLACE = re.compile(r"File (\d+) of (\d+)", re.ASCII)


def in_words(sentence: str, values: Mapping[str, Any] | None = None) -> str:
    """Translate `sentence`, and fill in its `values`: texts, which are translated too, and numbers.

    What an earlier version stored, whole and without values, is given as it is.
    """
    said = gettext(sentence) if sentence else ""
    return said % {name: _shown(value) for name, value in values.items()} if values else said


def explained(error: Explained) -> str:
    """Say what is wrong."""
    return in_words(error.sentence, error.values)


def file_name(name: str) -> str:
    """Give the name of a file; one that is told by its place, "File 3 of 40", in the language of the page."""
    place = PLACE.fullmatch(name)
    if not place:
        return name
    return gettext("File %(place)s of %(given)s") % {"place": place[1], "given": place[2]}


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return gettext(value) if value else ""
    return written(value, "," if isinstance(value, int) else ".3g")
