/* What fem_mesh_from_gmsh makes of a file, as one JSON object: program_read_mesh FILE DEGREE */
#include "model/base/threads.h"
#include "physics/gmsh.h"

#include <stdio.h>
#include <stdlib.h>

static void print_names(const fem_mesh *m)
{
    double measure[FEM_MAX_NAMES] = {0};
    int64_t faces[FEM_MAX_NAMES] = {0};
    for (int64_t c = 0; c < m->n_cells; c++)
        measure[m->cell_region[c]] += m->cell_area[c];
    for (int64_t f = 0; f < m->n_faces; f++)
        faces[m->face_label[f]]++;
    printf("\"regions\": {");
    for (int k = 0; k < m->n_regions; k++)
        printf("%s\"%s\": %.17g", k > 0 ? ", " : "", m->region_name[k], measure[k]);
    printf("}, \"boundaries\": {");
    const char *comma = "";
    for (int k = 0; k < m->n_labels; k++)
        if (faces[k] > 0) {
            printf("%s\"%s\": %lld", comma, m->label_name[k], (long long)faces[k]);
            comma = ", ";
        }
    printf("}");
}

int main(int argc, char **argv)
{
    fem_mesh *m = NULL;
    if (argc != 3 || fwm_threads_init(1) != FWM_OK ||
        fem_mesh_from_gmsh(&m, argv[1], (int)strtol(argv[2], NULL, 10)) != FWM_OK) {
        fprintf(stderr, "program_read_mesh: %s\n", argc != 3 ? "expected FILE DEGREE" : fwm_error_message());
        return 1;
    }
    printf("{\"cell\": \"%s\", \"space\": \"%s\", \"cells\": %lld, \"vertices\": %lld, \"nodes\": %lld, "
           "\"measure\": %.17g, ",
           fem_element_cell(m->element), fem_element_space(m->element), (long long)m->n_cells, (long long)m->n_vertices,
           (long long)m->n_nodes, m->area);
    print_names(m);
    printf("}\n");
    fem_mesh_destroy(&m);
    fem_finalize();
    return 0;
}
