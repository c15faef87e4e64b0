"""The kernels beside the libraries that do the same, and beside the memory: what it takes to read the array once."""

import io
import os
import tempfile
from typing import NamedTuple

import crc32c
import google_crc32c
import numpy as np
import torch
from PIL import Image
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboardX.record_writer import RecordWriter as XRecordWriter
from timing import digits, seconds_per_call

from tbc import _core, images

RNG = np.random.default_rng(0)
EDGES = np.array(_core.default_edges())


class Kernel(NamedTuple):
    """Statements that do the same; `floor` are ways to read the same memory, of which the fastest counts."""

    name: str
    unit: str  # one of UNITS
    size: int  # values, bytes or records
    tbc: str
    peers: dict[str, str]
    names: dict[str, object]
    floor: tuple[str, ...] = ()
    note: str = ""


UNITS = {  # of the seconds that `size` take
    "ns/value": lambda seconds, size: seconds / size * 1e9,
    "GB/s": lambda seconds, size: size / seconds / 1e9,
    "ns": lambda seconds, size: seconds * 1e9,
    "ms": lambda seconds, size: seconds * 1e3,
    "M/s": lambda seconds, size: size / seconds / 1e6,
}


def kernels():
    yield from histograms()
    yield from checksums()
    yield pr_curve()
    yield from pictures()
    yield table()
    yield frames()


def histograms():
    for n in (10**6, 10**3):
        floats = RNG.normal(size=n)
        arrays = {
            "float32": (floats.astype(np.float32), "f4"),
            "float64": (floats, "f8"),
            "float16": (floats.astype(np.float16), "f2"),
            "int32": ((1000 * floats).astype(np.int32), "i4"),
            "uint8": (RNG.integers(0, 256, n, np.uint8), "u1"),
        }
        # numpy has no bfloat16: the kernel gets the bits, np.histogram what the bits mean, as float32
        tensor = torch.from_numpy(floats).bfloat16()
        arrays["bfloat16"] = (tensor.view(torch.int16).numpy(), "bfloat16")
        for kind, (values, dtype) in arrays.items():
            numbers = tensor.float().numpy() if kind == "bfloat16" else values
            yield Kernel(
                f"histogram, {n:,} {kind}",
                "ns/value",
                n,
                "count(values, dtype)",
                {"np.histogram": "np.histogram(numbers, edges)"},
                {
                    "count": _core.count,
                    "values": values,
                    "dtype": dtype,
                    "numbers": numbers,
                    "edges": EDGES,
                    "bits": values.view(f"u{values.itemsize}"),
                },
                ("values.max()", "bits.max()") if n == 10**6 else (),
            )


def checksums():
    for size in (50, 1000, 20_000, 1_000_000):
        for path in _core.crc32c_paths():
            data = RNG.bytes(size)
            names = {"crc32c": _core.crc32c, "google": google_crc32c.value, "package": crc32c.crc32c, "path": path}
            names |= {"data": data, "values": np.frombuffer(data, np.uint8), "copy": bytearray(size)}
            yield Kernel(
                f"CRC-32C, {size:,} bytes, {path}",
                "ns" if size < 1000 else "GB/s",
                size,
                "crc32c(data, path)",
                {"google-crc32c": "google(data)", "crc32c": "package(data)"},
                names,
                ("values.max()", "copy[:] = data") if size == 1_000_000 else (),
            )


def pr_curve():
    n, thresholds = 10**6, 127
    predictions, labels = RNG.random(n).astype(np.float32), RNG.random(n) < 0.3
    names = {"count": _core.count_pr_curve, "by_numpy": pr_curve_by_numpy, "thresholds": thresholds}
    return Kernel(
        f"PR curve, {n:,} float32 and bool",
        "ns/value",
        n,
        "count((predictions, 'f4'), (labels, 'b1'), None, thresholds)",
        {"numpy, as in torch": "by_numpy(predictions, labels, thresholds)"},
        names | {"predictions": predictions, "labels": labels},
        ("predictions.max(); labels.max()",),
    )


def pr_curve_by_numpy(predictions, labels, thresholds):
    buckets = np.int32(np.floor(predictions * (thresholds - 1)))
    positive = labels.astype(np.float64)
    for weights in (positive, 1 - positive):
        np.histogram(buckets, thresholds, (0, thresholds - 1), weights=weights)


def pictures():
    gradient = np.linspace(0, 1, 512, dtype=np.float32)
    photo = np.clip(gradient * gradient[:, None] + RNG.normal(0, 0.03, (3, 512, 512)), 0, 1).astype(np.float32)
    hwc = photo.transpose(1, 2, 0)
    pixels = images.to_uint8(hwc)
    names = {"np": np, "hwc": hwc, "pixels": pixels, "to_uint8": images.to_uint8, "encode": images.encode_png}
    yield Kernel(
        "floats to pixels, 3x512x512",
        "ns/value",
        pixels.size,
        "to_uint8(hwc)",
        {"numpy": "np.clip(hwc * 255, 0, 255).astype(np.uint8)"},
        names,
        ("hwc.max()", "hwc.sum()"),
    )

    def by_pillow(level):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=level)
        return file.getvalue()

    sizes = [len(file) for file in (images.encode_png(pixels)[3], by_pillow(1), by_pillow(6))]
    yield Kernel(
        "PNG, 3x512x512 uint8",
        "ms",
        pixels.size,
        "encode(pixels)",
        {"Pillow, level 1": "by_pillow(1)", "Pillow, level 6": "by_pillow(6)"},
        names | {"by_pillow": by_pillow},
        note="kB: " + ", ".join(f"{size / 1000:.0f}" for size in sizes),
    )


def table():
    vectors = RNG.normal(size=(1000, 128)).astype(np.float32)

    def join(number):
        return "\n".join("\t".join(number(value) for value in row) for row in vectors.tolist())

    return Kernel(
        "float32 as text, 1,000x128",
        "ns/value",
        vectors.size,
        "table(vectors)",
        {"join, repr": "join(repr)", "join, .9g": "join('{:.9g}'.format)"},
        {"table": _core.table, "vectors": vectors, "join": join},
    )


def frames():
    """Events of 50 bytes, encoded already, into a file, until the kernel has them."""
    folder = tempfile.TemporaryDirectory()
    paths = [os.path.join(folder.name, name) for name in "abc"]
    file = _core.EventFile()
    file.attach(os.open(paths[0], os.O_WRONLY | os.O_CREAT), paths[0], 100)
    tensorboard, x = RecordWriter(open(paths[1], "wb")), XRecordWriter(paths[2])  # noqa: SIM115
    names = {"write_all": write_all, "data": RNG.bytes(50), "folder": folder}
    return Kernel(
        "records, 10,000 of 50 bytes",
        "M/s",
        10_000,
        "write_all(file.event, file.flush, data)",
        {
            "tensorboard": "write_all(tensorboard.write, tensorboard.flush, data)",
            "tensorboardX": "write_all(x.write, x._writer.flush, data)",  # its own flush is an fsync
        },
        names | {"file": file, "tensorboard": tensorboard, "x": x},
    )


def write_all(write, flush, data):
    for _ in range(10_000):
        write(data)
    flush()


def measure(rounds):
    print(
        "Memory floor: one read of the array (or a copy, if faster), and tbc's time over that. Peers: their time over tbc's.\n"
    )
    print(f"{'':<38}{'unit':>10}{'tbc':>9}   {'memory floor':<16}peers")
    rows = []
    for kernel in kernels():
        statements = [kernel.tbc, *kernel.peers.values(), *kernel.floor]
        ours, *seconds = seconds_per_call(statements, {"np": np, **kernel.names}, rounds)
        peers, floor = seconds[: len(kernel.peers)], min(seconds[len(kernel.peers) :], default=None)

        def figure(seconds, kernel=kernel):
            return UNITS[kernel.unit](seconds, kernel.size)

        row = {"name": kernel.name, "unit": kernel.unit, "tbc": figure(ours)}
        row["peers"] = {name: figure(seconds) for name, seconds in zip(kernel.peers, peers, strict=True)}
        row["times as fast"] = {name: seconds / ours for name, seconds in zip(kernel.peers, peers, strict=True)}
        cells = [
            f"{name} {digits(row['peers'][name])} ({digits(times)}x)" for name, times in row["times as fast"].items()
        ]
        below = ""
        if floor:
            row["floor"], row["times the floor"] = figure(floor), ours / floor
            below = f"{digits(row['floor'])} ({digits(ours / floor)}x)"
        print(
            f"{kernel.name:<38}{kernel.unit:>10}{digits(row['tbc']):>9}   {below:<16}{', '.join(cells)}  {kernel.note}",
            flush=True,
        )
        rows.append(row)
    return rows
