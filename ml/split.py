"""Which patients of its training folder a checkpoint was trained on, and which were held out."""

from pathlib import Path

from ml.checkpoint import Checkpoint
from ml.dataset import DatasetError, Example, data_hash, drop_duplicates, read_folder, split_by_patient

# A tenth of the patients decides when to stop, the calibration and the operating point; they are never trained on.
HELD_OUT_SHARE = 0.10


def own_examples(checkpoint: Checkpoint, folder: Path) -> tuple[list[Example], int]:
    """List what `checkpoint` was made from, with the seed of its split. Raises DatasetError where it is not that."""
    training = checkpoint.metadata.training
    examples = drop_duplicates(read_folder(folder))
    try:
        seed, hashed = training["seed"], training["data"]["hash"]
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{checkpoint.folder} doesn't say what it was trained on.") from error
    if data_hash(examples) != hashed:
        raise DatasetError(
            f"{folder} is not what {checkpoint.metadata.name} was trained on: it would be measured on pictures that it "
            "has seen."
        )
    return examples, seed


def held_out_of(checkpoint: Checkpoint, folder: Path) -> list[Example]:
    """List the pictures in `folder` of those whom `checkpoint` was not trained on. Raises DatasetError."""
    examples, seed = own_examples(checkpoint, folder)
    return split_by_patient(examples, share=HELD_OUT_SHARE, seed=seed)[1]
