/* Rollouts in the space of codes: are predicted states distributed as true ones, and do they fall between the sheets?
 *
 * A code is wm_transport_code of a next state and the action before it (transport.code of the configuration). Collected
 * over rollouts, predicted and true codes are compared as clouds: exact W2, sliced distance, mode mixing, coverage. The
 * components of mode mixing are the simulator's basins where the dataset has them (/truth/basin: what each frame would
 * relax to, -1 unknown, which counts as its nearest known code's), else the sheets that are seen in the true codes.
 *
 * With basins the boundary detector is judged too. Of every second trajectory, pairs (code of a state, code of where it
 * leads) make a paired diagram (boundary.h); its distance ranks the states of the others; true boundary states are
 * those within two frames of a change of basin. Where a state leads: under the model's own law, left alone for RELAX
 * frames (tr_law_relax), if that law has stable states to lead to (fem_equation.basin); else where the data are LAG
 * frames later, actions and all. No label takes part. */
#ifndef TRAIN_CODES_H
#define TRAIN_CODES_H

#include "train/world.h"

typedef struct tr_codes tr_codes;

typedef struct tr_codes_report {
    int64_t count, components; /* codes; basins or sheets */
    bool basins;               /* components are the simulator's */
    double scale;              /* s of the true codes; distances are over it */
    double w2, sliced;         /* [s] W2 of up to 512 codes, exact; sliced distance */
    double mixing, off, coverage;
    double boundary_auc; /* NaN where there are no basins, or no boundary was found */
    int64_t boundary_states, judged;
} tr_codes_report;

/* For rollouts of H states (the start included) of up to `trajectories`, with flat weights. Errors: as the graph's. */
fwm_status tr_codes_create(tr_codes **codes, tr_world *world, const float *flat, int64_t trajectories,
                           int64_t H) FWM_MUST_USE;
void tr_codes_destroy(tr_codes **codes);

/* States [H,n,c] predicted and true, actions [H,A], basins [H] (NULL: none) of one trajectory. */
fwm_status tr_codes_add(tr_codes *codes, const float *predicted, const float *truth, const float *actions,
                        const double *basin) FWM_MUST_USE;

/* Errors: FWM_NUMERIC (codes that are not finite), FWM_MEMORY. */
fwm_status tr_codes_measure(const tr_codes *codes, tr_codes_report *report) FWM_MUST_USE;

/* Area under the curve of a score (higher: more likely) for flagged against the others; NaN where one kind is missing.
 */
double tr_area_under_curve(int64_t n, const double *score, const unsigned char *flag);

/* {"codes", "components", "basins", "scale", "w2", "sliced", "mixing", "off", "coverage", "boundary_auc"}. */
fwm_status tr_codes_json(const tr_codes_report *report, json_t **json) FWM_MUST_USE;

#endif
