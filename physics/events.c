#include "physics/events.h"

#include <math.h>

double fem_event_crossing(const fem_mesh *mesh, const float *u1, const float *u0, double dt, int components, int c,
                          double level)
{
    double changed = 0;
    for (int64_t i = 0; i < mesh->n_nodes; i++) {
        const double after = (double)u1[i * components + c], before = (double)u0[i * components + c];
        if ((after > level) != (before > level))
            changed += mesh->lumped[i];
    }
    return changed / (mesh->area * dt);
}

double fem_event_relative(const fem_mesh *mesh, const float *u1, const float *u0, double dt, int components, int first,
                          int width)
{
    double change = 0, after = 0, before = 0;
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        for (int c = first; c < first + width; c++) {
            const double x = (double)u1[i * components + c], y = (double)u0[i * components + c];
            change += mesh->lumped[i] * (x - y) * (x - y);
            after += mesh->lumped[i] * x * x;
            before += mesh->lumped[i] * y * y;
        }
    return change > 0 ? sqrt(change / fmax(after, before)) / dt : 0;
}
