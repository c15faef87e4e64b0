"""The seam between Python and csrc/: check the arguments, make one C call, turn its status into an exception.

Nothing that runs Python happens between _begin and _end: the lock of the queues is held there, or, for a large event,
the GIL is not. (A sound is filled in by Python there: without the lock, and with the GIL, which _take_gil takes back.)
"""

cimport cython
from cpython.buffer cimport (PyBUF_C_CONTIGUOUS, PyBUF_SIMPLE, PyBUF_STRIDES, PyBUF_WRITE, PyBuffer_FillInfo,
                             PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals, PyErr_Clear
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.object cimport Py_TYPE, PyObject_GenericSetAttr
from libc.errno cimport errno
from libc.math cimport isfinite
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from posix.unistd cimport getpid

import errno as errno_codes
import os
import sys

from tbc import convert, errors

cdef unsigned SLICE_MS = 100        # how long a wait may keep Ctrl-C waiting
cdef size_t SMALL = 1               # the size of an event of a few fields: the limit is not that exact
cdef size_t WORTH_RELEASING = 20000 # values to count, from which on other threads should get the GIL


cdef int _raise(tbc_status status, where=None) except -1:
    """where: a path, or the BaseEventFile that has it."""
    cdef int error = errno # before anything else may change it
    path = where.path if isinstance(where, BaseEventFile) else where
    if status == TBC_NO_MEMORY:
        raise MemoryError()
    if status == TBC_ERRNO:
        raise OSError(error, os.strerror(error), path)
    if status == TBC_CLOSED:
        raise OSError(errno_codes.EBADF, tbc_strerror(status).decode(), path)
    raise ValueError(tbc_strerror(status).decode())


# --- arguments ---

cdef int _text(object text, str name, tbc_bytes *out) except -1:
    """UTF-8 of a text that may be None; `name` is what it is to the caller."""
    cdef Py_ssize_t size = 0
    if isinstance(text, str):
        out.data = tbc_utf8(text, &size)
        if out.data == NULL:
            _not_utf8(text, name)
    elif text is None:
        out.data = ""
    elif isinstance(text, bytes):
        bytes.decode(text, "utf-8") # readers drop the whole event if it is not
        out.data = PyBytes_AS_STRING(text)
        size = PyBytes_GET_SIZE(text)
    else:
        raise TypeError(f"{name} must be text, got {text!r} of type {type(text).__name__}")
    out.size = size
    return 0


cdef int _not_utf8(object text, str name) except -1:
    PyErr_Clear()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        error.reason = f"{error.reason} ({name} must be text that UTF-8 can hold)"
        raise
    raise MemoryError()


cdef tbc_bytes _bytes(bytes data) noexcept:
    return tbc_bytes(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef class LargeBytes:
    """Bytes that are put together, and freed, without the GIL: with a bytes object, or an array, that stops all threads,
    for 0.1 s a GB. A buffer, once all is added.

    size: how many bytes it begins with; what they hold is undefined until they are written.
    """
    cdef tbc_buffer _buffer
    cdef bint _complete # others look at it, so that it may not move

    def __cinit__(self, size_t size=0):
        if size > 0 and tbc_buffer_extend(&self._buffer, size) == NULL:
            _raise(self._buffer.status)

    def add(self, bytes part not None):
        cdef tbc_bytes content = _bytes(part)
        if self._complete:
            raise BufferError("bytes cannot be added once they are used as a buffer")
        with nogil:
            tbc_buffer_append(&self._buffer, content.data, content.size)
        if self._buffer.status != TBC_OK:
            _raise(self._buffer.status)

    def __len__(self):
        return self._buffer.size

    def __getbuffer__(self, Py_buffer *view, int flags):
        self._complete = True
        PyBuffer_FillInfo(view, self, self._buffer.data, self._buffer.size, False, flags)

    def __dealloc__(self):
        with nogil:
            tbc_buffer_free(&self._buffer)


cdef tbc_bytes _content(file) except *:
    """Of a file, as bytes or LargeBytes."""
    if type(file) is LargeBytes:
        return tbc_bytes(<const char *>(<LargeBytes>file)._buffer.data, (<LargeBytes>file)._buffer.size)
    if not isinstance(file, bytes):
        raise TypeError(f"a file must be bytes, got {file!r:.200} of type {type(file).__name__}")
    return _bytes(file)


cdef double _clock() noexcept:
    """Seconds since 1970."""
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return now.tv_sec + 1e-9 * now.tv_nsec


cdef tuple STAMP = ("global_step", "walltime")


cdef int _stamp(object tag, object step, object walltime, tbc_stamp *out, tuple names) except -1:
    """tag, names: for the messages."""
    if step is None:
        out.step = 0
    else:
        try:
            out.step = step if type(step) is int else convert.integer(step)
        except Exception as error:
            reason = f": {error}" if convert.is_torch(step) else ""
            _no_stamp(error, tag, f"{names[0]} must fit a signed 64-bit integer, got {step!r}{reason}")
    if walltime is None:
        out.wall_time = _clock()
    else:
        try:
            out.wall_time = float(walltime)
        except Exception as error:
            _no_stamp(error, tag, f"{names[1]} must be a number, in seconds since 1970, got {walltime!r}")
        if not isfinite(out.wall_time):
            _no_stamp(None, tag, f"{names[1]} must be finite, in seconds since 1970, got {walltime!r}")
    return 0


cdef int _no_stamp(error, tag, str message) except -1:
    kind = TypeError if isinstance(error, TypeError) else ValueError
    raise kind(f"{_shown(tag)!r}: {message}" if tag else message) from error


cdef _shown(tag):
    """A tag as it was given: add_text adds to it."""
    return tag.removesuffix("/text_summary") if isinstance(tag, str) else tag


cdef int _label(tag, display_name, description, tbc_label *out) except -1:
    _text(tag, "a tag", &out.tag)
    if display_name is None and description is None:
        out.display_name.size = out.description.size = 0
    else:
        _text(display_name, "display_name", &out.display_name)
        _text(description, "description", &out.description)
    return 0


cdef struct entry: # what every event has, and where it goes
    tbc_stamp at
    double now # when it is logged, whatever wall time it gets
    tbc_label label
    tbc_frame frame
    PyThreadState *thread # which has no GIL, while a large event is encoded; else NULL


cdef enum manner: # how an event comes to be
    AT_ONCE
    WAITED # what it is made of has waited (see Reservation): it never waits
    FILLED # Python fills it in, for which _take_gil is called


cdef int _check(entry *out, tag, step, walltime, display_name, description) except -1:
    _label(tag, display_name, description, &out.label)
    _stamp(tag, step, walltime, &out.at, STAMP)
    out.now = out.at.wall_time if walltime is None else _clock()
    return 0


def check_label(tag, display_name=None, description=None):
    """Raise TypeError unless these are text, or None."""
    cdef tbc_label label
    _label(tag, display_name, description, &label)


def stamp(step, walltime, *, tag=None, tuple names not None=STAMP):
    """Return the (step, walltime) that an event is stored with. Raise ValueError or TypeError if they cannot be stored.

    tag, names: for the messages; the names are those of step and walltime.
    """
    cdef tbc_stamp at
    _stamp(tag, step, walltime, &at, names)
    return at.step, at.wall_time


# --- kernels ---

def crc32c(data, path=None):
    """CRC-32C of a bytes-like object; `path` forces one of crc32c_paths()."""
    cdef Py_buffer view
    cdef const tbc_crc32c_path *paths
    cdef uint32_t crc
    cdef size_t i, n = tbc_crc32c_paths(&paths)
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        if path is None:
            return tbc_crc32c(view.buf, view.len)
        for i in range(n):
            if paths[i].name == path.encode():
                crc = paths[i].run(0xFFFFFFFF, <const uint8_t *>view.buf, view.len)
                return crc ^ 0xFFFFFFFF
        raise ValueError(f"this processor has the paths {crc32c_paths()}, not {path!r}")
    finally:
        PyBuffer_Release(&view)


def crc32c_paths():
    """The ways this processor can compute a CRC-32C, the fastest last."""
    cdef const tbc_crc32c_path *paths
    cdef size_t i, n = tbc_crc32c_paths(&paths)
    return [paths[i].name.decode() for i in range(n)]


def frame(bytes data not None):
    """`data` as one TFRecord."""
    cdef tbc_buffer buffer
    buffer = tbc_buffer(NULL, 0, 0, TBC_OK)
    try:
        start = tbc_record_begin(&buffer)
        tbc_buffer_append(&buffer, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        status = tbc_record_end(&buffer, start)
        if status != TBC_OK:
            _raise(status)
        tbc_record_seal(buffer.data, buffer.size)
        return PyBytes_FromStringAndSize(<char *>buffer.data, buffer.size)
    finally:
        tbc_buffer_free(&buffer)


cdef dict _dtypes = {
    "f8": TBC_FLOAT64, "f4": TBC_FLOAT32, "f2": TBC_FLOAT16, "bfloat16": TBC_BFLOAT16,
    "i1": TBC_INT8, "i2": TBC_INT16, "i4": TBC_INT32, "i8": TBC_INT64,
    "u1": TBC_UINT8, "u2": TBC_UINT16, "u4": TBC_UINT32, "u8": TBC_UINT64, "b1": TBC_UINT8,
}


cdef int _dtype(const Py_buffer *view, str name, tbc_dtype *out) except -1:
    """The type of that name, if the values are as long."""
    out[0] = _dtypes[name]
    if <size_t>view.itemsize != tbc_dtype_size(out[0]):
        raise ValueError(f"values of {view.itemsize} bytes each are not {name}")
    return 0


cdef class Values:
    """An array as the kernels see it.

    values: contiguous or of one dimension; dtype: the name of its type, "bfloat16" for the bits of one.
    """
    cdef Py_buffer view
    cdef tbc_array array
    cdef size_t n

    def __cinit__(self, values, str dtype not None):
        cdef Py_buffer *view = &self.view
        PyObject_GetBuffer(values, view, PyBUF_STRIDES)
        _dtype(view, dtype, &self.array.dtype)
        self.array.data = view.buf
        self.array.stride = view.itemsize
        self.n = view.len // view.itemsize
        if view.ndim == 1:
            self.array.stride = view.strides[0]
        elif not PyBuffer_IsContiguous(view, b"A"):
            raise ValueError("values must be contiguous or of one dimension")

    def __dealloc__(self):
        PyBuffer_Release(&self.view)


cdef int _count(tbc_histogram *out, values, str dtype) except -1:
    cdef Values v = Values(values, dtype)
    if v.n == 0:
        raise ValueError("a histogram needs at least one value, the array is empty")
    if v.n < WORTH_RELEASING:
        tbc_histogram_count(out, &v.array, v.n)
    else:
        with nogil:
            tbc_histogram_count(out, &v.array, v.n)
    return 0


def default_edges():
    """Return the edges of TensorFlow's default buckets, ascending; a new list of the same numbers at every call."""
    global _edges
    cdef const double *edges
    if _edges is None:
        edges = tbc_histogram_edges()
        _edges = [edges[i] for i in range(TBC_EDGES)]
    return list(_edges)


_edges = None


def count(values, str dtype not None):
    """Counts an array on the default edges.

    values: an array that is contiguous or of one dimension, not empty; dtype: "f8", "f4", "f2", "bfloat16" (as 16-bit
    integers), "i1" to "u8" or "b1". Returns (min, max, num, sum, sum_squares) of the finite values, how many are not
    finite, and the counts between the edges as the bytes of doubles, one less than there are edges.
    """
    cdef tbc_histogram h
    cdef double[TBC_EDGES] counts
    _count(&h, values, dtype)
    memset(counts, 0, sizeof(counts))
    memcpy(counts + h.first, h.counts + h.first, (h.last - h.first + 1) * sizeof(double))
    return ((h.min, h.max, <double>h.num, h.sum, h.sum_squares), h.not_finite,
            PyBytes_FromStringAndSize(<char *>(counts + 1), sizeof(double) * (TBC_EDGES - 1)))


def count_between(values, str dtype not None, const double[::1] edges not None):
    """Counts an array, as numpy.histogram does, in the bins between ascending edges.

    values, dtype: as in `count`. Returns the counts as the bytes of doubles, one less than there are edges.
    """
    cdef Values v = Values(values, dtype)
    cdef size_t n_edges = edges.shape[0]
    cdef tbc_status status
    if n_edges < 2:
        return b""
    counts = PyBytes_FromStringAndSize(NULL, (n_edges - 1) * sizeof(double))
    cdef double *to = <double *>PyBytes_AS_STRING(counts)
    with nogil:
        status = tbc_bins_count(to, &edges[0], n_edges, &v.array, v.n)
    if status != TBC_OK:
        _raise(status)
    return counts


def count_pr_curve(predictions, labels, weights, size_t thresholds):
    """Counts positives and negatives between one threshold and the next.

    predictions, labels, weights: (array of one dimension, name of its type as in `count`), of one length; weights may
    be None. Returns the counts of the positives and of the negatives, each as the bytes of as many doubles as there are
    thresholds, how many examples are left out, and how many predictions are above 1.
    """
    cdef Values p = Values(*predictions), l = Values(*labels), w = None if weights is None else Values(*weights)
    cdef const tbc_array *factors = NULL if w is None else &w.array
    cdef tbc_pr_curve curve
    positives = PyBytes_FromStringAndSize(NULL, thresholds * sizeof(double))
    negatives = PyBytes_FromStringAndSize(NULL, thresholds * sizeof(double))
    curve.thresholds = thresholds
    curve.positives = <double *>PyBytes_AS_STRING(positives)
    curve.negatives = <double *>PyBytes_AS_STRING(negatives)
    if l.n != p.n or (w is not None and w.n != p.n):
        raise ValueError(f"as many labels and weights as predictions are needed, {p.n}")
    with nogil:
        tbc_pr_curve_count(&curve, &p.array, &l.array, factors, p.n)
    return positives, negatives, curve.left_out, curve.above


def tsv(values):
    """A contiguous matrix of float32 as text: a line for each row, tabs between its numbers."""
    cdef const float[:, ::1] matrix = values
    cdef size_t rows = matrix.shape[0], columns = matrix.shape[1], size
    cdef char *text = <char *>malloc(rows * columns * (TBC_DECIMAL_MAX + 1) + 1)
    if text == NULL:
        raise MemoryError()
    try:
        if rows * columns == 0:
            return b"\n" * rows
        with nogil:
            size = tbc_decimal_table(text, &matrix[0, 0], rows, columns)
        return PyBytes_FromStringAndSize(text, size)
    finally:
        free(text)


def tile(out, images, str dtype not None, bint in_double=False):
    """Writes images of one size side by side, row by row: bytes as they are, other numbers, from 0 to 1, times 255.

    images: (frames, images of each, height, width, channels), 1 to 4 channels, with any strides; dtype: the name of
    their type as in `count`; out: (frames, height, width, channels) of uint8, contiguous, of which the images fill the
    beginning; in_double: multiply as float64, not as float32.
    """
    cdef uint8_t[:, :, :, ::1] pixels = out
    cdef Py_buffer view
    cdef tbc_tiles tiles
    cdef tbc_dtype kind
    cdef bint are_pixels = dtype == "u1"
    PyObject_GetBuffer(images, &view, PyBUF_STRIDES)
    try:
        if view.ndim != 5 or view.len == 0 or view.shape[4] > TBC_CHANNELS:
            raise ValueError(f"arrays of five dimensions are needed, with at most {TBC_CHANNELS} channels")
        _dtype(&view, dtype, &kind)
        tiles = tbc_tiles(view.buf, kind,
                          view.shape[0], view.shape[1], view.shape[2], view.shape[3], view.shape[4],
                          view.strides[0], view.strides[1], view.strides[2], view.strides[3], view.strides[4],
                          pixels.shape[1] // view.shape[2], pixels.shape[2] // view.shape[3])
        if (tiles.frames, tiles.rows * tiles.height, tiles.columns * tiles.width, tiles.channels) != out.shape:
            raise ValueError(f"{tiles.height} x {tiles.width} pixels do not tile frames of shape {out.shape}")
        if tiles.images > tiles.rows * tiles.columns:
            raise ValueError(f"{tiles.images} images do not fit {tiles.rows} x {tiles.columns} places")
        with nogil:
            if are_pixels:
                tbc_pixels_copy(&pixels[0, 0, 0, 0], &tiles)
            elif in_double:
                tbc_pixels_scale_in_double(&pixels[0, 0, 0, 0], &tiles)
            else:
                tbc_pixels_scale(&pixels[0, 0, 0, 0], &tiles)
    finally:
        PyBuffer_Release(&view)


TENSOR_DTYPES = { # type, as the buffer has it -> DataType of types.proto
    "f4": TBC_DT_FLOAT, "f8": TBC_DT_DOUBLE, "i4": 3, "u1": 4, "i2": 5, "i1": 6, "c8": 8, "i8": 9, "b1": 10, "u2": 17,
    "c16": 18, "f2": 19, "u4": 22, "u8": 23,
}


# --- events ---

def set_queue_limit(size_t limit):
    """How many bytes of small events may wait for the disk, in the whole process, and as many of large things (64 MiB
    of each unless set)."""
    tbc_queue_set_limit(limit)


def leave():
    """The program ends: from now on flush() raises TimeoutError once a write has not ended for 10 s."""
    tbc_writer_leave()


def before_fork():
    with nogil:
        tbc_writer_pause()


def after_fork_in_parent():
    with nogil:
        tbc_writer_resume()


cdef tbc_bytes IMAGES = tbc_bytes("images", 6), TEXT = tbc_bytes("text", 4), TENSOR = tbc_bytes("tensor", 6) # plugins


cdef class EventEncoder:
    """Encodes events, a method for each kind; where they go is what the subclasses BaseEventFile and EventBuffer know.

    Every method raises TypeError for a tag, display_name or description that is not text, ValueError for a step or
    walltime that cannot be stored, and MemoryError.
    """

    cdef int _open(self, entry *e, size_t size, tbc_size counted, bint waited) except -1:
        """Opens a frame for an event with `size` bytes of content."""
        raise NotImplementedError()

    cdef int _end(self, entry *e) except -1:
        """Closes the frame."""
        raise NotImplementedError()

    cdef int _begin(self, entry *e, tag, step, walltime, display_name, description, size_t size,
                    manner how=AT_ONCE) except -1:
        """Checks what every event has, and opens a frame; the event goes to e.frame.to, and _end must follow."""
        _check(e, tag, step, walltime, display_name, description)
        return self._open(e, size, TBC_LARGE if how == FILLED else tbc_counted(size), how == WAITED)

    cdef void _take_gil(self, entry *e) noexcept:
        if e.thread != NULL:
            tbc_take_gil(e.thread)
            e.thread = NULL

    cdef void _abandon(self, entry *e) noexcept:
        """In place of _end, for an event that could not be filled in."""

    cdef int _scalar(self, entry *e, double value, bint new_style, bint double_precision) except -1:
        """A number, for a tag and at a time that are checked."""
        self._open(e, SMALL, TBC_SMALL, False)
        if not new_style:
            tbc_event_scalar(e.frame.to, e.at, &e.label, <float>value)
        elif double_precision:
            tbc_event_scalar_double(e.frame.to, e.at, &e.label, value)
        else:
            tbc_event_scalar_float(e.frame.to, e.at, &e.label, <float>value)
        return self._end(e)

    def version(self, step=None):
        """The event every file starts with."""
        cdef entry e
        self._begin(&e, None, step, None, None, None, SMALL)
        tbc_event_version(e.frame.to, e.at)
        self._end(&e)

    def session_start(self, step):
        """Readers drop what earlier files of the run hold from this step on."""
        cdef entry e
        self._begin(&e, None, step, None, None, None, SMALL)
        tbc_event_session_start(e.frame.to, e.at)
        self._end(&e)

    def scalar(self, tag, double value, step=None, walltime=None, bint new_style=False, bint double_precision=False,
               display_name=None, description=None):
        cdef entry e
        _check(&e, tag, step, walltime, display_name, description)
        self._scalar(&e, value, new_style, double_precision)

    def scalars(self, dict scalars not None, step=None, walltime=None):
        """tag -> number; all in one event."""
        cdef entry e
        cdef dict all = scalars.copy() # which no __float__ and no __index__ can change; it keeps the text of the tags
        cdef size_t n = len(all), size = 0, i = 0
        cdef double *values
        cdef tbc_bytes *tags = <tbc_bytes *>malloc((n + 1) * (sizeof(tbc_bytes) + sizeof(double)))
        if tags == NULL:
            raise MemoryError()
        try:
            values = <double *>(tags + n)
            for tag, value in all.items():
                _text(tag, "a tag", &tags[i])
                values[i] = value
                size += tags[i].size
                i += 1
            self._begin(&e, None, step, walltime, None, None, size)
            tbc_event_scalars(e.frame.to, e.at, tags, values, n)
            self._end(&e)
        finally:
            free(tags)

    def histogram(self, tag, values, str dtype not None, step=None, walltime=None, display_name=None, description=None):
        """Counts an array (see `count`) on the default edges. Returns how many values are not finite."""
        cdef entry e
        cdef tbc_histogram h
        cdef tbc_moments moments
        _count(&h, values, dtype)
        moments = tbc_moments(h.min, h.max, <double>h.num, h.sum, h.sum_squares)
        cdef size_t n = h.last - h.first + 1
        self._begin(&e, tag, step, walltime, display_name, description, 2 * sizeof(double) * n)
        tbc_event_histogram(e.frame.to, e.at, &e.label, &moments, tbc_histogram_edges() + h.first, h.counts + h.first, n)
        self._end(&e)
        return h.not_finite

    def histogram_raw(self, tag, moments, limits, counts, step=None, walltime=None, display_name=None,
                      description=None):
        """moments: min, max, num, sum, sum_squares; limits and counts: contiguous arrays of doubles, of one length."""
        cdef entry e
        cdef tbc_moments m
        cdef Values limit = Values(limits, "f8"), count = Values(counts, "f8")
        m.min, m.max, m.num, m.sum, m.sum_squares = moments
        if limit.n != count.n or limit.array.stride != sizeof(double) or count.array.stride != sizeof(double):
            raise ValueError(f"limits and counts must be contiguous, as many of each: got {limits!r}, {counts!r}")
        self._begin(&e, tag, step, walltime, display_name, description, 2 * limit.n * sizeof(double))
        tbc_event_histogram(e.frame.to, e.at, &e.label, &m, <const double *>limit.view.buf, <const double *>count.view.buf,
                            limit.n)
        self._end(&e)

    def image(self, tag, int32_t height, int32_t width, int32_t colorspace, file, step=None,
              walltime=None, display_name=None, description=None):
        """An image file, as bytes or LargeBytes; colorspace is the number of channels. Never waits: its pixels did."""
        cdef entry e
        cdef tbc_bytes content = _content(file)
        self._begin(&e, tag, step, walltime, display_name, description, content.size, WAITED)
        tbc_event_image(e.frame.to, e.at, &e.label, height, width, colorspace, content)
        self._end(&e)

    def images(self, tag, int32_t height, int32_t width, list files not None, step=None, walltime=None,
               display_name=None, description=None):
        """Image files of one size, shown one by one: a tensor of the two numbers as text, then the files, as
        TensorFlow 2 writes them. Never waits, as `image`."""
        cdef entry e
        cdef list strings = [str(width).encode(), str(height).encode(), *files]
        cdef size_t i, n = len(strings), size = 0
        cdef int64_t length = n
        cdef tbc_bytes *values = <tbc_bytes *>malloc(n * sizeof(tbc_bytes))
        cdef tbc_tensor tensor = tbc_tensor(TBC_DT_STRING, &length, 1, values, n)
        if values == NULL:
            raise MemoryError()
        try:
            for i in range(n):
                values[i] = _content(strings[i])
                size += values[i].size
            self._begin(&e, tag, step, walltime, display_name, description, size, WAITED)
            tbc_event_tensor(e.frame.to, e.at, &e.label, IMAGES, &tensor)
            self._end(&e)
        finally:
            free(values)

    def audio(self, tag, float sample_rate, int64_t channels, int64_t frames, size_t size, fill not None, step=None,
              walltime=None, display_name=None, description=None):
        """A WAV file of `size` bytes, which `fill` writes into a memoryview; answers what that does. It must keep
        nothing of it.

        sample_rate in Hz, frames: samples of each channel.
        """
        cdef entry e
        cdef uint8_t *to
        answer = None
        self._begin(&e, tag, step, walltime, display_name, description, size, FILLED)
        to = tbc_event_audio(e.frame.to, e.at, &e.label, sample_rate, channels, frames, size)
        if to != NULL:
            self._take_gil(&e)
            view = tbc_memoryview(<char *>to, size, PyBUF_WRITE)
            try:
                try:
                    answer = fill(view)
                finally:
                    view.release()
            except BaseException:
                self._abandon(&e)
                raise
        self._end(&e)
        return answer

    def text(self, tag, text, step=None, walltime=None, display_name=None, description=None):
        cdef entry e
        cdef tbc_bytes content
        cdef int64_t length = 1
        cdef tbc_tensor tensor = tbc_tensor(TBC_DT_STRING, &length, 1, &content, 1)
        if not isinstance(text, str):
            raise TypeError(f"{_shown(tag)!r}: text must be a str, got {text!r} of type {type(text).__name__}")
        _text(text, "text", &content)
        self._begin(&e, tag, step, walltime, display_name, description, content.size)
        tbc_event_tensor(e.frame.to, e.at, &e.label, TEXT, &tensor)
        self._end(&e)

    def tensor(self, tag, array, str dtype not None, step=None, walltime=None, display_name=None, description=None):
        """A tensor of any shape. array: contiguous, little-endian; dtype: one of TENSOR_DTYPES."""
        cdef entry e
        cdef Py_buffer view
        cdef int64_t[64] shape # PyBUF_MAX_NDIM
        cdef tbc_bytes values
        cdef tbc_tensor tensor
        cdef int i
        if dtype not in TENSOR_DTYPES:
            raise TypeError(f"a tensor holds numbers or bools, got an array of type {dtype}")
        PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
        try:
            if view.ndim > 64:
                raise ValueError(f"a tensor has at most 64 dimensions, got {view.ndim}")
            for i in range(view.ndim):
                shape[i] = view.shape[i]
            values = tbc_bytes(<const char *>view.buf, view.len)
            tensor = tbc_tensor(TENSOR_DTYPES[dtype], &shape[0], view.ndim, &values, 1)
            self._begin(&e, tag, step, walltime, display_name, description, view.len)
            tbc_event_tensor(e.frame.to, e.at, &e.label, TENSOR, &tensor)
            self._end(&e)
        finally:
            PyBuffer_Release(&view)

    def pr_curve(self, tag, bytes rows not None, step=None, walltime=None, display_name=None, description=None):
        """rows: six of them, of as many little-endian float32 each: tp, fp, tn, fn, precision, recall."""
        cdef entry e
        cdef tbc_bytes content = _bytes(rows)
        self._begin(&e, tag, step, walltime, display_name, description, content.size)
        tbc_event_pr_curve(e.frame.to, e.at, &e.label, content, content.size // (6 * sizeof(float)))
        self._end(&e)

    def summary(self, bytes summary not None, step=None, walltime=None):
        """A serialized Summary."""
        cdef entry e
        cdef tbc_bytes content = _bytes(summary)
        self._begin(&e, None, step, walltime, None, None, content.size)
        tbc_event_summary(e.frame.to, e.at, content)
        self._end(&e)


cdef class EventBuffer(EventEncoder):
    """Holds the event encoded last."""
    cdef tbc_buffer _buffer

    def __dealloc__(self):
        tbc_buffer_free(&self._buffer)

    cdef int _open(self, entry *e, size_t size, tbc_size counted, bint waited) except -1:
        tbc_buffer_free(&self._buffer)
        e.frame.to = &self._buffer
        e.thread = NULL
        return 0

    cdef int _end(self, entry *e) except -1:
        if self._buffer.status != TBC_OK:
            _raise(self._buffer.status)
        return 0

    def __bytes__(self):
        return PyBytes_FromStringAndSize(<char *>self._buffer.data, self._buffer.size)


cdef class EventRelay(EventBuffer):
    """Passes each event to relay(), which a subclass has."""

    cdef int _end(self, entry *e) except -1:
        EventBuffer._end(self, e)
        self.relay(bytes(self))
        return 0

    def relay(self, bytes event not None):
        raise NotImplementedError()


cdef str DROPPED = "the queue is full, events are dropped until the disk recovers (stats() counts them)"
cdef dict _policies = {"drop": TBC_DROP, "wait": TBC_WAIT, "raise": TBC_RAISE}
ON_DISK_ERROR = tuple(_policies) # the names


cdef class BaseEventFile(EventEncoder):
    """One event file at a time, and its queue; tbc.event_file knows where.

    A method that adds an event waits, without the GIL, while the queue is full; if the disk fails as well, it does what
    on_disk_error says. An event that finds no open file calls reopen().
    """
    cdef tbc_writer *_writer
    cdef str _attached # the path that was given with a descriptor

    def __cinit__(self, *args, **kwargs):
        self._writer = tbc_writer_new()
        if self._writer == NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self._writer == NULL:
            return
        try:
            self._flush()
        except OSError:
            if not sys.is_finalizing(): # for which event_file.py has warned
                raise
        finally:
            with nogil:
                tbc_writer_free(self._writer) # which keeps on trying

    cdef int _wait(self, tbc_status status, size_t size, tbc_size counted) except -1:
        """What to do about a status that is not TBC_OK before the call is made again."""
        if status == TBC_FULL:
            with nogil:
                status = tbc_writer_wait(self._writer, size, counted, SLICE_MS)
            if status != TBC_OK:
                _raise(status, self)
            PyErr_CheckSignals()
        elif status == TBC_CLOSED:
            if not self.reopen():
                _raise(status, self)
        else:
            _raise(status, self)
        return 0

    cdef int _open(self, entry *e, size_t size, tbc_size counted, bint waited) except -1:
        """Waits while the queue is full, unless the event has waited."""
        cdef tbc_status status = tbc_writer_begin(self._writer, &e.frame, size, counted, e.now, waited)
        while status != TBC_OK:
            self._wait(status, size, counted)
            status = tbc_writer_begin(self._writer, &e.frame, size, counted, e.now, waited)
        e.thread = tbc_release_gil() if counted == TBC_LARGE else NULL
        return 0

    cdef void _abandon(self, entry *e) noexcept:
        tbc_writer_abandon(self._writer, &e.frame)

    cdef int _end(self, entry *e) except -1:
        cdef tbc_status status
        if e.frame.to == &e.frame.own and e.thread == NULL: # it was filled in
            e.thread = tbc_release_gil()
        status = tbc_writer_end(self._writer, &e.frame)
        self._take_gil(e)
        if status == TBC_CLOSED:
            status = self._end_again(e)
        if status == TBC_FAILING:
            self.warn_once("events wait in memory until the disk recovers")
        elif status == TBC_DROPPED:
            self.warn_once(DROPPED)
        elif status != TBC_OK:
            _raise(status, self)
        return 0

    cdef tbc_status _end_again(self, entry *e) except *:
        """The file was closed while a large event was encoded."""
        cdef tbc_status status = TBC_CLOSED
        try:
            while status == TBC_CLOSED:
                self._wait(status, 0, TBC_LARGE)
                status = tbc_writer_end(self._writer, &e.frame)
        except BaseException:
            self._abandon(e)
            raise
        return status

    def event(self, bytes event not None, bint wait=True):
        """A serialized Event. wait: while the queue is full."""
        cdef entry e
        cdef tbc_bytes content = _bytes(event)
        e.now = _clock()
        self._open(&e, content.size, tbc_counted(content.size), not wait)
        tbc_buffer_append(e.frame.to, content.data, content.size)
        self._end(&e)

    @property
    def closed(self):
        """Whether there is no open file: after close(), and in a child process after a fork."""
        return not tbc_writer_is_open(self._writer)

    @property
    def path(self):
        """Of the event file; of the last one if it is closed."""
        cdef char[TBC_PATH_MAX] path
        if self._attached is not None:
            return self._attached
        tbc_writer_path(self._writer, path, TBC_PATH_MAX)
        return os.fsdecode(<bytes>path)

    def create(self, bytes directory not None, bytes suffix not None, str on_disk_error not None, unsigned linger_ms,
               bint later):
        """Makes an event file in a directory, unless one is open. Raises OSError.

        linger_ms: how long a record may wait for others to be written with, 100 at most.
        later: makes it as soon as possible, if not now; stats() has the error then.
        """
        cdef tbc_policy policy = _policies[on_disk_error]
        cdef EventBuffer version = EventBuffer()
        version.version()
        cdef bytes head = frame(bytes(version))
        cdef tbc_place place = tbc_place(directory, suffix, PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
        cdef tbc_status status
        with nogil:
            status = tbc_writer_open(self._writer, &place, policy, linger_ms, later)
        if status != TBC_OK:
            _raise(status, os.fsdecode(directory))

    def attach(self, int fd, str path not None, unsigned linger_ms, str on_disk_error not None="raise"):
        """Takes over a descriptor, of a pipe for one, unless it raises OSError because a thread cannot be started."""
        cdef tbc_policy policy = _policies[on_disk_error]
        cdef tbc_status status
        if not self.closed:
            raise ValueError(f"{self.path} must be closed before another file is opened")
        with nogil:
            status = tbc_writer_attach(self._writer, fd, policy, linger_ms)
        if status != TBC_OK:
            _raise(status, path)
        self._attached = path

    def raw_stats(self):
        """Return the fields of tbc.Stats, with errno in place of the error."""
        cdef tbc_stats stats = tbc_writer_stats(self._writer)
        return stats.queued, stats.written, stats.dropped, stats.retries, stats.rotations, stats.error

    def reserve(self, size_t size):
        """A Reservation of bytes that wait to be encoded."""
        cdef double now = _clock()
        cdef Reservation reservation = Reservation.__new__(Reservation) # first: without memory nothing is reserved
        cdef tbc_status status = tbc_writer_reserve(self._writer, size, now)
        while status != TBC_OK and status != TBC_DROPPED:
            self._wait(status, size, TBC_LARGE)
            status = tbc_writer_reserve(self._writer, size, now)
        if status == TBC_DROPPED:
            self.warn_once(DROPPED)
            reservation.dropped = True
            return reservation
        reservation._file = self
        reservation._size = size
        reservation._process = getpid()
        return reservation

    def reopen(self):
        """What an event does that finds no open file; whether there is one now."""
        _raise(TBC_CLOSED, self)

    def warn_once(self, str what not None):
        """What an event does that meets a disk that fails."""

    def flush(self, *, bint sync=False):
        """Returns when all events added so far can be read in the file; OSError if the disk does not take them.

        sync: when they are on the disk.
        """
        cdef tbc_status status = TBC_WAITING
        while status == TBC_WAITING:
            self._flush()
            status = TBC_OK
            if sync:
                with nogil:
                    status = tbc_writer_sync(self._writer, SLICE_MS)
            if status == TBC_WAITING:
                PyErr_CheckSignals()
        if status != TBC_OK:
            _raise(status, self)

    def close(self):
        """Flushes and closes the file. After an OSError of the flush the file is open still; again is fine."""
        cdef tbc_status status = TBC_WAITING
        self._flush()
        while status == TBC_WAITING:
            with nogil:
                status = tbc_writer_close(self._writer, SLICE_MS)
            if status == TBC_WAITING:
                PyErr_CheckSignals()
        if status != TBC_OK:
            _raise(status, self)

    cdef int _flush(self) except -1:
        cdef tbc_status status = TBC_WAITING
        cdef tbc_flush flush
        tbc_writer_flush_begin(self._writer, &flush)
        while status == TBC_WAITING:
            with nogil:
                status = tbc_writer_flush_wait(self._writer, &flush, SLICE_MS)
            if status == TBC_WAITING:
                PyErr_CheckSignals()
        if status != TBC_OK:
            _raise(status, self)
        return 0


@cython.no_gc_clear # whose file must be there to the end
cdef class Reservation:
    """Bytes that wait to be encoded, part of a file's queue until release(), or as long as this object lives.

    A traceback may keep it alive, so who reserves does it in a with statement, which releases it unless a job will (see
    hand_over).

    dropped: nothing is reserved, since the event is dropped that the bytes would become.
    """
    cdef readonly bint dropped
    cdef BaseEventFile _file
    cdef bint _is_a_jobs
    cdef size_t _size
    cdef int _process # the child of a fork has none of what its parent reserved

    def release(self):
        cdef BaseEventFile file = self._file
        self._file = None
        if file is not None and self._process == getpid():
            tbc_writer_release(file._writer, self._size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self._is_a_jobs:
            self.release()

    def __dealloc__(self):
        if self._file is not None and self._process == getpid():
            tbc_writer_release(self._file._writer, self._size)


def hand_over(job, Reservation reservation, set unfinished not None, queue):
    """Adds a job to a set and a queue, and gives it its reservation, if it has one.

    This is C: no signal handler, which may raise, runs between the steps.
    """
    unfinished.add(job)
    queue.put(job)
    if reservation is not None:
        reservation._is_a_jobs = True


# --- the writers ---

cdef unsigned _class_version(object self) noexcept:
    """A number that changes whenever the class of an object, or a base of it, is changed. 0 stands for no number."""
    return Py_TYPE(self).tp_version_tag


cdef class BaseFileWriter:
    """The base of tbc.FileWriter, which has an event file.

    _event_file: the BaseEventFile. Events go there directly unless _is_overridden() says that they have to pass through
    methods of a subclass, or of the object. Its answer is kept until the object or its class changes: SummaryWriter
    needs it for each event.
    """
    cdef public BaseEventFile _event_file
    cdef unsigned _decided # the _class_version for which _overridden holds; 0: for none
    cdef bint _overridden

    def __setattr__(self, name, value):
        self._decided = 0
        PyObject_GenericSetAttr(self, name, value)

    def __delattr__(self, name):
        self._decided = 0
        PyObject_GenericSetAttr(self, name, <object>NULL)

    def _is_overridden(self):
        return False

    cdef bint _relays(self) except -1:
        """Whether events pass through add_event or add_summary; else they go to _event_file, which is there."""
        if self._decided == 0 or self._decided != _class_version(self):
            self._overridden = self._is_overridden()
            if self._event_file is None and not self._overridden:
                raise RuntimeError(f"{type(self).__name__}.__init__ must call that of tbc.FileWriter")
            self._decided = _class_version(self)
        return self._overridden


cdef double _number(value, tag, key) except? -1:
    """tag, key: for the messages; the key may be None."""
    return PyFloat_AS_DOUBLE(value) if type(value) is float else convert.scalar(value, tag, key)


cdef int _check_items(scalars, tag) except -1:
    if type(scalars) is not dict and not hasattr(scalars, "items"):
        got = f"{scalars!r} of type {type(scalars).__name__}"
        raise AttributeError(f"{tag!r}: tag_scalar_dict must be a dict of key -> number, got {got}") # as in torch
    return 0


cdef class BaseSummaryWriter:
    """The base of tbc.SummaryWriter: what is called most often, at the cost of a C function.

    enabled: whether anything is logged at all.
    file_writer: the open FileWriter, or None; _get_file_writer(), of the subclass, opens one. Others may put any object
    with the methods of torch's FileWriter there, and replace or override _get_file_writer.
    """
    cdef public bint enabled
    cdef public object file_writer
    cdef public dict _runs # of add_scalars: main_tag -> key -> FileWriter
    cdef BaseFileWriter _known # what _get_file_writer() gives, as long as neither this object nor its class is changed
    cdef unsigned _decided # the _class_version for which _known holds

    def __cinit__(self, *args, **kwargs):
        if kwargs:
            errors.check_keywords(type(self).__init__, kwargs) # here, since programs look into __init__'s own code
        self._runs = {}

    def __setattr__(self, name, value):
        self._known = None
        PyObject_GenericSetAttr(self, name, value)

    def __delattr__(self, name):
        self._known = None
        PyObject_GenericSetAttr(self, name, <object>NULL)

    cdef EventEncoder _run_encoder(self):
        """Return what encodes the events of the run."""
        if self._known is None or self._decided != _class_version(self):
            file = self._get_file_writer()
            self._known = file if isinstance(file, BaseFileWriter) and self._finds_itself() else None
            self._decided = _class_version(self)
            return self._encoder_of(file)
        cdef BaseFileWriter known = self._known # which a method of it, or another thread, may change
        return known._event_file if not known._relays() else self._relay(known)

    cdef EventEncoder _encoder_of(self, writer):
        """Return what encodes the events for a file writer: its file, or what passes them on to its methods."""
        if isinstance(writer, BaseFileWriter):
            return self._relay(writer) if (<BaseFileWriter>writer)._relays() else (<BaseFileWriter>writer)._event_file
        return writer if isinstance(writer, EventEncoder) else self._relay(writer)

    def _encoder(self, writer=None):
        """Return what encodes the events for a file writer, or by default for that of the run."""
        return self._run_encoder() if writer is None else self._encoder_of(writer)

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None, new_style=False, double_precision=False,
                   *, display_name=None, description=None):
        """Logs one number.

        tag: the name of the curve; slashes group curves.
        scalar_value: a number, a string of a number, or an array or tensor of one element. Stored as float32.
        global_step: an integer, or what int() takes; fits 64 bits. None is 0.
        walltime: seconds since 1970, now by default.
        new_style: stores a tensor, as TensorFlow 2 does, instead of a simple_value.
        double_precision: with new_style, stores float64.
        display_name, description: shown with the curve; the description may be Markdown.

        Raises NotImplementedError for a value that is not a number, AssertionError for more than one element (both as
        torch does), TypeError for a tag that is not text, ValueError for a step or walltime that cannot be stored.
        """
        cdef entry e
        cdef double value
        if not self.enabled:
            return
        value = _number(scalar_value, tag, None)
        cdef EventEncoder file = self._run_encoder()
        _check(&e, tag, global_step, walltime, display_name, description)
        file._scalar(&e, value, new_style, double_precision)

    def add_scalars(self, main_tag, tag_scalar_dict, global_step=None, walltime=None, *, separate_runs=True,
                    display_name=None, description=None):
        """Logs several numbers as curves of one chart.

        Each key is a run of its own, in the directory <log_dir>/<main_tag>_<key>, where it logs its number under
        main_tag; this is how TensorBoard draws them together. (Slashes in main_tag become underscores there.)

        tag_scalar_dict: key -> number, as add_scalar takes it. Nothing is logged if one of them is wrong.
        separate_runs: False makes no runs, directories and files, but curves <main_tag>/<key> of this run, in charts of
        their own (add_custom_scalars_multilinechart draws them together), and takes no display_name and description.
        """
        cdef entry e
        cdef EventEncoder file
        cdef double value
        cdef dict scalars, files
        if not self.enabled:
            return
        _check(&e, main_tag, global_step, walltime, display_name, description)
        _check_items(tag_scalar_dict, main_tag)
        if not separate_runs:
            if display_name or description:
                raise TypeError("curves of one event take no display_name and description")
            metrics = {f"{main_tag}/{key}": number for key, number in tag_scalar_dict.items()}
            return self.add_metrics(metrics, e.at.step, e.at.wall_time)
        scalars = {key: _number(number, main_tag, key) for key, number in tag_scalar_dict.items()}
        self._run_encoder() # a new one starts with no runs
        files = self._runs.setdefault(main_tag, {})
        if self._known is None: # the directory of the run may be another one
            files = self._run_writers(main_tag, scalars)
        elif not files.keys() >= scalars.keys():
            files.update(self._run_writers(main_tag, scalars))
        for key, value in scalars.items():
            file = self._encoder_of(files[key])
            file._scalar(&e, value, False, False)

    def add_text(self, tag, text_string, global_step=None, walltime=None, *, display_name=None, description=None):
        """Logs text, which TensorBoard shows as Markdown; its tag gets the suffix "/text_summary", as in torch."""
        if not self.enabled:
            return
        if not isinstance(tag, str):
            raise TypeError(f"a tag must be text, got {tag!r} of type {type(tag).__name__}")
        self._run_encoder().text(tag + "/text_summary", text_string, global_step, walltime, display_name, description)
