/* What the files of a problem share: its parts, its workspace, and one lane block of a batch. */
#ifndef FWM_PHYSICS_PROBLEM_IMPL_H
#define FWM_PHYSICS_PROBLEM_IMPL_H

#include "physics/factor.h"

typedef struct fem_custom_node fem_custom_node;

/* Lane-block fields of one thread. STATES must be last: it holds substeps + 1 of them. */
enum fem_slot { SLOT_U1, SLOT_U0, SLOT_R, SLOT_D, SLOT_WORK, SLOT_V, SLOT_G, SLOT_U1_BAR, SLOT_U0_BAR, SLOT_STATES };

/* One thread's memory for one number type. */
typedef struct fem_thread_work {
    void *fields;    /* slots of [dof][lanes] */
    void *a, *a_bar; /* [A][lanes] */
} fem_thread_work;

typedef struct fem_workspace {
    int threads;
    fem_thread_work *thread;
    int64_t blocks;
    double *theta_bar; /* [blocks, sum of counts] */
    int64_t theta_room;
    int64_t batch;
    unsigned char *failed;   /* [batch] samples that the shared factor did not solve */
    void *state, *state_bar; /* [batch, dof]: the step norm's own step */
} fem_workspace;

struct fem_problem {
    const fem_equation *equation;
    const fem_mesh *mesh;
    fem_problem_spec spec;
    int n_sources, n_actions;
    int64_t dof;
    const fem_form_kernels *form[2]; /* by ad_dtype */
    const fem_lane_kernels *lane[2];
    fem_loads loads[2];
    int32_t *load_row, *load_action;
    double *load_weight;
    float *load_weight_f32;

    fem_symbolic *symbolic;
    double *ke;   /* element matrices */
    double *zero; /* [dof + n_ambient] the state of the shared factors: the equation's `around`, no ambient action */
    fem_factor *riesz;
    double *reference_theta; /* [n_parameters] */

    fem_factor *step; /* of the Jacobian at u = 0 and the theta below */
    bool step_ready;
    ad_dtype step_dtype;
    int64_t step_count[FEM_MAX_PARAMETERS];
    void *step_theta[FEM_MAX_PARAMETERS];     /* the caller's bytes */
    double *step_theta64[FEM_MAX_PARAMETERS]; /* the same in double */

    fem_factor *newton; /* for single samples; made when first needed, with room for their states */
    double *newton_row; /* [3 dof + 2 n_actions] */
    fem_workspace work[2];
    struct fem_custom_node *customs;
};

/* One lane block of a call: samples first .. first+count-1. */
typedef struct fem_block {
    fem_problem *p;
    ad_dtype dtype;
    const fem_lane_kernels *lane;
    fem_thread_work *work;
    const fem_theta *theta;
    int64_t first;
    int count;
} fem_block;

/* ---- problem.c ---- */

/* Range and count of every parameter; theta->count is 1, or n_cells where the parameter allows it. */
fwm_status fem_theta_check(const fem_problem *p, ad_dtype dtype, const fem_theta *theta) FWM_MUST_USE;
/* Checks a call's arguments and makes room for it. */
fwm_status fem_call_start(fem_problem *p, ad_dtype dtype, const fem_theta *theta, int64_t batch) FWM_MUST_USE;
fem_block fem_block_at(fem_problem *p, ad_dtype dtype, const fem_theta *theta, int64_t batch, int64_t block,
                       int thread);
int64_t fem_block_count(const fem_problem *p, ad_dtype dtype, int64_t batch);
/* True where R is affine for this theta. */
bool fem_theta_linear(const fem_problem *p, ad_dtype dtype, const fem_theta *theta);
static inline double fem_theta_at(ad_dtype dtype, const fem_theta *theta, int k, int64_t i)
{
    return dtype == AD_F64 ? ((const double *)theta->value[k])[i] : (double)((const float *)theta->value[k])[i];
}

/* ---- sweep.c: one lane block ---- */

void *fem_slot(const fem_block *b, int slot);
/* Rows of this block within a [B,n] array. */
void *fem_rows(const fem_block *b, const void *array, int64_t n);
void fem_block_clear(const fem_block *b, int slot);
void fem_block_load_actions(const fem_block *b, const void *a);
/* slot r = R(slot u1, slot u0). */
void fem_block_residual(const fem_block *b, int r, int u1, int u0, double dt);
/* Adds the bars of cotangent slot v: slots u1_bar, u0_bar (-1: not wanted), the thread's a_bar where wanted, and
 * theta_bar (one array a parameter, NULL entries: not wanted; may be NULL). */
void fem_block_vjp(const fem_block *b, int v, int u1, int u0, double dt, int u1_bar, int u0_bar, bool a_bar,
                   double *const *theta_bar);
void fem_block_solve(const fem_block *b, int x, int rhs, const fem_factor *factor);
/* 1 for this block's samples, 0 for the lanes beyond them. */
void fem_block_valid(const fem_block *b, double valid[FEM_MAX_LANES]);
/* Where this block's theta gradients are summed: cleared; NULL entries where bars->theta is NULL. */
void fem_block_theta_bars(const fem_block *b, int64_t block, const fem_bars *bars,
                          double *theta_bar[FEM_MAX_PARAMETERS]);
/* The same pointers, not cleared. */
void fem_theta_bars_at(const fem_problem *p, ad_dtype dtype, const fem_theta *theta, int64_t block,
                       const fem_bars *bars, double *theta_bar[FEM_MAX_PARAMETERS]);
/* Sums the blocks' theta gradients in order into bars->theta. */
void fem_reduce_theta_bars(fem_problem *p, ad_dtype dtype, const fem_theta *theta, int64_t blocks,
                           const fem_bars *bars);

void fem_block_clear_actions(const fem_block *b);
/* All bars of the cotangent in SLOT_V for the states in SLOT_U1 and SLOT_U0, written to this block's rows; theta's to
 * its sums. */
void fem_block_pull(const fem_block *b, int64_t block, const fem_bars *bars, double dt);

/* ---- step.c ---- */

/* The factor of the Jacobian for this theta, computed where its bytes changed. */
fwm_status fem_step_factor(fem_problem *p, ad_dtype dtype, const fem_theta *theta) FWM_MUST_USE;
static inline double fem_substep(const fem_problem *p)
{
    return p->spec.dt / p->spec.substeps;
}
/* Element matrices of dR/du1 at one float64 state. */
void fem_jacobian(fem_problem *p, double *ke, const double *u1, const double *u0, const double *ambient,
                  const double *const *theta, const int64_t *count, double dt);

/* ---- newton.c: samples one by one in float64, with their own factor and a line search ---- */

/* Overwrites the sample's row of u1. */
fwm_status fem_newton_step(fem_problem *p, ad_dtype dtype, void *u1, const void *u0, const void *a,
                           int64_t sample) FWM_MUST_USE;
/* Overwrites the sample's rows of bars->u0 and bars->a, and adds to the first block's sums of theta's gradients. */
fwm_status fem_newton_adjoint(fem_problem *p, ad_dtype dtype, const fem_bars *bars, const fem_theta *theta,
                              const void *u1_bar, const void *u1, const void *u0, const void *a,
                              int64_t sample) FWM_MUST_USE;

/* ---- sources.c ---- */
fwm_status fem_loads_create(fem_problem *p) FWM_MUST_USE;
/* ---- custom.c ---- */
void fem_customs_destroy(fem_problem *p);

#endif
