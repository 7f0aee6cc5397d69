"""The ablation: each variant differs from the base in what it says, is run once, and leaves its line."""

import dataclasses

import pytest

from ml import ablation, runs
from ml.recipes import Recipe
from ml.tests.conftest import TINY, fill_folder


def test_a_variant_goes_on_from_one_that_runs_before_it_with_the_same_seeds():
    names = list(ablation.VARIANTS)
    for name, variant in ablation.VARIANTS.items():
        if variant.start:
            assert names.index(variant.start) < names.index(name)
            assert set(variant.seeds) <= set(ablation.VARIANTS[variant.start].seeds)


@pytest.mark.parametrize("name", [name for name in ablation.VARIANTS if name not in ("base", "views")])
def test_a_variant_differs_from_the_base(name):
    assert ablation.VARIANTS[name].recipe != ablation.BASE
    assert set(ablation.VARIANTS[name].overrides) <= {field.name for field in dataclasses.fields(Recipe)}


def test_a_run_leaves_its_line_and_its_network_and_is_not_run_again(
    tmp_path, random_starting_weights, monkeypatch, capsys
):
    data = fill_folder(tmp_path / "data", patients=14)
    monkeypatch.setattr(runs, "FILE", tmp_path / "runs.csv")
    monkeypatch.setattr(ablation, "PATIENT_STEP", 1)
    small = {"image_size": TINY, "head_epochs": 2, "head_learning_rate": 1e-3, "fine_tune_from": "block5_conv4"}
    monkeypatch.setattr(ablation, "BASE", dataclasses.replace(ablation.BASE, augmentation="gentle", **small))
    variants = {"base": ablation.Variant("–"), "views": ablation.Variant("views", views=True, start="base")}
    monkeypatch.setattr(ablation, "VARIANTS", variants)
    monkeypatch.setattr(ablation, "choose", lambda passes, labels: _fixed_choice())
    arguments = ["--data", str(data), "--run", str(tmp_path / "run"), "--weights", str(random_starting_weights)]

    assert ablation.main(arguments) == 0
    assert ablation.main(arguments) == 0

    assert [line["run"] for line in runs.read()] == ["ablation base", "ablation views"]
    assert [path.name for path in (tmp_path / "run" / "base-1").glob("*.h5")] == ["vgg19_pneumonia.h5"]
    assert "ablation base, seed 1" in capsys.readouterr().out


def _fixed_choice():
    """Two drawn patients may be ranked either way by random convolutions: nothing could be fitted to them."""
    from ml.calibration import Calibration
    from ml.stress import Choice

    return Choice(Calibration(1.0, 0.0), 0.5, (0.4, 0.6))
