"""add_hparams: what TensorBoard's HPARAMS tab shows."""

import argparse
import array
import dataclasses
import datetime
import enum
import functools
import json
import math
import os
import tempfile
import types
import uuid
from collections import OrderedDict, UserDict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import json_format, struct_pb2
from helpers.oracle import read_back, run_script, same_float, tensorboard_on
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.context import RequestContext
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

import tbc
from tbc.kinds import hparams


class Rate(str, enum.Enum):
    SLOW = "slow"


class Level(enum.IntEnum):
    HIGH = 3


class Color(enum.Enum):
    RED = 1


class Corner(tuple, enum.Enum):
    ORIGIN = (0, 0)


@dataclasses.dataclass
class Config:
    lr: float = 0.5
    color: Color = Color.RED


Point = namedtuple("Point", "x y")


def sessions(log_dir):
    """Return ({run: session group}, experiment) from TensorBoard's backend; check that both are valid JSON."""
    context = backend_context.Context(tensorboard_on(log_dir))
    request = api_pb2.ListSessionGroupsRequest(
        slice_size=1000, allowed_statuses=[number for _, number in api_pb2.Status.items()]
    )
    groups = list_session_groups.Handler(RequestContext(), context, "", request).run()
    experiment = get_experiment.Handler(RequestContext(), context, "", api_pb2.GetExperimentRequest()).run()
    for message in (groups, experiment):
        json.loads(json_format.MessageToJson(message), parse_constant=pytest.fail)
    return {group.name: group for group in groups.session_groups}, experiment


def plain(value):
    return getattr(value, value.WhichOneof("kind"))


def logged(hparam_dict, metric_dict=None, *arguments, **options):
    """Log one run; return its hyperparameters, session group and experiment, as TensorBoard shows them."""
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_hparams(hparam_dict, metric_dict or {}, *arguments, **options)
        groups, experiment = sessions(log_dir)
    (group,) = groups.values()
    return {name: plain(value) for name, value in group.hparams.items()}, group, experiment


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**1000), 2**1000)
texts = st.text(st.characters(exclude_categories=["Cs"]))
simple = st.one_of(numbers, st.booleans(), texts)
TYPES = {str: api_pb2.DATA_TYPE_STRING, bool: api_pb2.DATA_TYPE_BOOL, float: api_pb2.DATA_TYPE_FLOAT64}


@given(st.dictionaries(texts, simple, min_size=1), st.dictionaries(texts, st.floats(width=32), max_size=3))
def test_tensorboard_shows_every_value_in_its_type_and_every_metric(values, metrics):
    shown, group, experiment = logged(values, metrics)
    as_tensorboard = {name: float(value) if type(value) in (int, float) else value for name, value in values.items()}
    assert shown == as_tensorboard
    assert {name: type(value) for name, value in shown.items()} == {
        name: type(value) for name, value in as_tensorboard.items()
    }
    infos = {info.name: info.type for info in experiment.hparam_infos}
    assert infos == {name: TYPES[type(value)] for name, value in as_tensorboard.items()}
    assert [info.name.tag for info in experiment.metric_infos] == list(metrics)
    found = {metric.name.tag: metric.value for metric in group.metric_values}
    assert found.keys() == metrics.keys()
    assert all(same_float(found[tag], value) for tag, value in metrics.items())


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, True),
        (np.True_, True),
        (np.array(False), False),
        (np.array([[True]]), True),
        (3, 3.0),
        (Level.HIGH, 3.0),
        (np.int8(-3), -3.0),
        (np.uint64(2**64 - 1), 2.0**64),
        (np.float16(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.array(0.25), 0.25),
        (np.array([0.25], np.longdouble), 0.25),
        (np.array([2], object), 2.0),
        (Decimal("0.5"), 0.5),
        (Fraction(1, 4), 0.25),
        ("adam", "adam"),
        (Rate.SLOW, "slow"),
        (np.str_("adam"), "adam"),
        (np.array("adam"), "adam"),
        ("", ""),
        (Path("data") / "x", "data/x"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (np.float32("nan"), "nan"),
        (np.array([np.inf]), "inf"),
        (2**1022, 2.0**1022),
        (2**1024, str(2**1024)),
        (-(10**400), str(-(10**400))),
        ([], "[]"),
        ([1, 2.5, "a", None, True], '[1, 2.5, "a", null, true]'),
        ((1, [2, (3,)]), "[1, [2, [3]]]"),
        (range(3), "[0, 1, 2]"),
        ({3, 1, 2}, "[1, 2, 3]"),
        ([{"a": Path("b"), 1: Rate.SLOW}], '[{"a": "b", "1": "slow"}]'),
        ([math.nan], "[NaN]"),
        (np.arange(3.0), "[0.0, 1.0, 2.0]"),
        (np.arange(3), "[0, 1, 2]"),
        (np.array([1.5, 2], np.longdouble), "[1.5, 2.0]"),
        (np.array([[True, False]]), "[[true, false]]"),
        (np.array(["a", "b"]), '["a", "b"]'),
        (np.array([]), "[]"),
        (Color.RED, "Color.RED"),
        (Corner.ORIGIN, "Corner.ORIGIN"),
        ([Color.RED, {Color.RED: 1, 2: None}], '["Color.RED", {"Color.RED": 1, "2": null}]'),
        (Config(), "Config(lr=0.5, color=<Color.RED: 1>)"),
        (types.SimpleNamespace(lr=0.5), "namespace(lr=0.5)"),
        (argparse.Namespace(lr=0.5), "Namespace(lr=0.5)"),
        (Point(1, 2), "[1, 2]"),
        (deque([1]), "[1]"),
        ({"a": 1}.keys(), '["a"]'),
        ({"a": 1}.values(), "[1]"),
        (array.array("i", [1, 2]), "[1, 2]"),
        (b"12", "b'12'"),
        (np.bytes_(b"12"), "b'12'"),
        (bytearray(b"12"), "bytearray(b'12')"),
        (np.dtype("float32"), "float32"),
        (np.float32, "numpy.float32"),
        (int, "int"),
        (len, "len"),
        (os.path.join, f"{os.path.join.__module__}.join"),
        ([].append, "list.append"),
        (functools.partial(math.pow, 2), "functools.partial(<built-in function pow>, 2)"),
        (functools.partial(plain, 2), "functools.partial(<function plain>, 2)"),
        (datetime.datetime(2020, 1, 2, 3), "2020-01-02 03:00:00"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (datetime.timedelta(1), "1 day, 0:00:00"),
        (np.datetime64("2020-01-02"), "2020-01-02"),
        (np.datetime64("2020-01-02", "ns"), "2020-01-02T00:00:00.000000000"),
        (np.timedelta64(1, "D"), "1 days"),
        (np.array(["2020-01-02", "NaT"], "M8[D]"), '["2020-01-02", "NaT"]'),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (1j, "1j"),
        (np.array([1j, 2]), '["1j", "(2+0j)"]'),
        (Decimal("1e400"), "1E+400"),
        (Fraction(10**400), str(10**400)),
    ],
    ids=lambda value: f"{type(value).__name__}-{value!s:.20}",
)
def test_what_values_become(value, shown):
    (found,) = logged({"h": value})[0].values()
    assert (type(found), found) == (type(shown), shown)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int64", "uint8", "bool"])
def test_tensors_of_one_element_are_their_value(shape, dtype):
    torch = pytest.importorskip("torch")
    tensor = torch.ones(shape, dtype=getattr(torch, dtype), requires_grad=dtype.startswith("float"))
    (found,) = logged({"h": tensor})[0].values()
    assert (type(found), found) == (bool if dtype == "bool" else float, 1)


def test_longer_tensors_are_text():
    torch = pytest.importorskip("torch")
    tensors = {"betas": torch.tensor([0.5, 0.25], dtype=torch.bfloat16), "size": torch.Size([2, 3])}
    assert logged(tensors)[0] == {"betas": "[0.5, 0.25]", "size": "[2, 3]"}


def test_what_torch_calls_its_types_and_devices():
    torch = pytest.importorskip("torch")
    values = {"dtype": torch.bfloat16, "device": torch.device("cuda:0"), "layer": torch.nn.ReLU, "f": torch.nn.ReLU()}
    layer = "torch.nn.modules.activation.ReLU"
    assert logged(values)[0] == {"dtype": "torch.bfloat16", "device": "cuda:0", "layer": layer, "f": "ReLU()"}


def test_names_that_are_not_text():
    names = {1: 1, Color.RED: 2, None: 3, Path("a"): 4, "b": {2.5: 5}}
    shown, group, experiment = logged(names, {7: 0.5}, {1: [1, 2]})
    assert shown == {"1": 1, "Color.RED": 2, "None": 3, "a": 4, "b/2.5": 5}
    assert [(metric.name.tag, metric.value) for metric in group.metric_values] == [("7", 0.5)]
    (info,) = (info for info in experiment.hparam_infos if info.name == "1")
    assert list(info.domain_discrete) == [1, 2]


def test_the_same_container_twice_does_not_contain_itself():
    pair = [1, 2]
    assert logged({"a": {"b": pair, "c": [pair, pair]}})[0] == {"a/b": "[1, 2]", "a/c": "[[1, 2], [1, 2]]"}


def test_none_is_left_out():
    shown, _, experiment = logged({"a": None, "b": 1, "c": {"d": None}})
    assert shown == {"b": 1}
    assert [info.name for info in experiment.hparam_infos] == ["b"]


@pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict])
def test_mappings_within_become_names_with_slashes(kind):
    nested = kind({"optimizer": kind({"name": "adam", "betas": kind({"1": 0.5})}), Rate.SLOW: kind({"x": True})})
    assert logged(nested)[0] == {"optimizer/name": "adam", "optimizer/betas/1": 0.5, "slow/x": True}


def test_why_a_number_that_is_not_finite_is_text():
    """JSON has no such number, so TensorBoard leaves it out."""
    with pytest.raises(ValueError, match="NaN"):
        json_format.MessageToJson(struct_pb2.Value(number_value=math.nan))
    _, start, _ = hparams.summaries({"h": 1.0}, {})
    start.value[0].metadata.plugin_data.content = start.value[0].metadata.plugin_data.content.replace(
        np.float64(1).tobytes(), np.float64("nan").tobytes()
    )
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer._get_file_writer().add_summary(start)
        ((_, group),) = sessions(log_dir)[0].items()
    assert dict(group.hparams) == {}


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        (0.1, [0.1, 1, np.float32(0.5)]),
        (1, [1, 2]),
        (True, [True, np.False_]),
        ("a", ["a", "b", Rate.SLOW]),
        ((1, 2), [[1, 2], (3, 4)]),
        ("a", []),
        (Color.RED, list(Color)),
        (b"a", [b"a", b"b"]),
    ],
)
def test_domains(value, domain):
    _, _, experiment = logged({"h": value}, {}, {"h": domain})
    (info,) = experiment.hparam_infos
    found = list(info.domain_discrete)
    domain = [str(element) if isinstance(element, (Color, bytes)) else element for element in domain]
    assert found == [json.dumps(element) if isinstance(element, (list, tuple)) else element for element in domain]
    assert {TYPES[type(element)] for element in found} <= {info.type}


@pytest.mark.parametrize("value", [1.5, math.inf, math.nan])
def test_a_domain_with_none_and_numbers_that_are_not_finite(value):
    """As with the values themselves, numbers that are not finite become text and None is left out."""
    _, _, experiment = logged({"h": value}, {}, {"h": [1.5, None, math.inf, np.nan]})
    assert list(experiment.hparam_infos[0].domain_discrete) == [1.5, "inf", "nan"]


@pytest.mark.parametrize("domain", [[], [None], [None, 1.5]])
def test_the_domain_of_none_is_left_out(domain):
    _, _, experiment = logged({"h": None, "i": 1}, {}, {"h": domain})
    assert [info.name for info in experiment.hparam_infos] == ["i"]


def test_the_domain_of_a_name_with_slashes():
    _, _, experiment = logged({"a": {"b": 1}}, {}, {"a/b": [1, 2]})
    assert list(experiment.hparam_infos[0].domain_discrete) == [1, 2]


@pytest.mark.parametrize("status", ["unknown", "success", "failure", "running"])
def test_status_and_times(status):
    _, group, _ = logged({"h": 1}, {}, start_time=1000.5, end_time=2000.25, status=status)
    (session,) = group.sessions
    assert api_pb2.Status.Name(session.status) == f"STATUS_{status.upper()}"
    assert (session.start_time_secs, session.end_time_secs) == (1000.5, 2000.25)


def test_the_default_times_are_those_of_the_writer_and_the_call():
    _, group, _ = logged({"h": 1})
    (session,) = group.sessions
    assert api_pb2.Status.Name(session.status) == "STATUS_SUCCESS"
    assert 0 <= session.end_time_secs - session.start_time_secs < 60
    assert abs(session.end_time_secs - float(session.name)) < 60  # the run's name is the time of the call


@pytest.mark.parametrize("run_name", ["x", "a/b", Path("x")])
def test_a_run_of_its_own(log_dir, run_name):
    with tbc.SummaryWriter(log_dir, filename_suffix=".mine") as writer:
        writer.add_hparams({"h": 1}, {"loss": 0.5, "accuracy": 1}, run_name=run_name, global_step=7)
    assert read_back(log_dir) == []
    directory = os.path.join(log_dir, run_name)
    (name,) = os.listdir(directory)
    assert not name.endswith(".mine")  # as in torch, which does not pass filename_suffix on
    events = read_back(directory)
    assert [event.step for event in events] == [7] * 5
    assert [event.summary.value[0].tag for event in events] == [
        *("_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info"),
        *("loss", "accuracy"),
    ]
    assert [event.summary.value[0].simple_value for event in events[3:]] == [0.5, 1]
    groups, _ = sessions(log_dir)
    assert list(groups) == [str(run_name)]
    assert {(metric.name.tag, metric.training_step) for metric in groups[str(run_name)].metric_values} == {
        *(("loss", 7), ("accuracy", 7))
    }


def test_a_dot_is_the_run_itself(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalar("before", 1)
        writer.add_hparams({"h": 1}, {"loss": 0.5}, run_name=".")
        writer.add_scalar("after", 1)
    assert len(os.listdir(log_dir)) == 1
    tags = [event.summary.value[0].tag for event in read_back(log_dir)]
    assert (tags[0], tags[-2:], len(tags)) == ("before", ["loss", "after"], 6)
    ((_, group),) = sessions(log_dir)[0].items()
    assert [metric.value for metric in group.metric_values] == [0.5]


def test_runs_in_one_directory_are_rows_of_one_table(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        for i in range(3):
            writer.add_hparams({"lr": i / 4}, {"loss": i}, run_name=f"run{i}")
        writer.add_hparams({"lr": 1}, {"loss": 3})
    groups, experiment = sessions(log_dir)
    rows = sorted((plain(group.hparams["lr"]), group.metric_values[0].value) for group in groups.values())
    assert rows == [(0, 0), (0.25, 1), (0.5, 2), (1, 3)]
    assert len(experiment.hparam_infos) == len(experiment.metric_infos) == 1


def test_the_events_are_torchs(log_dir):
    torch_hparams = pytest.importorskip("torch.utils.tensorboard.summary").hparams
    arguments = {"lr": 0.1, "batch": 32, "name": "x", "none": None}, {"loss": 1.0}, {"lr": [0.1, 0.2], "name": ["x"]}
    for ours, theirs in zip(hparams.summaries(*arguments), torch_hparams(*arguments), strict=True):
        messages = [summary.value[0].metadata.plugin_data for summary in (ours, theirs)]
        assert (ours.value[0].tag, messages[0].plugin_name) == (theirs.value[0].tag, messages[1].plugin_name)
        data = [hparams.HParamsPluginData.FromString(message.content) for message in messages]
        assert data[0] == data[1]


CYCLE = {}
CYCLE["again"] = CYCLE
RING = []
RING.append({"x": (RING,)})
OBJECTS = np.array([None, 1], object)
OBJECTS[0] = OBJECTS


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([("a", 1)], {}), TypeError, "hparam_dict"),
        ((None, {}), TypeError, "hparam_dict"),
        (({}, ["loss"]), TypeError, "metric_dict"),
        (({object(): 2}, {}), TypeError, "name of a hyperparameter"),
        (({"a": {object(): 2}}, {}), TypeError, "name of a hyperparameter"),
        (({"a": [{object(): 2}]}, {}), TypeError, "name of a hyperparameter"),
        (({1: 1, "1": 2}, {}), ValueError, "two hyperparameters '1'"),
        (({"a": object()}, {}), ValueError, "'a'.*object"),
        (({"a": {"b": [1, iter([])]}}, {}), ValueError, "'a/b'.*list_iterator"),
        (({"a": memoryview(b"a")}, {}), ValueError, "'a'.*memoryview"),
        (({"a": "\ud800"}, {}), ValueError, "surrogates|UTF-8"),
        (({"\ud800": 1}, {}), ValueError, "surrogates|UTF-8"),
        ((CYCLE, {}), ValueError, "'again' contains itself: a dict"),
        (({"a": {"b": RING}}, {}), ValueError, "'a/b' contains itself: a list"),
        (({"a": [CYCLE]}, {}), ValueError, "'a' contains itself: a dict"),
        (({"a": OBJECTS}, {}), ValueError, "'a' contains itself: a ndarray"),
        (({"a": 1}, {}, {"a": [RING]}), ValueError, "'a' contains itself"),
        (({}, {"loss": object()}), NotImplementedError, "object"),
        (({}, {"loss": "high"}), ValueError, "high"),
        (({}, {"loss": np.zeros(2)}), AssertionError, "one element"),
        (({}, {"loss": None}), NotImplementedError, "None"),
        (({}, {object(): 1.0}), TypeError, "name of a hyperparameter or a metric must be text"),
        (({}, {"\ud800": 1.0}), ValueError, "surrogates|UTF-8"),
        (({"a": 1}, {}, [1]), TypeError, "hparam_domain_discrete must be a dict"),
        (({"a": 1}, {}, {"b": [1]}), TypeError, "has 'b', but the hyperparameters are .'a'"),
        (({"a": None}, {}, {"a": [1, "x"]}), TypeError, "must be a list"),
        (({"a": None}, {}, {"a": 1}), TypeError, "must be a list"),
        (({"a": 1}, {}, {"a": 1}), TypeError, "must be a list"),
        (({"a": 1}, {}, {"a": (1, 2)}), TypeError, "must be a list"),
        (({"a": 1}, {}, {"a": [1, "x"]}), TypeError, "must be a list"),
        (({"a": True}, {}, {"a": [True, 1]}), TypeError, "must be a list"),
        (({"a": {"b": 1}, "a/b": 2}, {}), ValueError, "two hyperparameters 'a/b'"),
        (({"a": "x"}, {}, {"a": ["x", math.nan]}), TypeError, "must be a list"),
        (({"a": 1.5}, {}, {"a": [1.5, "nan"]}), TypeError, "must be a list"),
        (({"a": 1}, {}, {"a": [object()]}), ValueError, "'a'"),
        (({}, {}, None, "x", 2**63), ValueError, "64-bit"),
    ],
)
@pytest.mark.parametrize("run_name", [None, "."])
def test_bad_input_is_told_at_once_and_writes_nothing(log_dir, arguments, error, words, run_name):
    options = {} if len(arguments) > 3 else {"run_name": run_name}
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(error, match=words):
        writer.add_hparams(*arguments, **options)
    assert len(os.listdir(log_dir)) == 1
    assert read_back(log_dir) == []


@pytest.mark.parametrize(
    ("options", "error"),
    [({"status": "done"}, ValueError), ({"start_time": "now"}, ValueError), ({"end_time": math.nan}, ValueError)],
)
def test_bad_status_and_times_write_nothing(log_dir, options, error):
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(error):
        writer.add_hparams({"h": 1}, {"loss": 1}, **options)
    assert len(os.listdir(log_dir)) == 1


def test_a_run_that_cannot_be_made_is_told(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        Path(log_dir, "x").write_text("")
        with pytest.raises(OSError, match="x"):
            writer.add_hparams({"h": 1}, {"loss": 1}, run_name="x")


def test_no_event_is_left_behind_without_close(log_dir):
    run_script(
        """
        import os, sys, tbc
        tbc.SummaryWriter(sys.argv[1]).add_hparams({"h": 1}, {"loss": 1}, run_name="x")
        os._exit(0)
        """,
        log_dir,
    )
    assert len(read_back(os.path.join(log_dir, "x"))) == 4


def test_not_enabled(log_dir):
    tbc.SummaryWriter(log_dir, enabled=False).add_hparams({"h": object()}, None, run_name="x")
    assert not os.path.exists(log_dir)
