# Declare what _scan.pyx uses of csrc/*.h, and nothing else.

from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef extern from "status.h":
    ctypedef enum tbc_status:
        TBC_OK

cdef extern from "wire.h":
    ctypedef struct tbc_bytes:
        const char *data
        size_t size

cdef extern from "scan.h":
    ctypedef struct tbc_key:
        tbc_bytes tag
        tbc_bytes plugin
        int field

    ctypedef union tbc_cell:
        double number
        int64_t offset

    ctypedef struct tbc_segment:
        size_t file
        bint is_cut
        int64_t cut

    ctypedef struct tbc_series:
        int64_t *step
        double *wall_time
        tbc_cell *cell
        size_t n
        size_t capacity
        const tbc_segment *segments
        size_t n_segments
        uint64_t bytes
        uint64_t hidden
        uint64_t folded
        int64_t min_step
        int64_t max_step
        bint is_scalar

    enum:
        TBC_UNWANTED
        TBC_ODD
        TBC_STOP

    ctypedef int (*tbc_resolve)(void *context, const tbc_key *key) noexcept

    ctypedef struct tbc_scan:
        tbc_resolve resolve
        void *context
        int64_t first_step
        int64_t last_step
        size_t keep
        bint hides
        uint64_t seed[2]
        tbc_series *series
        size_t n_series

    ctypedef enum tbc_scan_stop:
        TBC_SCAN_MORE
        TBC_SCAN_DAMAGED
        TBC_SCAN_ODD
        TBC_SCAN_LARGE
        TBC_SCAN_STOPPED
        TBC_SCAN_NO_MEMORY

    tbc_status tbc_scan_init(tbc_scan *scan)
    void tbc_scan_free(tbc_scan *scan)
    int tbc_scan_add_series(tbc_scan *scan, bint is_scalar, bint is_lasting)
    tbc_status tbc_scan_add_row(tbc_scan *scan, int series, int64_t step, double wall_time, tbc_cell cell,
                                uint64_t bytes)
    void tbc_scan_next_file(tbc_scan *scan)
    tbc_status tbc_scan_start_session(tbc_scan *scan, int64_t step)
    tbc_series *tbc_scan_finish(tbc_scan *scan, int series)
    void tbc_scan_again(tbc_scan *scan)
    tbc_scan_stop tbc_scan_records(tbc_scan *scan, const uint8_t *data, size_t size, int64_t offset, uint64_t large,
                                   size_t *used) nogil

    ctypedef struct tbc_peek:
        int64_t step
        double wall_time
        tbc_key key
        bint knows_plugin

    bint tbc_scan_peek(const uint8_t *data, size_t size, uint64_t length, tbc_peek *peek)

cdef extern from "tally.h":
    enum:
        TBC_TIMES
        TBC_CAUSES

    ctypedef struct tbc_plugin:
        tbc_bytes name
        int kind

    ctypedef struct tbc_odd_time:
        uint64_t times
        int64_t offset
        double before
        double after

    ctypedef struct tbc_odd_step:
        uint64_t times
        uint64_t dropped
        size_t file
        int64_t offset
        int64_t before
        int64_t after
        int kind

    ctypedef struct tbc_tag:
        char *name
        size_t size
        int kind
        uint64_t values
        tbc_odd_step *odd

    ctypedef struct tbc_tally:
        const tbc_plugin *plugins
        size_t n_plugins
        uint64_t seed[2]
        uint64_t most
        uint64_t least
        double first_time
        bint has_version
        uint64_t records
        uint64_t bytes
        uint64_t values
        uint64_t content
        tbc_odd_time times[TBC_TIMES]
        tbc_tag *tags
        size_t n_tags

    ctypedef enum tbc_tally_stop:
        TBC_TALLY_MORE
        TBC_TALLY_NO_MEMORY

    tbc_status tbc_tally_init(tbc_tally *tally)
    void tbc_tally_free(tbc_tally *tally)
    void tbc_tally_begin_file(tbc_tally *tally, double future)
    tbc_tally_stop tbc_tally_records(tbc_tally *tally, const uint8_t *data, size_t size, int64_t offset,
                                     size_t *used) nogil
    void tbc_tally_add_record(tbc_tally *tally, int64_t offset, const uint8_t *data, size_t size, double wall_time,
                              bint is_version)
    tbc_status tbc_tally_add_value(tbc_tally *tally, int64_t offset, int64_t step, tbc_bytes tag, int field,
                                   tbc_bytes plugin)
    tbc_status tbc_tally_add_start(tbc_tally *tally, int64_t step)
    bint tbc_tally_is_least(const tbc_tag *tag)
