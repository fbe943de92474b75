/* fwm simulate: the finite-element generator connected to the writer of datasets. */
#include "data/convert.h"
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"
#include "physics/ranks.h"
#include "tools/command.h"
#include "tools/config_option.h"
#include "tools/simulation/simulation.h"

#include <string.h>

static const struct argp_option options[] = {
    {"out", 'o', "FILE.h5", 0, "Where the dataset goes (default: data.file)", 0},
    {"layout", 0, "LAYOUT", 0, "fwm (default), or well: The Well's, as `fwm convert --to well` writes it", 0},
    {"set", 0, "KEY=VALUE", 0, "Override a key of the configuration", 0},
    {"force", 0, NULL, 0, "Simulate even where the file is there already", 0},
    {0}};

const fwm_command fwm_command_simulate = {
    .name = "simulate",
    .summary = "run the finite-element generator: an HDF5 dataset of videos, states and actions",
    .arguments = "CONFIG",
    .doc = "Simulates the trajectories of the configuration's `simulate` block with the true law on the fine mesh and "
           "the nominal law on "
           "the coarse one, renders frames, and writes a dataset in the native layout. The file appears when it is "
           "complete. An existing "
           "file that was made from the same block is kept; one made from another is refused without --force.\n\n"
           "Finished trajectories are kept in FILE.h5.parts until then, so a run that was killed goes on where it "
           "stopped. "
           "Under mpirun the ranks share the trajectories; the file is the same, whatever their number. "
           "With --layout well the native file is made beside the target, converted, and removed.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
};

/* Is there a whole file made by the same recipe? Another recipe is an error: a dataset is never overwritten by
 * accident. */
static fwm_status already_there(const char *path, const char *text, bool *same)
{
    *same = false;
    FILE *f = fopen(path, "rb");
    if (!f)
        return FWM_OK;
    (void)fclose(f);
    ds_dataset *ds = NULL;
    fwm_status status = ds_open(&ds, path, "fwm");
    if (status != FWM_OK)
        return fwm_fail_within(status,
                               "is there already and cannot be read; give another --out (or data.file), or --force");
    *same = strcmp(ds_get_info(ds)->config, text) == 0;
    ds_close(&ds);
    FWM_CHECK(*same, FWM_IO,
              "%s: is there already and was simulated from another configuration; give another --out (or data.file), "
              "or --force",
              path);
    return FWM_OK;
}

/* Rank 0 looks whether there is something to do, and makes the folder; all ranks learn it. */
static fwm_status look(const fwm_call *call, const char *path, const char *recipe, int rank, bool *same)
{
    fwm_status status = FWM_OK;
    *same = false;
    if (rank == 0 && !fwm_call_has(call, "force"))
        status = already_there(path, recipe, same);
    if (rank == 0 && status == FWM_OK && !*same)
        status = fwm_make_parent(path);
    FWM_TRY(fem_ranks_agree(status));
    int64_t todo;
    FWM_TRY(fem_ranks_least(rank == 0 && *same ? 0 : 1, &todo));
    *same = todo == 0;
    return FWM_OK;
}

/* The native file as The Well has it; what stands under `path` already is not written over. */
static fwm_status as_well(const char *native, const char *path)
{
    ds_dataset *ds = NULL;
    const ds_convert_options o = {.to = "well"};
    FWM_TRY(ds_open(&ds, native, "fwm"));
    const fwm_status status = ds_convert(ds, path, &o);
    ds_close(&ds);
    if (status == FWM_OK)
        (void)remove(native);
    return status;
}

fwm_status fwm_run_simulate(fwm_call *call)
{
    tr_config *c = NULL;
    char *text = NULL;
    bool same = false;
    int rank = 0, ranks = 1;
    char native[4096];
    const char *layout = fwm_call_text(call, "layout", "fwm");
    const bool well = strcmp(layout, "well") == 0;
    if (!well && strcmp(layout, "fwm") != 0)
        return fwm_misuse(call, "--layout: expected fwm or well, found \"%.60s\"", layout);
    FWM_TRY(fwm_call_config(call, &c));
    const char *path = fwm_call_text(call, "out", c->data.file);
    (void)snprintf(native, sizeof native, well ? "%.4000s.native.h5" : "%.4000s", path);
    double start = fwm_seconds();
    fwm_status status = fwm_threads_init((int)c->trainer.threads);
    if (status == FWM_OK)
        status = fwm_simulation_recipe(c, &text);
    if (status == FWM_OK)
        status = fem_ranks(&rank, &ranks);
    if (status == FWM_OK) {
        fwm_log_set_rank(rank, ranks);
        status = look(call, native, text, rank, &same);
        if (status == FWM_OK && !same)
            status = fwm_simulate_dataset(c, native, text, true);
        if (status == FWM_OK && well)
            status = fem_ranks_agree(rank == 0 ? as_well(native, path) : FWM_OK);
    }
    if (status == FWM_OK && rank == 0) {
        double seconds = fwm_seconds() - start;
        fwm_log(FWM_LOG_INFO, same ? "%s: is there already, from this configuration" : "%s: written in %.1f s", path,
                seconds);
        if (call->json)
            status = fwm_print_json(json_pack("{s:s, s:b, s:f}", "data", path, "simulated", !same, "seconds", seconds));
        else
            (void)printf("%s\n", path);
    }
    fwm_free(text);
    tr_config_destroy(c);
    fem_finalize(); /* a launcher wants to know that this was the end */
    return status;
}
