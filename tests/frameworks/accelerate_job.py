"""Train with Hugging Face accelerate, log_with="tensorboard": a config, scalars, groups of scalars, text and images."""

import sys

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from digits import digits
from torch.utils.data import DataLoader, TensorDataset


def train(log_dir, every=1, epochs=4):
    """every: the steps between calls of accelerator.log, which flush; the examples of accelerate log every step."""
    set_seed(0)
    accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=log_dir)
    config = {"width": 64, "lr": 0.003, "batch": 10, "optimizer": "Adam"}
    accelerator.init_trackers("digits", config)
    data, (images, labels) = digits()
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, config["width"]), torch.nn.ReLU(), torch.nn.Linear(config["width"], 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=config["lr"])
    loader = DataLoader(TensorDataset(*map(torch.from_numpy, data)), config["batch"], shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    step = 0
    for epoch in range(epochs):
        for batch, targets in loader:
            loss = torch.nn.functional.cross_entropy(model(batch), targets)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            step += 1
            if step % every == 0:
                accelerator.log({"loss": loss.item(), "lr": optimizer.param_groups[0]["lr"], "epoch": epoch}, step)
        with torch.no_grad():
            guesses = model(images).argmax(1)
        right = {str(digit): (guesses[labels == digit] == digit).float().mean().item() for digit in range(0, 10, 3)}
        accelerator.log({"accuracy": right, "guesses": " ".join(map(str, guesses.tolist()))}, step)
        wrong = images[guesses != labels][:9].reshape(-1, 1, 8, 8)
        accelerator.get_tracker("tensorboard").log_images({"wrong": wrong}, step)
    accelerator.end_training()


if __name__ == "__main__":
    train(*sys.argv[1:])
