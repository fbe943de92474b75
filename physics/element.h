/* The element sweep: gathers a cell's lanes, calls the pointwise functions at its quadrature points, scatters.
 *
 * Included by form.h after the form's sizes are known. Everything is inlined into one kernel for each element, so that
 * loops over nodes, points and components have constant bounds and their vectors stay in registers. A lane block is one
 * thread's, so scattering has no race and a fixed order.
 *
 * Time schemes enter where a cell's lanes are gathered (see scheme.h): with the states u1, u0 and the rate's history w,
 *     u = alpha u1 + (1 - alpha) u0,     ut = beta (u1 - u0) + w,
 * and where bars are scattered, by the transpose. */
#ifndef FWM_PHYSICS_ELEMENT_H
#define FWM_PHYSICS_ELEMENT_H

#include <string.h>

/* An element's sizes: dimension, nodes, quadrature points, degree, whether reference gradients are the same at all
 * points. */
typedef struct fem_sizes {
    int dim, nodes, points, degree;
    bool flat;
} fem_sizes;

typedef vec fem_local[FEM_MAX_CELL_NODES][FEM_WIDTH];

/* What a cell holds: value and rate where the scheme evaluates, and the state before. */
typedef struct fem_cell_state {
    fem_local u, ut, u0;
} fem_cell_state;

FEM_INLINE void clear_local(fem_local u, fem_sizes z)
{
    for (int i = 0; i < z.nodes; i++)
        for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
            u[i][c] = vec_zero();
}

/* Components on vertices: a node between takes the mean of its vertices ... */
FEM_INLINE void average(fem_local u, const fem_sweep *s, fem_sizes z)
{
    for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
        if (z.degree > 1 && FEM_ON_VERTICES(z.dim, c))
            for (int i = 0; i < z.nodes; i++) {
                const fem_average *m = &s->average[i];
                if (m->count == 0)
                    continue;
                vec sum = u[m->vertex[0]][c];
                for (int k = 1; k < m->count; k++)
                    sum += u[m->vertex[k]][c];
                u[i][c] = sum * ((real)1 / (real)m->count);
            }
}

/* ... and gives them its share. */
FEM_INLINE void average_transposed(fem_local r, const fem_sweep *s, fem_sizes z)
{
    for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
        if (z.degree > 1 && FEM_ON_VERTICES(z.dim, c))
            for (int i = 0; i < z.nodes; i++) {
                const fem_average *m = &s->average[i];
                for (int k = 0; k < m->count; k++)
                    r[m->vertex[k]][c] += r[i][c] * ((real)1 / (real)m->count);
                if (m->count > 0)
                    r[i][c] = vec_zero();
            }
}

FEM_INLINE void gather(fem_local out, const void *field, const fem_sweep *s, const int32_t *node, fem_sizes z)
{
    const vec *u = field;
    for (int i = 0; i < z.nodes; i++)
        for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
            out[i][c] = u[(int64_t)node[i] * FEM_COMPONENTS(z.dim) + c];
    average(out, s, z);
}

/* The scheme's point of evaluation from two states. */
FEM_INLINE void evaluate_scheme(fem_cell_state *e, const fem_local u1, const fem_sweep *s, fem_sizes z)
{
    const real alpha = (real)s->alpha, rest = (real)(1 - s->alpha), beta = (real)s->beta;
    for (int i = 0; i < z.nodes; i++)
        for (int c = 0; c < FEM_COMPONENTS(z.dim); c++) {
            e->u[i][c] = u1[i][c] * alpha + e->u0[i][c] * rest;
            e->ut[i][c] = (u1[i][c] - e->u0[i][c]) * beta;
        }
}

FEM_INLINE void gather_state(fem_cell_state *e, const fem_sweep *s, const int32_t *node, fem_sizes z)
{
    fem_local u1;
    gather(u1, s->u1, s, node, z);
    gather(e->u0, s->u0, s, node, z);
    evaluate_scheme(e, u1, s, z);
    if (s->w) {
        fem_local w;
        gather(w, s->w, s, node, z);
        for (int i = 0; i < z.nodes; i++)
            for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
                e->ut[i][c] += w[i][c];
    }
}

FEM_INLINE void scatter_add(void *field, const fem_sweep *s, const int32_t *node, fem_local in, fem_sizes z)
{
    vec *u = field;
    average_transposed(in, s, z);
    for (int i = 0; i < z.nodes; i++)
        for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
            u[(int64_t)node[i] * FEM_COMPONENTS(z.dim) + c] += in[i][c];
}

/* The bars of u1, u0 and w from those of the cell's state. */
FEM_INLINE void scatter_state(fem_cell_state *bar, const fem_sweep *s, const int32_t *node, fem_sizes z)
{
    const real alpha = (real)s->alpha, rest = (real)(1 - s->alpha), beta = (real)s->beta;
    if (s->u1_bar) {
        fem_local out;
        for (int i = 0; i < z.nodes; i++)
            for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
                out[i][c] = bar->u[i][c] * alpha + bar->ut[i][c] * beta;
        scatter_add(s->u1_bar, s, node, out, z);
    }
    if (s->u0_bar) {
        fem_local out;
        for (int i = 0; i < z.nodes; i++)
            for (int c = 0; c < FEM_COMPONENTS(z.dim); c++) {
                out[i][c] = bar->u[i][c] * rest - bar->ut[i][c] * beta;
                if (FEM_LAGGED)
                    out[i][c] += bar->u0[i][c];
            }
        scatter_add(s->u0_bar, s, node, out, z);
    }
    if (s->w_bar)
        scatter_add(s->w_bar, s, node, bar->ut, z);
}

/* Gradient along reference axes, then along x: out[c][e] = sum_d J^-1[d][e] sum_i dphi_i/dxi_d u_i. */
FEM_INLINE void gradient_at(vec out[FEM_WIDTH][FEM_MAX_DIM], const fem_local u, const real *dphi, const real *geometry,
                            fem_sizes z)
{
    for (int c = 0; c < FEM_COMPONENTS(z.dim); c++) {
        vec reference[FEM_MAX_DIM];
        for (int d = 0; d < z.dim; d++) {
            reference[d] = u[0][c] * dphi[d];
            for (int i = 1; i < z.nodes; i++)
                reference[d] += u[i][c] * dphi[i * z.dim + d];
        }
        for (int e = 0; e < z.dim; e++) {
            out[c][e] = reference[0] * geometry[e];
            for (int d = 1; d < z.dim; d++)
                out[c][e] += reference[d] * geometry[d * z.dim + e];
        }
    }
}

FEM_INLINE void value_at(vec out[FEM_WIDTH], const fem_local u, const real *phi, fem_sizes z)
{
    for (int c = 0; c < FEM_COMPONENTS(z.dim); c++) {
        out[c] = u[0][c] * phi[0];
        for (int i = 1; i < z.nodes; i++)
            out[c] += u[i][c] * phi[i];
    }
}

/* Transposes of the two above, with a weight. */
FEM_INLINE void gradient_add(fem_local r, vec g[FEM_WIDTH][FEM_MAX_DIM], real weight, const real *dphi,
                             const real *geometry, fem_sizes z)
{
    for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
        for (int d = 0; d < z.dim; d++) {
            vec reference = g[c][0] * geometry[d * z.dim];
            for (int e = 1; e < z.dim; e++)
                reference += g[c][e] * geometry[d * z.dim + e];
            reference *= weight;
            for (int i = 0; i < z.nodes; i++)
                r[i][c] += reference * dphi[i * z.dim + d];
        }
}

FEM_INLINE void value_add(fem_local r, vec v[FEM_WIDTH], real weight, const real *phi, fem_sizes z)
{
    for (int c = 0; c < FEM_COMPONENTS(z.dim); c++) {
        vec weighted = v[c] * weight;
        for (int i = 0; i < z.nodes; i++)
            r[i][c] += weighted * phi[i];
    }
}

FEM_INLINE void sum_gradients(vec total[FEM_WIDTH][FEM_MAX_DIM], vec g[FEM_WIDTH][FEM_MAX_DIM], real weight,
                              fem_sizes z)
{
    for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
        for (int d = 0; d < z.dim; d++)
            total[c][d] += g[c][d] * weight;
}

FEM_INLINE void clear_gradients(vec g[FEM_WIDTH][FEM_MAX_DIM], fem_sizes z)
{
    for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
        for (int d = 0; d < z.dim; d++)
            g[c][d] = vec_zero();
}

FEM_INLINE void clear_flux(fem_flux *f, fem_sizes z)
{
    for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
        f->f0[c] = vec_zero();
    clear_gradients(f->f1, z);
}

FEM_INLINE void clear_bars(fem_point_bars *b, fem_sizes z)
{
    for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
        b->u[c] = b->ut[c] = b->u0[c] = b->lap[c] = b->source[c] = vec_zero();
    clear_gradients(b->g, z);
    clear_gradients(b->g0, z);
    for (int k = 0; k < FEM_AMBIENT; k++)
        b->a[k] = vec_zero();
    for (int k = 0; k < FEM_PARAMETERS; k++)
        b->theta[k] = vec_zero();
}

FEM_INLINE const real *geometry_of(const fem_tables *t, int64_t cell, int q, fem_sizes z)
{
    int64_t at = t->geometry_points == 1 ? cell : cell * t->geometry_points + q;
    return (const real *)t->geometry + at * (z.dim * z.dim + 1);
}

/* Which of a parameter's values holds in a cell. */
FEM_INLINE int64_t theta_place(const fem_sweep *s, int k, int64_t cell)
{
    return s->theta_region[k] ? s->theta_region[k][cell] : cell * s->theta_stride[k];
}

/* What a point has besides the fields: the same for every lane. */
FEM_INLINE void point_constants(fem_point *p, const fem_sweep *s, int64_t cell, fem_sizes z)
{
    for (int k = 0; k < FEM_PARAMETERS; k++)
        p->theta[k] = ((const real *)s->theta[k])[theta_place(s, k, cell)];
    for (int k = 0; k < FEM_AMBIENT; k++)
        p->a[k] = ((const vec *)s->ambient)[k];
    p->h = ((const real *)s->tables->size)[cell];
    p->dt = (real)s->dt;
    p->degree = z.degree;
}

FEM_INLINE void point_fields(fem_point *p, const fem_cell_state *e, const real *phi, const real *dphi,
                             const real *geometry, bool gradients, fem_sizes z)
{
    value_at(p->u, e->u, phi, z);
    value_at(p->ut, e->ut, phi, z);
    if (FEM_LAGGED)
        value_at(p->u0, e->u0, phi, z);
    if (gradients) {
        gradient_at(p->g, e->u, dphi, geometry, z);
        if (FEM_LAGGED)
            gradient_at(p->g0, e->u0, dphi, geometry, z);
    }
}

#include "physics/strong.h"

FEM_INLINE void cell_point(fem_point *p, const fem_sweep *s, int64_t cell, int q, fem_sizes z, const fem_cell_state *e,
                           const real *geometry)
{
    const fem_tables *t = s->tables;
    point_fields(p, e, (const real *)t->basis + q * z.nodes, (const real *)t->dbasis + q * z.nodes * z.dim, geometry,
                 !z.flat || q == 0, z);
    for (int d = 0; d < z.dim; d++)
        p->x[d] = ((const real *)t->point)[(cell * z.points + q) * z.dim + d];
    if (FEM_STRONG)
        strong_point(p, s, cell, q, z, e->u, geometry);
}

FEM_INLINE void sweep_residual(const fem_sweep *s, fem_qf qf, fem_sizes z)
{
    const fem_tables *t = s->tables;
    for (int64_t cell = 0; cell < t->n_cells; cell++) {
        const int32_t *node = t->cell_nodes + cell * z.nodes;
        fem_cell_state e;
        fem_local r;
        gather_state(&e, s, node, z);
        clear_local(r, z);
        fem_point p;
        point_constants(&p, s, cell, z);
        vec total[FEM_WIDTH][FEM_MAX_DIM];
        clear_gradients(total, z);
        const real *dphi = t->dbasis;
        for (int q = 0; q < z.points; q++) {
            const real *geometry = geometry_of(t, cell, z.flat ? 0 : q, z);
            cell_point(&p, s, cell, q, z, &e, geometry);
            fem_flux f;
            clear_flux(&f, z);
            qf(z.dim, &p, &f);
            real weight = ((const real *)t->weight)[q] * geometry[z.dim * z.dim];
            value_add(r, f.f0, weight, (const real *)t->basis + q * z.nodes, z);
            if (z.flat)
                sum_gradients(total, f.f1, weight, z);
            else
                gradient_add(r, f.f1, weight, dphi + q * z.nodes * z.dim, geometry, z);
        }
        if (z.flat)
            gradient_add(r, total, 1, dphi, geometry_of(t, cell, 0, z), z);
        scatter_add(s->r, s, node, r, z);
    }
}

/* Bars of a point, added to those of its cell; the gradients' go to `total` where they are summed first. */
FEM_INLINE void pull_values(fem_cell_state *bar, fem_point_bars *b, real weight, const real *phi, vec *a_bar,
                            vec *theta_bar, fem_sizes z)
{
    value_add(bar->u, b->u, weight, phi, z);
    value_add(bar->ut, b->ut, weight, phi, z);
    if (FEM_LAGGED)
        value_add(bar->u0, b->u0, weight, phi, z);
    for (int k = 0; k < FEM_AMBIENT; k++)
        a_bar[k] += b->a[k] * weight;
    for (int k = 0; k < FEM_PARAMETERS; k++)
        theta_bar[k] += b->theta[k] * weight;
}

FEM_INLINE void clear_state(fem_cell_state *bar, fem_sizes z)
{
    clear_local(bar->u, z);
    clear_local(bar->ut, z);
    if (FEM_LAGGED)
        clear_local(bar->u0, z);
}

/* The transpose on one cell: bars of its state, ambient and theta (all added to). */
FEM_INLINE void cell_vjp(const fem_sweep *s, fem_qb qb, fem_sizes z, int64_t cell, const fem_cell_state *e,
                         const fem_local v, fem_cell_state *bar, vec *a_bar, vec *theta_bar)
{
    const fem_tables *t = s->tables;
    fem_point p;
    point_constants(&p, s, cell, z);
    vec total[FEM_WIDTH][FEM_MAX_DIM], total0[FEM_WIDTH][FEM_MAX_DIM];
    clear_gradients(total, z);
    clear_gradients(total0, z);
    fem_flux test;
    const real *dphi = t->dbasis;
    for (int q = 0; q < z.points; q++) {
        const real *geometry = geometry_of(t, cell, z.flat ? 0 : q, z), *phi = (const real *)t->basis + q * z.nodes;
        const real *slope = dphi + q * z.nodes * z.dim;
        cell_point(&p, s, cell, q, z, e, geometry);
        value_at(test.f0, v, phi, z);
        if (!z.flat || q == 0)
            gradient_at(test.f1, v, slope, geometry, z);
        fem_point_bars b;
        clear_bars(&b, z);
        qb(z.dim, &p, &test, &b);
        real weight = ((const real *)t->weight)[q] * geometry[z.dim * z.dim];
        pull_values(bar, &b, weight, phi, a_bar, theta_bar, z);
        if (FEM_STRONG)
            strong_point_add(bar->u, &b, s, cell, q, weight, geometry, z);
        if (z.flat) {
            sum_gradients(total, b.g, weight, z);
            if (FEM_LAGGED)
                sum_gradients(total0, b.g0, weight, z);
        } else {
            gradient_add(bar->u, b.g, weight, slope, geometry, z);
            if (FEM_LAGGED)
                gradient_add(bar->u0, b.g0, weight, slope, geometry, z);
        }
    }
    if (z.flat) {
        gradient_add(bar->u, total, 1, dphi, geometry_of(t, cell, 0, z), z);
        if (FEM_LAGGED)
            gradient_add(bar->u0, total0, 1, dphi, geometry_of(t, cell, 0, z), z);
    }
}

FEM_INLINE void add_theta_bars(const fem_sweep *s, int64_t cell, const vec *theta_bar)
{
    for (int k = 0; k < FEM_PARAMETERS; k++)
        if (s->theta_bar[k])
            s->theta_bar[k][theta_place(s, k, cell)] += vec_sum(theta_bar[k]);
}

/* Ambient bars are summed by chunks, so that float32 loses nothing over many cells. */
FEM_INLINE void flush_ambient(const fem_sweep *s, vec *chunk, int64_t i, int64_t n)
{
    enum { CHUNK = 64 };
    if (s->ambient_bar && (i % CHUNK == CHUNK - 1 || i == n - 1))
        for (int k = 0; k < FEM_AMBIENT; k++) {
            ((vec *)s->ambient_bar)[k] += chunk[k];
            chunk[k] = vec_zero();
        }
}

FEM_INLINE void sweep_vjp(const fem_sweep *s, fem_qb qb, fem_sizes z)
{
    const fem_tables *t = s->tables;
    vec a_chunk[FEM_AMBIENT_ROOM];
    memset(a_chunk, 0, sizeof a_chunk);
    for (int64_t cell = 0; cell < t->n_cells; cell++) {
        const int32_t *node = t->cell_nodes + cell * z.nodes;
        fem_cell_state e, bar;
        fem_local v;
        gather_state(&e, s, node, z);
        gather(v, s->rbar, s, node, z);
        clear_state(&bar, z);
        vec theta_bar[FEM_THETA_ROOM];
        memset(theta_bar, 0, sizeof theta_bar);
        cell_vjp(s, qb, z, cell, &e, v, &bar, a_chunk, theta_bar);
        scatter_state(&bar, s, node, z);
        add_theta_bars(s, cell, theta_bar);
        flush_ambient(s, a_chunk, cell, t->n_cells);
    }
}

#endif
