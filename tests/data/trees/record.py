"""Write the trees of this directory again, each by the logger of the package that it is named after.

    python record.py [NAME...]

Needs the packages that README.md lists. Each tree is written in a process and a temporary directory of its own; only
the event files are kept. Their names lose the host and the process, since TensorBoard's file names hold both.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = re.compile(r"(?P<head>.*tfevents\.\d+)\.(?P<host>.+?)(?P<tail>(\.\d+)*(\.v2)?)$")


def lightning():
    """Two versions with hyperparameters and validation; the second is interrupted, and resumes in its directory."""
    import lightning
    import torch
    from lightning.pytorch.loggers import TensorBoardLogger

    class Model(lightning.LightningModule):
        def __init__(self, lr, width=4):
            super().__init__()
            self.save_hyperparameters()
            self.example_input_array = torch.zeros(2, 4)
            self.layers = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 1))

        def forward(self, x):
            return self.layers(x)

        def training_step(self, batch, i):
            loss = torch.nn.functional.mse_loss(self(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch, i):
            self.log("val_loss", torch.nn.functional.mse_loss(self(batch[0]), batch[1]))

        def on_validation_end(self):
            tensorboard = self.logger.experiment
            tensorboard.add_histogram("weights", self.layers[0].weight, self.global_step, bins="auto")
            tensorboard.add_image("weights as image", self.layers[0].weight.detach().abs()[None], self.global_step)

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), self.hparams.lr)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    torch.manual_seed(0)
    x = torch.rand(16, 4)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True)), batch_size=4)

    def trainer(epochs, **options):
        return lightning.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            log_every_n_steps=1,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[lightning.pytorch.callbacks.LearningRateMonitor()],
            logger=TensorBoardLogger(".", **options),
        )

    trainer(3, default_hp_metric=False).fit(Model(0.1), data, data)
    first = trainer(2, log_graph=True)
    first.fit(Model(0.01), data, data)
    first.save_checkpoint("last.ckpt", weights_only=False)
    trainer(4, version=1).fit(Model(0.01), data, data, ckpt_path="last.ckpt")


def transformers():
    """A Trainer with its default callback, and an evaluation each epoch."""
    import torch
    import transformers

    config = transformers.GPT2Config(vocab_size=8, n_positions=8, n_embd=4, n_layer=1, n_head=1)
    transformers.set_seed(0)
    os.environ["TENSORBOARD_LOGGING_DIR"] = "runs/Jan01_00-00-00_host"  # by default it has the name of the host
    tokens = torch.arange(128).reshape(16, 8) % 8
    data = [{"input_ids": row, "labels": row} for row in tokens]
    arguments = transformers.TrainingArguments(
        "out",
        num_train_epochs=3,
        per_device_train_batch_size=4,
        logging_steps=2,
        eval_strategy="epoch",
        save_strategy="no",
        use_cpu=True,
        report_to="tensorboard",
        disable_tqdm=True,
    )
    model = transformers.GPT2LMHeadModel(config)
    transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=data).train()


def stable_baselines3():
    """Two runs of one name, the second of which goes on after a first learn()."""
    import stable_baselines3

    for several in (1, 2):
        model = stable_baselines3.PPO(
            "MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, n_epochs=1, tensorboard_log=".", seed=0, device="cpu"
        )
        for i in range(several):
            model.learn(96, log_interval=1, reset_num_timesteps=i == 0)


def keras():
    """The callback with all that it can log; in `resumed`, a second fit() of the last two epochs."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).random((32, 4), np.float32)
    y = x.sum(1)
    layers = [keras.layers.Input((4,)), keras.layers.Dense(3, "relu", name="hidden"), keras.layers.Dense(1, name="out")]
    model = keras.Sequential(layers, name="small")
    model.compile("sgd", "mse", metrics=["mae"])

    def fit(directory, epochs, start=0, **options):
        callback = keras.callbacks.TensorBoard(directory, **options)
        model.fit(x, y, 8, epochs, 0, [callback], validation_split=0.25, initial_epoch=start)

    fit("logs", 3, histogram_freq=1, write_images=True, update_freq=1, write_steps_per_second=True)
    fit("resumed", 3)
    fit("resumed", 4, 2)


def tensorflow2():
    """Every function of tf.summary, hyperparameters of the HParams plugin, a traced graph."""
    import numpy as np
    import tensorflow as tf
    from tensorboard.plugins.hparams import api
    from tensorboard.plugins.mesh import summary_v2 as mesh
    from tensorboard.plugins.pr_curve import summary as pr_curve

    rng = np.random.default_rng(0)
    units, rate = api.HParam("units", api.Discrete([4, 8])), api.HParam("rate", api.RealInterval(0.0, 1.0))
    with tf.summary.create_file_writer("tuned").as_default():
        api.hparams_config([units, rate], [api.Metric("accuracy", display_name="Accuracy")])
    for i in range(2):
        with tf.summary.create_file_writer(f"tuned/{i}").as_default():
            api.hparams({units: 4 * (i + 1), rate: 0.5})
            tf.summary.scalar("accuracy", 0.5 + i / 4, 1)

    @tf.function
    def double_it(x):
        return tf.matmul(x, x) * 2

    with tf.summary.create_file_writer("all").as_default():
        for step in range(3):
            tf.summary.scalar("loss", 1 / (1 + step), step, description="goes down")
            tf.summary.scalar("nested/count", tf.constant(2**40 + step, tf.int64), step)
            tf.summary.histogram("weights", rng.normal(size=100), step, buckets=5)
            tf.summary.image("dots", rng.random((2, 3, 2, 3)), step)
            tf.summary.audio("sound", rng.random((1, 20, 1)).astype(np.float32) - 0.5, 8000, step)
            tf.summary.text("note", f"*step* {step}", step)
            tf.summary.text("table", [["a", "b"], ["c", "d"]], step)
            tf.summary.write("raw", tf.range(6) + step, step)
            labels, scores = rng.random(50) < 0.5, rng.random(50).astype(np.float32)
            curve = pr_curve.pb("pr", labels, scores, num_thresholds=5)
            tf.summary.experimental.write_raw_pb(curve.SerializeToString(), step)
            mesh.mesh("body", rng.random((1, 3, 3)).astype(np.float32), faces=[[[0, 1, 2]]], step=step)
        tf.summary.trace_on(graph=True, profiler=False)
        double_it(tf.ones((2, 2)))
        tf.summary.trace_export("traced", 0)
        tf.summary.graph(double_it.get_concrete_function(tf.ones((2, 2))).graph)
    with tf.summary.create_file_writer("empty").as_default():  # a run that was killed before it logged
        pass


def tensorflow1():
    """tf.compat.v1: a graph, a restart with SessionLog START, and the summaries of TensorFlow 1."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session() as session:
        x = v1.placeholder(tf.float32, [4], "x")
        v1.summary.scalar("average", tf.reduce_mean(x))
        v1.summary.histogram("inputs", x)
        v1.summary.image("dots", tf.reshape(x, [1, 2, 2, 1]))
        v1.summary.audio("sound", tf.reshape(x, [1, 4, 1]), 8000)
        v1.summary.text("note", tf.as_string(x))
        v1.summary.tensor_summary("tensor", x)
        merged = v1.summary.merge_all()
        options, metadata = v1.RunOptions(trace_level=v1.RunOptions.SOFTWARE_TRACE), v1.RunMetadata()
        for start, stop, suffix in ((0, 6, ".first"), (4, 8, ".second")):
            writer = v1.summary.FileWriter("train", graph if not start else None, filename_suffix=suffix)
            if start:
                writer.add_session_log(v1.SessionLog(status=v1.SessionLog.START), start)
            for step in range(start, stop):
                summary = session.run(merged, {x: rng.random(4)}, options, metadata)
                writer.add_summary(summary, step)
                simple = v1.Summary(value=[v1.Summary.Value(tag="simple", simple_value=step / 2)])
                writer.add_summary(simple, step)
            writer.add_run_metadata(metadata, f"step {step}", step)
            writer.close()
        writer = v1.summary.FileWriter("meta_graph")
        writer.add_meta_graph(v1.train.export_meta_graph(graph=graph))
        writer.close()


TREES = [lightning, transformers, stable_baselines3, keras, tensorflow2, tensorflow1]


def keep(source, target):
    """Copy the event files below source, and check that they name neither this machine nor its directories."""
    shutil.rmtree(target, ignore_errors=True)
    numbers = {}
    for path in sorted(source.rglob("*tfevents*")):
        match = NAME.fullmatch(path.name)
        tail = re.sub(r"\.\d+(?=\.)", "", match["tail"], count=1)  # the process
        number = numbers[path.parent] = numbers.get(path.parent, -1) + 1
        suffix = re.sub(r"^(\.\d+)+", "", tail)
        copy = target / path.parent.relative_to(source) / f"{match['head']}.host.{number}{suffix}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        data = copy.read_bytes()
        for name in (str(source), socket.gethostname() + ".", str(Path.home()), sys.prefix, tempfile.gettempdir()):
            if name.encode() in data:
                sys.exit(f"{copy} holds {name}")


def main(names):
    for tree in TREES:
        if names and tree.__name__ not in names:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            code = f"import runpy; runpy.run_path({str(__file__)!r})[{tree.__name__!r}]()"
            environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
            subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=scratch, env=environment, check=True)
            keep(Path(scratch).resolve(), HERE / tree.__name__)


if __name__ == "__main__":
    main(sys.argv[1:])
