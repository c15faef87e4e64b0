"""add_graph: the graph is that of torch's writer, where it has one; where it has none, tbc records one."""

import functools
import io
import random
import re
import textwrap
import warnings
from collections import Counter, namedtuple
from contextlib import contextmanager, redirect_stdout
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.oracle import read_back, run_script, tensorboard_on
from hypothesis import given, settings
from hypothesis import strategies as st

import tbc
from tbc.proto import Event
from tbc.reader import find_event_files

torch = pytest.importorskip("torch")
from helpers import models  # noqa: E402
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader  # noqa: E402
from tensorboard.compat.proto.config_pb2 import RunMetadata  # noqa: E402
from tensorboard.compat.proto.graph_pb2 import GraphDef  # noqa: E402
from tensorboard.context import RequestContext  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.modules import module as module_hooks  # noqa: E402
from torch.utils.tensorboard import SummaryWriter as TorchWriter  # noqa: E402

from tbc.graphs import models as model_graphs  # noqa: E402
from tbc.graphs import recorded as recordings  # noqa: E402

X = torch.linspace(-1, 1, 8).reshape(2, 4)


@contextmanager
def quiet():
    """Hide the warnings and the prints of torch's writer."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def scripted(thing):
    with quiet():
        return torch.jit.script(thing)


def log(writer_class, log_dir, *arguments, **options):
    """Return the graph, the kinds of the events and the other messages that add_graph logs."""
    with writer_class(str(log_dir)) as writer:
        writer.add_graph(*arguments, **options)
    (path,) = find_event_files(log_dir)
    first, event, *rest = LegacyEventFileLoader(path).Load()
    assert first.file_version
    kinds = [(event.step, event.WhichOneof("what")) for event in (event, *rest)]
    return GraphDef.FromString(event.graph_def), kinds, [event.tagged_run_metadata for event in rest]


@pytest.fixture
def logged(tmp_path):
    """A function that calls add_graph and returns the nodes, by name."""

    def nodes(*arguments, **options):
        graph, kinds, _ = log(tbc.SummaryWriter, tmp_path / "run", *arguments, **options)
        assert kinds == [(0, "graph_def"), (0, "tagged_run_metadata")]
        return by_name(graph)

    return nodes


def by_name(graph):
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    return dict(zip(names, graph.node, strict=True))


def shapes(node):
    return [tuple(dim.size for dim in shape.dim) for shape in node.attr["_output_shapes"].list.shape]


# --- the graph of torch's writer ---


class Net(nn.Module):
    """A module with any parts and any forward."""

    def __init__(self, forward, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.function = forward

    def forward(self, *inputs):
        return self.function(self, *inputs)


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(4))
        self.register_buffer("offset", torch.zeros(4))
        self.register_buffer("unused", torch.zeros(3))

    def forward(self, x):
        return x * self.factor + self.offset


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


class Frozen(nn.Sequential):
    """Its batch normalization stays in evaluation mode."""

    def train(self, mode=True):
        super().train(mode)
        self[1].eval()
        return self


class Exporting(nn.Linear):
    @torch.jit.export
    def twice(self, x: torch.Tensor) -> torch.Tensor:
        return self(self(x))


class Outputs(nn.Module):
    """Its values have the names that torch gives to input and output nodes."""

    def forward(self, input, output):
        output = input + output
        output = output * 2
        output = output - 1
        return output, input


class Branching(nn.Module):
    def forward(self, x):
        return x + 1 if x.sum() > 0 else x - 1


def mixed(net, x):
    y, _ = torch.max(x, dim=1, keepdim=True)
    y = torch.cat([x[:, 1:], y.expand(-1, 2)], dim=-1)
    a, b = y.chunk(2, dim=0)
    z = torch.where(a > 0, b, torch.tensor([[0.5]]))
    z[0, 0] = 3.0
    z += torch.arange(z.numel(), dtype=torch.float32).view_as(z)
    return [z.t(), {"mean": z.mean()}["mean"]]


def nested(net, pair, three):
    (a, (b, c)) = pair
    return a + b, (c, [three, a])


PAIR = X, (X + 1, X + 2)
Point = namedtuple("Point", ["a", "b"])
SHARED = nn.Linear(4, 4)
CHECKED_IN_VAIN = {  # torch's check traces again without gradients, which takes another path
    "encoder": (models.Encoder(), (models.tokens(), torch.zeros(2, 6, dtype=torch.bool))),
    "encoder without padding": (models.Encoder(), models.tokens()),
}
TRACEABLE = {
    "resnet": (models.ResNet(), models.images()),
    "language": (models.Language(), models.tokens()),
    "language with a state": (models.Language(), (models.tokens(), (torch.zeros(4, 2, 12), torch.ones(4, 2, 12)))),
    "decoder": (
        nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2),
        (torch.ones(3, 2, 8), torch.ones(4, 2, 8)),
    ),
    "gru": (nn.GRU(4, 3), X[None]),
    "attention": (nn.MultiheadAttention(4, 2), (X[None], X[None], X[None])),
    "parameters and buffers": (nn.Sequential(Scale(), nn.Sequential(Scale())), X),
    "control flow": (Branching(), X),
    "control flow, the other way": (Branching(), -X - 1),
    "shared modules": (nn.Sequential(SHARED, nn.ReLU(), SHARED, nn.Sequential(SHARED)), X),
    "an unused input": (Net(lambda net, x, y: x), (X, X)),
    "a constant": (Net(lambda net, x: torch.zeros(3)), X),
    "no input": (Net(lambda net: torch.ones(2) * 2), ()),
    "an attribute that is a tensor": (Net(lambda net, x: x + net.t, t=torch.ones(4)), X),
    "operations": (Net(mixed), X),
    "a scalar": (Net(lambda net, x: x * 2), torch.tensor(1.5)),
    "nested tuples": (Net(nested), (PAIR, X)),
    "a list of inputs": (Net(lambda net, x, y: x * y), [X, X + 1]),
    "a named tuple of inputs": (Net(lambda net, a, b: a - b), Point(X, X)),
    "a dict as the input": (Net(lambda net, x: x["a"] + x["b"]), {"a": X, "b": X}),
    "named as outputs": (Outputs(), (X, X)),
    "an input named as an output": (Net(lambda net, output: (output, output + 1)), X),
    "a function of autograd": (Net(lambda net, x: Double.apply(x)), X.clone().requires_grad_()),
    "a list of modules": (
        Net(lambda net, x: net.a[1](net.a[0](x)) + net.b[0](x), a=nn.ModuleList([SHARED, nn.Linear(4, 4)]), b=[SHARED]),
        X,
    ),
    "a dict of modules": (
        Net(lambda net, x: net.d["one"](x) * net.p[0], d=nn.ModuleDict({"one": SHARED}), p=nn.ParameterList([X[0]])),
        X,
    ),
    "a script within": (nn.Sequential(nn.Linear(4, 4), scripted(nn.Linear(4, 4))), X),
    "a module with exports": (nn.Sequential(Exporting(4, 4), nn.ReLU()), X),
    "weights of other weights": (nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), X),
    "a mode of its own": (Frozen(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout()), X),
    "the meta device": (nn.Sequential(nn.Linear(4, 4), nn.ReLU()).to("meta"), X.to("meta")),
    "double precision": (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)).double(), X.double()),
    "quoted": (Net(lambda net, x: torch.div(x, 2, rounding_mode="floor")), X),
}


@pytest.mark.parametrize("name", TRACEABLE)
def test_the_graph_is_that_of_torchs_writer(name, tmp_path):
    model, inputs = TRACEABLE[name]
    with quiet():
        theirs, kinds, rest = log(TorchWriter, tmp_path / "theirs", model, inputs)
    ours = log(tbc.SummaryWriter, tmp_path / "ours", model, inputs)
    assert ours == (theirs, kinds, rest)
    assert rest[0].tag == "step1"
    assert rest[0].run_metadata == ours[2][0].run_metadata  # byte for byte


@pytest.mark.parametrize("name", CHECKED_IN_VAIN)
def test_the_graph_is_that_of_torchs_writer_if_it_had_one(name, tmp_path, monkeypatch):
    model, inputs = CHECKED_IN_VAIN[name]
    with quiet(), pytest.raises(Exception, match="sanity"):
        log(TorchWriter, tmp_path / "not theirs", model, inputs)
    ours = log(tbc.SummaryWriter, tmp_path / "ours", model, inputs)
    monkeypatch.setattr(torch.jit, "trace", functools.partial(torch.jit.trace, check_trace=False))
    with quiet():
        assert log(TorchWriter, tmp_path / "theirs", model, inputs) == ours


def test_not_strict(tmp_path):
    model = Net(lambda net, x: {"a": x + 1, "b": x * 2})
    with quiet():
        theirs = log(TorchWriter, tmp_path / "theirs", model, X, use_strict_trace=False)
        with pytest.raises(RuntimeError, match="strict=False"):
            log(TorchWriter, tmp_path / "not theirs", model, X)
    assert log(tbc.SummaryWriter, tmp_path / "ours", model, X, use_strict_trace=False) == theirs


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Sum(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return sum(branch(x) for branch in self.branches) / len(self.branches)


class Split(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        a, b = x.chunk(2, dim=-1)
        return self.part(torch.cat((b, a), -1))


class Repeat(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = self.again = part

    def forward(self, x):
        for _ in range(2):
            x = self.part(x)
        return self.again(x)


LEAVES = {
    nn.Linear: lambda: nn.Linear(4, 4),
    nn.ReLU: lambda: nn.ReLU(inplace=True),
    nn.GELU: nn.GELU,
    nn.Dropout: nn.Dropout,
    nn.LayerNorm: lambda: nn.LayerNorm(4),
    nn.BatchNorm1d: lambda: nn.BatchNorm1d(4),
    nn.Identity: nn.Identity,
    Scale: Scale,
}
drawn_models = st.recursive(
    st.sampled_from(list(LEAVES.values())).map(lambda make: make()),
    lambda parts: (
        st.lists(parts, min_size=1, max_size=3).flatmap(
            lambda some: st.sampled_from([nn.Sequential, Residual, Sum]).map(lambda kind: kind(*some))
        )
        | parts.map(Split)
        | parts.map(Repeat)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(drawn_models)
def test_drawn_models(tmp_path_factory, model):
    with quiet():
        theirs = log(TorchWriter, tmp_path_factory.mktemp("theirs"), model, X.clone())
    assert log(tbc.SummaryWriter, tmp_path_factory.mktemp("ours"), model, X.clone()) == theirs


def numbered(graph):
    """Return the nodes with places in place of names: torch numbers them anew each time it inlines a script."""
    places = {node.name: place for place, node in enumerate(graph.node)}
    return [
        (node.name.rpartition("/")[0], node.op, [places.get(name, "") for name in node.input], node.attr["attr"].s)
        for node in graph.node
    ]


@pytest.mark.parametrize("inputs", [None, X])
@pytest.mark.parametrize("way", ["script", "trace", "both"])
def test_a_script_has_a_graph_and_keeps_it(way, inputs, tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Dropout()))
    script = model if way == "trace" else scripted(model)
    if way != "script":
        with quiet():
            script = torch.jit.trace(nn.Sequential(script, nn.Tanh()), X, check_trace=False)
    code = str(script.graph)
    ours, *_ = log(tbc.SummaryWriter, tmp_path / "ours", script, inputs)
    assert str(script.graph) == code
    with quiet():
        theirs, *_ = log(TorchWriter, tmp_path / "theirs", script, inputs)
    assert numbered(ours) == numbered(theirs)
    assert "prim::GetAttr" in {node.op for node in ours.node}


def test_a_frozen_script_and_a_function(logged, tmp_path):
    with quiet():
        frozen = torch.jit.freeze(torch.jit.trace(nn.Linear(4, 4).eval(), X, check_trace=False))

    def area(x: torch.Tensor, y: torch.Tensor):
        return x * y

    assert "aten::linear" in {node.op for node in logged(frozen).values()}
    nodes = by_name(log(tbc.SummaryWriter, tmp_path / "function", scripted(area))[0])
    (product,) = (node for node in nodes.values() if node.op == "aten::mul")
    assert product.name.startswith("area/")
    assert list(product.input) == ["input/x.1", "input/y.1"]


def test_verbose_prints_what_torch_prints(tmp_path, capsys):
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    log(tbc.SummaryWriter, tmp_path / "ours", model, X, verbose=True)
    ours = capsys.readouterr().out
    assert "aten::linear" in ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log(TorchWriter, tmp_path / "theirs", model, X, verbose=True)
    theirs = capsys.readouterr().out
    assert re.sub("mangle_[0-9]+", "", ours) == re.sub("mangle_[0-9]+", "", theirs)
    log(tbc.SummaryWriter, tmp_path / "untraceable", models.Ponder(), X, verbose=True)
    assert "strict=False" in capsys.readouterr().out


def test_a_trace_that_differs_when_it_is_repeated(logged):
    """torch's writer traces twice, compares, and raises."""
    calls = iter(range(99))
    assert logged(Net(lambda net, x: x + 1 if next(calls) % 2 else x - 1), X)
    assert next(calls) == 1


# --- models for which torch's writer has no graph ---


def test_control_flow_and_a_dict(logged):
    nodes = logged(models.Ponder(), X)
    scope = "Ponder/Sequential[block]"
    assert nodes["output/output.state"].input[0].startswith(f"{scope}/Tanh[1]/tanh")
    assert shapes(nodes["output/output.state"]) == [(2, 4)]
    assert nodes["output/output.steps"].input == ["Ponder/tensor"]
    linear = nodes[f"{scope}/Linear[0]/linear"]
    assert linear.op == "aten::linear"
    assert list(linear.input) == ["input/x", f"{scope}/Linear[0]/weight", f"{scope}/Linear[0]/bias"]
    assert nodes[f"{scope}/Linear[0]/linear_1"].input[0] == f"{scope}/Tanh[1]/tanh"
    assert shapes(nodes[f"{scope}/Linear[0]/weight"]) == [(4, 4)]
    assert nodes[f"{scope}/Linear[0]/weight"].op == "prim::GetAttr"


def test_a_dataclass(logged):
    nodes = logged(models.OfBatch(), models.batch())
    assert nodes["OfBatch/Embedding[embedding]/embedding"].input[0] == "input/batch.ids"
    assert shapes(nodes["input/batch.mask"]) == [(2, 6)]
    assert nodes["OfBatch/ModuleList[layers]/Linear[1]/linear"].input[0] == "OfBatch/relu"
    assert nodes["output/output"].input == ["OfBatch/relu_1"]


class Tokens(nn.Module):
    """Takes named inputs and returns named outputs, as models of Hugging Face do."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 4)

    def forward(self, input_ids, attention_mask=None, *, scale=1.0, **others):
        x = self.embedding(input_ids) * scale
        x = x if attention_mask is None else x * attention_mask[..., None]
        return SimpleNamespace(last_hidden_state=x, hidden_states=(x, x * 2))


class Encoding(dict):
    pass


@pytest.mark.parametrize("kind", [dict, Encoding])
def test_a_dict_by_name(kind, logged):
    inputs = kind(input_ids=models.tokens(), attention_mask=torch.ones(2, 6), scale=2.0, labels=X)
    nodes = logged(Tokens(), inputs)
    assert nodes["Tokens/mul_1"].input == ["Tokens/mul", "Tokens/getitem"]
    assert nodes["Tokens/getitem"].input == ["input/attention_mask"]
    assert nodes["Tokens/mul"].attr["attr"].s == b"{1: 2.0}"
    assert nodes["output/output.hidden_states.1"].input == ["Tokens/mul_2"]
    assert "input/others.labels" not in nodes  # the model does not use it


def test_a_dict_by_name_of_a_model_that_can_be_traced(logged):
    model = Net(None, fc=nn.Linear(4, 4))
    model.forward = lambda left, right: model.fc(left) + right
    nodes = logged(model, {"right": X, "left": X})
    assert any(node.op == "aten::linear" and node.input[0] == "input/left" for node in nodes.values())


@pytest.mark.parametrize(
    ("model", "inputs", "op"),
    [
        (Net(lambda net, x, n: x * n), (X, 3), "aten::mul"),
        (Net(lambda net, x, s: x[s]), (X, slice(1, 2)), "aten::getitem"),
        (Net(lambda net, x: [x, None, "text", {1: x.T}]), X, "aten::T"),
        (Net(lambda net, xs, other: torch.cat(xs)), ([X, X], None), "aten::cat"),
        (Net(lambda net, x: nn.functional.max_pool2d(x[None], 2).item() if x.sum() > 99 else {}), X, "aten::sum"),
        (Net(lambda net, x: {"a": torch.ops.aten.relu.default(x)}), X, "aten::relu"),
        (Net(lambda net, x: {"a": torch.ops.aten.relu(x)}), X, "aten::relu"),
        (Net(lambda net, x: {"a": x.clone().__ior__(1)}), torch.tensor([1]), "aten::ior"),
        (Net(lambda net, x: {"a": nn.functional.relu(x, inplace=True)}), X.clone(), "aten::relu"),
        (
            Net(lambda net, x: {"a": torch.utils.checkpoint.checkpoint(torch.sin, x, use_reentrant=False)}),
            X,
            "aten::sin",
        ),
    ],
    ids=str,
)
def test_whatever_runs_has_a_graph(model, inputs, op, logged):
    assert op in {node.op for node in logged(model, inputs).values()}


def test_a_list_may_be_the_argument(logged):
    model = nn.Module()
    model.forward = lambda xs: {"all": torch.cat(xs)}
    assert list(logged(model, [X, X + 1])["Module/cat"].input) == ["input/xs.0", "input/xs.1"]


def test_an_object_may_be_the_argument(logged):
    inputs = SimpleNamespace(x=X, text="text", torch=torch, kind=models.Batch)
    inputs.itself = [inputs]
    nodes = logged(Net(lambda net, inputs: {"y": inputs.x + 1}), inputs)
    assert nodes["output/output.y"].input == ["Net/add"]
    assert nodes["Net/add"].input == ["input/inputs.0.x"]


def test_a_named_tuple_may_be_the_argument(logged):
    model = Net(None, lstm=nn.LSTM(4, 3))
    model.forward = lambda packed: model.lstm(packed)[0].data
    packed = nn.utils.rnn.pack_sequence([torch.ones(3, 4), torch.ones(2, 4)])
    lstm = logged(model, packed)["Net/LSTM[lstm]/lstm"]
    assert lstm.input[:2] == ["input/packed.0", "input/packed.1"]
    assert shapes(lstm) == [(5, 3), (1, 2, 3), (1, 2, 3)]


def test_what_is_written_in_place_comes_from_there(logged):
    def forward(net, x):
        y = torch.zeros(2, 4)
        y[0] = x[1]
        y += 1
        torch.add(y, 2, out=y)
        return {"y": y}

    nodes = logged(Net(forward), X)
    assert nodes["output/output.y"].input == ["Net/add"]
    assert nodes["Net/add"].input[0] == "Net/add_"
    assert nodes["Net/add_"].input[0] == "Net/setitem"
    assert list(nodes["Net/setitem"].input) == ["Net/zeros", "Net/getitem"]


def test_outputs_of_one_operation(logged):
    nodes = logged(Net(lambda net, x: dict(enumerate(x.chunk(2)))), X)
    assert shapes(nodes["Net/chunk"]) == [(1, 4), (1, 4)]
    assert nodes["output/output.0"].input == ["Net/chunk"]
    assert nodes["output/output.1"].input == ["Net/chunk:1"]


def test_calls_that_nobody_sees(logged):
    """Recording does not see operations in compiled code, so the module becomes a node."""

    def free(x: torch.Tensor):
        return x * 2

    model = Net(
        lambda net, x: {"y": net.script(x) + net.free(x)}, script=scripted(nn.Linear(4, 4)), free=scripted(free)
    )
    nodes = logged(model, X)
    assert nodes["Net/Linear[script]/Linear"].input == ["input/inputs.0"]
    assert list(nodes["Net/add"].input) == ["Net/Linear[script]/Linear", "Net/constant"]


def test_a_compiled_model_is_recorded_as_it_was_written():
    """torch.compile imports modules that cause warnings, so this runs in a process of its own."""
    script = """
        import sys, tempfile, torch, tbc
        from torch import nn
        from tbc.proto import GraphDef
        from tbc.reader import find_event_files, read_events

        def logged(model):
            with tempfile.TemporaryDirectory() as log_dir:
                with tbc.SummaryWriter(log_dir) as writer:
                    writer.add_graph(model, torch.ones(2, 4))
                (path,) = find_event_files(log_dir)
                (event,) = (event for event in read_events(path) if event.graph_def)
                return {node.name: node for node in GraphDef.FromString(event.graph_def).node}

        class Cond(nn.Module):
            def forward(self, x):
                return torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,))

        assert "torch._dynamo" not in sys.modules
        nodes = logged(Cond())
        assert list(nodes["Cond/cond"].input) == ["Cond/gt", "input/x"], nodes

        plain = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        assert logged(torch.compile(plain, backend="eager")).keys() == logged(plain).keys()

        within = nn.Sequential(plain, nn.Tanh())
        plain.compile(backend="eager")
        nodes = logged(within)
        assert list(nodes["Sequential/Tanh[1]/tanh"].input) == ["Sequential/Sequential[0]/ReLU[1]/relu"]
    """
    run_script(script, timeout=300)


def test_modules_with_hooks(logged):
    """torch.jit.trace refuses some kinds of hooks."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU()))
    seen = []
    model[1].register_forward_hook(lambda *_: seen.append("forward"))
    model.register_full_backward_hook(lambda *_: seen.append("backward"))
    nodes = logged(model, X)
    assert "Sequential/Sequential[1]/ReLU[0]/relu" in nodes
    assert seen == ["forward"]
    model(X.clone().requires_grad_()).sum().backward()
    assert seen == ["forward", "forward", "backward"]


def test_modules_that_build_themselves(logged):
    model = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    nodes = logged(model, X)
    assert shapes(nodes["Sequential/LazyLinear[0]/linear"]) == [(2, 3)]
    assert model(X).shape == (2, 3)


class Built(nn.Module):
    """Makes its layer in the first call of forward, as some programs do."""

    built = False

    def forward(self, x):
        if not self.built:
            self.fc = nn.Linear(x.shape[1], 3)
            self.built = True
        return self.fc(x)


def test_what_modules_have_built_they_keep(logged):
    model = nn.Sequential(Built())
    logged(model, X)
    parameters = list(model.parameters())
    assert len(parameters) == 2
    model(X)
    assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))


def reachable(nodes, name):
    found, todo = set(), [name]
    while todo:
        name = todo.pop().partition(":")[0]
        if name not in found:
            found.add(name)
            todo += nodes[name].input
    return found


@settings(max_examples=60)
@given(drawn_models)
def test_what_is_recorded_is_what_torch_traces(model):
    """Recording and tracing give the same operations of modules and shapes, and each edge leads to a node."""
    model.eval()
    recorded = by_name(SimpleNamespace(node=recordings.record(model, (X.clone(),), {})))
    with quiet():
        nodes, failure = model_graphs.nodes(model, X.clone(), False, True)
    traced = by_name(SimpleNamespace(node=nodes))
    assert not failure

    def operations(nodes):
        return Counter(
            (node.op, *shapes(node))
            for node in nodes.values()
            if node.op in {"aten::linear", "aten::gelu", "aten::dropout", "aten::layer_norm", "aten::batch_norm"}
        )

    assert operations(recorded) == operations(traced)
    used = reachable(recorded, "output/output")
    assert "input/" in "".join(used)
    scopes = {f"/{type(part).__name__}[" for part in model.modules() if type(part) is Scale and part is not model}
    assert all(any(scope in name for name in used) for scope in scopes)
    for name, node in recorded.items():
        if node.op == "prim::GetAttr":
            assert name in used


# --- the modules alone ---


def test_without_inputs_the_modules_are_shown(logged):
    model = models.Encoder(layers=1)
    nodes = logged(model)
    scope = "Encoder/TransformerEncoder[encoder]/ModuleList[layers]/TransformerEncoderLayer[0]"
    linear = nodes[f"{scope}/Linear[linear1]/Linear"]
    assert list(linear.input) == [f"{scope}/Linear[linear1]/weight", f"{scope}/Linear[linear1]/bias"]
    assert linear.attr["attr"].s == b"in_features=16, out_features=32, bias=True"
    parameters = sorted(tuple(parameter.shape) for parameter in model.parameters())
    assert sorted(shapes(node)[0] for node in nodes.values() if node.op == "prim::GetAttr") == parameters
    assert nodes[f"{scope}/Dropout[dropout]/Dropout"].op == "Dropout"


def test_without_inputs_modules_may_not_be_built_yet(logged):
    assert shapes(logged(nn.Sequential(nn.LazyLinear(3)))["Sequential/LazyLinear[0]/weight"]) == []


def test_a_model_on_the_meta_device(logged, tmp_path):
    nodes = by_name(
        log(tbc.SummaryWriter, tmp_path / "large", models.ResNet().to("meta"), models.images().to("meta"))[0]
    )
    assert shapes(nodes["ResNet/Linear[fc]/linear"]) == [(2, 10)]
    nodes = logged(Net(lambda net, x: {"y": net.fc(x)}, fc=nn.Linear(4, 3)).to("meta"), X.to("meta"))
    assert shapes(nodes["Net/Linear[fc]/linear"]) == [(2, 3)]
    nodes = by_name(log(tbc.SummaryWriter, tmp_path / "inputs", nn.Linear(4, 3).to("meta"), X)[0])
    assert [shapes(node) for node in nodes.values() if node.op == "aten::linear"] == [[(2, 3)]]
    with pytest.warns(UserWarning, match="without their operations: .*meta") as caught:
        nodes = by_name(log(tbc.SummaryWriter, tmp_path / "loop", models.Ponder().to("meta"), X)[0])
    assert "Ponder/Linear[halt]/Linear" in nodes
    assert caught[0].filename == __file__


def test_a_model_that_runs_but_not_while_it_is_recorded(logged):
    def forward(net, x):
        if torch.overrides._get_current_function_mode_stack() or torch.jit.is_tracing():
            raise RuntimeError("not here")
        return x

    with pytest.warns(UserWarning, match="RuntimeError: not here"):
        nodes = logged(Net(forward, fc=nn.Linear(4, 4)), X)
    assert "Net/Linear[fc]/Linear" in nodes


# --- the model's state is restored ---


class Restless(nn.Module):
    """Changes all kinds of state in forward."""

    def __init__(self, result):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("average", torch.full((4,), torch.nan))
        self.register_buffer("weights", torch.zeros(4, 4).to_sparse())
        self.hidden = None
        self.calls = 0
        self.result = result

    def forward(self, x):
        self.calls += 1
        self.count += 1
        self.mean = self.mean * 0.9 + x.detach().mean(0)
        self.average.data.copy_(x[0].detach())
        self.hidden = self.fc(x)
        self.attention = self.hidden.detach()
        x.mul_(2)
        y = self.dropout(self.norm(self.hidden)) + torch.rand(())
        return self.result(y)


RESULTS = {
    "traced": (lambda y: y, None),
    "recorded": (lambda y: {"y": y}, None),
    "failed": (lambda y: y @ y, RuntimeError),
}


@pytest.mark.parametrize("route", RESULTS)
def test_the_model_is_left_as_it_was(route, tmp_path):
    result, error = RESULTS[route]
    model = nn.Sequential(Restless(result), nn.Sequential(nn.Dropout(), nn.Linear(4, 4)))
    model[0].norm.eval()
    model[1].eval()
    model[1][0].train()
    model[0].fc.weight.grad = torch.ones(4, 4)
    inputs = X.clone()
    hooks = {name: len(value) for name, value in vars(module_hooks).items() if isinstance(value, dict)}

    def state():
        return {
            "modes": [module.training for module in model.modules()],
            "attributes": [{**vars(module)} for module in model.modules()],
            "tensors": {**vars(model[0])["_buffers"], **dict(model.named_parameters())},
        }

    before, contents = state(), {name: tensor.clone() for name, tensor in state()["tensors"].items()}
    versions = {name: tensor._version for name, tensor in before["tensors"].items()}
    drawn = torch.get_rng_state()
    with tbc.SummaryWriter(tmp_path / "run") as writer:
        if error is not None:
            with pytest.raises(error):
                writer.add_graph(model, inputs)
        elif route == "recorded":
            writer.add_graph(model[0], inputs)
        else:
            writer.add_graph(model, inputs)
        writer.add_scalar("after", 1)
    after = state()
    assert after["modes"] == before["modes"]
    for ours, theirs in zip(after["attributes"], before["attributes"], strict=True):
        assert ours.keys() == theirs.keys()
        assert all(ours[name] is theirs[name] for name in ours)
    for name, tensor in after["tensors"].items():
        assert tensor is before["tensors"][name]
        assert torch.equal(tensor.to_dense().nan_to_num(7), contents[name].to_dense().nan_to_num(7)), name
    assert after["tensors"]["0.norm.weight"]._version == versions["0.norm.weight"]
    assert torch.equal(inputs, X)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert torch.equal(model[0].fc.weight.grad, torch.ones(4, 4))
    assert model[0].fc.bias.grad is None
    assert hooks == {name: len(value) for name, value in vars(module_hooks).items() if isinstance(value, dict)}
    assert "_global_forward_hooks" in hooks
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    events = read_back(tmp_path / "run")
    assert events[-1].summary.value[0].tag == "after"
    assert len(events) == (1 if error else 3)


class Drawing(nn.Module):
    """Replaces its parameter and draws random numbers of all kinds in forward."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))
        self.register_buffer("every_other", torch.arange(8.0)[::2])

    def forward(self, x):
        self.every_other += random.random() + np.random.rand() + 1
        self.weight = nn.Parameter(self.weight * 2)
        return x * self.weight + self.every_other


def test_other_random_numbers_and_parameters_stay(tmp_path):
    model = Drawing()
    weight, states = model.weight, (random.getstate(), np.random.get_state()[1].tolist())
    log(tbc.SummaryWriter, tmp_path, model, X)
    assert model.weight is weight
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states
    assert model.every_other.tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize(
    "inputs",
    [
        X[:, :1],
        X.T,
        torch.ones(1, 1).expand(2, 3),
        torch.zeros(3, 2, dtype=torch.complex64).imag,
        torch.zeros(3, 2, dtype=torch.complex64).conj(),
        torch.tensor(1.0),
        torch.zeros(0, 4),
        torch.ones(2, 3, dtype=torch.bfloat16)[:, ::2],
    ],
    ids=["column", "transposed", "expanded", "imaginary", "conjugate", "scalar", "empty", "bfloat16"],
)
def test_inputs_of_any_strides(inputs, tmp_path):
    ours, *_ = log(tbc.SummaryWriter, tmp_path / "ours", nn.Identity(), inputs)
    with quiet():
        theirs, *_ = log(TorchWriter, tmp_path / "theirs", nn.Identity(), inputs)
    assert ours == theirs
    doubling = Net(lambda net, x: {"y": x.mul_(2)} if not x.is_conj() and x.shape != (2, 3) else {"y": x})
    before = inputs.clone()
    log(tbc.SummaryWriter, tmp_path / "recorded", doubling, inputs)
    assert torch.equal(inputs, before)


def test_nested_tensors(logged):
    with quiet():
        nested = torch.nested.nested_tensor([torch.ones(2, 4), torch.ones(3, 4)])
        found = logged(Net(lambda net, x: x.relu()), nested)
    assert "aten::relu" in {node.op for node in found.values()}


class Merging(nn.Linear):
    """Changes its weights when the mode changes, as some layers do."""

    merged = False

    def train(self, mode=True):
        super().train(mode)
        if self.merged == mode:
            self.weight.data += 1 if not mode else -1
            self.merged = not mode
        return self


def test_layers_that_change_with_the_mode(tmp_path):
    model = nn.Sequential(Merging(4, 4), nn.Sequential(Merging(4, 4)))
    model.eval()
    model[0].train()
    weights = [model[0].weight.clone(), model[1][0].weight.clone()]
    log(tbc.SummaryWriter, tmp_path, model, X)
    assert [model[0].merged, model[1][0].merged] == [False, True]
    torch.testing.assert_close([model[0].weight, model[1][0].weight], weights)


def test_what_is_large_is_not_saved(monkeypatch):
    monkeypatch.setattr(model_graphs, "SAVED", 100)
    tensors = [torch.zeros(size, dtype=torch.uint8) for size in (60, 50, 1000, 40, 11)]
    assert [len(tensor) for tensor in model_graphs._saved(tensors)] == [11, 40]


MEMORY = """
    import resource, sys, tempfile, torch, tbc
    from torch import nn

    class Net(nn.Sequential):
        def forward(self, x):
            return {"y": super().forward(x)} if route == "recorded" else super().forward(x)

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB

    route = sys.argv[1]
    with tempfile.TemporaryDirectory() as log_dir, tbc.SummaryWriter(log_dir) as writer:
        writer.add_graph(Net(nn.Linear(8, 8)), torch.ones(1, 8))  # so that imports and compilation are not measured
        model = Net(*(nn.Linear(2048, 2048) for _ in range(25)))
        size = sum(parameter.nbytes for parameter in model.parameters()) / 2**20
        before = peak()
        writer.add_graph(model, torch.ones(1, 2048))
        print(size, peak() - before)
"""


@pytest.mark.parametrize("route", ["traced", "recorded"])
def test_weights_are_not_copied(route):
    size, more = map(float, run_script(MEMORY, route).stdout.split())
    assert size > 400
    assert more < 0.1 * size


# --- errors ---


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((nn.Linear(4, 4), (X, X)), TypeError, "does not fit the forward.. of Linear: too many positional arguments"),
        ((nn.Linear(4, 4), ()), TypeError, "missing a required argument: 'input'"),
        ((nn.Linear(4, 4), X[:, :3]), RuntimeError, "shapes cannot be multiplied"),
        ((Net(lambda net, x: x.no_such_method()), X), AttributeError, "no_such_method"),
        ((Tokens(), {"input_ids": X}), RuntimeError, "indices"),
        ((X, X), TypeError, "model must be a torch.nn.Module or a GraphDef message, got Tensor"),
        ((nn.Linear, X), TypeError, "got type"),
        ((None, X), TypeError, "got NoneType"),
        ((torch.relu, X), TypeError, "got builtin_function_or_method"),
        ((b"\xff\xff",), ValueError, "the 2 bytes are not a GraphDef message"),
        ((Event(),), TypeError, "a GraphDef message is expected, got Event"),
    ],
)
def test_what_is_wrong_raises_and_leaves_the_file_valid(arguments, error, message, tmp_path):
    with tbc.SummaryWriter(tmp_path) as writer:
        with pytest.raises(error, match=message):
            writer.add_graph(*arguments)
        writer.add_scalar("after", 1)
    (event,) = read_back(tmp_path)
    assert event.summary.value[0].tag == "after"


# --- messages ---


def any_graph():
    graph = GraphDef(versions={"producer": 22})
    graph.node.add(name="scope/a", op="Const", attr={"dtype": {"type": 1}})
    graph.node.add(name="scope/b", op="Relu", input=["scope/a"])
    graph.library.function.add().signature.name = "unknown to tbc"
    return graph


@pytest.mark.parametrize("form", [lambda graph: graph, lambda graph: graph.SerializeToString(), bytearray])
def test_a_graph_as_it_is(form, tmp_path):
    graph = any_graph()
    given = form(graph.SerializeToString()) if form is bytearray else form(graph)
    assert log(tbc.SummaryWriter, tmp_path, given) == (graph, [(0, "graph_def")], [])


def test_file_writer(tmp_path):
    seen = []

    class Seeing(tbc.FileWriter):
        def add_event(self, event, step=None, walltime=None):
            seen.append(event.WhichOneof("what"))
            super().add_event(event, step, walltime)

    with pytest.raises(TypeError, match="RunMetadata message is expected, got GraphDef"):
        Seeing(str(tmp_path / "wrong")).add_graph((any_graph(), any_graph()))
    with pytest.raises(TypeError, match="GraphDef message is expected, got RunMetadata"):
        Seeing(str(tmp_path / "wrong")).add_onnx_graph(RunMetadata())
    assert seen == []
    writer = Seeing(str(tmp_path / "run"))
    writer.add_graph((any_graph(), RunMetadata()), 1.5)
    writer.add_onnx_graph(any_graph(), walltime=2.5)
    writer.close()
    events = read_back(tmp_path / "run")
    assert seen == ["graph_def", "tagged_run_metadata", "graph_def"]
    assert [(event.wall_time, event.step) for event in events] == [(1.5, 0), (1.5, 0), (2.5, 0)]
    assert GraphDef.FromString(events[2].graph_def) == any_graph()
    assert events[1].tagged_run_metadata.tag == "step1"


def test_tensorboard_shows_it(tmp_path):
    for name, model, inputs in [("traced", models.ResNet(), models.images()), ("recorded", models.Ponder(), X)]:
        log(tbc.SummaryWriter, tmp_path / name, model, inputs)
    log(tbc.SummaryWriter, tmp_path / "given", any_graph())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from tensorboard.plugins.graph.graphs_plugin import GraphsPlugin
    plugin = GraphsPlugin(tensorboard_on(tmp_path))
    info = plugin.info_impl(RequestContext(), "")
    assert {run: entry["run_graph"] for run, entry in info.items()} == dict.fromkeys(
        ["traced", "recorded", "given"], True
    )
    assert {run: list(entry["tags"]) for run, entry in info.items()} == {
        "traced": ["step1"],
        "recorded": ["step1"],
        "given": [],
    }
    text, kind = plugin.graph_impl(RequestContext(), "recorded", None, False, "")
    assert kind == "text/x-protobuf"
    assert 'name: "Ponder/Sequential[block]/Linear[0]/linear"' in text
    text, kind = plugin.run_metadata_impl(RequestContext(), "", "traced", "step1")
    assert "/device:CPU:0" in text


# --- missing packages ---


WITHOUT = """
    import sys

    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in sys.argv[2:]:
                raise ModuleNotFoundError(f"no {name} here", name=name)

    sys.meta_path.insert(0, Blocker())
    import tbc
    from tbc.proto import GraphDef
    writer = tbc.SummaryWriter(sys.argv[1])
"""


def test_it_works_without_tensorboard(tmp_path):
    script = """
        import torch
        model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
        writer.add_graph(model, torch.ones(2, 4))
        model.forward = lambda x: {"y": torch.relu(x)}
        writer.add_graph(model, torch.ones(2, 4))
        writer.close()
    """
    run_script(textwrap.dedent(WITHOUT) + textwrap.dedent(script), tmp_path, "tensorboard", "tensorboardX", "onnx")
    events = read_back(tmp_path)
    assert [event.WhichOneof("what") for event in events] == ["graph_def", "tagged_run_metadata"] * 2


def test_a_graph_as_it_is_takes_no_torch(tmp_path):
    script = """
        graph = GraphDef(node=[{"name": "a/b", "op": "c"}])
        writer.add_graph(graph)
        writer.add_graph(graph.SerializeToString())
        for other in ("text", object()):
            try:
                writer.add_graph(other)
            except TypeError as error:
                assert "torch.nn.Module" in str(error)
            else:
                raise AssertionError(other)
        writer.close()
        assert not {"torch", "numpy"} & set(sys.modules)
    """
    run_script(textwrap.dedent(WITHOUT) + textwrap.dedent(script), tmp_path, "torch", "tensorboard")
    assert [event.WhichOneof("what") for event in read_back(tmp_path)] == ["graph_def"] * 2
