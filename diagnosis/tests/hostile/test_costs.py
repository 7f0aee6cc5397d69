"""Every hostile file comes to its outcome within 5 seconds of computing and 500 MB, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diagnosis.tests.hostile.corpus import FILES

SECONDS = 5
MEMORY = 500 * 2**20
PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def measured(path_of):
    """Ask the program that takes files and tells what each cost."""
    program = subprocess.Popen(
        [sys.executable, "-m", "diagnosis.tests.hostile.measured"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=PROJECT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "pneumonia_site.settings"},
        text=True,
    )

    def measured(file) -> dict:
        program.stdin.write(f"{path_of(file)}\n")
        program.stdin.flush()
        return json.loads(program.stdout.readline())

    with program:
        yield measured
        program.stdin.close()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.kind)
def test_it_comes_to_its_outcome_within_the_limits(measured, file):
    result = measured(file)
    assert result["outcomes"] == [file.outcome]
    assert result["seconds"] < SECONDS
    assert result["memory"] < MEMORY
