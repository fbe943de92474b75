/* Status codes and the error context.
 *
 * Every fallible function of the library returns fwm_status; results travel through out-pointers.
 * The message of the latest failure is kept in a context that belongs to the calling thread (as errno
 * does), so that no signature has to carry a context and a failing worker's message can be copied to
 * the thread that joins it (fwm_error_get / fwm_error_set).
 *
 * A message says what was expected, what was found, where, and what to do about it.
 * The library never prints, aborts or exits on bad input. */
#ifndef FWM_BASE_STATUS_H
#define FWM_BASE_STATUS_H

#include <stddef.h>

#define FWM_STATUS_LIST(X)                                                                                             \
    X(OK, "ok")                                                                                                        \
    X(INVALID, "invalid argument")                                                                                     \
    X(CONFIG, "configuration error")                                                                                   \
    X(DATA, "malformed data")                                                                                          \
    X(IO, "input/output error")                                                                                        \
    X(MEMORY, "out of memory")                                                                                         \
    X(OVERFLOW, "size overflow")                                                                                       \
    X(SHAPE, "shape mismatch")                                                                                         \
    X(NUMERIC, "numerical failure")                                                                                    \
    X(UNSUPPORTED, "unsupported")                                                                                      \
    X(LIBRARY, "library failure")                                                                                      \
    X(INTERRUPTED, "interrupted")                                                                                      \
    X(INTERNAL, "internal error")

typedef enum fwm_status {
#define FWM_STATUS_ENUM(name, text) FWM_##name,
    FWM_STATUS_LIST(FWM_STATUS_ENUM)
#undef FWM_STATUS_ENUM
        FWM_STATUS_COUNT
} fwm_status;

#define FWM_MUST_USE __attribute__((warn_unused_result))
#define FWM_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
enum { FWM_ERROR_CAPACITY = 8192 };

/* The short name of a code ("malformed data"); "unknown status" outside the enum. */
const char *fwm_status_text(fwm_status code);

/* Records a message for this thread and returns `code`. The message replaces an earlier one and is cut
 * at FWM_ERROR_CAPACITY - 1 bytes. */
fwm_status fwm_fail(fwm_status code, const char *fmt, ...) FWM_PRINTF(2, 3);

/* Puts "text: " before this thread's message: used by callers that know a place (a file, a key). */
fwm_status fwm_fail_within(fwm_status code, const char *fmt, ...) FWM_PRINTF(2, 3);

/* This thread's latest message ("" when nothing failed yet); valid until the next failure. */
const char *fwm_error_message(void);

/* Copy a message between threads: get fills buf (always terminated), set replaces this thread's. */
void fwm_error_get(char *buf, size_t capacity);
void fwm_error_set(const char *message);

#define FWM_TRY(expr)                                                                                                  \
    do {                                                                                                               \
        fwm_status fwm_try_status_ = (expr);                                                                           \
        if (fwm_try_status_ != FWM_OK)                                                                                 \
            return fwm_try_status_;                                                                                    \
    } while (0)

/* As FWM_TRY, in functions with a single exit: sets `status` and jumps to `done`. */
#define FWM_TRY_GOTO(status, expr)                                                                                     \
    do {                                                                                                               \
        (status) = (expr);                                                                                             \
        if ((status) != FWM_OK)                                                                                        \
            goto done;                                                                                                 \
    } while (0)

#define FWM_CHECK(cond, code, ...)                                                                                     \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            return fwm_fail((code), __VA_ARGS__);                                                                      \
    } while (0)

#define FWM_CHECK_GOTO(status, cond, code, ...)                                                                        \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            (status) = fwm_fail((code), __VA_ARGS__);                                                                  \
            goto done;                                                                                                 \
        }                                                                                                              \
    } while (0)

#endif
