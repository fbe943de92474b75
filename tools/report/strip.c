#include "tools/report/strip.h"

#include "model/base/arena.h"
#include "tools/report/image.h"

#include <math.h>

/* Films stand in one row of the page, in whole multiples of their pixels. */
enum { FILMS_WIDTH = 960, FILM_GAP = 16, FILM_LARGEST = 200 };
static const uint8_t outside[3] = {136, 136, 136}, diverged[3] = {255, 0, 255};

/* What the rows of a strip share; `error` is a prediction's own. */
typedef struct scales {
    report_palette values, errors;
    double low, high; /* of the truth */
    bool has_outside, has_diverged;
} scales;

static int64_t pixels(const report_strip *s)
{
    return (int64_t)s->times * s->height * s->width;
}

/* Signed for a field, the largest magnitude of the channels for a frame; NaN where either side is. */
static double error_at(const report_strip *s, const float *prediction, int64_t pixel)
{
    if (s->channels == 1)
        return (double)prediction[pixel] - (double)s->truth[pixel];
    double most = 0;
    for (int c = 0; c < 3; c++) {
        double d = fabs((double)prediction[3 * pixel + c] - (double)s->truth[3 * pixel + c]);
        most = isnan(d) || isnan(most) ? NAN : fmax(most, d);
    }
    return most;
}

static scales find_scales(const report_strip *s)
{
    scales k = {.low = INFINITY, .high = -INFINITY};
    report_palette_make(&k.values, REPORT_SEQUENTIAL);
    report_palette_make(&k.errors, REPORT_DIVERGING);
    for (int64_t i = 0; i < pixels(s) * s->channels; i++) {
        double y = (double)s->truth[i];
        if (isfinite(y))
            k.low = fmin(k.low, y), k.high = fmax(k.high, y);
        else
            k.has_outside = true;
    }
    if (k.low > k.high)
        k.low = 0, k.high = 1;
    if (k.low == k.high) {
        double pad = k.low == 0 ? 1 : 0.5 * fabs(k.low);
        k.low -= pad, k.high += pad;
    }
    return k;
}

/* The end of a prediction's error scale: its largest error, but no more than the truth's own range, so that a diverged
 * rollout does not hide the rest; never 0. */
static double error_scale(const report_strip *s, const scales *k, const float *values)
{
    double range = s->channels == 1 ? k->high - k->low : 1.0, most = 0;
    for (int64_t i = 0; i < pixels(s); i++) {
        double e = fabs(error_at(s, values, i));
        if (isfinite(e))
            most = fmax(most, e);
    }
    return most > range ? range : most > 0 ? most : 1e-12 * range;
}

static void put(uint8_t *out, const uint8_t *rgb)
{
    out[0] = rgb[0], out[1] = rgb[1], out[2] = rgb[2];
}

/* A pixel that cannot be drawn by its value; NULL when it can. */
static const uint8_t *special(const report_strip *s, scales *k, const float *values, int64_t pixel)
{
    for (int c = 0; c < s->channels; c++) {
        if (!isfinite(s->truth[pixel * s->channels + c]))
            return outside;
        if (!isfinite(values[pixel * s->channels + c])) {
            k->has_diverged = true;
            return diverged;
        }
    }
    return NULL;
}

static void paint_values(uint8_t *rgb, const report_strip *s, scales *k, const float *values)
{
    for (int64_t i = 0; i < pixels(s); i++) {
        const uint8_t *mark = special(s, k, values, i);
        if (mark)
            put(rgb + 3 * i, mark);
        else if (s->channels == 1)
            put(rgb + 3 * i, report_palette_at(&k->values, (double)values[i], k->low, k->high));
        else
            for (int c = 0; c < 3; c++)
                rgb[3 * i + c] = (uint8_t)lround(255 * fmin(fmax((double)values[3 * i + c], 0.0), 1.0));
    }
}

static void paint_errors(uint8_t *rgb, const report_strip *s, scales *k, const float *values)
{
    double end = error_scale(s, k, values);
    for (int64_t i = 0; i < pixels(s); i++) {
        const uint8_t *mark = special(s, k, values, i);
        put(rgb + 3 * i, mark ? mark : report_palette_at(&k->errors, error_at(s, values, i), -end, end));
    }
}

/* ---- markup ---- */

/* Largest error of one image; 0 where nothing is finite. */
static double largest_error(const report_strip *s, const float *values, int time)
{
    int64_t count = (int64_t)s->height * s->width;
    double most = 0;
    for (int64_t i = time * count; i < (time + 1) * count; i++) {
        double e = fabs(error_at(s, values, i));
        if (isfinite(e))
            most = fmax(most, e);
    }
    return most;
}

static int shown_count(const report_strip *s)
{
    return s->shown ? s->n_shown : s->times;
}

/* One row of stills; `errors_of` is what the largest errors under the images belong to, or NULL. */
static fwm_status add_row(report_text *t, const report_strip *s, const uint8_t *rgb, const char *name,
                          const char *suffix, const float *errors_of)
{
    int64_t bytes = (int64_t)s->height * s->width * 3;
    report_text_add(t, "<tr><th scope=\"row\">");
    report_text_escape(t, name);
    report_text_format(t, "%s</th>", suffix);
    for (int i = 0; i < shown_count(s); i++) {
        int time = s->shown ? s->shown[i] : i;
        report_text_add(t, "<td><img alt=\"");
        report_text_escape(t, name);
        report_text_format(t, "%s, ", suffix);
        report_text_escape(t, s->labels[time]);
        report_text_format(t, "\" width=\"%d\" height=\"%d\" src=\"", s->width, s->height);
        FWM_TRY(report_png_add(t, rgb + time * bytes, s->width, s->height));
        report_text_add(t, "\"/>");
        if (errors_of)
            report_text_format(t, "<small>max %.2g</small>", largest_error(s, errors_of, time));
        report_text_add(t, "</td>");
    }
    report_text_add(t, "</tr>");
    return FWM_OK;
}

/* All times under one another as the background of a box that moves over them: a film without a script. */
static fwm_status add_film(report_text *t, const report_strip *s, const uint8_t *rgb, const char *name,
                           const char *suffix)
{
    int films = 1 + 2 * s->n_predictions, room = FILMS_WIDTH / films - FILM_GAP;
    int scale = (room < FILM_LARGEST ? room : FILM_LARGEST) / s->width;
    if (scale < 1)
        scale = 1;
    report_text_format(t,
                       "<figure><div class=\"film\" style=\"width:%dpx;height:%dpx;background-size:100%% %d%%;"
                       "animation:film %.3fs steps(%d,jump-none) infinite;background-image:url(",
                       s->width * scale, s->height * scale, 100 * s->times, s->times / s->fps, s->times);
    FWM_TRY(report_png_add(t, rgb, s->width, s->height * s->times));
    report_text_add(t, ")\"></div><figcaption>");
    report_text_escape(t, name);
    report_text_format(t, "%s</figcaption></figure>", suffix);
    return FWM_OK;
}

/* A bar of the palette's colours from `first` on, between the values at its ends. */
static fwm_status add_scale(report_text *t, const report_palette *palette, int first, const char *name,
                            const char *suffix, double low, double high, const char *unit)
{
    report_text_add(t, "<span class=\"scale\">");
    report_text_escape(t, name);
    report_text_format(t, "%s <span>%.3g</span><img alt=\"from %.3g to %.3g\" src=\"", suffix, low, low, high);
    FWM_TRY(report_png_add(t, palette->rgb[first], REPORT_SHADES - first, 1));
    report_text_format(t, "\"/><span>%.3g", high);
    if (unit && unit[0]) {
        report_text_add(t, " [");
        report_text_escape(t, unit);
        report_text_add(t, "]");
    }
    report_text_add(t, "</span></span>");
    return FWM_OK;
}

static fwm_status add_scales(report_text *t, const report_strip *s, const scales *k)
{
    report_text_add(t, "<p class=\"scales\">");
    if (s->channels == 1)
        FWM_TRY(add_scale(t, &k->values, 0, "value", "", k->low, k->high, s->unit));
    for (int p = 0; p < s->n_predictions; p++) {
        double end = error_scale(s, k, s->predictions[p].values);
        bool frames = s->channels == 3;
        FWM_TRY(add_scale(t, &k->errors, frames ? REPORT_SHADES / 2 : 0, s->predictions[p].name, ": error",
                          frames ? 0 : -end, end, s->unit));
    }
    if (k->has_outside)
        report_text_add(t, "<span class=\"scale\"><i style=\"background:#888\"></i> outside the domain</span>");
    if (k->has_diverged)
        report_text_add(t, "<span class=\"scale\"><i style=\"background:#f0f\"></i> not finite: diverged</span>");
    report_text_add(t, "</p>");
    return FWM_OK;
}

static fwm_status add_stills(report_text *t, const report_strip *s, uint8_t *const *images)
{
    report_text_add(t, "<div class=\"wide\"><table class=\"stills\"><thead><tr><td></td>");
    for (int i = 0; i < shown_count(s); i++) {
        report_text_add(t, "<th scope=\"col\">");
        report_text_escape(t, s->labels[s->shown ? s->shown[i] : i]);
        report_text_add(t, "</th>");
    }
    report_text_add(t, "</tr></thead><tbody>");
    FWM_TRY(add_row(t, s, images[0], "truth", "", NULL));
    for (int p = 0; p < s->n_predictions; p++) {
        const report_prediction *q = &s->predictions[p];
        FWM_TRY(add_row(t, s, images[1 + 2 * p], q->name, "", NULL));
        FWM_TRY(add_row(t, s, images[2 + 2 * p], q->name, ": error", q->values));
    }
    report_text_add(t, "</tbody></table></div>");
    return FWM_OK;
}

static fwm_status add_films(report_text *t, const report_strip *s, uint8_t *const *images)
{
    if (!(s->fps > 0) || s->times < 2)
        return FWM_OK;
    report_text_add(t, "<div class=\"films\">");
    FWM_TRY(add_film(t, s, images[0], "truth", ""));
    for (int p = 0; p < s->n_predictions; p++) {
        FWM_TRY(add_film(t, s, images[1 + 2 * p], s->predictions[p].name, ""));
        FWM_TRY(add_film(t, s, images[2 + 2 * p], s->predictions[p].name, ": error"));
    }
    report_text_add(t, "</div>");
    return FWM_OK;
}

fwm_status report_strip_add(report_text *t, const report_strip *s)
{
    fwm_status status = FWM_OK;
    scales k = find_scales(s);
    int rows = 1 + 2 * s->n_predictions;
    size_t bytes = (size_t)pixels(s) * 3;
    uint8_t **images = fwm_calloc((size_t)rows, sizeof *images), *all = fwm_malloc((size_t)rows, bytes);
    FWM_CHECK_GOTO(status, images && all, FWM_MEMORY, "images of \"%s\": out of memory", s->title);
    for (int i = 0; i < rows; i++)
        images[i] = all + (size_t)i * bytes;
    paint_values(images[0], s, &k, s->truth);
    for (int p = 0; p < s->n_predictions; p++) {
        paint_values(images[1 + 2 * p], s, &k, s->predictions[p].values);
        paint_errors(images[2 + 2 * p], s, &k, s->predictions[p].values);
    }
    report_text_add(t, "<figure class=\"strip\"><figcaption>");
    report_text_escape(t, s->title);
    report_text_add(t, "</figcaption>");
    FWM_TRY_GOTO(status, add_stills(t, s, images));
    FWM_TRY_GOTO(status, add_scales(t, s, &k));
    FWM_TRY_GOTO(status, add_films(t, s, images));
    if (s->note) {
        report_text_add(t, "<p class=\"note\">");
        report_text_escape(t, s->note);
        report_text_add(t, "</p>");
    }
    report_text_add(t, "</figure>");
done:
    fwm_free(images);
    fwm_free(all);
    return status;
}
