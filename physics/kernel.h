/* What the plain files hand to the lane kernels, which are compiled for each number type and instruction set.
 *
 * A lane block holds `lanes` samples: a field is [dof][lanes], dof = node * n_fields + field, aligned to 64 bytes.
 * `void` arrays hold numbers of the kernel's own type. Lanes never mix, except in theta's gradients, whose sums over
 * lanes are double. A kernel neither allocates nor starts threads: the caller gives each thread its own blocks. */
#ifndef FWM_PHYSICS_KERNEL_H
#define FWM_PHYSICS_KERNEL_H

#include "physics/fem.h"

enum { FEM_MAX_LANES = 16, FEM_MAX_POINTS = 27 };

/* A node between vertices, for components that vertices carry: 0 for a vertex, else the cell's nodes it averages. */
typedef struct fem_average {
    int8_t count, vertex[8];
} fem_average;

/* Tables of one mesh in one number type. */
typedef struct fem_tables {
    int64_t n_cells;
    const int32_t *cell_nodes; /* [n_cells, nodes of the element] */
    const void *basis;         /* [point, node] */
    const void *dbasis;        /* [point, node, dim] along reference axes */
    const void *d2basis;       /* [point, node, dim, dim] second derivatives along reference axes */
    const void *weight;        /* [point] of the reference quadrature */
    int geometry_points;       /* per cell: 1 where the map is affine, else one a quadrature point */
    const void *geometry;      /* [n_cells, geometry_points, dim*dim+1]: d xi_d / d x_e at [d*dim+e], then det J */
    const void *point;         /* [n_cells, points, dim] physical coordinates */
    const void *size;          /* [n_cells] edge of the square or cube of the cell's measure */
} fem_tables;

/* Tables of one mesh's boundary faces in one number type. A face's basis is its cell's, so that gradients are whole. */
typedef struct fem_face_tables {
    int64_t n_faces;
    int n_points;              /* of a face */
    const int32_t *cell;       /* [n_faces] the cell it bounds: its nodes are cell_nodes' row */
    const int32_t *local;      /* [n_faces] which of the cell's faces */
    const int32_t *label;      /* [n_faces] */
    const int32_t *cell_nodes; /* [n_cells, nodes of the element] */
    const void *basis;         /* [local face, point, node] */
    const void *dbasis;        /* [local face, point, node, dim] along reference axes of the cell */
    const void *weight;        /* [point] of the reference face */
    const void *geometry;      /* [n_faces, n_points, dim*dim+1]: d xi_d / d x_e, then the face's measure for one of the
                                  reference face: weight times it is the surface element */
    const void *normal;        /* [n_faces, n_points, dim] outward, of length 1 */
    const void *point;         /* [n_faces, n_points, dim] physical coordinates */
} fem_face_tables;

/* Densities of the sources at quadrature points, for forms that read them (FEM_STRONG): point k, counted through all
 * cells, has entries start[k] .. start[k+1]. */
typedef struct fem_point_sources {
    const int32_t *start, *action, *component; /* [n_cells*points+1], [entries], [entries] */
    const void *density;                       /* [entries] Q_j q_j */
} fem_point_sources;

/* One sweep over the cells, or over listed faces, for one lane block. */
typedef struct fem_sweep {
    const fem_tables *tables;
    const fem_average *average;                      /* [nodes of the element]; where components are on vertices */
    double dt, alpha, beta;                          /* see element.h */
    const void *u1, *u0, *w;                         /* [dof][lanes]; w the rate's history, NULL where there is none */
    const void *ambient;                             /* [n_ambient][lanes] */
    const void *theta[FEM_MAX_PARAMETERS];           /* of the kernel's type */
    int64_t theta_stride[FEM_MAX_PARAMETERS];        /* 0 one value, 1 one a cell */
    const int32_t *theta_region[FEM_MAX_PARAMETERS]; /* [n_cells]: one value a region; else NULL */
    void *r;                                         /* residual: added to */
    const void *rbar;                                /* vjp: cotangent of r */
    void *u1_bar, *u0_bar, *w_bar, *ambient_bar;     /* vjp: added to; NULL not wanted */
    double *theta_bar[FEM_MAX_PARAMETERS];           /* vjp: added to, as many as theta; NULL not wanted */
    const fem_point_sources *sources;                /* NULL where the form does not read them */
    const void *actions;                             /* with sources: [n_actions][lanes], and their bars */
    void *actions_bar;
    const fem_face_tables *faces; /* face kernels: */
    int kind;                     /* which natural condition */
    int64_t n_listed;
    const int32_t *listed; /* [n_listed] its faces */
} fem_sweep;

/* By element. The face kernels are NULL where the equation has no natural condition of its own. */
typedef struct fem_form_kernels {
    int lanes;
    bool strong; /* reads the sources at points */
    void (*residual[FEM_ELEMENT_COUNT])(const fem_sweep *s);
    void (*vjp[FEM_ELEMENT_COUNT])(const fem_sweep *s);
    void (*face_residual[FEM_ELEMENT_COUNT])(const fem_sweep *s);
    void (*face_vjp[FEM_ELEMENT_COUNT])(const fem_sweep *s);
} fem_form_kernels;

/* A factor P A P^T = L D U (U = L^T where A is symmetric), unit diagonals left out, in the two forms that the
 * triangular solves read. L and U^T have one pattern. */
typedef struct fem_triangles {
    int64_t n;
    const int32_t *order;                     /* [n] row k of the factor is unknown order[k] */
    const int32_t *row_start, *row_column;    /* L by rows */
    const int32_t *column_start, *column_row; /* L by columns, which is U by rows */
    const void *row_value, *column_value;     /* of L by rows, of U by rows */
    const void *inverse_diagonal;
} fem_triangles;

/* The same with one matrix a lane; `lower` and `upper` are the values by columns of L and by rows of U (one array where
 * the matrix is definite). */
typedef struct fem_lane_triangles {
    int64_t n;
    bool definite;
    const int32_t *order, *row_start, *row_column, *column_start, *column_row;
    const int32_t *above_start, *above_row; /* the matrix's own upper part by columns, diagonal in */
    void *above, *below;                    /* its values, and those mirrored */
    void *lower, *upper, *inverse_diagonal; /* [nnz], [nnz], [n] */
    void *work;                             /* [2 n] zero between calls */
    int32_t *filled;                        /* [n] */
} fem_lane_triangles;

/* Unknowns that are not free: u[dof] = constant + gain a[action], and means of others. */
typedef struct fem_constraints {
    int64_t n, n_means;
    const int32_t *dof, *action; /* [n]; action -1: none */
    const double *constant, *gain;
    const int32_t *mean, *mean_start, *mean_from; /* [n_means], [n_means+1], unknowns averaged */
} fem_constraints;

/* Sources in compressed rows: the load of action j on dof i. */
typedef struct fem_loads {
    int64_t n_dof;
    int n_actions;
    const int32_t *row_start, *action; /* [n_dof+1], [nnz] */
    const void *weight;                /* [nnz] */
} fem_loads;

/* Small operations on lane blocks; n counts dofs. Scalars per lane are double [FEM_MAX_LANES]. */
typedef struct fem_lane_kernels {
    int lanes;
    /* rows [count][n] -> block; lanes from `count` on repeat the last row. */
    void (*pack)(void *block, const void *rows, int64_t n, int count);
    void (*unpack)(void *rows, const void *block, int64_t n, int count);
    /* x = A^-1 b; `work` [n][lanes]; x may be b. */
    void (*solve)(void *x, const void *b, void *work, const fem_triangles *f);
    /* Overwrites what is not free; its transpose (a_bar += ..., u_bar zero or given away); r = 0 there. */
    void (*constrain)(void *u, const void *a, const fem_constraints *c);
    void (*constrain_vjp)(void *u_bar, void *a_bar, const fem_constraints *c);
    void (*mask)(void *r, const fem_constraints *c);
    /* r -= F a;  a_bar -= F^T r_bar. a [n_actions][lanes]. */
    void (*load)(void *r, const void *a, const fem_loads *f);
    void (*load_vjp)(void *a_bar, const void *r_bar, const fem_loads *f);
    /* u -= d in lanes whose active is not 0; size_d and size_u are the largest |d| and new |u| of each lane. */
    void (*update)(void *u, const void *d, const double *active, double *size_d, double *size_u, int64_t n);
    /* y = x * s[lane] (y may be x); y = x * s[lane] / m[i] with m [n/fields]. */
    void (*scale)(void *y, const void *x, const double *s, int64_t n);
    void (*divide)(void *y, const void *x, const double *s, const double *m, int64_t nodes, int fields);
    /* y = y * w[component], dof = node * components + component. */
    void (*weigh)(void *y, const double *w, int64_t nodes, int components);
    /* y = a x + b y. */
    void (*combine)(void *y, double a, const void *x, double b, int64_t n);
    /* sum_i x_i y_i in each lane, accumulated in double over fixed chunks. */
    void (*dot)(double *sum, const void *x, const void *y, int64_t n);
    /* y = M x, M symmetric compressed rows over nodes (values in double), fields alike. */
    void (*mass)(void *y, const void *x, const fem_csr *m, int fields);
} fem_lane_kernels;

/* Factor and solve with one matrix a lane. */
typedef struct fem_lane_direct {
    /* unknown[l]: where lane l has no pivot, else -1. */
    void (*factor)(const fem_lane_triangles *f, int32_t *unknown);
    /* x = A^-1 b or A^-T b; work [n][lanes]; x may be b. */
    void (*solve)(void *x, const void *b, void *work, const fem_lane_triangles *f, bool transposed);
} fem_lane_direct;

static inline size_t fem_number_size(ad_dtype dtype)
{
    return dtype == AD_F64 ? sizeof(double) : sizeof(float);
}

/* The best kernels for this processor. */
const fem_lane_kernels *fem_lane_kernels_find(ad_dtype dtype);
const fem_lane_direct *fem_lane_direct_find(ad_dtype dtype);
const fem_form_kernels *fem_form_kernels_find(const fem_equation *equation, ad_dtype dtype);

#endif
