"""What each choice is worth: small runs that differ from a base in one thing, each a line of runs.csv.

    python -m ml.ablation --data data/chest_xray/train --run runs/ablation --weights vgg19_notop.weights.h5

The runs are small on purpose (small pictures, a third of the patients, an epoch of phase 1 and two of phase 2), so
that two cores make them all in an afternoon; what they say is of that scale. The base runs with several seeds: a
difference within its spread says nothing. What has to differ along with the one thing is named with it. A line that is
in runs.csv already is not run again.
"""

import argparse
import dataclasses
import shutil
import sys
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from ml import runs
from ml.augmentation import crop_share, levels, through_size
from ml.calibration import CalibrationError
from ml.dataset import DatasetError, drop_duplicates, read_folder
from ml.fitting import MODEL_FILE, Data, choose_precision, fit_network, load_data
from ml.model import StartingWeightsError
from ml.preprocess import to_array
from ml.recipes import RECIPES, Recipe
from ml.stress import LogitsOf, ask, choose, measure, some_passes

BASE = dataclasses.replace(
    RECIPES["robust"],
    image_size=96,
    augmentation="matched",
    head_epochs=1,
    fine_tune_epochs=2,
    warmup_steps=20,
    ema_momentum=0.95,
)

# Every third patient, and each held-out picture as it is and under two of the shifts.
PATIENT_STEP = 3
SHIFTS_EACH = 2


@dataclasses.dataclass(frozen=True)
class Variant:
    """One line of the table: what is changed from BASE, in words and in the recipe."""

    changed: str
    overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
    seeds: tuple[int, ...] = (1,)
    start: str | None = None  # the variant whose finished network it goes on from
    views: bool = False  # of test-time augmentation

    @property
    def recipe(self) -> Recipe:
        """Give the recipe of the run."""
        return dataclasses.replace(BASE, **self.overrides)


USUAL = {"fine_tune_from": "block4_conv1", "fine_tune_learning_rate": 1e-5, "warmup_steps": 0, "cosine": False}

VARIANTS = {
    "base": Variant("–", seeds=(1, 2, 3)),
    "views": Variant("test-time augmentation: mean of four views", views=True, start="base"),
    "pooling": Variant(
        "head: global average pooling, at ten times the rate in phase 1",
        {"head": "pooling", "head_learning_rate": 1e-3},
    ),
    "gentle": Variant("augmentation: crop and jitter alone", {"augmentation": "gentle"}),
    "robust": Variant("augmentation: robust, statistics not matched", {"augmentation": "robust"}),
    "full": Variant("all convolutions open in phase 2", {"fine_tune_from": "block1_conv1"}),
    "frozen": Variant("frozen convolutions: three epochs of phase 1", {"head_epochs": 3, "fine_tune_epochs": 0}),
    "classic": Variant(
        "phase 2 as in the recipe classic: block 4 on, Adam 1e-5, crop and jitter, no averaging",
        {**USUAL, "augmentation": "gentle", "ema_momentum": None, "weight_decay": 0.0},
    ),
    "unweighted": Variant("no class weights", {"class_weights": False}),
    "mixup": Variant("mixup, Beta(0.2, 0.2)", {"mixup": 0.2}),
    "smoothed": Variant("label smoothing 0.1", {"label_smoothing": 0.1}),
    "unaveraged": Variant("no averaging of weights (EMA)", {"ema_momentum": None}),
    "levels": Variant("same mean and deviation for every picture, in the network", {"normalisation": "picture"}),
    "larger": Variant("128 × 128 pixels", {"image_size": 128}),
    "progressive": Variant(
        "96 × 96 first, as the base, then two epochs more at 128 × 128",
        {"image_size": 128, "head_epochs": 0},
        start="base",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 when data or weights can't be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with NORMAL/ and PNEUMONIA/")
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="where the runs keep their files")
    parser.add_argument("--weights", default="imagenet", help="of the convolutions, as for ml.train")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, metavar="NAME", help=", ".join(VARIANTS))
    arguments = parser.parse_args(argv)
    keras.config.set_dtype_policy(choose_precision())
    try:
        for name in arguments.only or VARIANTS:
            for seed in VARIANTS[name].seeds:
                if not already_run(name, seed):
                    run_variant(name, seed, arguments)
    except (DatasetError, StartingWeightsError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def title(name: str) -> str:
    """Name the variant's run in runs.csv."""
    return f"ablation {name}"


def already_run(name: str, seed: int) -> bool:
    """Tell whether runs.csv holds the line."""
    return any(line["run"] == title(name) and line["seed"] == str(seed) for line in runs.read())


def run_variant(name: str, seed: int, arguments: argparse.Namespace) -> None:
    """Train and measure one variant, append its line, keep its network for those that go on from it."""
    variant, began = VARIANTS[name], time.monotonic()
    folder = arguments.run / f"{name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    data = small_data(arguments.data, seed)
    keras.backend.clear_session()
    start = arguments.run / f"{variant.start}-{seed}" / MODEL_FILE if variant.start else arguments.weights
    if variant.views:
        model = keras.saving.load_model(start, compile=False)
    else:
        model = fit_network(variant.recipe, data, run=folder, weights=str(start), seed=seed)
        model.save(folder / MODEL_FILE, include_optimizer=False)
    logits_of = reading(model, variant.recipe.image_size)
    if variant.views:
        logits_of = mean_of_views(logits_of)
    passes = ask(logits_of, data.held_out.pictures, some_passes(len(data.held_out.pictures), SHIFTS_EACH))
    described = {
        "run": title(name),
        "changed": variant.changed,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": runs.git_commit(),
        "data": data.hash[:12],
        "seed": seed,
        "patients": len({example.patient for example in data.examples}),
        "hours": round((time.monotonic() - began) / 3600, 3),
        **dataclasses.asdict(variant.recipe),
    }
    try:
        choice = choose(passes, data.held_out.labels)
    except CalibrationError as error:
        # A bad run is a result too, and the next one may be better.
        found: dict[str, Any] = {}
        print(f"{title(name)}, seed {seed}: {error}", file=sys.stderr)
    else:
        found = runs.figures(choice=choice, metrics=measure(passes, choice, data.held_out), passes=len(passes.index))
        print(f"{title(name)}, seed {seed}: " + ", ".join(f"{key} {found[key]}" for key in runs.METRICS), flush=True)
    runs.append(described | found)
    for left in (*folder.glob("*.weights.h5"), *folder.glob("*_backup")):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


@lru_cache(maxsize=1)
def small_data(folder: Path, seed: int) -> Data:
    """Read the data set, and keep every PATIENT_STEP-th training patient; all who are held out stay."""
    data = load_data(drop_duplicates(read_folder(folder)), seed=seed)
    kept = set(sorted({example.patient for example in data.examples})[::PATIENT_STEP])
    chosen = [index for index, example in enumerate(data.examples) if example.patient in kept]
    return dataclasses.replace(
        data,
        examples=[data.examples[index] for index in chosen],
        pictures=[data.pictures[index] for index in chosen],
    )


def reading(model: keras.Model, size: int) -> LogitsOf:
    """Give the function from canonical pictures to (n, 2) logits."""
    logits = keras.Model(model.input, model.get_layer("logits").output)

    def read(pictures: Sequence[Image.Image]) -> np.ndarray:
        return logits.predict_on_batch(np.stack([to_array(picture, size) for picture in pictures]))

    return read


def mean_of_views(logits_of: LogitsOf) -> LogitsOf:
    """Average the logits of the picture as it is, cropped, brighter and turned by four degrees."""
    views = (
        lambda picture: picture,
        lambda picture: through_size(crop_share(picture, 0.85, 1.0, 0.5, 0.5), *picture.size),
        lambda picture: levels(picture, gain=1.15, offset=10),
        lambda picture: picture.rotate(4, Image.Resampling.BILINEAR),
    )
    return lambda pictures: np.mean([logits_of([view(picture) for picture in pictures]) for view in views], axis=0)


if __name__ == "__main__":
    sys.exit(main())
