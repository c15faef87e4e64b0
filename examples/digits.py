"""Train a small neural network on handwritten digits, log every kind of data with tbc, and read the run back.

    python examples/digits.py [LOG_DIR]

The digits come with scikit-learn (1,797 scans of 8 x 8 pixels); the network is fifty lines of numpy. All logging is in
`train`, and in the functions named log_... that it calls.
"""

import sys
import time

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import trange

import tbc
from tbc.reader.__main__ import main as reader

CONFIG = {"hidden units": 64, "epochs": 40, "batch size": 32, "learning rate": 0.2, "momentum": 0.9, "seed": 0}
COLORS = np.array([matplotlib.colormaps["tab10"](k)[:3] for k in range(10)]) * 255  # of the ten classes


def train(log_dir):
    rng = np.random.default_rng(CONFIG["seed"])
    digits = load_digits()
    images, labels = digits.images.astype(np.float32) / 16, digits.target
    images, test_images, labels, test_labels = train_test_split(
        images, labels, test_size=0.2, random_state=CONFIG["seed"]
    )
    network = Network(rng, 64, CONFIG["hidden units"], 10)
    filters = []
    step = 0

    with tbc.SummaryWriter(log_dir) as writer:
        log_data(writer, images, labels)

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

            filters.append(network.weights["hidden"].T.reshape(-1, 8, 8).copy())
            log_test(writer, network, test_images, test_labels, step, in_full=epoch % 10 in (0, 9))

        log_result(writer, network, test_images, test_labels, step, np.stack(filters, axis=1))


def log_data(writer, images, labels):
    writer.add_text("config", markdown_table(CONFIG))
    writer.add_images("digits/examples", enlarge(images[:32]), dataformats="NHWC")
    for digit in range(10):
        image = images[labels == digit][0]
        writer.add_audio(f"digits/{digit}", heard(image), sample_rate=8000, description="One column after another.")
    writer.add_custom_scalars(
        {
            "learning": {
                "loss": ["Multiline", ["loss/train", "loss/test"]],
                "accuracy of the classes, from worst to best": [
                    "Margin",
                    ["accuracy/test", "accuracy/worst", "accuracy/best"],
                ],
            }
        }
    )


def log_test(writer, network, images, labels, step, in_full):
    hidden, probabilities = network.forward(images)[1:]
    predictions = probabilities.argmax(axis=1)
    wrong = predictions != labels
    of_classes = [1 - wrong[labels == digit].mean() for digit in range(10)]
    writer.add_metrics(
        {
            "loss/test": network.loss(probabilities, labels),
            "accuracy/test": 1 - wrong.mean(),
            "accuracy/worst": min(of_classes),
            "accuracy/best": max(of_classes),
        },
        step,
    )
    if wrong.any():
        writer.add_images("digits/misclassified", enlarge(images[wrong]), step, dataformats="NHWC")
    if not in_full:
        return
    for digit in range(10):
        writer.add_pr_curve(f"classes/{digit}", labels == digit, probabilities[:, digit], step, num_thresholds=200)
    writer.add_embedding(hidden, labels, enlarge(images, 3).transpose(0, 3, 1, 2), step, "hidden")
    centered = hidden - hidden.mean(axis=0)
    axes = np.linalg.svd(centered, full_matrices=False)[2][:3]  # the principal components
    points = (centered @ axes.T)[np.newaxis]
    dots = {"material": {"cls": "PointsMaterial", "size": 0.15}}
    writer.add_mesh("hidden", points, COLORS[labels][np.newaxis], config_dict=dots, global_step=step)


def log_result(writer, network, images, labels, step, filters):
    predictions = network.forward(images)[-1].argmax(axis=1)
    wrong = predictions != labels

    page = enlarge(images[:100].reshape(10, 10, 8, 8).swapaxes(1, 2).reshape(1, 80, 80), 6)[0]
    places = np.flatnonzero(wrong[:100])
    corners = np.stack([places % 10, places // 10], axis=1) * 8 * 6 + 6
    boxes = np.hstack([corners, corners + 8 * 6])
    read_as = [f"read as {digit}" for digit in predictions[places]]
    writer.add_image_with_boxes("digits/page", page, boxes, step, dataformats="HWC", labels=read_as)

    faded = 1 - np.abs(filters) / np.abs(filters).max()  # from white to red or blue
    colored = np.stack([np.where(filters < 0, faded, 1), faded, np.where(filters > 0, faded, 1)], axis=2)
    writer.add_video("filters", colored[:16].repeat(8, axis=3).repeat(8, axis=4), step, fps=8)

    confusion = np.zeros((10, 10), np.int64)
    np.add.at(confusion, (labels, predictions), 1)
    writer.add_tensor("confusion/counts", confusion, step)
    writer.add_figure("confusion/figure", drawn(confusion), step)
    writer.add_hparams(CONFIG, {"hparam/accuracy": 1 - wrong.mean()}, run_name=".", global_step=step)


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
        error = probabilities.copy()
        error[np.arange(len(labels)), labels] -= 1
        error /= len(labels)
        hidden_error = error @ self.weights["output"].T * (1 - hidden**2)
        return self.loss(probabilities, labels), {
            "hidden": pixels.T @ hidden_error,
            "hidden_bias": hidden_error.sum(axis=0),
            "output": hidden.T @ error,
            "output_bias": error.sum(axis=0),
        }

    def update(self, gradients, learning_rate, momentum):
        for name, gradient in gradients.items():
            self.velocity[name] = momentum * self.velocity[name] - learning_rate * gradient
            self.weights[name] += self.velocity[name]

    @staticmethod
    def loss(probabilities, labels):
        return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


def enlarge(images, factor=8):
    """Add a black frame and a channel dimension, and make each pixel a square: NHW to NHWC."""
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    return framed.repeat(factor, axis=1).repeat(factor, axis=2)[..., np.newaxis]


def heard(image, seconds=0.15, sample_rate=8000):
    """Turn an image into sound: its columns follow each other, its rows are tones, low ones at the bottom."""
    tones = 2 * np.pi * 220 * 2 ** (np.arange(len(image))[::-1] / 3)  # in thirds of an octave
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    waves = np.sin(np.outer(tones, time)) * np.hanning(len(time))
    return (image.T @ waves).ravel() / len(image)


def drawn(confusion):
    figure = Figure(figsize=(5, 5))
    axes = figure.add_subplot(xlabel="read as", ylabel="is", xticks=range(10), yticks=range(10))
    axes.imshow(np.log1p(confusion), cmap="Blues")
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            axes.text(column, row, count, ha="center", va="center", color="white" if row == column else "black")
    return figure


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
to draw a curve:            {sys.executable} -m tbc.reader show {log_dir} accuracy/test
to see it in TensorBoard:   tensorboard --logdir {log_dir}    (pip install tensorboard)""")
