"""SummaryWriter: one short method for each kind of summary, with torch's names, parameters and defaults."""

from __future__ import annotations

import copyreg
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tbc import _core, convert, event_file
from tbc.errors import call_all, explained
from tbc.event_file import EventFile, Stats, check_on_disk_error, total
from tbc.file_writer import FileWriter, NullFileWriter, Relay
from tbc.notices import warn, warn_once

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from typing_extensions import TypedDict, Unpack

    from tbc.kinds.images import Compress, Pixels, Tiles

    class Label(TypedDict, total=False):
        """The keywords that most add_* methods take; TensorBoard shows their values with the data."""

        display_name: str | None
        description: str | None


At = tuple[str, Any, Any]  # tag, global_step, walltime
Image = tuple[int, int, int, _core.LargeBytes]  # height, width, channels, file
IMAGE_COMPRESSIONS = ("fast", "small")


class SummaryWriter(_core.BaseSummaryWriter):
    """Logs a training run to an event file that TensorBoard shows; a drop-in for torch.utils.tensorboard.SummaryWriter.

        with tbc.SummaryWriter("runs/first") as writer:
            writer.add_scalar("loss", 0.25, global_step=1)

    If the disk keeps up, an event is in the file 0.1 s after the call; images, videos and embeddings are first encoded
    on another thread. A killed process then loses at most the last 0.1 s, and what is not encoded yet. At exit all
    events are written, so calling close() is optional. After close(), the next add_* starts a new file. All methods may
    be called from any thread and from signal handlers. The child of a fork, a copy of the writer, and a pickled writer
    in another process write files of their own.

    When the disk is full or fails, events wait in memory until it recovers, and a RuntimeWarning says so. The program
    continues. flush() and close() raise OSError meanwhile, and stats() has the numbers.

    log_dir: the directory of the run, a str or a path; runs/<date>_<host><comment> by default. Any other object is
    converted with str(), as in torch.
    comment: the end of the default log_dir; ignored if log_dir is given.
    purge_step: the step from which a run restarts; TensorBoard hides what the run's earlier files hold from there on.
    max_queue: kept for compatibility, and ignored. The queue is bounded in bytes, and add_* waits for room: all files
    of a process share 64 MiB for small events, and 64 MiB for large events (of 256 KiB or more) and for pixels that
    wait to be encoded. A file that holds nothing of one kind takes one thing of that kind, of any size below 2 GiB.
    flush_secs: how many seconds a record may wait before it is written; more than 0.1 counts as 0.1.
    filename_suffix: the end of the event file's name.
    enabled: False makes a writer whose add_* methods check no argument and do nothing. It makes no file or directory:
    use it in the processes of a distributed training that should not log.
    image_compression: "fast" or "small"; for images, and videos with format="apng". "small" makes smaller files
    (photographs by 4 to 12 percent, plots by 17 to 27), takes ten to a hundred times as long on the encoder's thread,
    and stores the same pixels.
    on_disk_error: what an add_* does when the queue is full and the disk fails. "drop" drops the event: a warning says
    so once, and stats() counts it. "wait" waits until the disk recovers. "raise" raises OSError.

    Raises OSError if the directory or the file cannot be made; ValueError for a URL, a purge_step that does not fit
    a signed 64-bit integer, or an unknown image_compression or on_disk_error.

    Attributes, all as in torch: log_dir, purge_step (None once it is written), max_queue, flush_secs, filename_suffix,
    file_writer and all_writers (None while closed), default_bins (the edges that bins="tensorflow" means in
    add_histogram; to change them, assign a new list: a change within the original list has no effect).

    These parameters mean the same in every add_* that has them, unless the method says otherwise:
    tag: the name of a curve, an image, ...: text, in which slashes make groups.
    global_step: an integer, or what int() takes, that fits a signed 64-bit integer; None is 0.
    walltime: seconds since 1970; now by default.
    display_name, description: text that TensorBoard shows with the data; the description may be Markdown.

    Every add_* raises TypeError for a tag, display_name or description that is not text, ValueError or TypeError for
    a step or a walltime that cannot be stored, and OSError if it needs a new file that the program may not make
    (EACCES, EMFILE, ...).

    Arrays may be numpy's, torch's (of any dtype and layout, on any device, with or without gradients) and jax's, or
    objects with __array__ or __dlpack__. Unless its description says otherwise, a method raises NotImplementedError for
    other objects, lists too, as torch does. It raises ValueError for a tensor without data of its own, such as a
    DTensor that is split over ranks (log what full_tensor() returns). It raises TypeError for an array with elements
    that numpy.ma masks; only histograms and PR curves skip these elements, and a masked number is NaN.
    """

    _FileWriter: type[Any] = FileWriter  # the class of the FileWriters that this class makes

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
        *,
        enabled: bool = True,
        image_compression: str = "fast",
        on_disk_error: str = "drop",
    ) -> None:
        check_on_disk_error(on_disk_error)
        if image_compression not in IMAGE_COMPRESSIONS:
            raise ValueError(f"image_compression must be {' or '.join(IMAGE_COMPRESSIONS)}, got {image_compression!r}")
        if not log_dir:
            log_dir = os.path.join("runs", f"{datetime.now():%b%d_%H-%M-%S}_{socket.gethostname()}{comment}")
        _core.stamp(purge_step, None, names=("purge_step", "walltime"))
        self.log_dir = log_dir
        self.purge_step = purge_step
        self.max_queue = max_queue
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        self.image_compression = image_compression
        self.on_disk_error = on_disk_error
        self.default_bins: Any = _core.default_edges()
        self._tensorflow_bins = self.default_bins
        self._created = time.time()
        self._warned: set[str] = set()
        self._file_writers: dict[str, FileWriter] = {}  # by directory, open or closed; programs may change all_writers
        self._past = Stats()  # the sum over the files that add_hparams closed
        self._purged: int | None = None  # purge_step, once it is written
        self.enabled = enabled
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self._get_file_writer()

    def get_logdir(self) -> str | os.PathLike[str]:
        """Returns log_dir, as it was given."""
        return self.log_dir

    # add_scalar, add_scalars and add_text are inherited: _core.pyx

    def add_metrics(self, metrics: Mapping[str, Any], global_step: Any = None, walltime: float | None = None) -> None:
        """Logs many numbers of one step in one event, which takes less time and space than many calls of add_scalar.

        metrics: tag -> number, as add_scalar takes it. If a tag or a number is wrong, nothing is logged.
        """
        if not self.enabled:
            return
        try:
            items = metrics.items()
        except AttributeError:
            got = f"{metrics!r} of type {type(metrics).__name__}"
            raise TypeError(f"metrics must be a dict of tag -> number, got {got}") from None
        scalars = {tag: convert.scalar(value, tag) for tag, value in items}
        if scalars:
            self._encoder().scalars(scalars, global_step, walltime)

    @explained
    def add_tensor(
        self, tag: str, tensor: Any, global_step: Any = None, walltime: float | None = None, **label: Unpack[Label]
    ) -> None:
        """Logs an array with its shape and type, for programs to read; TensorBoard does not show it.

        tensor: an array of any shape, or a number; real, complex or bool. bfloat16 and float8, which TensorBoard cannot
        decode, are stored as float32.

        Raises TypeError for elements of other types.
        """
        if not self.enabled:
            return
        array, dtype = convert.tensor(tensor)
        self._encoder().tensor(tag, array, dtype, global_step, walltime, **label)

    @explained
    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
        **label: Unpack[Label],
    ) -> None:
        """Logs how values are distributed.

        values: an array or a tensor of real numbers, of any shape and type, or one number.
        bins: "tensorflow" (the default: the edges in default_bins), or what numpy.histogram takes: a number, edges,
        "auto", "fd", ...
        max_bins: merges neighbouring bins until fewer than 2 * max_bins are left, as in torch.

        NaN and infinities are skipped; a warning says once how many. A value below or above all default bins (1e20)
        counts in the first or last bin. Raises ValueError if the array is empty, or if all its finite values are
        outside of the bins; TypeError for complex numbers.
        """
        if not self.enabled:
            return
        if isinstance(bins, str) and bins == "tensorflow" and self.default_bins is not self._tensorflow_bins:
            bins = self.default_bins
        encoder = self._encoder()
        if isinstance(bins, str) and bins == "tensorflow" and max_bins is None:
            array, dtype = convert.kernel_array(values, any_order=True)
            not_finite = encoder.histogram(tag, array, dtype, global_step, walltime, **label)
        else:
            from tbc.kinds import histograms

            moments, limits, counts, not_finite = histograms.count(values, bins, max_bins)
            encoder.histogram_raw(tag, moments, limits, counts, global_step, walltime, **label)
        if not_finite:
            self._warn_once("not finite", f"histogram {tag!r}: {not_finite} values are not finite and were skipped")

    @explained
    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: float,
        sum: float,
        sum_squares: float,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: Any = None,
        walltime: float | None = None,
        **label: Unpack[Label],
    ) -> None:
        """Logs a histogram from counts that the caller has made.

        min, max, num, sum, sum_squares: numbers that describe all values; num is how many there are.
        bucket_limits, bucket_counts: the upper limit of each bucket, and the number of values in it; two arrays or
        lists of one length.
        """
        if not self.enabled:
            return
        from tbc.kinds import histograms

        limits, counts = histograms.buckets(bucket_limits, bucket_counts)
        names = "min", "max", "num", "sum", "sum_squares"
        moments = [convert.scalar(*moment) for moment in zip((min, max, num, sum, sum_squares), names, strict=True)]
        encoder = self._encoder()
        encoder.histogram_raw(tag, moments, limits, counts, global_step, walltime, **label)

    @explained
    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
        **label: Unpack[Label],
    ) -> None:
        """Logs an image, as PNG.

        img_tensor: an array; or a Pillow image; or the bytes of a PNG, JPEG, GIF or BMP file, which are stored as they
        are. An array of uint8 has values from 0 to 255, one of another type values from 0 to 1. Integers of other types
        that are above 1 come out white, and a warning says so once.
        dataformats: the dimensions of an array: a permutation of "HW", "HWC" or "NCHW". An image has 1 to 4 channels
        (gray, gray and alpha, RGB, RGBA). A batch (N) has 1 or 3, and becomes a grid with eight images a row.

        The pixels are copied before the call returns, and encoded on another thread. Raises AssertionError, as torch
        does, if dataformats does not fit the array or a batch has another number of channels; ValueError for an unknown
        dataformats, an image with another number of channels, and bytes that are not an image file.
        """
        if not self.enabled:
            return
        from tbc.kinds import images

        at = tag, global_step, walltime
        if isinstance(img_tensor, (bytes, bytearray)):
            data = bytes(img_tensor)
            size = images.identify(data)
            self._encode_later(at, len(data), lambda: data, lambda file: (*size, file), **label)
        else:
            self._add_png(at, self._tiles(img_tensor, dataformats, images.to_hwc), **label)

    @explained
    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
        *,
        grid: bool = True,
        **label: Unpack[Label],
    ) -> None:
        """Logs a batch of images.

        img_tensor, dataformats: as in add_image, without bytes; dataformats is "NCHW" by default.
        grid: True makes one image, a grid with eight images a row. False stores the images one by one, with 1 to 4
        channels, as TensorFlow 2 does; TensorBoard shows each in its own size.
        """
        if not self.enabled:
            return
        from tbc.kinds import images

        at = tag, global_step, walltime
        if grid:
            self._add_png(at, self._tiles(img_tensor, dataformats, images.to_hwc), **label)
        else:
            tiles, compress = self._tiles(img_tensor, dataformats, images.to_nhwc), self._compressor()
            add = _core.EventEncoder.images
            encode = partial(images.encode_pngs, compress=compress)
            self._encode_later(at, tiles.nbytes, tiles.pixels, encode, add, **label)

    @explained
    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Sequence[str] | str | None = None,
        **label: Unpack[Label],
    ) -> None:
        """Logs an image with boxes drawn on it, in red.

        img_tensor, dataformats: as in add_image, without bytes.
        box_tensor: (N, 4): xmin, ymin, xmax, ymax of each box, in pixels; more columns, such as a score, are ignored.
        rescale: a factor; scales the image after the boxes are drawn.
        labels: a text for each box.

        Raises ValueError for boxes of another shape or not finite, for more or fewer labels than boxes, and for
        a rescale that makes the image empty or too large.
        """
        if not self.enabled:
            return
        from tbc.kinds import boxes, images

        tiles = self._tiles(img_tensor, dataformats, images.to_hwc)
        _, height, width, _ = tiles.shape
        corners, texts = boxes.check(height, width, convert.array_or_list(box_tensor), labels, rescale)
        compress = self._compressor()

        def encode(frames: Pixels) -> Image:
            _, _, channels, png = images.encode_png(boxes.on_image(frames[0], corners, texts, rescale), compress)
            return height, width, channels, png

        self._encode_later((tag, global_step, walltime), tiles.nbytes, tiles.pixels, encode, **label)

    @explained
    def add_figure(
        self,
        tag: str,
        figure: Figure | list[Figure],
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
        **label: Unpack[Label],
    ) -> None:
        """Logs a matplotlib figure as an image, or a list of figures of one size as a grid.

        close: True (the default) closes the figures.

        Raises ImportError without matplotlib, TypeError for other objects, ValueError for figures of different sizes.
        """
        if not self.enabled:
            return
        from tbc.kinds import images

        _core.check_label(tag, **label)
        _core.stamp(global_step, walltime)
        pixels = images.render(figure, close)
        self.add_image(tag, pixels, global_step, walltime, "NHWC"[-pixels.ndim :], **label)

    @explained
    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: Any = None,
        fps: float = 4,
        walltime: float | None = None,
        *,
        format: str = "gif",
        **label: Unpack[Label],
    ) -> None:
        """Logs a video, which TensorBoard shows among the images; it needs no other package.

        vid_tensor: (N, T, C, H, W): N clips of T frames, shown side by side; uint8 from 0 to 255, or any other type
        from 0 to 1; 1 or 3 channels, with "apng" 1 to 4.
        fps: frames per second.
        format: "gif" has 256 colors and shows at most 50 frames per second; "apng", an animated PNG, has all colors and
        is larger.

        Raises ValueError for other shapes or formats, and for an fps that is not finite and above 0.
        """
        if not self.enabled:
            return
        from tbc.kinds import video

        if not isinstance(format, str) or format not in video.FORMATS:
            raise ValueError(f"format must be one of {', '.join(video.FORMATS)}, got {format!r}")
        encode, channels = video.FORMATS[format]
        rate = video.frame_rate(fps)
        options = {"compress": self._compressor()} if format == "apng" else {}
        tiles = self._tiles(vid_tensor, channels, video.tile)

        def run(frames: Pixels) -> Image:
            return *frames.shape[1:], encode(frames, rate, **options)

        self._encode_later((tag, global_step, walltime), tiles.nbytes, tiles.pixels, run, **label)

    @explained
    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: float = 44100,
        walltime: float | None = None,
        **label: Unpack[Label],
    ) -> None:
        """Logs sound, as WAV of 16 bits.

        snd_tensor: (L,) or (1, L); or stereo, (2, L) or (L, 2). Floats from -1 to 1, or integers of 8, 16 or 32 bits
        that use the whole range of their type. Floats outside of -1 to 1 are clipped, and a warning says so once.
        sample_rate: in Hz.

        Raises AssertionError for other shapes, ValueError for an array without samples or an impossible sample_rate,
        TypeError for other types.
        """
        if not self.enabled:
            return
        from tbc.kinds import audio

        sound = audio.Sound(convert.array(snd_tensor), sample_rate)
        content = sample_rate, sound.channels, sound.frames, sound.size, sound.fill
        if beyond := self._encoder().audio(tag, *content, global_step, walltime, **label):
            self._warn_once("clipped", f"audio {tag!r}: {beyond} samples are not from -1 to 1 and were clipped")

    @explained
    def add_embedding(
        self,
        mat: Any,
        metadata: Any = None,
        label_img: Any = None,
        global_step: Any = None,
        tag: str = "default",
        metadata_header: Sequence[Any] | None = None,
        *,
        binary: bool = False,
    ) -> None:
        """Logs vectors, which TensorBoard's projector shows as points in two or three dimensions.

        mat: (N, D), a row for each point; stored as the text of float32 with nine digits.
        metadata: a label for each point; with metadata_header, a row for each point, as long as the header.
        label_img: (N, C, H, W), an image for each point; C is 1 or 3, pixels as in add_image.
        global_step: the name of a directory, as in torch: an integer, or the str() of anything else.
        binary: stores float32 as bytes; smaller, and many times faster to write and to load. A rare matrix whose bytes
        the projector would read as text is stored as text all the same.

        The files are written to directories next to the event file, on another thread. flush() waits for them, and
        raises OSError once if they could not be written; there is no second attempt. The projector lists the embeddings
        of all tags and steps, those of earlier processes too. A later embedding of the same tag and step replaces the
        earlier one.

        Raises AssertionError for lengths that do not fit and a mat that is not a matrix (as torch does), TypeError for
        elements that are not real numbers, NotADirectoryError if a file has the name of a directory that is needed.
        """
        if not self.enabled:
            return
        from tbc.kinds import embeddings, images

        _core.check_label(tag)
        pictures = None
        if label_img is not None:
            tiles = self._tiles(label_img, "NCHW", images.to_nhwc)
            tiles.in_double = True
            pictures = tiles.pixels()
        embedding = embeddings.embedding(mat, metadata, pictures, metadata_header, binary)
        info = embeddings.place(tag, global_step, embedding)
        encoder = self._encoder()
        # An absolute path, since the process may change its directory before the files are written.
        log_dir = os.path.abspath(self._get_file_writer().get_logdir())
        prepared = False
        with encoder.reserve(embedding.nbytes) as reservation:
            if reservation.dropped:
                return
            try:
                if embeddings.prepare(log_dir, info):
                    step = 0 if global_step is None else global_step
                    warn(f"the embedding {tag!r} of step {step} is replaced; pass global_step to keep both")
                prepared = True
            except OSError as error:
                if error.errno in event_file.LASTING:  # after other errors `write` tries again, and flush() raises
                    raise
            encoder.run_later(lambda: embeddings.write(log_dir, info, embedding, prepared), reservation)

    @explained
    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
        **label: Unpack[Label],
    ) -> None:
        """Logs a precision-recall curve.

        labels: 0 or 1 (False or True) for each example.
        predictions: the probability of 1 for each example, from 0 to 1, in the shape of labels.
        num_thresholds: the number of points of the curve; the thresholds are evenly spaced from 0 to 1.
        weights: the weight of each example, in the shape of labels, or one number for all; 1 by default.

        Examples out of range or not finite are skipped. Predictions a little above 1 count as 1, as in torch. A warning
        says once how many examples are skipped and how many predictions are above 1. Raises ValueError for different
        shapes, TypeError for elements that are not real numbers.
        """
        if not self.enabled:
            return
        from tbc.kinds import pr_curves

        curve, left_out, above = pr_curves.curve(labels, predictions, num_thresholds, weights)
        self._encoder().pr_curve(tag, pr_curves.encode(curve), global_step, walltime, **label)
        if left_out or above:
            message = f"{left_out} examples are out of range and were skipped, {above} predictions are above 1"
            self._warn_once("not in range", f"PR curve {tag!r}: {message}")

    @explained
    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
        **label: Unpack[Label],
    ) -> None:
        """Logs a precision-recall curve from counts that the caller has made: vectors or lists of one length.

        num_thresholds, weights: kept for compatibility, and ignored; the curve has as many points as the vectors.
        """
        if not self.enabled:
            return
        from tbc.kinds import pr_curves

        counts = true_positive_counts, false_positive_counts, true_negative_counts, false_negative_counts
        curve = pr_curves.from_rows(*counts, precision, recall)
        self._encoder().pr_curve(tag, pr_curves.encode(curve), global_step, walltime, **label)

    @explained
    def add_custom_scalars(self, layout: Mapping[str, Any]) -> None:
        """Arranges curves of add_scalar in charts of the CUSTOM SCALARS tab; TensorBoard uses the last layout.

        layout: {category: {chart: [kind, tags]}}. Kind "Multiline" draws the curves of all tags, which are regular
        expressions; "Margin" takes three tags: a value, its lower bound and its upper bound.

        Raises TypeError for another nesting, AssertionError for a margin chart without exactly three tags.
        """
        if not self.enabled:
            return
        from tbc.kinds import custom_scalars

        self._get_file_writer().add_summary(custom_scalars.summary(layout))

    @explained
    def add_custom_scalars_multilinechart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Logs a layout of one chart that draws several curves. See add_custom_scalars."""
        if self.enabled:
            from tbc.kinds import custom_scalars

            self.add_custom_scalars(custom_scalars.of_one_chart("Multiline", tags, category, title))

    @explained
    def add_custom_scalars_marginchart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Logs a layout of one chart that draws a curve and its bounds: value, lower, upper. See add_custom_scalars."""
        if self.enabled:
            from tbc.kinds import custom_scalars

            self.add_custom_scalars(custom_scalars.of_one_chart("Margin", tags, category, title))

    @explained
    def add_mesh(
        self,
        tag: str,
        vertices: Any,
        colors: Any = None,
        faces: Any = None,
        config_dict: Mapping[str, Any] | None = None,
        global_step: Any = None,
        walltime: float | None = None,
        **label: Unpack[Label],
    ) -> None:
        """Logs meshes, or point clouds, which TensorBoard shows in three dimensions.

        vertices: (B, N, 3): x, y, z of each vertex; TensorBoard shows the first mesh of a batch.
        colors: (B, N, 3): red, green, blue of each vertex, from 0 to 255, of any type.
        faces: (B, M, 3): the vertices of each triangle, counted from 0; None makes a point cloud.
        config_dict: the camera, lights and material, as names and options of classes of three.js.

        Arrays may be lists. Raises ValueError for other shapes and for NaN in config_dict, TypeError for elements that
        are not real numbers and for a config_dict that JSON cannot hold.
        """
        if not self.enabled:
            return
        from tbc.kinds import meshes

        _core.check_label(tag, **label)
        _core.stamp(global_step, walltime)
        summary = meshes.summary(tag, vertices, colors, faces, config_dict, **label)
        self._get_file_writer().add_summary(summary, global_step, walltime)

    @explained
    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> None:
        """Logs the graph of a model, which TensorBoard shows as nested boxes, one for each module.

        model: a torch.nn.Module; or what torch.jit.script or torch.jit.trace made; or any graph as a GraphDef message
        (of any protobuf library) or its bytes, which does not need torch.
        input_to_model: the argument of forward(), or a tuple or list of the arguments. A dict is the argument or, if
        that fails, the arguments by name. None shows the modules and their parameters, but no operations.
        verbose: prints the graph of torch.jit.trace, or why there is none.
        use_strict_trace: False lets torch.jit.trace accept models that return dicts and lists.

        The model runs, in evaluation mode. The graph is that of torch.jit.trace, as with torch's writer. If
        torch.jit.trace fails, a second run records the torch functions that the modules call. Either graph shows only
        the operations that this input leads to.

        Afterwards these are restored: each module's mode, attributes, parameters and buffers; the contents of buffers
        and inputs (up to 64 MiB, the smallest first); the random generators of torch, numpy and Python (no other
        thread should use them during the call). Other changes by forward() stay: to lists, to the contents of
        parameters, to gradients, and by modules that make their parameters in the first run.

        Raises what forward() raises, TypeError for inputs that do not fit it and for other models, ValueError for bytes
        that are not a GraphDef. A model on the meta device that cannot run is logged as with None; a warning says why.
        """
        if not self.enabled:
            return
        from tbc import graphs

        if graphs.is_message(model):
            self._get_file_writer().add_onnx_graph(graphs.message(model))
            return
        if not graphs.is_model(model):
            raise TypeError(f"model must be a torch.nn.Module or a GraphDef message, got {type(model).__name__}")
        from tbc.graphs import models

        nodes, failure = models.nodes(model, input_to_model, verbose, use_strict_trace)
        self._get_file_writer().add_graph(graphs.profile(nodes))
        if failure:
            warn(f"the graph shows the modules of the model without their operations: {failure}")

    def add_onnx_graph(self, prototxt: str | os.PathLike[str] | Any) -> None:
        """Logs the graph of an ONNX model.

        prototxt: a ModelProto message, or the path of an ONNX file. Reading a file needs the onnx package.

        Raises ImportError for a path if onnx is not installed, TypeError for other objects.
        """
        if not self.enabled:
            return
        from tbc.graphs import onnx

        self._get_file_writer().add_onnx_graph(onnx.graph(prototxt))

    @explained
    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Mapping[str, list[Any]] | None = None,
        run_name: str | os.PathLike[str] | None = None,
        global_step: Any = None,
        *,
        start_time: float | None = None,
        end_time: float | None = None,
        status: str = "success",
    ) -> None:
        """Logs the hyperparameters of a run and its final metrics, which the HPARAMS tab compares between runs.

        hparam_dict: name -> number, bool, text, None (skipped) or array of one element. A mapping as a value becomes
        names with slashes, a sequence or longer array becomes JSON, a function or class its name, and any other object
        (an Enum, a dataclass, a torch.dtype, a date) its str(). A name that is not text also becomes text: 1 is "1". A
        value whose str() is only an address raises ValueError, and so does a container that contains itself.
        metric_dict: tag -> number; logged as add_scalar does.
        hparam_domain_discrete: name -> list of all values that the hyperparameter can have, of its type; None in the
        list is skipped.
        run_name: the directory within log_dir to log to; the time by default; "." is log_dir, and its open file.
        start_time, end_time: of the training, in seconds since 1970; by default from the making of this writer to now.
        status: "success", "failure", "running" or "unknown".

        Raises TypeError for arguments that are not mappings and for a domain that does not fit, ValueError for other
        values and statuses; nothing is logged then.
        """
        if not self.enabled:
            return
        from tbc.kinds import hparams

        step, now = _core.stamp(global_step, None)
        _, start = _core.stamp(None, self._created if start_time is None else start_time, names=("", "start_time"))
        _, end = _core.stamp(None, now if end_time is None else end_time, names=("", "end_time"))
        summaries = hparams.summaries(hparam_dict, metric_dict, hparam_domain_discrete, start, end, status)
        metrics = {hparams.key_text(tag): convert.scalar(value, tag) for tag, value in metric_dict.items()}
        for tag in metrics:
            _core.check_label(tag)
        if run_name is not None and not isinstance(run_name, (str, os.PathLike)):
            raise TypeError(f"run_name must be a str or a path, got {run_name!r} of type {type(run_name).__name__}")
        parent = self._get_file_writer()
        if run_name is not None and os.fspath(run_name) == ".":
            self._write_hparams(parent, summaries, metrics, step)
            return
        log_dir = os.path.join(parent.get_logdir(), run_name or str(now))
        writer = self._FileWriter(log_dir, on_disk_error=self.on_disk_error, must_open=False)
        if run_name:  # an earlier process may have logged there
            self._start_session(writer)
        self._write_hparams(writer, summaries, metrics, step)
        try:
            writer.close()
            self._past = total([self._past, writer._event_file.stats()])
        except OSError:  # keep the FileWriter, so that flush() and close() retry, and raise the error
            with event_file.lock:
                self._file_writers[log_dir] = writer

    def _write_hparams(
        self, writer: FileWriter, summaries: Sequence[Any], metrics: dict[str, float], step: int
    ) -> None:
        for summary in summaries:
            writer.add_summary(summary, step)
        for tag, value in metrics.items():
            self._encoder(writer).scalar(tag, value, step)

    @staticmethod
    def _encode(rawstr: str) -> str:
        """Return the name of an embedding's directory for a tag; torch's writer has a method of this name."""
        from tbc.kinds import embeddings

        return embeddings.encode(rawstr)

    def flush(self, *, sync: bool = False) -> None:
        """Returns when everything logged so far can be read in the files, even if the process is killed then.

        sync: True also waits for the disk (fsync), so that a power failure loses nothing: some milliseconds a file on
        most disks, much more on a busy one. This covers the open event files and those closed or given up before them,
        but not the files of add_hparams, which are closed, and of add_embedding, which are not event files.

        Tries all files, then raises OSError, with errno and filename, if the disk does not accept the data of one.
        """
        call_all(
            [
                partial(writer.flush, sync=sync) if isinstance(writer, FileWriter) else writer.flush
                for writer in self._distinct_writers()
            ]
        )

    def close(self) -> None:
        """Flushes and closes all files; a second call does nothing. Raises OSError as flush does.

        A file whose disk fails stays open and keeps its events; call close() again to retry. When the process exits,
        it tries once more to write the events that are left.
        """
        writers = self._distinct_writers()
        call_all([writer.close for writer in writers])
        with event_file.lock:
            if all(writer._event_file.closed for writer in writers if _is_ours(writer)):
                self.file_writer = self.all_writers = None

    def stats(self) -> Stats:
        """Returns the Stats of all files together: bytes queued and written, events dropped, ..."""
        return total([self._past, *(file.stats() for file in self._event_files())])

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copy or pickle the settings; the copy opens files of its own with its first add_*."""
        state = vars(self) | {"all_writers": None, "enabled": self.enabled, "purge_step": None}
        state |= {"_file_writers": {}, "_past": Stats(), "_purged": None}
        return copyreg.__newobj__, (type(self),), state  # type: ignore[attr-defined]

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def _get_file_writer(self) -> FileWriter:
        """Return the FileWriter of log_dir; after close(), open a new file."""
        if self.file_writer is not None:
            return self.file_writer
        self._register([self.log_dir])
        with event_file.lock:
            if self.file_writer is None:
                writer = self._open(self.log_dir)
                if self.enabled and self.purge_step is not None:
                    self._purged, self.purge_step = self.purge_step, None
                    self._start_session(writer)
                self.all_writers, self._runs = {writer.get_logdir(): writer}, {}
                self.file_writer = writer
            return self.file_writer

    def _finds_itself(self) -> bool:
        """Return whether _get_file_writer is not overridden; if so, it returns file_writer unless that is None."""
        return type(self)._get_file_writer is _GET_FILE_WRITER and "_get_file_writer" not in vars(self)

    def _relay(self, writer: Any) -> Relay:
        """Make a Relay for _core.pyx, which must not import tbc.file_writer."""
        return Relay(writer)

    def _distinct_writers(self) -> list[Any]:
        """Return all FileWriters of this writer, and what programs have put into all_writers."""
        writers = [*self._file_writers.values(), *(self.all_writers or {}).values()]
        return list({id(writer): writer for writer in writers}.values())

    def _event_files(self) -> list[EventFile]:
        return [writer._event_file for writer in list(self._file_writers.values()) if _is_ours(writer)]

    def _run_writers(self, main_tag: str, keys: Iterable[str]) -> dict[str, FileWriter]:
        """Return the FileWriter of each curve of add_scalars, by key; open those that have no file."""
        log_dir = self._get_file_writer().get_logdir()
        log_dirs = {key: self._run_directory(log_dir, main_tag, key) for key in keys}
        self._register(log_dirs.values())
        with event_file.lock:
            self._get_file_writer()
            others = self.all_writers or {}
            found = {key: others.get(log_dir) or self._open_run(log_dir) for key, log_dir in log_dirs.items()}
            if self.all_writers is not None:  # a signal handler may have closed all
                self.all_writers.update((log_dirs[key], writer) for key, writer in found.items())
            return found

    @staticmethod
    def _run_directory(log_dir: str, main_tag: str, key: str) -> str:
        if not isinstance(main_tag, str) or not isinstance(key, str):
            raise TypeError(f"main_tag and the keys of add_scalars must be str, got {main_tag!r} and {key!r}")
        return f"{log_dir}/{main_tag.replace('/', '_')}_" + key

    def _register(self, log_dirs: Iterable[str | os.PathLike[str]]) -> None:
        """Add FileWriters, still without a file, for directories that have no FileWriter, and announce the directories.

        A directory keeps its FileWriter after close(). Another thread may be about to log to that FileWriter. With two
        growing files in a directory, readers would see the events in the wrong order.
        """
        settings = self.max_queue, self.flush_secs, self.filename_suffix
        options = {"on_disk_error": self.on_disk_error, "must_open": None}
        with event_file.lock:
            directories = {event_file.directory(log_dir): log_dir for log_dir in log_dirs}
            made: dict[str, FileWriter] = {
                key: self._FileWriter(log_dir, *settings, **options) if self.enabled else NullFileWriter(log_dir)
                for key, log_dir in directories.items()
                if key not in self._file_writers or (self.enabled and not _is_ours(self._file_writers[key]))
            }
            self._file_writers.update(made)
        for writer in made.values() if self.enabled else ():
            writer._event_file.announce()

    def _open(self, log_dir: str | os.PathLike[str]) -> FileWriter:
        """Return the FileWriter of a directory. If its file is closed, open a new one with the current settings."""
        writer = self._file_writers[event_file.directory(log_dir)]
        if self.enabled and _is_ours(writer) and writer._event_file.closed:
            is_first = not any(file.path for file in self._event_files())
            writer._event_file.configure(self.flush_secs, self.filename_suffix, self.on_disk_error)
            writer._event_file.open(must=is_first)  # on a full disk, the constructor raises, add_* does not
        return writer

    def _open_run(self, log_dir: str) -> FileWriter:
        """Do what _open does for a curve of add_scalars; log purge_step in its first file, as in the run's first."""
        is_first = not self._file_writers[log_dir]._event_file.path
        writer = self._open(log_dir)
        if is_first:
            self._start_session(writer)
        return writer

    def _start_session(self, writer: FileWriter) -> None:
        """Log purge_step: readers drop earlier files' data from it on. Like torch, log a second version first."""
        if self.enabled and self._purged is not None:
            self._encoder(writer).version(self._purged)
            self._encoder(writer).session_start(self._purged)

    def _tiles(self, image: Any, layout: Any, lay_out: Callable[[Pixels, Any], Tiles]) -> Tiles:
        """Return an image as Tiles, arranged by `lay_out`; warn once of integer pixels that are above 1."""
        from tbc.kinds import images

        if images.is_pil(image):
            image, layout = images.from_pil(image)
        if isinstance(image, (str, os.PathLike)) and lay_out is images.to_hwc:
            kind = AssertionError if isinstance(image, str) else NotImplementedError  # as torch's writer raises
            raise kind(
                f"an image must be an array, got {image!r} of type {type(image).__name__}; to log a file, pass "
                f"PIL.Image.open({str(image)!r}) or, to add_image, its bytes"
            )
        source = convert.array(image)
        tiles = lay_out(source, layout)
        if source.dtype.kind in "iu" and source.dtype.name != "uint8" and source.max() > 1:
            message = f"pixels of {source.dtype} must be from 0 to 1, got {source.max()}; for 0 to 255 pass uint8"
            self._warn_once("integer pixels", message)
        return tiles

    def _compressor(self) -> Compress:
        from tbc.kinds import images

        return images.compressor(small=self.image_compression == "small")

    def _add_png(self, at: At, tiles: Tiles, **label: Unpack[Label]) -> None:
        from tbc.kinds import images

        compress = self._compressor()
        self._encode_later(
            at, tiles.nbytes, tiles.pixels, lambda frames: images.encode_png(frames[0], compress), **label
        )

    def _encode_later(
        self,
        at: At,
        size: int,
        copy: Callable[[], Any],
        encode: Callable[[Any], tuple[Any, ...]],
        add: Callable[..., None] = _core.EventEncoder.image,
        **label: Unpack[Label],
    ) -> None:
        """Wait for room for `size` bytes, and copy the pixels. On the encoder's thread, encode the copy and add it.

        If there is no room and on_disk_error says to drop, do nothing.

        add: the method of EventEncoder that takes what `encode` returns.
        """
        tag, global_step, walltime = at
        encoder = self._encoder()
        _core.check_label(tag, **label)
        step, seconds = _core.stamp(global_step, walltime)
        with encoder.reserve(size) as reservation:
            if reservation.dropped:
                return
            copied = copy()
            encoder.run_later(lambda: add(encoder, tag, *encode(copied), step, seconds, **label), reservation)

    def _warn_once(self, topic: str, message: str) -> None:
        warn_once(topic, self._warned, message)


def _is_ours(writer: Any) -> bool:
    """Return whether `writer` is a FileWriter that can have a file; that of a disabled SummaryWriter cannot."""
    return isinstance(writer, FileWriter) and isinstance(writer._event_file, EventFile)


_GET_FILE_WRITER = SummaryWriter._get_file_writer
