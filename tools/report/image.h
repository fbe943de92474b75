/* Colour maps, and images as PNG inside the page.
 *
 * Both maps interpolate five anchors in OKLab (Ottosson 2020), a space in which equal distances look equally large. The
 * sequential one (indigo, plum, coral, amber, cream) rises in lightness evenly, so that it survives greyscale print;
 * the diverging one (blue, pale, red) is symmetric in lightness about its middle. */
#ifndef FWM_TOOLS_REPORT_IMAGE_H
#define FWM_TOOLS_REPORT_IMAGE_H

#include "model/base/status.h"
#include "tools/report/text.h"

#include <stdint.h>

enum { REPORT_SHADES = 256 };

typedef enum report_map { REPORT_SEQUENTIAL, REPORT_DIVERGING } report_map;

typedef struct report_palette {
    uint8_t rgb[REPORT_SHADES][3]; /* sRGB */
} report_palette;

void report_palette_make(report_palette *palette, report_map map);

/* The colour of x on a scale from low to high; beyond the ends, the end's. low < high, x not NaN. */
const uint8_t *report_palette_at(const report_palette *palette, double x, double low, double high);

/* PNG of rgb [height,width,3]; free *png with fwm_free. Errors: FWM_INVALID, FWM_MEMORY, FWM_LIBRARY. */
fwm_status report_png_encode(uint8_t **png, size_t *size, const uint8_t *rgb, int width, int height) FWM_MUST_USE;

/* Adds "data:image/png;base64,..." to a text. Errors: as above. */
fwm_status report_png_add(report_text *text, const uint8_t *rgb, int width, int height) FWM_MUST_USE;

#endif
