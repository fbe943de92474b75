/* For those who write equations: the pointwise functions' arguments, and the element sweep made of them.
 *
 * A file forms/NAME.c defines, before including this header,
 *     FEM_NAME        the file's name
 *     FEM_FIELDS, FEM_PARAMETERS, FEM_AMBIENT    counts (fields c, parameters, ambient actions)
 *     FEM_GRADIENT_OF_U0                         1 where the flux reads grad u0, else 0
 * and after it the two functions that FEM_FORM_KERNELS(qf, qb) turns into kernels for every element:
 *
 *     void qf(int dim, const fem_point *p, fem_flux *f)      R_i = int f0 phi_i + f1 . grad phi_i
 *     void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
 *             the transpose: v holds the cotangent and its gradient at the point (the test function, lane by lane), and
 *             every member of b is set to the derivative of f0 v0 + f1 . v1 with respect to the same member of p.
 *
 * Under #ifdef FWM_DEFINITION it defines `const fem_equation fem_equation_NAME`. Everything else follows: the element
 * Jacobian is qb with unit test functions in the lanes. Sizes are compile-time constants by inlining. */
#ifndef FWM_PHYSICS_FORM_H
#define FWM_PHYSICS_FORM_H

#include "physics/lanes.h"

typedef struct fem_point {
    vec u1[FEM_FIELDS], u0[FEM_FIELDS];
    vec g1[FEM_FIELDS][FEM_DIM], g0[FEM_FIELDS][FEM_DIM]; /* gradients */
    vec a[FEM_AMBIENT];
    real theta[FEM_PARAMETERS];
    real x[FEM_DIM], h, dt;
} fem_point;

typedef struct fem_flux {
    vec f0[FEM_FIELDS], f1[FEM_FIELDS][FEM_DIM];
} fem_flux;

typedef struct fem_point_bars {
    vec u1[FEM_FIELDS], u0[FEM_FIELDS];
    vec g1[FEM_FIELDS][FEM_DIM], g0[FEM_FIELDS][FEM_DIM];
    vec a[FEM_AMBIENT], theta[FEM_PARAMETERS];
} fem_point_bars;

typedef void (*fem_qf)(int dim, const fem_point *p, fem_flux *f);
typedef void (*fem_qb)(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b);

#include "physics/element.h"

/* Nodes and points: the quadratures of mesh.c. */
#define FEM_SIZES_P1 ((fem_sizes){3, 3, true})
#define FEM_SIZES_Q1 ((fem_sizes){4, 4, false})
#define FEM_SIZES_P2 ((fem_sizes){6, 6, false})
#define FEM_SIZES_Q2 ((fem_sizes){9, 9, false})

#define FEM_ELEMENT_KERNELS(E, qf, qb)                                                                                 \
    static void residual_##E(const fem_sweep *s)                                                                       \
    {                                                                                                                  \
        sweep_residual(s, qf, FEM_SIZES_##E);                                                                          \
    }                                                                                                                  \
    static void vjp_##E(const fem_sweep *s)                                                                            \
    {                                                                                                                  \
        sweep_vjp(s, qb, FEM_SIZES_##E);                                                                               \
    }                                                                                                                  \
    static void jacobian_##E(const fem_sweep *s, double *ke)                                                           \
    {                                                                                                                  \
        sweep_jacobian(s, ke, qb, FEM_SIZES_##E);                                                                      \
    }

#define FEM_FORM_SYMBOL FWM_V(FWM_PASTE(fem_form_kernels, FEM_NAME))
#define FEM_FORM_KERNELS(qf, qb)                                                                                       \
    FEM_ELEMENT_KERNELS(P1, qf, qb)                                                                                    \
    FEM_ELEMENT_KERNELS(Q1, qf, qb)                                                                                    \
    FEM_ELEMENT_KERNELS(P2, qf, qb)                                                                                    \
    FEM_ELEMENT_KERNELS(Q2, qf, qb)                                                                                    \
    extern const fem_form_kernels FEM_FORM_SYMBOL;                                                                     \
    const fem_form_kernels FEM_FORM_SYMBOL = {FEM_LANES,                                                               \
                                              {residual_P1, residual_Q1, residual_P2, residual_Q2},                    \
                                              {vjp_P1, vjp_Q1, vjp_P2, vjp_Q2},                                        \
                                              {jacobian_P1, jacobian_Q1, jacobian_P2, jacobian_Q2}};

#endif
