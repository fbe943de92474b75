#include "tools/report/chart.h"

#include <math.h>

/* The drawing's own units; the page scales it. */
enum {
    WIDTH = 640,
    HEIGHT = 320,
    LEFT = 74,
    RIGHT = 16,
    TOP = 14,
    BOTTOM = 46,
    STYLES = 6,
    MAX_BINS = 280,
    MARKED = 40
};
/* Magnitudes beyond these are left out, so that ranges and their margins stay finite. */
#define LARGEST 1e200
#define SMALLEST 1e-200

/* ---- axes ---- */

static void add_tick(report_axis *a, double at, bool labelled)
{
    double slack = 1e-9 * (a->high - a->low);
    if (a->n < REPORT_MAX_TICKS && at >= a->low - slack && at <= a->high + slack) {
        a->tick[a->n] = at;
        a->labelled[a->n++] = labelled;
    }
}

static void linear_ticks(report_axis *a)
{
    double rough = (a->high - a->low) / 6, power = pow(10, floor(log10(rough))), ratio = rough / power;
    double step = power * (ratio <= 1 ? 1 : ratio <= 2 ? 2 : ratio <= 5 ? 5 : 10);
    for (double k = ceil(a->low / step - 1e-9); k * step <= a->high + 1e-9 * step && a->n < REPORT_MAX_TICKS; k++)
        add_tick(a, k == 0 ? 0 : k * step, true);
}

static void log_ticks(report_axis *a)
{
    int first = (int)floor(log10(a->low)), last = (int)ceil(log10(a->high));
    double decades = log10(a->high) - log10(a->low);
    if (decades < 0.7) {
        linear_ticks(a);
        return;
    }
    int stride = 1 + (last - first) / 9;
    bool few = decades <= 2.5;
    for (int k = first; k <= last; k++) {
        if ((k - first) % stride)
            continue;
        add_tick(a, pow(10, k), true);
        for (int m = 2; stride == 1 && decades <= 5 && m <= 5; m += 3)
            add_tick(a, m * pow(10, k), few);
    }
}

report_axis report_axis_make(double low, double high, bool log)
{
    report_axis a = {.low = low, .high = high, .log = log};
    if (log && !(high / low > 1 + 1e-9))
        a.low = low / 2, a.high = high * 2;
    else if (!log && !(high - low > fmax(1e-12 * fmax(fabs(low), fabs(high)), SMALLEST))) {
        double pad = fabs(low) <= SMALLEST ? 1 : 0.5 * fabs(low);
        a.low = low - pad, a.high = high + pad;
    }
    if (log)
        log_ticks(&a);
    else
        linear_ticks(&a);
    return a;
}

/* 0 at low, 1 at high. */
static double position(const report_axis *a, double x)
{
    return a->log ? (log(x) - log(a->low)) / (log(a->high) - log(a->low)) : (x - a->low) / (a->high - a->low);
}

/* ---- the data on the canvas ---- */

static bool drawable(const report_chart *c, double x, double y)
{
    return fabs(x) <= LARGEST && fabs(y) <= LARGEST && (!c->log_y || y >= SMALLEST);
}

typedef struct frame {
    report_axis x, y;
} frame;

static double canvas_x(const frame *f, double x)
{
    return LEFT + position(&f->x, x) * (WIDTH - LEFT - RIGHT);
}

static double canvas_y(const frame *f, double y)
{
    return HEIGHT - BOTTOM - position(&f->y, y) * (HEIGHT - TOP - BOTTOM);
}

/* Ranges of what can be drawn, with a little air above and below; false when there is nothing. */
static bool find_frame(const report_chart *c, frame *f)
{
    double range[4] = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    for (int s = 0; s < c->n_series; s++)
        for (int64_t i = 0; i < c->series[s].n; i++) {
            double x = c->series[s].x[i], y = c->series[s].y[i];
            if (!drawable(c, x, y))
                continue;
            range[0] = fmin(range[0], x), range[1] = fmax(range[1], x);
            range[2] = fmin(range[2], y), range[3] = fmax(range[3], y);
        }
    if (range[0] > range[1])
        return false;
    f->x = report_axis_make(range[0], range[1], false);
    if (range[3] > range[2] && c->log_y) {
        double air = exp(0.04 * (log(range[3]) - log(range[2])));
        range[2] /= air, range[3] *= air;
    } else if (range[3] > range[2]) {
        double air = 0.04 * (range[3] - range[2]);
        /* Data that begins at zero keeps its axis there. */
        range[2] -= range[2] == 0 ? 0 : air;
        range[3] += air;
    }
    f->y = report_axis_make(range[2], range[3], c->log_y);
    return true;
}

static void add_axes(report_text *t, const report_chart *c, const frame *f)
{
    report_text_add(t, "<g class=\"grid\">");
    for (int i = 0; i < f->y.n; i++)
        report_text_format(t, "<path%s d=\"M%d %.1fH%d\"/>", f->y.labelled[i] ? "" : " class=\"fine\"", LEFT,
                           canvas_y(f, f->y.tick[i]), WIDTH - RIGHT);
    for (int i = 0; i < f->x.n; i++)
        report_text_format(t, "<path d=\"M%.1f %dV%d\"/>", canvas_x(f, f->x.tick[i]), TOP, HEIGHT - BOTTOM);
    report_text_format(t, "</g><path class=\"axis\" d=\"M%d %dV%dH%d\"/>", LEFT, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT);
    for (int i = 0; i < f->y.n; i++)
        if (f->y.labelled[i])
            report_text_format(t, "<text class=\"y\" x=\"%d\" y=\"%.1f\">%.6g</text>", LEFT - 7,
                               canvas_y(f, f->y.tick[i]) + 4, f->y.tick[i]);
    for (int i = 0; i < f->x.n; i++)
        report_text_format(t, "<text class=\"x\" x=\"%.1f\" y=\"%d\">%.6g</text>", canvas_x(f, f->x.tick[i]),
                           HEIGHT - BOTTOM + 17, f->x.tick[i]);
    report_text_format(t, "<text class=\"x name\" x=\"%d\" y=\"%d\">", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
    report_text_escape(t, c->x_label);
    int middle = (TOP + HEIGHT - BOTTOM) / 2;
    report_text_format(t, "</text><text class=\"x name\" transform=\"translate(14 %d) rotate(-90)\">", middle);
    report_text_escape(t, c->y_label);
    report_text_add(t, "</text>");
}

/* ---- series ---- */

/* Some consecutive points as one: mean, least and most on the canvas; count 0 is a gap. */
typedef struct bin {
    double x, y, low, high;
    int64_t count;
} bin;

static int make_bins(const report_chart *c, const report_series *s, const frame *f, bin *bins)
{
    int n = s->n > MAX_BINS ? MAX_BINS : (int)s->n;
    for (int b = 0; b < n; b++) {
        bin *out = &bins[b];
        *out = (bin){.low = -INFINITY, .high = INFINITY};
        for (int64_t i = s->n * b / n; i < s->n * (b + 1) / n; i++) {
            if (!drawable(c, s->x[i], s->y[i]))
                continue;
            double y = canvas_y(f, s->y[i]);
            out->x += canvas_x(f, s->x[i]), out->y += y;
            out->low = fmax(out->low, y), out->high = fmin(out->high, y);
            out->count++;
        }
        if (out->count > 0)
            out->x /= (double)out->count, out->y /= (double)out->count;
    }
    return n;
}

/* The band from least to most of bins [from, to), as one closed outline. */
static void add_band(report_text *t, const bin *bins, int from, int to)
{
    for (int i = from; i < to; i++)
        report_text_format(t, "%c%.1f %.1f", i == from ? 'M' : 'L', bins[i].x, bins[i].high);
    for (int i = to - 1; i >= from; i--)
        report_text_format(t, "L%.1f %.1f", bins[i].x, bins[i].low);
    report_text_add(t, "Z");
}

static void add_series(report_text *t, const report_chart *c, const frame *f, int index)
{
    const report_series *s = &c->series[index];
    bin bins[MAX_BINS];
    int n = make_bins(c, s, f, bins);
    if (s->n > MAX_BINS) {
        report_text_format(t, "<path class=\"band s%d\" d=\"", index % STYLES);
        for (int i = 0, from = 0; i <= n; i++)
            if (i == n || bins[i].count == 0) {
                if (i > from)
                    add_band(t, bins, from, i);
                from = i + 1;
            }
        report_text_add(t, "\"/>");
    }
    report_text_format(t, "<path class=\"line s%d\" d=\"", index % STYLES);
    for (int i = 0; i < n; i++) {
        if (bins[i].count == 0)
            continue;
        bool starts = i == 0 || bins[i - 1].count == 0, ends = i == n - 1 || bins[i + 1].count == 0;
        /* A point between two gaps: a line of no length has round ends, and shows. */
        report_text_format(t, "%c%.1f %.1f%s", starts ? 'M' : 'L', bins[i].x, bins[i].y, starts && ends ? "h0" : "");
    }
    report_text_add(t, "\"/>");
    for (int i = 0; s->n <= MARKED && i < n; i++) {
        if (bins[i].count == 0)
            continue;
        report_text_format(t, "<circle class=\"mark s%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"><title>", index % STYLES,
                           bins[i].x, bins[i].y);
        report_text_escape(t, s->name);
        report_text_format(t, ": %.4g at %.6g</title></circle>", s->y[i], s->x[i]);
    }
}

static void add_legend(report_text *t, const report_chart *c)
{
    report_text_add(t, "<p class=\"legend\">");
    for (int i = 0; i < c->n_series; i++) {
        report_text_format(t,
                           "<span><svg viewBox=\"0 0 26 10\" aria-hidden=\"true\"><path class=\"line s%d\" "
                           "d=\"M0 5H26\"/></svg>",
                           i % STYLES);
        report_text_escape(t, c->series[i].name);
        report_text_add(t, "</span>");
    }
    report_text_add(t, "</p>");
}

void report_chart_add(report_text *t, const report_chart *c)
{
    report_text_add(t, "<figure class=\"chart\"><figcaption>");
    report_text_escape(t, c->title);
    report_text_add(t, "</figcaption>");
    frame f;
    if (find_frame(c, &f)) {
        report_text_format(t, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
        report_text_escape(t, c->title);
        report_text_add(t, "\">");
        add_axes(t, c, &f);
        for (int i = 0; i < c->n_series; i++)
            add_series(t, c, &f, i);
        report_text_add(t, "</svg>");
        add_legend(t, c);
    } else {
        report_text_add(t, "<p class=\"note\">Nothing was measured.</p>");
    }
    if (c->note) {
        report_text_add(t, "<p class=\"note\">");
        report_text_escape(t, c->note);
        report_text_add(t, "</p>");
    }
    report_text_add(t, "</figure>");
}
