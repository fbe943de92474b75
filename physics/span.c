#include "physics/span.h"

#include <math.h>

double fem_parabola(const double *x, void *span)
{
    const fem_span *p = span;
    const double s = (x[p->axis] - p->lo) / (p->hi - p->lo);
    return 4 * s * (1 - s);
}

static void measure(fem_span *span, const fem_mesh *mesh, int label)
{
    double lo[FEM_MAX_DIM], hi[FEM_MAX_DIM];
    for (int d = 0; d < mesh->dim; d++) {
        lo[d] = INFINITY;
        hi[d] = -INFINITY;
    }
    for (int64_t i = 0; i < mesh->n_faces * mesh->face_vertices; i++)
        for (int d = 0; d < mesh->dim && mesh->face_label[i / mesh->face_vertices] == label; d++) {
            const double x = mesh->vertices[(int64_t)mesh->faces[i] * mesh->dim + d];
            lo[d] = fmin(lo[d], x);
            hi[d] = fmax(hi[d], x);
        }
    *span = (fem_span){0, lo[0], hi[0]};
    for (int d = 1; d < mesh->dim; d++)
        if (hi[d] - lo[d] > span->hi - span->lo)
            *span = (fem_span){d, lo[d], hi[d]};
}

fwm_status fem_conditions_shape(fem_condition *condition, fem_span *span, const bool *parabolic, int count,
                                const fem_mesh *mesh)
{
    for (int k = 0; k < count; k++) {
        int label;
        condition[k].profile = NULL;
        condition[k].context = NULL;
        if (!parabolic[k])
            continue;
        FWM_TRY(fem_mesh_label(mesh, condition[k].boundary, &label));
        measure(&span[k], mesh, label);
        FWM_CHECK(span[k].hi > span[k].lo, FWM_INVALID, "condition on %s: expected a boundary with faces",
                  condition[k].boundary);
        condition[k].profile = fem_parabola;
        condition[k].context = &span[k];
    }
    return FWM_OK;
}

fwm_status fem_conditions_lay(double *u, const fem_condition *condition, int count, const fem_equation *equation,
                              const fem_mesh *mesh, const double *a, int actions)
{
    const int c_n = fem_equation_components(equation, mesh->dim), k_n = mesh->face_node_count;
    int driven = 0, at = 0;
    for (int k = 0; k < count; k++)
        driven += condition[k].driven;
    for (int k = 0; k < count; k++) {
        const fem_condition *q = &condition[k];
        int first, width, label;
        const double by = q->driven ? a[actions - driven + at++] : 1;
        if (!q->field)
            continue;
        FWM_TRY(fem_equation_component(equation, mesh->dim, q->field, &first, &width));
        FWM_TRY(fem_mesh_label(mesh, q->boundary, &label));
        for (int64_t i = 0; i < mesh->n_faces * k_n; i++) {
            if (mesh->face_label[i / k_n] != label)
                continue;
            const int64_t node = mesh->face_nodes[i];
            const double *x = mesh->nodes + node * mesh->dim;
            for (int c = first; c < first + width; c++)
                u[node * c_n + c] = q->constant + q->gain * by * (q->profile ? q->profile(x, q->context) : 1);
        }
    }
    return FWM_OK;
}
