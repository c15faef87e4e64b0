"""What users pass, as numbers and arrays. It knows torch, jax and the rest, and imports none of them.

bfloat16 and float8, which numpy lacks, become float32, exactly (complex32 becomes complex64); a CUDA tensor is copied
to the host.
"""

from __future__ import annotations

import functools
import numbers
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

KERNEL_DTYPES = frozenset(["f8", "f4", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"])

_kernel_names: dict[Any, str] = {}  # of the dtypes seen so far: dtype.str takes as long as the rest of the call


def scalar(value: Any) -> float:
    """One number as a float.

    Takes what torch's writer takes: numbers of Python and numpy, strings of numbers, arrays and tensors of one element.
    Raises NotImplementedError for other types, AssertionError for more or fewer elements than one (both as torch does),
    TypeError for a complex number, ValueError for a string that is no number and for a tensor without data.
    """
    if is_torch(value):
        try:
            return float(value.item())
        except RuntimeError:
            _one_element(value.numel(), value.shape)
            return float(_from_torch(value).item())  # of other layouts
    if isinstance(value, (float, int)):
        return float(value)
    if is_number(value):
        if isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real):
            raise TypeError(f"a scalar is a real number, got {value!r}")  # float() of numpy's drops the imaginary part
        return float(value)
    elements = _from_array_like(value)
    _one_element(elements.size, elements.shape)
    return float(elements.item())


def array(values: Any) -> npt.NDArray[Any]:
    """A numpy array, not copied if that can be. Takes arrays of numpy, torch, jax, and single numbers.

    Raises NotImplementedError for other types, lists too, as torch's writer does; ValueError for a tensor without data.
    """
    return _from_torch(values) if is_torch(values) else _widened(_from_array_like(values))


def array_or_list(values: Any) -> npt.NDArray[Any]:
    """As `array`, and lists and tuples too, for the arguments that torch's writer takes them for."""
    import numpy as np

    if not isinstance(values, (list, tuple)):
        return array(values)
    if any(map(_is_tensor, set(map(type, values)))):
        values = [array(value) if is_torch(value) else value for value in values]
    return np.asarray(values)


def kernel_array(values: Any, any_order: bool = False) -> tuple[npt.NDArray[Any], str]:
    """An array in one of the types the kernels read, and the name of the type.

    With any_order it is contiguous or of one dimension, which takes no copy wherever one stride leads through all the
    values; else its shape and layout are as they came. "bfloat16" comes as its bits, in an array of 16-bit integers.
    Raises as `array`, and TypeError if the values are not real numbers.
    """
    if is_torch(values):
        torch = sys.modules["torch"]
        bfloat16 = values.dtype == torch.bfloat16 and values.layout == torch.strided
        bits = _from_torch(_with_data(values).detach().view(torch.int16) if bfloat16 else values)
    else:
        bits = _from_array_like(values)
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
    if values.dtype.kind not in "fO":
        raise TypeError(f"real numbers are needed, got an array of {values.dtype}")
    return values.astype("f8")


def tensor(values: Any) -> tuple[npt.NDArray[Any], str]:
    """An array as an event holds it, contiguous and little-endian, and the name of its type."""
    import numpy as np

    values = array(values)
    values = np.asarray(values, values.dtype.newbyteorder("<"), order="C")
    return values, values.dtype.str[1:]


def to_doubles(bits: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """What kernel_array gives, as a flat array of float64."""
    if dtype == "bfloat16":  # the upper half of a float32
        bits = (bits.view("u2").astype("u4") << 16).view("f4")
    return bits.astype("f8", copy=False).ravel()


def is_number(value: Any) -> bool:
    """Numbers, and strings, which may be numbers."""
    return isinstance(value, (numbers.Number, str, bytes))


def is_torch(value: Any) -> bool:
    kind: Any = type(value)
    return _is_tensor(kind)


@functools.lru_cache(maxsize=256)
def _is_tensor(kind: type) -> bool:
    """What a type is, it stays; to remember it is faster than isinstance, for which torch has a function of its own."""
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)  # another thread may be importing it
    return tensor is not None and issubclass(kind, tensor)


def _with_data(tensor: Any) -> Any:
    if tensor.is_meta:
        raise ValueError(f"a tensor on the meta device has no data to log (shape {tuple(tensor.shape)})")
    return tensor


def _from_torch(tensor: Any) -> npt.NDArray[Any]:
    if _with_data(tensor).is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout != sys.modules["torch"].strided:
        tensor = tensor.to_dense()
    name = str(tensor.dtype)
    if name.startswith(("torch.bfloat16", "torch.float8")):
        tensor = tensor.float()
    elif name == "torch.complex32":
        tensor = tensor.cfloat()
    values: npt.NDArray[Any] = tensor.numpy(force=True)  # of any device, with or without gradients
    return values


def _from_array_like(values: Any) -> npt.NDArray[Any]:
    import numpy as np

    if isinstance(values, np.ndarray):
        return np.asarray(values)  # plain: a matrix, for one, keeps two dimensions whatever is done to it
    if is_number(values):
        return np.array([values])
    if hasattr(values, "__array__"):
        return np.asarray(values)
    if hasattr(values, "__dlpack__"):
        return np.from_dlpack(values)
    raise NotImplementedError(f"got {type(values).__name__}, but a number, a numpy array or a torch tensor is expected")


def _widened(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """ml_dtypes brings the small numbers of jax to numpy, as types that are registered (2), not built in."""
    if values.dtype.isbuiltin != 2:
        return values
    return values.astype("c8" if values.dtype.name.endswith("complex32") else "f4")


def _one_element(size: int, shape: Any) -> None:
    if size != 1:
        raise AssertionError(f"a scalar has one element, got an array of shape {tuple(shape)}")
