"""The seam between load.py and csrc/scan.c. Its Scan has the methods of the one in scan.py, and `records` and `peek`."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport SIZE_MAX
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from os import urandom

MORE, DAMAGED, ODD, LARGE = TBC_SCAN_MORE, TBC_SCAN_DAMAGED, TBC_SCAN_ODD, TBC_SCAN_LARGE


cdef class Column:
    """Eight bytes a row, which numpy.asarray takes as they are."""

    cdef void *data
    cdef Py_ssize_t n
    cdef Py_ssize_t itemsize
    cdef const char *format

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.n * 8, 0, flags)
        view.itemsize = self.itemsize
        view.shape = &self.n
        view.strides = &self.itemsize
        view.format = <char *>self.format

    def __dealloc__(self):
        free(self.data)


cdef Column column(void *data, size_t n, const char *format):
    """Takes the memory over."""
    cdef Column self = Column.__new__(Column)
    cdef void *less = realloc(data, 8 * n + 8) # not all of what growing made room for
    self.data = data if less == NULL else less
    self.n = n
    self.itemsize = 8
    self.format = format
    return self


cdef bytes text(tbc_bytes of):
    return of.data[:of.size]


cdef int resolve(void *context, const tbc_key *key) noexcept with gil:
    cdef Scan scan = <Scan>context
    try:
        return scan.resolve_key(text(key.tag), key.field, text(key.plugin))
    except UnicodeDecodeError:
        return TBC_ODD
    except BaseException as error:
        scan.error = error
        return TBC_STOP


cdef class Scan:
    """See scan.Scan."""

    cdef tbc_scan scan
    cdef object resolve_key # while records() runs
    cdef object error       # of it

    def __cinit__(self, int64_t first_step, int64_t last_step, bint hides=False, keep=None):
        self.scan.resolve = resolve
        self.scan.context = <void *>self
        self.scan.first_step = first_step
        self.scan.last_step = last_step
        self.scan.hides = hides
        self.scan.keep = SIZE_MAX if keep is None else keep
        seed = urandom(sizeof(self.scan.seed))
        memcpy(self.scan.seed, <const char *>seed, sizeof(self.scan.seed))
        if tbc_scan_init(&self.scan) != TBC_OK:
            raise MemoryError()

    def __dealloc__(self):
        tbc_scan_free(&self.scan)

    cdef int _check(self, int series) except -1:
        if not 0 <= series < <int64_t>self.scan.n_series:
            raise IndexError(f"there are {self.scan.n_series} series, got {series}")

    def add_series(self, bint is_scalar, bint is_lasting):
        cdef int series = tbc_scan_add_series(&self.scan, is_scalar, is_lasting)
        if series < 0:
            raise MemoryError()
        return series

    def add_row(self, int series, int64_t step, double wall_time, cell, uint64_t size):
        cdef tbc_cell c
        self._check(series)
        if self.scan.series[series].is_scalar:
            c.number = cell
        else:
            c.offset = cell
        if tbc_scan_add_row(&self.scan, series, step, wall_time, c, size) != TBC_OK:
            raise MemoryError()

    def next_file(self):
        tbc_scan_next_file(&self.scan)

    def start_session(self, int64_t step):
        if tbc_scan_start_session(&self.scan, step) != TBC_OK:
            raise MemoryError()

    def again(self):
        tbc_scan_again(&self.scan)

    def cuts(self, int series):
        cdef size_t i
        self._check(series)
        segments = self.scan.series[series].segments
        return [
            (segments[i].file, segments[i].cut)
            for i in range(self.scan.series[series].n_segments) if segments[i].is_cut
        ]

    def columns(self, int series):
        cdef tbc_series *s
        self._check(series)
        s = tbc_scan_finish(&self.scan, series)
        step = column(s.step, s.n, "q")
        s.step = NULL
        wall_time = column(s.wall_time, s.n, "d")
        s.wall_time = NULL
        cell = column(s.cell, s.n, "d" if s.is_scalar else "q")
        s.cell = NULL
        s.n = s.capacity = 0
        return step, wall_time, cell, s.bytes, s.hidden, (s.folded, s.min_step, s.max_step)

    def records(self, resolve_key, buffer, Py_ssize_t start, Py_ssize_t end, int64_t offset, uint64_t large):
        """Takes the records of buffer[start:end], which begins at `offset`; answers why it stopped, and before which
        byte: MORE, what is left is no whole record; DAMAGED; ODD, whole, but to be read by protobuf; LARGE, has `large`
        bytes of data or more. resolve_key: is asked once for each tag, field and plugin, which series it is of."""
        cdef Py_buffer view
        cdef size_t used = 0
        cdef tbc_scan_stop stop
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
        try:
            if not 0 <= start <= end <= view.len:
                raise ValueError(f"bytes {start} to {end} of {view.len}")
            self.resolve_key = resolve_key
            with nogil:
                stop = tbc_scan_records(&self.scan, <const uint8_t *>view.buf + start, end - start, offset, large,
                                        &used)
        finally:
            self.resolve_key = None
            PyBuffer_Release(&view)
        if stop == TBC_SCAN_STOPPED:
            error, self.error = self.error, None
            raise error
        if stop == TBC_SCAN_NO_MEMORY:
            raise MemoryError()
        return stop, start + <Py_ssize_t>used


def peek(buffer, Py_ssize_t start, Py_ssize_t end, uint64_t length):
    """What the only value of an event is whose record has `length` bytes of data, of which buffer[start:end] are the
    first: (step, wall time, tag, field, plugin or None if that stands behind). None if these bytes do not tell."""
    cdef Py_buffer view
    cdef tbc_peek found
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    try:
        if not 0 <= start <= end <= view.len or length <= <uint64_t>(end - start):
            raise ValueError(f"bytes {start} to {end} of {view.len}, the first of {length}")
        if not tbc_scan_peek(<const uint8_t *>view.buf + start, end - start, length, &found):
            return None
        plugin = text(found.key.plugin) if found.knows_plugin else None
        return found.step, found.wall_time, text(found.key.tag), found.key.field, plugin
    finally:
        PyBuffer_Release(&view)
