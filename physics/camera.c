/* From a field to a frame: interpolation at pixel centres, a colour map, darker corners, noise. A deformed body is
 * drawn in the reference configuration, value beside mask, and moved before it is coloured. */
#include "physics/simulate_impl.h"

#include "model/base/arena.h"
#include "model/base/colours.h"
#include "model/base/threads.h"

#include <math.h>
#include <omp.h>

enum { CHANNELS = FWM_COLOUR_CHANNELS };
enum { MOVED = 2, DRAWN = 2 * MOVED + 2 }; /* value and mask; they before and after, and the displacement */

/* The camera of deformed bodies: it looks beyond the mesh's box. */
static fwm_status watch_body(fem_simulation *s)
{
    const fem_simulate_spec *spec = &s->spec;
    const size_t pixels = (size_t)(spec->height * spec->width), threads = (size_t)fwm_threads_count();
    const fem_view view = fem_view_around(s->mesh, spec->margin);
    const fem_warp_spec warp = {.height = spec->height,
                                .width = spec->width,
                                .channels = MOVED,
                                .lower = {view.lower[0], view.lower[1]},
                                .upper = {view.upper[0], view.upper[1]}};
    s->moved = fwm_malloc(threads * pixels * DRAWN, sizeof *s->moved);
    FWM_CHECK(s->moved, FWM_MEMORY, "out of memory for %zu pictures", threads);
    FWM_TRY(fem_warp_create(&s->warp, &warp, 1));
    return fem_view_render(&s->render, s->mesh, &view, spec->height, spec->width, -1, s->mask);
}

fwm_status fem_camera_create(fem_simulation *s)
{
    int64_t h = s->spec.height, w = s->spec.width;
    s->mask = fwm_malloc((size_t)(h * w), sizeof *s->mask);
    s->light = fwm_malloc((size_t)(h * w), sizeof *s->light);
    FWM_CHECK(s->mask && s->light, FWM_MEMORY, "out of memory for %lldx%lld pixels", (long long)h, (long long)w);
    const double *lo = s->mesh->lower, *hi = s->mesh->upper, *margin = s->spec.margin;
    const int across = s->mesh->dim == 3 ? s->spec.cut.axis : 2, right = across == 0, up = across == 2 ? 1 : 2;
    double lx = hi[right] - lo[right] + 2 * margin[0], ly = hi[up] - lo[up] + 2 * margin[1], longer = fmax(lx, ly);
    for (int64_t i = 0; i < h; i++)
        for (int64_t j = 0; j < w; j++) {
            double x = lx / longer * (((double)j + 0.5) / (double)w - 0.5),
                   y = ly / longer * (((double)i + 0.5) / (double)h - 0.5);
            s->light[i * w + j] = fmax(0, 1 - s->spec.vignetting * (x * x + y * y));
        }
    if (s->spec.deformed)
        return watch_body(s);
    return s->mesh->dim == 3 ? fem_cut_render(&s->render, s->mesh, &s->spec.cut, h, w, -1, s->mask)
                             : fem_render(&s->render, s->mesh, h, w, s->mask);
}

/* A component at a pixel. */
static double value_at(const fem_simulation *s, const float *field, int64_t pixel, int component)
{
    const fem_csr *m = s->render;
    double u = 0;
    for (int64_t e = m->row_start[pixel]; e < m->row_start[pixel + 1]; e++)
        u += m->weight[e] * (double)field[m->column[e] * s->components + component];
    return u;
}

/* What is shown at a pixel: a component, or the magnitude of a vector. */
static double shown_at(const fem_simulation *s, const float *field, int64_t pixel)
{
    double u = 0, square = 0;
    for (int k = 0; k < s->shown_count; k++, square += u * u)
        u = value_at(s, field, pixel, s->shown + k);
    return s->shown_count == 1 ? u : sqrt(square);
}

static void colour(const fem_simulation *s, int64_t pixel, double value, double mask, const float *noise,
                   uint8_t *frame)
{
    double rgb[CHANNELS];
    fwm_colour((value - s->spec.shown.lo) / (s->spec.shown.hi - s->spec.shown.lo), rgb);
    for (int c = 0; c < CHANNELS; c++) {
        double v = rgb[c] * s->light[pixel] * mask + (noise ? s->spec.noise * (double)noise[pixel * CHANNELS + c] : 0);
        v = v > 0 ? v < 1 ? v : 1 : 0;
        frame[pixel * CHANNELS + c] = (uint8_t)(255 * v + 0.5);
    }
}

static fwm_status shoot_body(const fem_simulation *s, const float *field, const float *noise, uint8_t *frame)
{
    const int64_t pixels = s->render->rows;
    double *drawn = s->moved + (int64_t)omp_get_thread_num() * pixels * DRAWN, *moved = drawn + MOVED * pixels,
           *displacement = moved + MOVED * pixels;
    for (int64_t p = 0; p < pixels; p++) {
        drawn[MOVED * p] = shown_at(s, field, p);
        drawn[MOVED * p + 1] = s->mask[p];
        for (int d = 0; d < 2; d++)
            displacement[2 * p + d] = value_at(s, field, p, s->displacement + d);
    }
    FWM_TRY(fem_warp_apply(s->warp, AD_F64, moved, drawn, displacement));
    for (int64_t p = 0; p < pixels; p++)
        colour(s, p, moved[MOVED * p], moved[MOVED * p + 1], noise, frame);
    return FWM_OK;
}

fwm_status fem_camera_shoot(const fem_simulation *s, const float *field, const float *noise, uint8_t *frame)
{
    if (s->spec.deformed)
        return shoot_body(s, field, noise, frame);
    for (int64_t p = 0; p < s->render->rows; p++)
        colour(s, p, shown_at(s, field, p), s->mask[p], noise, frame);
    return FWM_OK;
}
