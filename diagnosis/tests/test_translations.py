"""The catalogue of each language is whole, compiled, and fits the texts of today."""

import re
import shutil
import string
import subprocess
import sys
from pathlib import Path

import polib
import pytest
from django.conf import settings

from diagnosis.tests.servers import PROJECT

LANGUAGES = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
MARKS = re.compile(r"%\((\w+)\)[sd]|%%|</?\w+|href=\"[^\"]*\"")


def folder_of(language: str) -> Path:
    return Path(settings.LOCALE_PATHS[0], language, "LC_MESSAGES")


def catalogue(language: str) -> polib.POFile:
    return polib.pofile(str(folder_of(language) / "django.po"))


def texts(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def marks(text: str) -> list[str]:
    """Give the values of %-formatting, the tags and the addresses in `text`."""
    return sorted(found[0] for found in MARKS.finditer(text))


def fields(text: str) -> list[str]:
    """Give the fields of str.format in `text`."""
    return sorted(str(name) for _, name, _, _ in string.Formatter().parse(text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated_and_none_is_a_guess(language):
    entries = catalogue(language)
    assert len(entries) > 500
    assert [entry.msgid for entry in entries if not entry.translated() or entry.fuzzy or entry.obsolete] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_values_and_the_marks_of_its_original(language):
    for entry in catalogue(language):
        originals = [entry.msgid] + [entry.msgid_plural] * (len(texts(entry)) - 1)
        for original, text in zip(originals, texts(entry), strict=True):
            assert marks(text) == marks(original), original
            assert fields(text) == fields(original), original


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_is_written(language):
    """A clone speaks the language without gettext, so the compiled catalogue is committed."""
    compiled = polib.mofile(str(folder_of(language) / "django.mo"))
    written = {(entry.msgctxt, entry.msgid): texts(entry) for entry in catalogue(language)}
    assert {(entry.msgctxt, entry.msgid): texts(entry) for entry in compiled} == written
    assert compiled.metadata["Plural-Forms"] == catalogue(language).metadata["Plural-Forms"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.skipif(not shutil.which("xgettext"), reason="needs gettext's programs, to collect the texts of today")
def test_the_catalogue_has_the_texts_of_today(language, tmp_path):
    for part in ("diagnosis", "pneumonia_site", "templates", "static"):
        shutil.copytree(
            PROJECT / part, tmp_path / part, ignore=shutil.ignore_patterns("tests", "__pycache__", "vendor")
        )
    (tmp_path / "ml").symlink_to(PROJECT / "ml")
    shutil.copy(PROJECT / "manage.py", tmp_path)
    done = subprocess.run(
        [sys.executable, "manage.py", "makemessages", "--locale", language],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    today = polib.pofile(str(tmp_path / "diagnosis" / "locale" / language / "LC_MESSAGES" / "django.po"))
    assert {(entry.msgctxt, entry.msgid) for entry in today} == {
        (entry.msgctxt, entry.msgid) for entry in catalogue(language)
    }, "run `make messages`, translate what is new, and run it again"
