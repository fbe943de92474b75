/* Writes or reads a safetensors file, for the check against the format's own library.
 *     program_tensors write FILE     a tensor of each type and some odd shapes
 *     program_tensors read FILE      one JSON object: {"tensors": {name: {dtype, shape, values}}, "metadata": {...}} */
#include "train/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fwm_status write_sample(const char *path)
{
    const float f32[6] = {0, -1.5F, 3.25F, 1e30F, -0.0F, 0.1F};
    const double f64[3] = {0.1, -1e300, 5e-324};
    const int64_t i64[2] = {INT64_MIN, INT64_MAX};
    const int32_t i32[3] = {INT32_MIN, 0, INT32_MAX};
    const unsigned char u8[5] = {0, 1, 127, 128, 255};
    const tr_tensor tensors[] = {
        {.name = "u8", .dtype = TR_U8, .rank = 1, .shape = {5}, .data = u8},
        {.name = "f32", .dtype = TR_F32, .rank = 3, .shape = {1, 2, 3}, .data = f32},
        {.name = "i64", .dtype = TR_I64, .rank = 1, .shape = {2}, .data = i64},
        {.name = "i32", .dtype = TR_I32, .rank = 2, .shape = {3, 1}, .data = i32},
        {.name = "f64/\xC3\xA9 \"x\"", .dtype = TR_F64, .rank = 1, .shape = {3}, .data = f64},
        {.name = "scalar", .dtype = TR_F32, .rank = 0, .data = f32 + 2},
        {.name = "empty", .dtype = TR_F64, .rank = 2, .shape = {0, 4}},
    };
    json_t *metadata = json_pack("{s:s,s:s}", "format", "test", "text", "two\nlines \"quoted\"");
    const fwm_status status = tr_safetensors_write(path, tensors, sizeof tensors / sizeof *tensors, metadata);
    json_decref(metadata);
    return status;
}

static json_t *value_at(const tr_tensor *t, int64_t i)
{
    const char *at = (const char *)t->data + (size_t)i * tr_dtype_size(t->dtype);
    float f;
    double d;
    int64_t l;
    int32_t n;
    switch (t->dtype) {
    case TR_F32:
        memcpy(&f, at, sizeof f);
        return json_real((double)f);
    case TR_F64:
        memcpy(&d, at, sizeof d);
        return json_real(d);
    case TR_I64:
        memcpy(&l, at, sizeof l);
        return json_integer(l);
    case TR_I32:
        memcpy(&n, at, sizeof n);
        return json_integer(n);
    default:
        return json_integer(*(const unsigned char *)at);
    }
}

static fwm_status read_back(const char *path)
{
    tr_safetensors *file;
    FWM_TRY(tr_safetensors_open(&file, path));
    json_t *tensors = json_object();
    for (int64_t k = 0; k < tr_safetensors_count(file); k++) {
        const tr_tensor *t = tr_safetensors_at(file, k);
        int64_t elements;
        size_t bytes;
        FWM_TRY(tr_tensor_size(t, &elements, &bytes));
        json_t *shape = json_array(), *values = json_array();
        for (int i = 0; i < t->rank; i++)
            (void)json_array_append_new(shape, json_integer(t->shape[i]));
        for (int64_t i = 0; i < elements; i++)
            (void)json_array_append_new(values, value_at(t, i));
        (void)json_object_set_new(
            tensors, t->name,
            json_pack("{s:s,s:o,s:o}", "dtype", tr_dtype_name(t->dtype), "shape", shape, "values", values));
    }
    json_t *all = json_pack("{s:o,s:O}", "tensors", tensors, "metadata", tr_safetensors_metadata(file));
    (void)json_dumpf(all, stdout, JSON_COMPACT);
    json_decref(all);
    tr_safetensors_close(file);
    return FWM_OK;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    const fwm_status status = strcmp(argv[1], "write") == 0 ? write_sample(argv[2]) : read_back(argv[2]);
    if (status != FWM_OK)
        (void)fprintf(stderr, "%s\n", fwm_error_message());
    return status != FWM_OK;
}
