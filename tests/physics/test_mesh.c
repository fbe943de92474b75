#include "support.h"

TestSuite(mesh, .fini = fem_finalize);

static fem_mesh *box(fem_element element, int64_t nx, int64_t ny)
{
    fem_mesh *mesh = NULL;
    MUST(fwm_threads_init(2));
    MUST(fem_mesh_create(&mesh, &(fem_mesh_spec){.element = element, .nx = nx, .ny = ny, .lx = 2, .ly = 1}));
    return mesh;
}

Test(mesh, boxes_have_the_counts_and_measures_of_their_geometry)
{
    static const struct {
        fem_element element;
        int64_t cells, nodes, pairs;
    } expected[] = {{FEM_P1, 24, 20, 29}, {FEM_Q1, 12, 20, 17}, {FEM_P2, 24, 63, 29}, {FEM_Q2, 12, 63, 17}};
    for (size_t e = 0; e < 4; e++) {
        fem_mesh *m = box(expected[e].element, 4, 3);
        cr_assert_eq(m->n_vertices, 20);
        cr_assert_eq(m->n_cells, expected[e].cells);
        cr_assert_eq(m->n_nodes, expected[e].nodes);
        cr_assert_eq(m->n_faces, 14);
        cr_assert_eq(m->n_pairs, expected[e].pairs);
        cr_assert_float_eq(m->area, 2, 1e-14);
        double lumped = 0, cells = 0;
        for (int64_t i = 0; i < m->n_nodes; i++) {
            cr_assert_gt(m->lumped[i], 0);
            lumped += m->lumped[i];
        }
        for (int64_t c = 0; c < m->n_cells; c++)
            cells += m->cell_area[c];
        cr_assert_float_eq(lumped, 2, 1e-13);
        cr_assert_float_eq(cells, 2, 1e-13);
        int labels[FEM_BOUNDARY_COUNT] = {0};
        for (int64_t f = 0; f < m->n_faces; f++)
            labels[m->face_label[f]]++;
        cr_assert(labels[FEM_BOUNDARY_LEFT] == 3 && labels[FEM_BOUNDARY_RIGHT] == 3 &&
                  labels[FEM_BOUNDARY_BOTTOM] == 4 && labels[FEM_BOUNDARY_TOP] == 4 && labels[FEM_BOUNDARY_OTHER] == 0);
        fem_mesh_destroy(&m);
    }
}

Test(mesh, nodes_of_linear_elements_are_the_vertices_row_by_row)
{
    fem_mesh *m = box(FEM_P1, 4, 3);
    for (int64_t i = 0; i < m->n_nodes; i++) {
        cr_assert_float_eq(m->nodes[2 * i], 0.5 * (double)(i % 5), 1e-15);
        cr_assert_float_eq(m->nodes[2 * i + 1], (double)(i / 5) / 3, 1e-15);
    }
    fem_mesh_destroy(&m);
}

Test(mesh, arrays_of_a_mesh_rebuild_it_even_with_clockwise_cells)
{
    fem_mesh *m = box(FEM_P1, 3, 3), *again = NULL;
    int32_t *cells = malloc((size_t)m->n_cells * 3 * sizeof *cells);
    memcpy(cells, m->cells, (size_t)m->n_cells * 3 * sizeof *cells);
    int32_t keep = cells[1];
    cells[1] = cells[2];
    cells[2] = keep;
    MUST(fem_mesh_from_arrays(&again, FEM_P1, m->n_vertices, m->vertices, m->n_cells, cells));
    cr_assert_arr_eq(again->cells, m->cells, (size_t)m->n_cells * 3 * sizeof *cells);
    cr_assert_arr_eq(again->nodes, m->nodes, (size_t)m->n_nodes * 2 * sizeof(double));
    for (int64_t i = 0; i < m->n_nodes; i++)
        cr_assert_float_eq(again->lumped[i], m->lumped[i], 1e-15);
    free(cells);
    fem_mesh_destroy(&m);
    fem_mesh_destroy(&again);
}

Test(mesh, bad_meshes_are_refused_by_name)
{
    fem_mesh *m = NULL;
    MUST(fwm_threads_init(1));
    cr_assert_eq(fem_mesh_create(&m, &(fem_mesh_spec){.element = FEM_P1, .nx = 0, .ny = 4, .lx = 1, .ly = 1}),
                 FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "nx") && !m);
    cr_assert_eq(fem_mesh_create(&m, &(fem_mesh_spec){.element = FEM_P1, .nx = 4, .ny = 4, .lx = -1, .ly = 1}),
                 FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "lx"));
    const double square[] = {0, 0, 1, 0, 1, 1, 0, 1};
    const int32_t beyond[] = {0, 1, 9}, flat[] = {0, 1, 1}, fine[] = {0, 1, 2};
    cr_assert_eq(fem_mesh_from_arrays(&m, FEM_P1, 4, square, 1, beyond), FWM_DATA);
    cr_assert(strstr(fwm_error_message(), "vertex 9"));
    cr_assert_eq(fem_mesh_from_arrays(&m, FEM_P1, 4, square, 1, flat), FWM_DATA);
    cr_assert(strstr(fwm_error_message(), "no area"));
    cr_assert_eq(fem_mesh_from_arrays(&m, FEM_P1, 4, square, 1, fine), FWM_DATA);
    cr_assert(strstr(fwm_error_message(), "vertex 3"));
    cr_assert_eq(fem_mesh_from_arrays(&m, FEM_P1, 4, square, 0, fine), FWM_INVALID);
    fem_element element;
    cr_assert_eq(fem_element_parse("triangle", "Q1", &element), FWM_INVALID);
    cr_assert_eq(fem_element_parse(NULL, "P7", &element), FWM_INVALID);
    MUST(fem_element_parse("quadrilateral", "Q2", &element));
    cr_assert_eq(element, FEM_Q2);
}
