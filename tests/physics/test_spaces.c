/* What holds for every element: measures, faces and their tables, orders of interpolation, periodic boxes. */
#include "boxes.h"

TestSuite(spaces, .fini = fem_finalize);

Test(spaces, boxes_of_every_element_have_the_counts_of_their_geometry)
{
    /* 2 x 3 (x 4) boxes: 3 x 4 (x 5) vertices; nodes of degree 2: 5 x 7 (x 9). */
    static const struct {
        int64_t cells, vertices, nodes, faces, pairs;
    } expected[FEM_ELEMENT_COUNT] = {
        [FEM_P1] = {12, 12, 12, 10, 13},         [FEM_Q1] = {6, 12, 12, 10, 7},
        [FEM_P2] = {12, 12, 35, 10, 13},         [FEM_Q2] = {6, 12, 35, 10, 7},
        [FEM_TET_P1] = {144, 60, 60, 104, 236},  [FEM_HEX_Q1] = {24, 60, 60, 52, 46},
        [FEM_TET_P2] = {144, 60, 315, 104, 236}, [FEM_HEX_Q2] = {24, 60, 315, 52, 46},
    };
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        fem_mesh *m = plain_box((fem_element)e, 2);
        const char *name = fem_element_cell((fem_element)e);
        double lumped = 0, cells = 0, area = m->dim == 2 ? 1.08 : 0.756;
        cr_assert_eq(m->n_cells, expected[e].cells, "%s", name);
        cr_assert_eq(m->n_vertices, expected[e].vertices, "%s", name);
        cr_assert_eq(m->n_nodes, expected[e].nodes, "%s", name);
        cr_assert_eq(m->n_faces, expected[e].faces, "%s", name);
        cr_assert_eq(m->n_pairs, expected[e].pairs, "%s", name);
        for (int64_t i = 0; i < m->n_nodes; i++) {
            cr_assert_gt(m->lumped[i], 0);
            lumped += m->lumped[i];
        }
        for (int64_t c = 0; c < m->n_cells; c++)
            cells += m->cell_area[c];
        cr_assert_float_eq(m->area, area, 1e-13);
        cr_assert_float_eq(lumped, area, 1e-13);
        cr_assert_float_eq(cells, area, 1e-13);
        int labels[FEM_BOUNDARY_COUNT] = {0};
        for (int64_t f = 0; f < m->n_faces; f++)
            labels[m->face_label[f]]++;
        for (int k = 1; k <= 2 * m->dim; k++)
            cr_assert_gt(labels[k], 0);
        cr_assert_eq(labels[FEM_BOUNDARY_OTHER], 0);
        fem_mesh_destroy(&m);
    }
}

/* Rows of the basis sum to 1 and its slopes to 0, in cells and on faces; quadrature weights sum to the measure. */
Test(spaces, functions_sum_to_one_and_faces_carry_their_cells_basis)
{
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        fem_mesh *m = crooked_box((fem_element)e, 2);
        const fem_tables *t = &m->impl->tables[AD_F64];
        const fem_face_tables *f = &m->impl->faces[AD_F64];
        int k = m->cell_node_count, local = fem_shape(m)->faces;
        struct {
            const double *value, *slope;
            int points;
        } set[] = {{t->basis, t->dbasis, m->impl->n_points}, {f->basis, f->dbasis, local * f->n_points}};
        for (int s = 0; s < 2; s++)
            for (int q = 0; q < set[s].points; q++) {
                double sum = 0, slope[FEM_MAX_DIM] = {0};
                for (int i = 0; i < k; i++) {
                    sum += set[s].value[q * k + i];
                    for (int d = 0; d < m->dim; d++)
                        slope[d] += set[s].slope[(q * k + i) * m->dim + d];
                }
                cr_assert_float_eq(sum, 1, 1e-13);
                for (int d = 0; d < m->dim; d++)
                    cr_assert_float_eq(slope[d], 0, 1e-12);
            }
        fem_mesh_destroy(&m);
    }
}

/* int_boundary u n_d = int du/dx_d for u a random field of the space: both by the tables, exact on simplices and, by
 * Gauss rules of degree 3 and 5, on plane quadrilaterals; hexahedra with bent faces are exact too, because the
 * cofactors of their Jacobians are of degree 2 an axis and the fields of degree 1 (3 <= 2+1) or 2 (5 >= 4). The largest
 * terms are of size 10. Face nodes, the owner's basis and normals must all agree for it. */
Test(spaces, the_divergence_theorem_holds_on_every_mesh)
{
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        fem_mesh *m = crooked_box((fem_element)e, 3);
        const fem_tables *t = &m->impl->tables[AD_F64];
        const fem_face_tables *f = &m->impl->faces[AD_F64];
        const double *weight = t->weight, *geometry = t->geometry, *slope = t->dbasis, *face_weight = f->weight;
        int dim = m->dim, record = dim * dim + 1, k = m->cell_node_count;
        double *u = noise(6, m->n_nodes, -1, 1), inside[FEM_MAX_DIM] = {0}, outside[FEM_MAX_DIM] = {0}, sides = 0;
        for (int64_t c = 0; c < m->n_cells; c++)
            for (int q = 0; q < m->impl->n_points; q++) {
                const double *g = geometry + (t->geometry_points == 1 ? c : c * t->geometry_points + q) * record;
                for (int i = 0; i < k; i++)
                    for (int d = 0; d < dim; d++)
                        for (int r = 0; r < dim; r++)
                            inside[d] += weight[q] * g[dim * dim] * u[m->cell_nodes[c * k + i]] *
                                         slope[(q * k + i) * dim + r] * g[r * dim + d];
            }
        for (int64_t a = 0; a < m->n_faces; a++)
            for (int q = 0; q < f->n_points; q++) {
                int64_t at = a * f->n_points + q;
                const double *n = (const double *)f->normal + at * dim, *x = (const double *)f->point + at * dim;
                const double *phi = (const double *)f->basis + (f->local[a] * f->n_points + q) * k;
                double w = face_weight[q] * ((const double *)f->geometry)[(at + 1) * record - 1], value = 0, length = 0;
                for (int i = 0; i < k; i++)
                    value += phi[i] * u[m->cell_nodes[(int64_t)f->cell[a] * k + i]];
                for (int d = 0; d < dim; d++) {
                    outside[d] += w * value * n[d];
                    length += n[d] * n[d];
                    int axis = (f->label[a] - 1) / 2;
                    cr_assert_float_eq(n[d], d != axis ? 0 : f->label[a] % 2 ? -1 : 1, 1e-12);
                }
                int axis = (f->label[a] - 1) / 2;
                cr_assert_float_eq(x[axis], f->label[a] % 2 ? m->lower[axis] : m->upper[axis], 1e-12);
                cr_assert_float_eq(length, 1, 1e-12);
                sides += w;
            }
        for (int d = 0; d < dim; d++)
            cr_assert_float_eq(inside[d], outside[d], 1e-11, "%s %s axis %d: %.15g %.15g",
                               fem_element_cell((fem_element)e), fem_element_space((fem_element)e), d, inside[d],
                               outside[d]);
        cr_assert_float_eq(sides, dim == 2 ? 4.2 : 2 * (1.2 * 0.9 + 1.2 * 0.7 + 0.9 * 0.7), 1e-12);
        free(u);
        fem_mesh_destroy(&m);
    }
}

/* A face's nodes lie on it: the first are its vertices, the others the means that the order promises. */
Test(spaces, face_nodes_are_vertices_then_middles_then_the_centre)
{
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        fem_mesh *m = crooked_box((fem_element)e, 2);
        int dim = m->dim, n = m->face_vertices, edges = n == 2 ? 1 : n;
        for (int64_t f = 0; f < m->n_faces; f++)
            for (int k = 0; k < m->face_node_count; k++) {
                const double *node = m->nodes + dim * (int64_t)m->face_nodes[f * m->face_node_count + k];
                int first = k < n ? k : k < n + edges ? k - n : 0, count = k < n ? 1 : k < n + edges ? 2 : n;
                for (int d = 0; d < dim; d++) {
                    double mean = 0;
                    for (int v = 0; v < count; v++)
                        mean += m->vertices[dim * (int64_t)m->faces[f * n + (first + v) % n] + d] / count;
                    cr_assert_float_eq(node[d], mean, 1e-14);
                }
            }
        fem_mesh_destroy(&m);
    }
}

static double wave(const double *x, int dim, double *slope)
{
    double u = 1, factor[FEM_MAX_DIM], change[FEM_MAX_DIM];
    for (int d = 0; d < dim; d++) {
        factor[d] = sin(2 * x[d] + 0.3 * d + 0.2);
        change[d] = 2 * cos(2 * x[d] + 0.3 * d + 0.2);
        u *= factor[d];
    }
    for (int d = 0; d < dim; d++) {
        slope[d] = change[d];
        for (int e = 0; e < dim; e++)
            slope[d] *= e == d ? 1 : factor[e];
    }
    return u;
}

/* L2 and H1 errors of the interpolant, by the mesh's own quadrature. */
static void interpolation_errors(const fem_mesh *m, double *l2, double *h1)
{
    const fem_tables *t = &m->impl->tables[AD_F64];
    const double *weight = t->weight, *geometry = t->geometry, *basis = t->basis, *dbasis = t->dbasis;
    int dim = m->dim, k = m->cell_node_count, points = m->impl->n_points, record = dim * dim + 1;
    double ignored[FEM_MAX_DIM];
    *l2 = *h1 = 0;
    for (int64_t c = 0; c < m->n_cells; c++)
        for (int q = 0; q < points; q++) {
            const double *g = geometry + (t->geometry_points == 1 ? c : c * points + q) * record;
            double exact[FEM_MAX_DIM], slope[FEM_MAX_DIM] = {0}, value = 0, w = weight[q] * g[dim * dim];
            double u = wave((const double *)t->point + (c * points + q) * dim, dim, exact);
            for (int i = 0; i < k; i++) {
                double at = wave(m->nodes + dim * (int64_t)m->cell_nodes[c * k + i], dim, ignored);
                value += basis[q * k + i] * at;
                for (int d = 0; d < dim; d++)
                    for (int r = 0; r < dim; r++)
                        slope[d] += dbasis[(q * k + i) * dim + r] * g[r * dim + d] * at;
            }
            *l2 += w * (value - u) * (value - u);
            for (int d = 0; d < dim; d++)
                *h1 += w * (slope[d] - exact[d]) * (slope[d] - exact[d]);
        }
    *l2 = sqrt(*l2);
    *h1 = sqrt(*h1);
}

/* Halving the cells must divide the errors by 2^(p+1) and 2^p (Ern & Guermond, theorem 1.103). */
Test(spaces, interpolation_converges_at_the_order_of_the_element)
{
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        double l2[2], h1[2];
        int degree = fem_element_table[e].degree;
        for (int k = 0; k < 2; k++) {
            fem_mesh *m = plain_box((fem_element)e, fem_element_dim((fem_element)e) == 2 ? 12 << k : 6 << k);
            interpolation_errors(m, &l2[k], &h1[k]);
            fem_mesh_destroy(&m);
        }
        /* n, n+1, n+2 boxes along the axes: the ratio of the meshes' edges is between 1.78 and 2. */
        double least = log2(2 * 0.5 * (1 + 0.88)), order2 = log2(l2[0] / l2[1]), order1 = log2(h1[0] / h1[1]);
        cr_assert(order2 > (degree + 1) * least - 0.1 && order2 < degree + 1 + 0.1, "%s %s: L2 order %.3f",
                  fem_element_cell((fem_element)e), fem_element_space((fem_element)e), order2);
        cr_assert(order1 > degree * least - 0.1 && order1 < degree + 0.1, "%s %s: H1 order %.3f",
                  fem_element_cell((fem_element)e), fem_element_space((fem_element)e), order1);
    }
}

/* A function of period lx along x is continuous across the seam: it has one value at each merged node, the seam is no
 * boundary, and each row of the mass matrix sees both sides. */
Test(spaces, periodic_boxes_merge_nodes_and_keep_their_geometry)
{
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        fem_mesh_spec spec = box_spec((fem_element)e, 3);
        fem_mesh *m, *open = plain_box((fem_element)e, 3);
        spec.periodic[0] = true;
        MUST(fem_mesh_create(&m, &spec));
        cr_assert_eq(m->n_cells, open->n_cells);
        cr_assert_eq(m->n_vertices, open->n_vertices);
        cr_assert_float_eq(m->area, open->area, 1e-14);
        int64_t along = fem_element_table[e].degree * 3;
        cr_assert_eq(m->n_nodes, open->n_nodes / (along + 1) * along, "%s", fem_element_cell((fem_element)e));
        double lumped = 0;
        for (int64_t i = 0; i < m->n_nodes; i++)
            lumped += m->lumped[i];
        cr_assert_float_eq(lumped, m->area, 1e-13);
        for (int64_t f = 0; f < m->n_faces; f++)
            cr_assert(m->face_label[f] > FEM_BOUNDARY_RIGHT);
        cr_assert_eq(m->n_faces + 2 * m->n_pairs, open->n_faces + 2 * open->n_pairs);
        /* Interpolating sin(2 pi x / lx) cell by cell meets its value at every node of the cell. */
        for (int64_t c = 0; c < m->n_cells; c++)
            for (int i = 0; i < m->cell_node_count; i++) {
                const double *a = m->nodes + m->dim * (int64_t)m->cell_nodes[c * m->cell_node_count + i];
                const double *b = open->nodes + m->dim * (int64_t)open->cell_nodes[c * m->cell_node_count + i];
                cr_assert_float_eq(sin(2 * M_PI * a[0] / 1.2), sin(2 * M_PI * b[0] / 1.2), 1e-12);
                for (int d = 1; d < m->dim; d++)
                    cr_assert_float_eq(a[d], b[d], 1e-14);
            }
        fem_mesh_destroy(&m);
        spec.periodic[1] = true;
        spec.periodic[2] = open->dim == 3;
        MUST(fem_mesh_create(&m, &spec));
        cr_assert_eq(m->n_faces, 0);
        fem_mesh_destroy(&m);
        fem_mesh_destroy(&open);
    }
    fem_mesh *m = NULL;
    fem_mesh_spec thin = box_spec(FEM_Q1, 2);
    thin.periodic[0] = true;
    cr_assert_eq(fem_mesh_create(&m, &thin), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "periodic axis x") && !m);
}
