"""The data set: folders of pictures → patients, a split by patient, batches.

python -m ml.dataset --download data/chest_xray
"""

import argparse
import hashlib
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ml.labels import LABELS, PNEUMONIA
from ml.preprocess import canonical, to_array

SUFFIXES = {".jpeg", ".jpg", ".png"}
KAGGLE_HANDLE = "paultimothymooney/chest-xray-pneumonia"

# person12_bacteria_47.jpeg, IM-0115-0001.jpeg, NORMAL2-IM-0501-0001.jpeg. A person number stands with both causes for
# some 800 numbers; whether that is one child or two is nowhere said, so both are kept on one side of the split.
PATIENT = re.compile(r"(person\d+|(?:NORMAL2-)?IM-\d+)")


class DatasetError(Exception):
    """The data can't be used; the text says why and what to do."""


@dataclass(frozen=True)
class Example:
    """One labelled picture on disk."""

    path: Path
    label: str
    patient: str
    sha256: str

    @property
    def index(self) -> int:
        """The label's place in LABELS: 0 for NORMAL, 1 for PNEUMONIA."""
        return LABELS.index(self.label)

    @property
    def cause(self) -> str | None:
        """What caused the pneumonia, as the file name says it: "bacteria" or "virus"; None for a normal picture."""
        return next((cause for cause in ("bacteria", "virus") if f"_{cause}" in self.path.name), None)


def patient_of(path: Path) -> str:
    """Tell whose picture it is, by prefix and number of the file name; an unknown name is a patient of its own."""
    match = PATIENT.match(path.stem)
    return match.group(1) if match else path.stem


def read_folder(folder: Path) -> list[Example]:
    """List the pictures in folder/NORMAL and folder/PNEUMONIA, in the order of their names; `left_out` lists the rest.

    Raises DatasetError when one of the two is missing or empty.
    """
    examples = []
    for label in LABELS:
        paths = sorted(path for path in (folder / label).glob("*") if is_picture(path))
        if not paths:
            raise DatasetError(f"No pictures in {folder / label}. {_expected(folder)}")
        for path in paths:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            examples.append(Example(path, label, patient_of(path), digest))
    return examples


def left_out(folder: Path) -> list[str]:
    """Name all that lies in `folder`, or beside its pictures, and that `read_folder` passes over; folders end in /."""
    beside = [path for path in folder.glob("*") if path.name not in LABELS]
    beside += [path for label in LABELS for path in (folder / label).glob("*") if not is_picture(path)]
    return sorted(f"{path.relative_to(folder).as_posix()}{'/' if path.is_dir() else ''}" for path in beside)


def is_picture(path: Path) -> bool:
    """Tell by its name whether `path` is a picture file."""
    # macOS leaves ._name.jpeg files in archives, which are no pictures.
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _expected(folder: Path) -> str:
    # As in Kaggle's archive, which also holds a __MACOSX twin of each folder, with no pictures in it.
    below = [path for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern)) if (path / PNEUMONIA).is_dir()]
    found = [str(path) for path in below if "__MACOSX" not in path.parts]
    if found:
        return f"There are such folders in {', '.join(found)}: name one of these."
    return (
        "Expected a folder with NORMAL/ and PNEUMONIA/, each with .jpeg, .jpg or .png files. "
        "`python -m ml.dataset --download DIR` fetches the public data set."
    )


def drop_duplicates(examples: Iterable[Example]) -> list[Example]:
    """Keep the first of each set of identical files."""
    seen: dict[str, Example] = {}
    for example in examples:
        seen.setdefault(example.sha256, example)
    return list(seen.values())


def split_by_patient(examples: Sequence[Example], *, share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Split into (training, held out): about `share` of each label's patients are held out, nobody is in both."""
    rng = np.random.default_rng(seed)
    held_out: set[str] = set()
    for label in LABELS:
        patients = sorted({example.patient for example in examples if example.label == label})
        rng.shuffle(patients)
        held_out.update(patients[: max(1, round(share * len(patients)))])
    return (
        [example for example in examples if example.patient not in held_out],
        [example for example in examples if example.patient in held_out],
    )


def class_weights(groups: Iterable[Sequence[Example]]) -> dict[int, float]:
    """Weight each label so that both count the same in the loss: n / (2 · n of the label).

    An epoch shows one picture of each group: of a group with both labels each counts for its share.
    """
    shown: dict[int, Fraction] = {}
    for group in groups:
        for example in group:
            shown[example.index] = shown.get(example.index, Fraction()) + Fraction(1, len(group))
    together = sum(shown.values())
    return {index: float(together / (len(LABELS) * share)) for index, share in sorted(shown.items())}


def data_hash(examples: Iterable[Example]) -> str:
    """Name a set of labelled pictures: sha256 over the sorted (label, sha256 of the file) lines."""
    lines = sorted(f"{example.label} {example.sha256}\n" for example in examples)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def load_canonical(path: Path) -> Image.Image:
    """Read one picture upright in the form of the data set: 224 × 224, 8-bit grayscale."""
    with Image.open(path) as picture:
        return canonical(ImageOps.exif_transpose(picture))


def load_inputs(pictures: Iterable[Image.Image], size: int) -> np.ndarray:
    """Stack pictures as (n, size, size, 1) float32, 0..255."""
    return np.stack([to_array(picture, size) for picture in pictures])


def download(folder: Path) -> None:
    """Fetch the public data set from Kaggle into `folder`. Raises DatasetError with what to do instead."""
    try:
        import kagglehub
    except ImportError as error:
        raise DatasetError("kagglehub is not installed: pip install -r requirements.txt") from error
    try:
        source = Path(kagglehub.dataset_download(KAGGLE_HANDLE))
    except Exception as error:  # kagglehub passes on whatever its HTTP client raises
        raise DatasetError(
            f"The data set could not be downloaded ({type(error).__name__}). Offline, get the archive on another "
            "machine from https://data.mendeley.com/datasets/rscbjbr9sj (doi 10.17632/rscbjbr9sj, CC BY 4.0) or "
            f"https://www.kaggle.com/datasets/{KAGGLE_HANDLE}, and unpack it so that {folder}/train/NORMAL and "
            f"{folder}/train/{PNEUMONIA} exist."
        ) from error
    for split in ("train", "test"):
        # The archive holds a __MACOSX twin of each folder, with no pictures in it.
        candidates = [path for path in sorted(source.rglob(split)) if "__MACOSX" not in path.parts]
        found = next((path for path in candidates if (path / PNEUMONIA).is_dir()), None)
        if found is None:
            raise DatasetError(f"The download at {source} has no {split}/{PNEUMONIA} folder.")
        shutil.copytree(found, folder / split, dirs_exist_ok=True)


def main() -> int:
    """Run the command line; the exit code is 1 when the data could not be had."""
    parser = argparse.ArgumentParser(description="Get and describe the chest X-ray data set.")
    parser.add_argument("--download", type=Path, metavar="DIR", help="fetch the public data set into DIR (1.2 GB)")
    parser.add_argument("--describe", type=Path, metavar="DIR", help="count what is in DIR/NORMAL and DIR/PNEUMONIA")
    arguments = parser.parse_args()
    if not (arguments.download or arguments.describe):
        parser.error("say --download DIR or --describe DIR")
    try:
        if arguments.download:
            download(arguments.download)
            print(f"The data set is in {arguments.download}")
        if arguments.describe:
            examples = read_folder(arguments.describe)
            unique = drop_duplicates(examples)
            counts = Counter(example.label for example in examples)
            print(f"{len(examples)} pictures ({', '.join(f'{counts[label]} {label}' for label in LABELS)})")
            print(f"{len({example.patient for example in examples})} patients")
            print(f"{len(examples) - len(unique)} exact duplicates; data hash {data_hash(unique)}")
    except DatasetError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
