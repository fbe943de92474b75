/* What a stabilised form (FEM_STRONG) needs of the strong residual at a point: the Laplacian of the fields and the
 * density of the sources, with their transposes. Included by element.h.
 *
 * Laplacian: sum over reference axes of d2phi/dxi_d dxi_e (grad xi_d . grad xi_e). The curvature of the map itself is
 * left out: there is none on simplices and parallelograms. */
#ifndef FWM_PHYSICS_STRONG_H
#define FWM_PHYSICS_STRONG_H

/* Laplacians of the cell's basis at a point. */
FEM_INLINE void basis_laplacian(real lap[FEM_MAX_CELL_NODES], const fem_tables *t, int q, const real *geometry,
                                fem_sizes z)
{
    const real *second = (const real *)t->d2basis + q * z.nodes * z.dim * z.dim;
    real metric[FEM_MAX_DIM * FEM_MAX_DIM];
    for (int d = 0; d < z.dim; d++)
        for (int e = 0; e < z.dim; e++) {
            real sum = 0;
            for (int x = 0; x < z.dim; x++)
                sum += geometry[d * z.dim + x] * geometry[e * z.dim + x];
            metric[d * z.dim + e] = sum;
        }
    for (int i = 0; i < z.nodes; i++) {
        lap[i] = 0;
        for (int k = 0; k < z.dim * z.dim; k++)
            lap[i] += second[i * z.dim * z.dim + k] * metric[k];
    }
}

FEM_INLINE void strong_point(fem_point *p, const fem_sweep *s, int64_t cell, int q, fem_sizes z, const fem_local u,
                             const real *geometry)
{
    real lap[FEM_MAX_CELL_NODES];
    if (!z.flat)
        basis_laplacian(lap, s->tables, q, geometry, z);
    for (int c = 0; c < FEM_COMPONENTS(z.dim); c++) {
        p->lap[c] = p->source[c] = vec_zero();
        for (int i = 0; i < z.nodes && !z.flat; i++)
            p->lap[c] += lap[i] * u[i][c];
    }
    const fem_point_sources *sources = s->sources;
    if (!sources)
        return;
    const int64_t at = cell * z.points + q;
    for (int32_t k = sources->start[at]; k < sources->start[at + 1]; k++)
        p->source[sources->component[k]] +=
            ((const real *)sources->density)[k] * ((const vec *)s->actions)[sources->action[k]];
}

FEM_INLINE void strong_point_add(fem_local u_bar, const fem_point_bars *b, const fem_sweep *s, int64_t cell, int q,
                                 real weight, const real *geometry, fem_sizes z)
{
    if (!z.flat) {
        real lap[FEM_MAX_CELL_NODES];
        basis_laplacian(lap, s->tables, q, geometry, z);
        for (int c = 0; c < FEM_COMPONENTS(z.dim); c++)
            for (int i = 0; i < z.nodes; i++)
                u_bar[i][c] += weight * lap[i] * b->lap[c];
    }
    const fem_point_sources *sources = s->sources;
    if (!sources || !s->actions_bar)
        return;
    const int64_t at = cell * z.points + q;
    for (int32_t k = sources->start[at]; k < sources->start[at + 1]; k++)
        ((vec *)s->actions_bar)[sources->action[k]] +=
            weight * ((const real *)sources->density)[k] * b->source[sources->component[k]];
}

#endif
