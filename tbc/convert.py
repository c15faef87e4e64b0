"""What users pass, as numbers and arrays. The only file that knows torch, jax and the rest; it imports none of them.

bfloat16 and float8, which numpy lacks, become float32, exactly; a CUDA tensor is copied to the host.
"""

from __future__ import annotations

import numbers
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

KERNEL_DTYPES = frozenset(["f8", "f4", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"])


def scalar(value: Any) -> float:
    """One number as a float.

    Takes what torch's writer takes: numbers of Python and numpy, strings of numbers, arrays and tensors of one element.
    Raises NotImplementedError for other types, AssertionError for more or fewer elements than one (both as torch does),
    TypeError for a complex number, ValueError for a string that is no number and for a tensor without data.
    """
    if isinstance(value, (numbers.Number, str, bytes)):
        return float(value)  # type: ignore[arg-type]
    if is_torch(value):
        _one_element(value.numel(), value.shape)
        return float(_with_data(value).item())
    if hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
        elements = array(value)
        _one_element(elements.size, elements.shape)
        return float(elements.item())
    raise _not_an_array(value)


def array(values: Any) -> npt.NDArray[Any]:
    """A numpy array, not copied if that can be. Takes arrays of numpy, torch, jax, and single numbers.

    Raises NotImplementedError for other types, lists too, as torch's writer does; ValueError for a tensor without data.
    """
    import numpy as np

    if is_torch(values):
        return _from_torch(values)
    if isinstance(values, (numbers.Number, str, bytes)):
        return np.array([values])
    if hasattr(values, "__array__"):
        return _numpy_float(np.asarray(values))
    if hasattr(values, "__dlpack__"):
        return np.from_dlpack(values)
    raise _not_an_array(values)


def kernel_array(values: Any) -> tuple[npt.NDArray[Any], str]:
    """An array in one of the types the kernels read and a layout they can walk, and the name of the type.

    "bfloat16" comes as its bits, in an array of uint16. Raises as `array`, and TypeError if the values are not real.
    """
    import numpy as np

    if is_torch(values) and values.dtype == sys.modules["torch"].bfloat16:
        bits, dtype = _from_torch(values.detach().view(sys.modules["torch"].int16)), "bfloat16"
    elif getattr(getattr(values, "dtype", None), "name", None) == "bfloat16" and hasattr(values, "__array__"):
        bits, dtype = np.asarray(values).view(np.uint16), "bfloat16"
    else:
        bits = array(values)
        if not bits.dtype.isnative:
            bits = bits.astype(bits.dtype.newbyteorder("="))
        if bits.dtype.str[1:] not in KERNEL_DTYPES:
            if bits.dtype.kind not in "fO":
                raise TypeError(f"a histogram needs real numbers, got an array of {bits.dtype}")
            bits = bits.astype(np.float64)
        dtype = bits.dtype.str[1:]
    if bits.ndim > 1 and not bits.flags.forc:
        bits = bits.ravel()
    return bits, dtype


def is_torch(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _with_data(tensor: Any) -> Any:
    if tensor.is_meta:
        raise ValueError(f"a tensor on the meta device has no data to log (shape {tuple(tensor.shape)})")
    return tensor


def _from_torch(tensor: Any) -> npt.NDArray[Any]:
    tensor = _with_data(tensor).detach()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout != sys.modules["torch"].strided:
        tensor = tensor.to_dense()
    if str(tensor.dtype).startswith(("torch.bfloat16", "torch.float8")):
        tensor = tensor.float()
    values: npt.NDArray[Any] = tensor.cpu().resolve_conj().resolve_neg().numpy()
    return values


def _numpy_float(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """ml_dtypes gives numpy the small floats of jax, as types that numpy cannot compute with."""
    import numpy as np

    if values.dtype.kind == "V" or values.dtype.name.startswith(("bfloat16", "float8")):
        return values.astype(np.float32)
    return values


def _one_element(size: int, shape: Any) -> None:
    if size != 1:
        raise AssertionError(f"a scalar has one element, got an array of shape {tuple(shape)}")


def _not_an_array(value: Any) -> NotImplementedError:
    return NotImplementedError(f"got {type(value).__name__}, but a number, a numpy array or a torch tensor is expected")
