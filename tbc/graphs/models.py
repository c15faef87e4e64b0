"""Choose how to get the graph of a torch model, and restore the model's state afterwards."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_map_only

from tbc import dynamo
from tbc.graphs import recorded, traced

Call = tuple[tuple[Any, ...], dict[str, Any]]
SAVED = 64 << 20  # bytes of buffers and inputs that are copied, at most


@dynamo.untraced
def nodes(model: Any, inputs: Any, verbose: bool, strict: bool) -> tuple[list[Any], str]:
    """Return the NodeDef messages of a model, and the error that kept out its operations, or "".

    model: a Module, a ScriptModule or a ScriptFunction. inputs: see SummaryWriter.add_graph.
    verbose: print the traced graph, or why there is none. strict: passed to torch.jit.trace.

    Raises TypeError if the inputs do not fit the model's forward(), and what forward() raises. A model on the meta
    device may not be able to run: its error is returned, not raised.
    """
    if isinstance(model, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        return traced.nodes(model.inlined_graph, model, verbose), ""
    model = getattr(model, "_orig_mod", model)  # the model before torch.compile, since compiled calls cannot be seen
    if inputs is None:
        return recorded.outline(model), ""
    is_meta = any(tensor.is_meta for tensor in chain(model.parameters(), model.buffers()))
    calls = _calls(model, inputs)
    if is_meta:
        calls += _calls(model, tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta"), inputs))
    trace = partial(traced.trace, verbose=verbose, strict=strict)
    failure = ""
    for route in (trace, recorded.record):
        for args, kwargs in calls:
            try:
                with _untouched(model, inputs):
                    return route(model, args, kwargs), ""
            except Exception as error:
                failure = f"{type(error).__name__}: {error}".partition("\n")[0]
                if verbose:
                    print(failure)
    if not is_meta:
        args, kwargs = calls[-1]
        with _untouched(model, inputs):
            model(*args, **kwargs)  # raises the model's error; without one, only the recording failed
    return recorded.outline(model), failure


def _calls(model: Any, inputs: Any) -> list[Call]:
    """Return the (args, kwargs) to call the model with, in the order to try them. Raises TypeError if none fits.

    As in torch's writer, a tuple or list holds the arguments, and any other object is the only argument. Unlike in
    torch's writer, a list may also be the only argument, and a mapping may hold the keywords.
    """
    calls: list[Call] = [] if type(inputs) is tuple else [((inputs,), {})]
    if isinstance(inputs, Mapping):
        calls.append(((), dict(inputs)))
    elif isinstance(inputs, (list, tuple)):
        calls.insert(0, (tuple(inputs), {}))
    misfits = [_misfit(model, call) for call in calls]
    fitting = [call for call, misfit in zip(calls, misfits, strict=True) if not misfit]
    if not fitting:
        raise TypeError(f"input_to_model does not fit the forward() of {type(model).__name__}: {misfits[0]}")
    return fitting if isinstance(inputs, Mapping) else fitting[:1]


def _misfit(model: Any, call: Call) -> str:
    """Return why forward() does not accept this call, or "" if it may."""
    args, kwargs = call
    with suppress(ValueError):  # forward() may have no signature
        try:
            inspect.signature(model.forward).bind(*args, **kwargs)
        except TypeError as error:
            return str(error)
    return ""


@contextmanager
def _untouched(model: Any, inputs: Any) -> Iterator[None]:
    """Set the model to evaluation mode, as torch's writer does. At the end, restore the mode, attributes, parameters
    and buffers of each module, the content of buffers and inputs (see `_saved`), and the random generators."""
    modes = [(module, module.training) for module in model.modules()]
    contents = [*model.buffers(), *(tensor for _, tensor in recorded.tensors(inputs))]
    restores = [_keep_attributes(module) for module, _ in modes if not isinstance(module, torch.jit.ScriptModule)]
    restores += map(_keep_content, _saved(contents))
    restores += [partial(random.setstate, random.getstate()), partial(np.random.set_state, np.random.get_state())]
    devices = {tensor.device for tensor in chain(model.parameters(), contents) if tensor.is_cuda}
    try:
        with torch.random.fork_rng(devices):
            model.eval()
            yield
    finally:
        for module, mode in modes:
            if module.training != mode:
                module.train(mode)  # not an assignment: some classes override train() to do more
        for restore in restores:
            restore()


def _keep_attributes(module: torch.nn.Module) -> Callable[[], None]:
    """Return a function that restores the module's attributes, parameters and buffers.

    The function does nothing if the module has changed its class or the names of its parameters or modules, as a
    LazyLinear does in its first run.
    """
    parts, attributes = _parts(module), dict(vars(module))
    parameters, buffers = dict(module._parameters), dict(module._buffers)

    def restore() -> None:
        if _parts(module) == parts:
            for name in vars(module).keys() - attributes.keys():
                del vars(module)[name]
            vars(module).update(attributes)
            module._parameters.update(parameters)
            module._buffers.clear()
            module._buffers.update(buffers)

    return restore


def _parts(module: torch.nn.Module) -> tuple[Any, ...]:
    return type(module), *module._parameters, *module._modules


def _keep_content(tensor: torch.Tensor) -> Callable[[], None]:
    """Return a function that restores the tensor's content if it has changed; a new shape stays."""
    content = tensor.detach().clone()

    def restore() -> None:
        if tensor.shape == content.shape and not torch.equal(_bytes(tensor), _bytes(content)):
            tensor.data.copy_(content)  # `data`, since autograd counts writes to the tensor itself

    return restore


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    """Return the content as bytes: torch.equal would find NaN unequal to NaN."""
    plain = torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)  # contiguous, so that view() works
    return plain.copy_(tensor.detach()).flatten().view(torch.uint8)


def _saved(tensors: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Yield the smallest tensors, SAVED bytes at most in all: some buffers hold weights, too large to copy."""
    room = SAVED
    for tensor in sorted(filter(_is_plain, tensors), key=lambda tensor: tensor.nbytes):
        room -= tensor.nbytes
        if room >= 0:
            yield tensor


def _is_plain(tensor: torch.Tensor) -> bool:
    """Return whether the tensor's elements can be copied and compared."""
    odd = tensor.is_meta or tensor.is_quantized or tensor.is_nested
    return type(tensor) is torch.Tensor and not odd and tensor.layout == torch.strided
