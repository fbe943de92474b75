/* Numbers as files store them, and as they are read: float32, or bytes.
 *
 * Conversion rounds to nearest, as HDF5's own does; what float32 cannot hold becomes infinite. */
#ifndef FWM_DATA_NUMBERS_H
#define FWM_DATA_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum ds_kind { DS_UNSIGNED, DS_SIGNED, DS_FLOATING } ds_kind;

/* A number in a file. size 0: a kind that is not converted here. */
typedef struct ds_stored {
    ds_kind kind;
    int size;     /* bytes: 1, 2, 4 or 8; 2, 4 or 8 where floating (IEEE 754) */
    bool swapped; /* most significant byte first */
} ds_stored;

/* Whether the stored bytes are float32, or bytes, as they stand. */
bool ds_stored_is_f32(ds_stored stored);
bool ds_stored_is_u8(ds_stored stored);

/* out[i] = in[i] / divisor, in [n] stored numbers at any alignment. out and in do not overlap. */
void ds_numbers_to_floats(float *out, const void *in, int64_t n, ds_stored stored, float divisor);

/* What bytes of frames are divided by. */
#define DS_BRIGHTEST 255.0F

/* out[i] = in[i] / divisor for bytes: the same floats on every machine. */
void ds_bytes_to_floats(float *out, const uint8_t *in, int64_t n, float divisor);

#endif
