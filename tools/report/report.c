#include "tools/report/report.h"

#include "model/base/arena.h"
#include "tools/report/chart.h"
#include "tools/report/strip.h"
#include "tools/report/style.h"
#include "tools/report/text.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SIDE = 8192, MAX_TIMES = 4096 };

/* ---- what makes no sense is refused before anything is written ---- */

static fwm_status check_strip(const report_strip *s)
{
    FWM_CHECK(s->title && s->labels && s->truth && s->times >= 1 && s->times <= MAX_TIMES && s->height >= 1 &&
                  s->height <= MAX_SIDE && s->width >= 1 && s->width <= MAX_SIDE,
              FWM_INVALID,
              "report: images of \"%s\": expected labels and 1 to %d times of 1 to %d pixels a side, found %d of %dx%d",
              s->title ? s->title : "?", MAX_TIMES, MAX_SIDE, s->times, s->width, s->height);
    FWM_CHECK((int64_t)s->times * s->height * s->width <= 1 << 28, FWM_INVALID,
              "report: images of \"%s\": %d times of %dx%d pixels are too many for one page", s->title, s->times,
              s->width, s->height);
    FWM_CHECK(s->channels == 1 || s->channels == 3, FWM_INVALID,
              "report: images of \"%s\": expected 1 channel (a field) or 3 (RGB), found %d", s->title, s->channels);
    for (int i = 0; i < s->times; i++)
        FWM_CHECK(s->labels[i], FWM_INVALID, "report: images of \"%s\": time %d has no label", s->title, i);
    for (int i = 0; s->shown && i < s->n_shown; i++)
        FWM_CHECK(s->shown[i] >= 0 && s->shown[i] < s->times, FWM_INVALID,
                  "report: images of \"%s\": expected times 0 to %d, found %d", s->title, s->times - 1, s->shown[i]);
    for (int i = 0; i < s->n_predictions; i++)
        FWM_CHECK(s->predictions[i].name && s->predictions[i].values, FWM_INVALID,
                  "report: images of \"%s\": prediction %d has no name or no values", s->title, i);
    return FWM_OK;
}

static fwm_status check_chart(const report_chart *c)
{
    FWM_CHECK(c->title && c->x_label && c->y_label, FWM_INVALID,
              "report: chart \"%s\": expected a title and two labels", c->title ? c->title : "?");
    for (int i = 0; i < c->n_series; i++) {
        const report_series *s = &c->series[i];
        FWM_CHECK(s->name && s->n >= 0 && (s->n == 0 || (s->x && s->y)), FWM_INVALID,
                  "report: chart \"%s\": series %d has no name or no values", c->title, i);
    }
    return FWM_OK;
}

static fwm_status check_report(const report *r)
{
    FWM_CHECK(r->title, FWM_INVALID, "report: expected a title");
    FWM_CHECK(r->n_metrics == 0 || r->n_methods >= 1, FWM_INVALID, "report: metrics without methods to have them");
    for (int i = 0; i < r->n_metrics; i++)
        FWM_CHECK(r->metrics[i].name && r->metrics[i].values, FWM_INVALID, "report: metric %d has no name or no values",
                  i);
    for (int i = 0; i < r->n_charts; i++)
        FWM_TRY(check_chart(&r->charts[i]));
    for (int i = 0; i < r->n_strips; i++)
        FWM_TRY(check_strip(&r->strips[i]));
    return FWM_OK;
}

/* ---- sections ---- */

static void add_element(report_text *t, const char *open, const char *text, const char *close)
{
    if (!text)
        return;
    report_text_add(t, open);
    report_text_escape(t, text);
    report_text_add(t, close);
}

static void add_head(report_text *t, const report *r)
{
    /* The policy states what the page promises: nothing is fetched and nothing runs. */
    report_text_add(t, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
                       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
                       "style-src 'unsafe-inline'\"/>"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"
                       "<meta name=\"color-scheme\" content=\"light dark\"/>");
    add_element(t, "<title>", r->title, "</title><style>");
    report_text_add(t, report_style);
    report_text_add(t, "</style></head>\n<body><main>");
    add_element(t, "<header><h1>", r->title, "</h1>");
    add_element(t, "<p class=\"subtitle\">", r->subtitle, "</p>");
    report_text_add(t, "</header><nav>");
    if (r->n_metrics > 0)
        report_text_add(t, "<a href=\"#metrics\">Metrics</a>");
    if (r->n_parameters > 0)
        report_text_add(t, "<a href=\"#parameters\">Parameters</a>");
    if (r->n_charts > 0)
        report_text_add(t, "<a href=\"#curves\">Curves</a>");
    if (r->n_strips > 0)
        report_text_add(t, "<a href=\"#rollouts\">Rollouts</a>");
    if (r->config)
        report_text_add(t, "<a href=\"#configuration\">Configuration</a>");
    report_text_add(t, "</nav>\n");
}

static void add_facts(report_text *t, const report *r)
{
    if (r->n_headlines > 0)
        report_text_add(t, "<div class=\"cards\">");
    for (int i = 0; i < r->n_headlines; i++) {
        add_element(t, "<div class=\"card\"><span>", r->headlines[i].label, "</span>");
        add_element(t, "<b>", r->headlines[i].value, "</b>");
        add_element(t, "<i>", r->headlines[i].note, "</i>");
        report_text_add(t, "</div>");
    }
    report_text_add(t, r->n_headlines > 0 ? "</div>\n" : "");
    if (r->n_facts > 0)
        report_text_add(t, "<dl>");
    for (int i = 0; i < r->n_facts; i++) {
        add_element(t, "<div><dt>", r->facts[i].label, "</dt><dd>");
        report_text_escape(t, r->facts[i].value);
        add_element(t, " <span class=\"unit\">", r->facts[i].note, "</span>");
        report_text_add(t, "</dd></div>");
    }
    report_text_add(t, r->n_facts > 0 ? "</dl>\n" : "");
}

static bool better(const report_metric *m, double a, double b)
{
    return isfinite(a) && (!isfinite(b) || (m->higher_is_better ? a > b : a < b));
}

/* The best of methods [from, n); NaN when none was measured. */
static double best_value(const report_metric *m, int from, int n)
{
    double best = NAN;
    for (int i = from; i < n; i++)
        if (better(m, m->values[i], best))
            best = m->values[i];
    return best;
}

/* The first method against the best of the others: a ratio where less is better, a difference where more is. */
static void add_comparison(report_text *t, const report_metric *m, int n)
{
    double mine = m->values[0], other = best_value(m, 1, n);
    report_text_format(t, "<td%s>", better(m, mine, other) && isfinite(other) ? " class=\"better\"" : "");
    if (!isfinite(mine) || !isfinite(other))
        report_text_number(t, NAN);
    else if (m->higher_is_better)
        report_text_format(t, "%+.3g", mine - other);
    else if (mine <= 0 || other <= 0 || mine == other)
        report_text_add(t, mine == other ? "equal" : mine < other ? "lower" : "higher");
    else
        report_text_format(t, "%.3g\xC3\x97 %s", mine < other ? other / mine : mine / other,
                           mine < other ? "lower" : "higher");
    report_text_add(t, "</td>");
}

static void add_metrics(report_text *t, const report *r)
{
    if (r->n_metrics == 0)
        return;
    report_text_add(t,
                    "<section><h2 id=\"metrics\">Metrics</h2><div class=\"wide\"><table class=\"numbers\"><thead><tr>"
                    "<th scope=\"col\">metric</th>");
    for (int i = 0; i < r->n_methods; i++)
        add_element(t, "<th scope=\"col\">", r->methods[i], "</th>");
    if (r->n_methods > 1)
        add_element(t, "<th scope=\"col\">", r->methods[0], " against the best other</th>");
    report_text_add(t, "</tr></thead><tbody>");
    for (int k = 0; k < r->n_metrics; k++) {
        const report_metric *m = &r->metrics[k];
        add_element(t, "<tr><th scope=\"row\">", m->name, "");
        add_element(t, " <span class=\"unit\">[", m->unit, "]</span>");
        report_text_format(t, " <span class=\"unit\">%s</span></th>",
                           m->higher_is_better ? "\xE2\x86\x91" : "\xE2\x86\x93");
        double best = best_value(m, 0, r->n_methods);
        for (int i = 0; i < r->n_methods; i++) {
            report_text_add(t, r->n_methods > 1 && m->values[i] == best ? "<td class=\"best\">" : "<td>");
            report_text_number(t, m->values[i]);
            report_text_add(t, "</td>");
        }
        if (r->n_methods > 1)
            add_comparison(t, m, r->n_methods);
        report_text_add(t, "</tr>");
    }
    report_text_add(
        t, "</tbody></table></div><p class=\"note\">\xE2\x86\x93 lower is better, \xE2\x86\x91 higher is better; "
           "the best of a row is bold; \xE2\x80\x93 was not measured.</p></section>\n");
}

static void add_parameters(report_text *t, const report *r)
{
    if (r->n_parameters == 0)
        return;
    report_text_add(t,
                    "<section><h2 id=\"parameters\">Parameters</h2><div class=\"wide\"><table class=\"numbers\"><thead>"
                    "<tr><th scope=\"col\">parameter</th><th scope=\"col\">start</th><th scope=\"col\">fitted</th>"
                    "<th scope=\"col\">true</th><th scope=\"col\">error</th></tr></thead><tbody>");
    for (int i = 0; i < r->n_parameters; i++) {
        const report_parameter *p = &r->parameters[i];
        add_element(t, "<tr><th scope=\"row\">", p->name ? p->name : "?", "");
        add_element(t, " <span class=\"unit\">[", p->unit, "]</span>");
        report_text_add(t, "</th><td>");
        report_text_number(t, p->initial);
        report_text_add(t, "</td><td class=\"best\">");
        report_text_number(t, p->fitted);
        report_text_add(t, "</td><td>");
        report_text_number(t, p->truth);
        report_text_add(t, "</td><td>");
        double error = p->fitted - p->truth;
        if (isfinite(error) && p->truth != 0)
            report_text_format(t, "%+.2g %%", 100 * error / fabs(p->truth));
        else
            report_text_number(t, error);
        report_text_add(t, "</td></tr>");
    }
    report_text_add(t, "</tbody></table></div></section>\n");
}

static fwm_status add_page(report_text *t, const report *r)
{
    add_head(t, r);
    add_facts(t, r);
    add_metrics(t, r);
    add_parameters(t, r);
    if (r->n_charts > 0)
        report_text_add(t, "<section><h2 id=\"curves\">Curves</h2><div class=\"charts\">");
    for (int i = 0; i < r->n_charts; i++)
        report_chart_add(t, &r->charts[i]);
    report_text_add(t, r->n_charts > 0 ? "</div></section>\n" : "");
    if (r->n_strips > 0)
        report_text_add(t, "<section><h2 id=\"rollouts\">Rollouts</h2>");
    for (int i = 0; i < r->n_strips; i++)
        FWM_TRY(report_strip_add(t, &r->strips[i]));
    report_text_add(t, r->n_strips > 0 ? "</section>\n" : "");
    add_element(t, "<section><h2 id=\"configuration\">Configuration</h2><pre>", r->config, "</pre></section>\n");
    report_text_add(t, "<footer>Written by fwm " FWM_VERSION ". This file holds everything it shows.</footer>"
                       "</main></body></html>\n");
    FWM_CHECK(!t->failed, FWM_MEMORY, "report: out of memory after %zu bytes", t->n);
    return FWM_OK;
}

/* ---- the file ---- */

static fwm_status write_bytes(const char *path, const char *data, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    FWM_CHECK(fd >= 0, FWM_IO, "%s: cannot make: %s", path, strerror(errno));
    int failed = 0;
    while (n > 0 && !failed) {
        ssize_t done = write(fd, data, n);
        if (done >= 0)
            data += done, n -= (size_t)done;
        else if (errno != EINTR)
            failed = errno;
    }
    if (!failed && fsync(fd) != 0)
        failed = errno;
    if (close(fd) != 0 && !failed)
        failed = errno;
    FWM_CHECK(!failed, FWM_IO, "%s: cannot write: %s", path, strerror(failed));
    return FWM_OK;
}

static fwm_status write_aside(const char *path, const report_text *page)
{
    size_t size = strlen(path) + 32;
    char *aside = fwm_malloc(size, 1);
    FWM_CHECK(aside, FWM_MEMORY, "%s: out of memory", path);
    (void)snprintf(aside, size, "%s.%ld.aside", path, (long)getpid());
    fwm_status status = write_bytes(aside, page->data, page->n);
    if (status == FWM_OK && rename(aside, path) != 0)
        status = fwm_fail(FWM_IO, "%s: cannot replace: %s", path, strerror(errno));
    if (status != FWM_OK)
        (void)unlink(aside);
    fwm_free(aside);
    return status;
}

fwm_status report_write(const char *path, const report *r)
{
    FWM_TRY(check_report(r));
    report_text page = {0};
    fwm_status status = add_page(&page, r);
    if (status == FWM_OK)
        status = write_aside(path, &page);
    report_text_free(&page);
    return status;
}
