"""The shortcut audit: exact statistics, a rule that never sees the patient it judges, the parts that it tells apart."""

import numpy as np
import pytest
from PIL import Image

from ml.augmentation import AUGMENTATIONS
from ml.shortcuts import STATISTICS, audit, cross_validated, main, statistics


def named(picture: Image.Image) -> dict[str, float]:
    return dict(zip(STATISTICS, statistics(picture).tolist(), strict=True))


def test_statistics_of_a_ramp_are_the_known_ones():
    found = named(Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (256, 1))))
    assert found["mean"] == 127.5
    assert found["percentile 50"] == 127.5
    assert (found["horizontal gradient"], found["vertical gradient"]) == (1.0, 0.0)
    assert found["dark share"] == 30 / 256
    assert found["bright share"] == 30 / 256
    assert found["side borders"] == found["top and bottom borders"] == 127.5


def test_a_border_shows_in_its_own_statistic_alone():
    framed = np.full((100, 100), 80, np.uint8)
    framed[:5] = framed[-5:] = 200
    found = named(Image.fromarray(framed))
    assert found["top and bottom borders"] == 200
    assert found["side borders"] == 92


def test_a_patients_other_pictures_do_not_teach_the_rule_its_label():
    # Noise that is the same within a patient: only who has seen the patient could know the label.
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), 4)
    labels = rng.integers(0, 2, 60)[patients]
    own = rng.normal(size=(60, len(STATISTICS)))[patients]
    told = cross_validated(own, labels, patients.tolist())
    assert ((told >= 0.5) == labels).mean() < 0.7


def test_a_network_that_follows_the_rule_is_found_out_and_one_that_does_not_is_not():
    rng = np.random.default_rng(1)
    labels = np.tile([0, 1], 300)
    rule = np.clip(labels * 0.5 + rng.uniform(0, 0.6, 600), 0, 1)
    follows, honest = np.clip(rule + rng.normal(0, 0.02, 600), 0, 1), np.clip(labels * 0.9 + 0.05, 0, 1)
    jitter = rng.uniform(-0.04, 0.04, 600)
    patients = np.arange(600).astype(str)
    found = audit(rule, follows, labels, 0.5, patients)
    assert found["correlation"] > 0.9
    assert found["rule_wrong"]["accuracy"]["value"] < 0.2
    found = audit(rule, honest + jitter, labels, 0.5, patients)
    assert abs(found["correlation"]) < 0.2
    assert found["rule_wrong"]["accuracy"]["value"] == 1.0
    assert found["rule_right"]["n"] + found["rule_wrong"]["n"] == 600


def test_many_pictures_of_few_patients_do_not_narrow_the_interval():
    labels = np.tile([0, 1], 20)
    probabilities = np.where(np.arange(40) < 10, 1 - labels, labels) * 0.8 + 0.1
    once = audit(labels * 0.9, probabilities, labels, 0.5, np.arange(40).astype(str))
    again = audit(*(np.repeat(a, 14) for a in (labels * 0.9, probabilities, labels)), 0.5, np.repeat(np.arange(40), 14))
    for name in ("low", "high"):
        one, other = (found["rule_right"]["accuracy"][name] for found in (once, again))
        assert one == pytest.approx(other, abs=0.02)


def test_without_a_wrong_answer_of_the_rule_that_part_is_empty_and_not_an_error():
    labels = np.array([0, 0, 1, 1])
    found = audit(labels * 0.9, np.array([0.1, 0.3, 0.8, 0.7]), labels, 0.5, np.array(["a", "b", "c", "d"]))
    assert (found["rule_wrong"]["n"], found["rule_wrong"]["auc"]) == (0, None)
    assert found["rule_wrong"]["accuracy"]["value"] is None
    assert found["statistics_auc"] == pytest.approx(1.0)


def test_the_command_tells_the_rule_for_the_pictures_as_they_are_and_for_each_augmentation(train_folder, capsys):
    assert main(["--data", str(train_folder), "--size", "64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("28 pictures of 28 patients at 64 pixels")
    told = {line.rsplit(maxsplit=1)[0].strip(): float(line.rsplit(maxsplit=1)[1]) for line in lines[1:]}
    assert set(told) == {"as they are", *AUGMENTATIONS}
    assert all(0 <= auc <= 1 for auc in told.values())


def test_a_folder_without_pictures_ends_with_one_sentence(tmp_path, capsys):
    assert main(["--data", str(tmp_path)]) == 1
    assert "No pictures in" in capsys.readouterr().err
