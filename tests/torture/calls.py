"""Draw random calls of a SummaryWriter, odd and wrong ones too, as source code.

Source code has three advantages: each writer evaluates it to fresh objects, hypothesis can shorten it, and a sequence
of calls that fails can be printed as a program. The options of each choice begin with the simplest one.
"""

import functools
import inspect
import math
import random
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from torch.utils.tensorboard import SummaryWriter as TorchWriter

IMPORTS = """\
import fractions
from decimal import Decimal
from math import inf, nan
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from tensorboard.compat.proto.config_pb2 import RunMetadata
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.summary_pb2 import Summary
"""

NAMESPACE = {"call": lambda *arguments, **keywords: (arguments, keywords)}
with np.errstate(all="ignore"):
    exec("import matplotlib\nmatplotlib.use('agg')\n" + IMPORTS, NAMESPACE)


@dataclass(frozen=True)
class Call:
    method: str  # with dots: "file_writer.add_summary"
    arguments: str  # as in "writer.add_scalar(<arguments>)"

    def __str__(self):
        return f"writer.{self.method}({self.arguments})"

    def evaluate(self):
        """Return (method, arguments, keywords), with fresh objects."""
        return self.method, *eval(f"call({self.arguments})", NAMESPACE)


@dataclass(frozen=True)
class Sequence:
    options: str  # of the constructor
    calls: tuple  # of Call

    def program(self):
        """Return a program that makes these calls on both writers, and prints what each one raises and logs."""
        calls = "".join(f"        lambda: {call},\n" for call in self.calls)
        return (
            f"import os\nimport tempfile\n{IMPORTS}from torch.utils.tensorboard import SummaryWriter\n\n"
            "import tbc\nfrom tbc.reader.__main__ import main\n\n"
            "for writer_class in (SummaryWriter, tbc.SummaryWriter):\n"
            '    print(f"--- {writer_class.__module__}")\n'
            "    os.chdir(tempfile.mkdtemp())\n"
            f"    writer = writer_class({self.options})\n"
            f"    for call in [\n{calls}        lambda: writer.close(),\n    ]:\n"
            "        try:\n            call()\n"
            "        except Exception as error:\n            print(repr(error))\n"
            '    main(["dump", "."])\n'
        )


@functools.cache
def _below(n):
    return st.integers(0, n - 1)


class Chooser:
    """Choices that hypothesis makes; when it shortens an example, it moves each choice towards the first option."""

    def __init__(self, draw):
        self.draw = draw

    def number(self, low, high):
        return low + self.draw(_below(high - low + 1))

    def of(self, *options):
        return options[self.draw(_below(len(options)))]

    def often(self, usual, rare, chance=8):
        """Choose one of the usual options, or once in `chance` times one of the rare ones."""
        return self.of(*rare) if self.once_in(chance) else self.of(*usual)

    def once_in(self, chance):
        return self.draw(_below(chance)) == chance - 1

    def random(self):
        """Return a generator for values that need no shortening; only its seed is shortened."""
        return random.Random(self.number(0, 999))


# --- numbers, steps, tags ---

TAGS = ["'x'", "'y'", "'loss/train'", "'loss/test'"]
ODD_TAGS = [
    *("''", "None", "7", "1.5", "True", "b'bytes'", "['x']", "('x',)", "{'x': 1}", "object()", "'a b/c\\\\d%é'"),
    *("'x' * 3000", "'a\\nb'", "'null\\0'", "'\\ud800'", "np.str_('numpy')", "bytearray(b'x')", "Path('x')", "'/'"),
    *("torch.tensor(1)", "np.array('x')", "b'\\xff'", "'🔥'", "' x '", "'x/'", "'../x'"),
]
STEPS = ["None", "0", "1", "2", "7", "100"]
ODD_STEPS = [
    *("-7", "2**31", "2**53 + 1", "2**63 - 1", "-(2**63)", "'12'", "' 7 '", "'1_000'", "1.9", "-1.9", "True"),
    *("np.int8(3)", "np.uint64(5)", "np.float32(2.5)", "np.bool_(True)", "np.array(3)", "np.array([3])", "b'5'"),
    *("torch.tensor(4)", "torch.tensor([4])", "torch.tensor(3.7)", "torch.tensor(True)", "fractions.Fraction(7, 2)"),
    *("torch.tensor(2.5, requires_grad=True)", "Decimal('3.7')", "bytearray(b'5')", "np.str_('6')", "np.array([[5]])"),
]
BAD_STEPS = [
    *("2**63", "-(2**63) - 1", "'x'", "''", "1e300", "nan", "inf", "[]", "[1]", "np.array([1, 2])", "{}", "object()"),
    *("1j", "np.uint64(2**63)", "'1.5'", "torch.tensor([1, 2])", "()", "np.array([])", "torch.tensor(nan)", "print"),
    *("torch.empty(1, device='meta')", "np.datetime64('2020-01-01')", "Decimal('nan')", "np.float64(1e19)"),
]
WALLTIMES = ["1234.5", "0", "7", "1.5e9 - 1e9"]
ODD_WALLTIMES = [
    *("None", "-1.5", "True", "1e300", "np.float64(2.5)", "np.float32(3.5)", "np.int64(4)", "fractions.Fraction(7, 2)"),
    *("torch.tensor(2.5)", "Decimal('2.5')", "2**70", "5e-324", "np.array(2.5)", "inf", "-inf", "nan", "False"),
]
BAD_WALLTIMES = ["'12'", "[]", "object()", "1j", "b'5'", "2**2000", "np.array([1.0, 2.0])", "''", "()", "'x'", "{}"]


def tag(c):
    return c.often(TAGS, ODD_TAGS, 12)


def step(c):
    return c.of(*BAD_STEPS) if c.once_in(40) else c.often(STEPS, ODD_STEPS, 6)


def walltime(c):
    return c.of(*BAD_WALLTIMES) if c.once_in(30) else c.often(WALLTIMES, ODD_WALLTIMES, 6)


def boolean(c):
    return c.often(["False", "True"], ["None", "0", "1", "''", "'x'", "[]", "np.bool_(True)", "torch.tensor(True)"], 10)


GOOD_NUMBERS = ["0", "1", "0.5", "-2.25", "1e-3", "3", "100", "1e9"]
ODD_NUMBERS = [
    *("nan", "inf", "-inf", "1e300", "-1e300", "5e-324", "2**70", "True", "-0.0", "1e39", "3.4028236e38", "2**24 + 1"),
    *("np.float64(0.1)", "np.float32(0.1)", "np.float16(0.1)", "np.int8(-3)", "np.uint64(2**64 - 1)", "np.bool_(True)"),
    *("np.longdouble('0.1')", "np.array(2.5)", "np.array([2.5])", "np.array([[[2.5]]], 'float16')", "np.array('2.5')"),
    *("'0.5'", "' 1e3 '", "'nan'", "'-inf'", "'1_0'", "b'0.5'", "np.str_('0.5')", "fractions.Fraction(1, 3)"),
    *("Decimal('0.1')", "torch.tensor(2.5)", "torch.tensor([2.5])", "torch.tensor([[3]])", "torch.tensor(True)"),
    *("torch.tensor(2.5, requires_grad=True)", "torch.tensor(0.1, dtype=torch.float16)", "np.array([2.5], '>f4')"),
    *("torch.tensor(0.1, dtype=torch.float64)", "torch.tensor([7], dtype=torch.uint8)", "np.array([[2.5]]).T"),
    *("torch.tensor([2**53 + 1])", "torch.tensor([1, 2, 3])[1]", "np.array([1, 2, 3])[::-2][1]", "np.matrix([[2.5]])"),
    *(
        "torch.tensor(0.1, dtype=torch.bfloat16)",
        "torch.tensor([3.0]).to(torch.float8_e4m3fn)",
        "np.array([3], object)",
    ),
    *(
        "torch.nn.Parameter(torch.tensor(2.5))",
        "torch._neg_view(torch.tensor(2.5))",
        "torch.tensor([0.0, 3]).to_sparse()",
    ),
    *("torch.tensor([2.5]).to_sparse()", "torch.tensor([2.5]).expand(1, 1)", "np.array([2.5], 'longdouble')"),
    *("torch.tensor(2.5 + 0j)", "torch.tensor(1e10, dtype=torch.bfloat16)", "np.ma.masked_array([2.5], [False])"),
    *("torch.tensor([7], dtype=torch.uint16)", "torch.tensor([2**63 - 1])", "torch.tensor(7, dtype=torch.uint64)"),
    *(
        "np.float64(1e300)",
        "np.ma.masked_array([2.5], [True])",
        "np.ma.masked",
        "np.array(['2.5'])",
        "np.array(b'2.5')",
    ),
    *(
        "torch.quantize_per_tensor(torch.tensor([2.5]), 0.5, 0, torch.qint8)",
        "np.array([True])",
        "torch.zeros(1).to_mkldnn()",
    ),
    *(
        "torch.tensor([2.5]).to_sparse_csr() if False else torch.tensor([[2.5]]).to_sparse_csr()",
        "np.timedelta64(5, 's')",
    ),
]
BAD_NUMBERS = [
    *("None", "'x'", "''", "[]", "[1]", "(1,)", "{1}", "{}", "object()", "1j", "np.complex64(1j)", "np.array([1j])"),
    *(
        "np.zeros(2)",
        "np.zeros(0)",
        "torch.zeros(2)",
        "torch.zeros(0)",
        "torch.tensor(1j)",
        "np.array([None])",
        "print",
    ),
    *("np.array(['x'])", "np.datetime64('2020-01-01')", "torch.empty(1, device='meta')", "2**2000", "b''", "b'x'"),
    *("np.array([[1], [2]])", "torch.device('cpu')", "torch.zeros(2).to_sparse()", "range(1)", "iter([1])", "Ellipsis"),
    *("bytearray(b'5')", "np.array([{}])", "torch.float32", "type", "np.zeros((2, 0))"),
]


def scalar(c):
    return c.of(*BAD_NUMBERS) if c.once_in(12) else c.often(GOOD_NUMBERS, ODD_NUMBERS, 2)


# --- arrays ---

FLOATS = ["float32", "float64"]
INTEGERS = ["uint8", "int64", "int32", "int16", "int8", "uint16", "uint32", "uint64"]
TORCH_FLOATS = ["bfloat16", "float8_e4m3fn", "float8_e5m2"]


def elements(c, count, fill, dtype):
    """Return numbers as text. fill: "unit" (from 0 to 1), "signed", "wide", "odd" or "whole"."""
    chance = c.random()
    if dtype == "bool":
        return [str(chance.random() < 0.5) for _ in range(count)]
    if dtype in INTEGERS:
        if fill in ("unit", "whole"):
            return [str(chance.randint(0, 1 if fill == "unit" else 9)) for _ in range(count)]
        info = np.iinfo(dtype)
        return [str(chance.choice([chance.randint(info.min, info.max), info.min, info.max, 0])) for _ in range(count)]

    def number():
        if fill == "unit":
            return round(chance.random(), 3)
        if fill == "whole":
            return float(chance.randint(0, 9))
        if fill == "signed" or dtype in ("float16", *TORCH_FLOATS):
            return round(chance.uniform(-2, 2), 3)
        if fill == "wide":
            return chance.choice([-1, 1]) * round(chance.random(), 3) * 10.0 ** chance.randint(-15, 18)
        return chance.choice([math.nan, math.inf, -math.inf, 1e25, -1e25, 1e-40, 0.0, -0.0, 1.0, 0.5])

    if dtype.startswith("complex"):
        return [f"complex({number()}, {number()})" for _ in range(count)]
    return [str(number()) for _ in range(count)]


def shaped(c, count_shape, fill, dtype, build):
    count = math.prod(count_shape)
    text = f"[{', '.join(elements(c, count, fill, dtype))}]"
    shape = f".reshape({', '.join(map(str, count_shape))})" if len(count_shape) != 1 else ""
    return build(text) + (shape if count_shape else ".reshape(())")


def numpy_array(c, shape, fill, dtype):
    way = c.of("plain", "plain", "plain", "reversed", "fortran", "transposed", "strided", "broadcast", "swapped", "odd")
    name = dtype
    if way == "swapped" and dtype != "bool":
        name = np.dtype(dtype).newbyteorder().str

    def build(text):
        return f"np.array({text}, '{name}')"

    if way == "transposed":
        return shaped(c, shape[::-1], fill, dtype, build) + ".T"
    if way == "broadcast" and shape:
        return f"np.broadcast_to({shaped(c, (1, *shape[1:]), fill, dtype, build)}, {shape})"
    source = shaped(c, shape, fill, dtype, build)
    if way == "reversed" and shape:
        return source + c.of("[::-1]", "[..., ::-1]")
    if way == "fortran":
        return f"np.asfortranarray({source})"
    if way == "strided" and shape:
        return f"np.repeat({source}, 2, -1)[..., ::2]"
    if way == "odd":
        way = c.of("matrix", "masked", "object", "longdouble", "read-only", "subclass")
        if way == "matrix" and len(shape) == 2:
            return f"np.matrix({source})"
        if way == "masked":
            some = f"np.arange({math.prod(shape)}).reshape({shape}) % 3 == 0"
            return f"np.ma.masked_array({source}, {c.of('False', some)})"
        if way in ("object", "longdouble"):
            return f"{source}.astype('{way}')"
        if way == "read-only":
            return f"np.frombuffer({source}.tobytes(), '{name}').reshape({shape})"
        return f"{source}.view(np.recarray)"
    return source


def torch_array(c, shape, fill, dtype):
    way = c.of("plain", "plain", "plain", "gradient", "transposed", "strided", "expanded", "offset", "negative", "odd")

    def build(text):
        if dtype.startswith("float8"):
            return f"torch.tensor({text}).to(torch.{dtype})"
        return f"torch.tensor({text}, dtype=torch.{dtype})"

    if way == "transposed" and len(shape) > 1:
        other = shape[-1:] + shape[1:-1] + shape[:1]
        return shaped(c, other, fill, dtype, build) + ".transpose(0, -1)"
    if way == "expanded" and shape:
        return f"{shaped(c, (1, *shape[1:]), fill, dtype, build)}.expand({', '.join(map(str, shape))})"
    source = shaped(c, shape, fill, dtype, build)
    if way == "gradient" and not (dtype in INTEGERS or dtype == "bool"):
        inner = source if dtype.startswith("float8") else source + ".requires_grad_() * 1"
        return c.of(source + ".requires_grad_()", f"torch.nn.Parameter({source})", inner)
    if way == "strided" and shape:
        return f"{source}.repeat_interleave(2, -1)[..., ::2]"
    if way == "offset":
        return f"torch.stack([{source}, {source}])[1]"
    if way == "negative" and dtype in ("float32", "float64", "complex64", "complex128", "float16"):
        return f"torch._neg_view({source})" if not dtype.startswith("complex") else source + ".conj()"
    if way == "odd":
        way = c.of("sparse", "csr", "quantized", "meta", "channels_last", "mkldnn", "conj.imag", "inference", "nested")
        if way == "sparse" and shape:
            return source + ".to_sparse()"
        if way == "csr" and len(shape) == 2:
            return source + ".to_sparse_csr()"
        if way == "quantized" and dtype == "float32":
            return f"torch.quantize_per_tensor({source}, 0.25, 1, torch.{c.of('qint8', 'quint8', 'qint32')})"
        if way == "meta":
            return source + ".to('meta')"
        if way == "channels_last" and len(shape) == 4:
            return source + ".contiguous(memory_format=torch.channels_last)"
        if way == "mkldnn" and dtype == "float32" and math.prod(shape):
            return source + ".to_mkldnn()"
        if way == "conj.imag" and dtype in ("float32", "float64"):
            return f"torch.complex({source}, {source}).conj().imag"
        if way == "nested" and shape and dtype == "float32":
            return f"torch.nested.nested_tensor([{source}])"
    return source


OTHERS = [
    *(
        "None",
        "'x'",
        "[]",
        "[1.0]",
        "[[1.0]]",
        "(1, 2)",
        "{}",
        "object()",
        "3",
        "0.5",
        "1j",
        "b'x'",
        "True",
        "range(3)",
    ),
    *("np.float32(3)", "np.array([])", "np.array(3)", "np.array(['a', 'b'])", "np.array([{}, None], object)"),
    *("np.array(['2020-01-01'], 'datetime64[D]')", "torch.tensor([])", "torch.tensor(2)", "np.array([b'a'])"),
    *("np.zeros((2, 0))", "torch.zeros(0, 3)", "np.zeros((1, 1, 1, 1, 1))", "np.array([(1, 2.0)], 'i4,f8')", "print"),
    *(
        "iter([1, 2])",
        "{1, 2}",
        "torch.Size([1, 2])",
        "[np.float32(1), 2]",
        "[torch.tensor(1.0)]",
    ),
    *("[[1, 2], [3]]", "torch.device('cpu')", "np.array([1, 2], 'timedelta64[s]')", "[None]", "np.void(b'abc')"),
    *("'0.5'", "np.array(['1', '2'])", "Decimal('1')", "fractions.Fraction(1, 2)", "np.float64(nan)", "2**70"),
]


def array(c, shape, fill="unit", dtypes=FLOATS, odd=25):
    """Return the source of an array of a shape; once in `odd` times of another shape, or of another object."""
    if c.once_in(odd):
        if c.once_in(2):
            return c.of(*OTHERS)
        shape = tuple(c.number(0, 3) for _ in range(c.number(0, 5)))
    if c.once_in(10):
        dtypes = [*FLOATS, *INTEGERS, "float16", "bool", "complex64", "complex128"]
        fill = c.of(fill, "signed", "wide", "odd", "whole")
    dtype = c.of(*dtypes)
    if c.once_in(2):
        return torch_array(c, shape, fill, c.often([dtype], TORCH_FLOATS, 20))
    return numpy_array(c, shape, fill, dtype)


def nested_list(c, shape, fill="unit"):
    """Return the source of nested lists, or of a list or tuple of arrays."""
    source = shaped(c, shape, fill, c.of("float64", "int64"), lambda text: f"np.array({text})")
    return c.of(source + ".tolist()", f"tuple({source})", f"list({source})", f"list(torch.from_numpy({source}))")


def optional(c, arguments, **strategies):
    """Add each of these arguments with a chance of one half."""
    for name, strategy in strategies.items():
        if c.once_in(2):
            arguments[name] = strategy(c) if callable(strategy) else c.often(*strategy)
    return arguments


# --- each method's arguments, by name ---


def add_scalar(c):
    return optional(
        c,
        {"tag": tag(c), "scalar_value": scalar(c)},
        **{"global_step": step, "walltime": walltime},
        **({"new_style": boolean, "double_precision": boolean} if c.once_in(3) else {}),
    )


def add_scalars(c):
    keys = ["'a'", "'b'", "'c'"]
    odd = ["'d/e'", "'é'", "''", "'a b'", "1", "None", "b'a'", "'..'", "('a',)", "np.str_('n')", "'%'", "'x' * 60"]
    if c.once_in(30):
        values = c.of("{}", "[]", "[1]", "None", "'x'", "5", "[('a', 1)]", "{1: 2}", "np.zeros(2)")
    else:
        pairs = {c.often(keys, odd, 15): c.often(GOOD_NUMBERS, ODD_NUMBERS, 4) for _ in range(c.number(1, 3))}
        if c.once_in(20):
            pairs["'bad'"] = c.of(*BAD_NUMBERS)
        values = f"{{{', '.join(f'{key}: {value}' for key, value in pairs.items())}}}"
    main = c.often(["'curve'", "'loss/all'"], ["''", "None", "7", "'a b'", "'é'", "b'x'", "'.'", "'a//b/'"], 20)
    return optional(c, {"main_tag": main, "tag_scalar_dict": values}, global_step=step, walltime=walltime)


def add_tensor(c):
    shape = tuple(c.number(0, 3) for _ in range(c.number(0, 4)))
    dtypes = [*FLOATS, "int8", "int16", "int32", "int64", "bool", "complex64", "complex128", "uint8", "float16"]
    if c.once_in(3):
        tensor = array(c, shape, c.of("signed", "wide", "odd"), dtypes)
    else:
        tensor = torch_array(c, shape, c.of("unit", "signed", "wide", "odd"), c.of(*dtypes))
    return optional(c, {"tag": tag(c), "tensor": tensor}, global_step=step, walltime=walltime)


BINS = ["'tensorflow'", "'auto'", "5", "1", "[0.0, 0.5, 1.0]", "'fd'", "'sqrt'", "'doane'", "'scott'", "'stone'"]
ODD_BINS = [
    *("0", "-1", "[]", "[1]", "[1, 0]", "'x'", "None", "2.5", "np.array([-1, 0, 2])", "torch.tensor([0.0, 0.5, 1])"),
    *("(0, 1, 2)", "np.int64(3)", "True", "[0, 0, 1]", "[[0, 1], [1, 2]]", "np.linspace(-1, 1, 9)", "[nan, 1]"),
    *("range(4)", "'3'", "[0, inf]", "[-inf, 0, inf]", "np.array([0, 1], 'float32')", "np.array(4)", "'rice'"),
    *("'sturges'", "np.array([True, False])", "['a', 'b']", "[0, 1j]", "np.array([0, 1, 2], 'uint8')", "object()"),
]


def add_histogram(c):
    shape = tuple(c.number(0, 6) if c.once_in(8) else c.number(1, 6) for _ in range(c.number(1, 3)))
    dtypes = [*FLOATS, *INTEGERS, "float16", "bool"]
    values = array(c, shape, c.of("unit", "unit", "signed", "whole", "wide", "odd"), c.of(FLOATS, dtypes))
    arguments = {"tag": tag(c), "values": values}
    if c.once_in(2):
        arguments["bins"] = c.often(BINS, ODD_BINS, 5)
    if c.once_in(3):
        arguments["max_bins"] = c.often(
            ["3", "1", "64", "None", "7"],
            ["0", "-1", "2.5", "'x'", "True", "1000", "np.int64(2)", "[]", "torch.tensor(2)"],
        )
    return optional(c, arguments, global_step=step, walltime=walltime)


def add_histogram_raw(c):
    n = c.number(0, 4) if c.once_in(8) else c.number(1, 4)
    m = n if not c.once_in(15) else n + 1

    def buckets(count, fill):
        source = c.of(array, nested_list, nested_list)(c, (count,), fill)
        if c.once_in(15):
            source = c.of(f"range({count})", "None", "{}", "'ab'", f"np.ones(({count}, 1))", f"['1'] * {count}", "5")
        return source

    moments = {name: c.often(GOOD_NUMBERS, [*ODD_NUMBERS, *BAD_NUMBERS], 8) for name in ("min", "max", "num", "sum")}
    arguments = {"tag": tag(c), **moments, "sum_squares": c.often(GOOD_NUMBERS, [*ODD_NUMBERS, *BAD_NUMBERS], 8)}
    arguments |= {"bucket_limits": buckets(n, "signed"), "bucket_counts": buckets(m, "whole")}
    return optional(c, arguments, global_step=step, walltime=walltime)


PIXELS = ["float32", "float32", "float64", "uint8", "uint8", "bool", "float16", "int64", "int32"]
LAYOUTS = ["CHW", "HWC", "HW", "WH", "NCHW", "NHWC", "chw", "CNHW", "WHC", "nChW"]
ODD_LAYOUTS = [
    *("''", "'C'", "'CCW'", "'CH'", "'CHWX'", "'XYZ'", "None", "5", "'CHWN1'", "('C', 'H', 'W')", "['C', 'H', 'W']"),
    *("'HC'", "'NHW'", "b'CHW'", "'ABCD'", "np.str_('CHW')", "'CH '", "'CcW'", "'CDHW'"),
]


def picture(c, arguments, layout, odd=20):
    sides = {"N": c.number(1, 10), "C": c.often([3, 1], [4, 2, 5, 0], 10), "H": c.number(1, 4), "W": c.number(1, 4)}
    if c.once_in(30):
        sides[c.of(*"NHW")] = 0
    shape = tuple(sides[letter] for letter in layout.upper())
    arguments["img_tensor"] = array(c, shape, c.of("unit", "unit", "signed", "odd"), PIXELS, odd)
    return arguments


def add_image(c, default="CHW", method_layouts=LAYOUTS):
    layout = c.of(default, default, *method_layouts)
    arguments = picture(c, {"tag": tag(c)}, layout)
    if layout != default or c.once_in(6):
        arguments["dataformats"] = c.often([repr(layout)], ODD_LAYOUTS, 15)
    return optional(c, arguments, global_step=step, walltime=walltime)


def add_images(c):
    return add_image(c, "NCHW", ["NHWC", "CNHW", "NCHW", "nchw", "HWNC", "CHW", "HW"])


def add_image_with_boxes(c):
    n = c.number(0, 2)
    layout = c.of("CHW", "CHW", "HWC", "HW")
    sides = {"C": c.often([3, 1], [4], 20), "H": c.number(8, 12), "W": c.number(8, 12)}
    arguments = {"tag": tag(c)}
    shape = tuple(sides[letter] for letter in layout)
    arguments["img_tensor"] = array(c, shape, "unit", ["uint8", "float32"], 40)
    boxes = [[c.number(0, 5), c.number(0, 5), c.number(6, 9), c.number(6, 9)] for _ in range(n)]
    text = c.often(
        [f"np.array({boxes}).reshape({n}, 4)", f"torch.tensor({boxes}, dtype=torch.float32).reshape({n}, 4)"],
        [
            *(f"{boxes}", f"np.array({boxes})", "np.array([[9, 9, 1, 1]])", "np.array([[-5, -5, 50, 50.5]])", "None"),
            *("np.array([[1, 2, 3]])", "np.array([[1, 2, 3, 4, 5]])", "np.array([1, 2, 3, 4])", "np.zeros((1, 4, 1))"),
            *("np.array([[nan, 1, 2, 3]])", "np.array([[1, 2, inf, 3]])", "np.zeros((0, 4))", "np.array([['a'] * 4])"),
            *(
                "np.array([[True, False, True, True]])",
                "np.array([[1, 1, 2, 2]], 'uint8')",
                "np.array([[0, 0, 1e20, 1]])",
            ),
        ],
        10,
    )
    arguments["box_tensor"] = text
    if layout != "CHW" or c.once_in(8):
        arguments["dataformats"] = c.often([repr(layout)], ODD_LAYOUTS, 20)
    scales = (
        ["0.5", "2", "1", "1.5"],
        ["0", "-1", "nan", "'x'", "None", "np.float32(0.5)", "True", "0.01", "torch.tensor(0.5)"],
    )
    labels = (
        [f"{[f'l{i}' for i in range(n)]}", "None"],
        ["'cat'", "[]", "['a', 'b', 'c']", f"[1] * {n}", "5", "('a',)", f"[None] * {n}"],
    )
    return optional(c, arguments, global_step=step, walltime=walltime, rescale=scales, labels=labels)


def add_figure(c):
    one = [f"plt.Figure((0.2, 0.1), facecolor='{color}')" for color in ("red", "blue")]
    figure = c.often(
        [one[0], one[1], f"[{one[0]}, {one[1]}]"], ["None", "[]", "'x'", "5", "plt", f"({one[0]},)", "[1]"], 8
    )
    return optional(c, {"tag": tag(c), "figure": figure}, global_step=step, close=boolean, walltime=walltime)


def add_video(c):
    shape = tuple(c.number(1, 2) for _ in range(2)) + (c.of(3, 1), 2, 2)
    arguments = {"tag": tag(c), "vid_tensor": array(c, shape, "unit", ["float32", "uint8"])}
    return optional(c, arguments, global_step=step, fps=(["4", "10"], ["0", "'x'"], 10), walltime=walltime)


def add_audio(c):
    n = c.number(1, 6)
    shape = c.often([(n,), (1, n), (n, 1)], [(1, 1, n), (2, n), (n, 2), (0,), (3, n), (2, 2, 2)], 12)
    arguments = {"tag": tag(c), "snd_tensor": array(c, shape, c.of("signed", "unit", "odd"), [*FLOATS, "float16"])}
    rates = (
        ["44100", "8000"],
        [
            *(
                "0",
                "-1",
                "22050.5",
                "'x'",
                "None",
                "2**32",
                "np.int64(8000)",
                "1e300",
                "nan",
                "True",
                "torch.tensor(8000)",
            ),
            *("'8000'", "0.5", "2**31", "[]", "np.float32(8000)", "1"),
        ],
    )
    return optional(c, arguments, global_step=step, sample_rate=(*rates, 6), walltime=walltime)


def add_text(c):
    text = c.often(
        ["'text'", "''", "'# é\\n| a |\\n'", "'<b>bold</b>'"],
        [
            *("'x' * 100_000", "np.str_('numpy')", "None", "3", "b'bytes'", "['a', 'b']", "'\\ud800'", "'null\\0'"),
            *("object()", "np.array('x')", "np.array(['a'])", "Path('x')", "{'a': 1}", "1.5", "torch.tensor(1)"),
        ],
    )
    return optional(c, {"tag": tag(c), "text_string": text}, global_step=step, walltime=walltime)


THRESHOLDS = (
    ["2", "10", "127", "3", "50"],
    [
        *(
            "1",
            "0",
            "-1",
            "200",
            "128",
            "2.5",
            "'x'",
            "None",
            "True",
            "np.int64(5)",
            "np.array(5)",
            "torch.tensor(5)",
            "5.0",
        ),
    ],
)


def add_pr_curve(c):
    n = c.number(0, 8) if c.once_in(10) else c.number(1, 8)
    labels = array(c, (n,), "unit", ["int64", "uint8", "bool", "int32", "int8"], 30)
    if c.once_in(4):
        labels = shaped(c, (n,), "unit", "int64", lambda text: f"np.array({text}, '{c.of('float32', 'float64')}')")
    if c.once_in(25):
        n += 1
    shape = c.often([(n,)], [(1, n), (n, 1)], 30)
    predictions = array(c, shape, c.often(["unit"], ["signed", "odd"], 12), [*FLOATS, "float16"], 30)
    weights = c.often(
        [f"np.array({[c.number(0, 4) / 2 for _ in range(n)]})", "2.0", "None", "0"],
        [
            *(f"[1.0] * {n}", f"({n * '1, '})", "np.float32(0.5)", f"torch.ones({n})", "nan", "-1", "'x'", "True"),
            *(
                f"np.ones(({n}, 1))",
                f"np.ones({n + 1})",
                f"np.ones({n}, 'float16')",
                f"range({n})",
                "inf",
                "torch.tensor(2)",
            ),
            *("[]", "np.array([2.0])", "{}", f"np.ones({n}, bool)", f"-np.ones({n})", "1j", f"np.full({n}, nan)"),
        ],
    )
    arguments = {"tag": tag(c), "labels": labels, "predictions": predictions}
    weights = {"weights": weights} if c.once_in(2) else {}
    return optional(c, arguments | weights, global_step=step, num_thresholds=(*THRESHOLDS, 10), walltime=walltime)


def add_pr_curve_raw(c):
    n = c.number(0, 5) if c.once_in(10) else c.number(1, 5)
    arguments = {"tag": tag(c)}
    names = ("true_positive_counts", "false_positive_counts", "true_negative_counts", "false_negative_counts")
    for name in (*names, "precision", "recall"):
        count = n if not c.once_in(50) else n + 1
        arguments[name] = c.of(array, nested_list)(c, (count,), c.of("whole", "unit", "wide"))
    thresholds = [str(n), "127"], [*THRESHOLDS[1]], 6
    weights = ["None", "1"], ["'x'", "[]"], 8
    return optional(c, arguments, global_step=step, num_thresholds=thresholds, weights=weights, walltime=walltime)


TITLES = ["'a'", "'b'", "'é'"], ["''", "None", "5", "b'a'", "'\\ud800'", "'a\\nb'", "np.str_('n')"], 15
SERIES = (
    ["['x', 'y', 'z']", "('x', 'y', 'z')", "['x', 'y.*', 'loss']"],
    [
        *(
            "['x', 'y']",
            "['x']",
            "[]",
            "'xyz'",
            "'xy'",
            "None",
            "5",
            "['x', 1, 'z']",
            "[b'x', b'y', b'z']",
            "{'x', 'y', 'z'}",
        ),
        *("{'x': 1, 'y': 2, 'z': 3}", "np.array(['x', 'y', 'z'])", "iter(['x', 'y', 'z'])", "['x', 'y', '\\ud800']"),
    ],
    8,
)


def add_custom_scalars(c):
    def chart():
        kind = c.often(["'Multiline'", "'Margin'"], ["'margin'", "'other'", "None", "5", "b'Margin'"], 15)
        pair = f"{kind}, {c.often(*SERIES)}"
        return c.often([f"[{pair}]", f"({pair})"], ["[]", "['Margin']", "None", "'xyz'", f"[{pair}, 1]", "{}"], 20)

    def category():
        charts = ", ".join(f"{c.often(*TITLES)}: {chart()}" for _ in range(c.number(0, 2)))
        return c.often([f"{{{charts}}}"], ["[]", "None", "'x'", "5", "[('a', ['Multiline', ['x']])]"], 25)

    layout = ", ".join(f"{c.often(*TITLES)}: {category()}" for _ in range(c.number(0, 2)))
    return {"layout": c.often([f"{{{layout}}}"], ["[]", "None", "'x'", "5", "{}"], 25)}


def add_custom_scalars_multilinechart(c):
    return optional(c, {"tags": c.often(*SERIES)}, category=TITLES, title=TITLES)


def add_mesh(c):
    batch, n, m = c.of(1, 2), c.number(1, 4), c.number(1, 3)
    form = functools.partial(c.of, array, array, array, nested_list)
    arguments = {"tag": tag(c), "vertices": form()(c, (batch, n, 3), "signed")}
    if c.once_in(2):
        arguments["colors"] = array(c, (batch, n, 3), "whole", ["uint8", "int32", "float32"], 40)
    if c.once_in(2):
        faces = [[[c.number(0, n - 1) for _ in range(3)] for _ in range(m)] for _ in range(batch)]
        arguments["faces"] = c.of(
            f"np.array({faces}, '{c.of('int32', 'int64', 'uint8')}')", f"torch.tensor({faces})", f"{faces}"
        )
    configs = (
        ["{'material': {'cls': 'PointsMaterial', 'size': 0.5}, 'lights': []}", "{}", "None", "{'b': 1, 'a': [1.5]}"],
        [
            *(
                "{'x': object()}",
                "'x'",
                "[1]",
                "{'x': nan}",
                "{1: 2}",
                "{'x': np.float32(1)}",
                "{'x': (1, 2)}",
                "5",
                "{'é': 'é'}",
            ),
            *("{None: 1}", "{('a',): 1}", "{'x': b'a'}", "{'a': 1, 1: 2}", "{'x': '\\ud800'}"),
        ],
    )
    return optional(c, arguments, config_dict=(*configs, 6), global_step=step, walltime=walltime)


HPARAMS = ["0.1", "3", "'text'", "None", "''", "-2", "1e-5", "'é'", "2**40"]
ODD_HPARAMS = [
    *(
        "np.float32(0.1)",
        "np.int64(3)",
        "torch.tensor(3)",
        "torch.tensor([0.5])",
        "torch.tensor([1.0, 2.0])",
        "[1, 'a']",
    ),
    *("(1, 2)", "{'a': 1}", "nan", "inf", "-inf", "2**60", "2**2000", "np.array([1, 2])", "np.str_('x')", "b'x'", "1j"),
    *(
        "object()",
        "Path('x')",
        "torch.float32",
        "torch.device('cpu')",
        "{1, 2}",
        "np.bool_(True)",
        "'\\ud800'",
        "range(3)",
    ),
    *("np.float64(0.5)", "np.array(0.5)", "torch.tensor(True)", "print", "type(None)", "fractions.Fraction(1, 2)"),
    *(
        "Decimal('0.1')",
        "[]",
        "{}",
        "'x' * 2000",
        "torch.tensor(0.5, dtype=torch.bfloat16)",
        "np.float16(0.5)",
        "2**53 + 1",
    ),
]


def add_hparams(c):
    names = (
        ["'lr'", "'n'", "'name'"],
        ["''", "'a/b'", "1", "None", "b'x'", "'é'", "'\\ud800'", "('a',)", "np.str_('n')"],
        20,
    )
    hparams = {c.often(*names): c.often(HPARAMS, ODD_HPARAMS, 6) for _ in range(c.number(0, 3))}
    metrics = {
        c.often(["'accuracy'", "'loss'"], [*names[1], "'lr'"], 15): c.often(GOOD_NUMBERS, ODD_NUMBERS, 4)
        for _ in range(c.number(0, 2))
    }
    if c.once_in(25):
        metrics["'bad'"] = c.of(*BAD_NUMBERS)

    def source(pairs):
        return f"{{{', '.join(f'{key}: {value}' for key, value in pairs.items())}}}"

    odd = ["None", "[]", "[('a', 1)]", "'x'", "5", "{}"]
    arguments = {"hparam_dict": c.often([source(hparams)], odd, 40), "metric_dict": c.often([source(metrics)], odd, 40)}
    if c.once_in(4):
        domain = {key: f"[{value}]" for key, value in hparams.items() if value != "None" and c.once_in(2)}
        domains = [
            "{'y': [1]}",
            "{'lr': 1}",
            "{'lr': ['a']}",
            "[1]",
            "{'lr': [0.1, 0.2]}",
            "{'n': (3,)}",
            "{'lr': []}",
            "None",
        ]
        domains += [
            "{'name': ['text', 'x']}",
            "{'lr': [1]}",
            "{'n': [1, True]}",
            "{'n': [0.5]}",
            "'x'",
            "{'lr': [nan]}",
            "[]",
        ]
        arguments["hparam_domain_discrete"] = c.often([source(domain)], domains, 3)
    arguments["run_name"] = c.often(
        ["'run'", "'deep/run'"], ["None", "''", "'.'", "'../run'", "5", "Path('p')", "b'x'", "'é'"], 10
    )
    return optional(c, arguments, global_step=step)


def add_embedding(c):
    n, side = c.number(1, 5), c.number(1, 4)
    arguments = {"mat": array(c, (n, c.number(1, 3)), c.of("signed", "wide"), [*FLOATS, "int64", "float16"], 20)}
    words = ["a", "b c", "é", "x_1", "1"]
    if c.once_in(2):
        count = n if not c.once_in(20) else n + 1
        labels = [c.of(*words) for _ in range(count)]
        arguments["metadata"] = c.often(
            [f"{labels}", f"{list(range(count))}", f"tuple({labels})", f"np.array({labels})"],
            [
                *(
                    "[]",
                    "None",
                    "'abc'",
                    f"range({count})",
                    f"[None] * {count}",
                    f"torch.arange({count})",
                    f"[''] * {count}",
                ),
                *(
                    f"['a\\tb'] * {count}",
                    "5",
                    f"[['a', 1]] * {count}",
                    f"['\\ud800'] * {count}",
                    f"[1.5] * {count}",
                    "{}",
                ),
                *(
                    f"dict.fromkeys(range({count}))",
                    f"iter({labels})",
                    f"[b'x'] * {count}",
                    f"[torch.tensor(1)] * {count}",
                ),
            ],
            6,
        )
    elif c.once_in(2):
        columns = c.number(2, 3)
        arguments["metadata"] = f"{[[c.of(*words) for _ in range(columns)] for _ in range(n)]}"
        arguments["metadata_header"] = c.often(
            [f"{[f'h{i}' for i in range(columns)]}"],
            ["['a']", "[]", "None", "'ab'", "('a', 'b')", "[1, 2]", "5", "['a', 'b', 'c', 'd']", "['a\\tb', 'c']"],
            6,
        )
    if c.once_in(3):
        channels, width = c.often([3, 1], [4, 2], 15), c.often([side], [side + 1], 10)
        count = n if not c.once_in(20) else n + 1
        arguments["label_img"] = array(c, (count, channels, side, width), c.of("unit", "signed"), FLOATS, 25)
    name = (
        ["'default'", "'tag/a'", "'%x'"],
        ["''", "None", "7", "'..'", "'a b\\\\é'", "b'x'", "'\\ud800'", "'a\\nb'", "'.'"],
        15,
    )
    return optional(c, arguments, global_step=step, tag=name)


MODELS = {
    "torch.nn.Linear(2, 3)": "torch.ones(1, 2)",
    "torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())": "torch.ones(3, 2)",
    "torch.nn.Sequential(torch.nn.Conv1d(1, 2, 1), torch.nn.BatchNorm1d(2)).eval()": "torch.ones(1, 1, 4)",
    "torch.nn.Bilinear(2, 2, 1)": "(torch.ones(1, 2), torch.ones(1, 2))",
    "torch.nn.Embedding(3, 2)": "torch.tensor([0, 2])",
    "torch.jit.script(torch.nn.ReLU())": "torch.ones(2)",
}


def add_graph(c):
    model = c.of(*MODELS)
    others = ["None", "()", "torch.ones(7, 7, 7)", "'x'", "5", "np.ones((1, 2))", "[1.5]", "{}", f"[{MODELS[model]}]"]
    arguments = {"model": c.often([model], ["None", "'x'", "torch.relu", "torch.nn.Linear"], 12)}
    arguments["input_to_model"] = c.often([MODELS[model]], others, 6)
    return optional(
        c, arguments, verbose=(["False"], ["True", "None"], 10), use_strict_trace=(["True", "False"], ["None"], 10)
    )


def add_onnx_graph(c):
    return {"prototxt": c.of("None", "'missing.onnx'", "5", "b'x'", "Path('missing')", "''", "object()")}


SUMMARIES = [
    "Summary(value=[Summary.Value(tag='x', simple_value=0.5)])",
    "Summary()",
    "Summary(value=[Summary.Value(tag='x', simple_value=1), Summary.Value(tag='y', simple_value=2)])",
]
NO_MESSAGES = ["None", "'x'", "b''", "5", "object()", "[]", "{}"]
EVENTS = [
    "Event(step=3, summary=Summary(value=[Summary.Value(tag='x', simple_value=0.5)]))",
    "Event(step=2, session_log=SessionLog(status=SessionLog.START))",
    "Event(step=-1, session_log=SessionLog(status=SessionLog.STOP))",
    "Event()",
    "Event(file_version='brain.Event:2')",
    "Event(graph_def=b'')",
    "Event(step=5, wall_time=7)",
]


def file_writer_add_summary(c):
    summary = c.often(SUMMARIES, [*NO_MESSAGES, *EVENTS], 10)
    return optional(c, {"summary": summary}, global_step=step, walltime=walltime)


def file_writer_add_event(c):
    return optional(c, {"event": c.often(EVENTS, [*NO_MESSAGES, *SUMMARIES], 10)}, step=step, walltime=walltime)


def file_writer_add_graph(c):
    graph = c.often(["GraphDef()", "GraphDef(node=[NodeDef(name='a', op='b')])"], [*NO_MESSAGES, "Event()"], 10)
    profile = c.often(
        [f"({graph}, RunMetadata())", f"[{graph}, RunMetadata()]"],
        ["None", "()", f"({graph},)", "'ab'", f"({graph}, None)"],
        8,
    )
    return optional(c, {"graph_profile": profile}, walltime=walltime)


def file_writer_add_onnx_graph(c):
    graph = c.often(["GraphDef()", "GraphDef(node=[NodeDef(name='a', op='b')])"], NO_MESSAGES, 8)
    return optional(c, {"graph": graph}, walltime=walltime)


def nothing(c):
    return {}


def set_attribute(c):
    return c.of(
        {"name": "'default_bins'", "value": c.of("[0.0, 0.5, 1.0]", "[-1, 0, 1, 2]", "3", "[]", "None")},
        {"name": "'purge_step'", "value": c.of("3", "None", "0", "np.int64(2)")},
    )


METHODS = {  # method -> how often it is drawn, and the function that draws its arguments
    "add_scalar": (8, add_scalar),
    "add_scalars": (4, add_scalars),
    "add_histogram": (6, add_histogram),
    "add_histogram_raw": (3, add_histogram_raw),
    "add_image": (5, add_image),
    "add_images": (3, add_images),
    "add_image_with_boxes": (2, add_image_with_boxes),
    "add_figure": (0.3, add_figure),
    "add_video": (0.5, add_video),
    "add_audio": (4, add_audio),
    "add_text": (3, add_text),
    "add_tensor": (4, add_tensor),
    "add_pr_curve": (5, add_pr_curve),
    "add_pr_curve_raw": (3, add_pr_curve_raw),
    "add_custom_scalars": (2, add_custom_scalars),
    "add_custom_scalars_multilinechart": (1, add_custom_scalars_multilinechart),
    "add_custom_scalars_marginchart": (1, add_custom_scalars_multilinechart),
    "add_mesh": (4, add_mesh),
    "add_hparams": (3, add_hparams),
    "add_embedding": (3, add_embedding),
    "add_graph": (0.4, add_graph),
    "add_onnx_graph": (0.3, add_onnx_graph),
    "file_writer.add_summary": (1, file_writer_add_summary),
    "file_writer.add_event": (1.5, file_writer_add_event),
    "file_writer.add_graph": (0.5, file_writer_add_graph),
    "file_writer.add_onnx_graph": (0.3, file_writer_add_onnx_graph),
    "file_writer.flush": (0.3, nothing),
    "file_writer.get_logdir": (0.3, nothing),
    "get_logdir": (0.3, nothing),
    "flush": (0.5, nothing),
    "close": (0.7, nothing),
    "__setattr__": (0.3, set_attribute),
}
WEIGHTED = [name for name, (weight, _) in METHODS.items() for _ in range(round(10 * weight))]


@functools.cache
def _parameters(method):
    if method.startswith("file_writer."):
        names = {"add_summary": ("summary", "global_step", "walltime"), "add_event": ("event", "step", "walltime")}
        names |= {"add_graph": ("graph_profile", "walltime"), "add_onnx_graph": ("graph", "walltime")}
        return names.get(method.removeprefix("file_writer."), ())
    if method == "__setattr__":
        return "name", "value"
    return tuple(inspect.signature(getattr(TorchWriter, method)).parameters)[1:]


def one_call(c):
    method = c.of(*WEIGHTED)
    arguments = METHODS[method][1](c)
    if c.once_in(100) and arguments:
        arguments.pop(c.of(*arguments))
    if c.once_in(200):
        arguments["unknown"] = "1"
    parameters = _parameters(method)
    positional = 0
    while positional < len(parameters) and parameters[positional] in arguments:
        positional += 1
    if method != "__setattr__" and positional:
        positional = c.of(positional, min(2, positional), c.number(0, positional))
    parts = [arguments[name] for name in parameters[:positional]]
    parts += [f"{name}={source}" for name, source in arguments.items() if name not in parameters[:positional]]
    return Call(method, ", ".join(parts))


OPTIONS = {
    "log_dir": (["'run'"], ["'deep/run'", "Path('run')", "None", "''", "'run/'", "'./run'", "'é b'"], 6),
    "comment": (["''", "'_comment'"], ["'é'", "'/x'"], 20),
    "purge_step": (["None", "3"], ["0", "-1", "np.int64(4)", "'x'", "2**63", "torch.tensor(3)"], 5),
    "max_queue": (["0"], [], 1000),
    "flush_secs": (["120", "0.01"], [], 1000),
    "filename_suffix": (["''", "'.suffix'"], ["'é'", "'.1'", "None", "5", "b'x'"], 12),
}


def constructor(c):
    parts = [f"log_dir={c.often(*OPTIONS['log_dir'])}", "max_queue=0"]
    for name in ("comment", "purge_step", "filename_suffix"):
        if c.once_in(6):
            parts.append(f"{name}={c.often(*OPTIONS[name])}")
    return ", ".join(parts)


@st.composite
def sequences(draw, longest=30):
    c = Chooser(draw)
    options = constructor(c)
    calls = draw(st.lists(st.composite(lambda draw: one_call(Chooser(draw)))(), min_size=1, max_size=longest))
    return Sequence(options, tuple(calls))
