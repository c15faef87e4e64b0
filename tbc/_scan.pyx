"""The seam between the reader and its kernels: Scan and peek for csrc/scan.c, Tally for csrc/tally.c.

Scan and Tally have the methods that scan.py and tally.py describe, and `records`. This module is in tbc/, not in
reader/, because Cython finds no .pxd of a package that pyproject.toml maps to another folder.
"""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport SIZE_MAX
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from os import urandom

NAMES = { # by number: the fields of Summary.Value; by negated number: those of Event
    0: None, 2: "simple_value", 3: "obsolete_old_style_histogram", 4: "image", 5: "histo", 6: "audio", 8: "tensor",
    -3: "file_version", -4: "graph_def", -7: "session_log", -8: "tagged_run_metadata", -9: "meta_graph_def",
}
FIELDS = {name: field for field, name in NAMES.items()}
MORE, DAMAGED, ODD, LARGE = TBC_SCAN_MORE, TBC_SCAN_DAMAGED, TBC_SCAN_ODD, TBC_SCAN_LARGE


cdef class Column:
    """Own a column of eight-byte rows; numpy.asarray makes an array of a Column without a copy."""

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
    """Return a Column that owns `data`; shrink `data` to n rows, and one more so that its size is not 0."""
    cdef Column self = Column.__new__(Column)
    cdef void *less = realloc(data, 8 * n + 8) # growing doubles the memory, so half may be unused
    self.data = data if less == NULL else less
    self.n = n
    self.itemsize = 8
    self.format = format
    return self


cdef class Part:
    """Hold the bytes of buffer[start:end], which are valid while this object exists."""

    cdef Py_buffer view
    cdef const uint8_t *data
    cdef size_t size

    def __cinit__(self, buffer, Py_ssize_t start, Py_ssize_t end):
        PyObject_GetBuffer(buffer, &self.view, PyBUF_SIMPLE)
        if not 0 <= start <= end <= self.view.len:
            raise ValueError(f"buffer[{start}:{end}] must be within its {self.view.len} bytes")
        self.data = <const uint8_t *>self.view.buf + start
        self.size = end - start

    def __dealloc__(self):
        PyBuffer_Release(&self.view)


cdef bytes text(tbc_bytes of):
    return of.data[:of.size]


cdef int resolve(void *context, const tbc_key *key) noexcept with gil:
    """Call resolve_key for tbc_scan_records. A UnicodeDecodeError makes the record odd; other exceptions stop it."""
    cdef Scan scan = <Scan>context
    try:
        return scan.resolve_key(text(key.tag), NAMES[key.field], text(key.plugin))
    except UnicodeDecodeError:
        return TBC_ODD
    except BaseException as error:
        scan.error = error
        return TBC_STOP


cdef class Scan:
    """See scan.Scan in scan.py."""

    cdef tbc_scan scan
    cdef object resolve_key # the argument of records(), while records() runs
    cdef object error       # what resolve_key raised, until records() raises it

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
        """Add the rows of the records in buffer[start:end]. Return why it stopped, and at which index of the buffer.

        It stops at the first record that is not whole (MORE), is damaged (DAMAGED), must be read by protobuf (ODD), or
        has `large` bytes of data or more (LARGE). offset: the place of buffer[start] in the file;
        the rows of other kinds than scalars store the place of their record.
        resolve_key(tag, field, plugin): called once for each key; returns the number of its series, or -1 to skip it.
        """
        cdef Part part = Part(buffer, start, end)
        cdef size_t used = 0
        cdef tbc_scan_stop stop
        self.resolve_key = resolve_key
        with nogil:
            stop = tbc_scan_records(&self.scan, part.data, part.size, offset, large, &used)
        self.resolve_key = None
        if stop == TBC_SCAN_STOPPED:
            error, self.error = self.error, None
            raise error
        if stop == TBC_SCAN_NO_MEMORY:
            raise MemoryError()
        return stop, start + <Py_ssize_t>used


def peek(buffer, Py_ssize_t start, Py_ssize_t end, uint64_t length):
    """Look at buffer[start:end], the first bytes of a record's data, of `length` bytes; ValueError if these are all.

    If they show that the event has one value, return its (step, wall time, tag, name of the field, plugin), else None.
    The tag and the plugin are bytes. The plugin is None if it may come after these bytes.
    """
    cdef Part part = Part(buffer, start, end)
    cdef tbc_peek found
    if length <= part.size:
        raise ValueError(f"the record must have more bytes than buffer[{start}:{end}], got {length}")
    if not tbc_scan_peek(part.data, part.size, length, &found):
        return None
    plugin = text(found.key.plugin) if found.knows_plugin else None
    return found.step, found.wall_time, text(found.key.tag), NAMES[found.key.field], plugin


TIMES = ("nan", "infinite", "zero", "back", "future")  # in the order of the enums in tally.h
CAUSES = ("repeat", "step", "restart", "kinds")


cdef class Tally:
    """See Tally in tally.py. `records` counts what it can without protobuf, and leaves the rest to the caller.

    plugin_kinds: tags.PLUGIN_KINDS. most, least: MOST_STRETCHES and LEAST_STRETCHES
    """

    cdef tbc_tally tally
    cdef tbc_plugin *plugins
    cdef list plugin_names # owns the bytes that `plugins` points to
    cdef list kinds        # the names of kinds, by their number in C

    def __cinit__(self, dict plugin_kinds, uint64_t most, uint64_t least):
        cdef bytes name
        self.kinds = ["scalar", "histogram", "image", "audio", "tensor", "empty"] # in the order of the enum in tally.h
        self.plugin_names = [plugin.encode() for plugin in plugin_kinds]
        self.plugins = <tbc_plugin *>malloc(len(plugin_kinds) * sizeof(tbc_plugin) + 1)
        if self.plugins == NULL:
            raise MemoryError()
        for i, kind in enumerate(plugin_kinds.values()):
            if kind not in self.kinds:
                self.kinds.append(kind)
            name = self.plugin_names[i]
            self.plugins[i].name.data, self.plugins[i].name.size = <const char *>name, len(name)
            self.plugins[i].kind = self.kinds.index(kind)
        self.tally.plugins, self.tally.n_plugins = self.plugins, len(plugin_kinds)
        seed = urandom(sizeof(self.tally.seed))
        memcpy(self.tally.seed, <const char *>seed, sizeof(self.tally.seed))
        self.tally.most = most
        self.tally.least = least
        if tbc_tally_init(&self.tally) != TBC_OK:
            raise MemoryError()

    def __dealloc__(self):
        tbc_tally_free(&self.tally)
        free(self.plugins)

    @property
    def n_records(self):
        return self.tally.records

    @property
    def n_bytes(self):
        return self.tally.bytes

    @property
    def n_values(self):
        return self.tally.values

    @property
    def content(self):
        return self.tally.content

    @property
    def first_time(self):
        return self.tally.first_time

    @property
    def has_version(self):
        return self.tally.has_version

    def begin_file(self, double future):
        tbc_tally_begin_file(&self.tally, future)

    def add_record(self, int64_t offset, bytes data, double wall_time, bint is_version):
        tbc_tally_add_record(&self.tally, offset, <const uint8_t *><const char *>data, len(data), wall_time, is_version)

    def add_start(self, int64_t step):
        if tbc_tally_add_start(&self.tally, step) != TBC_OK:
            raise MemoryError()

    def add_value(self, int64_t offset, int64_t step, str name, what, str plugin):
        cdef bytes tag = name.encode()
        cdef bytes its_plugin = plugin.encode()
        cdef tbc_bytes t, p
        t.data, t.size = <const char *>tag, len(tag)
        p.data, p.size = <const char *>its_plugin, len(its_plugin)
        if tbc_tally_add_value(&self.tally, offset, step, t, FIELDS[what], p) != TBC_OK:
            raise MemoryError()

    def records(self, buffer, Py_ssize_t start, Py_ssize_t end, int64_t offset):
        """Count the records in buffer[start:end]; buffer[start] is at `offset` of the file.

        Return (True, index) if the record at `index` of the buffer is not whole, and (False, index) if it is damaged or
        must be read by protobuf.
        """
        cdef Part part = Part(buffer, start, end)
        cdef size_t used = 0
        cdef tbc_tally_stop stop
        with nogil:
            stop = tbc_tally_records(&self.tally, part.data, part.size, offset, &used)
        if stop == TBC_TALLY_NO_MEMORY:
            raise MemoryError()
        return stop == TBC_TALLY_MORE, start + <Py_ssize_t>used

    def odd_times(self):
        cdef tbc_odd_time odd
        found = []
        for i in range(TBC_TIMES):
            odd = self.tally.times[i]
            if odd.times:
                found.append((TIMES[i], odd.offset, odd.before, odd.after, odd.times))
        return found

    def odd_tags(self):
        cdef size_t i
        cdef tbc_tag *tag
        cdef tbc_odd_step *odd
        for i in range(self.tally.n_tags):
            if self.tally.tags[i].odd == NULL:
                continue
            for cause in range(TBC_CAUSES):
                tag = &self.tally.tags[i] # look it up again: during a yield, tags may move
                odd = &tag.odd[cause]
                if odd.times == 0:
                    continue
                other = self.kinds[odd.kind] if CAUSES[cause] == "kinds" else ""
                yield (tag.name[:tag.size].decode(), CAUSES[cause], self.kinds[tag.kind], other, tag.values,
                       odd.file, odd.offset, odd.before, odd.after, odd.times, odd.dropped, bool(tbc_tally_is_least(tag)))
