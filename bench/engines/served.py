"""What a checkpoint brings to answer with: its network, its own graph, the site's engine.

Versions of the software before ml.engine had TensorFlow alone, and checkpoints no graph; they can be measured too.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from ml.checkpoint import Checkpoint


def network(checkpoint: Checkpoint) -> Any:
    """Give the network in Keras: a picture in, two probabilities out."""
    from ml.model import build_classifier

    metadata = checkpoint.metadata
    model = build_classifier(image_size=metadata.image_size, head=metadata.head, normalisation=metadata.normalisation)
    model.load_weights(checkpoint.weights_path)
    return model


def has_graph(checkpoint: Checkpoint) -> bool:
    """Tell whether the checkpoint brings a graph of OpenVINO."""
    return getattr(checkpoint, "has_graph", False)


def graph(checkpoint: Checkpoint) -> Any:
    """Give that graph, not compiled; its outputs are "logits", "features" and "heatmaps"."""
    import openvino as ov

    folder: Any = checkpoint
    return ov.Core().read_model(folder.graph_path, folder.graph_weights_path)


def graph_precision(checkpoint: Checkpoint) -> str:
    """Give what is computed in where the graph is not quantised: fp32 or bf16."""
    return getattr(checkpoint.metadata, "graph_precision", "")


def engine_read(checkpoint: Checkpoint) -> Callable[[np.ndarray], Any]:
    """Load the engine that a worker would load; give its function from the network's inputs to all outputs."""
    if importlib.util.find_spec("ml.engine"):
        return importlib.import_module("ml.engine").load_engine(checkpoint).read
    import tensorflow as tf

    from ml.serving import ServingGraph

    read = ServingGraph(network(checkpoint))._read
    return lambda pictures: [output.numpy() for output in read(tf.constant(pictures))]
