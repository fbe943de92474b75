#include "train/events.h"

#include "model/base/log.h"
#include "model/base/random.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/fwm_events_XXXXXX", path[64];

static void setup(void)
{
    fwm_log_set_level(FWM_LOG_ERROR);
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
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

TestSuite(events, .init = setup, .fini = teardown);

static void put(const char *data, size_t n)
{
    FILE *f = fopen(path, "w");
    cr_assert_eq(fwrite(data, 1, n, f), n);
    (void)fclose(f);
}

static char *get(size_t *n)
{
    static char buffer[65536];
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f);
    *n = fread(buffer, 1, sizeof buffer - 1, f);
    buffer[*n] = '\0';
    (void)fclose(f);
    return buffer;
}

static void write_steps(int64_t done, int64_t first, int64_t last)
{
    tr_events *e;
    cr_assert_eq(tr_events_open(&e, path, done), FWM_OK, "%s", fwm_error_message());
    for (int64_t step = first; step <= last; step++) {
        tr_scalar s[] = {{"loss", 1.0 / (double)step}, {"grad_norm", NAN}, {"eval/vrmse_20", 3.0}};
        cr_assert_eq(tr_events_write(e, step, s, 3), FWM_OK);
    }
    cr_assert_eq(tr_events_close(&e), FWM_OK);
    cr_assert_null(e);
}

Test(events, lines)
{
    write_steps(-1, 1, 3);
    size_t n;
    cr_assert_str_eq(get(&n),
                     "{\"step\": 1, \"loss\": 1, \"grad_norm\": null, \"eval/vrmse_20\": 3}\n"
                     "{\"step\": 2, \"loss\": 0.5, \"grad_norm\": null, \"eval/vrmse_20\": 3}\n"
                     "{\"step\": 3, \"loss\": 0.3333333333333333, \"grad_norm\": null, \"eval/vrmse_20\": 3}\n");
}

Test(events, every_line_is_there_before_the_next)
{
    tr_events *e;
    cr_assert_eq(tr_events_open(&e, path, -1), FWM_OK);
    tr_scalar s = {"loss", 0.25};
    cr_assert_eq(tr_events_write(e, 1, &s, 1), FWM_OK);
    size_t n;
    cr_assert_str_eq(get(&n), "{\"step\": 1, \"loss\": 0.25}\n", "a killed process must not lose it");
    cr_assert_eq(tr_events_close(&e), FWM_OK);
}

Test(events, numbers_come_back)
{
    enum { ROWS = 400 };
    double x[ROWS] = {0, 1e-320, -1e308, 1e300, 0.1, 1.0 / 3, 9007199254740993.0, -4503599627370497.0, 123456789.125};
    fwm_key key = {.seed = 1};
    for (int i = 9; i < ROWS; i++)
        x[i] = ldexp(fwm_random_uniform(key, 0, (uint32_t)i) - 0.5, i % 200 - 100);
    tr_events *e;
    cr_assert_eq(tr_events_open(&e, path, -1), FWM_OK);
    for (int i = 0; i < ROWS; i++)
        cr_assert_eq(tr_events_write(e, i, &(tr_scalar){"x", x[i]}, 1), FWM_OK);
    cr_assert_eq(tr_events_close(&e), FWM_OK);
    tr_history h;
    cr_assert_eq(tr_history_read(&h, path), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(h.rows, ROWS);
    const double *back = tr_history_column(&h, "x");
    for (int i = 0; i < ROWS; i++)
        cr_assert_eq(back[i], x[i], "%.17g came back as %.17g", x[i], back[i]);
    tr_history_free(&h);
}

Test(events, resume_repeats_nothing)
{
    write_steps(-1, 1, 9);
    size_t n, m;
    char *whole = strdup(get(&n));
    write_steps(5, 6, 9);
    cr_assert_str_eq(get(&m), whole, "5 steps and 4 more must read as 9");
    write_steps(9, 10, 9);
    cr_assert_str_eq(get(&m), whole, "nothing to drop, nothing changed");
    cr_assert_eq(files(), 1, "nothing was left beside the log");
    write_steps(-1, 1, 2);
    tr_history h;
    cr_assert_eq(tr_history_read(&h, path), FWM_OK);
    cr_assert_eq(h.rows, 2, "a run that begins afresh leaves the old log behind");
    tr_history_free(&h);
    free(whole);
}

/* A kill may cut the file anywhere. */
Test(events, cut_at_every_byte)
{
    write_steps(-1, 1, 4);
    size_t n, m;
    char *whole = strdup(get(&n));
    for (size_t cut = 0; cut <= n; cut++) {
        int64_t lines = 0;
        for (size_t i = 0; i < cut; i++)
            lines += whole[i] == '\n';
        put(whole, cut);
        tr_history h;
        cr_assert_eq(tr_history_read(&h, path), FWM_OK, "cut at %zu: %s", cut, fwm_error_message());
        cr_assert_eq(h.rows, lines);
        tr_history_free(&h);
        write_steps(lines, lines + 1, 4);
        cr_assert_str_eq(get(&m), whole, "cut at %zu", cut);
    }
    free(whole);
}

Test(events, what_is_no_line_of_ours_is_dropped_on_resume_and_named_on_reading)
{
    static const char mixed[] =
        "{\"step\": 1, \"loss\": 2}\n{\"loss\": 2}\nnonsense\n[1]\n{\"step\": 2, \"loss\": 1}\n";
    put(mixed, sizeof mixed - 1);
    tr_history h;
    cr_assert_eq(tr_history_read(&h, path), FWM_DATA);
    cr_assert(strstr(fwm_error_message(), "metrics.jsonl:2"), "%s", fwm_error_message());
    cr_assert_eq(h.rows, 0);
    tr_events *e;
    cr_assert_eq(tr_events_open(&e, path, 7), FWM_OK);
    cr_assert_eq(tr_events_close(&e), FWM_OK);
    size_t n;
    cr_assert_str_eq(get(&n), "{\"step\": 1, \"loss\": 2}\n{\"step\": 2, \"loss\": 1}\n");
}

Test(events, a_line_without_its_end_is_not_whole)
{
    static const char lines[] = "{\"step\": 1, \"loss\": 2}\n{\"step\": 1, \"x\": 3}";
    put(lines, sizeof lines - 1);
    tr_events *e;
    cr_assert_eq(tr_events_open(&e, path, 1), FWM_OK);
    cr_assert_eq(tr_events_close(&e), FWM_OK);
    size_t n;
    cr_assert_str_eq(get(&n), "{\"step\": 1, \"loss\": 2}\n", "the next line would have been joined to it");
}

Test(events, columns)
{
    static const char lines[] =
        "{\"step\": 1, \"loss\": 2, \"note\": \"text\"}\n{\"step\": 2, \"lr\": 0.5, \"loss\": null}\n";
    put(lines, sizeof lines - 1);
    tr_history h;
    cr_assert_eq(tr_history_read(&h, path), FWM_OK);
    cr_assert_eq(h.columns, 3);
    cr_assert_str_eq(h.names[0], "step");
    cr_assert_eq(tr_history_column(&h, "step")[1], 2.0);
    cr_assert_eq(tr_history_column(&h, "loss")[0], 2.0);
    cr_assert(isnan(tr_history_column(&h, "loss")[1]) && isnan(tr_history_column(&h, "lr")[0]));
    cr_assert_eq(tr_history_column(&h, "lr")[1], 0.5);
    cr_assert_null(tr_history_column(&h, "note"));
    double x[2], y[2];
    cr_assert_eq(tr_history_series(&h, "lr", x, y), 1, "the first line does not speak of it");
    cr_assert(x[0] == 2 && y[0] == 0.5);
    cr_assert_eq(tr_history_series(&h, "loss", x, y), 2);
    cr_assert(y[0] == 2 && isnan(y[1]), "null was there, and is a gap");
    cr_assert_eq(tr_history_series(&h, "note", x, y), 0);
    tr_history_free(&h);
}

Test(events, bad_names_write_nothing)
{
    tr_events *e;
    cr_assert_eq(tr_events_open(&e, path, -1), FWM_OK);
    const char *bad[] = {"", "step", "a\"b", "a b", "a\n"};
    for (int i = 0; i < 5; i++)
        cr_assert_eq(tr_events_write(e, 1, (tr_scalar[]){{"loss", 1}, {bad[i], 1}}, 2), FWM_INVALID);
    cr_assert_eq(tr_events_close(&e), FWM_OK);
    size_t n;
    (void)get(&n);
    cr_assert_eq(n, 0);
}

Test(events, failures_name_the_file)
{
    tr_events *e;
    cr_assert_eq(tr_events_open(&e, "/nonexistent/metrics.jsonl", 0), FWM_IO);
    cr_assert_null(e);
    cr_assert(strstr(fwm_error_message(), "/nonexistent/metrics.jsonl"));
    tr_history h;
    cr_assert_eq(tr_history_read(&h, path), FWM_IO);
    cr_assert(strstr(fwm_error_message(), path));
    cr_assert_eq(tr_events_open(&e, path, -2), FWM_INVALID);
}
