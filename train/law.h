/* The law that a model knows: meshes of a dataset, the equation with its parameters, and the builders (wm_physics)
 * through which the model's graph reaches them. This is where physics/ meets model/.
 *
 * Parameters that are learned keep their sign and live in the parameter store as logarithms of their size,
 * "law/<name>": one value, or one a cell for those in `physics.field`. The others are constants. All graphs of a model
 * share one law; it must outlive their plans.
 *
 * A dataset without a mesh whose state has one point (joints of a robot) is a state without a place: a picture of it
 * has its value everywhere, and reading a picture takes its mean. It has no equation. */
#ifndef TRAIN_LAW_H
#define TRAIN_LAW_H

#include "data/dataset.h"
#include "model/world_model.h"
#include "physics/fem.h"
#include "train/config.h"

#define TR_LAW_PREFIX "law/"

typedef struct tr_law tr_law;

/* Builds meshes from the dataset, the equation from the config (sources, loads and conditions from its simulate
 * block). `std` [c] is the state's deviation [unit of u], for the physics loss. Errors: FWM_CONFIG (unknown parameter
 * or one that cannot be learned, actions of the data that do not fit the equation), FWM_DATA (no mesh; a dataset of
 * another equation). */
fwm_status tr_law_create(tr_law **law, const tr_config *config, const ds_dataset *ds, const double *std) FWM_MUST_USE;
void tr_law_destroy(tr_law **law);

/* The builders; parameters are made through `store`. */
const wm_physics *tr_law_physics(tr_law *law, nn_store *store);

const fem_mesh *tr_law_mesh(const tr_law *law); /* NULL for a state without a place */
const fem_mesh *tr_law_coarse_mesh(const tr_law *law);
fem_problem *tr_law_problem(const tr_law *law);         /* NULL where physics.equation is none */
const fem_equation *tr_law_equation(const tr_law *law); /* likewise */

/* Parameter k of the equation as the flat vector has it (constants as configured): `count` values, 1 or n_cells. */
bool tr_law_is_learned(const tr_law *law, int k);
int64_t tr_law_count(const tr_law *law, int k);
void tr_law_values(const tr_law *law, const nn_store *store, ad_dtype dtype, const void *flat, int k, double *values);
double tr_law_initial(const tr_law *law, int k);

/* Parts of the law's dual loss of transitions s0, a -> s1 ([B,n,c], [B,A]) with the parameters in `flat`: of each
 * field's equation [n_fields] and in each region [n_regions], means over the batch, each summing to the loss; and cells
 * [B,n_cells], the error indicator of each element (fem_indicator), which tells where a state breaks the law. NULL: not
 * wanted. physics.equation must be one. Allocates for the first batch only. Errors: FWM_MEMORY, those of the residual.
 */
fwm_status tr_law_parts(tr_law *law, const nn_store *store, const float *flat, double *cells, double *fields,
                        double *regions, const float *s1, const float *s0, const float *a, int64_t batch) FWM_MUST_USE;

/* States [batch,n,c] left alone: all actions off, `frames` frames of the dataset by the law with the parameters in
 * `flat`, in place; one step of backward Euler a frame, for what matters is where they go, not when. physics.equation
 * must be one. Errors: FWM_MEMORY, FWM_NUMERIC (a step has no solution). */
fwm_status tr_law_relax(const tr_law *law, const tr_config *config, const ds_dataset *ds, const nn_store *store,
                        const float *flat, float *states, int64_t batch, int64_t frames) FWM_MUST_USE;

/* Constant operators (made once, kept): a picture of a field of the fine mesh, for evaluation. */
fwm_status tr_law_render(tr_law *law, int64_t kh, int64_t kw, const ad_sparse **operator) FWM_MUST_USE;
/* s_phy at the fine nodes. */
fwm_status tr_law_prolong(tr_law *law, const ad_sparse **operator) FWM_MUST_USE;

/* A second problem on the same mesh in the dual norm, for judging with the true parameters. The caller destroys it. */
fwm_status tr_law_true_problem(const tr_law *law, const tr_config *config, const ds_dataset *ds, const double *std,
                               fem_problem **problem) FWM_MUST_USE;

/* sum over edges between cells of length |log k_i - log k_j| (unit of length): total variation of a learned field, as
 * graph; AD_NONE where nothing is a field. */
ad_value tr_law_total_variation(tr_law *law, const nn_builder *b);

#endif
