/* Prints what a dataset holds as JSON, then reads every clip of two steps:
 *     program_inspect_dataset FILE [layout=NAME] [frames=..] [state=..] [actions=..] [dump=FILE]
 * dump: every value as float32, trajectory by trajectory, of each the fields in order, then the parameters. */
#include "data/inspect.h"
#include "model/base/arena.h"

#include <stdio.h>
#include <string.h>

typedef struct arguments {
    const char *layout, *dump;
    ds_options options;
} arguments;

static fwm_status read_clips(ds_dataset *ds)
{
    const ds_info *info = ds_get_info(ds);
    ds_clip clip = {0};
    fwm_status status = FWM_OK;
    for (ds_field f = 0; f < DS_FIELDS; f++)
        if (info->fields[f].points > 0)
            clip.field[f] =
                fwm_malloc((size_t)(2 * info->fields[f].points), (size_t)info->fields[f].channels * sizeof(float));
    clip.key_state = info->has_key_state ? fwm_malloc(2, 1) : NULL;
    for (int64_t i = 0; i < info->trajectories && status == FWM_OK; i++)
        for (int64_t t = 0; t + 2 <= info->lengths[i] && status == FWM_OK; t++)
            status = ds_read(ds, i, t, 2, &clip);
    for (ds_field f = 0; f < DS_FIELDS; f++)
        fwm_free(clip.field[f]);
    fwm_free(clip.key_state);
    return status;
}

/* One field of one trajectory, or its parameters (f = DS_FIELDS). */
static fwm_status dump_part(ds_dataset *ds, ds_field f, int64_t i, FILE *to)
{
    const ds_info *info = ds_get_info(ds);
    int64_t steps = info->lengths[i],
            n = f == DS_FIELDS ? info->parameters : steps * info->fields[f].points * info->fields[f].channels;
    if (n == 0)
        return FWM_OK;
    float *x = fwm_malloc((size_t)n, sizeof *x);
    FWM_CHECK(x, FWM_MEMORY, "out of memory");
    ds_clip clip = {0};
    if (f == DS_FIELDS)
        clip.parameters = x;
    else
        clip.field[f] = x;
    fwm_status status = ds_read(ds, i, 0, f == DS_FIELDS ? 0 : steps, &clip);
    if (status == FWM_OK && fwrite(x, sizeof *x, (size_t)n, to) != (size_t)n)
        status = fwm_fail(FWM_IO, "the dump cannot be written");
    fwm_free(x);
    return status;
}

static fwm_status dump_all(ds_dataset *ds, const char *path)
{
    fwm_status status = FWM_OK;
    FILE *to = fopen(path, "wb");
    FWM_CHECK(to, FWM_IO, "%s: cannot be written", path);
    for (int64_t i = 0; i < ds_get_info(ds)->trajectories && status == FWM_OK; i++)
        for (ds_field f = 0; f <= DS_FIELDS && status == FWM_OK; f++)
            status = dump_part(ds, f, i, to);
    if (fclose(to) != 0 && status == FWM_OK)
        status = fwm_fail(FWM_IO, "%s: cannot be written", path);
    return status;
}

static bool take(const char *text, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(text, name, n) != 0 || text[n] != '=')
        return false;
    *value = text + n + 1;
    return true;
}

static bool parse(int argc, char **argv, arguments *a)
{
    *a = (arguments){.layout = "auto"};
    bool fine = argc >= 2;
    for (int i = 2; i < argc && fine; i++)
        fine = take(argv[i], "layout", &a->layout) || take(argv[i], "dump", &a->dump) ||
               take(argv[i], "frames", &a->options.frames) || take(argv[i], "state", &a->options.state) ||
               take(argv[i], "actions", &a->options.actions);
    return fine;
}

int main(int argc, char **argv)
{
    ds_dataset *ds = NULL;
    json_t *out = NULL;
    arguments a;
    if (!parse(argc, argv, &a)) {
        fprintf(stderr, "usage: program_inspect_dataset FILE [layout|frames|state|actions|dump=TEXT]...\n");
        return 2;
    }
    fwm_status status = ds_open_with(&ds, argv[1], a.layout, &a.options);
    if (status == FWM_OK)
        status = ds_inspect(ds, &out);
    if (status == FWM_OK)
        status = read_clips(ds);
    if (status == FWM_OK && a.dump)
        status = dump_all(ds, a.dump);
    if (status == FWM_OK && json_dumpf(out, stdout, JSON_INDENT(1)) != 0)
        status = fwm_fail(FWM_IO, "standard output: cannot be written");
    if (status != FWM_OK)
        fprintf(stderr, "program_inspect_dataset: %s: %s\n", fwm_status_text(status), fwm_error_message());
    json_decref(out);
    ds_close(&ds);
    return status == FWM_OK ? 0 : 1;
}
