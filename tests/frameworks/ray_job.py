"""Train with Ray Tune: four trials in two processes; the driver logs their results with Tune's TBXLoggerCallback."""

import os
import sys

import ray
import torch
from digits import digits
from ray import tune


def fit(config):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    (images, labels), (held_out, truth) = (map(torch.from_numpy, part) for part in digits())
    first = torch.nn.Linear(64, config["width"])
    model = torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Linear(config["width"], 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"])
    for _ in range(config["epochs"]):
        for batch in torch.randperm(len(images)).split(50):
            loss = torch.nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (model(held_out).argmax(1) == truth).float().mean().item()
        tune.report({"loss": loss.item(), "accuracy": accuracy, "weights": first.weight.detach().numpy()})


def train(log_dir, epochs=20):
    """epochs: those of each trial, which reports a result after each epoch."""
    ray.init(num_cpus=2, include_dashboard=False)
    space = {"lr": tune.grid_search([0.1, 0.3]), "width": tune.grid_search([16, 32]), "epochs": epochs}
    run = tune.RunConfig(name="digits", storage_path=os.path.abspath(log_dir))
    results = tune.Tuner(fit, param_space=space, run_config=run).fit()
    ray.shutdown()
    if results.errors:
        raise results.errors[0]


if __name__ == "__main__":
    train(*sys.argv[1:])
