#include "data/toys.h"

#include "data/writer.h"
#include "model/base/arena.h"
#include "model/base/random.h"

#include <math.h>
#include <string.h>

enum { MAX_DIMENSIONS = 64, STREAM_POINT = 0x746f7973, STREAM_MAP = 0x656d6264, GAUSSIANS = 8 };

static double uniform(const ds_toy_options *o, int64_t index, uint32_t k)
{
    return fwm_random_uniform((fwm_key){o->seed, STREAM_POINT}, (uint64_t)index, k);
}

static double normal(const ds_toy_options *o, int64_t index, uint32_t k)
{
    return fwm_random_normal((fwm_key){o->seed, STREAM_POINT + 1}, (uint64_t)index, k);
}

static int64_t draw_disc(const ds_toy_options *o, int64_t i, double y[2])
{
    bool left = uniform(o, i, 0) < o->share;
    double radius = 0.4 * sqrt(uniform(o, i, 1)), angle = 2 * M_PI * uniform(o, i, 2);
    y[0] = (left ? -1 : 1) + radius * cos(angle);
    y[1] = radius * sin(angle);
    return left ? 0 : 1;
}

static int64_t draw_moon(const ds_toy_options *o, int64_t i, double y[2])
{
    bool upper = uniform(o, i, 0) < 0.5;
    double t = M_PI * uniform(o, i, 1);
    y[0] = (upper ? cos(t) : 1 - cos(t)) - 0.5 + 0.05 * normal(o, i, 0);
    y[1] = (upper ? sin(t) : 0.5 - sin(t)) - 0.25 + 0.05 * normal(o, i, 1);
    return upper ? 1 : 0;
}

static int64_t draw_gaussian(const ds_toy_options *o, int64_t i, double *y)
{
    int64_t k = (int64_t)(GAUSSIANS * uniform(o, i, 0)), d = o->dimensions;
    double square = 0, centre[MAX_DIMENSIONS];
    for (int64_t c = 0; c < d; c++) {
        double angle = 2 * M_PI * (double)k / GAUSSIANS;
        centre[c] = d == 2 ? (c ? sin(angle) : cos(angle))
                           : fwm_random_normal((fwm_key){1, STREAM_MAP}, (uint64_t)k, (uint32_t)c);
        square += centre[c] * centre[c];
    }
    for (int64_t c = 0; c < d; c++)
        y[c] = centre[c] * (d == 2 ? 1 : 2) / sqrt(square) + 0.1 * normal(o, i, (uint32_t)c);
    return k;
}

/* Classical Runge-Kutta, 180 steps of .05. */
static void duffing(double u[2])
{
    const double dt = 0.05;
    for (int n = 0; n < 180; n++) {
        double k[4][2], at[2] = {u[0], u[1]};
        for (int s = 0; s < 4; s++) {
            k[s][0] = at[1];
            k[s][1] = at[0] - at[0] * at[0] * at[0] - 0.6 * at[1];
            for (int c = 0; c < 2; c++)
                at[c] = u[c] + dt * (s < 2 ? 0.5 : 1) * k[s][c];
        }
        for (int c = 0; c < 2; c++)
            u[c] += dt / 6 * (k[0][c] + 2 * k[1][c] + 2 * k[2][c] + k[3][c]);
    }
}

/* Two orthonormal directions of R^d, by Gram and Schmidt. */
static void embedding(int64_t d, double map[2][MAX_DIMENSIONS])
{
    for (int r = 0; r < 2; r++) {
        double inner = 0, square = 0;
        for (int64_t c = 0; c < d; c++)
            map[r][c] = fwm_random_normal((fwm_key){2, STREAM_MAP}, (uint64_t)r, (uint32_t)c);
        for (int64_t c = 0; r > 0 && c < d; c++)
            inner += map[0][c] * map[1][c];
        for (int64_t c = 0; c < d; c++) {
            map[r][c] -= r > 0 ? inner * map[0][c] : 0;
            square += map[r][c] * map[r][c];
        }
        for (int64_t c = 0; c < d; c++)
            map[r][c] /= sqrt(square);
    }
}

static int64_t draw_duffing(const ds_toy_options *o, int64_t i, double *x, double *y)
{
    double from[2], to[2], map[2][MAX_DIMENSIONS];
    for (uint32_t c = 0; c < 2; c++) {
        from[c] = 4 * uniform(o, i, c) - 2;
        to[c] = from[c] + 0.15 * normal(o, i, c);
    }
    duffing(to);
    if (o->dimensions > 2)
        embedding(o->dimensions, map);
    for (int64_t c = 0; c < o->dimensions; c++) {
        x[c] = o->dimensions == 2 ? from[c] : from[0] * map[0][c] + from[1] * map[1][c];
        y[c] = o->dimensions == 2 ? to[c] : to[0] * map[0][c] + to[1] * map[1][c];
        if (o->dimensions > 2) {
            x[c] += 0.02 * normal(o, i, (uint32_t)(2 + 2 * c));
            y[c] += 0.02 * normal(o, i, (uint32_t)(3 + 2 * c));
        }
    }
    return to[0] > 0;
}

bool ds_toy_is_paired(ds_toy toy)
{
    return toy == DS_TOY_DUFFING;
}

int64_t ds_toy_components(ds_toy toy)
{
    return toy == DS_TOY_GAUSSIANS ? GAUSSIANS : toy == DS_TOY_LINE ? 1 : 2;
}

int64_t ds_toy_draw(const ds_toy_options *o, int64_t i, float *x, float *y)
{
    double from[MAX_DIMENSIONS] = {0}, to[MAX_DIMENSIONS] = {0};
    int64_t component = 0;
    switch (o->toy) {
    case DS_TOY_DISCS:
        component = draw_disc(o, i, to);
        break;
    case DS_TOY_MOONS:
        component = draw_moon(o, i, to);
        break;
    case DS_TOY_GAUSSIANS:
        component = draw_gaussian(o, i, to);
        break;
    case DS_TOY_LINE:
        to[0] = 2 * uniform(o, i, 0) - 1;
        to[1] = 0.5 * uniform(o, i, 1) - 0.25;
        break;
    case DS_TOY_DUFFING:
        component = draw_duffing(o, i, from, to);
        break;
    }
    for (int64_t c = 0; c < o->dimensions; c++) {
        y[c] = (float)to[c];
        if (x)
            x[c] = (float)from[c];
    }
    return component;
}

static fwm_status check(const ds_toy_options *o)
{
    bool wide = o->toy == DS_TOY_GAUSSIANS || o->toy == DS_TOY_DUFFING;
    FWM_CHECK(o->dimensions >= 2 && o->dimensions <= (wide ? MAX_DIMENSIONS : 2), FWM_INVALID,
              "toy: expected 2 to %d dimensions, found %lld", wide ? MAX_DIMENSIONS : 2, (long long)o->dimensions);
    FWM_CHECK(o->share > 0 && o->share < 1, FWM_INVALID, "toy: expected a share between 0 and 1, found %g", o->share);
    return FWM_OK;
}

static fwm_status put_all(const ds_toy_options *o, ds_writer *writer, int64_t total)
{
    float clip[2 * MAX_DIMENSIONS], component;
    bool paired = ds_toy_is_paired(o->toy);
    for (int64_t i = 0; i < total; i++) {
        float *y = clip + (paired ? o->dimensions : 0);
        component = (float)ds_toy_draw(o, i, paired ? clip : NULL, y);
        FWM_TRY(ds_writer_put(writer, i, &(ds_trajectory){.state = clip, .parameters = &component}));
    }
    return FWM_OK;
}

fwm_status ds_toy_write(const ds_toy_options *o, const char *path)
{
    static const char *const component[] = {"component"}, *const none[] = {""};
    int64_t total = 0;
    FWM_TRY(check(o));
    for (int s = 0; s < DS_SPLITS; s++)
        total += o->count[s];
    uint8_t *split = fwm_malloc((size_t)total + 1, 1);
    FWM_CHECK(split, FWM_MEMORY, "toy: out of memory");
    for (int64_t i = 0, s = 0, left = o->count[0]; i < total; i++, left--) {
        while (left == 0)
            left = o->count[++s];
        split[i] = (uint8_t)s;
    }
    ds_info info = {.name = o->name,
                    .equation = "none",
                    .generator = o->generator,
                    .config = o->config,
                    .dt = 1,
                    .seed = (int64_t)o->seed,
                    .trajectories = total,
                    .steps = ds_toy_is_paired(o->toy) ? 2 : 1,
                    .splits = split,
                    .parameters = 1,
                    .parameter_names = component,
                    .parameter_units = none};
    info.fields[DS_STATE] = (ds_field_info){.points = 1, .channels = o->dimensions};
    ds_writer *writer = NULL;
    fwm_status status = ds_writer_create(&writer, path, &info, NULL);
    if (status == FWM_OK)
        status = put_all(o, writer, total);
    if (status == FWM_OK)
        status = ds_writer_finish(&writer);
    ds_writer_abort(&writer);
    fwm_free(split);
    return status;
}
