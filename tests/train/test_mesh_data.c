/* Meshes through files: every element, plain and periodic, with names, comes back as it went. */
#include "data/mesh_io.h"
#include "tests/data/folder.h"
#include "tests/physics/boxes.h"
#include "train/mesh_data.h"

TestSuite(mesh_data, .fini = fem_finalize);

static void write_file(const char *path, const ds_mesh *mesh)
{
    ds_h5_lock();
    ds_h5_sink sink = {H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), path};
    cr_assert_gt(sink.id, 0);
    MUST(ds_mesh_write(&sink, "/mesh", mesh));
    cr_assert_geq(H5Fclose(sink.id), 0);
    ds_h5_unlock();
}

static const ds_mesh *read_file(const char *path, fwm_arena *arena)
{
    ds_h5 *file;
    const ds_mesh *mesh;
    ds_h5_lock();
    MUST(ds_h5_open(&file, path));
    MUST(ds_mesh_read(file, "/mesh", arena, &mesh));
    ds_h5_close(&file);
    ds_h5_unlock();
    return mesh;
}

/* Regions by halves, the left side renamed. */
static fem_mesh *named(const fem_mesh *box)
{
    fem_mesh *mesh;
    int n = box->face_vertices;
    int64_t left = 0;
    int32_t *region = malloc((size_t)box->n_cells * sizeof *region),
            *faces = malloc((size_t)(box->n_faces * n + 1) * sizeof *faces);
    for (int64_t c = 0; c < box->n_cells; c++)
        region[c] = box->centroid[c * box->dim + 1] > 0.4;
    for (int64_t f = 0; f < box->n_faces; f++)
        if (box->face_label[f] == FEM_BOUNDARY_TOP)
            memcpy(faces + n * left++, box->faces + n * f, (size_t)n * sizeof *faces);
    MUST(fem_mesh_build(&mesh, &(fem_mesh_arrays){.element = box->element,
                                                  .n_vertices = box->n_vertices,
                                                  .n_cells = box->n_cells,
                                                  .vertices = box->vertices,
                                                  .cells = box->cells,
                                                  .merge = box->merge,
                                                  .n_boundaries = 1,
                                                  .boundary = &(fem_named_faces){"lid", left, faces},
                                                  .n_regions = 2,
                                                  .region_name = (const char *const[]){"under", "over"},
                                                  .cell_region = region}));
    free(region);
    free(faces);
    return mesh;
}

Test(mesh_data, meshes_come_back_from_files_as_they_went)
{
    test_folder folder;
    cr_assert(test_folder_open(&folder));
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++)
        for (int periodic = 0; periodic < 2; periodic++) {
            fem_mesh_spec spec = box_spec((fem_element)e, 3);
            fem_mesh *box, *m, *back;
            spec.periodic[0] = periodic;
            MUST(fwm_threads_init(1));
            MUST(fem_mesh_create(&box, &spec));
            m = named(box);
            fwm_arena *arena = fwm_arena_create();
            ds_mesh stored;
            MUST(tr_mesh_to_data(&stored, arena, m));
            MUST(ds_mesh_check(&stored));
            write_file(folder.file, &stored);
            MUST(tr_mesh_from_data(&back, read_file(folder.file, arena), folder.file, "/mesh"));
            cr_assert_eq(back->element, m->element);
            cr_assert_eq(back->n_nodes, m->n_nodes);
            cr_assert_eq(back->periodic[0], periodic);
            cr_assert_eq(back->n_faces, m->n_faces);
            cr_assert_arr_eq(back->nodes, m->nodes, (size_t)(m->n_nodes * m->dim) * sizeof *m->nodes);
            cr_assert_arr_eq(back->cell_nodes, m->cell_nodes,
                             (size_t)(m->n_cells * m->cell_node_count) * sizeof *m->cell_nodes);
            int region;
            MUST(fem_mesh_region(back, "over", &region));
            for (int64_t c = 0; c < m->n_cells; c++)
                cr_assert_eq(back->cell_region[c] == region, m->centroid[c * m->dim + 1] > 0.4);
            for (int64_t f = 0; f < m->n_faces; f++)
                cr_assert_str_eq(back->label_name[back->face_label[f]], m->label_name[m->face_label[f]]);
            fwm_arena_destroy(arena);
            fem_mesh_destroy(&back);
            fem_mesh_destroy(&m);
            fem_mesh_destroy(&box);
        }
    test_folder_close(&folder);
}

Test(mesh_data, a_mesh_that_is_missing_or_of_one_dimension_is_named)
{
    static const double vertices[] = {0, 1};
    static const int32_t cells[] = {0, 1};
    fem_mesh *mesh = NULL;
    ds_mesh line = {.dim = 1,
                    .nv = 2,
                    .ncell = 1,
                    .k = 2,
                    .cell = "interval",
                    .space = "P1",
                    .vertices = vertices,
                    .cells = cells,
                    .n = 2,
                    .kn = 2};
    cr_assert_eq(tr_mesh_from_data(&mesh, NULL, "data.h5", "/mesh"), FWM_DATA);
    cr_assert(strstr(fwm_error_message(), "data.h5: /mesh: expected a mesh, found none"));
    cr_assert_eq(tr_mesh_from_data(&mesh, &line, "data.h5", "/mesh"), FWM_DATA);
    cr_assert(strstr(fwm_error_message(), "found 1"));
    cr_assert_null(mesh);
}
