/* The generator connected to a writer of datasets.
 *
 * Trajectories are simulated in parts of a fixed number, each a function of (recipe, split, index) alone. A part that
 * is finished is kept in the folder PATH.parts until the dataset is whole: a run that was killed goes on where it
 * stopped, and under mpirun every rank makes its own parts, which rank 0 puts into the dataset in order. So the
 * dataset's bytes depend neither on kills nor on the number of ranks or threads. */
#ifndef TOOLS_SIMULATION_SIMULATION_H
#define TOOLS_SIMULATION_SIMULATION_H

#include "data/writer.h"
#include "physics/simulate.h"
#include "train/config.h"

/* Errors: FWM_CONFIG. */
fwm_status fwm_simulation_spec(const tr_config *config, fem_simulate_spec *spec) FWM_MUST_USE;

/* What decides the bytes, as JSON: seed, equation and the simulate block. *text is freed by fwm_free. */
fwm_status fwm_simulation_recipe(const tr_config *config, char **text) FWM_MUST_USE;

/* Simulates the configuration's `simulate` block into a new dataset at `path`; all ranks call it. `recipe` is kept in
 * the file's header and decides which parts of an earlier run are taken up; `show`: with a progress bar. Errors:
 * FWM_CONFIG, FWM_IO, FWM_MEMORY, FWM_NUMERIC; no file is left then, but for the finished parts. */
fwm_status fwm_simulate_dataset(const tr_config *config, const char *path, const char *recipe, bool show) FWM_MUST_USE;

/* ---- dataset.c: the file ---- */

typedef struct fwm_simulated_file {
    ds_writer *writer;
    int64_t first[FEM_SPLIT_COUNT], done, frames;
    double *basin; /* [N,T], NULL where the equation has none */
} fwm_simulated_file;

fwm_status fwm_simulated_begin(fwm_simulated_file *file, const tr_config *config, const fem_simulate_spec *spec,
                               const fem_simulation *simulation, const char *path, const char *recipe) FWM_MUST_USE;
/* A fem_sink; `file` is an fwm_simulated_file. */
fwm_status fwm_simulated_put(void *file, const fem_trajectory *trajectory) FWM_MUST_USE;
fwm_status fwm_simulated_finish(fwm_simulated_file *file, const fem_simulate_spec *spec,
                                const fem_simulation *simulation) FWM_MUST_USE;
/* Drops what was not finished. */
void fwm_simulated_abort(fwm_simulated_file *file);

#endif
