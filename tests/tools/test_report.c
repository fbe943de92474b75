#include "tools/report/report.h"

#include "model/base/arena.h"
#include "tools/report/chart.h"
#include "tools/report/image.h"
#include "tools/report/text.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- text ---- */

Test(report, base64)
{
    /* The examples of RFC 4648, section 10. */
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        report_text t = {0};
        report_text_base64(&t, (const uint8_t *)pairs[i][0], strlen(pairs[i][0]));
        cr_assert_not(t.failed);
        cr_assert_str_eq(t.data, pairs[i][1]);
        report_text_free(&t);
    }
}

Test(report, text_of_others_is_made_safe)
{
    static const char *const pairs[][2] = {
        {"a<b>&\"c\"'", "a&lt;b&gt;&amp;&quot;c&quot;&#39;"},
        {"tab\tline\n", "tab\tline\n"},
        {"bell\a\x7f", "bell\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {"\xC0\xBC", "\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* an overlong '<' */
        {"\xE0\x80\xBC", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* another */
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* a surrogate */
        {"x\xE2\x82", "x\xEF\xBF\xBD\xEF\xBF\xBD"},               /* cut short */
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        report_text t = {0};
        report_text_escape(&t, pairs[i][0]);
        cr_assert_str_eq(t.data, pairs[i][1], "case %zu: %s", i, t.data);
        report_text_free(&t);
    }
    report_text t = {0};
    report_text_escape(&t, NULL);
    cr_assert_eq(t.n, 0);
}

/* ---- colours and images ---- */

static double linear(uint8_t v)
{
    double c = v / 255.0;
    return c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4);
}

/* The lightness of OKLab, from sRGB: the way back of what the palettes do. */
static double lightness(const uint8_t *c)
{
    double r = linear(c[0]), g = linear(c[1]), b = linear(c[2]);
    return 0.2104542553 * cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) +
           0.7936177850 * cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) -
           0.0040720468 * cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
}

/* Rounding to 8 bits moves lightness by at most about 0.004 in the darks; a colour outside the gamut would be clipped
 * and show as more. */
Test(report, palettes_are_even_in_lightness)
{
    report_palette p;
    report_palette_make(&p, REPORT_SEQUENTIAL);
    for (int i = 0; i < REPORT_SHADES; i++) {
        double t = 4.0 * i / 255, knots[] = {0.22, 0.41, 0.60, 0.78, 0.96};
        int k = t >= 4 ? 3 : (int)t;
        cr_assert_lt(fabs(lightness(p.rgb[i]) - (knots[k] + (t - k) * (knots[k + 1] - knots[k]))), 0.006, "shade %d",
                     i);
    }
    report_palette_make(&p, REPORT_DIVERGING);
    for (int i = 0; i < 128; i++) {
        cr_assert_lt(fabs(lightness(p.rgb[i]) - lightness(p.rgb[255 - i])), 0.008, "shade %d", i);
        cr_assert_lt(lightness(p.rgb[i]), lightness(p.rgb[i + 1]) + 0.004);
    }
    cr_assert(p.rgb[0][2] > p.rgb[0][0] && p.rgb[255][0] > p.rgb[255][2], "blue below, red above");
}

Test(report, palette_ends)
{
    report_palette p;
    report_palette_make(&p, REPORT_SEQUENTIAL);
    cr_assert_eq(report_palette_at(&p, -5, 1, 2), p.rgb[0]);
    cr_assert_eq(report_palette_at(&p, INFINITY, 1, 2), p.rgb[255]);
    cr_assert_eq(report_palette_at(&p, 1.2, 1, 2), p.rgb[51]);
    cr_assert_eq(report_palette_at(&p, 2, 1, 2), p.rgb[255]);
}

static void decode_png(const uint8_t *png, size_t size, uint8_t *rgb, int width, int height)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    cr_assert(png_image_begin_read_from_memory(&image, png, size), "%s", image.message);
    cr_assert_eq(image.format, (png_uint_32)PNG_FORMAT_RGB);
    cr_assert_eq((int)image.width, width);
    cr_assert_eq((int)image.height, height);
    cr_assert(png_image_finish_read(&image, NULL, rgb, 0, NULL), "%s", image.message);
}

Test(report, png_holds_its_pixels)
{
    const int sizes[][2] = {{1, 1}, {7, 3}, {256, 1}, {5, 300}};
    for (int s = 0; s < 4; s++) {
        int w = sizes[s][0], h = sizes[s][1];
        uint8_t *rgb = malloc((size_t)(w * h * 3)), *back = malloc((size_t)(w * h * 3)), *png;
        for (int i = 0; i < w * h * 3; i++)
            rgb[i] = (uint8_t)(i * 37 + i / 11);
        size_t size;
        cr_assert_eq(report_png_encode(&png, &size, rgb, w, h), FWM_OK, "%s", fwm_error_message());
        decode_png(png, size, back, w, h);
        cr_assert_eq(memcmp(rgb, back, (size_t)(w * h * 3)), 0);
        free(rgb), free(back), fwm_free(png);
    }
    uint8_t *png, none[3] = {0};
    size_t size;
    cr_assert_eq(report_png_encode(&png, &size, none, 0, 1), FWM_INVALID);
    cr_assert_null(png);
}

/* ---- axes and charts ---- */

static void check_axis(double low, double high, bool log)
{
    report_axis a = report_axis_make(low, high, log);
    int labelled = 0;
    cr_assert(a.low <= low && a.high >= high && a.low < a.high);
    for (int i = 0; i < a.n; i++) {
        double slack = 2e-9 * (a.high - a.low);
        cr_assert(a.tick[i] >= a.low - slack && a.tick[i] <= a.high + slack, "[%g,%g]: tick %g", low, high, a.tick[i]);
        cr_assert(i == 0 || a.tick[i] > a.tick[i - 1], "[%g,%g]: ticks do not rise", low, high);
        labelled += a.labelled[i];
    }
    cr_assert(labelled >= 2 && labelled <= 13, "[%g,%g] %d: %d labels", low, high, log, labelled);
}

Test(report, axes_have_a_readable_number_of_ticks)
{
    for (double low = -3; low < 3; low += 0.37)
        for (double range = 1e-6; range < 1e7; range *= 1.7)
            check_axis(low, low + range, false);
    for (double low = 1e-9; low < 1e6; low *= 3.3)
        for (double ratio = 1.01; ratio < 1e15; ratio *= 1.31)
            check_axis(low, low * ratio, true);
    check_axis(0, 0, false);
    check_axis(5, 5, false);
    check_axis(0.01, 0.01, true);
    check_axis(-1e200, 1e200, false);
    check_axis(1e-200, 1e200, true);
    report_axis a = report_axis_make(0, 10, false);
    cr_assert_eq(a.n, 6);
    cr_assert_eq(a.tick[3], 6.0);
    a = report_axis_make(0.5, 200, true);
    cr_assert_eq(a.tick[0], 0.5);
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

/* One tag from '<' on; returns what follows '>'. Attributes must be quoted; void elements must close themselves. */
static const char *check_tag(const char *p, char stack[][16], int *depth)
{
    char name[16] = {0};
    bool closing = p[1] == '/';
    const char *q = p + 1 + closing;
    for (int i = 0; isalnum((unsigned char)*q) && i < 15; i++)
        name[i] = *q++;
    cr_assert(name[0], "a bare '<': %.40s", p);
    for (bool quoted = false; quoted || *q != '>'; q++) {
        cr_assert(*q && (quoted || *q != '<'), "an open tag: %.60s", p);
        quoted ^= *q == '"';
    }
    if (closing) {
        cr_assert(*depth > 0 && strcmp(stack[*depth - 1], name) == 0, "</%s> closes <%s>", name,
                  *depth ? stack[*depth - 1] : "");
        (*depth)--;
    } else if (q[-1] != '/') {
        cr_assert_lt(*depth, 30);
        memcpy(stack[(*depth)++], name, 16);
    }
    return q + 1;
}

/* Tags nest, and every '&' begins one of our entities. */
static void check_markup(const char *p)
{
    char stack[32][16];
    int depth = 0;
    while (*p) {
        if (strncmp(p, "<!DOCTYPE html>", 15) == 0)
            p += 15;
        else if (*p == '<')
            p = check_tag(p, stack, &depth);
        else {
            static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
            bool known = *p != '&';
            for (int i = 0; i < 5; i++)
                known |= strncmp(p, entities[i], strlen(entities[i])) == 0;
            cr_assert(known, "a bare '&': %.20s", p);
            p++;
        }
    }
    cr_assert_eq(depth, 0, "<%s> is never closed", depth ? stack[depth - 1] : "");
}

static char *draw(const report_chart *chart, report_text *t)
{
    *t = (report_text){0};
    report_chart_add(t, chart);
    cr_assert_not(t->failed);
    check_markup(t->data);
    cr_assert_null(strstr(t->data, "nan"), "a coordinate is not a number");
    cr_assert_null(strstr(t->data, "inf"), "a coordinate is infinite");
    return t->data;
}

Test(report, chart)
{
    const double x[] = {1, 2, 3, 4, 5}, y[] = {1, 10, NAN, 100, 1000}, z[] = {-1, 0, 5, 5, INFINITY};
    const report_series series[] = {{"a<b", x, y, 5}, {"z", x, z, 5}};
    report_chart c = {.title = "T & t", .x_label = "x", .y_label = "y", .log_y = true, .series = series, .n_series = 2};
    report_text t;
    char *svg = draw(&c, &t);
    cr_assert_eq(count(svg, "class=\"line s0\" d=\"M"), 2, "the line, and its key in the legend");
    cr_assert_eq(count(svg, "<circle class=\"mark s0\""), 4, "a point for each number");
    cr_assert_eq(count(svg, "<circle class=\"mark s1\""), 2, "no logarithm of -1, 0 or infinity");
    cr_assert(strstr(svg, "a&lt;b: 10 at 2"));
    cr_assert(strstr(svg, "T &amp; t"));
    /* The gap: a second M in the first line. */
    const char *line = strstr(svg, "class=\"line s0\" d=\"M");
    const char *end = strchr(strchr(line, 'M'), '"');
    int moves = 0;
    for (const char *p = line; p < end; p++)
        moves += *p == 'M';
    cr_assert_eq(moves, 2);
    /* Decades are equally far apart: 1, 10, 100, 1000 at x = 1, 2, 4, 5. */
    double cy[4];
    const char *p = svg;
    for (int i = 0; i < 4; i++) {
        p = strstr(p, "<circle class=\"mark s0\"");
        cr_assert_eq(sscanf(strstr(p, "cy="), "cy=\"%lf", &cy[i]), 1);
        p++;
    }
    for (int i = 0; i < 3; i++)
        cr_assert_lt(fabs(cy[i] - cy[i + 1] - (cy[0] - cy[3]) / 3), 0.11, "drawn to a tenth of a unit");
    report_text_free(&t);
}

Test(report, long_series_become_a_line_with_a_band)
{
    enum { N = 10000 };
    double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    for (int i = 0; i < N; i++)
        x[i] = i, y[i] = i > 4000 && i < 5000 ? NAN : i % 2 ? 1 : 3;
    report_series s = {"s", x, y, N};
    report_chart c = {.title = "t", .x_label = "x", .y_label = "y", .series = &s, .n_series = 1};
    report_text t;
    char *svg = draw(&c, &t);
    cr_assert_lt(t.n, 40000, "the drawing does not grow with the run");
    cr_assert_eq(count(svg, "Z"), 2, "one band on either side of the gap");
    cr_assert_eq(count(svg, "<circle"), 0);
    report_text_free(&t);
    for (int i = 0; i < 100; i++)
        y[i] = i % 2 ? (double)NAN : (double)i;
    s.n = 100;
    svg = draw(&c, &t);
    cr_assert_eq(count(svg, "h0"), 50, "points between gaps show as dots");
    report_text_free(&t);
    free(x), free(y);
}

Test(report, charts_of_odd_numbers)
{
    const double x[] = {1, 1, 1}, y[] = {1e308, -1e308, NAN}, same[] = {2, 2, 2}, tiny[] = {5e-324, 1e-300, 1e-250};
    const double *const all[] = {y, same, tiny};
    for (int k = 0; k < 3; k++)
        for (int log = 0; log <= 1; log++)
            for (int n = 0; n <= 3; n++) {
                report_series s = {"s", x, all[k], n};
                report_chart c = {
                    .title = "t", .x_label = "x", .y_label = "y", .log_y = log, .series = &s, .n_series = 1};
                report_text t;
                char *svg = draw(&c, &t);
                bool drawn = n > 0 && (k == 1 || (k == 2 && !log));
                cr_assert_eq(strstr(svg, "Nothing was measured") == NULL, drawn, "case %d %d %d", k, log, n);
                report_text_free(&t);
            }
}

/* ---- the page ---- */

enum { T = 3, H = 4, W = 5 };
static char folder[] = "/tmp/fwm_report_XXXXXX", path[64];

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/report.html", folder);
}

static void teardown(void)
{
    (void)unlink(path);
    (void)rmdir(folder);
}

/* How many files lie in the folder. */
static int files(void)
{
    DIR *d = opendir(folder);
    cr_assert_not_null(d);
    int n = -2; /* . and .. */
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n;
}

static char *slurp(void)
{
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f);
    cr_assert_eq(fseek(f, 0, SEEK_END), 0);
    long n = ftell(f);
    rewind(f);
    char *text = malloc((size_t)n + 1);
    cr_assert_eq(fread(text, 1, (size_t)n, f), (size_t)n);
    text[n] = '\0';
    (void)fclose(f);
    return text;
}

static char *write_and_read(const report *r)
{
    cr_assert_eq(report_write(path, r), FWM_OK, "%s", fwm_error_message());
    char *page = slurp();
    check_markup(page);
    return page;
}

/* The image of an alt text, decoded. */
static void decode_image(const char *page, const char *alt, uint8_t *rgb, int width, int height)
{
    char key[96];
    (void)snprintf(key, sizeof key, "alt=\"%s\"", alt);
    const char *p = strstr(page, key);
    cr_assert_not_null(p, "no image \"%s\"", alt);
    p = strstr(p, "base64,") + 7;
    uint8_t *png = malloc(strcspn(p, "\""));
    size_t n = 0;
    uint32_t word = 0;
    int bits = 0;
    for (; *p != '"' && *p != '='; p++) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *d = strchr(digits, *p);
        cr_assert_not_null(d);
        word = word << 6 | (uint32_t)(d - digits);
        bits += 6;
        if (bits >= 8)
            png[n++] = (uint8_t)(word >> (bits -= 8));
    }
    decode_png(png, n, rgb, width, height);
    free(png);
}

static const char *const labels[T] = {"step 1", "step 2", "step <3>"};

TestSuite(report_page, .init = setup, .fini = teardown);

Test(report_page, whole)
{
    float truth[T * H * W], model[T * H * W];
    for (int i = 0; i < T * H * W; i++)
        truth[i] = (float)i, model[i] = (float)i + (i % 2 ? 0.25f : -0.125f);
    report_prediction prediction = {"model", model};
    const int shown[] = {0, 2};
    report_strip strip = {.title = "state: u",
                          .unit = "K",
                          .times = T,
                          .height = H,
                          .width = W,
                          .channels = 1,
                          .labels = labels,
                          .shown = shown,
                          .n_shown = 2,
                          .fps = 4,
                          .truth = truth,
                          .predictions = &prediction,
                          .n_predictions = 1};
    const double x[] = {1, 2}, y[] = {0.5, 0.25};
    report_series series = {"model", x, y, 2};
    report_chart chart = {
        .title = "loss", .x_label = "step", .y_label = "loss", .log_y = true, .series = &series, .n_series = 1};
    report_fact fact = {"checkpoint", "<script>alert(1)</script>", NULL}, head = {"VRMSE", "0.5", "20 steps"};
    const char *methods[] = {"model", "persistence", "physics only"};
    const double less[] = {0.5, 2, NAN}, more[] = {30, 33, 20};
    report_metric metrics[] = {{"VRMSE, 20 steps", NULL, false, less}, {"PSNR", "dB", true, more}};
    report_parameter parameters[] = {{"k", "W/(m K)", 1, 2.1, 2}, {"loss", NULL, NAN, 0.5, NAN}};
    report r = {.title = "heat & plate",
                .headlines = &head,
                .n_headlines = 1,
                .facts = &fact,
                .n_facts = 1,
                .methods = methods,
                .n_methods = 3,
                .metrics = metrics,
                .n_metrics = 2,
                .parameters = parameters,
                .n_parameters = 2,
                .charts = &chart,
                .n_charts = 1,
                .strips = &strip,
                .n_strips = 1,
                .config = "name: \"a < b\"\nseed: 0\n"};
    char *page = write_and_read(&r);
    cr_assert_null(strstr(page, "<script"), "text from elsewhere must not run");
    cr_assert(strstr(page, "&lt;script&gt;"));
    cr_assert_null(strstr(page, "http:"), "nothing may be fetched");
    cr_assert_null(strstr(page, "https:"));
    cr_assert_eq(count(page, "src=\""), count(page, "src=\"data:image/png;base64,"));
    cr_assert(strstr(page, "<title>heat &amp; plate</title>"));
    cr_assert(strstr(page, "name: &quot;a &lt; b&quot;\nseed: 0"));
    /* 2 against 0.5; the best of the row is bold; what was not measured is a dash. */
    cr_assert(strstr(page, "<td class=\"best\">0.5</td><td>2</td><td><span class=\"none\""));
    cr_assert(strstr(page, "<td class=\"better\">4\xC3\x97 lower</td>"));
    cr_assert(strstr(page, "<td>30</td><td class=\"best\">33</td><td>20</td><td>-3</td>"));
    cr_assert(strstr(page, "<td>+5 %</td>"), "2.1 fitted, 2 true");
    /* Three rows of two stills, two scales, and three films. */
    cr_assert_eq(count(page, "<img "), 3 * 2 + 2);
    cr_assert_eq(count(page, "class=\"film\""), 3);
    cr_assert(strstr(page, "steps(3,jump-none)"));
    cr_assert(strstr(page, "alt=\"model: error, step &lt;3&gt;\""));
    cr_assert_null(strstr(page, "alt=\"truth, step 2\""), "not among the times to show");

    /* Truth 0..59 in one scale over all times; errors of 0.25 at the end of theirs, -0.125 a quarter up. */
    report_palette values, errors;
    report_palette_make(&values, REPORT_SEQUENTIAL);
    report_palette_make(&errors, REPORT_DIVERGING);
    uint8_t rgb[H * W * 3];
    decode_image(page, "truth, step 1", rgb, W, H);
    cr_assert_eq(memcmp(rgb, values.rgb[0], 3), 0);
    decode_image(page, "truth, step &lt;3&gt;", rgb, W, H);
    for (int i = 0; i < H * W; i++)
        cr_assert_eq(memcmp(rgb + 3 * i, values.rgb[lround(255 * (40.0 + i) / 59)], 3), 0, "pixel %d", i);
    decode_image(page, "model: error, step 1", rgb, W, H);
    for (int i = 0; i < H * W; i++)
        cr_assert_eq(memcmp(rgb + 3 * i, errors.rgb[i % 2 ? 255 : 64], 3), 0, "pixel %d", i);
    free(page);
}

Test(report_page, frames_and_what_is_not_finite)
{
    float truth[T * H * W], model[T * H * W], frames[H * W * 3], other[H * W * 3];
    for (int i = 0; i < T * H * W; i++)
        truth[i] = model[i] = (float)(i % 7);
    truth[0] = NAN, model[0] = 1, model[1] = INFINITY;
    for (int i = 0; i < H * W * 3; i++)
        frames[i] = (float)(i % 3) * 0.5f, other[i] = i % 3 == 1 ? 1.5f : frames[i];
    report_prediction a = {"model", model}, b = {"model", other};
    report_strip strips[] = {{.title = "state",
                              .times = T,
                              .height = H,
                              .width = W,
                              .channels = 1,
                              .labels = labels,
                              .truth = truth,
                              .predictions = &a,
                              .n_predictions = 1},
                             {.title = "frames",
                              .times = 1,
                              .height = H,
                              .width = W,
                              .channels = 3,
                              .labels = (const char *const[]){"frame"},
                              .fps = 5,
                              .truth = frames,
                              .predictions = &b,
                              .n_predictions = 1}};
    report r = {.title = "t", .strips = strips, .n_strips = 2};
    char *page = write_and_read(&r);
    uint8_t rgb[H * W * 3];
    decode_image(page, "model, step 1", rgb, W, H);
    cr_assert_eq(memcmp(rgb, (const uint8_t[]){136, 136, 136, 255, 0, 255}, 6), 0, "outside, diverged");
    decode_image(page, "truth, frame", rgb, W, H);
    cr_assert_eq(memcmp(rgb, (const uint8_t[]){0, 128, 255, 0, 128, 255}, 6), 0);
    decode_image(page, "model, frame", rgb, W, H);
    cr_assert_eq(memcmp(rgb, (const uint8_t[]){0, 255, 255}, 3), 0, "1.5 is drawn as 1");
    cr_assert(strstr(page, "outside the domain") && strstr(page, "diverged"));
    cr_assert_eq(count(page, "class=\"film\""), 0, "one time, or no rate, is no film");
    cr_assert_eq(count(page, "<h2"), 1, "empty sections are left out");
    free(page);
}

Test(report_page, smallest)
{
    report r = {.title = ""};
    char *page = write_and_read(&r);
    cr_assert_null(strstr(page, "<h2"));
    cr_assert_null(strstr(page, "<a href"));
    free(page);
    /* A constant field, and a prediction without error: no division by zero anywhere. */
    float same[T * H * W] = {0};
    report_prediction p = {"model", same};
    report_strip s = {.title = "t",
                      .times = T,
                      .height = H,
                      .width = W,
                      .channels = 1,
                      .labels = labels,
                      .fps = 1,
                      .truth = same,
                      .predictions = &p,
                      .n_predictions = 1};
    r.strips = &s, r.n_strips = 1;
    page = write_and_read(&r);
    cr_assert_null(strstr(page, "nan"));
    free(page);
}

Test(report_page, failures_leave_the_file_before)
{
    report r = {.title = "first"};
    free(write_and_read(&r));
    float truth[4] = {0};
    report_strip s = {
        .title = "t", .times = 1, .height = 2, .width = 2, .channels = 2, .labels = labels, .truth = truth};
    report_metric m = {.name = "m"};
    report bad[] = {{0}, {.title = "t", .strips = &s, .n_strips = 1}, {.title = "t", .metrics = &m, .n_metrics = 1}};
    for (int i = 0; i < 3; i++)
        cr_assert_eq(report_write(path, &bad[i]), FWM_INVALID, "case %d", i);
    s.channels = 1, s.shown = (const int[]){1}, s.n_shown = 1;
    cr_assert_eq(report_write(path, &bad[1]), FWM_INVALID, "a time that is not there");
    s.shown = NULL, s.height = 0;
    cr_assert_eq(report_write(path, &bad[1]), FWM_INVALID);
    s.height = s.width = 8192, s.times = 4096;
    cr_assert_eq(report_write(path, &bad[1]), FWM_INVALID, "more pixels than a page can hold");
    char *page = slurp();
    cr_assert(strstr(page, "<title>first</title>"));
    free(page);
    cr_assert_eq(report_write("/nonexistent/report.html", &r), FWM_IO);
    cr_assert(strstr(fwm_error_message(), "/nonexistent/report.html"));
    cr_assert_eq(files(), 1);
    /* A path that cannot be replaced: what was written aside is removed. */
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(report_write(path, &r), FWM_IO);
    cr_assert_eq(files(), 1, "nothing but the folder in the way");
    cr_assert_eq(rmdir(path), 0);
}
