#include "model/transport/sites.h"

#include "model/base/arena.h"
#include "model/base/threads.h"
#include "model/transport/kernels/nearest.h"
#include "model/transport/kernels/softmin.h"
#include "model/transport/numeric.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { BLOCK = 16 }; /* rows whose costs stand at once */

/* A thread's own: costs of BLOCK rows in the type, and wide. */
typedef struct slot {
    void *cost, *rows;
    double *wide, *between;
} slot;

struct ot_sites {
    ad_dtype dtype;
    int64_t capacity, N, d, ld; /* ld: N padded */
    int slots;
    const ot_kernels *kernels;
    const ot_nearest_kernels *nearest;
    void *block;
    size_t size;
    void *y, *panels, *h;
    slot *slot;
};

static int64_t padded(int64_t n)
{
    return (n + OT_PAD - 1) / OT_PAD * OT_PAD;
}

static void place(ot_sites *s, ot_cursor *c)
{
    size_t element = ad_dtype_size(s->dtype);
    int64_t ld = padded(s->capacity);
    s->y = ot_cursor_take(c, s->capacity, s->d, element);
    s->panels = ot_cursor_take(c, ld, s->d, element);
    s->h = ot_cursor_take(c, ld, 1, element);
    s->slot = ot_cursor_take(c, s->slots, 1, sizeof *s->slot);
    for (int t = 0; t < s->slots; t++) {
        slot one = {.cost = ot_cursor_take(c, BLOCK, ld, element), .rows = ot_cursor_take(c, BLOCK, s->d, element)};
        one.wide = ot_cursor_take(c, BLOCK, ld, sizeof(double));
        one.between = ot_cursor_take(c, BLOCK, ld, sizeof(double));
        if (c->base)
            s->slot[t] = one;
    }
}

fwm_status ot_sites_create(ot_sites **out, ad_dtype dtype, int64_t capacity, int64_t d)
{
    *out = NULL;
    FWM_CHECK(capacity >= 1 && d >= 1, FWM_INVALID,
              "a set of sites needs room for one point and one coordinate, found [%lld,%lld]", (long long)capacity,
              (long long)d);
    FWM_CHECK(capacity < INT64_MAX / 4, FWM_OVERFLOW, "room for %lld sites is too much", (long long)capacity);
    ot_sites *s = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "sites: out of memory");
    *s = (ot_sites){.dtype = dtype, .capacity = capacity, .d = d, .slots = fwm_threads_count()};
    s->kernels = ot_kernels_find(dtype == AD_F64);
    s->nearest = ot_nearest_kernels_find(dtype == AD_F64);
    fwm_status status = FWM_OK;
    ot_cursor c = {0};
    place(s, &c);
    FWM_CHECK_GOTO(status, !c.overflow, FWM_OVERFLOW, "%lld sites in %lld dimensions are too many", (long long)capacity,
                   (long long)d);
    FWM_TRY_GOTO(status, fwm_block_alloc(&s->block, c.at));
    s->size = c.at;
    c = (ot_cursor){.base = s->block};
    place(s, &c);
    *out = s;
    return FWM_OK;
done:
    ot_sites_destroy(&s);
    return status;
}

void ot_sites_destroy(ot_sites **s)
{
    if (!s || !*s)
        return;
    if ((*s)->block)
        fwm_block_free((*s)->block, (*s)->size);
    fwm_free(*s);
    *s = NULL;
}

size_t ot_sites_memory(const ot_sites *s)
{
    return s->size + sizeof *s;
}

int64_t ot_sites_count(const ot_sites *s)
{
    return s->N;
}

int64_t ot_sites_dimension(const ot_sites *s)
{
    return s->d;
}

ad_dtype ot_sites_dtype(const ot_sites *s)
{
    return s->dtype;
}

double ot_number(ad_dtype dtype, const void *v, int64_t i)
{
    return dtype == AD_F64 ? ((const double *)v)[i] : (double)((const float *)v)[i];
}

void ot_number_put(ad_dtype dtype, void *v, int64_t i, double value)
{
    if (dtype == AD_F64)
        ((double *)v)[i] = value;
    else
        ((float *)v)[i] = (float)value;
}

double ot_sites_coordinate(const ot_sites *s, int64_t j, int64_t k)
{
    return ot_number(s->dtype, s->y, j * s->d + k);
}

void ot_sites_set_heights(ot_sites *s, const double *g)
{
    for (int64_t j = 0; j < s->ld; j++)
        ot_number_put(s->dtype, s->h, j, g && j < s->N ? g[j] : 0.0);
}

fwm_status ot_sites_set(ot_sites *s, int64_t N, const void *y, const double *g)
{
    FWM_CHECK(N >= 1 && N <= s->capacity, FWM_INVALID, "expected 1 to %lld sites, found %lld", (long long)s->capacity,
              (long long)N);
    for (int64_t i = 0; i < N * s->d; i++)
        FWM_CHECK(isfinite(ot_number(s->dtype, y, i)), FWM_NUMERIC,
                  "coordinate %lld of site %lld is %g, expected a finite number", (long long)(i % s->d),
                  (long long)(i / s->d), ot_number(s->dtype, y, i));
    for (int64_t j = 0; g && j < N; j++)
        FWM_CHECK(isfinite(g[j]), FWM_NUMERIC, "height %lld is %g, expected a finite number", (long long)j, g[j]);
    s->N = N;
    s->ld = padded(N);
    memcpy(s->y, y, (size_t)(N * s->d) * ad_dtype_size(s->dtype));
    for (int64_t j = 0; j < s->ld; j++)
        for (int64_t k = 0; k < s->d; k++)
            ot_number_put(s->dtype, s->panels, j / OT_PAD * OT_PAD * s->d + k * OT_PAD + j % OT_PAD,
                          j < N ? ot_number(s->dtype, y, j * s->d + k) : 0.0);
    ot_sites_set_heights(s, g);
    return FWM_OK;
}

/* ---- rows of costs ---- */

static const char *row_at(const ot_sites *s, const void *x, int64_t i)
{
    return (const char *)x + (size_t)(i * s->d) * ad_dtype_size(s->dtype);
}

static char *cost_at(const ot_sites *s, const slot *t, int64_t r)
{
    return (char *)t->cost + (size_t)(r * s->ld) * ad_dtype_size(s->dtype);
}

/* Costs of `rows` points to t->cost [rows][ld], padding infinite. */
static void costs(const ot_sites *s, const slot *t, int64_t rows, const void *x)
{
    ot_pair pair = {.M = rows, .N = s->N, .ld = s->ld, .C = t->cost};
    s->kernels->cost(&pair, s->d, s->d, x, s->panels);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = s->N; j < s->ld; j++)
            ot_number_put(s->dtype, t->cost, r * s->ld + j, INFINITY);
}

typedef void (*block_work)(const ot_sites *s, void *self, const slot *t, int64_t first, int64_t rows, const void *x);

static void for_blocks(const ot_sites *s, int64_t M, const void *x, block_work work, void *self)
{
    int64_t blocks = (M + BLOCK - 1) / BLOCK;
    int threads = fwm_threads_count() < s->slots ? fwm_threads_count() : s->slots;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (M * s->ld > FWM_PARALLEL_MIN)
    for (int64_t b = 0; b < blocks; b++) {
        const slot *t = &s->slot[omp_get_thread_num()];
        int64_t first = b * BLOCK, rows = M - first < BLOCK ? M - first : BLOCK;
        costs(s, t, rows, row_at(s, x, first));
        work(s, self, t, first, rows, x);
    }
}

/* ---- queries ---- */

typedef struct query {
    int64_t *index;
    double *value;
    bool self, mean;
    ot_sites_visitor visit;
    ot_sites_cell_visitor visit_cell;
    void *visitor;
} query;

static void find_cells(const ot_sites *s, void *self, const slot *t, int64_t first, int64_t rows, const void *x)
{
    (void)x;
    const query *q = self;
    for (int64_t r = 0; r < rows; r++) {
        double score;
        int64_t cell = s->nearest->best(s->ld, cost_at(s, t, r), s->h, &score);
        if (q->index)
            q->index[first + r] = cell < s->N ? cell : 0;
        if (q->value)
            q->value[first + r] = score;
    }
}

void ot_sites_cells(const ot_sites *s, int64_t *cell, double *score, int64_t M, const void *x)
{
    query q = {.index = cell, .value = score};
    for_blocks(s, M, x, find_cells, &q);
}

static void find_nearest(const ot_sites *s, void *self, const slot *t, int64_t first, int64_t rows, const void *x)
{
    (void)x;
    const query *q = self;
    for (int64_t r = 0; r < rows; r++) {
        double half[2];
        int64_t index[2];
        if (q->self)
            ot_number_put(s->dtype, t->cost, r * s->ld + first + r, INFINITY);
        s->nearest->two(s->ld, cost_at(s, t, r), half, index);
        double a = sqrt(2 * half[0]), b = sqrt(2 * half[1]);
        if (q->mean) {
            q->value[first + r] = isfinite(b) ? 0.5 * (a + b) : a;
            continue;
        }
        for (int k = 0; k < 2; k++) {
            if (q->index)
                q->index[2 * (first + r) + k] = index[k] < s->N ? index[k] : 0;
            if (q->value)
                q->value[2 * (first + r) + k] = k ? b : a;
        }
    }
}

void ot_sites_nearest(const ot_sites *s, int64_t *index, double *distance, int64_t M, const void *x, bool self)
{
    query q = {.index = index, .value = distance, .self = self};
    for_blocks(s, M, x, find_nearest, &q);
}

void ot_sites_distance(const ot_sites *s, double *d2, int64_t M, const void *x, bool self)
{
    query q = {.value = d2, .self = self, .mean = true};
    for_blocks(s, M, x, find_nearest, &q);
}

static void visit_rows(const ot_sites *s, void *self, const slot *t, int64_t first, int64_t rows, const void *x)
{
    (void)x;
    const query *q = self;
    for (int64_t r = 0; r < rows; r++) {
        s->nearest->widen(s->ld, t->wide, cost_at(s, t, r));
        q->visit(q->visitor, first + r, t->wide);
    }
}

void ot_sites_each(const ot_sites *s, int64_t M, const void *x, ot_sites_visitor visit, void *self)
{
    query q = {.visit = visit, .visitor = self};
    for_blocks(s, M, x, visit_rows, &q);
}

static void visit_cells(const ot_sites *s, void *self, const slot *t, int64_t first, int64_t rows, const void *x)
{
    (void)x;
    const query *q = self;
    int64_t cell[BLOCK];
    size_t bytes = (size_t)s->d * ad_dtype_size(s->dtype);
    for (int64_t r = 0; r < rows; r++) {
        double score;
        cell[r] = s->nearest->best(s->ld, cost_at(s, t, r), s->h, &score);
        cell[r] = cell[r] < s->N ? cell[r] : 0;
        s->nearest->widen(s->ld, t->wide + r * s->ld, cost_at(s, t, r));
        memcpy((char *)t->rows + (size_t)r * bytes, row_at(s, s->y, cell[r]), bytes);
    }
    costs(s, t, rows, t->rows);
    for (int64_t r = 0; r < rows; r++) {
        s->nearest->widen(s->ld, t->between, cost_at(s, t, r));
        q->visit_cell(q->visitor, first + r, cell[r], t->wide + r * s->ld, t->between);
    }
}

void ot_sites_each_cell(const ot_sites *s, int64_t M, const void *x, ot_sites_cell_visitor visit, void *self)
{
    query q = {.visit_cell = visit, .visitor = self};
    for_blocks(s, M, x, visit_cells, &q);
}

double ot_sites_spacing(const ot_sites *s, double *scratch)
{
    if (s->N < 2)
        return 0;
    ot_sites_nearest(s, NULL, scratch, s->N, s->y, true);
    for (int64_t i = 0; i < s->N; i++)
        scratch[i] = scratch[2 * i];
    return ot_quantile(s->N, scratch, 0.5, scratch + s->N);
}
