"""The seam between Python and csrc/: check the arguments, make one C call, turn its status into an exception.

No Python code may run between _begin and _end: for a small event the lock of the queues is held there, for a large one
the GIL is released. The exception is a sound. Python fills it in, without the lock, after _take_gil has the GIL back.
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

cdef unsigned SLICE_MS = 100        # a wait looks for Ctrl-C this often; a write in the calling thread may take longer
cdef size_t SMALL = 1               # stands for the size of an event of a few fields: the limit is not that exact
cdef size_t WORTH_RELEASING = 20000 # _count releases the GIL for this many values or more


cdef int _raise(tbc_status status, where=None) except -1:
    """Raise the exception for a status. where: a path, or the BaseEventFile that has it."""
    cdef int error = errno # read first: other calls may change it
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
    """Point `out` to the UTF-8 of a str, or to valid UTF-8 in bytes; None is empty. The object must outlive `out`.

    name: what messages call the text. Raise TypeError for other types, UnicodeError for text that is not valid UTF-8.
    """
    cdef Py_ssize_t size = 0
    if isinstance(text, str):
        out.data = tbc_utf8(text, &size)
        if out.data == NULL:
            _not_utf8(text, name)
    elif text is None:
        out.data = ""
    elif isinstance(text, bytes):
        bytes.decode(text, "utf-8") # raises if it is not UTF-8, for which readers would drop the whole event
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
    """Bytes that are joined and freed without the GIL. (For bytes objects the GIL is held, for 0.1 s a GB.)

    It supports the buffer protocol. After the first view, add() raises BufferError.

    size: the initial length; these bytes are undefined until they are written.
    """
    cdef tbc_buffer _buffer
    cdef bint _complete # a view of the buffer was made, so the bytes must not move

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
    """Return the content of an image file, which is bytes or LargeBytes."""
    if type(file) is LargeBytes:
        return tbc_bytes(<const char *>(<LargeBytes>file)._buffer.data, (<LargeBytes>file)._buffer.size)
    if not isinstance(file, bytes):
        raise TypeError(f"a file must be bytes, got {file!r:.200} of type {type(file).__name__}")
    return _bytes(file)


cdef double _clock() noexcept:
    """Return the time in seconds since 1970."""
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return now.tv_sec + 1e-9 * now.tv_nsec


cdef tuple STAMP = ("global_step", "walltime")


cdef int _stamp(object tag, object step, object walltime, tbc_stamp *out, tuple names) except -1:
    """Check a step and a walltime, and set `out` to them. tag, names: for the messages."""
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
    """Return a tag for a message, without the suffix that add_text appends."""
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
    double now # the time of the call; at.wall_time is the walltime that the caller passed
    tbc_label label
    tbc_frame frame
    PyThreadState *thread # this thread, while the GIL is released for a large event; else NULL


cdef enum manner: # how an event gets its content
    AT_ONCE
    WAITED # what it is made of had a Reservation, so the event does not wait for room
    FILLED # Python writes its bytes between _begin and _end, after _take_gil


cdef int _check(entry *out, tag, step, walltime, display_name, description) except -1:
    _label(tag, display_name, description, &out.label)
    _stamp(tag, step, walltime, &out.at, STAMP)
    out.now = out.at.wall_time if walltime is None else _clock()
    return 0


def check_label(tag, display_name=None, description=None):
    """Raise TypeError unless these are str, bytes or None, UnicodeError unless they are valid UTF-8."""
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
    """Return the CRC-32C of a bytes-like object. path: the implementation, one of crc32c_paths()."""
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
        raise ValueError(f"path must be one of {', '.join(crc32c_paths())}, got {path!r}")
    finally:
        PyBuffer_Release(&view)


def crc32c_paths():
    """Return the names of the CRC-32C implementations that this processor can run, the fastest last."""
    cdef const tbc_crc32c_path *paths
    cdef size_t i, n = tbc_crc32c_paths(&paths)
    return [paths[i].name.decode() for i in range(n)]


def frame(bytes data not None):
    """Return `data` as one TFRecord."""
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
    """Set `out` to the type of that name. Raise ValueError if the values of `view` have another size."""
    out[0] = _dtypes[name]
    if <size_t>view.itemsize != tbc_dtype_size(out[0]):
        raise ValueError(f"values of {name} must have {tbc_dtype_size(out[0])} bytes each, got {view.itemsize}")
    return 0


cdef class Values:
    """An array in the form that the kernels read.

    values: contiguous or of one dimension; dtype: the name of its type, "bfloat16" for 16-bit integers that hold one.
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
    """Count an array on the default edges.

    values: an array that is contiguous or of one dimension, not empty; dtype: "f8", "f4", "f2", "bfloat16" (as 16-bit
    integers), "i1" to "u8" or "b1". Return three things: (min, max, num, sum, sum_squares) of the finite values; the
    number of values that are not finite; the counts between the edges, as the bytes of doubles, one fewer than edges.
    Values beyond the outermost edges count in the outermost buckets. Raise ValueError for an empty array.
    """
    cdef tbc_histogram h
    cdef double[TBC_EDGES] counts
    _count(&h, values, dtype)
    memset(counts, 0, sizeof(counts))
    memcpy(counts + h.first, h.counts + h.first, (h.last - h.first + 1) * sizeof(double))
    return ((h.min, h.max, <double>h.num, h.sum, h.sum_squares), h.not_finite,
            PyBytes_FromStringAndSize(<char *>(counts + 1), sizeof(double) * (TBC_EDGES - 1)))


def count_between(values, str dtype not None, const double[::1] edges not None):
    """Count an array in the bins between ascending edges, as numpy.histogram does.

    values, dtype: as in `count`. Return the counts as the bytes of doubles, one fewer than there are edges.
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
    """Count positives and negatives from each threshold to the next; the last threshold is 1.

    predictions, labels, weights: (array of one dimension, name of its type as in `count`), of one length; weights may
    be None. Return the counts of the positives and of the negatives (each the bytes of one double a threshold), the
    number of skipped examples, and the number of predictions above 1.
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
        lengths = f"{p.n}, {l.n} and {p.n if w is None else w.n}"
        raise ValueError(f"predictions, labels and weights must be of one length, got {lengths}")
    with nogil:
        tbc_pr_curve_count(&curve, &p.array, &l.array, factors, p.n)
    return positives, negatives, curve.left_out, curve.above


def tsv(values):
    """Return a contiguous matrix of float32 as text: a line for each row, with tabs between the numbers."""
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
    """Copy images of one size into a grid, row by row.

    uint8 is copied. Other types are multiplied by 255, cut to 0 to 255 and rounded down; NaN becomes 0. Places without
    an image are not written.

    images: (frames, images per frame, height, width, channels), 1 to 4 channels, with any strides; dtype: the name of
    their type as in `count`; out: (frames, height, width, channels) of uint8, contiguous; the images fill its first
    places. in_double: multiply as float64, not as float32.
    """
    cdef uint8_t[:, :, :, ::1] pixels = out
    cdef Py_buffer view
    cdef tbc_tiles tiles
    cdef tbc_dtype kind
    cdef bint are_pixels = dtype == "u1"
    PyObject_GetBuffer(images, &view, PyBUF_STRIDES)
    try:
        if view.ndim != 5 or view.len == 0 or view.shape[4] > TBC_CHANNELS:
            raise ValueError(f"images must have five dimensions, none of size 0, and at most {TBC_CHANNELS} channels")
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


TENSOR_DTYPES = { # kind and bytes of a type ("f4": a float of 4) -> DataType of types.proto
    "f4": TBC_DT_FLOAT, "f8": TBC_DT_DOUBLE, "i4": 3, "u1": 4, "i2": 5, "i1": 6, "c8": 8, "i8": 9, "b1": 10, "u2": 17,
    "c16": 18, "f2": 19, "u4": 22, "u8": 23,
}


# --- events ---

def set_queue_limit(size_t limit):
    """Set how many bytes of small events, and of large things, may wait in this process; by default 64 MiB of each.

    See csrc/queue.h for what may exceed the limit.
    """
    tbc_queue_set_limit(limit)


def leave():
    """From now on flush() raises TimeoutError if the thread's current write has lasted 10 s; called at exit."""
    tbc_writer_leave()


def before_fork():
    with nogil:
        tbc_writer_pause()


def after_fork_in_parent():
    with nogil:
        tbc_writer_resume()


cdef tbc_bytes IMAGES = tbc_bytes("images", 6), TEXT = tbc_bytes("text", 4), TENSOR = tbc_bytes("tensor", 6) # plugins


cdef class EventEncoder:
    """Encodes events, with a method for each kind. The subclasses BaseEventFile and EventBuffer store the events.

    Every method raises TypeError for a tag, display_name or description that is not text (None is empty text),
    UnicodeError for text that is not valid UTF-8, ValueError or TypeError for a step or walltime that cannot be stored,
    ValueError for an event of 2 GiB or more, MemoryError, and OSError from a file.
    """

    cdef int _open(self, entry *e, size_t size, tbc_size counted, bint waited) except -1:
        """Open a frame for an event with `size` bytes of content.

        A file then holds the lock of the queues or, for a large event, has released the GIL; _end undoes that.
        """
        raise NotImplementedError()

    cdef int _end(self, entry *e) except -1:
        """Close the frame."""
        raise NotImplementedError()

    cdef int _begin(self, entry *e, tag, step, walltime, display_name, description, size_t size,
                    manner how=AT_ONCE) except -1:
        """Check what every event has, and open a frame. The caller appends the event to e.frame.to and calls _end."""
        _check(e, tag, step, walltime, display_name, description)
        return self._open(e, size, TBC_LARGE if how == FILLED else tbc_counted(size), how == WAITED)

    cdef void _take_gil(self, entry *e) noexcept:
        if e.thread != NULL:
            tbc_take_gil(e.thread)
            e.thread = NULL

    cdef void _abandon(self, entry *e) noexcept:
        """Drop the event; called in place of _end if filling it in failed."""

    cdef int _scalar(self, entry *e, double value, bint new_style, bint double_precision) except -1:
        """Encode a number; _check has been called."""
        self._open(e, SMALL, TBC_SMALL, False)
        if not new_style:
            tbc_event_scalar(e.frame.to, e.at, &e.label, <float>value)
        elif double_precision:
            tbc_event_scalar_double(e.frame.to, e.at, &e.label, value)
        else:
            tbc_event_scalar_float(e.frame.to, e.at, &e.label, <float>value)
        return self._end(e)

    def version(self, step=None):
        """Encode the event that every file starts with."""
        cdef entry e
        self._begin(&e, None, step, None, None, None, SMALL)
        tbc_event_version(e.frame.to, e.at)
        self._end(&e)

    def session_start(self, step):
        """Encode a session start: readers drop what earlier files of the run hold from this step on."""
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
        """Encode many numbers in one event. scalars: tag -> number."""
        cdef entry e
        cdef dict all = scalars.copy() # a __float__ or __index__ cannot change it; it keeps the tags' text alive
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
        """Encode a histogram of an array on the default edges (see `count`). Return how many values are not finite."""
        cdef entry e
        cdef tbc_histogram h
        cdef tbc_moments moments
        _count(&h, values, dtype)
        moments = tbc_moments(h.min, h.max, <double>h.num, h.sum, h.sum_squares)
        cdef size_t n = h.last - h.first + 1
        self._begin(&e, tag, step, walltime, display_name, description, 2 * sizeof(double) * n)
        tbc_event_histogram(e.frame.to, e.at, &e.label, &moments, tbc_histogram_edges() + h.first, h.counts + h.first,
                            n)
        self._end(&e)
        return h.not_finite

    def histogram_raw(self, tag, moments, limits, counts, step=None, walltime=None, display_name=None,
                      description=None):
        """Encode a histogram from counts.

        moments: min, max, num, sum, sum_squares; limits, counts: contiguous arrays of doubles, of one length.
        """
        cdef entry e
        cdef tbc_moments m
        cdef Values limit = Values(limits, "f8"), count = Values(counts, "f8")
        m.min, m.max, m.num, m.sum, m.sum_squares = moments
        if limit.n != count.n or limit.array.stride != sizeof(double) or count.array.stride != sizeof(double):
            raise ValueError(f"limits and counts must be contiguous and of one length, got {limits!r}, {counts!r}")
        self._begin(&e, tag, step, walltime, display_name, description, 2 * limit.n * sizeof(double))
        tbc_event_histogram(e.frame.to, e.at, &e.label, &m, <const double *>limit.view.buf,
                            <const double *>count.view.buf, limit.n)
        self._end(&e)

    def image(self, tag, int32_t height, int32_t width, int32_t colorspace, file, step=None,
              walltime=None, display_name=None, description=None):
        """Encode an image file, bytes or LargeBytes. It does not wait for room: its pixels had a Reservation.

        colorspace: the number of channels.
        """
        cdef entry e
        cdef tbc_bytes content = _content(file)
        self._begin(&e, tag, step, walltime, display_name, description, content.size, WAITED)
        tbc_event_image(e.frame.to, e.at, &e.label, height, width, colorspace, content)
        self._end(&e)

    def images(self, tag, int32_t height, int32_t width, list files not None, step=None, walltime=None,
               display_name=None, description=None):
        """Encode image files of one size as TensorFlow 2 does: a tensor of width and height as text, then the files.

        TensorBoard shows them one by one. They do not wait for room, as in `image`.
        """
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
        """Encode a WAV file of `size` bytes: call fill(memoryview), which writes them, and return its result.

        A dropped event returns None without a call of `fill`. If `fill` raises, the event is dropped.
        fill: must not keep the memoryview. sample_rate: in Hz. frames: the number of samples of each channel.
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
        """Encode a tensor of any shape. array: contiguous, little-endian; dtype: one of TENSOR_DTYPES."""
        cdef entry e
        cdef Py_buffer view
        cdef int64_t[64] shape # PyBUF_MAX_NDIM
        cdef tbc_bytes values
        cdef tbc_tensor tensor
        cdef int i
        if dtype not in TENSOR_DTYPES:
            raise TypeError(f"a tensor must hold numbers or bools, got an array of type {dtype}")
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
        """Encode a PR curve. rows: tp, fp, tn, fn, precision and recall, of one length, as little-endian float32."""
        cdef entry e
        cdef tbc_bytes content = _bytes(rows)
        self._begin(&e, tag, step, walltime, display_name, description, content.size)
        tbc_event_pr_curve(e.frame.to, e.at, &e.label, content, content.size // (6 * sizeof(float)))
        self._end(&e)

    def summary(self, bytes summary not None, step=None, walltime=None):
        """Encode an event of a serialized Summary."""
        cdef entry e
        cdef tbc_bytes content = _bytes(summary)
        self._begin(&e, None, step, walltime, None, None, content.size)
        tbc_event_summary(e.frame.to, e.at, content)
        self._end(&e)


cdef class EventBuffer(EventEncoder):
    """Holds the last encoded event in memory."""
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
    """Passes each event to relay(), which a subclass defines."""

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
    """One event file at a time, and its queue. The subclass tbc.event_file.EventFile knows the directory.

    A method that adds an event waits, without the GIL, while the queue is full (`image` and `images` do not), and while
    another thread closes the file. If the queue is full and the disk fails, on_disk_error decides. If no file is open,
    the method calls reopen().
    """
    cdef tbc_writer *_writer
    cdef str _attached # the path that attach() got with a descriptor

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
            if not sys.is_finalizing(): # event_file.py has warned at exit
                raise
        finally:
            with nogil:
                tbc_writer_free(self._writer) # keeps trying to write what is queued

    cdef int _wait(self, tbc_status status, size_t size, tbc_size counted) except -1:
        """Handle a status that is not TBC_OK: wait or reopen the file, so that the caller can try again, or raise."""
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
        """Open a frame; wait while another thread closes the file and, unless `waited`, while the queue is full."""
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
        if e.frame.to == &e.frame.own and e.thread == NULL: # Python filled in a large event: it has the GIL
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
        """Add a large event to a new file, since the file was closed while the event was encoded."""
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
        """Add a serialized Event. wait: False adds it even if the queue is full."""
        cdef entry e
        cdef tbc_bytes content = _bytes(event)
        e.now = _clock()
        self._open(&e, content.size, tbc_counted(content.size), not wait)
        tbc_buffer_append(e.frame.to, content.data, content.size)
        self._end(&e)

    @property
    def closed(self):
        """Return whether no file is open: before create() or attach(), after close(), and in the child of a fork.

        After create(later=True) it is False, even if there is no file yet.
        """
        return not tbc_writer_is_open(self._writer)

    @property
    def path(self):
        """The path of the event file; if it is closed, of the last one; "" before the first one."""
        cdef char[TBC_PATH_MAX] path
        if self._attached is not None:
            return self._attached
        tbc_writer_path(self._writer, path, TBC_PATH_MAX)
        return os.fsdecode(<bytes>path)

    def create(self, bytes directory not None, bytes suffix not None, str on_disk_error not None, unsigned linger_ms,
               bint later):
        """Make an event file in a directory, unless one is open. Raise OSError if the file cannot be made.

        linger_ms: how long a record may wait for others to be written with it, at most 100.
        later: True tries again in place of raising; while events are queued, raw_stats() has the errno.
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
        """Write to a descriptor, such as a pipe's, and own it from now on.

        If no thread can be started, raise OSError; the caller still owns the descriptor.
        """
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
        """Reserve room for data that will be encoded later; wait while the queue is full.

        If the event has to be dropped, the Reservation that is returned has dropped=True.
        """
        cdef double now = _clock()
        cdef Reservation reservation = Reservation.__new__(Reservation) # first: if this fails, nothing is reserved
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
        """Raise OSError (EBADF). Subclasses open a file for an event that finds none, and return whether they did."""
        _raise(TBC_CLOSED, self)

    def warn_once(self, str what not None):
        """Do nothing. Called for each event that waits or is dropped because the disk fails. Subclasses override it."""

    def flush(self, *, bint sync=False):
        """Return when all events added so far can be read in the file. Raise OSError if the disk rejects them.

        sync: True returns when they are on the disk.
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
        """Flush and close the file. After an OSError of a write, or Ctrl-C, the file stays open: call close() again.

        If only close(2) fails, OSError is raised and the file is closed.
        """
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


@cython.no_gc_clear # __dealloc__ needs _file
cdef class Reservation:
    """Bytes that wait to be encoded. They count in the file's queue until release(), or until this object is freed.

    A traceback can keep this object alive. So reserve in a with statement: its end releases the bytes, unless hand_over
    gave that duty to a job.

    dropped: True if the queue was full and the event has to be dropped; then nothing is reserved.
    """
    cdef readonly bint dropped
    cdef BaseEventFile _file
    cdef bint _handed_over
    cdef size_t _size
    cdef int _process # the one that made the reservation: a forked child must not release it

    def release(self):
        cdef BaseEventFile file = self._file
        self._file = None
        if file is not None and self._process == getpid():
            tbc_writer_release(file._writer, self._size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self._handed_over:
            self.release()

    def __dealloc__(self):
        if self._file is not None and self._process == getpid():
            tbc_writer_release(self._file._writer, self._size)


def hand_over(job, Reservation reservation, set unfinished not None, queue):
    """Add a job to a set and a queue, and leave the release of its reservation, if it has one, to the job.

    This is C, so no signal handler, which may raise, runs between the steps.
    """
    unfinished.add(job)
    queue.put(job)
    if reservation is not None:
        reservation._handed_over = True


# --- the writers ---

cdef unsigned _class_version(object self) noexcept:
    """Return CPython's version tag of the object's class. After a change of the class or of a base it is 0, and later
    another number, so 0 is no key for a cache."""
    return Py_TYPE(self).tp_version_tag


cdef class BaseFileWriter:
    """The base of tbc.FileWriter, which has an event file.

    _event_file: the BaseEventFile. Events go there directly, unless _is_overridden() says that a subclass, or the
    object, has methods that must see them. The answer is cached until the object or its class changes, since each event
    needs it.
    """
    cdef public BaseEventFile _event_file
    cdef unsigned _decided # the _class_version for which _overridden is valid; 0: for none
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
        """Return whether events pass through add_event or add_summary. If not, _event_file, not None, takes them."""
        if self._decided == 0 or self._decided != _class_version(self):
            self._overridden = self._is_overridden()
            if self._event_file is None and not self._overridden:
                raise RuntimeError(f"{type(self).__name__}.__init__ must call tbc.FileWriter.__init__")
            self._decided = _class_version(self)
        return self._overridden


cdef double _number(value, tag, key) except? -1:
    """Convert a value as convert.scalar does. tag, key: for the messages; the key may be None."""
    return PyFloat_AS_DOUBLE(value) if type(value) is float else convert.scalar(value, tag, key)


cdef int _check_items(scalars, tag) except -1:
    if type(scalars) is not dict and not hasattr(scalars, "items"):
        got = f"{scalars!r} of type {type(scalars).__name__}"
        raise AttributeError(f"{tag!r}: tag_scalar_dict must be a dict of key -> number, got {got}") # as in torch
    return 0


cdef class BaseSummaryWriter:
    """The base of tbc.SummaryWriter: the methods that are called most often, as fast as C functions.

    enabled: False logs nothing.
    file_writer: the open FileWriter, or None; _get_file_writer(), of the subclass, opens one. Programs may put any
    object with the methods of torch's FileWriter there, and replace or override _get_file_writer.
    """
    cdef public bint enabled
    cdef public object file_writer
    cdef public dict _runs # of add_scalars: main_tag -> key -> FileWriter
    cdef BaseFileWriter _known # the result of _get_file_writer(), until this object or its class changes; or None
    cdef unsigned _decided # the _class_version for which _known is valid

    def __cinit__(self, *args, **kwargs):
        if kwargs:
            errors.check_keywords(type(self).__init__, kwargs) # not in __init__: programs inspect its signature
        self._runs = {}

    def __setattr__(self, name, value):
        self._known = None
        PyObject_GenericSetAttr(self, name, value)

    def __delattr__(self, name):
        self._known = None
        PyObject_GenericSetAttr(self, name, <object>NULL)

    cdef EventEncoder _run_encoder(self):
        """Return the EventEncoder for the events of the run."""
        if self._known is None or self._decided == 0 or self._decided != _class_version(self):
            file = self._get_file_writer()
            self._known = file if isinstance(file, BaseFileWriter) and self._finds_itself() else None
            self._decided = _class_version(self)
            return self._encoder_of(file)
        cdef BaseFileWriter known = self._known # a second reference: _relays(), or another thread, may change the first
        return known._event_file if not known._relays() else self._relay(known)

    cdef EventEncoder _encoder_of(self, writer):
        """Return the EventEncoder for a file writer: itself if it is one; its file; or a Relay to its methods."""
        if isinstance(writer, BaseFileWriter):
            return self._relay(writer) if (<BaseFileWriter>writer)._relays() else (<BaseFileWriter>writer)._event_file
        return writer if isinstance(writer, EventEncoder) else self._relay(writer)

    def _encoder(self, writer=None):
        """Return the EventEncoder for a file writer, by default for that of the run."""
        return self._run_encoder() if writer is None else self._encoder_of(writer)

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None, new_style=False, double_precision=False,
                   *, display_name=None, description=None):
        """Logs one number.

        tag: the name of the curve; slashes group curves.
        scalar_value: a number, a string of a number, or an array or tensor of one element. Stored as float32.
        global_step: an integer, or what int() takes, that fits a signed 64-bit integer. None is 0.
        walltime: seconds since 1970; now by default.
        new_style: stores a tensor, as TensorFlow 2 does, instead of a simple_value.
        double_precision: with new_style, stores float64.
        display_name, description: text that is shown with the curve; the description may be Markdown.

        Raises NotImplementedError for a value that is not a number, AssertionError for more or fewer elements than one
        (both as torch does), ValueError for text that is not a number, TypeError for a complex number and a tag that is
        not text, ValueError or TypeError for a step or walltime that cannot be stored.
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
        """Logs several numbers, by default as curves of one chart.

        Each key becomes a run, in the directory <log_dir>/<main_tag>_<key>, which logs the number under main_tag. So
        TensorBoard draws all keys in one chart. Slashes in main_tag become underscores in the directory's name.

        tag_scalar_dict: key -> number, as add_scalar takes it. If one of them is wrong, nothing is logged.
        separate_runs: False logs curves <main_tag>/<key> of this run instead, and makes no runs, directories and files.
        Each curve has its own chart (add_custom_scalars_multilinechart joins them), and no display_name or description.
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
                raise TypeError(f"{main_tag!r}: separate_runs=False takes no display_name and description")
            metrics = {f"{main_tag}/{key}": number for key, number in tag_scalar_dict.items()}
            return self.add_metrics(metrics, e.at.step, e.at.wall_time)
        scalars = {key: _number(number, main_tag, key) for key, number in tag_scalar_dict.items()}
        self._run_encoder() # if it opens a new file, it empties _runs
        files = self._runs.setdefault(main_tag, {})
        if self._known is None: # each call of _get_file_writer() may return another directory
            files = self._run_writers(main_tag, scalars)
        elif not files.keys() >= scalars.keys():
            files.update(self._run_writers(main_tag, scalars))
        for key, value in scalars.items():
            file = self._encoder_of(files[key])
            file._scalar(&e, value, False, False)

    def add_text(self, tag, text_string, global_step=None, walltime=None, *, display_name=None, description=None):
        """Logs text, which TensorBoard shows as Markdown. The tag gets the suffix "/text_summary", as in torch."""
        if not self.enabled:
            return
        if not isinstance(tag, str):
            raise TypeError(f"a tag must be text, got {tag!r} of type {type(tag).__name__}")
        self._run_encoder().text(tag + "/text_summary", text_string, global_step, walltime, display_name, description)
