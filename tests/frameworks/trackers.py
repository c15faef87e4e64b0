"""Check that wandb and MLflow, which hook into torch's writer, record the same when tbc's writer logs instead.

    cd tests && python frameworks/trackers.py

Each runs in new processes: with torch's writer, with tbc.patch_torch(), and for wandb with tbc.SummaryWriter alone.
Nothing is sent over the network.
"""

import json
import subprocess
import sys
import tempfile

WRITER = {
    "torch": "from torch.utils.tensorboard import SummaryWriter",
    "patch": "import tbc; tbc.patch_torch(); from torch.utils.tensorboard import SummaryWriter",
    "tbc": "from tbc import SummaryWriter",
}
LOG = """
with SummaryWriter("run") as writer:
    for step in range(5):
        writer.add_scalar("loss", 1 / (1 + step), step)
    writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 3)
    writer.add_hparams({"lr": 0.1, "size": 3}, {"accuracy": 0.5}, run_name="trial")
"""
WANDB = """
import json, os
os.environ |= {{"WANDB_MODE": "offline", "WANDB_SILENT": "true"}}
import wandb
told = []
run = wandb.init(project="test", sync_tensorboard=True, dir=".")
callback = type(run)._tensorboard_callback
def listen(run, logdir, **options):
    told.append((logdir, sorted(options.items())))
    return callback(run, logdir, **options)
type(run)._tensorboard_callback = listen
{writer}
{log}
run.finish()
print(json.dumps(told))
"""
MLFLOW = """
import json
{writer}
import mlflow
from mlflow.utils.autologging_utils.metrics_queue import flush_metrics_queue
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.pytorch.autolog(log_every_n_step=1)
with mlflow.start_run() as run:
    {log}
flush_metrics_queue()
client = mlflow.MlflowClient()
found = client.get_run(run.info.run_id).data
history = {{tag: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, tag)] for tag in found.metrics}}
print(json.dumps([found.params, history], sort_keys=True))
"""


def learned(program, writer):
    log = LOG.replace("\n", "\n    ") if "start_run" in program else LOG
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-c", program.format(writer=WRITER[writer], log=log)]
        result = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300)
    if result.returncode != 0:
        sys.exit(f"FAILED with {writer}:\n{result.stderr[-3000:]}")
    return json.loads(result.stdout.splitlines()[-1])


def main():
    for name, program, ours in (("wandb", WANDB, ("patch", "tbc")), ("MLflow", MLFLOW, ("patch",))):
        theirs = learned(program, "torch")
        assert len(theirs) > 1, theirs
        for writer in ours:
            found = learned(program, writer)
            if found != theirs:
                sys.exit(f"FAILED: {name} recorded {found} with {writer}, but {theirs} with torch's writer")
        print(f"{name} records the same with tbc's writer: {json.dumps(theirs)}")


if __name__ == "__main__":
    main()
