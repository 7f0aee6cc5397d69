"""Imports run one way: the web process never loads what only the worker and training need."""

import os
import subprocess
import sys

from django.conf import settings

HEAVY = {"tensorflow", "keras", "openvino", "h5py", "sklearn", "matplotlib", "seaborn"}


def loaded_by(code: str, var) -> set[str]:
    """Give the names of the heavy libraries in a fresh interpreter that ran `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(var)},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return HEAVY & set(done.stdout.split())


def test_the_web_process_never_loads_an_engine(tmp_path):
    code = """
from pneumonia_site.wsgi import application
from django.urls import get_resolver
assert get_resolver().url_patterns
from django.contrib import admin
assert admin.site._registry
"""
    assert loaded_by(code, tmp_path) == set()


def test_the_web_process_never_loads_what_parses_dicom(tmp_path):
    code = """
from pneumonia_site.wsgi import application
from django.urls import get_resolver
assert get_resolver().url_patterns
import sys
assert "diagnosis.decoding.reader" in sys.modules
assert not {"pydicom", "openjpeg", "libjpeg", "rle"} & set(sys.modules)
"""
    assert loaded_by(code, tmp_path) == set()


def test_the_parent_of_a_worker_never_loads_an_engine(tmp_path):
    code = """
from pneumonia_site.celery import app
app.loader.import_default_modules()
assert "diagnosis.tasks.run_prediction" in app.tasks
"""
    assert loaded_by(code, tmp_path) == set()


def test_the_light_half_of_ml_is_light(tmp_path):
    light = ["labels", "preprocess", "checkpoint", "engine", "classifier", "quality", "refusal", "heatmap", "drift"]
    assert loaded_by("\n".join(f"import ml.{name}" for name in light), tmp_path) == set()
