"""The network of a checkpoint in the forms that other engines read.

    python -m bench.engines.conversions CHECKPOINT FOLDER [FILE ...]

Writes inputs.npy and the files that are named, and prints "bench" and JSON as its last line: notes on what was made,
reasons of what could not be.

    inputs.npy      pictures as the network sees them, (n, size, size, 1) float32
    whole.h5        the whole network in one file, as a Keras program of the usual kind loads it
    network.onnx    float32, any number of pictures
    fp32.xml        OpenVINO, float32, any number of pictures
    int8.xml        the checkpoint's own graph without the features and the heatmaps, one picture a call; where it has
                    none, fp32.xml quantised
"""

import json
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.engines.served import graph, network
from bench.pictures import inputs
from bench.report import reason
from ml.checkpoint import Checkpoint

PICTURES = 32


def main() -> None:
    """Make what is wanted, as far as it can be made."""
    checkpoint, folder, wanted = Checkpoint.read(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3:]
    np.save(folder / "inputs.npy", inputs(PICTURES, checkpoint.metadata.image_size))
    model = cache(lambda: network(checkpoint))
    steps: dict[str, Callable[[], str]] = {
        "whole.h5": lambda: whole(model(), folder / "whole.h5"),
        "network.onnx": lambda: onnx(model(), folder / "network.onnx"),
        "fp32.xml": lambda: openvino(model(), folder / "fp32.xml"),
    }
    if checkpoint.has_graph:
        steps["int8.xml"] = lambda: answer_alone(checkpoint, folder / "int8.xml")
    else:
        steps["int8.xml"] = lambda: int8(folder / "fp32.xml", folder / "int8.xml", np.load(folder / "inputs.npy"))
    notes, failures = [], {}
    for name in wanted:
        try:
            notes.append(steps[name]())
        except Exception as error:  # noqa: BLE001 - the others may still be made
            failures[name] = reason(error)
    print("bench", json.dumps({"notes": [note for note in notes if note], "failures": failures}))


def whole(model: Any, path: Path) -> str:
    """Save the whole network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that .h5 is an old format
        model.save(path)
    return ""


def onnx(model: Any, path: Path) -> str:
    """Convert by tf2onnx, as Keras's own export does."""
    model(np.zeros((1, *model.input.shape[1:]), np.float32))  # export wants a network that was called
    model.export(path, format="onnx", verbose=False)
    return ""


def openvino(model: Any, path: Path) -> str:
    """Convert by OpenVINO's own reader of TensorFlow programs; the weights stay float32."""
    import openvino as ov
    import tensorflow as tf

    shape = tf.TensorSpec((None, *model.input.shape[1:]), tf.float32)
    program = tf.function(lambda pictures: model(pictures, training=False), input_signature=[shape])
    ov.save_model(ov.convert_model(program), path, compress_to_fp16=False)
    return ""


def answer_alone(checkpoint: Checkpoint, path: Path) -> str:
    """Cut what leads to no answer off the checkpoint's graph."""
    import openvino as ov

    whole = graph(checkpoint)
    alone = ov.Model([whole.output("logits")], whole.get_parameters(), "answer")
    ov.save_model(alone, path, compress_to_fp16=False)
    return (
        "OpenVINO int8 is the checkpoint's own graph without the features and the heatmaps; what is not quantised in "
        f"it is computed in {checkpoint.metadata.graph_precision}."
    )


def int8(fp32: Path, path: Path, pictures: np.ndarray) -> str:
    """Quantise by NNCF as it comes."""
    import nncf
    import openvino as ov

    quantised = nncf.quantize(
        ov.Core().read_model(fp32), nncf.Dataset(list(pictures[:, np.newaxis])), subset_size=len(pictures)
    )
    ov.save_model(quantised, path)
    return (
        f"OpenVINO int8 is NNCF's plain quantisation with {len(pictures)} drawn pictures, for its time alone: "
        "what it answers was not looked at."
    )


if __name__ == "__main__":
    main()
