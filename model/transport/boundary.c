#include "model/transport/boundary.h"

#include "model/base/arena.h"
#include "model/transport/numeric.h"

#include <math.h>
#include <string.h>

/* b = 1/2 at delta = ell sqrt(2 ln 2). */
static const double half_score = 1.1774100225154747;

/* An entry of the hash table of pairs: the run it is of, so that nothing has to be cleared. */
typedef struct entry {
    int64_t first, second, at;
    uint64_t run;
} entry;

struct ot_boundary {
    int64_t N, d, K, M, groups, buckets;
    ot_sites *sites;
    void *block;
    size_t size;
    double *g;
    int64_t *group;
    unsigned char *invisible;
    entry *table;
    uint64_t run;
    double *delta; /* of the call */
    int64_t *j1, *j2;
    void *place;
    int64_t *own; /* [M] */
};

static void place(ot_boundary *b, ot_cursor *c)
{
    b->g = ot_cursor_take(c, b->N, 1, sizeof(double));
    b->group = ot_cursor_take(c, b->N, 1, sizeof(int64_t));
    b->invisible = ot_cursor_take(c, b->K, b->K, 1);
    b->table = ot_cursor_take(c, b->buckets, 1, sizeof(entry));
    b->own = ot_cursor_take(c, b->M, 1, sizeof(int64_t));
}

fwm_status ot_boundary_create(ot_boundary **out, ad_dtype dtype, int64_t N, int64_t d, int64_t K, int64_t M)
{
    *out = NULL;
    FWM_CHECK(K >= 1 && M >= 1 && M < INT64_MAX / 64, FWM_INVALID,
              "boundary: expected groups and states, found %lld and %lld", (long long)K, (long long)M);
    ot_boundary *b = fwm_calloc(1, sizeof *b);
    FWM_CHECK(b, FWM_MEMORY, "boundary: out of memory");
    b->N = N, b->d = d, b->K = K, b->M = M;
    for (b->buckets = 16; b->buckets < 2 * M; b->buckets *= 2)
        ;
    fwm_status status = FWM_OK;
    FWM_TRY_GOTO(status, ot_sites_create(&b->sites, dtype, N, d));
    ot_cursor c = {0};
    place(b, &c);
    FWM_CHECK_GOTO(status, !c.overflow, FWM_OVERFLOW, "boundary: %lld sites, %lld groups and %lld states are too many",
                   (long long)N, (long long)K, (long long)M);
    FWM_TRY_GOTO(status, fwm_block_alloc(&b->block, c.at));
    b->size = c.at;
    c = (ot_cursor){.base = b->block};
    place(b, &c);
    *out = b;
    return FWM_OK;
done:
    ot_boundary_destroy(&b);
    return status;
}

void ot_boundary_destroy(ot_boundary **b)
{
    if (!b || !*b)
        return;
    ot_sites_destroy(&(*b)->sites);
    if ((*b)->block)
        fwm_block_free((*b)->block, (*b)->size);
    fwm_free(*b);
    *b = NULL;
}

size_t ot_boundary_memory(const ot_boundary *b)
{
    return sizeof *b + b->size + ot_sites_memory(b->sites);
}

ot_sites *ot_boundary_sites(ot_boundary *b)
{
    return b->sites;
}

fwm_status ot_boundary_set(ot_boundary *b, int64_t N, const void *S, const double *g, int64_t K, const int64_t *group,
                           const unsigned char *invisible)
{
    FWM_CHECK(K >= 1 && K <= b->K, FWM_INVALID, "boundary: made for %lld groups, found %lld", (long long)b->K,
              (long long)K);
    FWM_CHECK(N >= 1 && N <= b->N, FWM_INVALID, "boundary: made for %lld sites, found %lld", (long long)b->N,
              (long long)N);
    for (int64_t j = 0; j < N; j++)
        FWM_CHECK(group[j] >= 0 && group[j] < K, FWM_INVALID, "boundary: site %lld is in group %lld of %lld",
                  (long long)j, (long long)group[j], (long long)K);
    FWM_TRY(ot_sites_set(b->sites, N, S, g));
    b->groups = K;
    memcpy(b->group, group, (size_t)N * sizeof *group);
    for (int64_t j = 0; j < N; j++)
        b->g[j] = g ? g[j] : 0.0;
    for (int64_t k = 0; k < K * K; k++)
        b->invisible[k] = invisible ? invisible[k] != 0 : k / K != k % K;
    return FWM_OK;
}

static void nearest_bisector(void *self, int64_t row, int64_t cell, double *cost, double *between)
{
    const ot_boundary *b = self;
    const unsigned char *hidden = b->invisible + b->group[cell] * b->groups;
    int64_t N = ot_sites_count(b->sites), at = -1;
    double least = INFINITY, score = b->g[cell] - cost[cell];
    for (int64_t j = 0; j < N; j++) {
        if (!hidden[b->group[j]])
            continue;
        double lead = score - (b->g[j] - cost[j]);
        lead = lead > 0 ? lead : 0; /* heights are rounded to the type where cells are found */
        double delta = between[j] > 0 ? lead / sqrt(2 * between[j]) : 0.0;
        if (delta < least) {
            least = delta;
            at = j;
        }
    }
    b->delta[row] = least;
    b->j1[row] = cell;
    b->j2[row] = at;
}

fwm_status ot_boundary_distance(ot_boundary *b, double *delta, int64_t *j1, int64_t *j2, int64_t M, const void *x)
{
    FWM_CHECK(M >= 0 && M <= b->M, FWM_INVALID, "boundary: made for %lld states, found %lld", (long long)b->M,
              (long long)M);
    FWM_CHECK(b->groups > 0, FWM_INVALID, "boundary: no sites were set");
    int64_t d = ot_sites_dimension(b->sites);
    ad_dtype dtype = ot_sites_dtype(b->sites);
    for (int64_t i = 0; i < M * d; i++)
        FWM_CHECK(isfinite(ot_number(dtype, x, i)), FWM_NUMERIC, "boundary: coordinate %lld of state %lld is %g",
                  (long long)(i % d), (long long)(i / d), ot_number(dtype, x, i));
    b->delta = delta, b->j1 = j1, b->j2 = j2;
    ot_sites_each_cell(b->sites, M, x, nearest_bisector, b);
    return FWM_OK;
}

/* One move of a state to the zero of its piece of f: sites a and b lead on the two sides. */
static void move_to_zero(void *self, int64_t row, double *cost)
{
    const ot_boundary *b = self;
    const unsigned char *hidden = b->invisible + b->group[b->j1[row]] * b->groups;
    int64_t N = ot_sites_count(b->sites), d = ot_sites_dimension(b->sites), at[2] = {-1, -1};
    ad_dtype dtype = ot_sites_dtype(b->sites);
    double best[2] = {-INFINITY, -INFINITY}, square = 0;
    if (isinf(b->delta[row])) /* nothing is invisible, or it has arrived */
        return;
    for (int64_t j = 0; j < N; j++) {
        int side = hidden[b->group[j]] != 0;
        if (b->g[j] - cost[j] > best[side]) {
            best[side] = b->g[j] - cost[j];
            at[side] = j;
        }
    }
    for (int64_t k = 0; k < d; k++) {
        double e = ot_sites_coordinate(b->sites, at[0], k) - ot_sites_coordinate(b->sites, at[1], k);
        square += e * e;
    }
    double f = best[0] - best[1];
    if (square == 0 || fabs(f) <= 1e-6 * square)
        return;
    for (int64_t k = 0; k < d; k++) {
        double e = ot_sites_coordinate(b->sites, at[0], k) - ot_sites_coordinate(b->sites, at[1], k);
        ot_number_put(dtype, b->place, row * d + k, ot_number(dtype, b->place, row * d + k) - f / square * e);
    }
}

fwm_status ot_boundary_refine(ot_boundary *b, double *distance, void *place, int64_t M, const void *x,
                              const double *delta, const int64_t *j1)
{
    enum { PIECES = 16 };
    FWM_CHECK(M >= 0 && M <= b->M && b->groups > 0, FWM_INVALID,
              "boundary: made for %lld states, with sites set before, found %lld", (long long)b->M, (long long)M);
    int64_t d = ot_sites_dimension(b->sites);
    ad_dtype dtype = ot_sites_dtype(b->sites);
    memcpy(place, x, (size_t)(M * d) * ad_dtype_size(dtype));
    memcpy(distance, delta, (size_t)M * sizeof *delta);
    b->delta = distance, b->place = place;
    memcpy(b->own, j1, (size_t)M * sizeof *j1);
    b->j1 = b->own;
    for (int piece = 0; piece < PIECES; piece++)
        ot_sites_each(b->sites, M, place, move_to_zero, b);
    for (int64_t i = 0; i < M; i++) {
        double square = 0;
        for (int64_t k = 0; k < d; k++) {
            double e = ot_number(dtype, place, i * d + k) - ot_number(dtype, x, i * d + k);
            square += e * e;
        }
        if (isfinite(distance[i]))
            distance[i] = sqrt(square);
    }
    return FWM_OK;
}

void ot_boundary_score(double *score, const double *delta, double ell, int64_t M)
{
    for (int64_t i = 0; i < M; i++) {
        double u = delta[i] / ell;
        score[i] = exp(-0.5 * u * u);
    }
}

double ot_boundary_ell(int64_t M, const double *delta, double share, double *scratch)
{
    memcpy(scratch, delta, (size_t)M * sizeof *delta);
    return ot_quantile(M, scratch, share, scratch + M) / half_score;
}

/* ---- singular pairs ---- */

/* Where the pair stands in the list, or -1 after noting that it will stand at `next`. At most M of 2 M buckets are in
 * use. */
static int64_t find_pair(ot_boundary *b, int64_t first, int64_t second, int64_t next)
{
    uint64_t mask = (uint64_t)b->buckets - 1;
    uint64_t hash = ((uint64_t)first * 0x9E3779B97F4A7C15u) ^ ((uint64_t)second * 0xC2B2AE3D27D4EB4Fu);
    for (uint64_t at = (hash >> 20) & mask;; at = (at + 1) & mask) {
        entry *e = &b->table[at];
        if (e->run != b->run) {
            *e = (entry){first, second, next, b->run};
            return -1;
        }
        if (e->first == first && e->second == second)
            return e->at;
    }
}

static void describe(ot_singular_pair *p, ad_dtype label, int64_t dy, const void *y)
{
    double square = 0, inner = 1, norm[2] = {1, 1};
    for (int64_t k = 0; k < dy; k++) {
        double u = ot_number(label, y, p->first * dy + k), v = ot_number(label, y, p->second * dy + k);
        square += (u - v) * (u - v);
        inner += u * v;
        norm[0] += u * u;
        norm[1] += v * v;
    }
    double cosine = inner / sqrt(norm[0] * norm[1]);
    p->jump = sqrt(square);
    p->angle = acos(cosine > 1 ? 1.0 : cosine < -1 ? -1.0 : cosine);
}

fwm_status ot_boundary_pairs(ot_boundary *b, ot_singular_pair *pair, int64_t room, int64_t *count, int64_t M,
                             const double *delta, const int64_t *j1, const int64_t *j2, double ell, ad_dtype label,
                             int64_t dy, const void *y)
{
    FWM_CHECK(M >= 0 && M <= b->M && ell > 0, FWM_INVALID,
              "boundary: made for %lld states and a positive ell, found %lld and %g", (long long)b->M, (long long)M,
              ell);
    *count = 0;
    b->run++;
    for (int64_t i = 0; i < M; i++) {
        if (j2[i] < 0 || !(delta[i] <= half_score * ell))
            continue;
        int64_t first = j1[i] < j2[i] ? j1[i] : j2[i], second = j1[i] < j2[i] ? j2[i] : j1[i];
        int64_t at = find_pair(b, first, second, *count);
        if (at < 0) {
            at = (*count)++;
            if (at < room) {
                pair[at] = (ot_singular_pair){.first = first, .second = second, .distance = delta[i]};
                describe(&pair[at], label, dy, y);
            }
        }
        if (at < room) {
            pair[at].states++;
            pair[at].distance = fmin(pair[at].distance, delta[i]);
        }
    }
    return FWM_OK;
}
