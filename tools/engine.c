/* The large executable: every command, with all libraries. Works on its own as well; `fwm` only starts faster. */
#include "tools/command.h"

#include <string.h>

static fwm_status run(fwm_call *call, int argc, char **argv)
{
    static const struct {
        const char *name;
        fwm_status (*run)(fwm_call *call);
    } work[] = {
#define X(name) {#name, fwm_run_##name},
#include "commands.def"
#undef X
    };
    (void)argc;
    (void)argv;
    for (size_t i = 0; i < sizeof work / sizeof *work; i++)
        if (strcmp(work[i].name, call->command->name) == 0)
            return work[i].run(call);
    return fwm_fail(FWM_INTERNAL, "%s: a command without its work", call->command->name);
}

int main(int argc, char **argv)
{
    return fwm_main(argc, argv, run);
}
