"""Train with PyTorch Lightning: TensorBoardLogger with scalars, hyperparameters, graph, weights and images. Fit, then
resume in the directory of the first run, then in a new one."""

import sys

import lightning
import torch
from digits import digits
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, TensorDataset


class Net(lightning.LightningModule):
    def __init__(self, width=64, lr=0.003, activation="relu", dropout=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.example_input_array = torch.zeros(1, 64)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Dropout(dropout), torch.nn.Linear(width, 10)
        )

    def forward(self, images):
        return self.layers(images)

    def training_step(self, batch, _):
        loss = torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, _):
        scores = self(batch[0])
        accuracy = (scores.argmax(1) == batch[1]).float().mean()
        loss = torch.nn.functional.cross_entropy(scores, batch[1])
        self.log_dict({"val/loss": loss, "val/accuracy": accuracy, "hp_metric": accuracy})

    def on_train_epoch_end(self):
        writer = self.logger.experiment
        for name, weights in self.named_parameters():
            writer.add_histogram(name, weights, self.current_epoch)
        writer.add_image("first layer", self.layers[0].weight.detach()[:, :64], self.current_epoch, dataformats="HW")

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.9)]


def fit(logger, epochs, every, checkpoint=None):
    (images, labels), validation = digits()
    train = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
    val = TensorDataset(*map(torch.from_numpy, validation))
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=logger,
        log_every_n_steps=every,
        callbacks=[LearningRateMonitor(), ModelCheckpoint(save_last=True)],
    )
    trainer.fit(Net(), DataLoader(train, 10, shuffle=True), DataLoader(val, 297), ckpt_path=checkpoint)
    return f"{logger.log_dir}/checkpoints/last.ckpt"


def train(log_dir, every=50):
    """every: log_every_n_steps; 50 is Lightning's default."""
    lightning.seed_everything(0)
    checkpoint = fit(TensorBoardLogger(log_dir, "digits", log_graph=True), 4, every)
    checkpoint = fit(TensorBoardLogger(log_dir, "digits", version=0), 6, every, checkpoint)
    fit(TensorBoardLogger(log_dir, "digits"), 8, every, checkpoint)


if __name__ == "__main__":
    train(*sys.argv[1:])
