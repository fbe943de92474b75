#include "model/autodiff/choice.h"

#include "model/autodiff/plan_internal.h"
#include "model/base/arena.h"
#include "model/base/threads.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY = 400, NAME = 32, RUNS = 4, PATH = 4096 };

typedef struct choice {
    char key[KEY], name[NAME];
} choice;

struct ad_choices {
    bool measure;
    choice *item;
    int n, capacity, measured;
};

static _Thread_local ad_choices *in_use;
static _Thread_local const char *preparing;

void ad_choices_use(ad_choices *choices)
{
    in_use = choices;
}

const char *ad_preparing_choice(void)
{
    return preparing;
}

fwm_status ad_choices_create(ad_choices **choices, bool measure)
{
    *choices = fwm_calloc(1, sizeof **choices);
    FWM_CHECK(*choices, FWM_MEMORY, "choices: out of memory");
    (*choices)->measure = measure;
    return FWM_OK;
}

void ad_choices_destroy(ad_choices **choices)
{
    if (!choices || !*choices)
        return;
    fwm_free((*choices)->item);
    fwm_free(*choices);
    *choices = NULL;
}

int ad_choices_count(const ad_choices *choices)
{
    return choices->n;
}

int ad_choices_measured(const ad_choices *choices)
{
    return choices->measured;
}

/* ---- the table ---- */

static const char *find(const ad_choices *c, const char *key)
{
    for (int k = 0; k < c->n; k++)
        if (strcmp(c->item[k].key, key) == 0)
            return c->item[k].name;
    return NULL;
}

/* The first choice for a key stays. */
static fwm_status remember(ad_choices *c, const char *key, const char *name)
{
    if (find(c, key))
        return FWM_OK;
    if (c->n == c->capacity) {
        int capacity = c->capacity ? 2 * c->capacity : 64;
        choice *item = fwm_realloc(c->item, (size_t)capacity, sizeof *item);
        FWM_CHECK(item, FWM_MEMORY, "choices: out of memory");
        c->item = item;
        c->capacity = capacity;
    }
    choice *new = &c->item[c->n++];
    (void)snprintf(new->key, sizeof new->key, "%s", key);
    (void)snprintf(new->name, sizeof new->name, "%s", name);
    return FWM_OK;
}

static const char *candidate(const ad_op *op, const char *name)
{
    for (int k = 0; op && op->candidates && op->candidates[k]; k++)
        if (strcmp(op->candidates[k], name) == 0)
            return op->candidates[k];
    return NULL;
}

/* ---- files ---- */

static fwm_status read_line(ad_choices *c, char *line, const char *path, int number)
{
    char *tab = strchr(line, '\t'), op[NAME] = "";
    line[strcspn(line, "\n")] = '\0';
    FWM_CHECK(
        tab && tab - line < KEY && sscanf(line, "%31s", op) == 1, FWM_DATA,
        "%s:%d: expected an operator with its shapes, a tab and a kernel's name, found \"%.60s\"; remove the file "
        "to measure again",
        path, number, line);
    *tab = '\0';
    FWM_CHECK(candidate(ad_op_find(op), tab + 1), FWM_DATA,
              "%s:%d: operator \"%s\" has no kernel \"%.30s\"; remove the line to measure again", path, number, op,
              tab + 1);
    return remember(c, line, tab + 1);
}

fwm_status ad_choices_read(ad_choices *c, const char *path)
{
    char line[KEY + NAME + 8];
    FILE *file = fopen(path, "r");
    if (!file && errno == ENOENT)
        return FWM_OK;
    FWM_CHECK(file, FWM_IO, "%s: cannot be read: %s", path, strerror(errno));
    fwm_status status = FWM_OK;
    for (int number = 1; status == FWM_OK && fgets(line, sizeof line, file); number++)
        status = read_line(c, line, path, number);
    const bool failed = ferror(file) != 0;
    (void)fclose(file);
    FWM_CHECK(status != FWM_OK || !failed, FWM_IO, "%s: cannot be read: %s", path, strerror(errno));
    return status;
}

fwm_status ad_choices_write(const ad_choices *c, const char *path)
{
    char aside[PATH];
    FWM_CHECK(snprintf(aside, sizeof aside, "%s.new", path) < (int)sizeof aside, FWM_IO, "%.100s...: too long a path",
              path);
    FILE *file = fopen(aside, "w");
    FWM_CHECK(file, FWM_IO, "%s: cannot be written: %s", aside, strerror(errno));
    bool done = true;
    for (int k = 0; k < c->n; k++)
        done = fprintf(file, "%s\t%s\n", c->item[k].key, c->item[k].name) > 0 && done;
    done = fflush(file) == 0 && fsync(fileno(file)) == 0 && done;
    done = fclose(file) == 0 && done && rename(aside, path) == 0;
    if (!done)
        (void)unlink(aside);
    FWM_CHECK(done, FWM_IO, "%s: cannot be written: %s", path, strerror(errno));
    return FWM_OK;
}

/* ---- measuring ---- */

static void describe(const ad_step *s, ad_dtype dtype, int isa, char key[KEY])
{
    char text[96];
    size_t at = (size_t)snprintf(key, KEY, "%s", s->op->name);
    for (int k = 0; k < s->call.n_in && at < KEY; k++)
        at += (size_t)snprintf(key + at, KEY - at, " %s", ad_shape_text(s->call.in_shape[k], text));
    for (int k = 0; k < AD_MAX_INTS && at < KEY; k++)
        at += (size_t)snprintf(key + at, KEY - at, "%s%lld", k ? "," : " (", (long long)s->call.attr->i[k]);
    if (at < KEY)
        (void)snprintf(key + at, KEY - at, ") f%d level %d threads %d", dtype == AD_F64 ? 64 : 32, isa,
                       fwm_threads_count());
}

fwm_status ad_step_prepare(const ad_plan *p, ad_step *s, const char *name)
{
    const ad_shape *const *in = s->call.in_shape;
    const size_t scratch =
        s->op->scratch ? s->op->scratch(p->g->dtype, s->call.n_in, in, s->call.out_shape, s->call.attr) : 0;
    s->scratch_size = scratch;
    if (!s->op->prepare)
        return FWM_OK;
    preparing = name;
    const fwm_status status =
        s->op->prepare(p->g->dtype, s->call.n_in, in, s->call.out_shape, s->call.attr, &s->state, &s->scratch_size);
    preparing = NULL;
    return status;
}

void ad_step_release(ad_step *s)
{
    if (s->op->release && s->state)
        s->op->release(s->state);
    s->state = NULL;
}

/* Memory of one value, or of the scratch, that only the trial uses: numbers that no kernel treats apart. */
static fwm_status lend(void **block, size_t bytes, ad_dtype dtype)
{
    *block = NULL;
    if (bytes == 0)
        return FWM_OK;
    FWM_TRY(fwm_block_alloc(block, bytes));
    for (size_t i = 0; i < bytes / ad_dtype_size(dtype); i++)
        if (dtype == AD_F64)
            ((double *)*block)[i] = 0.25 + 0.5 * (double)(i % 7);
        else
            ((float *)*block)[i] = 0.25f + 0.5f * (float)(i % 7);
    return FWM_OK;
}

/* The shortest of a few runs; the first, which touches memory and code, does not count. */
static fwm_status time_runs(const ad_step *s, const ad_call *call, double *seconds)
{
    *seconds = HUGE_VAL;
    for (int k = 0; k < RUNS; k++) {
        const double start = fwm_seconds();
        FWM_TRY(s->kernel(call));
        const double taken = fwm_seconds() - start;
        *seconds = k > 0 && taken < *seconds ? taken : *seconds;
    }
    return FWM_OK;
}

static fwm_status try_candidate(const ad_plan *p, const ad_step *like, const char *name, void *const *in, void *out,
                                double *seconds)
{
    const ad_dtype dtype = p->g->dtype;
    ad_step s = *like;
    *seconds = HUGE_VAL;
    fwm_status status = ad_step_prepare(p, &s, name);
    if (status == FWM_UNSUPPORTED)
        return FWM_OK;
    void *scratch = NULL;
    if (status == FWM_OK)
        status = lend(&scratch, s.scratch_size, dtype);
    ad_call call = s.call;
    call.in = (const void *const *)in, call.out = out, call.scratch = scratch, call.state = s.state;
    if (status == FWM_OK)
        status = time_runs(&s, &call, seconds);
    fwm_block_free(scratch, s.scratch_size);
    ad_step_release(&s);
    return status;
}

static size_t bytes_of(const ad_shape *shape, ad_dtype dtype)
{
    return (size_t)ad_shape_count(shape) * ad_dtype_size(dtype);
}

/* The quickest candidate; NULL where none could be run. */
static fwm_status measure(const ad_plan *p, const ad_step *s, const char **best)
{
    enum { MOST_INPUTS = 4 };
    const ad_dtype dtype = p->g->dtype;
    void *in[MOST_INPUTS] = {NULL}, *out = NULL;
    double least = HUGE_VAL, seconds;
    fwm_status status = FWM_OK;
    *best = NULL;
    FWM_CHECK(s->call.n_in <= MOST_INPUTS, FWM_INTERNAL, "choices: too many inputs");
    for (int k = 0; k < s->call.n_in; k++)
        FWM_TRY_GOTO(status, lend(&in[k], bytes_of(s->call.in_shape[k], dtype), dtype));
    FWM_TRY_GOTO(status, lend(&out, bytes_of(s->call.out_shape, dtype), dtype));
    for (int k = 0; s->op->candidates[k]; k++) {
        FWM_TRY_GOTO(status, try_candidate(p, s, s->op->candidates[k], in, out, &seconds));
        if (seconds < least) {
            least = seconds;
            *best = s->op->candidates[k];
        }
    }
done:
    for (int k = 0; k < s->call.n_in; k++)
        fwm_block_free(in[k], bytes_of(s->call.in_shape[k], dtype));
    fwm_block_free(out, bytes_of(s->call.out_shape, dtype));
    return status;
}

fwm_status ad_step_choose(const ad_plan *p, const ad_step *s, const char **name)
{
    char key[KEY];
    *name = NULL;
    if (!in_use || !s->op->candidates || p->g->dtype != AD_F32)
        return FWM_OK;
    describe(s, p->g->dtype, p->isa, key);
    const char *known = find(in_use, key);
    if (known || !in_use->measure) {
        *name = known ? candidate(s->op, known) : NULL;
        return FWM_OK;
    }
    FWM_TRY(measure(p, s, name));
    if (!*name)
        return FWM_OK;
    in_use->measured++;
    return remember(in_use, key, *name);
}
