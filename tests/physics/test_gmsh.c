/* Files of gmsh in its four flavours: what was written comes back; what is refused or damaged is named. */
#include "physics/gmsh.h"

#include "msh.h"

#include <unistd.h>

TestSuite(gmsh, .fini = fem_finalize);

static char path[128];

static const char *scratch(void)
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/fwm-gmsh-%d.msh", tmp ? tmp : "/tmp", (int)getpid());
    return path;
}

/* A crooked box whose left side is called inlet and whose far cells are another region. */
static fem_mesh *named_box(fem_element element)
{
    fem_mesh *box = crooked_box(element, 2), *mesh = NULL;
    int n = box->face_vertices;
    int32_t *inlet = malloc((size_t)(box->n_faces * n) * sizeof *inlet),
            *rest = malloc(sizeof *rest * (size_t)(box->n_faces * n));
    int32_t *region = malloc((size_t)box->n_cells * sizeof *region);
    fem_named_faces named[] = {{"inlet", 0, inlet}, {"top", 0, rest}};
    for (int64_t f = 0; f < box->n_faces; f++) {
        int part = box->face_label[f] == FEM_BOUNDARY_LEFT ? 0 : box->face_label[f] == FEM_BOUNDARY_TOP ? 1 : -1;
        if (part >= 0)
            memcpy((part ? rest : inlet) + n * named[part].count++, box->faces + f * n, (size_t)n * sizeof *inlet);
    }
    for (int64_t c = 0; c < box->n_cells; c++)
        region[c] = box->centroid[c * box->dim] > 0.6;
    MUST(fem_mesh_build(&mesh, &(fem_mesh_arrays){.element = element,
                                                  .n_vertices = box->n_vertices,
                                                  .n_cells = box->n_cells,
                                                  .vertices = box->vertices,
                                                  .cells = box->cells,
                                                  .n_boundaries = 2,
                                                  .boundary = named,
                                                  .n_regions = 2,
                                                  .region_name = (const char *const[]){"near", "far"},
                                                  .cell_region = region}));
    free(inlet);
    free(rest);
    free(region);
    fem_mesh_destroy(&box);
    return mesh;
}

/* Cells come back group by group: each is found by its centroid, faces likewise. */
static void compare(const fem_mesh *a, const fem_mesh *b)
{
    cr_assert_eq(a->element, b->element);
    cr_assert_eq(a->n_vertices, b->n_vertices);
    cr_assert_eq(a->n_cells, b->n_cells);
    cr_assert_eq(a->n_faces, b->n_faces);
    cr_assert_arr_eq(a->vertices, b->vertices, (size_t)(a->n_vertices * a->dim) * sizeof(double));
    for (int64_t c = 0; c < a->n_cells; c++) {
        int64_t same = -1;
        for (int64_t o = 0; o < b->n_cells; o++)
            if (memcmp(a->cells + c * a->cell_vertices, b->cells + o * a->cell_vertices,
                       (size_t)a->cell_vertices * sizeof *a->cells) == 0)
                same = o;
        cr_assert_geq(same, 0);
        cr_assert_str_eq(a->region_name[a->cell_region[c]], b->region_name[b->cell_region[same]]);
    }
    for (int64_t f = 0; f < a->n_faces; f++) {
        int64_t same = -1;
        for (int64_t o = 0; o < b->n_faces; o++)
            if (memcmp(a->faces + f * a->face_vertices, b->faces + o * a->face_vertices,
                       (size_t)a->face_vertices * sizeof *a->faces) == 0)
                same = o;
        cr_assert_geq(same, 0);
        cr_assert_str_eq(a->label_name[a->face_label[f]], b->label_name[b->face_label[same]]);
    }
}

Test(gmsh, files_of_every_flavour_give_the_mesh_that_was_written)
{
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        fem_mesh *m = named_box((fem_element)e), *back = NULL;
        int degree = fem_element_table[e].degree, label, region;
        for (int flavour = 0; flavour < 4; flavour++) {
            msh_write(scratch(), m, flavour & 1, flavour & 2);
            MUST(fem_mesh_from_gmsh(&back, path, degree));
            compare(m, back);
            MUST(fem_mesh_label(back, "inlet", &label));
            MUST(fem_mesh_region(back, "far", &region));
            cr_assert_geq(label, FEM_BOUNDARY_COUNT);
            cr_assert_eq(fem_mesh_label(back, "outlet", &label), FWM_INVALID);
            cr_assert(strstr(fwm_error_message(), "it has other, top, inlet"), "%s", fwm_error_message());
            cr_assert_eq(fem_mesh_region(back, "middle", &region), FWM_INVALID);
            cr_assert(strstr(fwm_error_message(), "near") && strstr(fwm_error_message(), "far"));
            fem_mesh_destroy(&back);
        }
        fem_mesh_destroy(&m);
    }
    unlink(path);
}

#define HEAD "$MeshFormat\n2.2 0 8\n$EndMeshFormat\n"
#define HEAD4 "$MeshFormat\n4.1 0 8\n$EndMeshFormat\n"
#define SQUARE "$Nodes\n4\n1 0 0 0\n2 1 0 0\n3 1 1 0\n4 0 1 0\n$EndNodes\n"

Test(gmsh, what_is_refused_is_named_with_its_line)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "not a gmsh file"},
        {"solid cube\n", "not a gmsh file"},
        {"$MeshFormat\n4.0 0 8\n$EndMeshFormat\n", "expected format 2.2 or 4.1, found 4"},
        {"$MeshFormat\n2.2 1 8\n\1\1\1\1\n$EndMeshFormat\n", "byte order"},
        {HEAD SQUARE, "found none"},
        {HEAD "$Nodes\n2\n1 0 0 0\n2 1 0 x\n", ":7: expected a coordinate of a node (a number), found x"},
        {HEAD "$Nodes\n400000000\n1 0 0 0\n", "the number of nodes: found 400000000"},
        {HEAD "$Nodes\n2\n1 0 0 0\n", "is it cut off"},
        {HEAD "$Nodes\n1\n1 0 nan 0\n$EndNodes\n", "not finite"},
        {HEAD SQUARE "$Elements\n1\n1 2 2 1 1 1 2 3\n", ":14: section $Elements: expected $EndElements"},
        {HEAD SQUARE "$Elements\n1\n1 9 2 1 1 1 2 3 4 1 2\n$EndElements\n",
         "triangles of second order (type 9): curved geometry"},
        {HEAD SQUARE "$Elements\n1\n1 6 2 1 1 1 2 3 4 1 2\n$EndElements\n", "prisms"},
        {HEAD SQUARE "$Elements\n1\n1 93 0 1 2 3\n$EndElements\n", "type 93"},
        {HEAD SQUARE "$Elements\n2\n1 2 0 1 2 3\n2 3 0 1 2 3 4\n$EndElements\n", "cells of one kind"},
        {HEAD SQUARE "$Elements\n1\n1 2 0 1 2 7\n$EndElements\n", "the 1-th of the triangles refers to node 7"},
        {HEAD SQUARE "$Elements\n1\n1 3 0 1 2 3 3\n$EndElements\n", "vertex 2 appears twice"},
        {HEAD SQUARE "$Elements\n1\n1 3 0 1 3 2 4\n$EndElements\n", "cell 0 has no area"},
        {HEAD SQUARE "$Elements\n2\n1 2 0 1 2 3\n2 2 0 2 3 4\n$EndElements\n", "cells 0 and 1 overlap"},
        {HEAD "$Nodes\n5\n1 0 0 0\n2 1 0 0\n3 1 1 0\n4 0 1 0\n5 2 1.5 0\n$EndNodes\n"
              "$Elements\n3\n1 2 0 1 2 3\n2 2 0 1 3 4\n3 2 0 1 3 5\n$EndElements\n",
         "3 cells meet at one face"},
        {HEAD SQUARE "$Elements\n3\n1 2 0 1 2 3\n2 2 0 1 3 4\n3 1 2 5 5 1 3\n$EndElements\n",
         "boundary '5': its face 0 (vertices 0, 2, ...) bounds no cell, or lies between two"},
        {HEAD SQUARE "$Elements\n2\n1 2 0 1 2 3\n2 1 2 5 5 4 3\n$EndElements\n",
         "boundary '5' holds node 4, which belongs to none"},
        {HEAD SQUARE "$Elements\n3\n1 2 0 1 2 3\n2 1 2 5 5 1 2\n3 1 2 6 6 1 2\n$EndElements\n",
         "belongs to '5' already"},
        {HEAD "$Nodes\n3\n1 0 0 0\n2 1 0 0\n3 1 1 2\n$EndNodes\n$Elements\n1\n1 2 0 1 2 3\n$EndElements\n",
         "from z = 0 to 2"},
        {HEAD "$Nodes\n2\n1 0 0 0\n1 1 0 0\n$EndNodes\n$Elements\n1\n1 2 0 1 2 3\n$EndElements\n",
         "two nodes have the tag 1"},
        {HEAD "$PhysicalNames\n1\n1 5 inlet\n$EndPhysicalNames\n", "expected a name in quotes"},
        {HEAD "$Periodic\n1\n", "the mesh is periodic"},
        {HEAD "$Comments\nno end\n", "expected $EndComments"},
        {HEAD4 "$Entities\n0 1 0 0\n1 0 0 0 1 1 0 2 4 5 0\n", "is in 2 physical groups"},
        {HEAD4 "$Nodes\n1 3 1 3\n2 1 0 4\n1\n2\n3\n4\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n", "the 3 of the section's head"},
        {HEAD4 "$PartitionedEntities\n", "one of several parts"},
    };
    fem_mesh *m = NULL;
    MUST(fwm_threads_init(1));
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        FILE *f = fopen(scratch(), "wb");
        fputs(bad[k].text, f);
        fclose(f);
        fwm_status status = fem_mesh_from_gmsh(&m, path, 1);
        cr_assert_eq(status, FWM_DATA, "%zu: %s", k, fwm_error_message());
        cr_assert(strstr(fwm_error_message(), bad[k].says) && strstr(fwm_error_message(), path), "%zu: %s", k,
                  fwm_error_message());
        cr_assert_null(m);
    }
    unlink(path);
    cr_assert_eq(fem_mesh_from_gmsh(&m, path, 1), FWM_IO);
    cr_assert(strstr(fwm_error_message(), path));
    cr_assert_eq(fem_mesh_from_gmsh(&m, path, 3), FWM_INVALID);
}

/* One byte, one number or the end of a good file is changed: the reader answers, with the path where it refuses. */
Test(gmsh, five_hundred_damaged_files_are_answered)
{
    enum { PER_FILE = 63 };
    static const fem_element cells[] = {FEM_P1, FEM_HEX_Q1};
    int refused = 0, tried = 0;
    for (int e = 0; e < 2; e++)
        for (int flavour = 0; flavour < 4; flavour++) {
            fem_mesh *m = named_box(cells[e]);
            msh_write(scratch(), m, flavour & 1, flavour & 2);
            fem_mesh_destroy(&m);
            FILE *f = fopen(path, "rb");
            static char text[1 << 16], broken[1 << 16];
            size_t size = fread(text, 1, sizeof text, f);
            fclose(f);
            cr_assert(size < sizeof text);
            for (uint32_t k = 0; k < PER_FILE; k++) {
                fwm_key key = {91, (uint32_t)(e * 4 + flavour)};
                size_t at = (size_t)(fwm_random_uniform(key, 0, k) * (double)size), end = k % 3 == 0 ? at : size;
                memcpy(broken, text, size);
                if (k % 3 == 1)
                    broken[at] = (char)(256 * fwm_random_uniform(key, 1, k));
                if (k % 3 == 2)
                    for (; at < size && broken[at] >= '0' && broken[at] <= '9'; at++)
                        broken[at] = '9';
                f = fopen(path, "wb");
                fwrite(broken, 1, end, f);
                fclose(f);
                tried++;
                if (fem_mesh_from_gmsh(&m, path, 1) != FWM_OK) {
                    refused++;
                    cr_assert(strstr(fwm_error_message(), path), "%s", fwm_error_message());
                    cr_assert_null(m);
                }
                fem_mesh_destroy(&m);
            }
        }
    unlink(path);
    cr_assert_gt(refused, tried / 3, "%d of %d", refused, tried);
}

/* Arrays with one entry changed: a vertex of a cell, a coordinate, the label of a face, a region. */
Test(gmsh, five_hundred_damaged_arrays_are_answered)
{
    enum { PER_ELEMENT = 63 };
    int refused = 0, tried = 0;
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        fem_mesh *good = named_box((fem_element)e), *m = NULL;
        int64_t entries = good->n_cells * good->cell_vertices, numbers = good->n_vertices * good->dim;
        int32_t *cells = malloc((size_t)entries * sizeof *cells),
                *region = malloc((size_t)good->n_cells * sizeof *region);
        int32_t *faces = malloc((size_t)(good->n_faces * good->face_vertices) * sizeof *faces);
        double *vertices = malloc((size_t)numbers * sizeof *vertices);
        for (uint32_t k = 0; k < PER_ELEMENT; k++) {
            fwm_key key = {92, (uint32_t)e};
            double where = fwm_random_uniform(key, 0, k), what = fwm_random_uniform(key, 1, k);
            memcpy(cells, good->cells, (size_t)entries * sizeof *cells);
            memcpy(region, good->cell_region, (size_t)good->n_cells * sizeof *region);
            memcpy(faces, good->faces, (size_t)(good->n_faces * good->face_vertices) * sizeof *faces);
            memcpy(vertices, good->vertices, (size_t)numbers * sizeof *vertices);
            int64_t entry = (int64_t)(where * (double)entries), number = (int64_t)(where * (double)numbers);
            switch (k % 7) {
            case 0: /* any vertex, in range or just out of it */
                cells[entry] = (int32_t)(what * (double)(good->n_vertices + 8)) - 4;
                break;
            case 1:
                cells[entry] = what < 0.5 ? INT32_MIN : INT32_MAX;
                break;
            case 2: /* swapped within the cell: inverted or folded */
                cells[entry] = good->cells[entry / good->cell_vertices * good->cell_vertices];
                cells[entry / good->cell_vertices * good->cell_vertices] = good->cells[entry];
                break;
            case 3: /* far away: inverts or flattens the cells around it */
                vertices[number] = (what - 0.5) * 20;
                break;
            case 4:
                vertices[number] = what < 0.3 ? NAN : what < 0.6 ? INFINITY : 1e308;
                break;
            case 5:
                region[(int64_t)(where * (double)good->n_cells)] = what < 0.5 ? -1 : 2;
                break;
            default:
                faces[(int64_t)(where * (double)(good->n_faces * good->face_vertices))] = (int32_t)(what * 1e9) - 5;
                break;
            }
            tried++;
            refused +=
                fem_mesh_build(&m, &(fem_mesh_arrays){.element = (fem_element)e,
                                                      .n_vertices = good->n_vertices,
                                                      .n_cells = good->n_cells,
                                                      .vertices = vertices,
                                                      .cells = cells,
                                                      .n_boundaries = 1,
                                                      .boundary = &(fem_named_faces){"wall", good->n_faces, faces},
                                                      .n_regions = 2,
                                                      .region_name = (const char *const[]){"near", "far"},
                                                      .cell_region = region}) != FWM_OK;
            cr_assert(m || strncmp(fwm_error_message(), "mesh: ", 6) == 0 ||
                          strncmp(fwm_error_message(), "PETSc: ", 7) == 0,
                      "%s", fwm_error_message());
            fem_mesh_destroy(&m);
        }
        free(cells);
        free(region);
        free(faces);
        free(vertices);
        fem_mesh_destroy(&good);
    }
    cr_assert_gt(refused, tried / 2, "%d of %d", refused, tried);
}
