/* Prints what a dataset holds as JSON, then reads every clip of two steps: program_inspect_dataset FILE. */
#include "data/inspect.h"
#include "model/base/arena.h"

#include <stdio.h>

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

int main(int argc, char **argv)
{
    ds_dataset *ds = NULL;
    json_t *out = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: program_inspect_dataset FILE\n");
        return 2;
    }
    fwm_status status = ds_open(&ds, argv[1], "auto");
    if (status == FWM_OK)
        status = ds_inspect(ds, &out);
    if (status == FWM_OK)
        status = read_clips(ds);
    if (status == FWM_OK && json_dumpf(out, stdout, JSON_INDENT(1)) != 0)
        status = fwm_fail(FWM_IO, "standard output: cannot be written");
    if (status != FWM_OK)
        fprintf(stderr, "program_inspect_dataset: %s: %s\n", fwm_status_text(status), fwm_error_message());
    json_decref(out);
    ds_close(&ds);
    return status == FWM_OK ? 0 : 1;
}
