/* Hierarchies: nested meshes keep fields, names and shapes; restrictions keep constants and have their adjoints. */
#include "physics/refine.h"

#include "boxes.h"

TestSuite(refine, .fini = fem_finalize);

static double *field_of_degree(const fem_mesh *m, int degree)
{
    double *u = malloc((size_t)m->n_nodes * sizeof *u);
    for (int64_t i = 0; i < m->n_nodes; i++) {
        const double *x = m->nodes + m->dim * i;
        u[i] = 0.3 + 2 * x[0] - 5 * x[1] + (m->dim == 3 ? x[2] : 0);
        u[i] += degree == 2 ? x[0] * x[1] - 3 * x[1] * x[1] : 0;
    }
    return u;
}

/* Polynomials that the element holds are prolonged exactly, and any coarse field keeps its picture. */
Test(refine, nested_meshes_hold_the_coarse_fields)
{
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        fem_mesh *coarse = crooked_box((fem_element)e, 2), *fine;
        int degree = fem_element_table[e].degree;
        fem_csr *up, *down;
        MUST(fem_mesh_refine(&fine, coarse));
        cr_assert_eq(fine->n_cells, coarse->n_cells * (coarse->dim == 2 ? 4 : 8));
        cr_assert_eq(fine->n_faces, coarse->n_faces * (coarse->dim == 2 ? 2 : 4));
        cr_assert_float_eq(fine->area, coarse->area, 1e-13);
        for (int64_t f = 0; f < fine->n_faces; f++)
            cr_assert_neq(fine->face_label[f], FEM_BOUNDARY_OTHER);
        MUST(fem_prolong(&up, coarse, fine));
        MUST(fem_prolong(&down, fine, coarse));
        /* On bent quadrilaterals and hexahedra the mapped space holds degree 1 only. */
        double *u = field_of_degree(coarse, fem_shape(coarse)->simplex ? degree : 1),
               *exact = field_of_degree(fine, fem_shape(coarse)->simplex ? degree : 1),
               *v = malloc((size_t)fine->n_nodes * sizeof *v), *back = malloc((size_t)coarse->n_nodes * sizeof *back),
               *any = noise(31, coarse->n_nodes, -1, 1);
        fem_csr_apply(up, u, v);
        for (int64_t i = 0; i < fine->n_nodes; i++)
            cr_assert_float_eq(v[i], exact[i], 1e-12);
        fem_csr_apply(up, any, v);
        fem_csr_apply(down, v, back);
        for (int64_t i = 0; i < coarse->n_nodes; i++)
            cr_assert_float_eq(back[i], any[i], 1e-10);
        free(u);
        free(exact);
        free(v);
        free(back);
        free(any);
        fem_csr_destroy(&up);
        fem_csr_destroy(&down);
        fem_mesh_destroy(&fine);
        fem_mesh_destroy(&coarse);
    }
}

/* <w, R x> = <R^T w, x> by rows and columns; R 1 = 1; S R keeps the integral where the degree is 1. The
 * projection undoes prolongation on parallel cells, where the mass of both is exact, and has its adjoint. */
Test(refine, restrictions_keep_constants_and_have_their_adjoints)
{
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        fem_mesh *coarse = plain_box((fem_element)e, 2), *fine;
        fem_csr *up, *r;
        MUST(fem_mesh_refine(&fine, coarse));
        MUST(fem_prolong(&up, coarse, fine));
        MUST(fem_restrict(&r, fine, up));
        int64_t n = fine->n_nodes, k = coarse->n_nodes;
        double *x = noise(32, n, -1, 1), *w = noise(33, k, -1, 1), *rx = malloc((size_t)k * sizeof *rx),
               *rtw = calloc((size_t)n, sizeof *rtw), *ones = noise(34, n, 1, 1);
        fem_csr_apply(r, ones, rx);
        for (int64_t i = 0; i < k; i++)
            cr_assert_float_eq(rx[i], 1, 1e-13);
        fem_csr_apply(r, x, rx);
        double sum = 0, mean = 0; /* S_i = (P^T m)_i for degree 1 */
        for (int64_t j = 0; j < n; j++) {
            sum += fine->lumped[j] * x[j];
            for (int64_t a = up->row_start[j]; a < up->row_start[j + 1]; a++)
                mean += up->weight[a] * fine->lumped[j] * rx[up->column[a]];
        }
        if (fem_element_table[e].degree == 1)
            cr_assert_float_eq(mean, sum, 1e-13);
        for (int64_t i = 0; i < k; i++)
            for (int64_t a = r->row_start[i]; a < r->row_start[i + 1]; a++) {
                cr_assert(a == r->row_start[i] || r->column[a] > r->column[a - 1]);
                rtw[r->column[a]] += r->weight[a] * w[i];
            }
        cr_assert_float_eq(dot(w, rx, k), dot(rtw, x, n), 1e-12);
        double *u = noise(35, k, -1, 1), *v = malloc((size_t)n * sizeof *v);
        fem_csr_apply(up, u, v);
        MUST(fem_project(rx, v, coarse, fine, up));
        for (int64_t i = 0; i < k; i++)
            cr_assert_float_eq(rx[i], u[i], 1e-11, "%s %s", fem_element_cell((fem_element)e),
                               fem_element_space((fem_element)e));
        MUST(fem_project(rx, x, coarse, fine, up));
        MUST(fem_project_transpose(v, w, coarse, fine, up));
        cr_assert_float_eq(dot(w, rx, k), dot(v, x, n), 1e-12);
        cr_assert_eq(fem_project(rx, x, fine, coarse, up), FWM_SHAPE);
        free(x);
        free(w);
        free(rx);
        free(rtw);
        free(ones);
        free(u);
        free(v);
        fem_csr_destroy(&up);
        fem_csr_destroy(&r);
        fem_mesh_destroy(&fine);
        fem_mesh_destroy(&coarse);
    }
}

/* Least of volume over longest edge cubed, scaled by nothing: it must not sink from level to level. */
static double worst_shape(const fem_mesh *m)
{
    double worst = INFINITY;
    for (int64_t c = 0; c < m->n_cells; c++) {
        double longest = 0;
        for (int a = 0; a < 4; a++)
            for (int b = 0; b < a; b++) {
                double length = 0;
                for (int d = 0; d < 3; d++)
                    length += pow(m->vertices[3 * (int64_t)m->cells[4 * c + a] + d] -
                                      m->vertices[3 * (int64_t)m->cells[4 * c + b] + d],
                                  2);
                longest = fmax(longest, sqrt(length));
            }
        worst = fmin(worst, m->cell_area[c] / pow(longest, 3));
    }
    return worst;
}

Test(refine, tetrahedra_keep_their_shapes_over_three_levels)
{
    fem_mesh *m = crooked_box(FEM_TET_P1, 2);
    double first = worst_shape(m);
    for (int level = 0; level < 3; level++) {
        fem_mesh *fine;
        MUST(fem_mesh_refine(&fine, m));
        fem_mesh_destroy(&m);
        m = fine;
        cr_assert_gt(worst_shape(m), 0.3 * first, "level %d: %g after %g", level, worst_shape(m), first);
    }
    fem_mesh_destroy(&m);
}

/* Names go with their faces and cells, periodic sides stay merged. */
Test(refine, names_and_periodic_sides_are_inherited)
{
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        fem_mesh_spec spec = box_spec((fem_element)e, 3);
        fem_mesh *coarse, *fine, *same;
        spec.periodic[1] = true;
        MUST(fwm_threads_init(1));
        MUST(fem_mesh_create(&coarse, &spec));
        for (int64_t c = 0; c < coarse->n_cells; c++)
            coarse->cell_region[c] = coarse->centroid[c * coarse->dim] > 0.5;
        coarse->n_regions = 2;
        strcpy(coarse->region_name[1], "far");
        MUST(fem_mesh_refine(&fine, coarse));
        spec.nx *= 2;
        spec.ny *= 2;
        spec.nz *= 2;
        MUST(fem_mesh_create(&same, &spec));
        cr_assert(fine->periodic[1] && !fine->periodic[0]);
        cr_assert_eq(fine->n_nodes, same->n_nodes);
        cr_assert_eq(fine->n_faces, same->n_faces);
        double far[2] = {0, 0};
        for (int64_t c = 0; c < coarse->n_cells; c++)
            far[0] += coarse->cell_region[c] * coarse->cell_area[c];
        for (int64_t c = 0; c < fine->n_cells; c++)
            far[1] += fine->cell_region[c] * fine->cell_area[c];
        cr_assert_float_eq(far[0], far[1], 1e-13);
        for (int64_t f = 0; f < fine->n_faces; f++) {
            int axis = (fine->face_label[f] - 1) / 2;
            double plane = fine->face_label[f] % 2 ? fine->lower[axis] : fine->upper[axis];
            for (int k = 0; k < fine->face_vertices; k++)
                cr_assert_float_eq(fine->vertices[fine->dim * (int64_t)fine->faces[f * fine->face_vertices + k] + axis],
                                   plane, 1e-14);
        }
        fem_mesh_destroy(&coarse);
        fem_mesh_destroy(&fine);
        fem_mesh_destroy(&same);
    }
}
