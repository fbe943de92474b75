#include "tools/report/image.h"

#include "model/base/arena.h"

#include <math.h>
#include <png.h>

enum { ANCHORS = 5 };

/* Lightness, chroma, hue in degrees. */
static const double anchors[2][ANCHORS][3] = {
    [REPORT_SEQUENTIAL] =
        {{0.22, 0.085, 285}, {0.41, 0.150, 335}, {0.60, 0.170, 25}, {0.78, 0.140, 70}, {0.96, 0.050, 105}},
    [REPORT_DIVERGING] =
        {{0.42, 0.140, 258}, {0.70, 0.100, 245}, {0.97, 0.004, 90}, {0.70, 0.120, 40}, {0.42, 0.140, 25}},
};

static double srgb(double linear)
{
    double c = fmin(fmax(linear, 0.0), 1.0);
    return c <= 0.0031308 ? 12.92 * c : 1.055 * pow(c, 1.0 / 2.4) - 0.055;
}

/* OKLab to sRGB, with the matrices of the definition. */
static void lab_to_rgb(const double lab[3], uint8_t rgb[3])
{
    double l = lab[0] + 0.3963377774 * lab[1] + 0.2158037573 * lab[2];
    double m = lab[0] - 0.1055613458 * lab[1] - 0.0638541728 * lab[2];
    double s = lab[0] - 0.0894841775 * lab[1] - 1.2914855480 * lab[2];
    l = l * l * l, m = m * m * m, s = s * s * s;
    rgb[0] = (uint8_t)lround(255 * srgb(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s));
    rgb[1] = (uint8_t)lround(255 * srgb(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s));
    rgb[2] = (uint8_t)lround(255 * srgb(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s));
}

static void anchor_lab(const double lch[3], double lab[3])
{
    double h = lch[2] * 3.14159265358979323846 / 180.0;
    lab[0] = lch[0], lab[1] = lch[1] * cos(h), lab[2] = lch[1] * sin(h);
}

void report_palette_make(report_palette *palette, report_map map)
{
    for (int i = 0; i < REPORT_SHADES; i++) {
        double at = (double)i / (REPORT_SHADES - 1) * (ANCHORS - 1);
        int k = at >= ANCHORS - 1 ? ANCHORS - 2 : (int)at;
        double a[3], b[3];
        anchor_lab(anchors[map][k], a);
        anchor_lab(anchors[map][k + 1], b);
        for (int c = 0; c < 3; c++)
            a[c] += (at - k) * (b[c] - a[c]);
        lab_to_rgb(a, palette->rgb[i]);
    }
}

const uint8_t *report_palette_at(const report_palette *palette, double x, double low, double high)
{
    double t = (x - low) / (high - low) * (REPORT_SHADES - 1);
    return palette->rgb[t <= 0 ? 0 : t >= REPORT_SHADES - 1 ? REPORT_SHADES - 1 : lround(t)];
}

fwm_status report_png_encode(uint8_t **png, size_t *size, const uint8_t *rgb, int width, int height)
{
    *png = NULL;
    *size = 0;
    FWM_CHECK(width >= 1 && height >= 1 && (int64_t)width * height <= 1 << 28, FWM_INVALID,
              "PNG: expected an image of 1 to 2^28 pixels, found %dx%d", width, height);
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .format = PNG_FORMAT_RGB,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height};
    png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
    uint8_t *data = fwm_malloc(bytes, 1);
    FWM_CHECK(data, FWM_MEMORY, "PNG: out of memory for %dx%d pixels", width, height);
    if (!png_image_write_to_memory(&image, data, &bytes, 0, rgb, 0, NULL)) {
        fwm_free(data);
        return fwm_fail(FWM_LIBRARY, "PNG: libpng cannot encode %dx%d pixels: %s", width, height, image.message);
    }
    *png = data, *size = bytes;
    return FWM_OK;
}

fwm_status report_png_add(report_text *text, const uint8_t *rgb, int width, int height)
{
    uint8_t *png;
    size_t size = 0;
    FWM_TRY(report_png_encode(&png, &size, rgb, width, height));
    report_text_add(text, "data:image/png;base64,");
    report_text_base64(text, png, size);
    fwm_free(png);
    return FWM_OK;
}
