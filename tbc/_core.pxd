# The declarations of csrc/'s headers, in Cython, and of a few functions of Python.h. Nothing else is here.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "status.h" nogil:
    ctypedef enum tbc_status:
        TBC_OK, TBC_NO_MEMORY, TBC_TOO_LARGE, TBC_ERRNO, TBC_FULL, TBC_WAITING, TBC_FAILING,
        TBC_DROPPED, TBC_CLOSED

    const char *tbc_strerror(tbc_status status)

cdef extern from "buffer.h" nogil:
    ctypedef struct tbc_buffer:
        uint8_t *data
        size_t size, capacity
        tbc_status status

    void tbc_buffer_append(tbc_buffer *buffer, const void *data, size_t size)
    void tbc_buffer_free(tbc_buffer *buffer)
    uint8_t *tbc_buffer_extend(tbc_buffer *buffer, size_t size)

cdef extern from "wire.h" nogil:
    ctypedef struct tbc_bytes:
        const char *data
        size_t size

cdef extern from "crc32c.h" nogil:
    ctypedef struct tbc_crc32c_path:
        const char *name
        uint32_t (*run)(uint32_t crc, const uint8_t *data, size_t size)

    uint32_t tbc_crc32c(const void *data, size_t size)
    size_t tbc_crc32c_paths(const tbc_crc32c_path **paths)

cdef extern from "record.h" nogil:
    size_t tbc_record_begin(tbc_buffer *buffer)
    tbc_status tbc_record_end(tbc_buffer *buffer, size_t start)
    void tbc_record_seal(uint8_t *frames, size_t size)

cdef extern from "event.h" nogil:
    ctypedef struct tbc_stamp:
        double wall_time
        int64_t step

    ctypedef struct tbc_label:
        tbc_bytes tag, display_name, description

    ctypedef struct tbc_moments:
        double min, max, num, sum, sum_squares

    enum:
        TBC_DT_FLOAT, TBC_DT_DOUBLE, TBC_DT_STRING

    ctypedef struct tbc_tensor:
        unsigned dtype
        const int64_t *shape
        size_t rank
        const tbc_bytes *values
        size_t n

    void tbc_event_version(tbc_buffer *buffer, tbc_stamp at)
    void tbc_event_session_start(tbc_buffer *buffer, tbc_stamp at)
    void tbc_event_summary(tbc_buffer *buffer, tbc_stamp at, tbc_bytes summary)
    void tbc_event_scalar(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, float value)
    void tbc_event_scalar_float(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, float value)
    void tbc_event_scalar_double(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, double value)
    void tbc_event_scalars(tbc_buffer *buffer, tbc_stamp at, const tbc_bytes *tags, const double *values, size_t n)
    void tbc_event_histogram(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, const tbc_moments *moments,
                             const double *limits, const double *counts, size_t n)
    void tbc_event_image(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, int32_t height, int32_t width,
                         int32_t colorspace, tbc_bytes file)
    uint8_t *tbc_event_audio(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, float sample_rate,
                             int64_t channels, int64_t frames, size_t size)
    void tbc_event_tensor(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, tbc_bytes plugin,
                          const tbc_tensor *tensor)
    void tbc_event_pr_curve(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, tbc_bytes rows, size_t n)

cdef extern from "values.h" nogil:
    ctypedef enum tbc_dtype:
        TBC_FLOAT64, TBC_FLOAT32, TBC_FLOAT16, TBC_BFLOAT16
        TBC_INT8, TBC_INT16, TBC_INT32, TBC_INT64
        TBC_UINT8, TBC_UINT16, TBC_UINT32, TBC_UINT64

    ctypedef struct tbc_array:
        const void *data
        ptrdiff_t stride
        tbc_dtype dtype

    size_t tbc_dtype_size(tbc_dtype dtype)

cdef extern from "histogram.h" nogil:
    enum:
        TBC_EDGES

    ctypedef struct tbc_histogram:
        uint64_t num, not_finite
        double min, max, sum, sum_squares
        size_t first, last
        double counts[TBC_EDGES]

    const double *tbc_histogram_edges()
    void tbc_histogram_count(tbc_histogram *histogram, const tbc_array *values, size_t n)

cdef extern from "bins.h" nogil:
    tbc_status tbc_bins_count(double *counts, const double *edges, size_t n_edges, const tbc_array *values, size_t n)

cdef extern from "pr_curve.h" nogil:
    ctypedef struct tbc_pr_curve:
        size_t thresholds
        double *positives
        double *negatives
        uint64_t left_out, above

    void tbc_pr_curve_count(tbc_pr_curve *curve, const tbc_array *predictions, const tbc_array *labels,
                            const tbc_array *weights, size_t n)

cdef extern from "decimal.h" nogil:
    enum:
        TBC_DECIMAL_MAX

    size_t tbc_decimal_table(char *to, const float *values, size_t rows, size_t columns)

cdef extern from "pixels.h" nogil:
    enum:
        TBC_CHANNELS

    ctypedef struct tbc_tiles:
        const void *data
        tbc_dtype dtype
        size_t frames, images, height, width, channels
        ptrdiff_t frame_stride, image_stride, height_stride, width_stride, channel_stride
        size_t rows, columns

    void tbc_pixels_scale(uint8_t *to, const tbc_tiles *tiles)
    void tbc_pixels_scale_in_double(uint8_t *to, const tbc_tiles *tiles)
    void tbc_pixels_copy(uint8_t *to, const tbc_tiles *tiles)

cdef extern from "queue.h" nogil:
    ctypedef enum tbc_size:
        TBC_SMALL, TBC_LARGE

    void tbc_queue_set_limit(size_t bytes)

cdef extern from "file.h" nogil:
    enum:
        TBC_PATH_MAX

    ctypedef struct tbc_place:
        const char *directory
        const char *suffix
        const void *head
        size_t head_size

cdef extern from "writer.h" nogil:
    ctypedef struct tbc_writer:
        pass

    ctypedef enum tbc_policy:
        TBC_DROP, TBC_WAIT, TBC_RAISE

    ctypedef struct tbc_stats:
        uint64_t queued, written, dropped, retries, rotations
        int error

    ctypedef struct tbc_frame:
        tbc_buffer *to
        tbc_buffer own

    ctypedef struct tbc_flush:
        uint64_t target, failures

    tbc_writer *tbc_writer_new()
    void tbc_writer_free(tbc_writer *writer)
    tbc_status tbc_writer_open(tbc_writer *writer, const tbc_place *place, tbc_policy policy, unsigned linger_ms,
                               bint later)
    tbc_status tbc_writer_attach(tbc_writer *writer, int fd, tbc_policy policy, unsigned linger_ms)
    bint tbc_writer_is_open(const tbc_writer *writer)
    void tbc_writer_path(const tbc_writer *writer, char *path, size_t size)
    tbc_stats tbc_writer_stats(const tbc_writer *writer)
    tbc_size tbc_counted(size_t size)
    tbc_status tbc_writer_begin(tbc_writer *writer, tbc_frame *frame, size_t size, tbc_size counted, double now,
                                bint waited)
    tbc_status tbc_writer_end(tbc_writer *writer, tbc_frame *frame)
    void tbc_writer_abandon(tbc_writer *writer, tbc_frame *frame)
    tbc_status tbc_writer_wait(tbc_writer *writer, size_t size, tbc_size counted, unsigned milliseconds)
    tbc_status tbc_writer_reserve(tbc_writer *writer, size_t size, double now)
    void tbc_writer_release(tbc_writer *writer, size_t size)
    void tbc_writer_flush_begin(tbc_writer *writer, tbc_flush *flush)
    tbc_status tbc_writer_flush_wait(tbc_writer *writer, const tbc_flush *flush, unsigned milliseconds)
    tbc_status tbc_writer_sync(tbc_writer *writer, unsigned milliseconds)
    tbc_status tbc_writer_close(tbc_writer *writer, unsigned milliseconds)
    void tbc_writer_leave()
    void tbc_writer_pause()
    void tbc_writer_resume()

cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        pass

    object tbc_memoryview "PyMemoryView_FromMemory" (char *data, Py_ssize_t size, int flags)
    PyThreadState *tbc_release_gil "PyEval_SaveThread" () nogil
    void tbc_take_gil "PyEval_RestoreThread" (PyThreadState *state) nogil
    const char *tbc_utf8 "PyUnicode_AsUTF8AndSize" (object text, Py_ssize_t *size) noexcept # NULL after an error
