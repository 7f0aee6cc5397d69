"""Give a checkpoint the reference that the site's dashboard holds its pictures and answers against.

    python -m ml.reference --checkpoint ml/weights --data data/chest_xray/train

ml.train and ml.export write one themselves; this is for checkpoints of before. Weights, graph, threshold and the name
of the version stay what they are: the held-out patients of the checkpoint's own split are read by what serves it.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ml.calibration import Calibration
from ml.checkpoint import Checkpoint, CheckpointError, write_metadata
from ml.dataset import DatasetError, load_canonical
from ml.drift import reference_of
from ml.engine import load_engine
from ml.split import held_out_of


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 when checkpoint or data can't be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="what gets the reference")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="the folder that it was trained on, with NORMAL/ ..."
    )
    arguments = parser.parse_args(argv)
    try:
        checkpoint = with_reference(Checkpoint.read(arguments.checkpoint), arguments.data)
    except (DatasetError, CheckpointError) as error:
        print(error, file=sys.stderr)
        return 1
    pictures = checkpoint.metadata.reference["n"]
    print(f"{checkpoint.folder} is still version {checkpoint.sha256[:12]}; its reference are {pictures} pictures")
    return 0


def with_reference(checkpoint: Checkpoint, data: Path) -> Checkpoint:
    """Write the reference into the metadata of `checkpoint`. Raises DatasetError or CheckpointError."""
    checkpoint.verify()
    held_out = held_out_of(checkpoint, data)
    pictures = [load_canonical(example.path) for example in held_out]
    metadata = checkpoint.metadata
    calibration = Calibration(metadata.temperature, metadata.bias)
    probabilities = calibration.probability(load_engine(checkpoint).logits(pictures))
    labels = np.array([example.index for example in held_out])
    reference = reference_of(pictures, probabilities, labels)
    return write_metadata(checkpoint.folder, dataclasses.replace(metadata, reference=reference))


if __name__ == "__main__":
    sys.exit(main())
