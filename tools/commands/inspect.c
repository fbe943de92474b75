#include "data/inspect.h"
#include "model/base/log.h"
#include "tools/command.h"
#include "tools/config_option.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/data_fit.h"
#include "train/mesh_data.h"
#include "train/true_law.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct argp_option options[] = {
    {"fit", 0, "EQUATION", 0, "Of a dataset: how well it satisfies the equation, with the parameters that fit it best",
     0},
    {"set", 0, "KEY=VALUE", 0, "A key of a configuration, with --fit: data.edges, data.fields, physics.parameters, ...",
     0},
    {0},
};

const fwm_command fwm_command_inspect = {
    .name = "inspect",
    .summary = "show what a dataset, a checkpoint, an export or a mesh holds",
    .arguments = "FILE",
    .doc =
        "Recognises the file by its content; a folder is taken for a dataset of several files. Of a dataset: "
        "layout, shapes, units, statistics, how many values are "
        "not finite, how each field is stored and what would make it faster to read. Of a "
        "checkpoint: step, parameters, the whole configuration, every tensor with its checksum (all are verified), "
        "and a digest over "
        "all that decides the run's future: two checkpoints with one digest go on alike. "
        "Of a mesh of gmsh's (format 2.2 or 4.1): cells, extent, regions and boundaries by name.\n\n"
        "With --fit the parameters of an equation are fitted to the dataset's transitions: its residual in the dual "
        "norm at the starting parameters and at the fitted ones, and the share of the change from frame to frame that "
        "the fitted equation explains. For example: fwm inspect burgers.hdf5 --fit burgers --set data.edges=periodic",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
};

/* ---- what kind of file ---- */
/* A folder is taken for a dataset. HDF5's signature stands at byte 0, or at 512 times a power of two where a user block
 * precedes it. */
static fwm_status is_dataset(const char *path, bool *yes)
{
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
    enum { LAST_PLACE = 1 << 20 };
    unsigned char bytes[8];
    struct stat st;
    *yes = stat(path, &st) == 0 && S_ISDIR(st.st_mode); /* a dataset of several files */
    if (*yes)
        return FWM_OK;
    FILE *file = fopen(path, "rb");
    FWM_CHECK(file != NULL, FWM_IO, "%s: cannot be opened: %s", path, strerror(errno));
    for (long at = 0; at <= LAST_PLACE && !*yes; at = at == 0 ? 512 : 2 * at) {
        if (fseek(file, at, SEEK_SET) != 0 || fread(bytes, 1, sizeof bytes, file) != sizeof bytes)
            break;
        *yes = memcmp(bytes, signature, sizeof bytes) == 0;
    }
    (void)fclose(file);
    return FWM_OK;
}

/* ---- tensors ---- */
static json_t *tensor_json(const tr_tensor *tensor)
{
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++)
        (void)json_array_append_new(shape, json_integer(tensor->shape[i]));
    return json_pack("{s:s,s:s,s:o}", "name", tensor->name, "dtype", tr_dtype_name(tensor->dtype), "shape", shape);
}

/* The configuration of a checkpoint or export as JSON; null, with a warning, where this version does not read it. */
static json_t *config_json(const char *text, const char *path)
{
    tr_config *config;
    json_t *object = NULL;
    if (text == NULL)
        return json_null();
    if (tr_config_parse(&config, text, strlen(text), path, NULL, 0) != FWM_OK) {
        fwm_log(FWM_LOG_WARN, "%s: its configuration is not read by this version: %.200s", path, fwm_error_message());
        return json_null();
    }
    if (tr_config_json(config, &object) != FWM_OK)
        object = json_null();
    tr_config_destroy(config);
    return object;
}

static fwm_status inspect_checkpoint(const char *path, json_t **out)
{
    tr_checkpoint *c;
    int64_t step, seed;
    *out = NULL;
    FWM_TRY(tr_checkpoint_load(&c, path));
    json_t *tensors = json_array();
    for (int64_t i = 0; i < tr_checkpoint_count(c); i++) {
        char hash[24];
        (void)snprintf(hash, sizeof hash, "%016llx", (unsigned long long)tr_checkpoint_hash(c, i));
        json_t *tensor = tensor_json(tr_checkpoint_at(c, i));
        (void)json_object_set_new(tensor, "xxh64", json_string(hash));
        (void)json_array_append_new(tensors, tensor);
    }
    fwm_status status = tr_checkpoint_int(c, "step", &step);
    if (status == FWM_OK)
        status = tr_checkpoint_int(c, "seed", &seed);
    if (status == FWM_OK)
        *out = json_pack("{s:s,s:s,s:O?,s:I,s:I,s:I,s:s,s:O,s:O,s:o,s:O}", "kind", "checkpoint", "file",
                         tr_checkpoint_path(c), "version", json_object_get(tr_checkpoint_about(c), "version"), "step",
                         (json_int_t)step, "seed", (json_int_t)seed, "parameters",
                         (json_int_t)tr_checkpoint_parameters(c), "digest", tr_checkpoint_digest(c), "position",
                         tr_checkpoint_position(c), "about", tr_checkpoint_about(c), "config",
                         config_json(tr_checkpoint_config(c), tr_checkpoint_path(c)), "tensors", tensors);
    json_decref(tensors);
    tr_checkpoint_destroy(c);
    if (status == FWM_OK && *out == NULL)
        status = fwm_fail(FWM_MEMORY, "%s: no memory for its description", path);
    return status;
}

static fwm_status inspect_safetensors(const tr_safetensors *file, const char *path, json_t **out)
{
    const char *format = tr_safetensors_text(file, "format"), *version = tr_safetensors_text(file, "version");
    const bool export = format != NULL && strcmp(format, "fwm-export-1") == 0;
    int64_t parameters = 0;
    json_t *tensors = json_array();
    *out = NULL;
    for (int64_t i = 0; i < tr_safetensors_count(file); i++) {
        int64_t elements;
        size_t bytes;
        FWM_TRY(tr_tensor_size(tr_safetensors_at(file, i), &elements, &bytes));
        parameters += elements;
        (void)json_array_append_new(tensors, tensor_json(tr_safetensors_at(file, i)));
    }
    json_t *metadata = json_copy((json_t *)tr_safetensors_metadata(file));
    (void)json_object_del(metadata, "config");
    *out = json_pack("{s:s,s:s,s:s?,s:I,s:o,s:o,s:o}", "kind", export ? "export" : "safetensors", "file", path,
                     "version", version, "parameters", (json_int_t)parameters, "metadata", metadata, "config",
                     export ? config_json(tr_safetensors_text(file, "config"), path) : json_null(), "tensors", tensors);
    FWM_CHECK(*out != NULL, FWM_MEMORY, "%s: no memory for its description", path);
    return FWM_OK;
}

static fwm_status inspect_tensors(const char *path, json_t **out)
{
    tr_safetensors *file;
    if (tr_safetensors_open(&file, path) == FWM_OK) {
        const bool checkpoint = tr_checkpoint_is(file);
        const fwm_status status = checkpoint ? FWM_OK : inspect_safetensors(file, path, out);
        tr_safetensors_close(file);
        if (!checkpoint)
            return status;
    }
    return inspect_checkpoint(path, out); /* knows the one before, should this one be damaged or missing */
}

enum { RESIDUAL_TRAJECTORIES = 8 };

enum { TEXT_BYTES = 512 };

static fwm_status fit_dataset(fwm_call *call, const char *equation, json_t *report)
{
    const char *sets[FWM_MAX_SETS + 2];
    char named[TEXT_BYTES], first[TEXT_BYTES];
    static const char text[] = "{experiment: inspect, data: {file: inspect}, physics: {scheme: midpoint}}";
    tr_config *config = NULL;
    ds_dataset *ds = NULL;
    json_t *fit = NULL;
    const fem_equation *eq;
    FWM_TRY(fem_equation_find(equation, &eq));
    (void)snprintf(named, sizeof named, "physics.equation=%s", eq->name);
    (void)snprintf(first, sizeof first, "physics.parameters.%s=%.17g", eq->parameter[0].name, eq->parameter[0].preset);
    sets[0] = named;
    sets[1] = first;
    int64_t given;
    FWM_TRY(fwm_call_sets(call, sets + 2, &given));
    FWM_TRY(tr_config_parse(&config, text, sizeof text - 1, "--fit", sets, given + 2));
    const char *const choice[] = {config->data.frames, config->data.state, config->data.actions};
    const char *chosen[3];
    for (int k = 0; k < 3; k++)
        chosen[k] = strcmp(choice[k], "auto") != 0 ? choice[k] : NULL;
    const ds_options open = {.frames = chosen[0], .state = chosen[1], .actions = chosen[2]};
    fwm_status status =
        ds_open_with(&ds, call->arguments[0], tr_config_word("data.layout", config->data.layout), &open);
    if (status == FWM_OK)
        status = tr_data_fit(&fit, ds, config);
    if (status == FWM_OK)
        (void)json_object_set_new(report, "fit", fit);
    tr_config_destroy(config);
    return status;
}

static fwm_status inspect_dataset(const char *path, json_t **out)
{
    ds_dataset *ds;
    *out = NULL;
    FWM_TRY(ds_open(&ds, path, "auto"));
    const fwm_status status = ds_inspect(ds, out);
    double residual;
    if (status == FWM_OK && tr_data_residual(ds, RESIDUAL_TRAJECTORIES, &residual) == FWM_OK)
        (void)json_object_set_new(*out, "residual", fwm_json_number(residual));
    else if (status == FWM_OK) /* all else is known: the file is shown without it */
        fwm_log(FWM_LOG_WARN, "%s: its residual is not known: %s", path, fwm_error_message());
    ds_close(&ds);
    return status;
}

/* ---- for people ---- */
static void print_tensors(const json_t *tensors)
{
    size_t i;
    json_t *tensor;
    json_array_foreach(tensors, i, tensor)
    {
        char *shape = json_dumps(json_object_get(tensor, "shape"), JSON_COMPACT);
        const char *hash = json_string_value(json_object_get(tensor, "xxh64"));
        (void)printf("  %-40s %s %-18s %s\n", json_string_value(json_object_get(tensor, "name")),
                     json_string_value(json_object_get(tensor, "dtype")), shape != NULL ? shape : "",
                     hash != NULL ? hash : "");
        free(shape);
    }
}

static void print_object(json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (strcmp(key, "config") == 0 || strcmp(key, "tensors") == 0)
            continue; /* long: the one by --json, the other below */
        if (json_is_string(value)) {
            (void)printf("%-14s %s\n", key, json_string_value(value));
            continue;
        }
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        (void)printf("%-14s %s\n", key, text != NULL ? text : "");
        free(text);
    }
    if (json_object_get(object, "tensors") != NULL) {
        (void)printf("tensors        %zu\n", json_array_size(json_object_get(object, "tensors")));
        print_tensors(json_object_get(object, "tensors"));
    }
}

fwm_status fwm_run_inspect(fwm_call *call)
{
    const char *path = call->arguments[0];
    json_t *report;
    bool dataset = false;
    /* A file that cannot be opened may be a checkpoint whose previous one is there. */
    if (tr_mesh_file_is(path))
        FWM_TRY(tr_mesh_file_json(&report, path));
    else if (is_dataset(path, &dataset) == FWM_OK && dataset)
        FWM_TRY(inspect_dataset(path, &report));
    else
        FWM_TRY(inspect_tensors(path, &report));
    const char *equation = fwm_call_text(call, "fit", NULL);
    if (equation && !dataset)
        return fwm_misuse(call, "--fit: expected a dataset, found %s", path);
    if (!equation && fwm_call_has(call, "set"))
        return fwm_misuse(call, "--set: goes with --fit");
    if (equation)
        FWM_TRY(fit_dataset(call, equation, report));
    if (call->json)
        return fwm_print_json(report);
    print_object(report);
    json_decref(report);
    return FWM_OK;
}
