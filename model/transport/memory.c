#include "model/transport/memory.h"

#include "model/base/arena.h"
#include "model/transport/numeric.h"

#include <math.h>
#include <string.h>

enum { LEAST_CODES = 16, DIRECTIONS = 64, STREAM_ANCHORS = 0x616e6368, STREAM_SLICES = 0x736c6963 };

/* Scalars of the state, as doubles, in the order in which a checkpoint has them. */
enum {
    BANK_COUNT,
    BANK_NEXT,
    MADE_COUNT,
    MADE_NEXT,
    LOOK_CODES,
    LOOK_STEP,
    LOOKS,
    COVERAGE,
    MASS_ERROR,
    BEST_COVERAGE,
    GUARD,
    LOWERED,
    OLDEST,
    SLICED,
    SCALARS
};

struct ot_memory {
    ad_dtype dtype;
    ot_memory_options o;
    ot_ring bank, made;
    ot_geometry look;
    int64_t look_step;
    void *code, *context, *joint; /* of the look */
    double *scalar;
    ot_support *support;
    ot_boundary *boundary;
    ot_sites *predictions, *joints;
    ot_sliced *slices;
    double *delta, *scratch; /* [N], [2 N] */
    int64_t *near, *j1, *j2; /* [max(N,P)][2], [N], [N] */
    void *block;
    size_t size;
};

static const double coverage_reach = 1.5, coverage_drop = 0.9, mass_kept = 0.25, least_mass = 0.05;
/* Up to .02 of the pairs within a convex cloud seem invisible (A8 of the transport checks). */
static const double seen_through = 0.05;

static void place_ring(const ot_memory *m, ot_cursor *c, ot_ring *r, bool weights)
{
    size_t element = ad_dtype_size(m->dtype);
    r->code = ot_cursor_take(c, r->room, m->o.d, element);
    r->context = ot_cursor_take(c, r->room, m->o.dc, element);
    r->step = ot_cursor_take(c, r->room, 1, sizeof(int64_t));
    r->weight = weights ? ot_cursor_take(c, r->room, 1, sizeof(double)) : NULL;
}

static void place(ot_memory *m, ot_cursor *c)
{
    int64_t N = m->o.codes, P = m->made.room;
    size_t element = ad_dtype_size(m->dtype);
    place_ring(m, c, &m->bank, false);
    place_ring(m, c, &m->made, true);
    m->code = ot_cursor_take(c, N, m->o.d, element);
    m->context = ot_cursor_take(c, N, m->o.dc, element);
    m->joint = ot_cursor_take(c, N, m->o.d + m->o.dc, element);
    m->scalar = ot_cursor_take(c, SCALARS, 1, sizeof(double));
    m->delta = ot_cursor_take(c, N, 1, sizeof(double));
    m->scratch = ot_cursor_take(c, N, 2, sizeof(double));
    m->near = ot_cursor_take(c, N > P ? N : P, 2, sizeof(int64_t));
    m->j1 = ot_cursor_take(c, N, 1, sizeof(int64_t));
    m->j2 = ot_cursor_take(c, N, 1, sizeof(int64_t));
}

static fwm_status allocate(ot_memory *m)
{
    const ot_memory_options *o = &m->o;
    ot_cursor c = {0};
    FWM_CHECK(o->d >= 1 && o->dc >= 0 && o->codes >= LEAST_CODES && o->predictions >= 1 && o->every >= 1, FWM_INVALID,
              "transport memory: expected coordinates, at least %d codes, predictions and steps between looks, found "
              "%lld, %lld, %lld and %lld",
              LEAST_CODES, (long long)o->d, (long long)o->codes, (long long)o->predictions, (long long)o->every);
    FWM_CHECK(o->eta >= 0 && isfinite(o->eta) && o->share >= 0 && o->share <= 1, FWM_INVALID,
              "transport memory: expected eta of 0 or more and a share up to 1, found %g and %g", o->eta, o->share);
    place(m, &c);
    FWM_CHECK(!c.overflow, FWM_OVERFLOW, "transport memory: %lld codes and %lld predictions are too many",
              (long long)o->codes, (long long)o->predictions);
    FWM_TRY(fwm_block_alloc(&m->block, c.at));
    m->size = c.at;
    c = (ot_cursor){.base = m->block};
    place(m, &c);
    memset(m->block, 0, m->size);
    FWM_TRY(
        ot_support_create(&m->support, m->dtype, o->codes, o->d, &(ot_support_options){.anchors = OT_MEMORY_ANCHORS}));
    FWM_TRY(ot_sites_create(&m->predictions, m->dtype, m->made.room, o->d));
    FWM_TRY(ot_sites_create(&m->joints, m->dtype, o->codes, o->d + o->dc));
    FWM_TRY(ot_sliced_create(&m->slices, m->dtype, m->made.room, o->codes, o->d, DIRECTIONS));
    if (o->dc > 0)
        FWM_TRY(ot_boundary_create(&m->boundary, m->dtype, o->codes, o->dc, OT_MEMORY_ANCHORS, o->codes));
    return FWM_OK;
}

fwm_status ot_memory_create(ot_memory **out, ad_dtype dtype, const ot_memory_options *options)
{
    *out = NULL;
    ot_memory *m = fwm_calloc(1, sizeof *m);
    FWM_CHECK(m, FWM_MEMORY, "transport memory: out of memory");
    m->dtype = dtype;
    m->o = *options;
    if (m->o.share == 0)
        m->o.share = 0.1;
    m->bank.room = options->codes;
    m->made.room = options->predictions > options->codes ? options->predictions : options->codes;
    m->look = (ot_geometry){.guard = 1, .coverage = NAN, .mass_error = NAN, .sliced = NAN, .ell = INFINITY};
    fwm_status status = allocate(m);
    if (status != FWM_OK)
        ot_memory_destroy(&m);
    *out = m;
    return status;
}

void ot_memory_destroy(ot_memory **m)
{
    if (!m || !*m)
        return;
    ot_support_destroy(&(*m)->support);
    ot_boundary_destroy(&(*m)->boundary);
    ot_sites_destroy(&(*m)->predictions);
    ot_sites_destroy(&(*m)->joints);
    ot_sliced_destroy(&(*m)->slices);
    if ((*m)->block)
        fwm_block_free((*m)->block, (*m)->size);
    fwm_free(*m);
    *m = NULL;
}

size_t ot_memory_bytes(const ot_memory *m)
{
    return sizeof *m + m->size + ot_support_memory(m->support) + ot_sites_memory(m->predictions) +
           ot_sites_memory(m->joints) + (m->boundary ? ot_boundary_memory(m->boundary) : 0);
}

const ot_memory_options *ot_memory_get_options(const ot_memory *m)
{
    return &m->o;
}

ad_dtype ot_memory_dtype(const ot_memory *m)
{
    return m->dtype;
}

const ot_geometry *ot_memory_geometry(const ot_memory *m)
{
    return &m->look;
}

const ot_ring *ot_memory_predictions(const ot_memory *m)
{
    return &m->made;
}

ot_support *ot_memory_support(ot_memory *m)
{
    return m->support;
}

/* ---- a look ---- */

/* The root of the trace of the covariance of n rows. */
static double scale_of(ad_dtype dtype, int64_t n, int64_t d, const void *v)
{
    double trace = 0;
    for (int64_t k = 0; k < d; k++) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < n; i++)
            mean += ot_number(dtype, v, i * d + k) / (double)n;
        for (int64_t i = 0; i < n; i++) {
            double e = ot_number(dtype, v, i * d + k) - mean;
            square += e * e / (double)n;
        }
        trace += square;
    }
    return sqrt(trace);
}

static fwm_status join(ot_memory *m)
{
    int64_t d = m->o.d, dc = m->o.dc, N = m->look.N;
    double s_x = dc > 0 ? scale_of(m->dtype, N, dc, m->context) : 0;
    m->look.factor = s_x > 0 ? m->o.eta * m->look.s / s_x : 0;
    for (int64_t i = 0; i < N; i++)
        for (int64_t k = 0; k < d + dc; k++)
            ot_number_put(m->dtype, m->joint, i * (d + dc) + k,
                          k < d ? ot_number(m->dtype, m->code, i * d + k)
                                : m->look.factor * ot_number(m->dtype, m->context, i * dc + k - d));
    FWM_TRY(ot_sites_set(m->joints, N, m->joint, NULL));
    m->look.spacing = ot_sites_spacing(m->joints, m->scratch);
    return FWM_OK;
}

/* The paired diagram: where contexts lead to codes that do not see each other. */
static fwm_status pair(ot_memory *m)
{
    const ot_support_view *v = m->look.support;
    m->look.ell = INFINITY;
    if (!m->boundary)
        return FWM_OK;
    FWM_TRY(ot_boundary_set(m->boundary, m->look.N, m->context, NULL, v->K, v->anchor, v->invisible));
    FWM_TRY(ot_boundary_distance(m->boundary, m->delta, m->j1, m->j2, m->look.N, m->context));
    m->look.ell = ot_boundary_ell(m->look.N, m->delta, m->o.share, m->scratch);
    return FWM_OK;
}

static fwm_status see(ot_memory *m)
{
    ot_geometry *look = &m->look;
    look->code = m->code, look->context = m->context, look->joint = m->joint;
    FWM_TRY(
        ot_support_update(m->support, look->N, m->code, (fwm_key){m->o.seed, STREAM_ANCHORS}, (uint64_t)m->look_step));
    look->support = ot_support_get(m->support);
    look->s = look->support->s;
    look->tau = look->support->tau;
    look->ready = look->s > 0;
    look->gaps = look->support->unseen > seen_through;
    if (!look->ready)
        return FWM_OK;
    FWM_TRY(join(m));
    return pair(m);
}

/* ---- guards ---- */

static double covered(ot_memory *m)
{
    int64_t hits = 0;
    ot_sites_nearest(m->predictions, m->near, NULL, m->look.N, m->code, false);
    for (int64_t j = 0; j < m->look.N; j++) {
        double square = 0, reach = coverage_reach * m->look.tau;
        for (int64_t k = 0; k < m->o.d; k++) {
            double e =
                ot_number(m->dtype, m->code, j * m->o.d + k) - ot_sites_coordinate(m->predictions, m->near[2 * j], k);
            square += e * e;
        }
        hits += square <= reach * reach;
    }
    return (double)hits / (double)m->look.N;
}

/* Largest error of a sheet's share of predictions; *lost where one of some size has nearly none. */
static double mass_error(ot_memory *m, bool *lost)
{
    const ot_support_view *v = m->look.support;
    double most = 0, sum = 0, *share = m->scratch;
    memset(share, 0, (size_t)v->sheets * sizeof *share);
    ot_sites_nearest(ot_support_sites(m->support), m->near, NULL, m->made.count, m->made.code, false);
    for (int64_t i = 0; i < m->made.count; i++)
        sum += m->made.weight[i];
    for (int64_t i = 0; i < m->made.count; i++)
        share[v->sheet[m->near[2 * i]]] += m->made.weight[i] / sum;
    *lost = false;
    for (int64_t k = 0; k < v->sheets; k++) {
        most = fmax(most, fabs(share[k] - v->mass[k]));
        *lost |= v->mass[k] >= least_mass && share[k] < mass_kept * v->mass[k];
    }
    return most;
}

static fwm_status guard(ot_memory *m)
{
    ot_geometry *look = &m->look;
    bool lost = false;
    look->lowered = false;
    if (!look->ready || m->made.count == 0)
        return FWM_OK;
    FWM_TRY(ot_sites_set(m->predictions, m->made.count, m->made.code, NULL));
    look->coverage = covered(m);
    look->mass_error = mass_error(m, &lost);
    FWM_TRY(ot_sliced_run(m->slices, &look->sliced, m->made.count, look->N, m->made.code, m->code,
                          (fwm_key){m->o.seed, STREAM_SLICES}, (uint64_t)m->look_step));
    look->sliced /= look->s * look->s;
    look->best_coverage = fmax(look->best_coverage, look->coverage);
    look->lowered = lost || look->coverage < coverage_drop * look->best_coverage;
    look->guard = look->lowered ? 0.5 * look->guard : fmin(1.0, 1.25 * look->guard);
    return FWM_OK;
}

static fwm_status take_look(ot_memory *m, int64_t step)
{
    size_t element = ad_dtype_size(m->dtype);
    int64_t oldest = step;
    m->look.N = m->bank.count;
    m->look_step = step;
    memcpy(m->code, m->bank.code, (size_t)(m->bank.count * m->o.d) * element);
    memcpy(m->context, m->bank.context, (size_t)(m->bank.count * m->o.dc) * element);
    for (int64_t i = 0; i < m->bank.count; i++)
        oldest = m->bank.step[i] < oldest ? m->bank.step[i] : oldest;
    m->look.oldest = (double)(step - oldest);
    m->look.looks++;
    FWM_TRY(see(m));
    return guard(m);
}

/* ---- pushing ---- */

static fwm_status check(const ot_memory *m, const char *name, int64_t n, int64_t d, const void *v)
{
    for (int64_t i = 0; i < n * d; i++)
        FWM_CHECK(isfinite(ot_number(m->dtype, v, i)), FWM_NUMERIC,
                  "transport memory: coordinate %lld of %s %lld is %g", (long long)(i % d), name, (long long)(i / d),
                  ot_number(m->dtype, v, i));
    return FWM_OK;
}

static void push(const ot_memory *m, ot_ring *r, int64_t step, int64_t n, const void *code, const void *context,
                 const void *weight)
{
    size_t element = ad_dtype_size(m->dtype), wide = (size_t)m->o.d * element, narrow = (size_t)m->o.dc * element;
    for (int64_t i = 0; i < n; i++) {
        memcpy((char *)r->code + (size_t)r->next * wide, (const char *)code + (size_t)i * wide, wide);
        if (narrow > 0)
            memcpy((char *)r->context + (size_t)r->next * narrow, (const char *)context + (size_t)i * narrow, narrow);
        if (r->weight)
            r->weight[r->next] = weight ? ot_number(m->dtype, weight, i) : 1.0;
        r->step[r->next] = step;
        r->next = (r->next + 1) % r->room;
        r->count += r->count < r->room;
    }
}

fwm_status ot_memory_push(ot_memory *m, int64_t step, int64_t n, const void *y, const void *x, int64_t M, const void *p,
                          const void *xp, const void *w)
{
    FWM_TRY(check(m, "true code", n, m->o.d, y));
    FWM_TRY(check(m, "context", n, m->o.dc, x));
    FWM_TRY(check(m, "prediction", M, m->o.d, p));
    FWM_TRY(check(m, "predicted context", M, m->o.dc, xp));
    push(m, &m->bank, step, n, y, x, NULL);
    push(m, &m->made, step, M, p, xp, w);
    bool full = m->bank.count == m->bank.room, due = m->look.looks == 0 || step - m->look_step >= m->o.every;
    return full && due ? take_look(m, step) : FWM_OK;
}

fwm_status ot_memory_score(ot_memory *m, double *score, int64_t M, const void *x)
{
    FWM_CHECK(M <= m->o.codes, FWM_INVALID, "transport memory: scores of at most %lld contexts, found %lld",
              (long long)m->o.codes, (long long)M);
    memset(score, 0, (size_t)M * sizeof *score);
    if (!m->look.ready || !m->boundary || !isfinite(m->look.ell))
        return FWM_OK;
    FWM_TRY(ot_boundary_distance(m->boundary, m->delta, m->j1, m->j2, M, x));
    ot_boundary_score(score, m->delta, m->look.ell > 0 ? m->look.ell : 1e-30, M);
    return FWM_OK;
}

/* ---- checkpoints ---- */

int ot_memory_arrays(ot_memory *m, ot_memory_array array[OT_MEMORY_ARRAYS])
{
    const ot_geometry *g = &m->look;
    const double now[SCALARS] = {(double)m->bank.count,
                                 (double)m->bank.next,
                                 (double)m->made.count,
                                 (double)m->made.next,
                                 (double)g->N,
                                 (double)m->look_step,
                                 (double)g->looks,
                                 isnan(g->coverage) ? -1 : g->coverage,
                                 isnan(g->mass_error) ? -1 : g->mass_error,
                                 g->best_coverage,
                                 g->guard,
                                 g->lowered,
                                 g->oldest,
                                 isnan(g->sliced) ? -1 : g->sliced};
    int64_t N = m->o.codes, P = m->made.room, d = m->o.d, dc = m->o.dc;
    memcpy(m->scalar, now, sizeof now);
    const ot_memory_array all[OT_MEMORY_ARRAYS] = {{"codes", m->bank.code, false, false, N, d},
                                                   {"contexts", m->bank.context, false, false, N, dc},
                                                   {"steps", m->bank.step, true, false, N, 1},
                                                   {"made_codes", m->made.code, false, false, P, d},
                                                   {"made_contexts", m->made.context, false, false, P, dc},
                                                   {"made_weights", m->made.weight, false, true, P, 1},
                                                   {"made_steps", m->made.step, true, false, P, 1},
                                                   {"look_codes", m->code, false, false, N, d},
                                                   {"look_contexts", m->context, false, false, N, dc},
                                                   {"scalars", m->scalar, false, true, SCALARS, 1}};
    int n = 0;
    for (int k = 0; k < OT_MEMORY_ARRAYS; k++)
        if (all[k].columns > 0)
            array[n++] = all[k];
    return n;
}

static bool within(double v, int64_t high)
{
    return v >= 0 && v <= (double)high && v == floor(v);
}

fwm_status ot_memory_restore(ot_memory *m)
{
    const double *v = m->scalar;
    ot_geometry *g = &m->look;
    FWM_CHECK(within(v[BANK_COUNT], m->bank.room) && within(v[BANK_NEXT], m->bank.room - 1) &&
                  within(v[MADE_COUNT], m->made.room) && within(v[MADE_NEXT], m->made.room - 1) &&
                  within(v[LOOK_CODES], m->bank.room) && within(v[LOOK_STEP], INT64_C(1) << 52) &&
                  within(v[LOOKS], INT64_C(1) << 52) && v[GUARD] >= 0 && v[GUARD] <= 1,
              FWM_DATA, "transport memory: the saved scalars are not those of a memory of %lld codes",
              (long long)m->bank.room);
    m->bank.count = (int64_t)v[BANK_COUNT], m->bank.next = (int64_t)v[BANK_NEXT];
    m->made.count = (int64_t)v[MADE_COUNT], m->made.next = (int64_t)v[MADE_NEXT];
    g->N = (int64_t)v[LOOK_CODES];
    m->look_step = (int64_t)v[LOOK_STEP];
    g->looks = (int64_t)v[LOOKS];
    g->coverage = v[COVERAGE] < 0 ? (double)NAN : v[COVERAGE];
    g->mass_error = v[MASS_ERROR] < 0 ? (double)NAN : v[MASS_ERROR];
    g->best_coverage = v[BEST_COVERAGE];
    g->guard = v[GUARD];
    g->lowered = v[LOWERED] != 0;
    g->oldest = v[OLDEST];
    g->sliced = v[SLICED] < 0 ? (double)NAN : v[SLICED];
    return g->N >= 2 ? see(m) : FWM_OK;
}
