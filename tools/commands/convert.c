#include "data/convert.h"
#include "model/base/log.h"
#include "tools/command.h"

#include <string.h>

enum { CHUNK_MOST = 1 << 20, GZIP_MOST = 9 };

static const struct argp_option options[] = {
    {"to", 0, "LAYOUT", 0, "fwm (the native layout) or well (The Well's)", 0},
    {"out", 'o', "PATH", 0, "Where it goes: a file; for well also a folder, which gets data/train, ... and stats.yaml",
     0},
    {"layout", 0, "NAME", 0, "Layout of FILE (default: recognised from its content)", 0},
    {"frames", 0, "WHAT", 0, "As data.frames of a configuration, where the layout of FILE leaves a choice", 0},
    {"state", 0, "WHAT", 0, "As data.state", 0},
    {"actions", 0, "WHAT", 0, "As data.actions", 0},
    {"chunk", 0, "STEPS", 0, "Steps of a chunk, as many as a training clip reads (default 8)", 0},
    {"compress", 0, "LEVEL", 0, "Shuffle and gzip at level 1 to 9 (default 0: none, the fastest to read)", 0},
    {0}};

const fwm_command fwm_command_convert = {
    .name = "convert",
    .summary = "write a dataset in another layout, or with other chunks and compression",
    .arguments = "FILE",
    .doc =
        "Reads FILE (or a folder) in any layout that is known and writes it in the native layout or in that of The "
        "Well, "
        "in bounded memory. Nothing stands under the new name before it is whole, and what is there already is never "
        "written over. The Well has room for a state on a regular grid (or frames alone), actions and parameters: "
        "what else there is is left out, and said.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
};

static void show(void *context, int64_t done, int64_t total)
{
    (void)total;
    fwm_progress_update(context, done, "");
}

static void say_what_is_left_out(const ds_info *info, const char *to)
{
    if (strcmp(to, "well") != 0)
        return;
    if (info->fields[DS_STATE].points > 0 && info->fields[DS_FRAMES].points > 0)
        fwm_log(FWM_LOG_WARN, "frames are left out: the layout has one grid, the state's");
    if (info->fields[DS_S_PHY].points > 0)
        fwm_log(FWM_LOG_WARN, "s_phy is left out: the layout has one grid, the state's");
    if (info->has_key_state)
        fwm_log(FWM_LOG_WARN, "key_state is left out: the layout has no place for it");
}

static fwm_status convert(fwm_call *call, ds_dataset *ds, const char *out, ds_convert_options *o)
{
    const ds_info *info = ds_get_info(ds);
    fwm_progress bar;
    say_what_is_left_out(info, o->to);
    fwm_progress_start(&bar, "convert", 0, info->trajectories);
    o->progress = show;
    o->context = &bar;
    const fwm_status status = ds_convert(ds, out, o);
    fwm_progress_finish(&bar, status == FWM_OK ? info->trajectories : 0, "trajectories");
    FWM_TRY(status);
    if (!call->json)
        return FWM_OK;
    return fwm_print_json(json_pack("{s:s,s:s,s:s,s:s,s:I}", "file", call->arguments[0], "layout", info->layout, "to",
                                    o->to, "out", out, "trajectories", (json_int_t)info->trajectories));
}

fwm_status fwm_run_convert(fwm_call *call)
{
    const char *to = fwm_call_text(call, "to", NULL), *out = fwm_call_text(call, "out", NULL);
    const ds_options choice = {.frames = fwm_call_text(call, "frames", NULL),
                               .state = fwm_call_text(call, "state", NULL),
                               .actions = fwm_call_text(call, "actions", NULL)};
    int64_t chunk = 0, gzip = 0;
    ds_dataset *ds = NULL;
    if (!to || (strcmp(to, "fwm") != 0 && strcmp(to, "well") != 0))
        return fwm_misuse(call, "--to: expected fwm or well, found %s%.60s%s", to ? "\"" : "", to ? to : "nothing",
                          to ? "\"" : "");
    if (!out)
        return fwm_misuse(call, "--out: expected where the new dataset goes, found nothing");
    FWM_TRY(fwm_call_int(call, "chunk", 1, CHUNK_MOST, &chunk));
    FWM_TRY(fwm_call_int(call, "compress", 0, GZIP_MOST, &gzip));
    FWM_TRY(ds_open_with(&ds, call->arguments[0], fwm_call_text(call, "layout", "auto"), &choice));
    ds_convert_options o = {.to = to, .writer = {.gzip = (int)gzip, .chunk_steps = chunk}};
    const fwm_status status = convert(call, ds, out, &o);
    ds_close(&ds);
    return status;
}
