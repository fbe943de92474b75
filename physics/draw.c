/* Random starts and schedules of actions, each draw named by (seed, stream, trajectory, index). */
#include "physics/simulate_impl.h"

#include <math.h>

enum { FEATURES = 128 };
enum { DRAW_CORRELATION = 1, DRAW_DEVIATION, DRAW_MEAN, DRAW_BLOBS, DRAW_BLOB = 8 }; /* four for each blob */

static double within(fem_range r, double uniform)
{
    return r.lo + (r.hi - r.lo) * uniform;
}

static void draw_ambient(const fem_simulation *s, int split, int64_t index, double *ambient)
{
    const fem_simulate_spec *spec = &s->spec;
    const fem_range range = split == FEM_TEST_OOD ? spec->ambient_ood : spec->ambient;
    for (int k = 0; k < s->equation->n_ambient; k++) {
        const fwm_key key = {spec->seed, k == 0 ? FEM_STREAM_START : FEM_STREAM_AMBIENT};
        const double uniform = fwm_random_uniform(key, fem_trajectory_key(split, index), (uint32_t)k);
        ambient[k] = spec->ambient_control == FEM_CONSTANT ? within(range, uniform) : 0;
    }
}

/* One component's start, in steps of `stride`. Its draws are counted from `base`, so that components have their own. */
static void draw_component(const fem_simulation *s, uint64_t step, const fem_start *x, uint32_t base, double above,
                           double *u, int64_t stride)
{
    const fwm_key key = {s->spec.seed, FEM_STREAM_START}, features = {s->spec.seed, FEM_STREAM_FEATURES},
                  depth = {s->spec.seed, FEM_STREAM_DEPTH};
    const double length = within(x->correlation, fwm_random_uniform(key, step, base + DRAW_CORRELATION)),
                 deviation = within(x->deviation, fwm_random_uniform(key, step, base + DRAW_DEVIATION)),
                 mean = above + within(x->mean, fwm_random_uniform(key, step, base + DRAW_MEAN));
    /* sigma / sqrt(N) sum_k xi_k cos(w_k x) + eta_k sin(w_k x), w ~ N(0, 1/l^2): covariance sigma^2 exp(-r^2/(2 l^2)).
     */
    const double scale = deviation / sqrt((double)FEATURES);
    const int64_t n = s->mesh->n_nodes, dim = s->mesh->dim;
    for (int64_t i = 0; i < n; i++)
        u[i * stride] = mean;
    for (uint32_t k = 0; k < FEATURES && scale > 0; k++) {
        const uint32_t draw = base + 4 * k;
        double wx = fwm_random_normal(features, step, draw) / length,
               wy = fwm_random_normal(features, step, draw + 1) / length,
               wz = dim == 3 ? fwm_random_normal(depth, step, draw) / length : 0;
        double xi = scale * fwm_random_normal(features, step, draw + 2),
               eta = scale * fwm_random_normal(features, step, draw + 3);
        for (int64_t i = 0; i < n; i++) {
            double sine, cosine;
            const double *at = s->mesh->nodes + dim * i;
            sincos(wx * at[0] + wy * at[1] + (dim == 3 ? wz * at[2] : 0), &sine, &cosine);
            u[i * stride] += xi * cosine + eta * sine;
        }
    }
}

/* The difference a - b along an axis; on a periodic one the shorter way round. */
static double apart(const fem_mesh *mesh, int axis, double a, double b)
{
    const double d = fabs(a - b), side = mesh->upper[axis] - mesh->lower[axis];
    return mesh->periodic[axis] && d > side / 2 ? side - d : d;
}

static void add_blobs(const fem_simulation *s, uint64_t step, const fem_start *x, uint32_t base, double *u,
                      int64_t stride)
{
    const fem_mesh *mesh = s->mesh;
    const fwm_key key = {s->spec.seed, FEM_STREAM_START}, depth = {s->spec.seed, FEM_STREAM_DEPTH};
    const double span = (double)(x->blobs_hi - x->blobs_lo + 1);
    const int64_t count = x->blobs_lo + (int64_t)(span * fwm_random_uniform(key, step, base + DRAW_BLOBS));
    for (int64_t b = 0; b < count; b++) {
        const uint32_t draw = base + DRAW_BLOB + 4 * (uint32_t)b;
        const double value = within(x->blob_value, fwm_random_uniform(key, step, draw)),
                     radius = within(x->blob_radius, fwm_random_uniform(key, step, draw + 1));
        double centre[FEM_MAX_DIM];
        for (int d = 0; d < mesh->dim; d++) {
            const double share = d < 2 ? fwm_random_uniform(key, step, draw + 2 + (uint32_t)d)
                                       : fwm_random_uniform(depth, step, draw | 1u << 15);
            centre[d] = mesh->lower[d] + (mesh->upper[d] - mesh->lower[d]) * share;
        }
        for (int64_t i = 0; i < mesh->n_nodes; i++) {
            double square = 0;
            for (int d = 0; d < mesh->dim; d++) {
                const double way = apart(mesh, d, mesh->nodes[mesh->dim * i + d], centre[d]);
                square += way * way;
            }
            u[i * stride] += value * exp(-square / (2 * radius * radius));
        }
    }
}

void fem_draw_start(const fem_simulation *s, int split, int64_t index, double *u, double *ambient)
{
    const fem_simulate_spec *spec = &s->spec;
    const uint64_t step = fem_trajectory_key(split, index);
    const int64_t c_n = s->components;
    draw_ambient(s, split, index, ambient);
    for (int64_t i = 0; i < s->mesh->n_nodes * c_n; i++)
        u[i] = 0;
    if (spec->n_starts == 0) {
        const fem_start one = {.mean = spec->offset, .deviation = spec->deviation, .correlation = spec->correlation};
        draw_component(s, step, &one, 0, ambient[0], u, c_n);
    }
    for (int k = 0; k < spec->n_starts; k++) {
        for (int c = s->start_first[k]; c < s->start_first[k] + s->start_count[k]; c++) {
            const uint32_t base = (uint32_t)c << 16;
            draw_component(s, step, &spec->start[k], base, 0, u + c, c_n);
            add_blobs(s, step, &spec->start[k], base, u + c, c_n);
        }
    }
}

/* One action's schedule: pieces of random length, each on or off, drawn as numbers 4 p, 4 p + 1, 4 p + 2 of it. */
typedef struct schedule {
    fwm_key key;
    uint64_t step;
    uint32_t base;
    fem_range range;
} schedule;

static double value_of_piece(const fem_simulate_spec *spec, const schedule *d, uint32_t piece)
{
    uint32_t draw = d->base | piece << 2;
    bool on = fwm_random_uniform(d->key, d->step, draw + 1) < spec->power_probability;
    return on ? within(d->range, fwm_random_uniform(d->key, d->step, draw + 2)) : 0;
}

static void draw_schedule(const fem_simulate_spec *spec, const schedule *d, bool smooth, float *column, int64_t stride)
{
    int64_t t = 0;
    for (uint32_t piece = 0; t < spec->frames; piece++) {
        int64_t span = spec->hold_hi - spec->hold_lo + 1;
        int64_t length =
            spec->hold_lo + (int64_t)(fwm_random_uniform(d->key, d->step, d->base | piece << 2) * (double)span);
        double value = value_of_piece(spec, d, piece), next = smooth ? value_of_piece(spec, d, piece + 1) : value;
        for (int64_t k = 0; k < length && t < spec->frames; k++, t++) {
            double way = (1 - cos(M_PI * (double)k / (double)length)) / 2;
            column[t * stride] = (float)(value + (next - value) * way);
        }
    }
}

void fem_draw_actions(const fem_simulation *s, int split, int64_t index, const double *ambient, float *actions)
{
    const fem_simulate_spec *spec = &s->spec;
    const bool ood = split == FEM_TEST_OOD;
    schedule d = {.key = {spec->seed, FEM_STREAM_POWER},
                  .step = fem_trajectory_key(split, index),
                  .range = ood ? spec->power_ood : spec->power};
    for (int k = 0; k < spec->n_sources; k++) {
        d.base = (uint32_t)k << 24;
        draw_schedule(spec, &d, spec->control == FEM_SMOOTH, actions + k, s->n_actions);
    }
    d.key.stream = FEM_STREAM_AMBIENT;
    d.range = ood ? spec->ambient_ood : spec->ambient;
    for (int k = 0; k < s->equation->n_ambient; k++) {
        float *column = actions + spec->n_sources + k;
        d.base = (uint32_t)(k + 1) << 24;
        if (spec->ambient_control != FEM_CONSTANT)
            draw_schedule(spec, &d, spec->ambient_control == FEM_SMOOTH, column, s->n_actions);
        for (int64_t t = 0; spec->ambient_control == FEM_CONSTANT && t < spec->frames; t++)
            column[t * s->n_actions] = (float)ambient[k];
    }
    d.key.stream = FEM_STREAM_DRIVEN;
    d.range = ood ? spec->power_ood : spec->power;
    for (int k = 0, at = spec->n_sources + s->equation->n_ambient; k < spec->n_conditions; k++) {
        if (!spec->condition[k].driven)
            continue;
        d.base = (uint32_t)k << 24;
        draw_schedule(spec, &d, spec->control == FEM_SMOOTH, actions + at++, s->n_actions);
    }
}
