"""Train with Keras 3 on torch. Its TensorBoard callback needs TensorFlow; the short one here logs the same."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from digits import digits
from torch.utils.tensorboard import SummaryWriter


class TensorBoard(keras.callbacks.Callback):
    """Log like keras.callbacks.TensorBoard(log_dir, histogram_freq=1, update_freq=update_freq)."""

    def __init__(self, log_dir, update_freq):
        super().__init__()
        self.update_freq = update_freq
        self.writers = {name: SummaryWriter(f"{log_dir}/{name}") for name in ("train", "validation")}

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations)
        if step % self.update_freq == 0:
            for name, value in logs.items():
                self.writers["train"].add_scalar(f"batch_{name}", value, step)

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            run = "validation" if name.startswith("val_") else "train"
            self.writers[run].add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        for weight in self.model.weights:
            self.writers["train"].add_histogram(weight.path, keras.ops.convert_to_numpy(weight), epoch)

    def on_train_end(self, logs=None):
        for writer in self.writers.values():
            writer.close()


def train(log_dir, every=1, epochs=6):
    """every: update_freq, the steps between scalars of batches. By default Keras logs only after each epoch."""
    keras.utils.set_random_seed(0)
    data, held_out = digits()
    layers = [keras.layers.Dense(64, "relu"), keras.layers.Dropout(0.1), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((64,)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    callback = TensorBoard(log_dir, every)
    model.fit(*data, batch_size=10, epochs=epochs, validation_data=held_out, callbacks=[callback], verbose=0)


if __name__ == "__main__":
    train(*sys.argv[1:])
