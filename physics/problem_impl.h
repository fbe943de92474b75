/* What the files of a problem share: its parts, its workspace, and one lane block of a batch. */
#ifndef FWM_PHYSICS_PROBLEM_IMPL_H
#define FWM_PHYSICS_PROBLEM_IMPL_H

#include "physics/factor.h"
#include "physics/scheme.h"

typedef struct fem_custom_node fem_custom_node;

/* Lane-block fields of one thread. STATES must be last: it holds substeps + 1 of them, and as many memories where the
 * scheme remembers. W is the rate's history of the substep at hand, Z_BAR the memory's bar. */
enum fem_slot {
    SLOT_U1,
    SLOT_U0,
    SLOT_R,
    SLOT_D,
    SLOT_WORK,
    SLOT_V,
    SLOT_G,
    SLOT_U1_BAR,
    SLOT_U0_BAR,
    SLOT_W,
    SLOT_W_BAR,
    SLOT_Z_BAR,
    SLOT_STATES
};

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
    int n_sources, n_actions, components;
    int64_t dof;
    const fem_form_kernels *form[2]; /* by ad_dtype */
    const fem_lane_kernels *lane[2];
    fem_loads loads[2];
    int32_t *load_row, *load_action;
    double *load_weight;
    float *load_weight_f32;

    fem_symbolic *symbolic;
    double *ke;   /* element matrices */
    double *zero; /* [dof + n_ambient] the state where Newton starts */
    fem_factor *riesz;
    double *reference_theta; /* [n_parameters] */

    fem_factor *step[FEM_STAGE_KINDS]; /* of the Jacobian at u = 0 and the theta below */
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

/* Where a residual is taken: slots of both states and of the rate's history (-1: none), and the scheme's numbers. */
typedef struct fem_at {
    int u1, u0, w;
    fem_stage stage;
} fem_at;

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
/* slot r = R there. */
void fem_block_residual(const fem_block *b, int r, const fem_at *at);

/* Where bars are added: slots (-1: not wanted), the thread's a_bar where wanted, theta (one array a parameter, NULL
 * entries: not wanted; may be NULL). */
typedef struct fem_bar_slots {
    int u1, u0, w;
    bool a;
    double *const *theta;
} fem_bar_slots;
static const fem_bar_slots FEM_NO_BARS = {.u1 = -1, .u0 = -1, .w = -1};
/* Adds the bars of cotangent slot v. */
void fem_block_vjp(const fem_block *b, int v, const fem_at *at, const fem_bar_slots *bars);
/* The residual's own stage on SLOT_U1 and SLOT_U0. */
fem_at fem_at_pair(const fem_problem *p);
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
void fem_block_pull(const fem_block *b, int64_t block, const fem_bars *bars);

/* ---- step.c ---- */

/* The factors of the Jacobian for this theta, computed where its bytes changed. */
fwm_status fem_step_factor(fem_problem *p, ad_dtype dtype, const fem_theta *theta) FWM_MUST_USE;
static inline fem_stage fem_substep(const fem_problem *p, int k)
{
    return fem_scheme_stage(p->spec.scheme, p->spec.spectral_radius, k, p->spec.dt / p->spec.substeps);
}
/* Slots of substep s (from 1), its state SLOT_STATES+s from the one before. The memory is read into SLOT_W. */
fem_at fem_block_substep(const fem_block *b, int s);
/* What substep s hands on, once its state stands. */
void fem_block_remember(const fem_block *b, int s);
/* Bars of the memory and of substep s's state, SLOT_Z_BAR and SLOT_G, before its adjoint: the part of SLOT_G that goes
 * to the state before is in SLOT_U0_BAR then. */
void fem_block_forget(const fem_block *b, int s);
/* Bars of cotangent SLOT_V: the state before's into SLOT_G, the memory's into SLOT_Z_BAR. */
void fem_block_pull_substep(const fem_block *b, const fem_at *at, bool a_bar, double *const *theta_bar);
/* Element matrices of dR/du1 at one float64 state (w NULL: no history). */
void fem_jacobian(fem_problem *p, double *ke, const double *u1, const double *u0, const double *w,
                  const double *ambient, const fem_theta *theta, const fem_stage *stage);

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
