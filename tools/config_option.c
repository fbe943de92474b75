#include "tools/config_option.h"

#include "train/trainer.h"

#include <stdio.h>
#include <string.h>

fwm_status fwm_call_sets(fwm_call *call, const char **sets, int64_t *n)
{
    int given = fwm_call_texts(call, "set", FWM_MAX_SETS, sets);
    if (given > FWM_MAX_SETS)
        return fwm_misuse(call, "--set: at most %d, found %d", FWM_MAX_SETS, given);
    *n = given;
    return FWM_OK;
}

fwm_status fwm_call_config(fwm_call *call, tr_config **config)
{
    const char *sets[FWM_MAX_SETS];
    int64_t n = 0;
    *config = NULL;
    FWM_TRY(fwm_call_sets(call, sets, &n));
    return tr_config_load(config, call->arguments[0], sets, n);
}

fwm_status fwm_make_parent(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return FWM_OK;
    FWM_CHECK((size_t)(slash - path) < sizeof folder, FWM_INVALID, "%.100s...: the path is too long", path);
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    return tr_folder_make(folder);
}
