/* Densities of the sources at the cells' quadrature points, for forms that read them: a consistent stabilisation tests
 * the strong residual, sources included. */
#include "physics/problem_impl.h"

#include "model/base/arena.h"

#include <math.h>

/* Q q(x) of a source in the domain; 0 outside a square. */
static double density_at(const fem_source *s, int dim, const double *x)
{
    if (s->density)
        return s->power * s->density(x, s->context);
    const double centre[2] = {s->x, s->y};
    for (int d = 0; d < 2 && d < dim; d++)
        if (!(fabs(x[d] - centre[d]) < s->half_width))
            return 0;
    return s->power;
}

/* One pass over all points: counts the entries, or writes them where there is room. */
static int64_t collect(const fem_problem *p, const int *component, fem_points_room *room)
{
    const fem_mesh *mesh = p->mesh;
    const double *x = mesh->impl->tables[AD_F64].point;
    int64_t n = 0, points = mesh->n_cells * mesh->impl->n_points;
    for (int64_t k = 0; k < points; k++) {
        if (room->start)
            room->start[k] = (int32_t)n;
        for (int j = 0; j < p->n_sources; j++) {
            double q = p->spec.source[j].boundary ? 0 : density_at(&p->spec.source[j], mesh->dim, x + k * mesh->dim);
            if (q == 0)
                continue;
            if (room->start) {
                room->action[n] = j;
                room->component[n] = component[j];
                room->density[n] = q;
                room->density_f32[n] = (float)q;
            }
            n++;
        }
    }
    if (room->start)
        room->start[points] = (int32_t)n;
    return n;
}

fwm_status fem_point_sources_create(fem_problem *p)
{
    int component[FEM_MAX_ACTIONS] = {0}, count = 1;
    fem_points_room *room = &p->points_room;
    if (!p->form[AD_F64]->strong)
        return FWM_OK;
    for (int j = 0; j < p->n_sources; j++)
        if (p->spec.source[j].field)
            FWM_TRY(fem_equation_component(p->equation, p->mesh->dim, p->spec.source[j].field, &component[j], &count));
    const int64_t entries = collect(p, component, room), points = p->mesh->n_cells * p->mesh->impl->n_points;
    FWM_CHECK(entries < INT32_MAX, FWM_INVALID, "problem: %lld densities of sources at quadrature points are too many",
              (long long)entries);
    room->action = fwm_malloc((size_t)entries + 1, sizeof *room->action);
    room->component = fwm_malloc((size_t)entries + 1, sizeof *room->component);
    room->density = fwm_malloc((size_t)entries + 1, sizeof *room->density);
    room->density_f32 = fwm_malloc((size_t)entries + 1, sizeof *room->density_f32);
    room->start = fwm_malloc((size_t)points + 1, sizeof *room->start);
    FWM_CHECK(room->start && room->action && room->component && room->density && room->density_f32, FWM_MEMORY,
              "out of memory for the sources of %lld points", (long long)points);
    collect(p, component, room);
    const fem_point_sources sources = {.start = room->start, .action = room->action, .component = room->component};
    p->point_sources[AD_F32] = p->point_sources[AD_F64] = sources;
    p->point_sources[AD_F32].density = room->density_f32;
    p->point_sources[AD_F64].density = room->density;
    return FWM_OK;
}

void fem_point_sources_destroy(fem_problem *p)
{
    fwm_free(p->points_room.start);
    fwm_free(p->points_room.action);
    fwm_free(p->points_room.component);
    fwm_free(p->points_room.density);
    fwm_free(p->points_room.density_f32);
}
