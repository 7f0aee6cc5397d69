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
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ml import runs
from ml.augmentation import AUGMENTATIONS
from ml.calibration import CalibrationError
from ml.checkpoint import METADATA_FILE, WEIGHTS_FILE, Checkpoint
from ml.dataset import (
    DatasetError,
    Example,
    data_hash,
    drop_duplicates,
    read_folder,
)
from ml.finishing import finish
from ml.fitting import MODEL_FILE, Data, choose_precision, fit_network, load_data, recorded_hours
from ml.model import (
    CONVOLUTIONS,
    HEADS,
    NORMALISATIONS,
    StartingWeightsError,
    holds_whole_network,
    save_half_precision,
)
from ml.recipes import RECIPES, Recipe
from ml.serving import ServingGraph

# What a run was begun with, in its folder.
RUN_FILE = "run.json"

# Flags of the recipe that take one of a few names.
CHOICES = {
    "augmentation": sorted(AUGMENTATIONS),
    "fine_tune_from": CONVOLUTIONS,
    "head": HEADS,
    "normalisation": NORMALISATIONS,
}


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
    hashed = data_hash(examples)
    check_start(Path(arguments.weights), seed=arguments.seed, data=hashed)
    open_run(run, recipe, seed=arguments.seed, data=hashed, resume=arguments.resume)
    keras.config.set_dtype_policy(choose_precision() if arguments.precision == "auto" else arguments.precision)
    data = load_data(examples, seed=arguments.seed)
    print(
        f"{len(data.examples)} training and {len(data.held_out.examples)} held-out pictures, "
        f"precision {keras.config.dtype_policy().name}"
    )
    model = fit_network(recipe, data, run=run, weights=arguments.weights, seed=arguments.seed)
    model.save(run / MODEL_FILE, include_optimizer=False)
    plot_curves(run)
    described = describe(arguments, recipe, data)
    changed = f"a trial with about {arguments.limit} pictures" if arguments.limit else "a network to be shipped"
    columns = run_columns(arguments.name or run.name, described, recipe, changed=changed)
    try:
        checkpoint, measured = write_checkpoint(run / "checkpoint", model, recipe, columns["run"], data, described)
    except CalibrationError:
        note_run(columns)
        raise
    note_run(columns | measured)
    print(f"The checkpoint is in {checkpoint.folder} (version {checkpoint.sha256[:12]})")
    print(f"CPUs answer faster from its graph: python -m ml.export --checkpoint {checkpoint.folder} --data DIR")
    return checkpoint


def describe(arguments: argparse.Namespace, recipe: Recipe, data: Data) -> dict[str, Any]:
    """Say what it takes to repeat the run, for the metadata."""
    return {
        "command": " ".join(["python -m ml.train", *arguments.shown]),
        "started_from": history(Path(arguments.weights)),
        "recipe": dataclasses.asdict(recipe),
        "seed": arguments.seed,
        "precision": keras.config.dtype_policy().name,
        "commit": json.loads((arguments.run / RUN_FILE).read_text()).get("commit", "unknown"),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {len(tf.config.list_physical_devices('GPU'))} GPUs",
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "python": platform.python_version()},
        "data": {
            "hash": data.hash,
            "training": dict(Counter(example.label for example in data.examples)),
            "held_out": dict(Counter(example.label for example in data.held_out.examples)),
            "training_patients": len({example.patient for example in data.examples}),
            "held_out_patients": len(set(data.held_out.patients)),
        },
        "hours": round(recorded_hours(arguments.run), 2),
    }


def check_start(weights: Path, *, seed: int, data: str) -> None:
    """Raise StartingWeightsError where a network to start from was trained on patients whom this run holds out.

    Convolutions alone have seen no patient. Seed and data decide who is held out; the run's folder or the checkpoint
    tells them.
    """
    if not holds_whole_network(weights):
        return
    try:
        if weights.is_dir():
            training = json.loads((weights / METADATA_FILE).read_text())["training"]
            seen = training["seed"], training["data"]["hash"]
        else:
            run = json.loads((weights.parent / RUN_FILE).read_text())
            seen = run["seed"], run["data"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise StartingWeightsError(
            f"{weights} has no {RUN_FILE} beside it, or does not tell its training: whom it has seen is not known."
        ) from error
    if seen != (seed, data):
        raise StartingWeightsError(
            f"{weights} was trained with seed {seen[0]} and data {seen[1][:12]}, this run is to have "
            f"seed {seed} and data {data[:12]}: it would be measured on patients that the network has seen."
        )


def history(weights: Path) -> dict[str, Any] | None:
    """Tell the training of the network that was the start; None where it started from convolutions alone."""
    folder = weights if weights.is_dir() else weights.parent / "checkpoint"
    try:
        earlier = json.loads((folder / METADATA_FILE).read_text())
    except (OSError, ValueError):
        return None
    return {"name": earlier["name"], **earlier["training"]}


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; every field of the recipe can be overridden by its own flag."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with NORMAL/ and PNEUMONIA/")
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="where the run keeps its files")
    parser.add_argument(
        "--weights",
        default="imagenet",
        help='to start from: "imagenet", a no-top VGG19 .h5, the .h5 of an earlier run, or a checkpoint folder',
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
    """Make the run's folder with RUN_FILE in it, or go on there. Raises FileExistsError rather than mix two runs.

    Seed and data decide who is held out: with others, a resumed run would be calibrated on what it was trained on.
    """
    written = run / RUN_FILE
    wanted = {"recipe": dataclasses.asdict(recipe), "seed": seed, "data": data}
    if written.exists() and not resume:
        raise FileExistsError(f"{run} holds a run already: --resume goes on with it, another --run starts anew.")
    if written.exists():
        begun = json.loads(written.read_text())
        if {key: begun.get(key) for key in wanted} != wanted:
            raise FileExistsError(
                f"{run} was started with another recipe, seed or data, see {written}: give the same to resume."
            )
        return
    run.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps(wanted | {"commit": runs.git_commit()}, indent=2))


def thin_out(examples: Sequence[Example], limit: int) -> list[Example]:
    """Take about `limit` examples, evenly over the folder, so that both labels stay."""
    return list(examples[:: max(1, len(examples) // limit)])


def write_checkpoint(
    folder: Path, model: keras.Model, recipe: Recipe, name: str, data: Data, described: dict[str, Any]
) -> tuple[Checkpoint, dict[str, Any]]:
    """Write the weights, and finish the checkpoint with TensorFlow; give it and the METRICS of its line in runs.csv.

    Everything is measured on the weights as they are shipped, in half precision. Raises CalibrationError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_half_precision(model, folder / WEIGHTS_FILE)
    keras.Model(model.input, model.output).load_weights(folder / WEIGHTS_FILE)
    checkpoint, choice, passes = finish(
        folder,
        ServingGraph(model),
        data,
        seed=described["seed"],
        name=name,
        image_size=recipe.image_size,
        head=recipe.head,
        normalisation=recipe.normalisation,
        training=described,
    )
    np.savez_compressed(folder.parent / "held_out_logits.npz", labels=data.held_out.labels, **vars(passes))
    return checkpoint, runs.figures(choice=choice, metrics=checkpoint.metadata.metrics, passes=len(passes.index))


def note_run(line: dict[str, Any]) -> None:
    """Append the run's line; where that can't be written, what was trained is not lost for it."""
    try:
        runs.append(line)
    except OSError as error:
        print(f"The run's line could not be added to {runs.FILE}: {error}", file=sys.stderr)


def run_columns(name: str, described: dict[str, Any], recipe: Recipe, *, changed: str) -> dict[str, Any]:
    """Give the columns of the run's line in runs.csv that are known before anything was measured."""
    return {
        "run": name,
        "changed": changed,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": described["commit"],
        "data": described["data"]["hash"][:12],
        "seed": described["seed"],
        "patients": described["data"]["training_patients"],
        "hours": described["hours"],
        **dataclasses.asdict(recipe),
    }


def plot_curves(run: Path) -> Path:
    """Draw loss and AUC of both phases into curves.png."""
    from ml.plots import learning_curves

    rows = []
    for path in (run / "phase1.csv", run / "phase2.csv"):
        if not path.exists():  # a phase of no epochs
            continue
        with path.open() as file:
            for row in csv.DictReader(file):
                rows.append({key: float(value) for key, value in row.items()} | {"phase": path.stem})
    return learning_curves(rows, run / "curves.png")


if __name__ == "__main__":
    sys.exit(main())
