/* Constant sparse operators: exact for what the element can hold, adjoint to themselves, zero outside. */
#include "support.h"

TestSuite(operators, .fini = fem_finalize);

static fem_mesh *box(fem_element element, int64_t nx, int64_t ny)
{
    fem_mesh *mesh = NULL;
    MUST(fwm_threads_init(1));
    MUST(fem_mesh_create(&mesh, &(fem_mesh_spec){.element = element, .nx = nx, .ny = ny, .lx = 2, .ly = 1}));
    return mesh;
}

static double *linear_field(const fem_mesh *m)
{
    double *u = malloc((size_t)m->n_nodes * sizeof *u);
    for (int64_t i = 0; i < m->n_nodes; i++)
        u[i] = 0.3 + 2 * m->nodes[2 * i] - 5 * m->nodes[2 * i + 1];
    return u;
}

/* Every element holds linear functions, so rendering them is exact to rounding: values of size 6, about ten operations.
 */
Test(operators, pictures_of_linear_fields_are_exact_with_row_zero_on_top)
{
    for (int e = 0; e <= FEM_Q2; e++) {
        fem_mesh *m = box((fem_element)e, 5, 3);
        fem_csr *render, *dx, *dy;
        double mask[7 * 8], y[7 * 8], gx[7 * 8], gy[7 * 8], *u = linear_field(m);
        MUST(fem_render(&render, m, 7, 8, mask));
        MUST(fem_render_gradient(&dx, m, 7, 8, 0));
        MUST(fem_render_gradient(&dy, m, 7, 8, 1));
        fem_csr_apply(render, u, y);
        fem_csr_apply(dx, u, gx);
        fem_csr_apply(dy, u, gy);
        for (int i = 0; i < 7; i++)
            for (int j = 0; j < 8; j++) {
                double px = (j + 0.5) * 2 / 8, py = 1 - (i + 0.5) / 7;
                cr_assert_float_eq(y[i * 8 + j], 0.3 + 2 * px - 5 * py, 1e-12);
                cr_assert_float_eq(gx[i * 8 + j], 2, 1e-11);
                cr_assert_float_eq(gy[i * 8 + j], -5, 1e-11);
                cr_assert_eq(mask[i * 8 + j], 1);
            }
        free(u);
        fem_csr_destroy(&render);
        fem_csr_destroy(&dx);
        fem_csr_destroy(&dy);
        fem_mesh_destroy(&m);
    }
}

/* In space: values and derivatives of linear functions at scattered points, outside none; the slice that is drawn is
 * halfway along z unless another is asked for. */
Test(operators, fields_in_space_are_evaluated_and_drawn_in_slices)
{
    for (int e = FEM_TET_P1; e < FEM_ELEMENT_COUNT; e++) {
        fem_mesh *m = NULL;
        enum { POINTS = 60, H = 5, W = 6 };
        MUST(fwm_threads_init(1));
        MUST(fem_mesh_create(
            &m, &(fem_mesh_spec){.element = (fem_element)e, .nx = 3, .ny = 4, .nz = 2, .lx = 2, .ly = 1, .lz = 3}));
        double *u = malloc((size_t)m->n_nodes * sizeof *u), *x = noise(21, 3 * POINTS, -0.2, 1.2), y[POINTS];
        bool found[POINTS];
        fem_csr *value;
        int inside = 0;
        for (int64_t i = 0; i < m->n_nodes; i++)
            u[i] = 0.3 + 2 * m->nodes[3 * i] - 5 * m->nodes[3 * i + 1] + m->nodes[3 * i + 2];
        for (int axis = -1; axis < 3; axis++) {
            MUST(fem_evaluate(&value, m, POINTS, x, axis, found));
            fem_csr_apply(value, u, y);
            for (int k = 0; k < POINTS; k++) {
                const double *at = x + 3 * k, exact = 0.3 + 2 * at[0] - 5 * at[1] + at[2];
                bool within = at[0] >= 0 && at[1] >= 0 && at[2] >= 0 && at[1] <= 1;
                cr_assert_eq(found[k], within);
                inside += within;
                cr_assert_float_eq(y[k], !within ? 0 : axis < 0 ? exact : axis == 0 ? 2 : axis == 1 ? -5 : 1, 1e-11);
            }
            fem_csr_destroy(&value);
        }
        cr_assert_gt(inside, 4 * 10);
        double picture[H * W], mask[H * W];
        fem_csr *draw[3];
        MUST(fem_render(&draw[0], m, H, W, mask));
        MUST(fem_render_slice(&draw[1], m, H, W, 0.5, -1, mask));
        MUST(fem_render_slice(&draw[2], m, H, W, 3.5, -1, mask));
        for (int k = 0; k < 3; k++) {
            fem_csr_apply(draw[k], u, picture);
            for (int i = 0; i < H * W; i++) {
                double px = (i % W + 0.5) * 2 / W, py = 1 - (i / W + 0.5) / H, z = k == 0 ? 1.5 : 0.5;
                cr_assert_float_eq(picture[i], k == 2 ? 0 : 0.3 + 2 * px - 5 * py + z, 1e-11);
                cr_assert_eq(mask[i], 0); /* of the last call: outside the mesh */
            }
            fem_csr_destroy(&draw[k]);
        }
        fem_csr *sample, *gradient;
        double ones[H * W], *back = malloc((size_t)m->n_nodes * sizeof *back);
        for (int i = 0; i < H * W; i++)
            ones[i] = 1;
        MUST(fem_sample(&sample, m, H, W));
        fem_csr_apply(sample, ones, back);
        for (int64_t i = 0; i < m->n_nodes; i++)
            cr_assert_float_eq(back[i], 1, 1e-14);
        MUST(fem_render_gradient(&gradient, m, H, W, 2));
        fem_csr_apply(gradient, u, picture);
        cr_assert_float_eq(picture[3], 1, 1e-11);
        cr_assert_eq(fem_evaluate(&value, m, 1, x, 3, NULL), FWM_INVALID);
        fem_csr_destroy(&sample);
        fem_csr_destroy(&gradient);
        free(back);
        free(u);
        free(x);
        fem_mesh_destroy(&m);
    }
}

Test(operators, pixels_outside_the_mesh_are_empty_rows)
{
    /* A triangle fills half of its box. */
    const double corners[] = {0, 0, 1, 0, 0, 1};
    const int32_t cell[] = {0, 1, 2};
    fem_mesh *m;
    fem_csr *render;
    double mask[16], ones[3] = {1, 1, 1}, y[16];
    MUST(fwm_threads_init(1));
    MUST(fem_mesh_from_arrays(&m, FEM_P1, 3, corners, 1, cell));
    MUST(fem_render(&render, m, 4, 4, mask));
    fem_csr_apply(render, ones, y);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            bool inside = j <= i; /* (j+1/2)/4 + 1-(i+1/2)/4 <= 1 */
            cr_assert_eq(mask[i * 4 + j], inside ? 1 : 0);
            cr_assert_float_eq(y[i * 4 + j], inside ? 1 : 0, 1e-14);
        }
    fem_csr_destroy(&render);
    fem_mesh_destroy(&m);
}

Test(operators, sampling_is_bilinear_inside_and_clamped_at_the_edge)
{
    fem_mesh *m = box(FEM_Q1, 6, 5);
    fem_csr *sample;
    enum { KH = 9, KW = 7 };
    double picture[KH * KW], ones[KH * KW], *y = malloc((size_t)m->n_nodes * sizeof *y);
    for (int i = 0; i < KH; i++)
        for (int j = 0; j < KW; j++) {
            picture[i * KW + j] = 3 * (j + 0.5) * 2 / KW - 4 * (1 - (i + 0.5) / KH);
            ones[i * KW + j] = 1;
        }
    MUST(fem_sample(&sample, m, KH, KW));
    fem_csr_apply(sample, picture, y);
    for (int64_t n = 0; n < m->n_nodes; n++) {
        double x = fmin(fmax(m->nodes[2 * n], 1.0 / KW), 2 - 1.0 / KW);
        double z = fmin(fmax(m->nodes[2 * n + 1], 0.5 / KH), 1 - 0.5 / KH);
        cr_assert_float_eq(y[n], 3 * x - 4 * z, 1e-12);
    }
    fem_csr_apply(sample, ones, y);
    for (int64_t n = 0; n < m->n_nodes; n++)
        cr_assert_float_eq(y[n], 1, 1e-14);
    free(y);
    fem_csr_destroy(&sample);
    fem_mesh_destroy(&m);
}

/* Nested meshes: the fine mesh holds every coarse field, so prolonging and rendering equals rendering. */
Test(operators, prolonged_fields_are_the_same_fields)
{
    for (int e = 0; e <= FEM_Q2; e++) {
        fem_mesh *coarse = box((fem_element)e, 3, 2), *fine = box((fem_element)e, 12, 8);
        fem_csr *up, *down, *a, *b;
        double ya[63], yb[63], *u = noise(3, coarse->n_nodes, -1, 1), *v = malloc((size_t)fine->n_nodes * sizeof *v),
                               back[64];
        MUST(fem_prolong(&up, coarse, fine));
        MUST(fem_prolong(&down, fine, coarse));
        MUST(fem_render(&a, coarse, 7, 9, NULL));
        MUST(fem_render(&b, fine, 7, 9, NULL));
        fem_csr_apply(up, u, v);
        fem_csr_apply(a, u, ya);
        fem_csr_apply(b, v, yb);
        fem_csr_apply(down, v, back);
        for (int i = 0; i < 63; i++)
            cr_assert_float_eq(ya[i], yb[i], 1e-12, "%s pixel %d: %g %g", fem_element_space((fem_element)e), i, ya[i],
                               yb[i]);
        for (int64_t i = 0; i < coarse->n_nodes; i++)
            cr_assert_float_eq(back[i], u[i], 1e-12);
        free(u);
        free(v);
        fem_csr_destroy(&up);
        fem_csr_destroy(&down);
        fem_csr_destroy(&a);
        fem_csr_destroy(&b);
        fem_mesh_destroy(&coarse);
        fem_mesh_destroy(&fine);
    }
}

/* <y, M x> computed by rows equals <M^T y, x> computed by columns; and the rows are what ad_sparse_create asks for. */
Test(operators, rows_are_sorted_and_the_transpose_is_the_adjoint)
{
    fem_mesh *m = box(FEM_P2, 5, 4), *other = box(FEM_Q1, 3, 3);
    fem_csr *list[5];
    MUST(fem_render(&list[0], m, 9, 8, NULL));
    MUST(fem_render_gradient(&list[1], m, 9, 8, 1));
    MUST(fem_sample(&list[2], m, 9, 8));
    MUST(fem_prolong(&list[3], m, other));
    MUST(fem_prolong(&list[4], other, m));
    for (int k = 0; k < 5; k++) {
        fem_csr *s = list[k];
        double *x = noise(4, s->cols, -1, 1), *y = noise(5, s->rows, -1, 1), *mx = malloc((size_t)s->rows * sizeof *mx);
        double *mty = calloc((size_t)s->cols, sizeof *mty);
        fem_csr_apply(s, x, mx);
        cr_assert_eq(s->row_start[0], 0);
        cr_assert_eq(s->row_start[s->rows], s->nnz);
        for (int64_t i = 0; i < s->rows; i++)
            for (int64_t e = s->row_start[i]; e < s->row_start[i + 1]; e++) {
                cr_assert(e == s->row_start[i] || s->column[e] > s->column[e - 1]);
                cr_assert(s->column[e] >= 0 && s->column[e] < s->cols);
                mty[s->column[e]] += s->weight[e] * y[i];
            }
        double left = dot(y, mx, s->rows), right = dot(mty, x, s->cols);
        cr_assert_float_eq(left, right, 1e-12 * (1 + fabs(left)));
        free(x);
        free(y);
        free(mx);
        free(mty);
        fem_csr_destroy(&list[k]);
    }
    fem_mesh_destroy(&m);
    fem_mesh_destroy(&other);
}

Test(operators, a_node_outside_the_other_mesh_is_named)
{
    fem_mesh *m = box(FEM_P1, 2, 2), *wide = NULL;
    fem_csr *up = NULL;
    MUST(fem_mesh_create(&wide, &(fem_mesh_spec){.element = FEM_P1, .nx = 2, .ny = 2, .lx = 3, .ly = 1}));
    cr_assert_eq(fem_prolong(&up, m, wide), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "node 2") && !up);
    cr_assert_eq(fem_render(&up, m, 0, 4, NULL), FWM_INVALID);
    cr_assert_eq(fem_render_gradient(&up, m, 4, 4, 2), FWM_INVALID);
    fem_mesh_destroy(&m);
    fem_mesh_destroy(&wide);
}
