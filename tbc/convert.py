"""Turns what users pass into numbers and numpy arrays. It supports torch, jax and others, and imports none of them.

bfloat16 and float8, which numpy lacks, become float32, without loss, and complex32 becomes complex64. A CUDA tensor is
copied to the host.

Some tensors have no data of their own: on the meta device, fake, split over ranks, inside torch.func. `_own_data` finds
the data or raises ValueError; it never starts a collective. A masked element (numpy.ma) is NaN as a scalar. Histograms
and PR curves skip masked elements. The other kinds cannot store a gap, and raise TypeError.
"""

from __future__ import annotations

import array as array_module
import functools
import math
import numbers
import operator
import sys
from collections.abc import KeysView, Sequence, ValuesView
from typing import TYPE_CHECKING, Any

from tbc import errors

if TYPE_CHECKING:
    import numpy.typing as npt

KERNEL_DTYPES = frozenset(["f8", "f4", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"])

NO_DATA = "has no data to log"
ADVICE = {  # a class of tensors -> why one cannot be logged, and what to log instead
    "DTensor": "is split over ranks; call full_tensor() on every rank and log the result, or log to_local(), "
    "the part of this rank",
    "FakeTensor": f"{NO_DATA}, only a shape and a type; log outside of the tracing (FakeTensorMode, torch.export, ...)",
    "MaskedTensor": "hides elements; log to_tensor(value), which fills them in, or get_data()",
    "NestedTensor": "has parts of different shapes; log values(), or each tensor of unbind()",
}

_kernel_names: dict[Any, str] = {}  # dtype -> its kernel name; cached: dtype.str takes as long as the rest of the call


def scalar(value: Any, tag: Any = None, key: Any = None) -> float:
    """Return one number as a float; a masked element is NaN, as with float().

    value: what torch's writer takes: a number of Python or numpy, the text of one, an array or tensor of one element.
    tag, key: the start of messages.

    Raises NotImplementedError for other types, AssertionError for more or fewer elements than one (both as torch does),
    TypeError for a complex number, ValueError for other text and for a tensor without data.
    """
    try:
        if is_torch(value):
            tensor = _own_data(value)
            try:
                number = tensor.item()
            except RuntimeError:
                number = _only_element(_from_torch(tensor))  # item() of some layouts raises
        elif isinstance(value, (float, int)):
            return float(value)
        elif _is_masked(value):
            _one_element(value.size, value.shape)
            return math.nan
        else:
            number = value if is_number(value) else _only_element(_from_array_like(value))
        if isinstance(number, (float, int)):
            return float(number)
        if isinstance(number, numbers.Complex) and not isinstance(number, numbers.Real):
            got = f"{number!r} of type {type(number).__name__}"
            raise TypeError(f"a scalar must be a real number, got {got}")  # float(numpy's) drops the imaginary part
        try:
            return float(number)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            got = f"{number!r} of type {type(number).__name__}"
            raise kind(f"a scalar must be a number or the text of one, got {got}") from error
    except Exception as error:
        errors.name(error, tag, key)
        raise


def _only_element(array: npt.NDArray[Any]) -> Any:
    _one_element(array.size, array.shape)
    return array.item()


def parameter(value: Any, name: str) -> float:
    """Return a parameter that is a number, such as a rate, as a float. Raise TypeError with its name for others."""
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError(name)
        return scalar(value)
    except Exception:
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}") from None


def count(value: Any, name: str) -> int:
    """Return a parameter that is a whole number, such as a number of bins, as an int; 5.0 is 5.

    Raise TypeError with its name for anything else.
    """
    try:
        return int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}") from None


def array(values: Any) -> npt.NDArray[Any]:
    """Return an array of numpy, torch or jax, or a single number, as a numpy array, without a copy if possible.

    Raises NotImplementedError for other types, lists too, as torch's writer does; ValueError for a tensor without data;
    TypeError for masked elements.
    """
    return _from_torch(values) if is_torch(values) else _widened(_from_array_like(values))


def array_or_list(values: Any) -> npt.NDArray[Any]:
    """Do what `array` does, and accept sequences, for the arguments that may be sequences in torch's writer."""
    return array(listed(values))


def listed(values: Any) -> Any:
    """Return a sequence (list, tuple, range, deque, view of a dict, ...) as an array, and other objects unchanged.

    Raises ValueError for lists of different lengths.
    """
    import numpy as np

    if hasattr(values, "__array__") or not isinstance(values, (Sequence, KeysView, ValuesView, array_module.array)):
        return values
    if isinstance(values, (str, bytes, memoryview)):
        return values
    elements = [array(value) if is_torch(value) else value for value in values]
    try:
        return np.asarray(elements)
    except ValueError:
        raise ValueError(f"lists within a list must be of one length, got {values!r}") from None


def elements(values: Any, name: str) -> list[Any]:
    """Return the elements of an iterable or an array as a list. Raise TypeError with the argument's name for others."""
    if is_torch(values):
        values = array(values)
    try:
        found = values.tolist() if hasattr(values, "tolist") else list(values)
    except TypeError:
        found = None
    if not isinstance(found, list):
        raise TypeError(f"{name} must be a list, got {values!r} of type {type(values).__name__}")
    return found


def real(array: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
    """Return an array of real numbers; objects that are numbers become float64. Raise TypeError for other elements."""
    import numpy as np

    if array.dtype.kind == "O" and not any(element is None for element in array.flat):
        try:
            values = np.array(array.tolist(), np.float64)  # if the objects are lists, it has more dimensions
            return values if array.size else values.reshape(array.shape)
        except (TypeError, ValueError):
            pass
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} must be real numbers, got an array of {array.dtype}")
    return array


def kernel_array(values: Any, any_order: bool = False) -> tuple[npt.NDArray[Any], str]:
    """Return an array of a type that the kernels read, and the name of that type.

    "bfloat16" is returned as its bits, in an array of 16-bit integers. Raises what `array` raises, and TypeError if the
    values are not real numbers.

    any_order: True returns an array that is contiguous or of one dimension, without masked elements, and without a copy
    if one stride leads through all values. False keeps the shape and layout.
    """
    if is_torch(values):
        torch = sys.modules["torch"]
        tensor = _own_data(values)
        bfloat16 = tensor.dtype == torch.bfloat16 and tensor.layout == torch.strided
        bits = _from_torch(tensor.detach().view(torch.int16) if bfloat16 else tensor)
    else:
        bits = _from_array_like(values.compressed() if any_order and _is_masked(values) else values)
        bfloat16 = bits.dtype.kind == "V" and bits.dtype.name == "bfloat16"
        bits = bits.view("i2") if bfloat16 else _widened(bits)
    name = _kernel_names.get(bits.dtype)
    if name is None:
        bits = _kernel_type(bits)
        name = _kernel_names[bits.dtype] = bits.dtype.str[1:]
    if any_order and bits.ndim > 1 and not bits.flags.forc:
        order = sorted(range(bits.ndim), key=lambda axis: -abs(bits.strides[axis]))
        bits = bits.transpose(order).reshape(-1)
    return bits, "bfloat16" if bfloat16 else name


def _kernel_type(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype.str[1:] in KERNEL_DTYPES:
        return values
    if values.dtype.kind not in "fOUS":  # U and S: texts of numbers
        raise TypeError(f"values must be real numbers, got an array of {values.dtype}")
    try:
        return values.astype("f8")
    except (TypeError, ValueError) as error:
        kind = ValueError if values.dtype.kind == "O" and isinstance(error, ValueError) else TypeError
        raise kind(f"values must be real numbers, got an array of {values.dtype}: {values!r:.200}") from error


def unmasked(*arrays: Any) -> tuple[Any, ...]:
    """Return the arrays without the elements that are masked in one of them; None and single numbers unchanged.

    Raises ValueError if the shapes of arrays and masks differ.
    """
    import numpy as np

    masks = [array.mask for array in arrays if _is_masked(array)]
    if not masks:
        return arrays
    plain = [
        array if array is None else array_or_list(np.asarray(array) if _is_masked(array) else array) for array in arrays
    ]
    shapes = [mask.shape for mask in masks] + [array.shape for array in plain if array is not None and array.size != 1]
    if len(set(shapes)) > 1:
        raise ValueError(f"arrays with masked elements must be of one shape, got {shapes}")
    shown = ~np.logical_or.reduce(masks)
    return tuple(array if array is None or array.size == 1 else array[shown] for array in plain)


def integer(value: Any) -> int:
    """Return int() of a step. Raise ValueError for a tensor without data."""
    return int(_own_data(value) if is_torch(value) else value)


def tensor(values: Any) -> tuple[npt.NDArray[Any], str]:
    """Return an array as an event stores it, contiguous and little-endian, and the name of its type."""
    import numpy as np

    values = array(values)
    values = np.asarray(values, values.dtype.newbyteorder("<"), order="C")
    return values, values.dtype.str[1:]


def to_doubles(bits: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Return the result of kernel_array as a flat array of float64."""
    if dtype == "bfloat16":  # its bits are the upper half of a float32
        bits = (bits.view("u2").astype("u4") << 16).view("f4")
    return bits.astype("f8", copy=False).ravel()


def is_number(value: Any) -> bool:
    """Return whether `value` is a number, or text, which may be the text of a number."""
    return isinstance(value, (numbers.Number, str, bytes))


def is_torch(value: Any) -> bool:
    kind: Any = type(value)
    return _is_tensor(kind)


@functools.lru_cache(maxsize=256)
def _is_tensor(kind: type) -> bool:
    """Return whether a class is torch.Tensor or a subclass. Cached by class: torch's isinstance check is slow."""
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)  # another thread may be importing torch
    return tensor is not None and issubclass(kind, tensor)


@functools.lru_cache(maxsize=256)
def _is_wrapper(kind: type) -> bool:
    """Return whether a class implements torch's operations itself; its tensors may keep the values in other tensors."""
    dispatch: Any = getattr(kind, "__torch_dispatch__", None)
    return dispatch is not sys.modules["torch"].Tensor.__torch_dispatch__


def _own_data(tensor: Any) -> Any:
    """Return the tensor that holds the values: usually `tensor`; for a DTensor that each rank has whole, the local one.

    Raises ValueError for a tensor without data of its own, and says what to log instead.
    """
    if tensor.is_meta:
        raise ValueError(f"a tensor on the meta device {NO_DATA} (shape {tuple(tensor.shape)})")
    if getattr(sys.modules["torch"]._C, "_len_torch_dispatch_stack", int)():
        tensor = tensor.detach()  # applies an active mode: FakeTensorMode makes a tensor without data of it
    kind: Any = type(tensor)
    if not _is_wrapper(kind):
        return tensor
    if hasattr(tensor, "trigger_wait"):  # the result of a collective that every rank has started
        return tensor.trigger_wait()
    if hasattr(tensor, "full_tensor") and all(placement.is_replicate() for placement in tensor.placements):
        return _own_data(tensor.to_local())
    for base in kind.__mro__:
        if base.__name__ in ADVICE:
            placements = f" of placements {tensor.placements}" if hasattr(tensor, "placements") else ""
            raise ValueError(f"a {base.__name__}{placements} {ADVICE[base.__name__]}")
    return tensor


def _from_torch(tensor: Any) -> npt.NDArray[Any]:
    tensor = _own_data(tensor)
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    name = str(tensor.dtype)
    if name.startswith(("torch.bfloat16", "torch.float8")):
        tensor = tensor.float()
    elif name == "torch.complex32":
        tensor = tensor.cfloat()
    if tensor.layout != sys.modules["torch"].strided:  # after float(): torch cannot make float8 dense
        tensor = tensor.to_dense()
    tensor = tensor if tensor.is_cpu else tensor.cpu()
    if not _has_memory(tensor):
        raise ValueError(_why_unreadable(tensor))
    values: npt.NDArray[Any] = tensor.numpy(force=True)  # with or without gradients
    return values


def _has_memory(tensor: Any) -> bool:
    """Return whether a dense tensor on the CPU has its values at data_ptr(), where numpy reads them."""
    try:
        return not tensor.is_nested and (tensor.data_ptr() != 0 or tensor.numel() == 0)
    except RuntimeError:  # inside vmap and grad
        return False


def _why_unreadable(tensor: Any) -> str:
    if tensor.is_nested:
        return f"a nested tensor {ADVICE['NestedTensor']}"
    kind: Any = type(tensor)
    if _is_wrapper(kind):
        return f"a {kind.__name__} {NO_DATA} of its own; log the tensors that it wraps"
    return f"a tensor inside vmap, grad or another transform of torch.func {NO_DATA}; log what the transform returns"


def _from_array_like(values: Any) -> npt.NDArray[Any]:
    import numpy as np

    if isinstance(values, np.ndarray):
        if type(values) is not np.ndarray and _is_masked(values):
            raise TypeError("masked elements cannot be logged here; fill them in with filled(value)")
        return np.asarray(values)  # no subclass: np.matrix, for example, always keeps two dimensions
    if is_number(values):
        return np.array([values])
    if hasattr(values, "__array__") or isinstance(values, memoryview):
        return np.asarray(values)
    if hasattr(values, "__dlpack__"):
        return np.from_dlpack(values)
    got = f"{values!r:.200} of type {type(values).__name__}"
    raise NotImplementedError(f"a value must be a number, a numpy array or a torch tensor, got {got}")


def _is_masked(values: Any) -> bool:
    """Return whether a mask of numpy.ma hides an element."""
    ma: Any = sys.modules.get("numpy.ma")
    return ma is not None and isinstance(values, ma.MaskedArray) and bool(ma.is_masked(values))


def _widened(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert types of ml_dtypes (jax's bfloat16, float8, ...) to float32 or complex64, and no others."""
    if values.dtype.isbuiltin != 2:  # 2: a type that a package has registered with numpy
        return values
    return values.astype("c8" if values.dtype.name.endswith("complex32") else "f4")


def _one_element(size: int, shape: Any) -> None:
    if size != 1:
        raise AssertionError(f"a scalar must have one element, got an array of shape {tuple(shape)}")
