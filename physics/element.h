/* The element sweep: gathers a cell's lanes, calls the pointwise functions at its quadrature points, scatters.
 *
 * Included by form.h after the form's sizes are known. Everything is inlined into one kernel for each element, so that
 * loops over nodes, points and fields have constant bounds and their vectors stay in registers. A lane block is one
 * thread's, so scattering has no race and a fixed order. */
#ifndef FWM_PHYSICS_ELEMENT_H
#define FWM_PHYSICS_ELEMENT_H

#include <string.h>

/* An element's sizes: nodes, quadrature points, and whether reference gradients are the same at all points. */
typedef struct fem_sizes {
    int nodes, points;
    bool flat;
} fem_sizes;

typedef vec fem_local[FEM_MAX_CELL_NODES][FEM_FIELDS];

FEM_INLINE void gather(fem_local out, const void *field, const int32_t *node, int nodes)
{
    const vec *u = field;
    for (int i = 0; i < nodes; i++)
        for (int c = 0; c < FEM_FIELDS; c++)
            out[i][c] = u[(int64_t)node[i] * FEM_FIELDS + c];
}

FEM_INLINE void scatter_add(void *field, const int32_t *node, int nodes, const fem_local in)
{
    vec *u = field;
    for (int i = 0; i < nodes; i++)
        for (int c = 0; c < FEM_FIELDS; c++)
            u[(int64_t)node[i] * FEM_FIELDS + c] += in[i][c];
}

FEM_INLINE void clear_local(fem_local u, int nodes)
{
    for (int i = 0; i < nodes; i++)
        for (int c = 0; c < FEM_FIELDS; c++)
            u[i][c] = vec_zero();
}

/* Gradient along reference axes, then along x: out[c][e] = sum_d J^-1[d][e] sum_i dphi_i/dxi_d u_i. */
FEM_INLINE void gradient_at(vec out[FEM_FIELDS][FEM_DIM], const fem_local u, const real *dphi, const real *geometry,
                            int nodes)
{
    for (int c = 0; c < FEM_FIELDS; c++) {
        vec reference[FEM_DIM];
        for (int d = 0; d < FEM_DIM; d++) {
            reference[d] = u[0][c] * dphi[d];
            for (int i = 1; i < nodes; i++)
                reference[d] += u[i][c] * dphi[i * FEM_DIM + d];
        }
        for (int e = 0; e < FEM_DIM; e++) {
            out[c][e] = reference[0] * geometry[e];
            for (int d = 1; d < FEM_DIM; d++)
                out[c][e] += reference[d] * geometry[d * FEM_DIM + e];
        }
    }
}

FEM_INLINE void value_at(vec out[FEM_FIELDS], const fem_local u, const real *phi, int nodes)
{
    for (int c = 0; c < FEM_FIELDS; c++) {
        out[c] = u[0][c] * phi[0];
        for (int i = 1; i < nodes; i++)
            out[c] += u[i][c] * phi[i];
    }
}

/* Transposes of the two above, with a weight. */
FEM_INLINE void gradient_add(fem_local r, vec g[FEM_FIELDS][FEM_DIM], real weight, const real *dphi,
                             const real *geometry, int nodes)
{
    for (int c = 0; c < FEM_FIELDS; c++)
        for (int d = 0; d < FEM_DIM; d++) {
            vec reference = g[c][0] * geometry[d * FEM_DIM];
            for (int e = 1; e < FEM_DIM; e++)
                reference += g[c][e] * geometry[d * FEM_DIM + e];
            reference *= weight;
            for (int i = 0; i < nodes; i++)
                r[i][c] += reference * dphi[i * FEM_DIM + d];
        }
}

FEM_INLINE void value_add(fem_local r, vec v[FEM_FIELDS], real weight, const real *phi, int nodes)
{
    for (int c = 0; c < FEM_FIELDS; c++) {
        vec weighted = v[c] * weight;
        for (int i = 0; i < nodes; i++)
            r[i][c] += weighted * phi[i];
    }
}

FEM_INLINE void sum_gradients(vec total[FEM_FIELDS][FEM_DIM], vec g[FEM_FIELDS][FEM_DIM], real weight)
{
    for (int c = 0; c < FEM_FIELDS; c++)
        for (int d = 0; d < FEM_DIM; d++)
            total[c][d] += g[c][d] * weight;
}

FEM_INLINE const real *geometry_of(const fem_tables *t, int64_t cell, int q)
{
    int64_t at = t->geometry_points == 1 ? cell : cell * t->geometry_points + q;
    return (const real *)t->geometry + at * FEM_GEOMETRY;
}

/* What a point has besides the fields: the same for every lane. */
FEM_INLINE void point_constants(fem_point *p, const fem_sweep *s, int64_t cell)
{
    for (int k = 0; k < FEM_PARAMETERS; k++)
        p->theta[k] = ((const real *)s->theta[k])[cell * s->theta_stride[k]];
    for (int k = 0; k < FEM_AMBIENT; k++)
        p->a[k] = ((const vec *)s->ambient)[k];
    p->h = ((const real *)s->tables->size)[cell];
    p->dt = (real)s->dt;
}

FEM_INLINE void point_fields(fem_point *p, const fem_sweep *s, int64_t cell, int q, fem_sizes z, const fem_local u1,
                             const fem_local u0, const real *geometry)
{
    const fem_tables *t = s->tables;
    const real *phi = (const real *)t->basis + q * z.nodes;
    value_at(p->u1, u1, phi, z.nodes);
    value_at(p->u0, u0, phi, z.nodes);
    if (!z.flat || q == 0) {
        const real *dphi = (const real *)t->dbasis + q * z.nodes * FEM_DIM;
        gradient_at(p->g1, u1, dphi, geometry, z.nodes);
        gradient_at(p->g0, u0, dphi, geometry, z.nodes);
    }
    for (int d = 0; d < FEM_DIM; d++)
        p->x[d] = ((const real *)t->point)[(cell * z.points + q) * FEM_DIM + d];
}

FEM_INLINE void sweep_residual(const fem_sweep *s, fem_qf qf, fem_sizes z)
{
    const fem_tables *t = s->tables;
    for (int64_t cell = 0; cell < t->n_cells; cell++) {
        const int32_t *node = t->cell_nodes + cell * z.nodes;
        fem_local u1, u0, r;
        gather(u1, s->u1, node, z.nodes);
        gather(u0, s->u0, node, z.nodes);
        clear_local(r, z.nodes);
        fem_point p;
        point_constants(&p, s, cell);
        vec total[FEM_FIELDS][FEM_DIM];
        memset(total, 0, sizeof total);
        const real *dphi = t->dbasis;
        for (int q = 0; q < z.points; q++) {
            const real *geometry = geometry_of(t, cell, z.flat ? 0 : q);
            point_fields(&p, s, cell, q, z, u1, u0, geometry);
            fem_flux f;
            qf(FEM_DIM, &p, &f);
            real weight = ((const real *)t->weight)[q] * geometry[FEM_DIM * FEM_DIM];
            value_add(r, f.f0, weight, (const real *)t->basis + q * z.nodes, z.nodes);
            if (z.flat)
                sum_gradients(total, f.f1, weight);
            else
                gradient_add(r, f.f1, weight, dphi + q * z.nodes * FEM_DIM, geometry, z.nodes);
        }
        if (z.flat)
            gradient_add(r, total, 1, dphi, geometry_of(t, cell, 0), z.nodes);
        scatter_add(s->r, node, z.nodes, r);
    }
}

/* The transpose on one cell: bars of u1, u0 (added to), ambient and theta (added to). */
FEM_INLINE void cell_vjp(const fem_sweep *s, fem_qb qb, fem_sizes z, int64_t cell, const fem_local u1,
                         const fem_local u0, const fem_local v, fem_local u1_bar, fem_local u0_bar, vec *a_bar,
                         vec *theta_bar)
{
    const fem_tables *t = s->tables;
    fem_point p;
    point_constants(&p, s, cell);
    vec total1[FEM_FIELDS][FEM_DIM], total0[FEM_FIELDS][FEM_DIM];
    memset(total1, 0, sizeof total1);
    memset(total0, 0, sizeof total0);
    fem_flux test;
    const real *dphi = t->dbasis;
    for (int q = 0; q < z.points; q++) {
        const real *geometry = geometry_of(t, cell, z.flat ? 0 : q), *phi = (const real *)t->basis + q * z.nodes;
        point_fields(&p, s, cell, q, z, u1, u0, geometry);
        value_at(test.f0, v, phi, z.nodes);
        if (!z.flat || q == 0)
            gradient_at(test.f1, v, dphi + q * z.nodes * FEM_DIM, geometry, z.nodes);
        fem_point_bars b;
        qb(FEM_DIM, &p, &test, &b);
        real weight = ((const real *)t->weight)[q] * geometry[FEM_DIM * FEM_DIM];
        value_add(u1_bar, b.u1, weight, phi, z.nodes);
        value_add(u0_bar, b.u0, weight, phi, z.nodes);
        if (z.flat) {
            sum_gradients(total1, b.g1, weight);
            if (FEM_GRADIENT_OF_U0)
                sum_gradients(total0, b.g0, weight);
        } else {
            gradient_add(u1_bar, b.g1, weight, dphi + q * z.nodes * FEM_DIM, geometry, z.nodes);
            if (FEM_GRADIENT_OF_U0)
                gradient_add(u0_bar, b.g0, weight, dphi + q * z.nodes * FEM_DIM, geometry, z.nodes);
        }
        for (int k = 0; k < FEM_AMBIENT; k++)
            a_bar[k] += b.a[k] * weight;
        for (int k = 0; k < FEM_PARAMETERS; k++)
            theta_bar[k] += b.theta[k] * weight;
    }
    if (z.flat) {
        gradient_add(u1_bar, total1, 1, dphi, geometry_of(t, cell, 0), z.nodes);
        if (FEM_GRADIENT_OF_U0)
            gradient_add(u0_bar, total0, 1, dphi, geometry_of(t, cell, 0), z.nodes);
    }
}

FEM_INLINE void sweep_vjp(const fem_sweep *s, fem_qb qb, fem_sizes z)
{
    enum { CHUNK = 64 }; /* ambient bars are summed by chunks, so that float32 loses nothing over many cells */
    const fem_tables *t = s->tables;
    vec a_chunk[FEM_AMBIENT];
    memset(a_chunk, 0, sizeof a_chunk);
    for (int64_t cell = 0; cell < t->n_cells; cell++) {
        const int32_t *node = t->cell_nodes + cell * z.nodes;
        fem_local u1, u0, v, u1_bar, u0_bar;
        gather(u1, s->u1, node, z.nodes);
        gather(u0, s->u0, node, z.nodes);
        gather(v, s->rbar, node, z.nodes);
        clear_local(u1_bar, z.nodes);
        clear_local(u0_bar, z.nodes);
        vec theta_bar[FEM_PARAMETERS];
        memset(theta_bar, 0, sizeof theta_bar);
        cell_vjp(s, qb, z, cell, u1, u0, v, u1_bar, u0_bar, a_chunk, theta_bar);
        if (s->u1_bar)
            scatter_add(s->u1_bar, node, z.nodes, u1_bar);
        if (s->u0_bar)
            scatter_add(s->u0_bar, node, z.nodes, u0_bar);
        for (int k = 0; k < FEM_PARAMETERS; k++)
            if (s->theta_bar[k])
                s->theta_bar[k][cell * s->theta_stride[k]] += vec_sum(theta_bar[k]);
        if (s->ambient_bar && (cell % CHUNK == CHUNK - 1 || cell == t->n_cells - 1))
            for (int k = 0; k < FEM_AMBIENT; k++) {
                ((vec *)s->ambient_bar)[k] += a_chunk[k];
                a_chunk[k] = vec_zero();
            }
    }
}

/* One state, lanes over test functions: fills ke [cell][i][j]. */
FEM_INLINE void sweep_jacobian(const fem_sweep *s, double *ke, fem_qb qb, fem_sizes z)
{
    const fem_tables *t = s->tables;
    const int dofs = z.nodes * FEM_FIELDS;
    const real *w1 = s->u1, *w0 = s->u0;
    vec ambient[FEM_AMBIENT];
    for (int k = 0; k < FEM_AMBIENT; k++)
        ambient[k] = vec_zero() + ((const real *)s->ambient)[k];
    fem_sweep broadcast = *s;
    broadcast.ambient = ambient;
    for (int64_t cell = 0; cell < t->n_cells; cell++) {
        const int32_t *node = t->cell_nodes + cell * z.nodes;
        fem_local u1, u0;
        for (int i = 0; i < z.nodes; i++)
            for (int c = 0; c < FEM_FIELDS; c++) {
                u1[i][c] = vec_zero() + w1[(int64_t)node[i] * FEM_FIELDS + c];
                u0[i][c] = vec_zero() + w0[(int64_t)node[i] * FEM_FIELDS + c];
            }
        for (int first = 0; first < dofs; first += FEM_LANES) {
            fem_local v, u1_bar, u0_bar;
            clear_local(v, z.nodes);
            clear_local(u1_bar, z.nodes);
            clear_local(u0_bar, z.nodes);
            int lanes = dofs - first < FEM_LANES ? dofs - first : FEM_LANES;
            for (int l = 0; l < lanes; l++)
                v[(first + l) / FEM_FIELDS][(first + l) % FEM_FIELDS][l] = 1;
            vec a_bar[FEM_AMBIENT], theta_bar[FEM_PARAMETERS];
            memset(a_bar, 0, sizeof a_bar);
            memset(theta_bar, 0, sizeof theta_bar);
            cell_vjp(&broadcast, qb, z, cell, u1, u0, v, u1_bar, u0_bar, a_bar, theta_bar);
            for (int l = 0; l < lanes; l++)
                for (int j = 0; j < dofs; j++)
                    ke[(cell * dofs + first + l) * dofs + j] = (double)u1_bar[j / FEM_FIELDS][j % FEM_FIELDS][l];
        }
    }
}

#endif
