"""The data of most jobs: 1,797 handwritten digits of 8x8 pixels, which scikit-learn brings along."""

import numpy as np
from sklearn.datasets import load_digits


def digits():
    """Images, float32[n, 64] from 0 to 1, and their digits, int64[n]; of these for training, then for validation."""
    data = load_digits()
    images, labels = (data.data / 16).astype(np.float32), data.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]
    return (images[:1500], labels[:1500]), (images[1500:], labels[1500:])
