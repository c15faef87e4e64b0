"""List what tbc does differently from torch's writer on purpose; README's table and the differential test share it.

Each entry names its line of README's table, recognises the calls that it concerns, and says what to compare instead.
For each line, tests/test_torch.py has a call that shows both outcomes, torch's and tbc's.
"""

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.tensorboard.summary import scalar

SKIPPED = "skipped"  # neither writer gets the call
RAISES = "raises"  # tbc's writer must raise something, and torch's does not get the call


@dataclass(frozen=True)
class Difference:
    line: str  # of README's table
    methods: str  # names, separated by spaces
    concerns: object  # function(arguments) -> whether the entry concerns this call
    instead: object  # SKIPPED, RAISES, or function(arguments) -> the arguments to replace for torch's writer, by name


ANY = "add_scalar add_scalars add_histogram add_histogram_raw add_image add_images add_image_with_boxes add_audio"
ANY += " add_hparams add_embedding add_pr_curve add_pr_curve_raw add_mesh"

FILE_WRITER = " ".join(f"file_writer.add_{what}" for what in ("summary", "event", "graph", "onnx_graph"))


def flat(value):
    """Return an argument and, if it is a list, tuple or dict, all values within."""
    if isinstance(value, (list, tuple)):
        return [value, *(inner for element in value for inner in flat(element))]
    if isinstance(value, dict):
        return [value, *(inner for element in value.values() for inner in flat(element))]
    return [value]


def changed(value, change):
    if isinstance(value, (list, tuple)):
        return type(value)(changed(element, change) for element in value)
    if isinstance(value, dict):
        return {key: changed(element, change) for key, element in value.items()}
    return change(value)


def values_of(a):
    """Return all arguments except the step and the time."""
    return {name: value for name, value in vars(a).items() if name not in ("global_step", "walltime")}


def any_value(predicate):
    return lambda a: any(predicate(value) for argument in values_of(a).values() for value in flat(argument))


def each_value(change):
    return lambda a: {name: changed(value, change) for name, value in values_of(a).items()}


def is_small_float(value):
    return isinstance(value, torch.Tensor) and str(value.dtype).startswith(("torch.bfloat16", "torch.float8"))


def array(value):
    """Return a number, an array or any tensor as a numpy array."""
    if isinstance(value, torch.Tensor):
        value = value.dequantize() if value.is_quantized else value
        value = value if value.layout == torch.strided else value.to_dense()
        return value.float().numpy(force=True) if is_small_float(value) else value.numpy(force=True)
    return np.asarray(value)


def is_masked(value):
    return isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value)


def is_odd_array(value):
    """Return whether torch's writer refuses the value because of its layout, and tbc's does not."""
    if not isinstance(value, torch.Tensor):
        return isinstance(value, np.matrix)
    return value.layout != torch.strided or value.is_quantized or value.is_neg() or value.is_conj()


def plain(value):
    """Convert an array or tensor to a layout that numpy and torch accept everywhere."""
    if isinstance(value, np.matrix):
        return np.asarray(value)
    if not isinstance(value, torch.Tensor) or value.is_meta:
        return value
    value = value.detach()
    value = value.dequantize() if value.is_quantized else value
    value = value if value.layout == torch.strided else value.to_dense()
    return value.resolve_neg().resolve_conj()


def plain_copy(value):
    """Convert like `plain`, and a numpy array to one that torch.as_tensor accepts."""
    value = plain(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biufc":
        return value
    return np.array(value, "f8" if value.dtype.char == "g" else value.dtype.newbyteorder("="), order="C")


def is_list_of_tensors(value):
    return isinstance(value, list) and any(isinstance(element, torch.Tensor) for element in value)


def is_plain(value):
    """Return whether torch.as_tensor and numpy.stack accept the value."""
    if isinstance(value, np.ndarray):
        return all(stride >= 0 for stride in value.strides) and value.dtype.isnative and value.dtype.char != "g"
    return not isinstance(value, torch.Tensor) or not (is_odd_array(value) or value.requires_grad)


def is_array_of_objects(value):
    return isinstance(value, np.ndarray) and value.dtype.kind == "O"


def is_array_of_numbers(value):
    return is_array_of_objects(value) and all(isinstance(element, (int, float)) for element in value.flat)


def is_odd_number(value, kind=float):
    """Return whether float() or int() accepts the value, and protobuf does not."""
    odd = isinstance(value, (str, bytes, bytearray, bool, np.bool_, np.ndarray, torch.Tensor))
    return (odd or kind is int) and type(value) is not kind and not is_refused(value)


def to_number(value, kind=float):
    if not is_odd_number(value, kind):
        return value
    return kind(array(value).item() if isinstance(value, np.ndarray | torch.Tensor) else value)


MOMENTS = "min", "max", "num", "sum", "sum_squares"


def is_refused(value):
    try:
        scalar("x", value)
    except Exception:
        return True
    return False


def embedding_does_not_fit(a):
    shape = array(a.mat).shape
    return (
        len(shape) != 2
        or (a.metadata is not None and len(a.metadata) != shape[0])
        or (a.label_img is not None and getattr(a.label_img, "ndim", 0) != 4)
        or (a.label_img is not None and (len(a.label_img) != shape[0] or a.label_img.shape[1] not in (1, 3)))
    )


def listed_tags(a):
    return {
        "layout": {
            category: {
                title: [kind, [tags] if isinstance(tags, str) else tags] for title, (kind, tags) in charts.items()
            }
            for category, charts in a.layout.items()
        }
    }


def finite(a):
    values = array(a.values).astype(float)
    values = values[np.isfinite(values)]
    return {"values": values} if values.size else SKIPPED


def is_stereo(a):
    shape = array(a.snd_tensor).squeeze().shape
    return len(shape) == 2 and 2 in shape


def is_half(values):
    return values.dtype.kind == "f" and values.dtype.itemsize == 2


def has_no_value(a):
    """Return whether no value lies within the bins, or an edge is NaN."""
    if not isinstance(a.bins, str) and np.isnan(array(a.bins)).any():
        return True
    return not np.histogram(array(a.values).astype(float).ravel(), bins=a.bins)[0].any()


def is_out_of_range(a):
    if a.weights is not None and not np.isfinite(array(a.weights).astype(float)).all():
        return True
    labels, predictions = array(a.labels), array(a.predictions)
    return not (np.isin(labels, [0, 1]).all() and ((predictions >= 0) & (predictions <= 1)).all())


def rows_of(a):
    names = ("true_positive_counts", "false_positive_counts", "true_negative_counts", "false_negative_counts")
    return [array(getattr(a, name)) for name in (*names, "precision", "recall")]


def any_hparam(predicate):
    return lambda a: any(predicate(value) for value in a.hparam_dict.values())


def each_hparam(change):
    return lambda a: {"hparam_dict": {name: change(value) for name, value in a.hparam_dict.items()}}


def is_array(value):
    return isinstance(value, np.ndarray | np.generic | torch.Tensor) and not isinstance(value, (float, str))


def number(value):
    return array(value).item() if is_array(value) else value


def has_shape_of_bool_or_many(value):
    return is_array(value) and (array(value).size != 1 or array(value).dtype.kind not in "iuf")


def is_not_finite(value):
    return isinstance(value, float) and not math.isfinite(value)


def cells(a):
    header = [a.metadata_header] if a.metadata_header else []
    return [str(cell) for row in [*header, *a.metadata] for cell in (row if header else [row])]


def is_empty(a):
    """Return whether the event, changed like add_event changes it, has no bytes."""
    event = type(a.event)()
    event.CopyFrom(a.event)
    event.wall_time = time.time() if a.walltime is None else a.walltime
    event.step = event.step if a.step is None else int(a.step)
    return event.ByteSize() == 0


def holds_nan(config):
    try:
        json.dumps(config, allow_nan=False)
    except ValueError:
        return True
    return False


def mesh_does_not_fit(a):
    vertices, colors, faces = (None if part is None else array(part).shape for part in (a.vertices, a.colors, a.faces))
    shapes = [shape for shape in (vertices, colors, faces) if shape is not None]
    return (
        any(len(shape) != 3 or shape[2] != 3 for shape in shapes)
        or vertices is None
        or (colors is not None and colors != vertices)
        or (faces is not None and faces[0] != vertices[0])
    )


DIFFERENCES = [
    Difference(
        "elements that a mask of numpy.ma hides",
        "add_histogram",
        any_value(is_masked),
        lambda a: {"values": a.values.compressed()},
    ),
    Difference("elements that a mask of numpy.ma hides", "add_pr_curve", any_value(is_masked), SKIPPED),
    Difference(
        "elements that a mask of numpy.ma hides",
        "add_image add_images add_image_with_boxes add_audio add_tensor add_mesh add_embedding add_pr_curve_raw",
        any_value(is_masked),
        RAISES,
    ),
    Difference(
        "elements that a mask of numpy.ma hides",
        "add_histogram_raw",
        lambda a: is_masked(a.bucket_limits) or is_masked(a.bucket_counts),
        RAISES,
    ),
    Difference("elements that a mask of numpy.ma hides", "add_histogram_raw", any_value(is_masked), SKIPPED),
    Difference(
        "a max_bins or num_thresholds that is not an integer",
        "add_histogram",
        lambda a: isinstance(a.max_bins, float) and not a.max_bins.is_integer(),
        RAISES,
    ),
    Difference(
        "a max_bins or num_thresholds that is not an integer",
        "add_histogram",
        lambda a: isinstance(a.max_bins, float | np.generic | np.ndarray | torch.Tensor),
        lambda a: {"max_bins": int(a.max_bins)},
    ),
    Difference(
        "a max_bins or num_thresholds that is not an integer",
        "add_pr_curve",
        lambda a: isinstance(a.num_thresholds, float) and not a.num_thresholds.is_integer(),
        RAISES,
    ),
    Difference(
        "a histogram of complex numbers, text or times",
        "add_histogram_raw",
        lambda a: any(
            np.iscomplexobj(plain(getattr(a, name))) for name in (*MOMENTS, "bucket_limits", "bucket_counts")
        ),
        RAISES,
    ),
    Difference(
        "buckets of a raw histogram that are a set or a dict",
        "add_histogram_raw",
        lambda a: any(isinstance(values, (set, dict)) for values in (a.bucket_limits, a.bucket_counts)),
        RAISES,
    ),
    Difference(
        "a moment of a raw histogram that is None",
        "add_histogram_raw",
        lambda a: any(getattr(a, name) is None for name in MOMENTS),
        RAISES,
    ),
    Difference(
        "a domain of a hyperparameter that is empty, or of other numbers",
        "add_hparams",
        lambda a: (
            [] in a.hparam_domain_discrete.values()
            or any(map(is_not_finite, a.hparam_dict.values()))
            or any(
                type(element) is not type(a.hparam_dict[name])
                for name, domain in a.hparam_domain_discrete.items()
                for element in domain
            )
        ),
        SKIPPED,
    ),
    Difference("a tag of text that is an array", "add_text", lambda a: isinstance(a.tag, np.ndarray), RAISES),
    Difference(
        "weights of a PR curve that are a tensor",
        "add_pr_curve",
        lambda a: isinstance(a.weights, torch.Tensor),
        lambda a: {"weights": array(a.weights)},
    ),
    Difference(
        "an embedding whose step is a tensor or an array",
        "add_embedding",
        lambda a: isinstance(a.global_step, np.ndarray | torch.Tensor),
        SKIPPED,
    ),
    Difference(
        "a hyperparameter that is an Enum, a dtype, a date, ...",
        "add_hparams",
        lambda a: (
            any(not isinstance(name, str) for name in [*a.hparam_dict, *a.metric_dict])
            or any(not isinstance(value, (int, float, str, type(None))) for value in a.hparam_dict.values())
        ),
        SKIPPED,
    ),
    Difference(
        "a tensor on the meta device",
        ANY + " add_tensor",
        any_value(lambda value: getattr(value, "is_meta", False)),
        RAISES,
    ),
    Difference(
        "bfloat16 and float8",
        ANY,
        any_value(is_small_float),
        each_value(lambda value: value.float() if is_small_float(value) else value),
    ),
    Difference(
        "tensors of other layouts, lists of tensors, numpy.matrix",
        ANY + " add_tensor",
        any_value(is_odd_array),
        each_value(plain),
    ),
    Difference(
        "tensors of other layouts, lists of tensors, numpy.matrix",
        "add_mesh",
        lambda a: any(is_list_of_tensors(part) for part in (a.vertices, a.colors, a.faces)),
        lambda a: {
            name: np.array([array(row) for row in part])
            for name, part in vars(a).items()
            if name in ("vertices", "colors", "faces") and is_list_of_tensors(part)
        },
    ),
    Difference(
        "tensors of other layouts, lists of tensors, numpy.matrix",
        "add_mesh add_pr_curve_raw add_histogram_raw",
        any_value(lambda value: not is_plain(value)),
        each_value(plain_copy),
    ),
    Difference(
        "tensors of other layouts, lists of tensors, numpy.matrix",
        "add_mesh",
        any_value(is_array_of_numbers),
        each_value(lambda value: value.astype("f8") if is_array_of_numbers(value) else value),
    ),
    Difference(
        "a walltime of NaN or infinity",
        ANY + " add_tensor add_text add_figure " + FILE_WRITER,
        lambda a: not math.isfinite(a.walltime),
        RAISES,
    ),
    Difference(
        "numbers that protobuf refuses: text, bools, arrays of one element",
        ANY + " add_tensor add_text add_figure " + FILE_WRITER,
        lambda a: is_odd_number(a.walltime) and math.isfinite(to_number(a.walltime)),
        lambda a: {"walltime": to_number(a.walltime)},
    ),
    Difference(
        "numbers that protobuf refuses: text, bools, arrays of one element",
        "add_pr_curve",
        lambda a: is_odd_number(a.num_thresholds, int),
        lambda a: {"num_thresholds": to_number(a.num_thresholds, int)},
    ),
    Difference(
        "numbers that protobuf refuses: text, bools, arrays of one element",
        "add_audio",
        lambda a: is_odd_number(a.sample_rate) and not isinstance(a.sample_rate, (str, bytes, bytearray)),
        lambda a: {"sample_rate": to_number(a.sample_rate)},
    ),
    Difference(
        "numbers that protobuf refuses: text, bools, arrays of one element",
        "add_histogram_raw",
        lambda a: any(is_odd_number(getattr(a, name)) for name in MOMENTS),
        lambda a: {name: to_number(getattr(a, name)) for name in MOMENTS},
    ),
    Difference(
        "a call that raises half-way",
        "add_scalars",
        lambda a: any(
            is_refused(value) or not isinstance(key, str) or not isinstance(a.main_tag, str)
            for key, value in a.tag_scalar_dict.items()
        ),
        RAISES,
    ),
    Difference(
        "a call that raises half-way", "add_hparams", lambda a: any(map(is_refused, a.metric_dict.values())), RAISES
    ),
    Difference("a call that raises half-way", "add_scalars", lambda a: not a.tag_scalar_dict, SKIPPED),
    Difference("a call that raises half-way", "add_embedding", embedding_does_not_fit, RAISES),
    Difference(
        "a call that raises half-way",
        "file_writer.add_graph",
        lambda a: len(a.graph_profile) != 2 or not hasattr(a.graph_profile[1], "SerializeToString"),
        RAISES,
    ),
    Difference(
        "a PR curve whose labels and predictions differ in shape",
        "add_pr_curve",
        lambda a: np.atleast_1d(array(a.labels)).shape != np.atleast_1d(array(a.predictions)).shape,
        RAISES,
    ),
    Difference(
        "pixels, samples and embeddings that are complex or times",
        "add_image add_images add_image_with_boxes add_audio add_embedding",
        any_value(lambda value: isinstance(value, np.ndarray | torch.Tensor) and array(value).dtype.kind in "cmM"),
        RAISES,
    ),
    Difference(
        "a histogram of complex numbers, text or times",
        "add_histogram",
        lambda a: array(a.values).dtype.kind not in "biufOUS",
        RAISES,
    ),
    Difference(
        "sound of float16",
        "add_audio",
        lambda a: is_half(array(a.snd_tensor)),
        lambda a: {"snd_tensor": array(a.snd_tensor).astype("float32")},
    ),
    Difference(
        "a PR curve of float16",
        "add_pr_curve",
        lambda a: is_half(array(a.predictions)),
        lambda a: {"predictions": array(a.predictions).astype("float32")},
    ),
    Difference(
        "sound of NaN", "add_audio", lambda a: not np.isfinite(array(a.snd_tensor).astype(float)).all(), SKIPPED
    ),
    Difference("sound of one sample", "add_audio", lambda a: array(a.snd_tensor).size == 1, SKIPPED),
    Difference(
        "a graph or a summary that is another message, or None",
        "file_writer.add_summary",
        lambda a: a.summary is None or isinstance(a.summary, dict),
        RAISES,
    ),
    Difference(
        "a graph or a summary that is another message, or None",
        "file_writer.add_graph file_writer.add_onnx_graph",
        lambda a: (
            type(vars(a).get("graph", a.graph_profile[0] if "graph_profile" in vars(a) else None)).__name__
            != "GraphDef"
        ),
        RAISES,
    ),
    Difference("an event of time 0 and step 0 that is empty", "file_writer.add_event", is_empty, SKIPPED),
    Difference(
        "an image that is the bytes of a file",
        "add_image",
        lambda a: isinstance(a.img_tensor, (bytes, bytearray)),
        SKIPPED,
    ),
    Difference("a mesh whose config_dict holds NaN", "add_mesh", lambda a: holds_nan(a.config_dict), RAISES),
    Difference(
        "unknown dataformats",
        "add_image add_images add_image_with_boxes",
        lambda a: "".join(sorted(a.dataformats.upper())) not in ("HW", "CHW", "CHNW"),
        RAISES,
    ),
    Difference(
        "a chart that is a str",
        "add_custom_scalars",
        lambda a: any(isinstance(chart, str) for charts in a.layout.values() for chart in charts.values()),
        RAISES,
    ),
    Difference(
        "a chart of one tag that is a str",
        "add_custom_scalars",
        lambda a: listed_tags(a)["layout"] != a.layout,
        listed_tags,
    ),
    Difference(
        "a chart of one tag that is a str",
        "add_custom_scalars_multilinechart add_custom_scalars_marginchart",
        lambda a: isinstance(a.tags, str),
        lambda a: {"tags": [a.tags]},
    ),
    Difference(
        "a tensor of float8, uint16, uint32 or uint64",
        "add_tensor",
        lambda a: array(a.tensor).dtype.name in ("uint16", "uint32", "uint64"),
        SKIPPED,
    ),
    Difference(
        "a histogram of NaN or infinities",
        "add_histogram",
        lambda a: not np.isfinite(array(a.values).astype(float)).all(),
        finite,
    ),
    Difference(
        "a histogram of values above 1e20",
        "add_histogram",
        lambda a: a.bins == "tensorflow" and (abs(array(a.values).astype(float)) > 9e19).any(),
        SKIPPED,
    ),
    Difference("a histogram whose bins hold no value or are NaN", "add_histogram", has_no_value, RAISES),
    Difference(
        "labels that are not text, and labels of boxes of uint8",
        "add_image_with_boxes",
        lambda a: any(not isinstance(label, str) for label in a.labels) or array(a.box_tensor).dtype == "uint8",
        lambda a: {"labels": [str(label) for label in a.labels], "box_tensor": array(a.box_tensor).astype(float)},
    ),
    Difference(
        "boxes and embeddings that are lists or hold objects",
        "add_image_with_boxes",
        lambda a: isinstance(a.box_tensor, list),
        lambda a: {"box_tensor": np.array(a.box_tensor)},
    ),
    Difference(
        "boxes and embeddings that are lists or hold objects",
        "add_embedding",
        lambda a: is_array_of_objects(a.mat),
        SKIPPED,
    ),
    Difference(
        "boxes and embeddings that are lists or hold objects",
        "add_embedding",
        lambda a: isinstance(a.mat, (list, tuple)),
        SKIPPED,
    ),
    Difference(
        "boxes that are not finite or far away",
        "add_image_with_boxes",
        lambda a: not (abs(array(a.box_tensor)) < 2**30).all(),
        RAISES,
    ),
    Difference(
        "boxes and labels of different number",
        "add_image_with_boxes",
        lambda a: (
            a.labels is not None and len([a.labels] if isinstance(a.labels, str) else a.labels) != len(a.box_tensor)
        ),
        RAISES,
    ),
    Difference("video", "add_video", lambda a: True, SKIPPED),
    Difference("sound of integers", "add_audio", lambda a: array(a.snd_tensor).dtype.kind in "iu", SKIPPED),
    Difference("stereo sound", "add_audio", is_stereo, SKIPPED),
    Difference("a PR curve of more than 127 thresholds", "add_pr_curve", lambda a: a.num_thresholds > 127, SKIPPED),
    Difference(
        "a PR curve of more than 127 thresholds",
        "add_pr_curve_raw",
        lambda a: rows_of(a)[0].size != a.num_thresholds or type(a.num_thresholds) is not int or a.num_thresholds > 127,
        lambda a: {"num_thresholds": rows_of(a)[0].size},
    ),
    Difference("a PR curve of labels out of range", "add_pr_curve", is_out_of_range, SKIPPED),
    Difference(
        "a raw PR curve of matrices, or without points",
        "add_pr_curve_raw",
        lambda a: any(row.ndim > 1 or row.size == 0 for row in rows_of(a)),
        RAISES,
    ),
    Difference(
        "a hyperparameter that is a bool", "add_hparams", any_hparam(lambda value: isinstance(value, bool)), SKIPPED
    ),
    Difference("a hyperparameter of numpy, or a tensor", "add_hparams", any_hparam(has_shape_of_bool_or_many), SKIPPED),
    Difference("a hyperparameter of numpy, or a tensor", "add_hparams", any_hparam(is_array), each_hparam(number)),
    Difference("hyperparameters in log_dir itself", "add_hparams", lambda a: os.fspath(a.run_name) == ".", SKIPPED),
    Difference(
        "a hyperparameter that is a list or a dict",
        "add_hparams",
        any_hparam(lambda value: isinstance(value, (list, tuple, set, range, Mapping))),
        SKIPPED,
    ),
    Difference(
        "a hyperparameter beyond the range of a float",
        "add_hparams",
        any_hparam(lambda value: isinstance(value, int) and abs(value) >= 2**1023),
        each_hparam(lambda value: str(value) if isinstance(value, int) and abs(value) >= 2**1023 else value),
    ),
    Difference(
        "a hyperparameter that is NaN or infinite",
        "add_hparams",
        any_hparam(is_not_finite),
        each_hparam(lambda value: str(value) if is_not_finite(value) else value),
    ),
    Difference(
        "an embedding of bools",
        "add_embedding",
        lambda a: array(a.mat).dtype.kind == "b",
        lambda a: {"mat": array(a.mat).astype(float)},
    ),
    Difference(
        "metadata of an embedding with lone surrogates",
        "add_embedding",
        lambda a: any("\ud800" <= letter <= "\udfff" for cell in cells(a) for letter in cell),
        SKIPPED,
    ),
    Difference(
        "metadata of an embedding that is a tensor",
        "add_embedding",
        lambda a: isinstance(a.metadata, torch.Tensor),
        lambda a: {"metadata": a.metadata.tolist()},
    ),
    Difference(
        "metadata of an embedding without a length", "add_embedding", lambda a: hasattr(a.metadata, "__next__"), SKIPPED
    ),
    Difference("an embedding whose tag is dots", "add_embedding", lambda a: not a.tag.strip("."), SKIPPED),
    Difference("an embedding without points", "add_embedding", lambda a: array(a.mat).size == 0, RAISES),
    Difference(
        "images of an embedding that are not square",
        "add_embedding",
        lambda a: a.label_img.shape[2] != a.label_img.shape[3],
        SKIPPED,
    ),
    Difference(
        "images of an embedding in numpy, or of uint8",
        "add_embedding",
        lambda a: array(a.label_img).dtype == "uint8" or is_array_of_objects(a.label_img),
        SKIPPED,
    ),
    Difference(
        "images of an embedding in numpy, or of uint8",
        "add_embedding",
        lambda a: isinstance(a.label_img, np.ndarray) and a.label_img.dtype.kind in "biuf",
        lambda a: {"label_img": torch.from_numpy(plain_copy(a.label_img))},
    ),
    Difference(
        "metadata of an embedding with one column",
        "add_embedding",
        lambda a: len(a.metadata_header) == 1 and all(len(row) == 1 for row in a.metadata),
        lambda a: {"metadata": [cell for (cell,) in a.metadata], "metadata_header": None},
    ),
    Difference(
        "metadata of an embedding with tabs, newlines or nothing",
        "add_embedding",
        lambda a: any(set(cell) & set("\t\n\r") or not cell.strip() for cell in cells(a)),
        SKIPPED,
    ),
    Difference(
        "a tensor that is numpy's",
        "add_tensor",
        lambda a: (
            isinstance(a.tensor, np.ndarray | np.generic | int | float | complex)
            and array(a.tensor).dtype.kind in "biufc"
            and array(a.tensor).dtype.char not in "gG"
        ),
        lambda a: {
            "tensor": torch.from_numpy(
                plain_copy(np.array(a.tensor if isinstance(a.tensor, np.ndarray) else [a.tensor]))  # of shape (1,)
            )
        },
    ),
    Difference(
        "a tensor of float16, bfloat16 or uint8",
        "add_tensor",
        lambda a: is_small_float(a.tensor),
        lambda a: {"tensor": a.tensor.float()},
    ),
    Difference(
        "a tensor of float16, bfloat16 or uint8",
        "add_tensor",
        lambda a: a.tensor.dtype in (torch.float16, torch.uint8),
        SKIPPED,
    ),
    Difference("text that is not a str", "add_text", lambda a: not isinstance(a.text_string, str), RAISES),
    Difference("a mesh whose parts do not fit", "add_mesh", mesh_does_not_fit, RAISES),
    Difference("the graph of a model without an input", "add_graph", lambda a: a.input_to_model is None, SKIPPED),
    Difference(
        "the graph of a model that cannot be traced",
        "add_graph",
        lambda a: isinstance(a.input_to_model, dict),
        SKIPPED,
    ),
    Difference(
        "the graph of a model that is traced differently again",
        "add_graph",
        lambda a: (
            isinstance(a.model, torch.nn.Module)
            and any(isinstance(module, torch.nn.TransformerEncoder) for module in a.model.modules())
        ),
        SKIPPED,
    ),
    Difference(
        "modules in evaluation, after the graph of a model in training",
        "add_graph",
        lambda a: a.model.training and any(not module.training for module in a.model.modules()),
        SKIPPED,
    ),
]

# Known bugs of tbc. The differential test skips these calls until they are fixed.
KNOWN_FAULTS = [
    Difference(
        "names in the graph of a scripted model",
        "add_graph",
        lambda a: isinstance(a.model, torch.jit.ScriptModule),
        SKIPPED,
    ),
]
