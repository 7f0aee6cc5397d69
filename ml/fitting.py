"""Fit one network in its two phases: the head on frozen convolutions, then the deeper convolutions with it.

What is finished lies in the run's folder; a run that was interrupted goes on after its last whole epoch.
"""

import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from ml.augmentation import AUGMENTATIONS
from ml.batches import Batches, StartEpoch
from ml.dataset import Example, data_hash, load_canonical, load_inputs, split_by_patient
from ml.labels import LABELS
from ml.model import build_classifier, freeze_convolutions, unfreeze_from
from ml.recipes import Recipe
from ml.shifts import SHIFTS, shifted
from ml.split import HELD_OUT_SHARE
from ml.stress import HeldOut, hold_out

# The whole network in Keras's own .h5, full precision, as phase 2 left it.
MODEL_FILE = "vgg19_pneumonia.h5"


@dataclasses.dataclass(frozen=True)
class Data:
    """What a run trains on, and the patients held out from it; pictures are canonical, 8-bit grayscale."""

    examples: Sequence[Example]
    pictures: Sequence[Image.Image]
    held_out: HeldOut
    hash: str


def load_data(examples: Sequence[Example], *, seed: int) -> Data:
    """Split by patient and read all pictures into memory."""
    training, kept = split_by_patient(examples, share=HELD_OUT_SHARE, seed=seed)
    pictures = [load_canonical(example.path) for example in training]
    held_out = hold_out(kept, [load_canonical(example.path) for example in kept], training, pictures)
    return Data(training, pictures, held_out, data_hash(examples))


def choose_precision() -> str:
    """Half precision where the hardware computes in it, else it only costs."""
    if tf.config.list_physical_devices("GPU"):
        return "mixed_float16"
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "float32"
    return "mixed_bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"


def fit_network(recipe: Recipe, data: Data, *, run: Path, weights: str, seed: int) -> keras.Model:
    """Train in the recipe's two phases; what is finished in the folder `run` is loaded from there."""
    keras.utils.set_random_seed(seed)
    batches = Batches(
        data.pictures,
        data.examples,
        size=recipe.image_size,
        batch_size=recipe.batch_size,
        augmentation=AUGMENTATIONS[recipe.augmentation],
        one_per_patient=recipe.one_per_patient,
        seed=seed,
        weighted=recipe.class_weights,
        mixup=recipe.mixup,
    )
    validation = shifted_in_turn(data.held_out.pictures, recipe.image_size), one_hot(data.held_out.examples)
    model = build_classifier(
        image_size=recipe.image_size,
        head=recipe.head,
        normalisation=recipe.normalisation,
        starting_weights=starting_weights(run, weights),
    )
    freeze_convolutions(model)
    fit_phase(
        model,
        keras.optimizers.Adam(recipe.head_learning_rate),
        recipe,
        batches=batches,
        validation=validation,
        epochs=recipe.head_epochs,
        run=run,
        phase="phase1",
    )
    unfreeze_from(model, recipe.fine_tune_from)
    fit_phase(
        model,
        fine_tuning_optimizer(recipe, steps=len(batches) * recipe.fine_tune_epochs),
        recipe,
        batches=batches,
        validation=validation,
        epochs=recipe.fine_tune_epochs,
        run=run,
        phase="phase2",
    )
    return model


def starting_weights(run: Path, weights: str) -> str | None:
    """Skip reading the starting weights where a finished phase replaces them anyway."""
    return None if (run / "phase1.weights.h5").exists() else weights


def shifted_in_turn(pictures: Sequence[Image.Image], size: int) -> np.ndarray:
    """Make the validation input: each held-out picture once, under the shifts in turn, so that it is not saturated."""
    shifts = list(SHIFTS)
    return load_inputs([shifted(picture, shifts[i % len(shifts)]) for i, picture in enumerate(pictures)], size)


def one_hot(examples: Sequence[Example]) -> np.ndarray:
    """Give the labels as (n, 2)."""
    return np.eye(len(LABELS))[[example.index for example in examples]]


def fine_tuning_optimizer(recipe: Recipe, *, steps: int) -> keras.optimizers.Optimizer:
    """Give phase 2's optimizer; `steps` is the length of the whole phase."""
    rate: float | keras.optimizers.schedules.LearningRateSchedule = recipe.fine_tune_learning_rate
    if recipe.cosine:
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            max(1, steps - recipe.warmup_steps),
            warmup_target=recipe.fine_tune_learning_rate,
            warmup_steps=min(recipe.warmup_steps, steps // 2),
        )
    averaging = {} if recipe.ema_momentum is None else {"use_ema": True, "ema_momentum": recipe.ema_momentum}
    if not recipe.weight_decay:
        return keras.optimizers.Adam(rate, **averaging)
    return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, clipnorm=1.0, **averaging)


def fit_phase(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    recipe: Recipe,
    *,
    batches: Batches,
    validation: tuple[np.ndarray, np.ndarray],
    epochs: int,
    run: Path,
    phase: str,
) -> None:
    """Train one phase, or load what it left behind. Keras's backup after each epoch is what --resume goes on from."""
    if epochs == 0:
        return
    finished = run / f"{phase}.weights.h5"
    if finished.exists():
        model.load_weights(finished)
        return
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        weighted_metrics=["accuracy", keras.metrics.AUC(name="auc")],
    )
    callbacks: list[keras.callbacks.Callback] = [
        StartEpoch(batches),
        keras.callbacks.CSVLogger(run / f"{phase}.csv", append=True),
        SecondsLog(run / f"{phase}.seconds"),
        # Two files in turn: a kill while one is written leaves the other.
        keras.callbacks.BackupAndRestore(run / f"{phase}_backup", double_checkpoint=True),
    ]
    if recipe.patience is not None:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=recipe.patience, restore_best_weights=True))
    model.fit(batches, validation_data=validation, epochs=epochs, callbacks=callbacks, verbose=2)
    part = finished.with_name(f"part.{finished.name}")
    model.save_weights(part)
    os.replace(part, finished)


class SecondsLog(keras.callbacks.Callback):
    """Adds up the time of the epochs, over interruptions."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._began = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        with self._path.open("a") as file:
            file.write(f"{time.monotonic() - self._began:.1f}\n")


def recorded_hours(run: Path) -> float:
    """Add up what SecondsLog wrote."""
    return sum(float(line) for path in sorted(run.glob("*.seconds")) for line in path.read_text().split()) / 3600
