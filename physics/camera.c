/* From a field to a frame: interpolation at pixel centres, a colour map, darker corners, noise. */
#include "physics/simulate_impl.h"

#include "model/base/arena.h"
#include "model/base/colours.h"

#include <math.h>

enum { CHANNELS = FWM_COLOUR_CHANNELS };

fwm_status fem_camera_create(fem_simulation *s)
{
    int64_t h = s->spec.height, w = s->spec.width;
    s->mask = fwm_malloc((size_t)(h * w), sizeof *s->mask);
    s->light = fwm_malloc((size_t)(h * w), sizeof *s->light);
    FWM_CHECK(s->mask && s->light, FWM_MEMORY, "out of memory for %lldx%lld pixels", (long long)h, (long long)w);
    const double *lo = s->mesh->lower, *hi = s->mesh->upper;
    double longer = fmax(hi[0] - lo[0], hi[1] - lo[1]), dx = (hi[0] - lo[0]) / longer, dy = (hi[1] - lo[1]) / longer;
    for (int64_t i = 0; i < h; i++)
        for (int64_t j = 0; j < w; j++) {
            double x = dx * (((double)j + 0.5) / (double)w - 0.5), y = dy * (((double)i + 0.5) / (double)h - 0.5);
            s->light[i * w + j] = fmax(0, 1 - s->spec.vignetting * (x * x + y * y));
        }
    return fem_render(&s->render, s->mesh, h, w, s->mask);
}

void fem_camera_shoot(const fem_simulation *s, const float *field, const float *noise, uint8_t *frame)
{
    const fem_csr *m = s->render;
    const int64_t fields = s->components;
    for (int64_t p = 0; p < m->rows; p++) {
        double u = 0, square = 0, rgb[CHANNELS];
        for (int k = 0; k < s->shown_count; k++, square += u * u) {
            u = 0;
            for (int64_t e = m->row_start[p]; e < m->row_start[p + 1]; e++)
                u += m->weight[e] * (double)field[m->column[e] * fields + s->shown + k];
        }
        double value = s->shown_count == 1 ? u : sqrt(square);
        fwm_colour((value - s->spec.shown.lo) / (s->spec.shown.hi - s->spec.shown.lo), rgb);
        for (int c = 0; c < CHANNELS; c++) {
            double v =
                rgb[c] * s->light[p] * s->mask[p] + (noise ? s->spec.noise * (double)noise[p * CHANNELS + c] : 0);
            v = v > 0 ? v < 1 ? v : 1 : 0;
            frame[p * CHANNELS + c] = (uint8_t)(255 * v + 0.5);
        }
    }
}
