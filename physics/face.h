/* The boundary's part of the sweep: as element.h, over the faces of one natural condition, with the owner cell's basis
 * at the face's points. */
#ifndef FWM_PHYSICS_FACE_H
#define FWM_PHYSICS_FACE_H

/* The q-th point of a face, its surface element returned. */
FEM_INLINE real face_point(fem_point *p, const fem_sweep *s, int64_t face, int q, fem_sizes z, const fem_cell_state *e)
{
    const fem_face_tables *f = s->faces;
    const int64_t at = face * f->n_points + q;
    const real *geometry = (const real *)f->geometry + at * (z.dim * z.dim + 1);
    const int64_t row = (int64_t)f->local[face] * f->n_points + q;
    point_fields(p, e, (const real *)f->basis + row * z.nodes, (const real *)f->dbasis + row * z.nodes * z.dim,
                 geometry, true, z);
    for (int d = 0; d < z.dim; d++) {
        p->x[d] = ((const real *)f->point)[at * z.dim + d];
        p->normal[d] = ((const real *)f->normal)[at * z.dim + d];
    }
    return ((const real *)f->weight)[q] * geometry[z.dim * z.dim];
}

FEM_INLINE const real *face_basis(const fem_sweep *s, int64_t face, int q, fem_sizes z)
{
    return (const real *)s->faces->basis + ((int64_t)s->faces->local[face] * s->faces->n_points + q) * z.nodes;
}

FEM_INLINE void sweep_face_residual(const fem_sweep *s, fem_bf bf, fem_sizes z)
{
    const fem_tables *t = s->tables;
    for (int64_t k = 0; k < s->n_listed; k++) {
        const int64_t face = s->listed[k], cell = s->faces->cell[face];
        const int32_t *node = t->cell_nodes + cell * z.nodes;
        fem_cell_state e;
        fem_local r;
        gather_state(&e, s, node, z);
        clear_local(r, z);
        fem_point p;
        point_constants(&p, s, cell, z);
        for (int q = 0; q < s->faces->n_points; q++) {
            real weight = face_point(&p, s, face, q, z, &e);
            fem_flux f;
            clear_flux(&f, z);
            bf(z.dim, s->kind, &p, &f);
            value_add(r, f.f0, weight, face_basis(s, face, q, z), z);
        }
        scatter_add(s->r, s, node, r, z);
    }
}

FEM_INLINE void one_face_vjp(const fem_sweep *s, fem_bb bb, fem_sizes z, int64_t face, const fem_cell_state *e,
                             const fem_local v, fem_cell_state *bar, vec *a_bar, vec *theta_bar)
{
    const fem_face_tables *f = s->faces;
    fem_point p;
    point_constants(&p, s, f->cell[face], z);
    fem_flux test;
    for (int q = 0; q < f->n_points; q++) {
        real weight = face_point(&p, s, face, q, z, e);
        const real *phi = face_basis(s, face, q, z);
        const real *slope = (const real *)f->dbasis + (phi - (const real *)f->basis) * z.dim;
        const real *geometry = (const real *)f->geometry + (face * f->n_points + q) * (z.dim * z.dim + 1);
        value_at(test.f0, v, phi, z);
        clear_gradients(test.f1, z);
        fem_point_bars b;
        clear_bars(&b, z);
        bb(z.dim, s->kind, &p, &test, &b);
        pull_values(bar, &b, weight, phi, a_bar, theta_bar, z);
        gradient_add(bar->u, b.g, weight, slope, geometry, z);
        if (FEM_LAGGED)
            gradient_add(bar->u0, b.g0, weight, slope, geometry, z);
    }
}

FEM_INLINE void sweep_face_vjp(const fem_sweep *s, fem_bb bb, fem_sizes z)
{
    const fem_tables *t = s->tables;
    vec a_chunk[FEM_AMBIENT_ROOM];
    memset(a_chunk, 0, sizeof a_chunk);
    for (int64_t k = 0; k < s->n_listed; k++) {
        const int64_t face = s->listed[k], cell = s->faces->cell[face];
        const int32_t *node = t->cell_nodes + cell * z.nodes;
        fem_cell_state e, bar;
        fem_local v;
        gather_state(&e, s, node, z);
        gather(v, s->rbar, s, node, z);
        clear_state(&bar, z);
        vec theta_bar[FEM_THETA_ROOM];
        memset(theta_bar, 0, sizeof theta_bar);
        one_face_vjp(s, bb, z, face, &e, v, &bar, a_chunk, theta_bar);
        scatter_state(&bar, s, node, z);
        add_theta_bars(s, cell, theta_bar);
        flush_ambient(s, a_chunk, k, s->n_listed);
    }
}

#endif
