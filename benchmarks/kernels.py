"""Compare the kernels with libraries that do the same, and with the time to read the array from memory once."""

import io
import os
import tempfile
from typing import NamedTuple

import crc32c
import google_crc32c
import numpy as np
import torch
from calls import photo
from PIL import Image
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboardX.record_writer import RecordWriter as XRecordWriter
from timing import digits, seconds_per_call

from tbc import _core
from tbc.kinds import images

RNG = np.random.default_rng(0)
RECORDS = 10_000
UNITS = {  # how to print the seconds that so many values, bytes or records take
    "ns/value": lambda seconds, size: seconds / size * 1e9,
    "GB/s": lambda seconds, size: size / seconds / 1e9,
    "ns": lambda seconds, size: seconds * 1e9,
    "ms": lambda seconds, size: seconds * 1e3,
    "M/s": lambda seconds, size: size / seconds / 1e6,
}


class Kernel(NamedTuple):
    """Statements that do the same, with `names` as their variables. `floor`: statements that only read the array."""

    name: str
    unit: str
    size: int
    tbc: str
    peers: dict[str, str]
    names: dict[str, object]
    floor: tuple[str, ...] = ()
    note: str = ""


def kernels():
    yield from histograms()
    yield from bins()
    yield from checksums()
    yield pr_curve()
    yield from pictures()
    yield table()
    yield records()


def histograms():
    names = {"count": _core.count, "edges": np.array(_core.default_edges())}
    for n in (10**6, 10**3):
        floats = RNG.normal(size=n)
        tensor = torch.from_numpy(floats).bfloat16()
        kinds = {  # the array, the name of its type to tbc, and the array that np.histogram can count
            "float32": (floats.astype(np.float32), "f4"),
            "float64": (floats, "f8"),
            "float16": (floats.astype(np.float16), "f2"),
            "bfloat16": (tensor.view(torch.int16).numpy(), "bfloat16", tensor.float().numpy()),
            "int32": ((1000 * floats).astype(np.int32), "i4"),
            "uint8": (RNG.integers(0, 256, n, np.uint8), "u1"),
        }
        for kind, (values, dtype, *floats_of_bits) in kinds.items():
            arrays = {"values": values, "dtype": dtype, "numbers": [values, *floats_of_bits][-1]}
            arrays["bits"] = values.view(f"u{values.itemsize}")
            floor = ("values.max()", "bits.max()") if n == 10**6 else ()
            peers = {"np.histogram": "np.histogram(numbers, edges)"}
            yield Kernel(
                f"histogram, {n:,} {kind}", "ns/value", n, "count(values, dtype)", peers, names | arrays, floor
            )


def bins():
    """Yield histograms with other bins than add_histogram's default, TensorFlow's."""
    values = RNG.normal(size=10**6).astype(np.float32)
    doubles = values.astype(np.float64)  # as torch's writer counts them
    for name, edges in (
        ("100 even bins", np.histogram_bin_edges(doubles, 100)),
        ("100 quantiles", np.quantile(doubles, np.linspace(0, 1, 101))),
    ):
        names = {"between": _core.count_between, "values": values, "doubles": doubles, "edges": edges}
        ours, peers = "between(values, 'f4', edges)", {"np.histogram": "np.histogram(doubles, edges)"}
        yield Kernel(f"histogram, 1,000,000, {name}", "ns/value", 10**6, ours, peers, names, ("values.max()",))


def checksums():
    peers = {"google-crc32c": "google(data)", "crc32c": "package(data)"}
    functions = {"crc32c": _core.crc32c, "google": google_crc32c.value, "package": crc32c.crc32c}
    for size in (50, 1000, 20_000, 1_000_000):
        data = RNG.bytes(size)
        arrays = {"data": data, "values": np.frombuffer(data, np.uint8), "copy": bytearray(size)}
        floor = ("values.max()", "copy[:] = data") if size == 1_000_000 else ()
        fastest = _core.crc32c_paths()[-1]  # the default; looking up another takes longer than the CRC of 1,000 bytes
        for path in _core.crc32c_paths() if size > 1000 else [fastest]:
            ours = "crc32c(data)" if path == fastest else "crc32c(data, path)"
            names, unit = {**functions, **arrays, "path": path}, "ns" if size < 1000 else "GB/s"
            yield Kernel(f"CRC-32C, {size:,} bytes, {path}", unit, size, ours, peers, names, floor)


def pr_curve():
    predictions, labels = RNG.random(10**6).astype(np.float32), RNG.random(10**6) < 0.3

    def by_numpy():
        """Count the buckets like torch."""
        buckets = np.int32(np.floor(predictions * 126))
        positive = labels.astype(np.float64)
        for weights in (positive, 1 - positive):
            np.histogram(buckets, 127, (0, 126), weights=weights)

    names = {"count": _core.count_pr_curve, "predictions": predictions, "labels": labels, "by_numpy": by_numpy}
    ours, floor = "count((predictions, 'f4'), (labels, 'b1'), None, 127)", ("predictions.max(); labels.max()",)
    return Kernel("PR curve, 1,000,000", "ns/value", 10**6, ours, {"numpy": "by_numpy()"}, names, floor)


def pictures():
    hwc = photo(RNG).transpose(1, 2, 0)

    def to_pixels(image):
        return images.Tiles(image[None, None]).pixels()[0]

    pixels = to_pixels(hwc)
    numpy = "np.ascontiguousarray(np.clip(hwc * 255, 0, 255).astype(np.uint8))"
    names = {"to_pixels": to_pixels, "hwc": hwc}
    floor = ("hwc.max()", "hwc.sum()")
    yield Kernel(
        "floats to pixels, 3x512x512", "ns/value", pixels.size, "to_pixels(hwc)", {"numpy": numpy}, names, floor
    )

    def pillow(level):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=level)
        return file.getvalue()

    peers = {"Pillow, level 1": "pillow(1)", "Pillow, level 6": "pillow(6)"}
    names = {"encode": images.encode_png, "pixels": pixels, "pillow": pillow}
    note = ", ".join(f"{len(png) / 1000:.0f}" for png in (images.encode_png(pixels)[3], pillow(1), pillow(6))) + " kB"
    yield Kernel("PNG, 3x512x512", "ms", pixels.size, "encode(pixels)", peers, names, (), note)


def table():
    vectors = RNG.normal(size=(1000, 128)).astype(np.float32)

    def join(text):
        return "\n".join("\t".join(map(text, row)) for row in vectors.tolist())

    peers = {"join, repr": "join(repr)", "join, .9g": "join('{:.9g}'.format)"}
    names = {"tsv": _core.tsv, "vectors": vectors, "join": join}
    return Kernel("float32 as text, 1,000x128", "ns/value", vectors.size, "table(vectors)", peers, names)


def records():
    """Return the case of writing encoded events of 50 bytes to a file, until the system has them."""
    folder = tempfile.TemporaryDirectory()
    paths = [os.path.join(folder.name, name) for name in ("tbc", "tensorboard", "tensorboardX")]
    file = _core.BaseEventFile()
    file.attach(os.open(paths[0], os.O_WRONLY | os.O_CREAT), paths[0], 100)
    tensorboard, x = RecordWriter(open(paths[1], "wb")), XRecordWriter(paths[2])  # noqa: SIM115

    def write(add, flush):
        for _ in range(RECORDS):
            add(data)
        flush()

    data = RNG.bytes(50)
    peers = {
        "tensorboard": "write(tensorboard.write, tensorboard.flush)",
        "tensorboardX": "write(x.write, x._writer.flush)",  # x.flush() would also call fsync
    }
    names = {"write": write, "file": file, "tensorboard": tensorboard, "x": x, "folder": folder}
    return Kernel(f"records, {RECORDS:,} of 50 bytes", "M/s", RECORDS, "write(file.event, file.flush)", peers, names)


def measure(rounds):
    print("Memory floor: one read of the array, or a copy if that is faster; in brackets tbc's time divided by that.")
    print("Peers: in brackets their time divided by tbc's.\n")
    print(f"{'':36}{'unit':>10}{'tbc':>9}   {'memory floor':16}peers")
    return [measure_kernel(kernel, rounds) for kernel in kernels()]


def measure_kernel(kernel, rounds):
    statements = [kernel.tbc, *kernel.peers.values(), *kernel.floor]
    seconds = seconds_per_call(statements, {"np": np, **kernel.names}, rounds)
    figures = [UNITS[kernel.unit](each, kernel.size) for each in seconds]
    times = [each / seconds[0] for each in seconds]
    row = {"name": kernel.name, "unit": kernel.unit, "tbc": figures[0], "peers": {}}
    for k, peer in enumerate(kernel.peers, 1):
        row["peers"][peer] = {"figure": figures[k], "times": times[k]}
    floor = ""
    if kernel.floor:
        k = seconds.index(min(seconds[1 + len(kernel.peers) :]))
        row["floor"] = {"figure": figures[k], "times": 1 / times[k]}
        floor = f"{digits(figures[k])} ({digits(1 / times[k])}x)"
    peers = ", ".join(
        f"{name} {digits(peer['figure'])} ({digits(peer['times'])}x)" for name, peer in row["peers"].items()
    )
    print(
        f"{kernel.name:36}{kernel.unit:>10}{digits(figures[0]):>9}   {floor:16}{peers}  {kernel.note}".rstrip(),
        flush=True,
    )
    return row
