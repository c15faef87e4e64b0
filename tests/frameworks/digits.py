"""The data of most jobs: 1,797 handwritten digits of 8x8 pixels, a part of scikit-learn."""

import numpy as np
from sklearn.datasets import load_digits


def digits():
    """Return (images, digits) for training, then for validation: float32[n, 64] from 0 to 1, and int64[n]."""
    data = load_digits()
    images, labels = (data.data / 16).astype(np.float32), data.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]
    return (images[:1500], labels[:1500]), (images[1500:], labels[1500:])
