"""Trains a small neural network on handwritten digits, logs the run with tbc, and reads it back.

    python examples/digits.py [LOG_DIR]

The digits come with scikit-learn (1,797 scans of 8 x 8 pixels); the network is fifty lines of numpy. Everything that
has to do with logging is in `train`.
"""

import sys
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import trange

import tbc
from tbc.reader.__main__ import main as reader

CONFIG = {"hidden units": 64, "epochs": 40, "batch size": 32, "learning rate": 0.2, "momentum": 0.9, "seed": 0}


def train(log_dir):
    rng = np.random.default_rng(CONFIG["seed"])
    digits = load_digits()
    images, labels = digits.images.astype(np.float32) / 16, digits.target
    images, test_images, labels, test_labels = train_test_split(
        images, labels, test_size=0.2, random_state=CONFIG["seed"]
    )
    network = Network(rng, 64, CONFIG["hidden units"], 10)
    step = 0

    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_text("config", markdown_table(CONFIG))
        writer.add_images("digits/examples", enlarge(images[:32]), dataformats="NHWC")

        for epoch in trange(CONFIG["epochs"], desc="training", unit="epoch"):
            learning_rate = CONFIG["learning rate"] * 0.5 * (1 + np.cos(np.pi * epoch / CONFIG["epochs"]))
            writer.add_scalar("learning_rate", learning_rate, step)

            for batch in np.array_split(rng.permutation(len(images)), len(images) // CONFIG["batch size"]):
                loss, gradients = network.gradients(images[batch], labels[batch])
                network.update(gradients, learning_rate, CONFIG["momentum"])
                writer.add_scalar("loss/train", loss, step)
                step += 1

            for name, gradient in gradients.items():
                writer.add_histogram(f"gradients/{name}", gradient, step)
                writer.add_histogram(f"weights/{name}", network.weights[name], step)

            test_loss, predictions = network.evaluate(test_images, test_labels)
            wrong = predictions != test_labels
            writer.add_scalar("loss/test", test_loss, step)
            writer.add_scalar("accuracy/test", 1 - wrong.mean(), step)
            if wrong.any():
                writer.add_images("digits/misclassified", enlarge(test_images[wrong]), step, dataformats="NHWC")


class Network:
    """Pixels -> tanh layer -> softmax over the classes, trained by gradient descent with momentum."""

    def __init__(self, rng, inputs, hidden, classes):
        self.weights = {
            "hidden": rng.normal(0, inputs**-0.5, (inputs, hidden)).astype(np.float32),
            "hidden_bias": np.zeros(hidden, np.float32),
            "output": rng.normal(0, hidden**-0.5, (hidden, classes)).astype(np.float32),
            "output_bias": np.zeros(classes, np.float32),
        }
        self.velocity = {name: np.zeros_like(weight) for name, weight in self.weights.items()}

    def forward(self, images):
        pixels = images.reshape(len(images), -1)
        hidden = np.tanh(pixels @ self.weights["hidden"] + self.weights["hidden_bias"])
        scores = hidden @ self.weights["output"] + self.weights["output_bias"]
        exp = np.exp(scores - scores.max(axis=1, keepdims=True))
        return pixels, hidden, exp / exp.sum(axis=1, keepdims=True)

    def gradients(self, images, labels):
        pixels, hidden, probabilities = self.forward(images)
        each = np.arange(len(labels))
        loss = -np.log(probabilities[each, labels]).mean()
        error = probabilities.copy()
        error[each, labels] -= 1
        error /= len(labels)
        hidden_error = error @ self.weights["output"].T * (1 - hidden**2)
        return loss, {
            "hidden": pixels.T @ hidden_error,
            "hidden_bias": hidden_error.sum(axis=0),
            "output": hidden.T @ error,
            "output_bias": error.sum(axis=0),
        }

    def update(self, gradients, learning_rate, momentum):
        for name, gradient in gradients.items():
            self.velocity[name] = momentum * self.velocity[name] - learning_rate * gradient
            self.weights[name] += self.velocity[name]

    def evaluate(self, images, labels):
        probabilities = self.forward(images)[-1]
        loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
        return loss, probabilities.argmax(axis=1)


def enlarge(images, factor=8):
    """A black frame, each pixel as a square, and a channel dimension: NHW to NHWC."""
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    return framed.repeat(factor, axis=1).repeat(factor, axis=2)[..., np.newaxis]


def markdown_table(mapping):
    return "\n".join(
        ["| parameter | value |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in mapping.items())]
    )


if __name__ == "__main__":
    log_dir = sys.argv[1] if len(sys.argv) > 1 else time.strftime("runs/digits-%Y%m%d-%H%M%S")
    train(log_dir)
    print(f"\nwhat {log_dir} holds, read back with tbc.reader:\n", flush=True)
    reader(["tags", log_dir])
    print(f"""
to print every value:       {sys.executable} -m tbc.reader dump {log_dir}
to see it in TensorBoard:   tensorboard --logdir {log_dir}    (pip install tensorboard)""")
