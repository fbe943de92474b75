/* What to say about how a field is stored: how much a random clip reads and unpacks beyond what it takes. */
#ifndef FWM_DATA_ADVICE_H
#define FWM_DATA_ADVICE_H

#include "data/dataset.h"

#include <jansson.h>

/* {"stored": "contiguous" | "chunked" | "by HDF5 alone", "chunk": [...] or null, "filters": [...], "clip_cost": c,
 * "advice": text}. clip_cost: bytes that are read or unpacked for a random clip of 8 steps, over those of the clip [-].
 * NULL when memory is out, null where the field's array is not told. */
json_t *ds_storage_advice(const ds_field_info *field);

#endif
