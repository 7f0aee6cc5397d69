"""The notebook runs from top to bottom, and is kept without outputs."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from ml.checkpoint import Checkpoint
from ml.tests.conftest import TINY_FLAGS

NOTEBOOK = Path(__file__).parents[1] / "pneumonia.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def printed(notebook) -> str:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def test_the_notebook_is_kept_without_outputs_or_a_name_of_a_machine(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 8
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert set(json.loads(NOTEBOOK.read_text())["metadata"]) == {"kernelspec", "language_info"}


def test_the_notebook_runs_from_top_to_bottom(notebook, train_folder, random_starting_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(train_folder.parent))
    monkeypatch.setenv("RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("STARTING_WEIGHTS", str(random_starting_weights))
    monkeypatch.setenv("TRAIN_FLAGS", " ".join([*TINY_FLAGS, "--limit", "24", "--fine-tune-epochs", "1"]))
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()
    Checkpoint.read(tmp_path / "run" / "checkpoint").verify()
    assert {path.name for path in (tmp_path / "run" / "pictures").glob("*.png")} >= {"confusion.png", "roc.png"}
    said = printed(notebook)
    for words in (
        *("28 pictures, 0 exact duplicates", "0 patients in both", "AUC of the statistics", "temperature"),
        *("uncertain from", "Checkpoint notebook", "refused as no chest X-ray", "probability of PNEUMONIA"),
        *("a blank page", "LOW_CONTRAST"),
    ):
        assert words in said, words
    # Which of them a detector refuses that has seen two dozen drawings through random convolutions is luck.
    assert re.search(r"a blank page +(answered|NOT_A_CHEST_XRAY) ", said)


def test_running_the_notebook_adds_no_line_to_the_list_of_runs_in_the_repository(notebook):
    setting = "runs.FILE = RUN"
    places = [i for i, cell in enumerate(notebook.cells) if setting in cell.source]
    calls = [i for i, cell in enumerate(notebook.cells) if "= train(arguments)" in cell.source]
    assert len(places) == len(calls) == 1
    assert places < calls
