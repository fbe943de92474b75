/* What the files of a problem share: its parts, its workspace, and one lane block of a batch. */
#ifndef FWM_PHYSICS_PROBLEM_IMPL_H
#define FWM_PHYSICS_PROBLEM_IMPL_H

#include "physics/factor.h"
#include "physics/scheme.h"
#include "physics/sparse.h"

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
    void *fields;            /* slots of [dof][lanes] */
    void *a, *a_bar;         /* [A][lanes] */
    double *broken;          /* see matrix.c; made when first needed */
    fem_lane_factor *factor; /* Newton's; likewise */
} fem_thread_work;

/* Faces of the boundary that a natural condition holds. */
typedef struct fem_natural {
    int kind;
    int64_t n;
    int32_t *face;
} fem_natural;

/* Why a sample has no step. */
typedef struct fem_failure {
    enum { FEM_SOLVED, FEM_NOT_CONVERGED, FEM_SINGULAR, FEM_NOT_FINITE } kind;
    int substep, iterations;
    int64_t dof; /* where it is worst */
    double size; /* of the last update */
} fem_failure;

typedef struct fem_workspace {
    int threads;
    fem_thread_work *thread;
    int64_t blocks;
    double *theta_bar; /* [blocks, sum of counts], then as many for Newton's groups */
    int64_t theta_room;
    int64_t batch;
    unsigned char *failed;   /* [batch] samples that the shared factor did not solve */
    int64_t *index;          /* [batch] their numbers */
    fem_failure *failure;    /* [batch] what stopped Newton's method */
    void *state, *state_bar; /* [batch, dof]: the step norm's own step */
} fem_workspace;

/* The arrays behind point_sources; NULL where the form does not read them. */
typedef struct fem_points_room {
    int32_t *start, *action, *component;
    double *density;
    float *density_f32;
} fem_points_room;

struct fem_problem {
    const fem_equation *equation;
    const fem_mesh *mesh;
    fem_problem_spec spec;
    int n_sources, n_driven, n_actions, components;
    int64_t dof;
    const fem_form_kernels *form[2]; /* by ad_dtype */
    const fem_lane_kernels *lane[2];
    fem_loads loads[2];
    fem_point_sources point_sources[2];
    fem_points_room points_room;
    int32_t *load_row, *load_action;
    double *load_weight;
    float *load_weight_f32;

    /* conditions */
    uint8_t *held; /* [dof] not 0: not free */
    fem_constraints constraints;
    int32_t *fixed_dof, *fixed_action, *mean_dof, *mean_start, *mean_from;
    double *fixed_constant, *fixed_gain;
    fem_average average[FEM_MAX_CELL_NODES];
    int n_natural;
    fem_natural natural[FEM_MAX_CONDITIONS];

    fem_symbolic *symbolic;
    int32_t *broken_nodes;        /* [n_cells, nodes]: 0, 1, 2, ... */
    double *ke;                   /* element matrices */
    double *rest;                 /* [dof + n_actions] the state of the shared factor, actions zero */
    fem_symbolic *riesz_symbolic; /* of P where components are apart; else NULL */
    fem_factor *riesz;
    double *reference_theta;           /* [n_parameters] */
    double weight[FEM_MAX_COMPONENTS]; /* of each component in the loss: its field's weight over s^2 */

    fem_factor *step[FEM_STAGE_KINDS]; /* of the Jacobian at u = 0 and the theta below */
    bool step_ready, step_usable;      /* usable: the shared factor exists */
    ad_dtype step_dtype;
    int64_t step_count[FEM_MAX_PARAMETERS];
    void *step_theta[FEM_MAX_PARAMETERS];     /* the caller's bytes */
    double *step_theta64[FEM_MAX_PARAMETERS]; /* the same in double */

    double adjoint_error[2]; /* by ad_dtype: largest |A^T l - g| / |g| seen */
    int64_t adjoint_calls[2];
    fem_workspace work[2];
    fem_sparse sparse[2]; /* by ad_dtype */
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

/* Aligned to a vector, cleared: lanes that no sample fills then hold numbers. */
void *fem_vector_alloc(size_t n, size_t size);
/* Room for as many threads in one number type. */
fwm_status fem_grow_threads(fem_problem *p, ad_dtype dtype, int threads) FWM_MUST_USE;

/* Whether a parameter may have so many values; range and count of every parameter. */
fwm_status fem_theta_count_check(const fem_problem *p, int k, int64_t count) FWM_MUST_USE;
fwm_status fem_theta_check(const fem_problem *p, ad_dtype dtype, const fem_theta *theta) FWM_MUST_USE;
/* Checks a call's arguments and makes room for it. */
fwm_status fem_call_start(fem_problem *p, ad_dtype dtype, const fem_theta *theta, int64_t batch) FWM_MUST_USE;
fem_block fem_block_at(fem_problem *p, ad_dtype dtype, const fem_theta *theta, int64_t batch, int64_t block,
                       int thread);
int64_t fem_block_count(const fem_problem *p, ad_dtype dtype, int64_t batch);
/* P's element matrices into p->ke. */
void fem_riesz_matrices(fem_problem *p);
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
/* Both states into SLOT_U1 (conditions applied; after the actions) and SLOT_U0. */
void fem_block_pack_pair(const fem_block *b, const void *u1, const void *u0);
/* The residual's own stage on SLOT_U1 and SLOT_U0. */
fem_at fem_at_pair(const fem_problem *p);
void fem_block_solve(const fem_block *b, int x, int rhs, const fem_triangles *triangles);
/* 1 for this block's samples, 0 for the lanes beyond them. */
void fem_block_valid(const fem_block *b, double valid[FEM_MAX_LANES]);
/* The sweep over the cells there, without outputs; s->faces and what follows are set by the two calls below, which
 * sweep cells and the faces of natural conditions. */
fem_sweep fem_block_sweep(const fem_block *b, const fem_at *at);
void fem_sweep_residual(const fem_problem *p, ad_dtype dtype, fem_sweep *s);
void fem_sweep_vjp(const fem_problem *p, ad_dtype dtype, fem_sweep *s);
/* Overwrites what is not free in a state; the transpose, into the thread's a_bar; zero there. */
void fem_block_constrain(const fem_block *b, int u);
void fem_block_constrain_vjp(const fem_block *b, int u_bar);
void fem_block_mask(const fem_block *b, int r);
/* Where the theta gradients of a row (a block, or a group of Newton's after them) are summed: cleared; NULL entries
 * where bars->theta is NULL. */
void fem_clear_theta_bars(fem_problem *p, ad_dtype dtype, const fem_theta *theta, int64_t row, const fem_bars *bars,
                          double *theta_bar[FEM_MAX_PARAMETERS]);
bool fem_wants_theta(const fem_problem *p, const fem_bars *bars);
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
/* The parameters of the factors in double. */
fem_theta fem_theta_wide(const fem_problem *p);
/* Slots of substep s (from 1), its state SLOT_STATES+s from the one before. The memory is read into SLOT_W. */
fem_at fem_block_substep(const fem_block *b, int s);
/* What substep s hands on, once its state stands. */
void fem_block_remember(const fem_block *b, int s);
/* Bars of the memory and of substep s's state, SLOT_Z_BAR and SLOT_G, before its adjoint: the part of SLOT_G that goes
 * to the state before is in SLOT_U0_BAR then. */
void fem_block_forget(const fem_block *b, int s);
/* With l in SLOT_V, g in SLOT_G: keeps |A^T l - g| / |g| where it is the largest yet. Overwrites SLOT_R. */
void fem_block_check_adjoint(const fem_block *b, const fem_at *at);
/* Bars of cotangent SLOT_V: the state before's into SLOT_G, the memory's into SLOT_Z_BAR. */
void fem_block_pull_substep(const fem_block *b, const fem_at *at, bool a_bar, double *const *theta_bar);
/* ---- matrix.c ---- */

fwm_status fem_matrix_work_create(fem_problem *p, fem_thread_work *work) FWM_MUST_USE;
/* Element matrices [n_cells][i][j] of dR/du1 at one float64 state with actions a. Uses the first thread's work. */
void fem_jacobian(fem_problem *p, double *ke, const double *u1, const double *u0, const double *a,
                  const fem_theta *theta, const fem_stage *stage);
/* A float64 block's matrices, one a lane, summed into the factor. */
void fem_block_matrix(const fem_block *b, const fem_at *at, fem_lane_factor *factor);

/* ---- newton.c: what the shared factor does not solve, a matrix for each sample, in float64 ---- */

/* Overwrites the rows of u1 of the samples marked in the workspace's `failed`. */
fwm_status fem_newton_step(fem_problem *p, ad_dtype dtype, void *u1, const void *u0, const void *a,
                           int64_t batch) FWM_MUST_USE;
/* Overwrites their rows of bars->u0 and bars->a; sums of theta's gradients follow those of the blocks. groups: how many
 * such sums. */
fwm_status fem_newton_adjoint(fem_problem *p, ad_dtype dtype, const fem_bars *bars, const fem_theta *theta,
                              const void *u1_bar, const void *u1, const void *u0, const void *a, int64_t batch,
                              int64_t *groups) FWM_MUST_USE;

/* ---- sparse.c: the fast path of affine equations ---- */

/* For the call at hand: matrices for this theta where the equation is affine in it. */
fwm_status fem_sparse_prepare(fem_problem *p, ad_dtype dtype, const fem_theta *theta) FWM_MUST_USE;
void fem_sparse_destroy(fem_sparse *s);
/* As fem_block_residual and fem_block_vjp; false, and nothing done, where the matrices do not serve. */
bool fem_sparse_residual(const fem_block *b, int r, const fem_at *at);
bool fem_sparse_vjp(const fem_block *b, int v, const fem_at *at, const fem_bar_slots *bars);

/* ---- condition.c ---- */
fwm_status fem_conditions_create(fem_problem *p) FWM_MUST_USE;
void fem_conditions_destroy(fem_problem *p);
/* Whether a component is carried by the vertices of a quadratic element. */
bool fem_on_vertices(const fem_problem *p, int component);

/* ---- sources.c ---- */
fwm_status fem_loads_create(fem_problem *p) FWM_MUST_USE;
/* ---- point_sources.c ---- */
fwm_status fem_point_sources_create(fem_problem *p) FWM_MUST_USE;
void fem_point_sources_destroy(fem_problem *p);
/* ---- custom.c ---- */
void fem_customs_destroy(fem_problem *p);

#endif
