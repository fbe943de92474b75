#include "tools/export/export.h"
#include "model/base/log.h"
#include "model/base/nearest.h"
#include "tools/command.h"
#include "train/config.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct argp_option options[] = {
    {.name = "format",
     .key = 'f',
     .arg = "FORMAT",
     .doc = "safetensors (default: export.format of the checkpoint's configuration)"},
    {.name = "out",
     .key = 'o',
     .arg = "FILE",
     .doc = "Where it goes (default: beside the checkpoint, with the format's extension)"},
    {.name = "weights",
     .arg = "WHICH",
     .doc = "ema or last (default: export.weights of the checkpoint's configuration)"},
    {.name = "force", .doc = "Write over a file that is there"},
    {0},
};

const fwm_command fwm_command_export = {
    .name = "export",
    .summary = "write a checkpoint's weights in a format for inference",
    .arguments = "CHECKPOINT",
    .doc = "Takes the weights (their moving average, or the last step's) out of a checkpoint and writes them with the "
           "configuration and the "
           "normalisation. The file is read back and compared with the checkpoint before the command says that it is "
           "done.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
};

static const fwm_export_format *const formats[] = {
#define X(name) &fwm_export_##name,
#include "exports.def"
#undef X
};
enum { FORMATS = sizeof formats / sizeof *formats };

static fwm_status find_format(fwm_call *call, const char *name, const fwm_export_format **out)
{
    fwm_nearest nearest;
    fwm_nearest_start(&nearest, name);
    for (int i = 0; i < FORMATS; i++) {
        if (strcmp(formats[i]->name, name) == 0) {
            *out = formats[i];
            return FWM_OK;
        }
        fwm_nearest_offer(&nearest, formats[i]->name);
    }
    const bool near = fwm_nearest_found(&nearest);
    return fwm_misuse(call, "--format: unknown format %.60s%s%s%s", name, near ? "; did you mean " : "",
                      near ? nearest.best : "", near ? "?" : "");
}

static fwm_status choose_weights(fwm_call *call, const tr_config *config, const char **prefix)
{
    const char *which = fwm_call_text(call, "weights", tr_config_word("export.weights", config->export.weights));
    if (strcmp(which, "ema") != 0 && strcmp(which, "last") != 0)
        return fwm_misuse(call, "--weights: expected ema or last, found \"%.60s\"", which);
    *prefix = strcmp(which, "ema") == 0 ? TR_EMA : TR_WEIGHTS;
    return FWM_OK;
}

/* "run/best.ckpt" -> "run/best.safetensors" */
static fwm_status default_path(const char *checkpoint, const char *extension, char *path, size_t capacity)
{
    const size_t length = strlen(checkpoint),
                 end = length > 5 && strcmp(checkpoint + length - 5, ".ckpt") == 0 ? length - 5 : length;
    FWM_CHECK((size_t)snprintf(path, capacity, "%.*s.%s", (int)end, checkpoint, extension) < capacity, FWM_INVALID,
              "%s: expected a shorter path", checkpoint);
    return FWM_OK;
}

static fwm_status check_output(const char *path, const char *checkpoint, bool force)
{
    struct stat there, source;
    if (stat(path, &there) != 0)
        return FWM_OK;
    FWM_CHECK(stat(checkpoint, &source) != 0 || there.st_ino != source.st_ino || there.st_dev != source.st_dev,
              FWM_INVALID, "%s: expected another file than the checkpoint itself", path);
    FWM_CHECK(force, FWM_IO, "%s: is there already: give --force to write over it, or -o another", path);
    return FWM_OK;
}

static fwm_status run(fwm_call *call, const tr_checkpoint *checkpoint, const tr_config *config)
{
    const char *source = call->arguments[0];
    const fwm_export_format *format;
    char path[PATH_MAX];
    fwm_export_request request = {.checkpoint = checkpoint, .path = path};
    FWM_TRY(find_format(call, fwm_call_text(call, "format", tr_config_word("export.format", config->export.format)),
                        &format));
    FWM_TRY(choose_weights(call, config, &request.prefix));
    const char *out = fwm_call_text(call, "out", NULL);
    if (out != NULL)
        (void)snprintf(path, sizeof path, "%s", out);
    else
        FWM_TRY(default_path(source, format->extension, path, sizeof path));
    FWM_TRY(check_output(path, source, fwm_call_has(call, "force")));
    int64_t step;
    FWM_TRY(tr_checkpoint_int(checkpoint, "step", &step));
    json_t *report = json_pack("{s:s,s:s,s:s,s:s,s:I}", "checkpoint", tr_checkpoint_path(checkpoint), "format",
                               format->name, "output", path, "weights",
                               strcmp(request.prefix, TR_EMA) == 0 ? "ema" : "last", "step", (json_int_t)step);
    const fwm_status status = format->write(&request, report);
    if (status != FWM_OK) {
        json_decref(report);
        return status;
    }
    if (call->json)
        return fwm_print_json(report);
    fwm_log(FWM_LOG_INFO, "%lld tensors, %lld parameters, %lld bytes of weights; read back and compared",
            (long long)json_integer_value(json_object_get(report, "tensors")),
            (long long)json_integer_value(json_object_get(report, "parameters")),
            (long long)json_integer_value(json_object_get(report, "bytes")));
    (void)printf("%s\n", path);
    json_decref(report);
    return FWM_OK;
}

fwm_status fwm_run_export(fwm_call *call)
{
    tr_checkpoint *checkpoint;
    tr_config *config = NULL;
    FWM_TRY(tr_checkpoint_load(&checkpoint, call->arguments[0]));
    const char *text = tr_checkpoint_config(checkpoint);
    fwm_status status = tr_config_parse(&config, text, strlen(text), tr_checkpoint_path(checkpoint), NULL, 0);
    if (status == FWM_OK)
        status = run(call, checkpoint, config);
    tr_config_destroy(config);
    tr_checkpoint_destroy(checkpoint);
    return status;
}
