"""The model that comes with the software answers, where nobody has chosen another."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from diagnosis.models import ModelVersion
from diagnosis.tests.checkpoints import checkpoint_in
from ml.checkpoint import WEIGHTS_FILE

pytestmark = pytest.mark.django_db


@pytest.fixture
def shipped(settings, tmp_path: Path) -> Path:
    """The folder of a shipped checkpoint."""
    settings.MODEL_CHECKPOINT = tmp_path / "shipped"
    ship(settings.MODEL_CHECKPOINT, "first")
    return settings.MODEL_CHECKPOINT


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


def test_without_a_readable_one_the_active_model_goes_on(settings, tmp_path, model_version):
    settings.MODEL_CHECKPOINT = tmp_path / "nothing"
    assert "left out" in install()
    assert active() == model_version.name


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


def test_the_choice_of_staff_stands(shipped, model_version):
    assert "another one is active" in install()
    assert active() == model_version.name
    assert ModelVersion.objects.filter(name="first").exists()


def test_a_new_one_is_activated_when_asked_for(shipped):
    install()
    ship(shipped, "second")
    install(activate_new=True)
    assert active() == "second"


def test_an_old_one_is_not_activated_again_over_the_choice_of_staff(shipped):
    install()
    ship(shipped, "second")
    install(activate_new=True)
    ship(shipped, "first")
    install(activate_new=True)
    assert active() == "second"
