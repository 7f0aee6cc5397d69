"""The model that comes with the software answers, where nobody has chosen another."""

import json
import shutil
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from diagnosis import services
from diagnosis.models import ModelVersion
from diagnosis.tests.checkpoints import checkpoint_in
from ml.checkpoint import METADATA_FILE, WEIGHTS_FILE

pytestmark = pytest.mark.django_db


@pytest.fixture
def shipped(settings, tmp_path: Path) -> Path:
    """The folder of a shipped checkpoint."""
    settings.MODEL_CHECKPOINT = tmp_path / "shipped"
    ship(settings.MODEL_CHECKPOINT, "first")
    return settings.MODEL_CHECKPOINT


@pytest.fixture
def chosen(tmp_path: Path) -> Path:
    """The folder of a checkpoint that staff have made active."""
    folder = checkpoint_in(tmp_path / "chosen", name="chosen", weights=b"chosen")
    services.register_model(folder=folder, activate=True)
    return folder


def ship(folder: Path, name: str) -> None:
    """Put a checkpoint of that name into the folder."""
    checkpoint_in(folder, name=name, weights=name.encode())


def install(**options) -> str:
    """Run the command; give what it said."""
    said = StringIO()
    call_command("install_shipped_model", stdout=said, stderr=said, **options)
    return said.getvalue()


def active() -> str:
    return ModelVersion.objects.get(is_active=True).name


def test_without_any_model_it_fails_and_says_what_is_missing(settings, tmp_path):
    settings.MODEL_CHECKPOINT = tmp_path / "nothing"
    with pytest.raises(CommandError, match="There is no model to answer with"):
        install()


def test_without_a_readable_one_the_active_model_goes_on(settings, tmp_path, chosen):
    settings.MODEL_CHECKPOINT = tmp_path / "nothing"
    assert "left out" in install()
    assert active() == "chosen"


def test_with_neither_a_readable_one_nor_an_active_one_that_answers_it_fails(settings, tmp_path, chosen):
    settings.MODEL_CHECKPOINT = tmp_path / "nothing"
    (chosen / WEIGHTS_FILE).unlink()
    with pytest.raises(CommandError, match=r"no model to answer with. The active model chosen .* can't answer"):
        install()
    assert active() == "chosen"


def test_damaged_weights_are_never_activated(shipped):
    (shipped / WEIGHTS_FILE).write_bytes(b"cut off")
    with pytest.raises(CommandError, match="truncated or was changed"):
        install()
    assert not ModelVersion.objects.exists()


def test_the_first_model_is_activated(shipped):
    assert "is active" in install()
    assert active() == "first"


def test_a_second_run_changes_nothing(shipped):
    install()
    before = ModelVersion.objects.get()
    assert install(activate_new=True) == ""
    assert ModelVersion.objects.get().activated_at == before.activated_at


def test_the_choice_of_staff_stands(shipped, chosen):
    assert "another one is active" in install()
    assert install() == ""
    assert active() == "chosen"
    assert ModelVersion.objects.filter(name="first").exists()


def test_a_new_one_is_activated_when_asked_for(shipped, chosen):
    install(activate_new=True)
    assert active() == "first"


def test_a_known_one_is_not_activated_over_the_choice_of_staff(shipped, chosen):
    install()
    install(activate_new=True)
    assert active() == "chosen"


def test_an_update_that_replaces_the_files_of_the_active_one_is_activated(shipped):
    install()
    ship(shipped, "second")
    assert "The active model first" in install()
    assert active() == "second"


def test_going_back_to_the_software_before_activates_its_model_again(shipped):
    for name in ("first", "second", "first"):
        ship(shipped, name)
        install()
    assert active() == "first"


def break_weights(folder: Path) -> None:
    (folder / WEIGHTS_FILE).write_bytes(b"cut off")


def age(folder: Path) -> None:
    """Make the checkpoint one of the first format."""
    told = json.loads((folder / METADATA_FILE).read_text())
    (folder / METADATA_FILE).write_text(json.dumps(told | {"format_version": 1}))


@pytest.mark.parametrize("fate", [shutil.rmtree, break_weights, age], ids=lambda fate: fate.__name__)
@pytest.mark.parametrize("is_known", [False, True], ids=["new", "known"])
def test_an_active_one_that_cannot_answer_any_more_gives_way(shipped, chosen, fate, is_known):
    if is_known:
        install()
    fate(chosen)
    said = install()
    assert "can't answer any more" in said
    assert "Model first" in said
    assert active() == "first"
