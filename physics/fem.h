/* An equation on a mesh: residual, implicit step and physics loss of batches of states, with their adjoints.
 *
 * One lane-batched sweep over the cells owns the arithmetic: a lane is a sample. An equation is one file under forms/
 * with two pointwise functions, the weak form and its transpose; residual, Jacobian, step, loss and all their gradients
 * follow.
 *
 * Shapes: u [B,n,c], a [B,A], row-major, all of one type (f32 or f64); c counts the components of all fields. theta:
 * one array for each parameter of the equation, in the order of fem_equation.parameter, shared by the batch; its count
 * is 1 or, where the parameter may vary in space, that of the mesh's cells or regions. The residual is the weak form
 * integrated against each shape function [unit of u * L^dim / time], u and u_t being the time scheme's:
 *
 *     R_i(u1,u0,a;theta) = int f0(u,u_t,...) phi_i + f1(u,...) . grad phi_i + int_boundary f0_b phi_i
 *                          - sum_j a_j int Q_j q_j phi_i
 *
 * Essential conditions u_D = constant + a_j profile: these entries of u1 are overwritten before anything is evaluated,
 * their rows of R are zero, and their bars go to the action. Components on vertices (FEM_FIELD_VERTICES) on quadratic
 * elements: entries at other nodes are not read; a step fills them with the mean of their vertices.
 *
 * Bits: a sample's result depends on its own inputs, dtype and instruction set only, never on the batch around it or on
 * threads; theta's gradients sum over the batch in a fixed order.
 *
 * Owner: the caller. A problem serves one thread at a time and uses OpenMP inside. No call after creation enters PETSc.
 *
 * Memory: workspace grows to the largest batch seen (fem_problem_reserve sizes it ahead); nothing is allocated after
 * that, but once more when a sample first needs Newton's method.
 *
 * Sources: weak forms and Riesz norms are textbook (Ern & Guermond); sparse factorisation: Liu 1986, Davis 2006. */
#ifndef FWM_PHYSICS_FEM_H
#define FWM_PHYSICS_FEM_H

#include "model/autodiff/ops.h"
#include "physics/mesh.h"

enum { FEM_MAX_PARAMETERS = 16, FEM_MAX_FIELDS = 4, FEM_MAX_COMPONENTS = 8, FEM_MAX_NATURAL = 4 };
enum { FEM_MAX_ACTIONS = 32, FEM_MAX_SUBSTEPS = 64, FEM_MAX_CONDITIONS = 32 };

typedef struct fem_parameter {
    const char *name, *unit, *about;
    double preset;    /* value when nobody gives one */
    double lo, hi;    /* accepted range, ends included */
    double reference; /* value in the constant operator P of the dual norm */
    bool per_cell;    /* may vary in space: one value for each cell, or each region of the mesh */
} fem_parameter;

/* What a field is, as bits. */
enum {
    FEM_FIELD_SCALAR = 0,
    FEM_FIELD_VECTOR = 1,    /* dim components */
    FEM_FIELD_VERTICES = 2,  /* of first order on quadratic elements too; the form says so by FEM_ON_VERTICES */
    FEM_FIELD_MULTIPLIER = 4 /* enforces a constraint and has no matrix diagonal of its own (pressure) */
};

/* The matrix dR/du1 of a step: which factor solves it. */
typedef enum fem_matrix_kind {
    FEM_MATRIX_DEFINITE, /* symmetric positive definite: L D L^T */
    FEM_MATRIX_GENERAL   /* L U */
} fem_matrix_kind;

typedef struct fem_equation {
    const char *name, *about;
    int n_fields, n_parameters;
    const char *field[FEM_MAX_FIELDS], *field_unit[FEM_MAX_FIELDS];
    unsigned field_kind[FEM_MAX_FIELDS]; /* FEM_FIELD_* */
    int max_dim;                         /* 2 where the equation lives in the plane alone; 0: any */
    fem_parameter parameter[FEM_MAX_PARAMETERS];
    int n_ambient; /* trailing actions that the pointwise functions read; those before them are powers of sources */
    const char *ambient[4], *ambient_unit[4];
    const char *source; /* what a source is called: "heater"; NULL: "source" */
    /* True where R is affine in (u1,u0) for these scalar parameter values (one value a parameter; per-cell ones: the
     * first). */
    bool (*is_linear)(const double *theta);
    fem_matrix_kind matrix;
    /* Natural conditions that bf and bb know, by name. A boundary without one has f1 . n = 0. */
    int n_natural;
    const char *natural[FEM_MAX_NATURAL], *natural_about[FEM_MAX_NATURAL];
    /* P of the dual norm, component by component: P = mass[c] M + stiffness[c] K, with reference parameters. Needed
     * where there are several components or the matrix is general; NULL else: P is the Jacobian at u = 0. */
    void (*riesz)(int dim, const double *theta, double dt, double *mass, double *stiffness);
    /* The uniform state where the shared factor of nonlinear steps is taken; NULL: zero. */
    void (*rest)(int dim, const double *theta, double *u);
    /* How suddenly states [n,c] change between u0 and u1, dt apart [1/time]: the criterion of key states. NULL: the
     * equation has none. */
    double (*event_rate)(const fem_mesh *mesh, const float *u1, const float *u0, double dt);
    const char *event_about;
    /* The stable state that u [n,c] would relax to without control, where u tells: from 0, or FEM_BASIN_OPEN. NULL: the
     * equation has none. */
    int (*basin)(const fem_mesh *mesh, const double *u);
} fem_equation;
enum { FEM_BASIN_OPEN = -1 };

/* c: components of all fields in dim dimensions. */
int fem_equation_components(const fem_equation *equation, int dim);
/* "velocity" gives the first component and how many; "velocity.x" (or .y, .z) gives one. Errors: FWM_INVALID, listing
 * the fields. */
fwm_status fem_equation_component(const fem_equation *equation, int dim, const char *name, int *first,
                                  int *count) FWM_MUST_USE;

/* By name. Errors: FWM_INVALID, listing what there is. */
fwm_status fem_equation_find(const char *name, const fem_equation **equation) FWM_MUST_USE;
/* The k-th equation, NULL past the end. */
const fem_equation *fem_equation_at(int k);
/* Index of a parameter by name. Errors: FWM_INVALID, listing the equation's. */
fwm_status fem_parameter_find(const fem_equation *equation, const char *name, int *index) FWM_MUST_USE;

/* A source driven by one action: Q on the square |x-x0| < w, |y-y0| < w (in the plane; integrated exactly over cut
 * cells), or a density, or a load on a named boundary. */
typedef struct fem_source {
    double x, y, half_width; /* [L] */
    double power;            /* Q [unit of u / time]; on a boundary [unit of u * L / time] */
    const char *field;       /* where it acts: a scalar field or a component as "velocity.x"; NULL: the first */
    const char *boundary;    /* NULL: in the domain; else everywhere on the boundary of this name */
    double (*density)(const double point[FEM_MAX_DIM],
                      void *context); /* NULL: the square, or 1 on a boundary; else Q times this, by quadrature */
    void *context;
} fem_source;

/* A condition on a named boundary of the mesh. Essential: field = constant + gain * profile(x) * (action, where
 * driven). Natural: the equation's own by name. Boundaries without any are natural with zero flux. */
typedef struct fem_condition {
    const char *boundary;
    const char *field;   /* essential: "temperature", "velocity" (all components), "velocity.x"; NULL: natural */
    const char *natural; /* natural: a name out of fem_equation.natural */
    double constant, gain;
    double (*profile)(const double *point, void *context); /* NULL: 1 */
    void *context;
    bool driven; /* by an action of its own: they follow the ambient actions, in the order of conditions */
} fem_condition;

/* Time schemes, from one weak form: R is evaluated at u = alpha u1 + (1-alpha) u0 and a rate that the scheme defines.
 *   backward Euler     first order, damps
 *   midpoint           second order; for linear equations the trapezoid rule, and for displacement and velocity
 * Newmark's average acceleration (beta 1/4, gamma 1/2), which keeps energy BDF2               second order, damps; the
 * first substep is a midpoint, so it takes at least 2 generalised alpha  second order with the damping of
 * `spectral_radius` (Jansen, Whiting & Hulbert 2000); two midpoint substeps start it, so it takes at least 3 A step
 * stays a function of u0 alone: what a scheme remembers lives within the substeps of one call. */
typedef enum fem_scheme {
    FEM_BACKWARD_EULER,
    FEM_MIDPOINT,
    FEM_BDF2,
    FEM_GENERALISED_ALPHA,
    FEM_SCHEME_COUNT
} fem_scheme;
/* Errors: FWM_INVALID, listing the names. */
fwm_status fem_scheme_parse(const char *name, fem_scheme *scheme) FWM_MUST_USE;
const char *fem_scheme_name(fem_scheme scheme);

typedef enum fem_norm { FEM_NORM_DUAL, FEM_NORM_LUMPED, FEM_NORM_STEP, FEM_NORM_COUNT } fem_norm;

typedef struct fem_problem_spec {
    const char *equation;
    const fem_mesh *mesh;
    double dt;         /* of one call of fem_step, and of the residual [time] */
    int substeps;      /* steps of dt/substeps within fem_step; 0 means 1. The residual is that of one step of dt */
    fem_scheme scheme; /* of the substeps; the residual is the midpoint's for schemes of second order */
    double spectral_radius; /* generalised alpha: at infinite frequency, 0 to 1 */
    int n_sources;
    const fem_source *source; /* copied */
    int n_conditions;
    const fem_condition *condition;       /* copied */
    double reference[FEM_MAX_PARAMETERS]; /* overrides fem_parameter.reference where > 0 */
    fem_norm norm;
    double field_weight[FEM_MAX_FIELDS]; /* of each field in the loss; 0 means 1, negative leaves it out */
    double field_scale[FEM_MAX_FIELDS];  /* s of each field [its unit]; 0 means `scale` */
    double scale;                        /* s: typical deviation of u, in the loss [unit of u]; 0 means 1 */
    double tolerance; /* of the solver's last update, relative to max(1,|u|); 0: 1e-11 (f64), 2e-6 (f32) */
} fem_problem_spec;

typedef struct fem_problem fem_problem;
/* Errors: FWM_INVALID naming the entry. On error *problem is NULL. */
fwm_status fem_problem_create(fem_problem **problem, const fem_problem_spec *spec) FWM_MUST_USE;
void fem_problem_destroy(fem_problem **problem);
fwm_status fem_problem_reserve(fem_problem *p, ad_dtype dtype, int64_t batch) FWM_MUST_USE;
const fem_equation *fem_problem_equation(const fem_problem *p);
const fem_mesh *fem_problem_mesh(const fem_problem *p);
int fem_problem_actions(const fem_problem *p); /* A: sources, then ambient values, then driven conditions */
int fem_problem_components(const fem_problem *p);

/* Parameter arrays: value[k] has count[k] elements of the call's dtype: 1, n_cells or the number of regions. */
typedef struct fem_theta {
    const void *value[FEM_MAX_PARAMETERS];
    int64_t count[FEM_MAX_PARAMETERS];
} fem_theta;

/* Where gradients go (overwritten); NULL: not wanted. theta[k] has the count of that parameter. */
typedef struct fem_bars {
    void *u1, *u0, *a;
    void *theta[FEM_MAX_PARAMETERS];
} fem_bars;

/* Errors of all below: FWM_INVALID for a parameter out of range (naming it), FWM_NUMERIC naming the sample. Outputs are
 * then undefined. */

/* r [B,n,c] = R(u1,u0,a;theta). */
fwm_status fem_residual(fem_problem *p, ad_dtype dtype, void *r, const void *u1, const void *u0, const void *a,
                        const fem_theta *theta, int64_t batch) FWM_MUST_USE;
/* bars = (dR/dx)^T rbar, rbar [B,n,c]. */
fwm_status fem_residual_vjp(fem_problem *p, ad_dtype dtype, const fem_bars *bars, const void *rbar, const void *u1,
                            const void *u0, const void *a, const fem_theta *theta, int64_t batch) FWM_MUST_USE;

/* u1 [B,n,c] = Step(u0,a;theta): R = 0, `substeps` times. The factor of the Jacobian is kept until theta's bytes
 * change. */
fwm_status fem_step(fem_problem *p, ad_dtype dtype, void *u1, const void *u0, const void *a, const fem_theta *theta,
                    int64_t batch) FWM_MUST_USE;
/* bars (but u1) = (dStep/dx)^T u1bar, by the adjoint solve on the same factor. u1 is fem_step's result. */
fwm_status fem_step_vjp(fem_problem *p, ad_dtype dtype, const fem_bars *bars, const void *u1bar, const void *u1,
                        const void *u0, const void *a, const fem_theta *theta, int64_t batch) FWM_MUST_USE;

/* Largest |A^T l - g| / |g| of the adjoint solves in that type so far: of one block in every 16th call, and of all
 * samples that took Newton's method. Below 1e-8 in float64. */
double fem_problem_adjoint_error(const fem_problem *p, ad_dtype dtype);

/* value [B]: how far (u0,u1) is from the law [-].
 *   dual:   dt R^T P^-1 R / (|Omega| s^2), P the equation's definite operator with reference parameters (its `riesz`,
 *           else the Jacobian at u = 0), factorised once;
 *   lumped: dt^2 R^T m^-1 R / (|Omega| s^2), m the lumped mass;
 *   step:   |u1 - Step(u0,a;theta)|^2 in L2, over |Omega| s^2;
 * summed over the fields with their weights, each over the square of its own s. */
fwm_status fem_loss(fem_problem *p, ad_dtype dtype, void *value, const void *u1, const void *u0, const void *a,
                    const fem_theta *theta, int64_t batch) FWM_MUST_USE;
/* bars = (dL/dx)^T lbar, lbar [B]. */
fwm_status fem_loss_vjp(fem_problem *p, ad_dtype dtype, const fem_bars *bars, const void *lbar, const void *u1,
                        const void *u0, const void *a, const fem_theta *theta, int64_t batch) FWM_MUST_USE;

/* Parts of the dual loss, in double; NULL: not wanted. cells [B,n_cells] is an error indicator: the energy that the
 * residual's representative P^-1 R has in each cell (never negative; an implicit residual estimator: Ainsworth & Oden
 * 2000, ch. 3); fields [B,n_fields] and regions [B,n_regions] say which equation and where. Each sums to the loss. */
fwm_status fem_indicator(fem_problem *p, ad_dtype dtype, double *cells, double *fields, double *regions, const void *u1,
                         const void *u0, const void *a, const fem_theta *theta, int64_t batch) FWM_MUST_USE;

/* The loss of every transition of one trajectory in float64: states [T,n,c] and actions [T,A] in f32 as datasets keep
 * them, theta in f64 (the data's true parameters: the true operator), out [T-1]. */
fwm_status fem_trajectory_residual(fem_problem *p, double *out, const float *states, const float *actions,
                                   const fem_theta *theta, int64_t frames) FWM_MUST_USE;

/* ---- in the graph ---- */

/* Custom operators for one batch size; the problem owns them and must outlive the plans. Equal requests give the same
 * object. Room is made here, so that running allocates nothing.
 *
 * Inputs: step (u0, a, theta...), residual and loss (u1, u0, a, theta...), without a where the problem has no actions;
 * theta being one value for each parameter of
 * the equation, of shape [count[k]], 1 or n_cells.
 *
 * Outputs: step [B,n,c]; residual [B,n,c], divided by the lumped mass [unit of u / time]; loss [B]. */
typedef enum fem_custom_kind {
    FEM_CUSTOM_STEP,
    FEM_CUSTOM_RESIDUAL,
    FEM_CUSTOM_LOSS,
    FEM_CUSTOM_COUNT
} fem_custom_kind;
fwm_status fem_custom(const ad_custom **custom, fem_problem *p, fem_custom_kind kind, ad_dtype dtype, int64_t batch,
                      const int64_t *count) FWM_MUST_USE;

#endif
