/* Weights with their configuration and normalisation as one safetensors file.
 *
 * Metadata: format "fwm-export-1", version, config (YAML), step, weights ("ema" or "last"), digest (of the checkpoint),
 * and each object of the checkpoint's `about` that inference needs ("normalisation"), as JSON. */
#include "train/safetensors.h"

#include "model/base/arena.h"
#include "tools/export/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fwm_status make_metadata(const fwm_export_request *r, json_t **out)
{
    int64_t step;
    char number[32];
    const bool ema = strcmp(r->prefix, TR_EMA) == 0;
    *out = NULL;
    FWM_TRY(tr_checkpoint_int(r->checkpoint, "step", &step));
    (void)snprintf(number, sizeof number, "%lld", (long long)step);
    const json_t *normalisation = json_object_get(tr_checkpoint_about(r->checkpoint), "normalisation");
    char *text = normalisation != NULL ? json_dumps(normalisation, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    *out = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s*}", "format", "fwm-export-1", "version", FWM_VERSION, "config",
                     tr_checkpoint_config(r->checkpoint), "step", number, "weights", ema ? "ema" : "last", "digest",
                     tr_checkpoint_digest(r->checkpoint), "normalisation", text);
    free(text);
    FWM_CHECK(*out != NULL, FWM_MEMORY, "%s: no memory for its metadata", r->path);
    return FWM_OK;
}

/* Fills `tensors` with those under the prefix; they point into the checkpoint. */
static int64_t select_tensors(const fwm_export_request *r, tr_tensor *tensors)
{
    const size_t length = strlen(r->prefix);
    int64_t n = 0;
    for (int64_t i = 0; i < tr_checkpoint_count(r->checkpoint); i++) {
        const tr_tensor *t = tr_checkpoint_at(r->checkpoint, i);
        if (strncmp(t->name, r->prefix, length) != 0 || t->name[length] == '\0')
            continue;
        tensors[n] = *t;
        tensors[n++].name = t->name + length;
    }
    return n;
}

/* Every tensor of the written file against the checkpoint's, byte by byte. */
static fwm_status compare(const fwm_export_request *r, const tr_tensor *tensors, int64_t count, int64_t *parameters,
                          size_t *bytes)
{
    tr_safetensors *file;
    fwm_status status = FWM_OK;
    *parameters = 0;
    *bytes = 0;
    FWM_TRY(tr_safetensors_open(&file, r->path));
    for (int64_t i = 0; i < count && status == FWM_OK; i++) {
        const tr_tensor *back = tr_safetensors_find(file, tensors[i].name);
        int64_t elements;
        size_t size;
        status = tr_tensor_size(&tensors[i], &elements, &size);
        if (status == FWM_OK && (back == NULL || back->dtype != tensors[i].dtype || back->rank != tensors[i].rank ||
                                 memcmp(back->shape, tensors[i].shape, (size_t)back->rank * sizeof *back->shape) != 0 ||
                                 memcmp(back->data, tensors[i].data, size) != 0))
            status = fwm_fail(FWM_DATA, "%s: tensor %s does not read back as it was written", r->path, tensors[i].name);
        *parameters += elements;
        *bytes += size;
    }
    tr_safetensors_close(file);
    return status;
}

static fwm_status write_safetensors(const fwm_export_request *r, json_t *report)
{
    json_t *metadata = NULL;
    int64_t parameters = 0;
    size_t bytes = 0;
    fwm_status status;
    tr_tensor *tensors = fwm_calloc((size_t)tr_checkpoint_count(r->checkpoint), sizeof *tensors);
    FWM_CHECK(tensors != NULL, FWM_MEMORY, "%s: no memory for its tensors", r->path);
    const int64_t count = select_tensors(r, tensors);
    FWM_CHECK_GOTO(status, count > 0, FWM_DATA, "%s: expected tensors under %s, found none",
                   tr_checkpoint_path(r->checkpoint), r->prefix);
    FWM_TRY_GOTO(status, make_metadata(r, &metadata));
    FWM_TRY_GOTO(status, tr_safetensors_write(r->path, tensors, count, metadata));
    FWM_TRY_GOTO(status, compare(r, tensors, count, &parameters, &bytes));
    (void)json_object_set_new(report, "tensors", json_integer(count));
    (void)json_object_set_new(report, "parameters", json_integer(parameters));
    (void)json_object_set_new(report, "bytes", json_integer((json_int_t)bytes));
done:
    json_decref(metadata);
    fwm_free(tensors);
    return status;
}

const fwm_export_format fwm_export_safetensors = {
    .name = "safetensors",
    .extension = "safetensors",
    .summary = "weights, configuration and normalisation",
    .write = write_safetensors,
};
