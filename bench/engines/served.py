"""What a checkpoint brings to answer with: its network, its own graph, the site's engine."""

from typing import Any

from ml.checkpoint import Checkpoint


def network(checkpoint: Checkpoint) -> Any:
    """Give the network in Keras: a picture in, two probabilities out."""
    from ml.model import build_classifier

    metadata = checkpoint.metadata
    model = build_classifier(image_size=metadata.image_size, head=metadata.head, normalisation=metadata.normalisation)
    model.load_weights(checkpoint.weights_path)
    return model


def graph(checkpoint: Checkpoint) -> Any:
    """Give the checkpoint's graph, not compiled; its outputs are "logits", "features" and "heatmaps"."""
    import openvino as ov

    return ov.Core().read_model(checkpoint.graph_path, checkpoint.graph_weights_path)


def loaded_engine(checkpoint: Checkpoint) -> Any:
    """Load the ml.engine.Engine that a worker would load."""
    from ml.engine import load_engine

    return load_engine(checkpoint)
