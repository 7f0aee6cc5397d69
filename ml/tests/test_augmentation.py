"""Augmentation keeps what a picture means; batches repeat themselves for the same seed and epoch."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.augmentation import (
    AUGMENTATIONS,
    add_noise,
    crop_share,
    gentle,
    levels,
    robust,
    window,
    with_borders,
    with_gradient,
    with_levels,
    with_markers,
)
from ml.batches import Batches
from ml.dataset import Example
from ml.tests.conftest import TINY, draw_xray


@pytest.fixture
def picture() -> Image.Image:
    return draw_xray(ill=False, size=(224, 224))


def ramp() -> Image.Image:
    """All grey levels, left to right."""
    return Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (8, 1)))


def centre_of_mass(picture: Image.Image) -> float:
    """Where the light is, 0 at the left edge and 1 at the right one."""
    light = np.asarray(picture, np.float64).sum(axis=0)
    return float((light * np.linspace(0, 1, len(light))).sum() / light.sum())


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmented_picture_is_still_8_bit_grey_and_of_some_size(name, picture):
    for seed in range(40):
        changed = AUGMENTATIONS[name](picture, np.random.default_rng(seed))
        assert changed.mode == "L"
        assert min(changed.size) >= 100
        assert np.asarray(changed).dtype == np.uint8


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_random_numbers_give_the_same_picture_and_others_another(name, picture):
    first, again, other = (AUGMENTATIONS[name](picture, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize("augmentation", [gentle, robust])
def test_nothing_is_ever_mirrored(augmentation):
    # White on the left half only: a flip, and nothing else here, would bring the light to the right.
    left = Image.new("L", (224, 224), 0)
    left.paste(255, (0, 0, 112, 224))
    for seed in range(300):
        changed = augmentation(left, np.random.default_rng(seed))
        if np.ptp(np.asarray(changed)) > 60:  # a narrow crop may hold one half only
            assert centre_of_mass(changed) < 0.5, seed


def test_levels_without_a_change_are_the_identity():
    assert levels(ramp()).tobytes() == ramp().tobytes()


def test_levels_turn_around_the_middle_and_clip():
    changed = np.asarray(levels(ramp(), gain=2.0, offset=10.0))[0]
    assert changed[[0, 64, 128, 255]].tolist() == [0, 10, 138, 255]


def test_a_window_squeezes_into_its_bounds_and_keeps_the_order():
    changed = np.asarray(window(ramp(), 30, 200))[0].astype(int)
    assert (changed[0], changed[-1]) == (30, 200)
    assert (np.diff(changed) >= 0).all()


def test_noise_has_the_asked_strength_and_no_bias():
    grey = Image.new("L", (224, 224), 128)
    noise = np.asarray(add_noise(grey, 6.0, np.random.default_rng(0)), np.float64) - 128
    assert noise.std() == pytest.approx(6.0, rel=0.03)
    assert abs(noise.mean()) < 0.1


def test_a_crop_has_the_asked_area_and_place():
    cut = crop_share(ramp().resize((256, 256)), 0.25, 1.0, 1.0, 0.0)
    assert cut.size == (128, 128)
    assert np.asarray(cut).min() == 128


def test_levels_are_brought_to_the_asked_mean_and_deviation(picture):
    changed = np.asarray(with_levels(picture, 120, 40), np.float64)
    assert changed.mean() == pytest.approx(120, abs=2)
    assert changed.std() == pytest.approx(40, abs=2)


def test_a_picture_of_one_level_gets_the_asked_mean():
    assert np.unique(np.asarray(with_levels(Image.new("L", (50, 40), 200), 90, 40))).tolist() == [90]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("target", [2.0, 3.5])
def test_sharp_and_blurred_pictures_are_brought_to_the_same_gradient(picture, target, axis):
    sharp = add_noise(picture, 4.0, np.random.default_rng(0))
    soft = add_noise(picture, 2.0, np.random.default_rng(0))
    for found in (sharp, soft):
        changed = np.asarray(with_gradient(found, target, 2.0, axis=axis), np.float64)
        assert np.abs(np.diff(changed, axis=axis)).mean() == pytest.approx(target, rel=0.1)


def test_borders_stay_at_the_edges(picture):
    changed = [np.asarray(with_borders(picture, np.random.default_rng(seed))) for seed in range(30)]
    before = np.asarray(picture)
    assert all((found[25:-25, 25:-25] == before[25:-25, 25:-25]).all() for found in changed)
    assert any((found[:2] == 0).all() for found in changed)
    assert any((found[:, -2:] == 0).all() for found in changed)


def test_markers_are_few_and_small_and_leave_the_rest(picture):
    for seed in range(30):
        changed = np.asarray(with_markers(picture, np.random.default_rng(seed))) != np.asarray(picture)
        assert 0 < changed.mean() < 0.08


# --- batches ---


def batches_of(examples: list[Example], *, seed: int = 0, one_per_patient: bool = False, **how) -> Batches:
    pictures = [draw_xray(ill=bool(found.index), seed=i) for i, found in enumerate(examples)]
    return Batches(
        pictures,
        examples,
        size=TINY,
        batch_size=4,
        augmentation=robust,
        one_per_patient=one_per_patient,
        seed=seed,
        **how,
    )


@pytest.fixture
def examples() -> list[Example]:
    """Two normal patients with one picture each, two ill ones with four each."""
    listed = [("NORMAL", "a"), ("NORMAL", "b"), *[("PNEUMONIA", "c")] * 4, *[("PNEUMONIA", "d")] * 4]
    return [Example(Path(f"{i}.jpeg"), label, patient, str(i)) for i, (label, patient) in enumerate(listed)]


def epoch_of(batches: Batches, epoch: int) -> list[tuple[np.ndarray, ...]]:
    batches.start_epoch(epoch)
    return [batches[i] for i in range(len(batches))]


def test_seed_and_epoch_decide_the_batches(examples):
    first, again = epoch_of(batches_of(examples), 3), epoch_of(batches_of(examples), 3)
    for one, other in zip(first, again, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    for different in (epoch_of(batches_of(examples), 4), epoch_of(batches_of(examples, seed=1), 3)):
        assert not np.array_equal(first[0][0], different[0][0])


def test_an_epoch_shows_every_picture_once_as_float32_grey_levels(examples):
    shown = epoch_of(batches_of(examples), 0)
    assert [len(pictures) for pictures, _, _ in shown] == [4, 4, 2]
    pictures, labels, weights = (np.concatenate(part) for part in zip(*shown, strict=True))
    assert (pictures.shape, pictures.dtype) == ((10, TINY, TINY, 1), np.float32)
    assert 0 <= pictures.min() < pictures.max() <= 255
    assert labels.sum(axis=0).tolist() == [2, 8]
    assert (labels * weights[:, np.newaxis]).sum(axis=0).tolist() == pytest.approx([5, 5])


def test_an_epoch_of_patients_shows_each_once_and_another_picture_the_next_time(examples):
    batches = batches_of(examples, one_per_patient=True)
    assert len(batches) == 1
    drawn = set()
    for epoch in range(20):
        (_, labels, weights) = epoch_of(batches, epoch)[0]
        assert labels.sum(axis=0).tolist() == [2, 2]
        assert weights.tolist() == [1.0] * 4
        drawn.update(batches._order.tolist())
    assert drawn == set(range(10))


def test_a_patient_with_both_labels_counts_for_both_by_half():
    """As owners of reviewed scans do: either label is drawn, and over many epochs both weigh the same."""
    listed = [("NORMAL", "a"), ("PNEUMONIA", "a"), ("NORMAL", "b"), ("PNEUMONIA", "b"), ("NORMAL", "c")]
    examples = [Example(Path(f"{i}.jpeg"), label, patient, str(i)) for i, (label, patient) in enumerate(listed)]
    batches = batches_of(examples, one_per_patient=True)
    found = {}
    for epoch in range(20):
        (_, labels, weights) = epoch_of(batches, epoch)[0]
        found |= zip(labels.argmax(axis=1).tolist(), weights.tolist(), strict=True)
    assert found == {0: 0.75, 1: 1.5}


def test_without_class_weights_every_picture_counts_the_same(examples):
    shown = epoch_of(batches_of(examples, weighted=False), 0)
    assert np.concatenate([weights for _, _, weights in shown]).tolist() == [1.0] * 10


def test_mixup_blends_pictures_and_labels_by_the_same_share(examples):
    plain, mixed = (epoch_of(batches_of(examples, mixup=mixup), 0) for mixup in (0.0, 1.0))
    shares = np.concatenate([labels for _, labels, _ in mixed])
    assert ((shares > 0.01) & (shares < 0.99)).any()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    for (before, _, _), (after, _, _) in zip(plain, mixed, strict=True):
        assert not np.array_equal(before, after)
        assert after.mean() == pytest.approx(before.mean(), rel=1e-4)
        assert after.dtype == np.float32
