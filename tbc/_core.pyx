"""The seam between Python and csrc/: check the arguments, make one C call, turn its status into an exception.

Nothing that runs Python happens between _begin and _end, where the lock of the queues is held.
"""

from cpython.buffer cimport (PyBUF_ANY_CONTIGUOUS, PyBUF_SIMPLE, PyBUF_STRIDES, PyBuffer_IsContiguous, PyBuffer_Release,
                             PyObject_GetBuffer)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.errno cimport errno
from libc.math cimport isfinite
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

import errno as errno_codes
import os

from tbc import convert

cdef unsigned SLICE_MS = 100        # how long a wait may keep Ctrl-C waiting
cdef size_t SMALL = 1               # the size of an event of a few fields: the limit is not that exact
cdef size_t WORTH_RELEASING = 20000 # values to count, from which on other threads should get the GIL


cdef int _raise(tbc_status status, path=None) except -1:
    cdef int error = errno
    if status == TBC_NO_MEMORY:
        raise MemoryError()
    if status == TBC_ERRNO:
        raise OSError(error, os.strerror(error), path)
    if status == TBC_CLOSED:
        raise OSError(errno_codes.EBADF, tbc_strerror(status).decode(), path)
    raise ValueError(tbc_strerror(status).decode())


# --- arguments ---

cdef int _text(object text, tbc_bytes *out) except -1:
    cdef Py_ssize_t size = 0
    if isinstance(text, str):
        out.data = PyUnicode_AsUTF8AndSize(text, &size)
    elif text is None:
        out.data = ""
    elif isinstance(text, bytes):
        text.decode("utf-8") # readers drop the whole event if it is not
        out.data = PyBytes_AS_STRING(text)
        size = PyBytes_GET_SIZE(text)
    else:
        raise TypeError(f"a tag must be text, got {text!r} of type {type(text).__name__}")
    out.size = size
    return 0


cdef tbc_bytes _bytes(bytes data):
    return tbc_bytes(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef int _stamp(object step, object walltime, tbc_stamp *out) except -1:
    cdef timespec now
    if step is None:
        out.step = 0
    else:
        try:
            out.step = step if type(step) is int else int(step)
        except OverflowError:
            raise ValueError(f"global_step must fit a signed 64-bit integer, got {step!r}") from None
    if walltime is None:
        clock_gettime(CLOCK_REALTIME, &now)
        out.wall_time = now.tv_sec + 1e-9 * now.tv_nsec
    else:
        out.wall_time = float(walltime)
        if not isfinite(out.wall_time):
            raise ValueError(f"walltime must be finite, in seconds since 1970, got {walltime!r}")
    return 0


def check(tag, step, walltime):
    """The (step, walltime) an event would be stored with, for one that is encoded later; raises what that would."""
    cdef tbc_bytes name
    cdef tbc_stamp at
    _text(tag, &name)
    _stamp(step, walltime, &at)
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
        tbc_event_encoded(&buffer, _bytes(data))
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


cdef int _count(tbc_histogram *out, object values, str dtype) except -1:
    cdef Py_buffer view
    cdef tbc_dtype kind = _dtypes[dtype]
    cdef size_t n
    cdef ptrdiff_t stride
    PyObject_GetBuffer(values, &view, PyBUF_STRIDES)
    try:
        n, stride = view.len // view.itemsize, view.itemsize
        if <size_t>view.itemsize != tbc_dtype_size(kind):
            raise ValueError(f"values of {view.itemsize} bytes each are not {dtype}")
        if view.ndim == 1:
            stride = view.strides[0]
        elif not PyBuffer_IsContiguous(&view, b"A"):
            raise ValueError("values must be contiguous or of one dimension")
        if n == 0:
            raise ValueError("a histogram needs at least one value, the array is empty")
        if n < WORTH_RELEASING:
            tbc_histogram_count(out, view.buf, n, stride, kind)
        else:
            with nogil:
                tbc_histogram_count(out, view.buf, n, stride, kind)
    finally:
        PyBuffer_Release(&view)
    return 0


def default_edges():
    """The 1549 edges of TensorFlow's default buckets, ascending; a new list of the same numbers at every call."""
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
    finite, and the counts between the edges as the bytes of 1548 doubles.
    """
    cdef tbc_histogram h
    cdef double[1549] counts
    _count(&h, values, dtype)
    memset(counts, 0, sizeof(counts))
    memcpy(counts + h.first, h.counts + h.first, (h.last - h.first + 1) * sizeof(double))
    return ((h.min, h.max, <double>h.num, h.sum, h.sum_squares), h.not_finite,
            PyBytes_FromStringAndSize(<char *>(counts + 1), sizeof(double) * (TBC_EDGES - 1)))


# --- event files ---

cdef struct entry: # what every event has, and where it goes
    tbc_stamp at
    tbc_bytes tag
    tbc_buffer *to


def set_queue_limit(size_t limit):
    """How many bytes may wait for the disk, in the whole process (64 MiB unless set)."""
    tbc_queue_set_limit(limit)


def before_fork():
    with nogil:
        tbc_writer_pause()


def after_fork_in_parent():
    with nogil:
        tbc_writer_resume()


cdef class EventFile:
    """One event file at a time, its queue and its encoders; tbc.FileWriter names and opens the files.

    Every method that adds an event raises ValueError for a step or walltime that cannot be stored, TypeError for a tag
    that is not text, MemoryError, and OSError if the file is closed or if the disk fails and the queue is full. A full
    queue makes it wait without the GIL.
    """
    cdef tbc_writer *_writer
    cdef readonly str path

    def __cinit__(self, *args, **kwargs):
        self._writer = tbc_writer_new()
        if self._writer == NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self._writer == NULL:
            return
        try:
            self._flush()
        finally:
            with nogil:
                while tbc_writer_close(self._writer, SLICE_MS) == TBC_WAITING:
                    pass
            tbc_writer_free(self._writer)

    cdef int _wait(self, tbc_status status, size_t size) except -1:
        """What to do about a status that is not TBC_OK before the call is made again."""
        if status == TBC_FULL:
            with nogil:
                status = tbc_writer_wait(self._writer, size, SLICE_MS)
            if status != TBC_OK:
                _raise(status, self.path)
            PyErr_CheckSignals()
        elif status == TBC_FORKED:
            self.reopen()
        else:
            _raise(status, self.path)
        return 0

    cdef int _begin(self, entry *out, tag, step, walltime, size_t size) except -1:
        """Checks what every event has, and opens a frame for one with `size` bytes of content; waits while the queue is
        full, but for an event of size 0. The event goes to out.to, and _end must follow."""
        _text(tag, &out.tag)
        _stamp(step, walltime, &out.at)
        cdef tbc_status status = tbc_writer_begin(self._writer, size, &out.to)
        while status != TBC_OK:
            self._wait(status, size)
            status = tbc_writer_begin(self._writer, size, &out.to)
        return 0

    cdef int _end(self) except -1:
        cdef tbc_status status = tbc_writer_end(self._writer)
        if status != TBC_OK:
            _raise(status, self.path)
        return 0

    cdef int _scalar(self, tag, double value, step, walltime, bint new_style, bint double_precision) except -1:
        cdef entry e
        self._begin(&e, tag, step, walltime, SMALL)
        if not new_style:
            tbc_event_scalar(e.to, e.at, e.tag, <float>value)
        elif double_precision:
            tbc_event_scalar_double(e.to, e.at, e.tag, value)
        else:
            tbc_event_scalar_float(e.to, e.at, e.tag, <float>value)
        return self._end()

    @property
    def closed(self):
        """Whether the next event needs a new file: after close(), and in a child process after a fork."""
        return not tbc_writer_is_open(self._writer)

    def attach(self, int fd, str path not None, unsigned linger_ms):
        """Takes over a new file with its descriptor, unless it raises OSError because a thread cannot be started.

        linger_ms: how long a record may wait for others to be written with, 100 at most.
        """
        cdef tbc_status status
        if not self.closed:
            raise ValueError(f"{self.path} must be closed before another file is opened")
        with nogil:
            status = tbc_writer_open(self._writer, fd, linger_ms)
        if status != TBC_OK:
            _raise(status, path)
        self.path = path

    def version(self, step=None):
        """The event every file starts with."""
        cdef entry e
        self._begin(&e, None, step, None, SMALL)
        tbc_event_version(e.to, e.at)
        self._end()

    def session_start(self, step):
        """Readers drop what earlier files of the run hold from this step on."""
        cdef entry e
        self._begin(&e, None, step, None, SMALL)
        tbc_event_session_start(e.to, e.at)
        self._end()

    def scalar(self, tag, double value, step=None, walltime=None, bint new_style=False, bint double_precision=False):
        self._scalar(tag, value, step, walltime, new_style, double_precision)

    def histogram(self, tag, values, str dtype not None, step=None, walltime=None):
        """Counts an array (see `count`) on the default edges. Returns how many values are not finite."""
        cdef entry e
        cdef tbc_histogram h
        cdef tbc_moments moments
        _count(&h, values, dtype)
        moments = tbc_moments(h.min, h.max, <double>h.num, h.sum, h.sum_squares)
        cdef size_t n = h.last - h.first + 1
        self._begin(&e, tag, step, walltime, 2 * sizeof(double) * n)
        tbc_event_histogram(e.to, e.at, e.tag, &moments, tbc_histogram_edges() + h.first, h.counts + h.first, n)
        self._end()
        return h.not_finite

    def histogram_raw(self, tag, moments, limits, counts, step=None, walltime=None):
        """moments: min, max, num, sum, sum_squares; limits and counts: contiguous arrays of doubles, of one length."""
        cdef entry e
        cdef tbc_moments m
        cdef Py_buffer limit, count
        m.min, m.max, m.num, m.sum, m.sum_squares = moments
        PyObject_GetBuffer(limits, &limit, PyBUF_ANY_CONTIGUOUS)
        try:
            PyObject_GetBuffer(counts, &count, PyBUF_ANY_CONTIGUOUS)
            try:
                if limit.len != count.len or limit.itemsize != sizeof(double) or count.itemsize != sizeof(double):
                    raise ValueError(f"limits and counts must be doubles, as many of each: got {limits!r}, {counts!r}")
                self._begin(&e, tag, step, walltime, 2 * limit.len)
                tbc_event_histogram(e.to, e.at, e.tag, &m, <const double *>limit.buf, <const double *>count.buf,
                                    limit.len // sizeof(double))
                self._end()
            finally:
                PyBuffer_Release(&count)
        finally:
            PyBuffer_Release(&limit)

    def image(self, tag, int32_t height, int32_t width, int32_t colorspace, bytes file not None, step=None,
              walltime=None):
        """An image file; colorspace is the number of channels. Never waits: its pixels were waited for (`reserve`)."""
        cdef entry e
        cdef tbc_bytes content = _bytes(file)
        self._begin(&e, tag, step, walltime, 0)
        tbc_event_image(e.to, e.at, e.tag, height, width, colorspace, content)
        self._end()

    def text(self, tag, text, step=None, walltime=None):
        cdef entry e
        cdef tbc_bytes content
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, got {text!r} of type {type(text).__name__}")
        _text(text, &content)
        self._begin(&e, tag, step, walltime, content.size)
        tbc_event_text(e.to, e.at, e.tag, content)
        self._end()

    def summary(self, bytes summary not None, step=None, walltime=None):
        """A serialized Summary."""
        cdef entry e
        cdef tbc_bytes content = _bytes(summary)
        self._begin(&e, None, step, walltime, content.size)
        tbc_event_summary(e.to, e.at, content)
        self._end()

    def event(self, bytes event not None):
        """A serialized Event."""
        cdef entry e
        cdef tbc_bytes content = _bytes(event)
        self._begin(&e, None, None, None, content.size)
        tbc_event_encoded(e.to, content)
        self._end()

    def reserve(self, size_t size):
        """Counts bytes that wait to be encoded as part of the queue; waits and raises as an event of that size does."""
        cdef tbc_status status = tbc_writer_reserve(self._writer, size)
        while status != TBC_OK:
            self._wait(status, size)
            status = tbc_writer_reserve(self._writer, size)

    def release(self, size_t size):
        """Ends what `reserve` began."""
        tbc_writer_release(self._writer, size)

    def reopen(self):
        """What an event does that comes after a fork, in the child; FileWriter opens a file of its own."""
        _raise(TBC_CLOSED, self.path)

    def flush(self):
        """Returns when all events added so far can be read in the file; OSError if the disk does not take them."""
        self._flush()

    def close(self):
        """Flushes and closes the file, also if the flush raises an OSError; again is fine."""
        self._close()

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
            _raise(status, self.path)
        return 0

    cdef int _close(self) except -1:
        cdef tbc_status status = TBC_WAITING
        failure = None
        try:
            self._flush()
        except OSError as error: # but not a KeyboardInterrupt, after which the file is still open
            failure = error
        while status == TBC_WAITING:
            with nogil:
                status = tbc_writer_close(self._writer, SLICE_MS)
            if status == TBC_WAITING:
                PyErr_CheckSignals()
        if failure is not None:
            raise failure
        if status != TBC_OK:
            _raise(status, self.path)
        return 0


cdef class ScalarWriter:
    """The base of tbc.SummaryWriter: add_scalar, at the cost of a C function.

    file_writer: the open FileWriter, or None; _get_file_writer(), of the subclass, opens one.
    """
    cdef public EventFile file_writer

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None, new_style=False, double_precision=False):
        """Logs one number.

        tag: the name of the curve; slashes group curves.
        scalar_value: a number, a string of a number, or an array or tensor of one element. Stored as float32.
        global_step: an integer, or what int() takes; fits 64 bits. None is 0.
        walltime: seconds since 1970, now by default.
        new_style: stores a tensor, as TensorFlow 2 does, instead of a simple_value.
        double_precision: with new_style, stores float64.

        Raises NotImplementedError for a value that is not a number, AssertionError for more than one element (both as
        torch does), TypeError for a tag that is not text, ValueError for a step or walltime that cannot be stored.
        """
        cdef double value
        if type(scalar_value) is float:
            value = PyFloat_AS_DOUBLE(scalar_value)
        else:
            value = convert.scalar(scalar_value)
        cdef EventFile file = self.file_writer
        if file is None:
            file = self._get_file_writer()
        file._scalar(tag, value, global_step, walltime, new_style, double_precision)
