"""A model whose files are missing or damaged: each scan says so, and after the repair the next one is answered."""

from collections.abc import Callable
from pathlib import Path

import pytest

from diagnosis.states import FailureReason
from ml.checkpoint import GRAPH_WEIGHTS_FILE


def remove(file: Path) -> None:
    file.unlink()


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def change(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [remove, truncate, change])
def test_a_worker_that_cannot_load_the_model_says_so_until_it_is_repaired(
    site, upload_to, damage: Callable[[Path], None]
):
    file = site.checkpoint / GRAPH_WEIGHTS_FILE
    whole = file.read_bytes()
    damage(file)
    try:
        # The next process has to load it.
        site.order("before the claim")
        scans = upload_to(site, 2)
        rows = site.wait_for_ends(scans)
    finally:
        file.write_bytes(whole)

    assert {(row.state, row.reason, row.attempts, row.ends) for row in rows} == {
        ("FAILED", FailureReason.MODEL_UNAVAILABLE, 1, 1)
    }
    site.assert_each_is_answered_once(upload_to(site))
