"""Tensors without data of their own (sharded, fake, on the meta device, inside torch.func), and masked arrays."""

import math
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.oracle import only_value, read_back, same_float

import tbc
import tbc.summary

torch = pytest.importorskip("torch")
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402

KINDS = {  # each with the shape that it accepts
    "scalar": ((), lambda w, x: w.add_scalar("x", x)),
    "step": ((), lambda w, x: w.add_scalar("x", 1, x)),
    "scalars": ((), lambda w, x: w.add_scalars("x", {"a": x})),
    "scalars of one run": ((), lambda w, x: w.add_scalars("x", {"a": x}, separate_runs=False)),
    "metrics": ((), lambda w, x: w.add_metrics({"x": x})),
    "hparams": ((), lambda w, x: w.add_hparams({"a": 1}, {"x": x})),
    "histogram": ((4, 3), lambda w, x: w.add_histogram("x", x)),
    "histogram of bfloat16": ((4, 3), lambda w, x: w.add_histogram("x", x.bfloat16())),
    "histogram of 5 bins": ((4, 3), lambda w, x: w.add_histogram("x", x, bins=5)),
    "tensor": ((4, 3), lambda w, x: w.add_tensor("x", x)),
    "image": ((3, 4, 4), lambda w, x: w.add_image("x", x)),
    "images": ((2, 3, 4, 4), lambda w, x: w.add_images("x", x)),
    "video": ((1, 2, 3, 4, 4), lambda w, x: w.add_video("x", x)),
    "audio": ((1, 8), lambda w, x: w.add_audio("x", x)),
    "PR curve": ((8,), lambda w, x: w.add_pr_curve("x", torch.ones(8), x)),
    "mesh": ((1, 4, 3), lambda w, x: w.add_mesh("x", x)),
    "embedding": ((4, 3), lambda w, x: w.add_embedding(x)),
    "labels of an embedding": ((4,), lambda w, x: w.add_embedding(np.ones((4, 3)), x)),
}


def logged(log_dir, add, value):
    """Return what the directory has after a call."""
    with tbc.SummaryWriter(log_dir) as writer:
        add(writer, value)
    files = {path: path.read_bytes() for path in log_dir.rglob("*.*sv")}
    values = [value.SerializeToString() for event in read_back(log_dir) for value in event.summary.value]
    return values, [files[path] for path in sorted(files)]


@pytest.fixture
def writer(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        yield writer


# --- tensors ---


def fake(value):
    return FakeTensorMode().from_tensor(value)


def on_meta(value):
    return value.to("meta")


@pytest.mark.parametrize("unreal", [fake, on_meta])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_without_data_is_refused_by_every_kind(kind, unreal, writer, log_dir):
    shape, add = KINDS[kind]
    with pytest.raises(ValueError, match=r"has no data to log"):
        add(writer, unreal(torch.ones(shape)))
    writer.flush()
    assert read_back(log_dir) == []
    assert not list(Path(log_dir).rglob("*.tsv"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("step", "scalars of one run")])
def test_a_real_tensor_under_a_fake_mode_is_refused(kind, writer, log_dir):
    """Operations there give tensors without data. tbc once made a histogram of foreign memory from one."""
    shape, add = KINDS[kind]
    value = torch.ones(shape)
    with FakeTensorMode(allow_non_fake_inputs=True), pytest.raises(ValueError, match="FakeTensor has no data to log"):
        add(writer, value)
    writer.flush()
    assert read_back(log_dir) == []


@pytest.mark.parametrize(
    "transform", [torch.func.vmap, torch.func.grad, torch.func.functionalize], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("kind", ["histogram", "histogram of bfloat16", "tensor", "image", "PR curve", "embedding"])
def test_arrays_inside_torch_func_are_refused(kind, transform, writer):
    shape, add = KINDS[kind]

    def inside(x):
        with pytest.raises(ValueError, match=r"torch\.func"):
            add(writer, x)
        return x.sum()

    transform(inside)(torch.ones((2, *shape) if transform is torch.func.vmap else shape))


def test_numbers_inside_torch_func(writer, log_dir):
    """torch knows the value inside grad, but not inside vmap."""

    def in_grad(x):
        writer.add_scalar("x", x.sum(), x.sum())
        return x.sum()

    def in_vmap(x):
        with pytest.raises(ValueError, match=r"torch\.func"):
            writer.add_scalar("x", x.sum())
        return x.sum()

    torch.func.grad(in_grad)(torch.ones(3))
    torch.func.vmap(in_vmap)(torch.ones(2, 3))
    writer.flush()
    (event,) = read_back(log_dir)
    assert (event.step, event.summary.value[0].simple_value) == (3, 3)


def test_nested_tensors_are_refused(writer):
    parts = [torch.ones(2), torch.ones(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they are prototypes
        nested = [torch.nested.nested_tensor(parts, layout=layout) for layout in (torch.strided, torch.jagged)]
    for tensor in nested:
        for kind in ("scalar", "histogram", "tensor"):
            with pytest.raises(ValueError, match=r"log values\(\), or each tensor of unbind\(\)"):
                KINDS[kind][1](writer, tensor)
    writer.add_histogram("x", nested[1].values())


def test_masked_tensors_of_torch_are_refused(writer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they are prototypes
        masked = torch.masked.masked_tensor(torch.tensor([1.0, 2]), torch.tensor([True, False]))
        for kind in ("scalar", "histogram", "tensor"):
            with pytest.raises(ValueError, match="MaskedTensor hides elements"):
                KINDS[kind][1](writer, masked)


def test_a_wrapper_is_refused_as_an_array_and_asked_for_its_number(writer, log_dir):
    two_tensor = pytest.importorskip("torch.testing._internal.two_tensor")
    wrapper = two_tensor.TwoTensor(torch.ones(3), torch.ones(3))
    with pytest.raises(ValueError, match="a TwoTensor has no data to log of its own; log the tensors that it wraps"):
        writer.add_histogram("x", wrapper)
    writer.add_scalar("x", wrapper.sum())
    writer.flush()
    assert only_value(log_dir)[1].simple_value == 3


class Subclass(torch.Tensor):
    """A subclass with data of its own, as in fastai, MONAI and torchvision."""


def test_a_subclass_with_data_is_logged_as_a_tensor(tmp_path):
    for kind, (shape, add) in KINDS.items():
        value = torch.rand(shape)
        want = logged(tmp_path / kind / "plain", add, value)
        assert logged(tmp_path / kind / "subclass", add, value.as_subclass(Subclass)) == want, kind


def test_a_mode_of_torch_that_changes_nothing(tmp_path):
    from torch.utils._python_dispatch import TorchDispatchMode

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **kwargs or {})

    for kind, (shape, add) in KINDS.items():
        value = torch.rand(shape)
        want = logged(tmp_path / kind / "plain", add, value)
        with Mode():
            assert logged(tmp_path / kind / "mode", add, value) == want, kind


def test_summary_functions_refuse_them_too():
    for make in (tbc.summary.scalar, tbc.summary.tensor_proto, tbc.summary.image):
        with pytest.raises(ValueError, match="has no data to log"):
            make("x", torch.ones(1, 3, 4, 4, device="meta"))


def two_processes(tmp_path, code):
    """Run `code` as two ranks of a gloo group; return what each printed."""
    prologue = """
        import os, sys, warnings
        import numpy as np, torch, torch.distributed as dist
        import tbc
        from tbc.reader import load_scalars
        rank, rendezvous, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
        dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
        from torch.distributed.device_mesh import init_device_mesh
        mesh = init_device_mesh("cpu", (2,))
        def refused(add, *arguments):
            try:
                add(*arguments)
            except ValueError as error:
                if add.__name__ != "add_hparams":  # its message names the hyperparameter, not the tag
                    assert "call full_tensor() on every rank" in str(error), error
                return
            raise AssertionError("logged")
        """
    epilogue = """
        dist.barrier()
        dist.destroy_process_group()
        print("ok")
        """
    program = tmp_path / "program.py"
    program.write_text("".join(map(textwrap.dedent, (prologue, code, epilogue))))
    ranks = [
        subprocess.Popen(
            [sys.executable, program, str(rank), tmp_path / "rendezvous", tmp_path / f"rank{rank}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        output = [process.communicate(timeout=120)[0] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert all(text.endswith("ok\n") for text in output), "\n".join(output)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_tensors_that_are_split_over_ranks(tmp_path):
    """Only rank 0 logs, so a collective operation would wait for ever."""
    two_processes(
        tmp_path,
        """
        from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
        whole = torch.arange(8.0).reshape(4, 2)
        shard = distribute_tensor(whole, mesh, [Shard(0)])
        copy = distribute_tensor(whole, mesh, [Replicate()])
        total = copy.sum()
        if rank == 0:
            writer = tbc.SummaryWriter(out)
            local = DTensor.from_local(torch.tensor(1.0), mesh, [Partial()])
            for value in (shard.sum(), shard.mean(), shard.max(), shard.norm(), local):
                refused(writer.add_scalar, "x", value)
                refused(writer.add_scalar, "x", 1, value)
                refused(writer.add_scalars, "x", {"a": value})
                refused(writer.add_metrics, {"x": value})
                refused(writer.add_hparams, {"a": value}, {})
            refused(writer.add_histogram, "x", shard)
            refused(writer.add_histogram, "x", shard, 0, 5)
            refused(writer.add_tensor, "x", shard)
            refused(writer.add_embedding, shard)
            refused(writer.add_pr_curve, "x", shard, shard)
            refused(tbc.summary.scalar, "x", shard.sum())
            for value in (total, copy.mean(), copy.max()):
                writer.add_scalar("x", value)
            for value in (whole, copy, copy.bfloat16(), copy.requires_grad_()):
                writer.add_histogram("h", value)
                writer.add_tensor("t", value)
            writer.close()
            assert load_scalars(out)["x"].value.tolist() == [28, 3.5, 7]
            from tbc.reader import load_runs
            values = load_runs(out)["."].values
            assert len({str(histogram) for histogram in values["histogram"]["h"]}) == 1
            assert all((np.asarray(tensor) == whole.numpy()).all() for tensor in values["tensor"]["t"])
        """,
    )


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_fsdp_and_tensor_parallelism(tmp_path):
    two_processes(
        tmp_path,
        """
        from torch import nn
        try:
            from torch.distributed.fsdp import fully_shard
        except ImportError:  # torch before 2.6
            from torch.distributed._composable.fsdp import fully_shard
        from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
        import torch.distributed._functional_collectives as collectives

        writer = tbc.SummaryWriter(out)
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        for make in (
            lambda net: parallelize_module(net, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()}),
            lambda net: fully_shard(net, mesh=mesh) and net,
        ):
            net = make(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
            loss = net(torch.ones(3, 4)).square().mean()
            loss.backward()
            writer.add_scalar("loss", loss)
            for name, parameter in net.named_parameters():
                if any(not placement.is_replicate() for placement in getattr(parameter, "placements", ())):
                    refused(writer.add_histogram, name, parameter)
                    refused(writer.add_histogram, name, parameter.grad)
                    writer.add_histogram(name, parameter.full_tensor())
                    writer.add_histogram(name + "/part", parameter.to_local())
        norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        if norm.placements[0].is_replicate():  # as in torch 2.13
            writer.add_scalar("norm", norm)
        else:
            refused(writer.add_scalar, "norm", norm)
            writer.add_scalar("norm", norm.full_tensor())
        writer.add_scalar("reduced", collectives.all_reduce(torch.ones(()), "sum", mesh))
        writer.add_tensor("reduced", collectives.all_reduce(torch.ones(3), "sum", mesh))
        writer.close()
        assert load_scalars(out)["reduced"].value.tolist() == [2]
        assert load_scalars(out)["norm"].value.tolist() == [norm.full_tensor().item()]
        """,
    )


# --- masks of numpy ---

MASKED = np.ma.array([0.25, 0.5, 999.0], mask=[False, False, True])
SHOWN = np.array([0.25, 0.5])


@pytest.mark.parametrize(
    "value",
    [np.ma.masked, MASKED[2], np.ma.array([7.0], mask=[True]), np.ma.array(7, mask=True)]
    + [np.ma.masked_invalid([np.nan, np.nan]).mean()],
)
def test_a_masked_number_is_nan(value, log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalar("x", value)
        writer.add_metrics({"x": value})
        writer.add_scalars("x", {"a": value}, separate_runs=False)
    assert [math.isnan(event.summary.value[0].simple_value) for event in read_back(log_dir)] == [True] * 3
    assert same_float(tbc.summary.scalar("x", value).value[0].simple_value, math.nan)


def test_a_number_of_an_array_with_masks_that_is_shown(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalar("x", MASKED[1])
        writer.add_scalar("x", np.ma.array([2.5], mask=[False]))
        with pytest.raises(AssertionError):
            writer.add_scalar("x", MASKED)
    assert [event.summary.value[0].simple_value for event in read_back(log_dir)] == [0.5, 2.5]


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "u1"])
@pytest.mark.parametrize("arguments", [{}, {"bins": 5}, {"bins": "auto"}, {"bins": [0.0, 400, 900]}, {"max_bins": 3}])
def test_a_histogram_leaves_out_what_is_masked(arguments, dtype, tmp_path):
    values = np.ma.array(np.array([100, 200, 50, 120]).astype(dtype), mask=[0, 0, 0, 1])

    def add(writer, values):
        writer.add_histogram("x", values, **arguments)

    want = logged(tmp_path / "shown", add, values.compressed())
    assert logged(tmp_path / "masked", add, values) == want
    assert logged(tmp_path / "two dimensions", add, values.reshape(2, 2)) == want
    assert logged(tmp_path / "no mask", add, np.ma.array(values.compressed())) == want


def test_a_histogram_of_nothing_but_masked_values_is_refused(writer):
    with pytest.raises(ValueError, match="at least one value"):
        writer.add_histogram("x", np.ma.array([1.0], mask=[True]))


def test_a_pr_curve_leaves_out_what_is_masked(tmp_path):
    labels, predictions = np.array([0, 1, 1, 0]), np.array([0.25, 0.5, 0.75, 0.5])
    weights = np.array([1.0, 2, 3, 4])
    hide = [[0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]
    left = np.array([0, 2])

    def add(writer, arrays):
        writer.add_pr_curve("x", arrays[0], arrays[1], weights=arrays[2])

    want = logged(tmp_path / "shown", add, [array[left] for array in (labels, predictions, weights)])
    masked = [np.ma.array(array, mask=mask) for array, mask in zip((labels, predictions, weights), hide, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert logged(tmp_path / "masked", add, masked) == want
        matrices = [array.reshape(2, 2) for array in masked]
        assert logged(tmp_path / "matrices", add, matrices) == want
    one = [torch.from_numpy(labels), np.ma.array(predictions, mask=[0, 1, 0, 1]), 0.5]
    want = logged(tmp_path / "one shown", add, [labels[left], predictions[left], 0.5])
    assert logged(tmp_path / "one masked", add, one) == want
    with pytest.raises(ValueError, match="must be of one shape"):
        add(tbc.SummaryWriter(tmp_path), [labels[:3], masked[1], 1.0])


@pytest.mark.parametrize("kind", ["tensor", "image", "images", "video", "audio", "mesh", "embedding"])
def test_other_kinds_refuse_what_is_masked(kind, writer, log_dir):
    shape, add = KINDS[kind]
    values = np.ma.array(np.ones(shape), mask=np.zeros(shape))
    values[(0,) * len(shape)] = np.ma.masked
    with pytest.raises(TypeError, match=r"masked.*filled\(value\)"):
        add(writer, values)
    writer.flush()
    assert read_back(log_dir) == []
    add(writer, values.filled(0))


def test_missing_values_of_pandas(tmp_path):
    pandas = pytest.importorskip("pandas")
    missing = pandas.Series([1, None, 3], dtype="Int64")

    def add(writer, values):
        writer.add_histogram("x", values)

    with pytest.warns(UserWarning, match="1 values are not finite"):
        want = logged(tmp_path / "NaN", add, np.array([1, np.nan, 3]))
    for name, values in (("series", missing), ("array", missing.array)):
        with pytest.warns(UserWarning, match="1 values are not finite"):
            assert logged(tmp_path / name, add, values) == want
    assert logged(tmp_path / "all there", add, missing.dropna()) == logged(tmp_path / "plain", add, np.array([1, 3]))
