"""Trees of runs as users have them, written by torch, tensorboardX, tbc and six other packages.

Each command and function reads each tree. TensorBoard's EventMultiplexer is the oracle.
"""

import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.util import tensor_util

import tbc
from tbc.reader import compare, find_event_files, follow, load_runs, repair, to_pandas, verify
from tbc.reader.__main__ import main
from tbc.reader.tags import PLUGIN_KINDS

RECORDED = Path(__file__).parent / "data" / "trees"
PACKAGES = sorted(path.name for path in RECORDED.iterdir() if path.is_dir())
MODULES = {"tensorflow1": "tensorflow", "tensorflow2": "tensorflow"}  # the other packages have the names of their trees
LOGGERS = ["torch", "tensorboardX", "tbc"]
KINDS = PLUGIN_KINDS | {"graph_tagged_run_metadata": "run_metadata"}  # TensorBoard's name for TensorFlow 1's
SCREEN = 20  # lines of notes at most
NAN = float("nan")


@pytest.fixture(scope="module", params=[*PACKAGES, *LOGGERS, *(f"{name} now" for name in PACKAGES)])
def tree(request, tmp_path_factory):
    """A recorded tree, or one that the package writes now, if it is installed."""
    name, _, is_written = request.param.partition(" ")
    if name in LOGGERS:
        directory = tmp_path_factory.mktemp(name)
        log_with(name, directory)
        return directory
    if not is_written:
        return RECORDED / name
    pytest.importorskip(MODULES.get(name, name))
    directory = tmp_path_factory.mktemp(name)
    code = f"import runpy; runpy.run_path({str(RECORDED / 'record.py')!r})[{name!r}]()"
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1"}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=directory, env=environment, check=True, timeout=300
    )
    return directory


def log_with(name, directory):
    """Log two runs with every kind, hyperparameters, a layout and a graph. The second run restarts at step 5."""
    if name == "torch":
        SummaryWriter = pytest.importorskip("torch.utils.tensorboard").SummaryWriter
    elif name == "tensorboardX":
        pytest.importorskip("soundfile")
        SummaryWriter = pytest.importorskip("tensorboardX").SummaryWriter
    else:
        SummaryWriter = tbc.SummaryWriter
    rng = np.random.default_rng(0)
    for run in ("first", "second"):
        for purge_step in (None, 5) if run == "second" else (None,):
            if purge_step:
                time.sleep(1 - time.time() % 1)  # torch and tensorboardX name files by the second
            with SummaryWriter(f"{directory}/{run}", purge_step=purge_step) as writer:
                for step in range(purge_step or 0, 8):
                    writer.add_scalar("loss/train", [1 / (1 + step), NAN][step == 3], step)
                    if not purge_step:  # torch's purge_step does not reach runs of add_scalars
                        writer.add_scalars("losses", {"a": step, "b": -step}, step)
                    writer.add_histogram("weights", rng.normal(size=50), step)
                writer.add_image("photo", rng.random((3, 4, 5)), step)
                sound = rng.random((40, 1) if name == "tensorboardX" else (1, 40)).astype(np.float32)
                writer.add_audio("sound", sound, step, sample_rate=8000)
                writer.add_text("note", "*done*", step)
                writer.add_pr_curve("pr", rng.random(50) < 0.5, rng.random(50), step, num_thresholds=5)
                writer.add_mesh("body", tensor_of(name, rng.random((1, 3, 3))), global_step=step)
                writer.add_custom_scalars({"all": {"loss": ["Multiline", ["loss/.*"]]}})
                writer.add_hparams({"lr": 0.1, "name": run}, {"accuracy": step / 8})
    if name == "torch":
        import torch

        with SummaryWriter(f"{directory}/graph") as writer, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated
            writer.add_graph(torch.nn.Linear(2, 1), torch.zeros(1, 2))


def count(run):
    """Return how many values a loaded run has."""
    return sum(len(values) for *_, values in run.all())


def tensor_of(name, array):
    return pytest.importorskip("torch").from_numpy(array) if name == "torch" else array


@pytest.fixture(scope="module")
def tensorboard(tree):
    """TensorBoard's view of the tree, with every value: nothing is purged or sampled."""
    every = {plugin_event_accumulator.TENSORS: 0}
    plugins = dict.fromkeys([*KINDS, "graphs"], 0)
    multiplexer = EventMultiplexer(
        size_guidance=every, tensor_size_guidance=plugins, purge_orphaned_data=False
    ).AddRunsFromDirectory(str(tree))
    multiplexer.Reload()
    return multiplexer


def run(capfd, *arguments):
    """Return the lines that a command prints. It must succeed, and its notes must fit on the screen."""
    status = main(list(map(str, arguments)))
    output, errors = capfd.readouterr()
    assert status == 0, errors
    assert len(errors.splitlines()) <= SCREEN
    assert "error:" not in errors
    return output.splitlines()


def rows(capfd, *arguments):
    return [json.loads(line) for line in run(capfd, *arguments, "--json")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["dump"],
        ["dump", "--kind", "scalar", "--steps", "1:"],
        ["tags"],
        ["tags", "--all"],
        ["show", "*"],
        ["show", "--kind", "scalar"],
        ["tail"],
        ["tail", "-n", "3", "--all"],
        ["verify"],
        ["verify", "--strict"],
        ["verify", "--live"],
        ["export"],
        ["export", "--all"],
        ["stats"],
        ["stats", "--kind", "scalar"],
    ],
    ids=" ".join,
)
def test_each_command_succeeds_and_notes_little(capfd, tree, arguments):
    command, *more = arguments
    assert run(capfd, command, tree, *more)
    assert rows(capfd, command, tree, *more)
    files = find_event_files(tree)
    assert rows(capfd, command, *files, *more)
    if command != "verify":
        runs = load_runs(tree, kinds="scalar", purge=True)
        one = max(runs, key=lambda name: count(runs[name]))
        found = rows(capfd, command, tree, *more, "--run", one)
        assert {row["run"] for row in found} == {one}


def test_tags_lists_what_tensorboard_lists(capfd, tree, tensorboard):
    listed = {(row["run"], row["tag"], row["kind"]): row["count"] for row in rows(capfd, "tags", tree, "--all")}
    expected = {}
    for name, contents in tensorboard.Runs().items():
        for tag in contents[plugin_event_accumulator.TENSORS]:
            metadata = tensorboard.AllSummaryMetadata()[name].get(tag)  # tf.summary.write stores none
            plugin = metadata.plugin_data.plugin_name if metadata else ""
            if plugin == "graphs":
                expected[name, "", "graph"] = None
            else:
                expected[name, tag, KINDS.get(plugin, "tensor")] = len(tensorboard.Tensors(name, tag))
        for tag in contents[plugin_event_accumulator.RUN_METADATA]:
            expected[name, tag, "run_metadata"] = 1
        if contents[plugin_event_accumulator.META_GRAPH]:
            expected[name, "", "meta_graph"] = None
    assert expected
    found = {key: n for key, n in listed.items() if key[2] not in ("file_version", "session_log")}
    assert found.keys() == expected.keys()
    assert [key for key, n in expected.items() if n not in (None, found[key])] == []


def test_scalars_are_those_of_tensorboard(tree, tensorboard):
    n = 0
    for name, loaded in load_runs(tree, purge=False).items():
        for tag, scalars in loaded.scalars.items():
            expected = tensorboard.Tensors(name, tag)
            assert scalars.step.tolist() == [event.step for event in expected]
            assert scalars.wall_time.tolist() == [event.wall_time for event in expected]
            values = [tensor_util.make_ndarray(event.tensor_proto).item() for event in expected]
            np.testing.assert_array_equal(scalars.value, values)
            n += 1
    plugins = tensorboard.PluginRunToTagToContent("scalars")
    assert n == sum(map(len, plugins.values())) > 0


def test_every_value_can_be_decoded(tree):
    runs = load_runs(tree, purge=False)
    n = 0
    for loaded in runs.values():
        for tags in loaded.values.values():
            for values in tags.values():
                assert len(values[:]) == len(values)
        n += count(loaded)
    assert len([value.decode() for _, value in follow(tree, idle=0, purge=False)]) == n


def test_what_is_hidden_is_counted(capfd, tree):
    every, shown = load_runs(tree, purge=False), load_runs(tree, purge=True)
    hidden = {name: loaded.hidden for name, loaded in shown.items()}
    assert hidden == {name: count(every[name]) - count(shown[name]) for name in shown}
    main(["tags", str(tree)])
    notes = [line for line in capfd.readouterr().err.splitlines() if " hidden" in line]
    n = sum(hidden.values())
    assert [line.split(": ")[2].split(" hidden")[0] for line in notes] == [f"{n} value{'s' * (n > 1)}"] * (n > 0)


def test_a_tree_equals_itself_and_its_repaired_copy(capfd, tree, tmp_path):
    *differences, last = run(capfd, "diff", tree, tree)
    assert (differences, last.rpartition(": ")[2]) == ([], "no difference")
    done = repair(tree, tmp_path / "copy")
    assert [Path(each.copy).read_bytes() for each in done] == [Path(each.path).read_bytes() for each in done]
    assert len(done) == len(find_event_files(tree))
    assert compare(load_runs(tree, purge=False), load_runs(tmp_path / "copy", purge=False)) == []
    run(capfd, "repair", tree, tmp_path / "again")
    findings = [finding for report in verify(tmp_path / "again") for finding in report.findings]
    assert [finding for finding in findings if finding.severity != "info"] == []


def test_tables_have_every_row(capfd, tree, tmp_path):
    pytest.importorskip("pandas")
    runs = load_runs(tree, purge=False)
    points = [
        (name, step) for name, loaded in runs.items() for values in loaded.scalars.values() for step in values.step
    ]
    assert len(to_pandas(runs)) == len(points)
    assert len(to_pandas(runs, wide=True)) == len(set(points))
    assert len(run(capfd, "export", tree, "--all")) == 1 + len(points)
    assert len(run(capfd, "export", tree, "--all", "--wide")) == 1 + len(set(points))
    pytest.importorskip("pyarrow")
    run(capfd, "export", tree, "--all", "-o", tmp_path / "runs.parquet")
    import pandas as pd

    assert len(pd.read_parquet(tmp_path / "runs.parquet")) == len(points)


def test_several_trees_at_once(capfd):
    trees = [RECORDED / name for name in PACKAGES]
    for command in (["tags"], ["show", "--tag", "*loss*"], ["tail"], ["verify", "--strict"], ["export"], ["stats"]):
        assert run(capfd, command[0], *trees, *command[1:])
    assert {row["path"] for row in rows(capfd, "tags", *trees)} == set(map(str, trees))


# --- what a user of each package looks for ---


def test_lightning(capfd):
    with pytest.warns(UserWarning, match="6 values are left out"):
        runs = load_runs(RECORDED / "lightning" / "lightning_logs")
    assert list(runs) == ["version_0", "version_1"]
    assert runs["version_1"].hparams == {"lr": pytest.approx(0.01), "width": 4}
    assert runs["version_0"].hparams == {}  # with default_hp_metric=False, Lightning logs none
    assert runs["version_1"].scalars["train_loss_step"].step.tolist() == list(range(16))  # across the restart
    assert runs["version_1"].scalars["hp_metric"].value.tolist() == [-1]
    versions = [str(RECORDED / "lightning" / "lightning_logs" / name) for name in runs]
    assert main(["diff", *versions, "--kind", "scalar", "--steps", "0:2", "--atol", "9", "--tag", "*loss*"]) == 0


def test_transformers():
    (loaded,) = load_runs(RECORDED / "transformers").values()
    epoch = loaded.scalars["train/epoch"]
    assert epoch.step.tolist() == [2, 4, 4, 6, 8, 8, 10, 12, 12, 12]  # again at each evaluation and at the end
    assert epoch.hidden == 0
    assert json.loads(loaded.values["text"]["args/text_summary"][0])["num_train_epochs"] == 3


def test_stable_baselines3():
    runs = load_runs(RECORDED / "stable_baselines3")
    assert [loaded.scalars["time/fps"].step.tolist() for loaded in runs.values()] == [
        [32, 64, 96],
        [32, 64, 96, 128, 160, 192],
    ]


def test_keras():
    with pytest.warns(UserWarning, match="4 of 'resumed/train', 2 of 'resumed/validation'"):
        runs = load_runs(RECORDED / "keras")
    assert runs["resumed/train"].scalars["epoch_loss"].step.tolist() == [0, 1, 2, 3]
    every = load_runs(RECORDED / "keras", purge=False)["resumed/train"].scalars["epoch_loss"]
    assert every.step.tolist() == [0, 1, 2, 2, 3]
    assert runs["resumed/train"].scalars["epoch_loss"].value[2] == every.value[3]
    assert json.loads(runs["logs/train"].values["keras_model"]["keras"][0])["config"]["name"] == "small"


def test_tensorflow2(capfd):
    runs = load_runs(RECORDED / "tensorflow2")
    assert [runs[f"tuned/{i}"].hparams for i in range(2)] == [{"rate": 0.5, "units": 4}, {"rate": 0.5, "units": 8}]
    values = runs["all"].values
    assert values["text"]["table"][0].tolist() == [["a", "b"], ["c", "d"]]
    assert values["mesh"]["body_FACE"][0].data.tolist() == [[[0, 1, 2]]]
    assert values["tensor"]["raw"][2].tolist() == [2, 3, 4, 5, 6, 7]
    assert main(["tags", str(RECORDED / "tensorflow2")]) == 0
    assert capfd.readouterr().err == f"note: {RECORDED / 'tensorflow2' / 'empty'}: 1 event file, no values\n"


def test_tensorflow1():
    loaded = load_runs(RECORDED / "tensorflow1", purge=True)["train"]
    assert loaded.scalars["simple"].step.tolist() == list(range(8))
    assert {len(values) for *_, values in loaded.all()} == {1, 2, 8}
    assert loaded.hidden == 14  # steps 4 and 5 of seven tags, since the second file starts at 4
