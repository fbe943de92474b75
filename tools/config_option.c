#include "tools/config_option.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

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
    char part[4096];
    FWM_CHECK(strlen(path) < sizeof part, FWM_INVALID, "%s: the path is too long", path);
    memcpy(part, path, strlen(path) + 1);
    for (char *c = strchr(part + 1, '/'); c; c = strchr(c + 1, '/')) {
        *c = '\0';
        FWM_CHECK(mkdir(part, 0777) == 0 || errno == EEXIST, FWM_IO, "%s: cannot make the folder: %s", part,
                  strerror(errno));
        *c = '/';
    }
    return FWM_OK;
}
