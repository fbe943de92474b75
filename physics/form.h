/* For those who write equations: the pointwise functions' arguments, and the element sweep made of them.
 *
 * A file forms/NAME.c defines, before including this header,
 *     FEM_NAME                 the file's name
 *     FEM_COMPONENTS(dim)      unknowns a node: the components of all fields, vectors spread out
 *     FEM_PARAMETERS           counts of parameters
 *     FEM_AMBIENT              and of ambient actions, which the pointwise functions read
 * and, where they differ from 0,
 *     FEM_LAGGED               1: qf reads the state before (u0, g0), e.g. a velocity or a tau of the data
 *     FEM_PLANE                1: two dimensions alone (then fem_equation.max_dim = 2)
 *     FEM_STRONG               1: qf reads lap and source, what the strong residual has besides u, ut and g; for
 *                              stabilisations
 *     FEM_ON_VERTICES(dim, c)  1: component c is of first order on quadratic elements too (Taylor-Hood's pressure)
 *
 * and after it two functions that see one quadrature point, for all samples of a lane block at once:
 *
 *     void qf(int dim, const fem_point *p, fem_flux *f)      R_i = int f0 phi_i + f1 . grad phi_i
 *     void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
 *             the transpose: v holds the cotangent and its gradient at the point (the test function, lane by lane), and
 *             members of b take the derivative of f0 v0 + f1 . v1 with respect to the same member of p. f and b are
 *             zero on entry.
 *
 * The weak form is written in the value u and the rate ut at the time scheme's point of evaluation: no scheme is seen
 * here. FEM_FORM_KERNELS(qf, qb) makes the kernels of every element. An equation with natural conditions of its own
 * (convection, radiation, outflow, ...) gives two more functions,
 *
 *     void bf(int dim, int kind, const fem_point *p, fem_flux *f)       R_i += int_boundary f0 phi_i
 *     void bb(int dim, int kind, const fem_point *p, const fem_flux *v, fem_point_bars *b)
 *
 * where kind counts fem_equation.natural and p->normal points outward, and ends with
 * FEM_FORM_AND_BOUNDARY_KERNELS(qf, qb, bf, bb) instead. Derivatives g are those of the whole cell there.
 *
 * Under #ifdef FWM_DEFINITION it defines `const fem_equation fem_equation_NAME`. Everything else follows: element
 * matrices are the transposed sweep with unit test functions (matrix.c). Sizes are compile-time constants by inlining.
 */
#ifndef FWM_PHYSICS_FORM_H
#define FWM_PHYSICS_FORM_H

#include "physics/lanes.h"

#ifndef FEM_LAGGED
#define FEM_LAGGED 0
#endif
#ifndef FEM_PLANE
#define FEM_PLANE 0
#endif
#ifndef FEM_STRONG
#define FEM_STRONG 0
#endif
#ifndef FEM_ON_VERTICES
#define FEM_ON_VERTICES(dim, c) 0
#endif

enum { FEM_WIDTH = FEM_COMPONENTS(3), FEM_THETA_ROOM = FEM_PARAMETERS > 0 ? FEM_PARAMETERS : 1 };
enum { FEM_AMBIENT_ROOM = FEM_AMBIENT > 0 ? FEM_AMBIENT : 1 };

typedef struct fem_point {
    vec u[FEM_WIDTH], ut[FEM_WIDTH]; /* value and rate [unit of u, / time] */
    vec g[FEM_WIDTH][FEM_MAX_DIM];   /* gradient of u */
    vec u0[FEM_WIDTH];               /* the state before, and its gradient: FEM_LAGGED only */
    vec g0[FEM_WIDTH][FEM_MAX_DIM];
    vec a[FEM_AMBIENT_ROOM];               /* ambient actions */
    real theta[FEM_THETA_ROOM];            /* parameters */
    real x[FEM_MAX_DIM], h, dt;            /* place [L], the cell's size [L], the step [time] */
    real normal[FEM_MAX_DIM];              /* outward: bf and bb only */
    int degree;                            /* of the element: 1 or 2, a constant */
    vec lap[FEM_WIDTH], source[FEM_WIDTH]; /* Laplacian of u, density of the sources: FEM_STRONG only, cells only */
} fem_point;

typedef struct fem_flux {
    vec f0[FEM_WIDTH], f1[FEM_WIDTH][FEM_MAX_DIM];
} fem_flux;

typedef struct fem_point_bars {
    vec u[FEM_WIDTH], ut[FEM_WIDTH];
    vec g[FEM_WIDTH][FEM_MAX_DIM];
    vec u0[FEM_WIDTH];
    vec g0[FEM_WIDTH][FEM_MAX_DIM];
    vec a[FEM_AMBIENT_ROOM], theta[FEM_THETA_ROOM];
    vec lap[FEM_WIDTH], source[FEM_WIDTH];
} fem_point_bars;

typedef void (*fem_qf)(int dim, const fem_point *p, fem_flux *f);
typedef void (*fem_qb)(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b);
typedef void (*fem_bf)(int dim, int kind, const fem_point *p, fem_flux *f);
typedef void (*fem_bb)(int dim, int kind, const fem_point *p, const fem_flux *v, fem_point_bars *b);

#include "physics/element.h"
#include "physics/face.h"

/* dim, nodes, points, degree, whether reference gradients are the same at all points: the elements of mesh.c. */
#define FEM_SIZES_P1 ((fem_sizes){2, 3, 3, 1, true})
#define FEM_SIZES_Q1 ((fem_sizes){2, 4, 4, 1, false})
#define FEM_SIZES_P2 ((fem_sizes){2, 6, 6, 2, false})
#define FEM_SIZES_Q2 ((fem_sizes){2, 9, 9, 2, false})
#define FEM_SIZES_TET_P1 ((fem_sizes){3, 4, 4, 1, true})
#define FEM_SIZES_HEX_Q1 ((fem_sizes){3, 8, 8, 1, false})
#define FEM_SIZES_TET_P2 ((fem_sizes){3, 10, 14, 2, false})
#define FEM_SIZES_HEX_Q2 ((fem_sizes){3, 27, 27, 2, false})

/* kernels(E, f, b) for every element; their table. */
#define FEM_PLANE_ELEMENTS(kernels, f, b) kernels(P1, f, b) kernels(Q1, f, b) kernels(P2, f, b) kernels(Q2, f, b)
#define FEM_PLANE_TABLE(name) name##_P1, name##_Q1, name##_P2, name##_Q2
#if FEM_PLANE
#define FEM_EVERY_ELEMENT(kernels, f, b) FEM_PLANE_ELEMENTS(kernels, f, b)
#define FEM_TABLE(name) FEM_PLANE_TABLE(name)
#else
#define FEM_EVERY_ELEMENT(kernels, f, b)                                                                               \
    FEM_PLANE_ELEMENTS(kernels, f, b)                                                                                  \
    kernels(TET_P1, f, b) kernels(HEX_Q1, f, b) kernels(TET_P2, f, b) kernels(HEX_Q2, f, b)
#define FEM_TABLE(name) FEM_PLANE_TABLE(name), name##_TET_P1, name##_HEX_Q1, name##_TET_P2, name##_HEX_Q2
#endif

#define FEM_ELEMENT_KERNELS(E, qf, qb)                                                                                 \
    static void residual_##E(const fem_sweep *s)                                                                       \
    {                                                                                                                  \
        sweep_residual(s, qf, FEM_SIZES_##E);                                                                          \
    }                                                                                                                  \
    static void vjp_##E(const fem_sweep *s)                                                                            \
    {                                                                                                                  \
        sweep_vjp(s, qb, FEM_SIZES_##E);                                                                               \
    }

#define FEM_FACE_KERNELS(E, bf, bb)                                                                                    \
    static void face_residual_##E(const fem_sweep *s)                                                                  \
    {                                                                                                                  \
        sweep_face_residual(s, bf, FEM_SIZES_##E);                                                                     \
    }                                                                                                                  \
    static void face_vjp_##E(const fem_sweep *s)                                                                       \
    {                                                                                                                  \
        sweep_face_vjp(s, bb, FEM_SIZES_##E);                                                                          \
    }

#define FEM_FORM_SYMBOL FWM_V(FWM_PASTE(fem_form_kernels, FEM_NAME))
#define FEM_VOLUME .lanes = FEM_LANES, .strong = FEM_STRONG, .residual = {FEM_TABLE(residual)}, .vjp = {FEM_TABLE(vjp)}
#define FEM_BOUNDARY .face_residual = {FEM_TABLE(face_residual)}, .face_vjp = {FEM_TABLE(face_vjp)}

#define FEM_FORM_KERNELS(qf, qb)                                                                                       \
    FEM_EVERY_ELEMENT(FEM_ELEMENT_KERNELS, qf, qb)                                                                     \
    extern const fem_form_kernels FEM_FORM_SYMBOL;                                                                     \
    const fem_form_kernels FEM_FORM_SYMBOL = {FEM_VOLUME};

#define FEM_FORM_AND_BOUNDARY_KERNELS(qf, qb, bf, bb)                                                                  \
    FEM_EVERY_ELEMENT(FEM_ELEMENT_KERNELS, qf, qb)                                                                     \
    FEM_EVERY_ELEMENT(FEM_FACE_KERNELS, bf, bb)                                                                        \
    extern const fem_form_kernels FEM_FORM_SYMBOL;                                                                     \
    const fem_form_kernels FEM_FORM_SYMBOL = {FEM_VOLUME, FEM_BOUNDARY};

#endif
