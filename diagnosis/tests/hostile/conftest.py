"""The corpus as files, each made once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from diagnosis.tests.hostile.corpus import FILES
from diagnosis.tests.hostile.files import HostileFile


@pytest.fixture(scope="session")
def path_of(tmp_path_factory) -> Callable[[HostileFile], Path]:
    """Give the path of a hostile file."""
    folder = tmp_path_factory.mktemp("hostile")

    def path_of(file: HostileFile) -> Path:
        path = folder / str(FILES.index(file))
        if not path.exists():
            path.write_bytes(file.make())
        return path

    return path_of
