"""Synthetic pictures, an untrained network, a tiny trained run: each made once for all tests of ml."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

# Smallest size that VGG19 accepts.
TINY = 32

# What makes a training run of seconds; the learning rate is high because the convolutions are random.
TINY_FLAGS = (
    f"--image-size {TINY} --batch-size 8 --augmentation gentle --head-epochs 6 --head-learning-rate 1e-3 "
    "--fine-tune-epochs 3 --fine-tune-from block5_conv4 --fine-tune-learning-rate 1e-5 --warmup-steps 2 "
    "--precision float32"
).split()


def draw_xray(*, ill: bool, seed: int = 0, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """Draw a grey chest with two dark lungs, or with whitened ones."""
    rng = np.random.default_rng(seed)
    width, height = size
    picture = Image.new("L", size, int(rng.integers(120, 150)))
    draw = ImageDraw.Draw(picture)
    for left in (0.15, 0.57):
        box = (left * width, 0.15 * height, (left + 0.28) * width, 0.85 * height)
        draw.ellipse(box, fill=int(rng.integers(190, 230) if ill else rng.integers(20, 50)))
    return picture.filter(ImageFilter.GaussianBlur(2))


def fill_folder(folder: Path, *, patients: int) -> Path:
    """Write a data set in Kaggle's layout: `patients` of each label, one picture each, both causes in turn."""
    for label in ("NORMAL", "PNEUMONIA"):
        (folder / label).mkdir(parents=True)
    for i in range(patients):
        draw_xray(ill=False, seed=i).save(folder / "NORMAL" / f"IM-{i:04d}-0001.jpeg")
        cause = "bacteria" if i % 2 else "virus"
        draw_xray(ill=True, seed=1000 + i).save(folder / "PNEUMONIA" / f"person{i}_{cause}_{i}.jpeg")
    return folder


@pytest.fixture(scope="module", autouse=True)
def single_precision_for_the_next() -> Iterator[None]:
    """Take back the precision that a training chose for this process: processors with bfloat16 would keep it."""
    yield
    if keras := sys.modules.get("keras"):
        keras.config.set_dtype_policy("float32")


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes a synthetic data set below tmp_path."""
    return lambda name="chest_xray", patients=3: fill_folder(tmp_path / name, patients=patients)


@pytest.fixture(scope="session")
def train_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic training folder of 28 patients; not to be written to."""
    return fill_folder(tmp_path_factory.mktemp("chest_xray") / "train", patients=14)


def pytest_configure(config: pytest.Config) -> None:
    """Bear with Keras 3.15 on NumPy 2.4: its variables lack a keyword of NumPy's __array__ protocol."""
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    )


def strengthen(network) -> None:
    """Scale Keras's random weights as He et al. 2015 do: sixteen convolutions would fade every picture to nothing."""
    for layer in network.layers:
        if layer.weights and hasattr(layer, "kernel"):
            layer.kernel.assign(layer.kernel * 2**0.5)


@pytest.fixture(scope="session")
def untrained():
    """One network with random weights, always the same; tests look at its answers, and may freeze and unfreeze it."""
    import keras

    from ml.model import build_classifier

    keras.utils.set_random_seed(1)
    network = build_classifier(image_size=TINY)
    strengthen(network)
    return network


@pytest.fixture(scope="session")
def random_starting_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as the command lines take it: VGG19 without its top, random values."""
    import keras

    path = tmp_path_factory.mktemp("weights") / "vgg19_notop.weights.h5"
    keras.utils.set_random_seed(1)
    convolutions = keras.applications.VGG19(include_top=False, weights=None, input_shape=(TINY, TINY, 3))
    strengthen(convolutions)
    convolutions.save_weights(path)
    return path


class Interrupted(NamedTuple):
    """A run that was killed when the second epoch of phase 2 began, and then resumed."""

    folder: Path
    epochs_before: int  # logged epochs of phase 2 when it was killed
    arguments: list[str]
    lines: Path  # its runs.csv


@pytest.fixture(scope="session")
def resumed_run(train_folder, random_starting_weights, tmp_path_factory) -> Interrupted:
    """Train on the synthetic folder, be killed in phase 2, resume and finish."""
    from ml import runs, train

    run = tmp_path_factory.mktemp("runs") / "tiny"
    arguments = ["--data", str(train_folder), "--run", str(run), "--weights", str(random_starting_weights)]
    arguments += ["--name", "tiny", *TINY_FLAGS]

    def killed(logger, epoch, logs=None):
        if epoch == 1 and (run / "phase1.weights.h5").exists():
            logger.on_train_end()  # closes its file, as the end of a process does
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.keras.callbacks.CSVLogger, "on_epoch_begin", killed)
        with pytest.raises(KeyboardInterrupt):
            train.train(train.parse_arguments(arguments))
    before = len((run / "phase2.csv").read_text().splitlines()) - 1
    lines = run.parent / "runs.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "FILE", lines)
        train.train(train.parse_arguments([*arguments, "--resume"]))
    return Interrupted(run, before, arguments, lines)
