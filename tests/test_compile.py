"""Logging inside torch.compile: what is logged is the same, and dynamo does not trace tbc."""

import importlib.util
import logging
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.oracle import run_script
from PIL import Image

import tbc
import tbc.compat.tensorboardx
from tbc import summary
from tbc.proto import Event, GraphDef, HParamsPluginData, NodeDef, RunMetadata
from tbc.reader import read_events

torch = pytest.importorskip("torch")
pytest.importorskip("torch._dynamo")
pytest.importorskip("torch._logging")

TBC = os.path.dirname(tbc.__file__) + os.sep
TORCH = os.path.dirname(torch.__file__) + os.sep
needs_compiler = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="a C++ compiler")

TIME = 1.5e9
COUNTS = [1, 2, 3]
BOXES = np.array([[1, 1, 5, 5]])
NODES = [NodeDef(name="a", op="b")]
PIL = Image.new("RGB", (8, 8))
MODEL = torch.nn.Linear(8, 2)
if importlib.util.find_spec("matplotlib") is not None:
    from matplotlib.figure import Figure

    FIGURE = Figure(figsize=(1, 1))
    FIGURE.add_subplot().plot([1, 2])
if importlib.util.find_spec("onnx") is not None:
    from onnx import helper

    ONNX = helper.make_model(
        helper.make_graph([helper.make_node("Constant", [], ["y"], value_float=1.0)], "net", [], [])
    )


def in_writer_of_its_own(w, x):
    writer = tbc.SummaryWriter(w.log_dir + "/own")
    writer.add_histogram("t", x, 1, 5, TIME)
    writer.close()


def in_file_of_its_own(w, x):
    files = tbc.FileWriter(w.log_dir + "/own")
    files.add_summary(summary.histogram("t", x, 5), 1, TIME)
    files.flush()
    files.close()


CALLS = {
    "add_scalar": lambda w, x: w.add_scalar("t", x.mean(), 1, TIME),
    "add_scalar, new_style": lambda w, x: w.add_scalar("t", x.mean(), 1, TIME, new_style=True, double_precision=True),
    "add_scalar, bfloat16": lambda w, x: w.add_scalar("t", x.mean().bfloat16(), 1, TIME),
    "add_scalar, a tensor as the step": lambda w, x: w.add_scalar("t", 0.5, (x > 2).sum(), TIME),
    "add_scalars": lambda w, x: w.add_scalars("t", {"a": x.mean(), "b": x.sum()}, 1, TIME),
    "add_metrics": lambda w, x: w.add_metrics({"a": x.mean(), "b": x.sum()}, 1, TIME),
    "add_tensor": lambda w, x: w.add_tensor("t", x, 1, TIME),
    "add_tensor, bfloat16": lambda w, x: w.add_tensor("t", x.bfloat16(), 1, TIME),
    "add_histogram": lambda w, x: w.add_histogram("t", x, 1, walltime=TIME),
    "add_histogram, auto": lambda w, x: w.add_histogram("t", x, 1, "auto", TIME),
    "add_histogram, bins": lambda w, x: w.add_histogram("t", x, 1, 5, TIME),
    "add_histogram, edges": lambda w, x: w.add_histogram("t", x, 1, [0.0, 0.5, 1.0], TIME),
    "add_histogram, max_bins": lambda w, x: w.add_histogram("t", x, 1, walltime=TIME, max_bins=20),
    "add_histogram, strided half": lambda w, x: w.add_histogram("t", x.half()[:, ::2], 1, walltime=TIME),
    "add_histogram, numpy": lambda w, x: w.add_histogram("t", x.detach().numpy(), 1, walltime=TIME),
    "add_histogram_raw": lambda w, x: w.add_histogram_raw("t", 0, 1, 6, 2.0, 2.0, [0.0, 0.5, 1.0], COUNTS, 1, TIME),
    "add_image": lambda w, x: w.add_image("t", x, 1, TIME),
    "add_image, bytes, HWC": lambda w, x: w.add_image("t", (x * 255).byte().permute(1, 2, 0), 1, TIME, "HWC"),
    "add_images": lambda w, x: w.add_images("t", x[None].expand(5, -1, -1, -1), 1, TIME),
    "add_images, grid": lambda w, x: w.add_images("t", x[None].expand(5, -1, -1, -1), 1, TIME, grid=False),
    "add_image_with_boxes": lambda w, x: w.add_image_with_boxes("t", x, BOXES, 1, TIME, labels=["a"]),
    "add_figure": lambda w, x: w.add_figure("t", FIGURE, 1, close=False, walltime=TIME),
    "add_video": lambda w, x: w.add_video("t", x[None, None].expand(1, 4, -1, -1, -1), 1, 4, TIME),
    "add_video, apng": lambda w, x: w.add_video("t", x[None, None], 1, 4, TIME, format="apng"),
    "add_audio": lambda w, x: w.add_audio("t", x.reshape(1, -1), 1, walltime=TIME),
    "add_text": lambda w, x: w.add_text("t", f"{x.shape}", 1, TIME),
    "add_pr_curve": lambda w, x: w.add_pr_curve("t", x > 0.5, x, 1, walltime=TIME),
    "add_pr_curve, weights": lambda w, x: w.add_pr_curve("t", x > 0.5, x, 1, 20, x + 1, TIME),
    "add_pr_curve_raw": lambda w, x: w.add_pr_curve_raw("t", *[COUNTS] * 4, x[0, 0, :3], x[0, 1, :3], 1, 3, None, TIME),
    "add_mesh": lambda w, x: w.add_mesh("t", x.reshape(1, -1, 3), (x * 255).reshape(1, -1, 3), None, None, 1, TIME),
    "add_embedding": lambda w, x: w.add_embedding(x.reshape(-1, 4), list(range(48)), global_step=1),
    "add_embedding, images": lambda w, x: w.add_embedding(x[0, :4], None, x[None].expand(4, -1, -1, -1), 1, "e"),
    "add_custom_scalars": lambda w, x: w.add_custom_scalars({"c": {"t": ["Multiline", ["a"]]}}),
    "add_custom_scalars_multilinechart": lambda w, x: w.add_custom_scalars_multilinechart(["a"]),
    "add_custom_scalars_marginchart": lambda w, x: w.add_custom_scalars_marginchart(["a", "b", "c"]),
    "add_hparams": lambda w, x: w.add_hparams({"lr": x.mean(), "s": "x", "b": True}, {"m": x.sum()}, run_name="r"),
    "add_graph": lambda w, x: w.add_graph(MODEL, x.detach()),
    "add_onnx_graph": lambda w, x: w.add_onnx_graph(ONNX),
    "flush, close": lambda w, x: (w.add_scalar("t", x.sum(), 1, TIME), w.flush(), w.close(), w.stats()),
    "a writer": in_writer_of_its_own,
    "a file": in_file_of_its_own,
    "FileWriter.add_event": lambda w, x: w._get_file_writer().add_event(
        Event(summary=summary.scalar("t", x.mean())), 1, TIME
    ),
    "FileWriter.add_graph": lambda w, x: w._get_file_writer().add_graph((GraphDef(node=NODES), RunMetadata()), TIME),
    "FileWriter.add_onnx_graph": lambda w, x: w._get_file_writer().add_onnx_graph(GraphDef(node=NODES), TIME),
}
SUMMARIES = {
    "audio": lambda x: summary.audio("t", x.reshape(1, -1)),
    "compute_curve": lambda x: summary.tensor_proto("t", summary.compute_curve(x > 0.5, x)),
    "custom_scalars": lambda x: summary.custom_scalars({"c": {"t": ["Multiline", ["a"]]}}),
    "draw_boxes": lambda x: summary.text("t", type(summary.draw_boxes(PIL, BOXES)).__name__),
    "histogram": lambda x: summary.histogram("t", x, 5, 10),
    "histogram_raw": lambda x: summary.histogram_raw("t", 0, 1, 6, 2.0, 2.0, [0.0, 0.5, 1.0], COUNTS),
    "hparams": lambda x: summary.hparams({"lr": x.mean()}, {"m": 1})[0],
    "image": lambda x: summary.image("t", x[None]),
    "image_boxes": lambda x: summary.image_boxes("t", x, BOXES),
    "mesh": lambda x: summary.mesh("t", x.reshape(1, -1, 3), None, None, {}, None),
    "pr_curve": lambda x: summary.pr_curve("t", x > 0.5, x),
    "pr_curve_raw": lambda x: summary.pr_curve_raw("t", *[COUNTS] * 4, x[0, 0, :3], x[0, 1, :3], 3),
    "scalar": lambda x: summary.scalar("t", x.mean(), new_style=True),
    "tensor_proto": lambda x: summary.tensor_proto("t", x),
    "text": lambda x: summary.text("t", "hello"),
    "video": lambda x: summary.video("t", x[None, None]),
}


def add_summary(make):
    return lambda w, x: w._get_file_writer().add_summary(make(x), 1, TIME)


ALL = CALLS | {f"summary.{name}": add_summary(make) for name, make in SUMMARIES.items()}


class Log(logging.Handler):
    """Collects what dynamo logs: the lines that it traces, graph breaks and warnings."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture(scope="module")
def everything():
    log = Log()
    torch._logging.set_logs(graph_breaks=True, trace_source=True)
    logging.getLogger("torch.__trace").handlers.clear()  # this logger writes to files and is slow
    loggers = [logging.getLogger(name) for name in ("torch", "torch._dynamo")]
    for logger in loggers:
        for handler in logger.handlers:
            logger.removeHandler(handler)  # it prints to the terminal
        logger.addHandler(log)
    yield log.lines
    for logger in loggers:
        logger.removeHandler(log)
    torch._logging.set_logs()


@pytest.fixture(autouse=True)
def log(everything):
    """The lines that dynamo logs during one test."""
    torch._dynamo.reset()
    everything.clear()
    yield everything
    torch._dynamo.reset()


def check(log):
    assert any("starts_line" in line for line in log)
    assert any("Graph Break Reason" in line for line in log)
    traced = {path for line in log for path in re.findall(r"starts_line ([^:]*)", line)}
    assert not [path for path in traced if not path.startswith((__file__, "program.py", TORCH))]
    assert not [line for line in log if f'File "{TBC}' in line]


def logged(log_dir):
    """Return the content of all files below a directory; of event files the events, without times that tbc sets."""
    files = {}
    for path in sorted(Path(log_dir).rglob("*")):
        name = str(path.relative_to(log_dir))
        if "tfevents" in name:
            events = files.setdefault(os.path.dirname(name), [])
            for event in list(read_events(path))[1:]:
                if event.wall_time != TIME:
                    event.wall_time = 0
                for value in event.summary.value:
                    plugin = value.metadata.plugin_data
                    if plugin.plugin_name == "hparams":
                        data = HParamsPluginData.FromString(plugin.content)
                        data.session_start_info.ClearField("start_time_secs")
                        data.session_end_info.ClearField("end_time_secs")
                        plugin.content = data.SerializeToString(deterministic=True)
                events.append(event.SerializeToString(deterministic=True))
            events.sort()  # images are encoded by another thread, so their place varies
        elif path.is_file():
            files[name] = path.read_bytes()
    return files


def in_a_function(call, backend="eager"):
    def step(writer, x):
        y = x * 1.0
        call(writer, y)
        return y + 1

    return step if backend is None else torch.compile(step, backend=backend)


def in_a_hook(call, backend="eager"):
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Sigmoid())
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(8))
    run = model if backend is None else torch.compile(model, backend=backend)

    def step(writer, x):
        hook = model[1].register_forward_hook(lambda module, inputs, output: call(writer, output))
        with torch.no_grad():
            run(x)
        hook.remove()

    return step


def compare(tmp_path, place, call, kind=tbc.SummaryWriter, backend="eager"):
    x = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    for name in ("plain", "compiled"):
        torch.manual_seed(0)
        with kind(str(tmp_path / name)) as writer:
            place(call, backend if name == "compiled" else None)(writer, x)
    plain = logged(tmp_path / "plain")
    assert plain == logged(tmp_path / "compiled")
    assert any(plain.values())


def test_every_method_and_every_function_is_here():
    methods = {name for name in dir(tbc.SummaryWriter) if name.startswith("add_")}
    assert methods == {name.partition(",")[0] for name in CALLS if name.startswith("add_")}
    assert SUMMARIES.keys() == set(summary.__all__)


NEEDS = {"add_figure": "matplotlib", "add_onnx_graph": "onnx"}


@pytest.mark.parametrize("name", ALL)
def test_in_a_function(tmp_path, name, log):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    compare(tmp_path, in_a_function, ALL[name])
    check(log)


def test_in_a_hook(tmp_path, log):
    there = {name for name, module in NEEDS.items() if importlib.util.find_spec(module) is not None}

    def calls(writer, x):
        for name, call in ALL.items():
            if name not in NEEDS or name in there:
                call(writer, x)

    compare(tmp_path, in_a_hook, calls)
    check(log)


@pytest.mark.parametrize("place", [in_a_function, in_a_hook])
def test_several_calls_of_one_function(tmp_path, place, log):
    """The writer is a subclass, whose own methods dynamo may trace."""

    class Mine(tbc.SummaryWriter):
        def add_scalar(self, tag, value, *arguments, **keywords):
            super().add_scalar(f"mine/{tag}", value * 2, *arguments, **keywords)

        def add_histogram(self, tag, values, *arguments, **keywords):
            super().add_histogram(f"mine/{tag}", values, *arguments, **keywords)

    def calls(writer, x):
        for name in ("add_scalar", "add_histogram, bins", "add_pr_curve", "add_text"):
            ALL[name](writer, x)

    compare(tmp_path, place, calls, Mine)
    check(log)


@pytest.mark.parametrize("place", [in_a_function, in_a_hook])
def test_tensorboardx(tmp_path, place, log):
    def calls(writer, x):
        writer.add_scalar("t", x.mean(), 1, TIME)
        writer.add_scalars("g", {"a": x.mean()}, 1, TIME)
        writer.add_histogram("t", x, 1, 5, TIME, 20)
        writer.add_pr_curve("t", x > 0.5, x, 1, walltime=TIME)
        writer.add_image("t", x, 1, TIME)
        writer.add_image_with_boxes("t", x, BOXES, 1, TIME)
        writer.add_audio("t", x.reshape(1, -1), 1, walltime=TIME)
        writer.add_video("t", x[None, None], 1, 4, TIME)
        writer.add_hparams({"lr": 0.1}, {"m": x.mean()}, "r")
        writer.export_scalars_to_json(os.devnull)

    compare(tmp_path, place, calls, tbc.compat.tensorboardx.SummaryWriter)
    check(log)


@needs_compiler
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own imports warn
@pytest.mark.parametrize("place", [in_a_function, in_a_hook])
def test_inductor(tmp_path, place, log):
    def calls(writer, x):
        for name in (
            "add_tensor",
            "add_histogram, bins",
            "add_image",
        ):  # kinds whose values are not sums: inductor may reorder a sum
            ALL[name](writer, x)

    compare(tmp_path, place, calls, backend="inductor")
    check(log)


BEFORE = {
    "dynamo first": "import torch, torch._dynamo, tbc; writer = tbc.SummaryWriter(compiled)",
    "tbc within": "import torch; writer = None",
    "patch first": "import tbc; tbc.patch_torch(); import torch\n"
    "from torch.utils.tensorboard import SummaryWriter; writer = SummaryWriter(compiled)",
}
PROGRAM = """
import sys
plain, compiled = sys.argv[1] + "/plain", sys.argv[1] + "/compiled"
{before}

def log(writer, x):
    import tbc
    if writer is None:
        files = tbc.FileWriter(compiled)
        files.add_summary(tbc.summary.histogram("h", x, 5), 1, 2.0)
        files.add_summary(tbc.summary.pr_curve("p", x > 0.5, x), 1, 2.0)
        files.close()
    else:
        writer.add_histogram("h", x, 1, 5, 2.0)
        writer.add_pr_curve("p", x > 0.5, x, 1, walltime=2.0)

def step(x):
    y = x * 1.0
    log(writer, y)
    return y + 1

x = torch.rand(99)
torch.compile(step, backend="eager")(x)
if writer is not None:
    model = torch.nn.Sequential(torch.nn.Identity())
    model[0].register_forward_hook(lambda module, inputs, output: log(writer, output))
    torch.compile(model, backend="eager")(x)
    writer.close()
import tbc
with tbc.SummaryWriter(plain) as before:
    log(before, x)
    writer is None or log(before, x)
"""


@pytest.mark.parametrize("order", BEFORE)
def test_orders_of_imports(tmp_path, order):
    if order.startswith("patch"):
        pytest.importorskip("tensorboard")
    warnings = {"PYTHONWARNINGS": "error", "TORCH_LOGS": "graph_breaks,trace_source"}
    run = "import sys; exec(compile(sys.argv.pop(), 'program.py', 'exec'))"
    result = run_script(run, tmp_path, PROGRAM.format(before=BEFORE[order]), env=os.environ | warnings)
    check(result.stderr.splitlines())
    assert logged(tmp_path / "plain") == logged(tmp_path / "compiled")


def test_dynamo_without_its_rules(tmp_path):
    """The dynamo function that adds a rule is not public, so it may be missing."""
    script = """
        import sys, types
        rules = sys.modules["torch._dynamo.trace_rules"] = types.ModuleType("torch._dynamo.trace_rules")
        {}
        import tbc
        with tbc.SummaryWriter(sys.argv[1]) as writer:
            writer.add_scalar("x", 1)
    """
    run_script(script.format(""), tmp_path)
    run_script(script.format("rules.add = lambda: None"), tmp_path)


def test_a_program_that_does_not_compile_imports_no_dynamo(tmp_path):
    script = """
        import sys, tbc, torch
        before = "torch._dynamo" in sys.modules
        with tbc.SummaryWriter(sys.argv[1]) as writer:
            writer.add_histogram("h", torch.rand(9), bins=5)
            writer.add_image_with_boxes("i", torch.rand(3, 8, 8), torch.ones(1, 4))
            tbc.summary.image_boxes("i", torch.rand(3, 8, 8), torch.ones(1, 4))
        assert before or "torch._dynamo" not in sys.modules
    """
    run_script(script, tmp_path)
