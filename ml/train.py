"""Train the classifier in two phases, calibrate it, write a checkpoint.

    python -m ml.train --data data/chest_xray/train --run runs/first

Phase 1 trains the head on frozen VGG19 convolutions; phase 2 opens the deeper convolutions at a low learning rate.
The pictures of held-out patients steer early stopping and fit the calibration and the operating point; the official
test split is never read here. Everything goes into the run's folder; --resume goes on after the last whole epoch.
"""

import argparse
import csv
import dataclasses
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from ml.augmentation import AUGMENTATIONS, SHIFTS
from ml.batches import Batches, StartEpoch
from ml.calibration import CalibrationError, fit_calibration, operating_point
from ml.checkpoint import WEIGHTS_FILE, Checkpoint, Metadata, file_sha256, write_metadata
from ml.dataset import (
    DatasetError,
    Example,
    data_hash,
    drop_duplicates,
    load_canonical,
    load_inputs,
    read_folder,
    split_by_patient,
)
from ml.labels import LABELS
from ml.model import (
    CONVOLUTIONS,
    StartingWeightsError,
    build_classifier,
    freeze_convolutions,
    save_half_precision,
    unfreeze_from,
)
from ml.recipes import RECIPES, Recipe

# A tenth of the patients decides when to stop, the calibration and the operating point; they are never trained on.
HELD_OUT_SHARE = 0.10

# The operating point: at least this share of the held-out pneumonias is found, pictures under all SHIFTS pooled.
SENSITIVITY = 0.97

# The whole network in Keras's own .h5, full precision, as phase 2 left it.
MODEL_FILE = "vgg19_pneumonia.h5"

# Flags of the recipe that take one of a few names.
CHOICES = {"augmentation": sorted(AUGMENTATIONS), "fine_tune_from": CONVOLUTIONS}


def main() -> int:
    """Run the command line; the exit code is 1 when data, weights, results or the run's folder can't be used."""
    arguments = parse_arguments()
    try:
        train(arguments)
    except (DatasetError, StartingWeightsError, CalibrationError, FileExistsError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def train(arguments: argparse.Namespace) -> Checkpoint:
    """Train as `arguments` say and return the checkpoint that was written."""
    recipe, run = recipe_of(arguments), arguments.run
    examples = drop_duplicates(read_folder(arguments.data))
    if arguments.limit:
        examples = thin_out(examples, arguments.limit)
    open_run(run, recipe, seed=arguments.seed, data=data_hash(examples), resume=arguments.resume)
    keras.utils.set_random_seed(arguments.seed)
    keras.config.set_dtype_policy(choose_precision() if arguments.precision == "auto" else arguments.precision)

    training, held_out = split_by_patient(examples, share=HELD_OUT_SHARE, seed=arguments.seed)
    precision = keras.config.dtype_policy().name
    print(f"{len(training)} training and {len(held_out)} held-out pictures, precision {precision}")
    training_pictures = [load_canonical(example.path) for example in training]
    held_out_pictures = [load_canonical(example.path) for example in held_out]

    batches = Batches(
        training_pictures,
        training,
        size=recipe.image_size,
        batch_size=recipe.batch_size,
        augmentation=AUGMENTATIONS[recipe.augmentation],
        one_per_patient=recipe.one_per_patient,
        seed=arguments.seed,
    )
    validation = shifted_in_turn(held_out_pictures, recipe.image_size), one_hot(held_out)

    model = build_classifier(image_size=recipe.image_size, starting_weights=starting_weights(run, arguments.weights))

    freeze_convolutions(model)
    fit_phase(
        model,
        keras.optimizers.Adam(recipe.head_learning_rate),
        batches=batches,
        validation=validation,
        epochs=recipe.head_epochs,
        patience=recipe.patience,
        run=run,
        phase="phase1",
    )
    unfreeze_from(model, recipe.fine_tune_from)
    fit_phase(
        model,
        fine_tuning_optimizer(recipe, steps=len(batches) * recipe.fine_tune_epochs),
        batches=batches,
        validation=validation,
        epochs=recipe.fine_tune_epochs,
        patience=recipe.patience,
        run=run,
        phase="phase2",
    )
    model.save(run / MODEL_FILE, include_optimizer=False)

    described = {
        "command": " ".join(["python -m ml.train", *arguments.shown]),
        "recipe": dataclasses.asdict(recipe),
        "seed": arguments.seed,
        "precision": precision,
        "commit": git_commit(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {len(tf.config.list_physical_devices('GPU'))} GPUs",
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "python": platform.python_version()},
        "data": {
            "hash": data_hash(examples),
            "training": dict(Counter(example.label for example in training)),
            "held_out": dict(Counter(example.label for example in held_out)),
            "training_patients": len({example.patient for example in training}),
            "held_out_patients": len({example.patient for example in held_out}),
        },
        "hours": round(recorded_hours(run), 2),
    }
    checkpoint = write_checkpoint(
        run / "checkpoint", model, recipe, arguments.name or run.name, held_out_pictures, held_out, described
    )
    plot_curves(run)
    print(f"The checkpoint is in {checkpoint.folder} (version {checkpoint.sha256[:12]})")
    return checkpoint


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; every field of the recipe can be overridden by its own flag."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with NORMAL/ and PNEUMONIA/")
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="where the run keeps its files")
    parser.add_argument(
        "--weights",
        default="imagenet",
        help='to start from: "imagenet", a no-top VGG19 .h5, or the .h5 of an earlier run',
    )
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="robust")
    parser.add_argument("--name", help="the name of the model version (default: the run folder's name)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", choices=["auto", "float32", "mixed_bfloat16", "mixed_float16"], default="auto")
    parser.add_argument(
        "--resume", action="store_true", help="go on with an interrupted run; early stopping counts anew"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="take only about N pictures: to try the command out")
    for field in dataclasses.fields(Recipe):
        flag = f"--{field.name.replace('_', '-')}"
        if field.type is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help="overrides the recipe")
        else:
            kind = str if field.type is str else (float if "float" in str(field.type) else int)
            parser.add_argument(flag, type=kind, choices=CHOICES.get(field.name), help="overrides the recipe")
    arguments = parser.parse_args(argv)
    arguments.shown = shown_arguments(arguments)
    return arguments


def shown_arguments(arguments: argparse.Namespace) -> list[str]:
    """List the arguments that matter to repeat the run elsewhere; folders of this machine are left out."""
    shown = ["--recipe", arguments.recipe, "--seed", str(arguments.seed)]
    for field in dataclasses.fields(Recipe):
        value = getattr(arguments, field.name, None)
        if value is not None:
            flag = field.name.replace("_", "-")
            shown += [f"--{'' if value else 'no-'}{flag}"] if field.type is bool else [f"--{flag}", str(value)]
    return [*shown, "--data", "DIR", "--run", "DIR", "--weights", Path(arguments.weights).name]


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """Give the named recipe with the flags' overrides."""
    names = {field.name for field in dataclasses.fields(Recipe)}
    overrides = {key: value for key, value in vars(arguments).items() if key in names and value is not None}
    return dataclasses.replace(RECIPES[arguments.recipe], **overrides)


def open_run(run: Path, recipe: Recipe, *, seed: int, data: str, resume: bool) -> None:
    """Make the run's folder, or go on in it. Raises FileExistsError rather than mix two runs.

    Seed and data decide who is held out: with others, a resumed run would be calibrated on what it was trained on.
    """
    written = run / "run.json"
    wanted = json.dumps({"recipe": dataclasses.asdict(recipe), "seed": seed, "data": data}, indent=2)
    if written.exists() and not resume:
        raise FileExistsError(f"{run} holds a run already: --resume goes on with it, another --run starts anew.")
    if written.exists() and written.read_text() != wanted:
        raise FileExistsError(
            f"{run} was started with another recipe, seed or data, see {written}: give the same to resume."
        )
    run.mkdir(parents=True, exist_ok=True)
    written.write_text(wanted)


def starting_weights(run: Path, weights: str) -> str | None:
    """Skip reading the starting weights where a finished phase replaces them anyway."""
    return None if (run / "phase1.weights.h5").exists() else weights


def choose_precision() -> str:
    """Half precision where the hardware computes in it, else it only costs."""
    if tf.config.list_physical_devices("GPU"):
        return "mixed_float16"
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "float32"
    return "mixed_bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"


def thin_out(examples: Sequence[Example], limit: int) -> list[Example]:
    """Take about `limit` examples, evenly over the folder, so that both labels stay."""
    return list(examples[:: max(1, len(examples) // limit)])


def shifted_in_turn(pictures: Sequence[Image.Image], size: int) -> np.ndarray:
    """Make the validation input: each held-out picture once, under the shifts in turn, so that it is not saturated."""
    shifts = list(SHIFTS.values())
    return load_inputs([shifts[i % len(shifts)](picture) for i, picture in enumerate(pictures)], size)


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
    *,
    batches: Batches,
    validation: tuple[np.ndarray, np.ndarray],
    epochs: int,
    patience: int | None,
    run: Path,
    phase: str,
) -> None:
    """Train one phase, or load what it left behind. Keras's backup after each epoch is what --resume goes on from."""
    finished = run / f"{phase}.weights.h5"
    if finished.exists():
        model.load_weights(finished)
        return
    model.compile(
        optimizer=optimizer,
        loss="categorical_crossentropy",
        weighted_metrics=["accuracy", keras.metrics.AUC(name="auc")],
    )
    callbacks: list[keras.callbacks.Callback] = [
        StartEpoch(batches),
        keras.callbacks.CSVLogger(run / f"{phase}.csv", append=True),
        SecondsLog(run / f"{phase}.seconds"),
        # Two files in turn: a kill while one is written leaves the other.
        keras.callbacks.BackupAndRestore(run / f"{phase}_backup", double_checkpoint=True),
    ]
    if patience is not None:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True))
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


def write_checkpoint(
    folder: Path,
    model: keras.Model,
    recipe: Recipe,
    name: str,
    pictures: Sequence[Image.Image],
    held_out: Sequence[Example],
    training: dict,
) -> Checkpoint:
    """Calibrate on the held-out patients under every shift, then write weights and metadata."""
    logits_of = keras.Model(model.input, model.get_layer("logits").output)
    labels = np.array([example.index for example in held_out])
    by_shift = {
        shift: logits_of.predict(load_inputs(map(change, pictures), recipe.image_size), batch_size=16, verbose=0)
        for shift, change in SHIFTS.items()
    }
    pooled_logits = np.concatenate(list(by_shift.values()))
    pooled_labels = np.tile(labels, len(by_shift))
    calibration = fit_calibration(pooled_logits, pooled_labels)
    threshold = operating_point(calibration.probability(pooled_logits), pooled_labels, sensitivity=SENSITIVITY)

    from ml.metrics import summarise  # here: it needs nothing that a resumed run should wait for

    metrics = {
        shift: summarise(calibration.probability(logits), labels, threshold) for shift, logits in by_shift.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_half_precision(model, folder / WEIGHTS_FILE)
    np.savez_compressed(folder.parent / "held_out_logits.npz", labels=labels, **by_shift)
    return write_metadata(
        folder,
        Metadata(
            name=name,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            image_size=recipe.image_size,
            temperature=calibration.temperature,
            bias=calibration.bias,
            threshold=threshold,
            weights_sha256=file_sha256(folder / WEIGHTS_FILE),
            metrics={"held_out": metrics},
            training=training,
        ),
    )


def plot_curves(run: Path) -> Path:
    """Draw loss and AUC of both phases into curves.png."""
    from ml.plots import learning_curves

    rows = []
    for phase in ("phase1", "phase2"):
        with (run / f"{phase}.csv").open() as file:
            for row in csv.DictReader(file):
                rows.append({key: float(value) for key, value in row.items()} | {"phase": phase})
    return learning_curves(rows, run / "curves.png")


def git_commit() -> str:
    """Name the commit that the code is of, or say that it is unknown."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    folder = Path(__file__).parent
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
