"""The two answers and their order in every array of the project."""

NORMAL = "NORMAL"
PNEUMONIA = "PNEUMONIA"

# Index 1 is PNEUMONIA everywhere: in the folders, in the softmax, in the metrics.
LABELS = (NORMAL, PNEUMONIA)
