"""Train with pytorch-ignite: TensorboardLogger, which logs with tensorboardX, and its handlers for outputs, the
optimizer's parameters, weights and gradients."""

import sys

import torch
from digits import digits
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.handlers.tensorboard_logger import (
    GradsHistHandler,
    GradsScalarHandler,
    TensorboardLogger,
    WeightsHistHandler,
    WeightsScalarHandler,
    global_step_from_engine,
)
from ignite.metrics import Accuracy, Loss
from ignite.utils import manual_seed
from torch.utils.data import DataLoader, TensorDataset


def train(log_dir, every=1, histograms=100, epochs=5):
    """every, histograms: the iterations between scalars and between histograms. ignite's example for MNIST has 1 for
    the learning rate and 100 for the rest."""
    manual_seed(0)
    (images, labels), held_out = digits()
    loader = DataLoader(TensorDataset(torch.from_numpy(images), torch.from_numpy(labels)), 10, shuffle=True)
    validation = DataLoader(TensorDataset(*map(torch.from_numpy, held_out)), 297)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8)
    criterion = torch.nn.CrossEntropyLoss()
    trainer = create_supervised_trainer(model, optimizer, criterion)
    evaluator = create_supervised_evaluator(model, {"accuracy": Accuracy(), "loss": Loss(criterion)})
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: evaluator.run(validation))

    with TensorboardLogger(log_dir=log_dir) as logger:
        scalars = Events.ITERATION_COMPLETED(every=every)
        logger.attach_output_handler(trainer, scalars, tag="training", output_transform=lambda loss: {"loss": loss})
        logger.attach_opt_params_handler(trainer, Events.ITERATION_STARTED(every=every), optimizer=optimizer)
        step = global_step_from_engine(trainer)
        logger.attach_output_handler(
            evaluator, Events.EPOCH_COMPLETED, tag="validation", metric_names="all", global_step_transform=step
        )
        rarely = Events.ITERATION_COMPLETED(every=histograms)
        for handler in (WeightsHistHandler, WeightsScalarHandler, GradsHistHandler, GradsScalarHandler):
            logger.attach(trainer, log_handler=handler(model), event_name=rarely)
        trainer.run(loader, max_epochs=epochs)


if __name__ == "__main__":
    train(*sys.argv[1:])
