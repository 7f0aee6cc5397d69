"""A process of the usual kind: import TensorFlow, load the whole network's .h5, predict; then wait for its end.

    python bench/engines/tensorflow_program.py WHOLE.h5 INPUTS.npy

Prints "answered" when there is an answer. It stays alive until standard input closes, so that it can be weighed. Run by
its path, so that nothing of this project is imported.
"""

import sys

import numpy as np
import tensorflow as tf

model = tf.keras.models.load_model(sys.argv[1], compile=False)
model.predict(np.load(sys.argv[2])[:1], verbose=0)
print("bench answered", flush=True)
sys.stdin.read()
