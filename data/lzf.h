/* The LZF filter that h5py registers as number 32000 and that HDF5 itself does not carry: reading only.
 *
 * The stream is a row of pieces. A control byte below 32 is followed by as many literal bytes and one more. Any other
 * copies from what has been written: length is its upper three bits plus 2 (7: a further byte is added), distance is
 * its lower five bits times 256 plus the last byte of the piece, plus 1; source and target may overlap.
 * Invariant: the decoder writes exactly what its filter was set up for (a chunk), or fails. */
#ifndef FWM_DATA_LZF_H
#define FWM_DATA_LZF_H

#include "model/base/status.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* in[size] to out[expected]; false when the stream is damaged or gives another length. */
bool ds_lzf_decode(uint8_t *out, size_t expected, const uint8_t *in, size_t size);

/* Makes HDF5 know the filter, once in the process. The lock of h5.h is held. Errors: FWM_LIBRARY. */
fwm_status ds_lzf_register(void) FWM_MUST_USE;

/* Whether a dataset's LZF filter, where it has one, was set up for chunks of that size: HDF5 reads a whole chunk
 * from what a filter gives, however short. */
bool ds_lzf_fits(hid_t creation, int64_t chunk_bytes);

#endif
