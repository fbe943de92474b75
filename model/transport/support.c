#include "model/transport/support.h"

#include "model/base/arena.h"
#include "model/transport/numeric.h"

#include <math.h>
#include <string.h>

enum { WAYPOINTS = 5, NEIGHBOURS = 64 };

static const double way[WAYPOINTS] = {.2, .35, .5, .65, .8};

struct ot_support {
    ad_dtype dtype;
    int64_t capacity, d;
    ot_support_options o;
    ot_sites *codes, *centres;
    void *block;
    size_t size;
    const void *y; /* of the update */
    void *queries; /* [max(N, K(K-1)/2 * WAYPOINTS)][d] */
    void *centre;  /* [K][d] */
    double *distance, *scratch, *sum;
    int64_t *anchor, *medoid, *sheet_of_anchor, *sheet, *count, *neighbour;
    unsigned char *invisible;
    double *mass;
    ot_support_view view;
};

static int64_t query_room(const ot_support *s)
{
    int64_t pairs = s->o.anchors * (s->o.anchors - 1) / 2 * WAYPOINTS;
    return pairs > s->capacity ? pairs : s->capacity;
}

static void place(ot_support *s, ot_cursor *c)
{
    size_t element = ad_dtype_size(s->dtype);
    int64_t N = s->capacity, K = s->o.anchors, room = query_room(s);
    s->queries = ot_cursor_take(c, room, s->d, element);
    s->centre = ot_cursor_take(c, K, s->d, element);
    s->distance = ot_cursor_take(c, room, 1, sizeof(double));
    s->scratch = ot_cursor_take(c, N, 1, sizeof(double));
    s->sum = ot_cursor_take(c, K, s->d, sizeof(double));
    s->mass = ot_cursor_take(c, K, 1, sizeof(double));
    int64_t **of_codes[] = {&s->anchor, &s->sheet, &s->neighbour},
            **of_anchors[] = {&s->medoid, &s->sheet_of_anchor, &s->count};
    for (size_t k = 0; k < 3; k++) {
        *of_codes[k] = ot_cursor_take(c, N, 1, sizeof(int64_t));
        *of_anchors[k] = ot_cursor_take(c, K, 1, sizeof(int64_t));
    }
    s->invisible = ot_cursor_take(c, K, K, 1);
}

static fwm_status set_options(ot_support_options *o, const ot_support_options *from)
{
    *o = from ? *from : (ot_support_options){0};
    o->anchors = o->anchors ? o->anchors : 48;
    o->lloyd = o->lloyd ? o->lloyd : 8;
    o->neighbour = o->neighbour ? o->neighbour : 8;
    o->sheet = o->sheet ? o->sheet : 5;
    o->kappa = o->kappa != 0 ? o->kappa : 1.6;
    o->null_quantile = o->null_quantile != 0 ? o->null_quantile : .95;
    o->tau_quantile = o->tau_quantile != 0 ? o->tau_quantile : .98;
    FWM_CHECK(o->anchors > 0 && o->anchors <= 4096 && o->lloyd > 0 && o->neighbour > 0 && o->neighbour <= NEIGHBOURS &&
                  o->sheet > 0,
              FWM_INVALID,
              "support: expected 1 to 4096 anchors, Lloyd steps, a neighbour of 1 to %d and a least sheet, found %lld, "
              "%lld, %lld, %lld",
              NEIGHBOURS, (long long)o->anchors, (long long)o->lloyd, (long long)o->neighbour, (long long)o->sheet);
    FWM_CHECK(o->kappa > 0 && o->null_quantile > 0 && o->null_quantile <= 1 && o->tau_quantile > 0 &&
                  o->tau_quantile <= 1,
              FWM_INVALID, "support: expected kappa > 0 and quantiles in (0,1], found %g, %g, %g", o->kappa,
              o->null_quantile, o->tau_quantile);
    return FWM_OK;
}

fwm_status ot_support_create(ot_support **out, ad_dtype dtype, int64_t N, int64_t d, const ot_support_options *options)
{
    *out = NULL;
    ot_support *s = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "support: out of memory");
    fwm_status status = FWM_OK;
    s->dtype = dtype, s->capacity = N, s->d = d;
    FWM_TRY_GOTO(status, set_options(&s->o, options));
    FWM_TRY_GOTO(status, ot_sites_create(&s->codes, dtype, N, d));
    FWM_TRY_GOTO(status, ot_sites_create(&s->centres, dtype, s->o.anchors, d));
    ot_cursor c = {0};
    place(s, &c);
    FWM_CHECK_GOTO(status, !c.overflow, FWM_OVERFLOW, "support: %lld codes in %lld dimensions are too many",
                   (long long)N, (long long)d);
    FWM_TRY_GOTO(status, fwm_block_alloc(&s->block, c.at));
    s->size = c.at;
    c = (ot_cursor){.base = s->block};
    place(s, &c);
    s->view = (ot_support_view){.anchor = s->anchor,
                                .medoid = s->medoid,
                                .sheet_of_anchor = s->sheet_of_anchor,
                                .sheet = s->sheet,
                                .invisible = s->invisible,
                                .mass = s->mass};
    *out = s;
    return FWM_OK;
done:
    ot_support_destroy(&s);
    return status;
}

void ot_support_destroy(ot_support **s)
{
    if (!s || !*s)
        return;
    ot_sites_destroy(&(*s)->codes);
    ot_sites_destroy(&(*s)->centres);
    if ((*s)->block)
        fwm_block_free((*s)->block, (*s)->size);
    fwm_free(*s);
    *s = NULL;
}

size_t ot_support_memory(const ot_support *s)
{
    return sizeof *s + s->size + ot_sites_memory(s->codes) + ot_sites_memory(s->centres);
}

/* ---- scales and null ---- */

static double code(const ot_support *s, int64_t j, int64_t k)
{
    return ot_number(s->dtype, s->y, j * s->d + k);
}

static double total_deviation(const ot_support *s, int64_t N)
{
    double trace = 0;
    for (int64_t k = 0; k < s->d; k++) {
        double mean = 0;
        for (int64_t j = 0; j < N; j++)
            mean += code(s, j, k) / (double)N;
        for (int64_t j = 0; j < N; j++)
            trace += (code(s, j, k) - mean) * (code(s, j, k) - mean) / (double)N;
    }
    return sqrt(trace);
}

/* The neighbour-th nearest other code (ties: the lowest index), by insertion into the few nearest. */
static void find_neighbour(void *self, int64_t row, double *cost)
{
    ot_support *s = self;
    int64_t N = s->view.N, wanted = s->o.neighbour < N - 1 ? s->o.neighbour : N - 1, have = 0, nearest[NEIGHBOURS];
    for (int64_t j = 0; j < N; j++) {
        if (j == row || (have == wanted && cost[j] >= cost[nearest[have - 1]]))
            continue;
        int64_t at = have < wanted ? have++ : have - 1;
        for (; at > 0 && cost[nearest[at - 1]] > cost[j]; at--)
            nearest[at] = nearest[at - 1];
        nearest[at] = j;
    }
    s->neighbour[row] = nearest[have - 1];
}

static void measure_scales(ot_support *s)
{
    int64_t N = s->view.N;
    s->view.s = total_deviation(s, N);
    ot_sites_distance(s->codes, s->distance, N, s->y, true);
    s->view.r = ot_quantile(N, s->distance, 0.5, s->scratch);
    s->view.tau = ot_quantile(N, s->distance, s->o.tau_quantile, s->scratch);
    ot_sites_each(s->codes, N, s->y, find_neighbour, s);
    for (int64_t j = 0; j < N; j++)
        for (int64_t k = 0; k < s->d; k++)
            ot_number_put(s->dtype, s->queries, j * s->d + k, 0.5 * (code(s, j, k) + code(s, s->neighbour[j], k)));
    ot_sites_distance(s->codes, s->distance, N, s->queries, false);
    s->view.r0 = ot_quantile(N, s->distance, s->o.null_quantile, s->scratch);
}

/* ---- anchors ---- */

typedef struct distances_to {
    double *to;
    bool lower; /* keep the smaller of old and new */
} distances_to;

static void keep_first(void *self, int64_t row, double *cost)
{
    const distances_to *t = self;
    if (!t->lower || cost[0] < t->to[row])
        t->to[row] = cost[0];
}

static void copy_code(const ot_support *s, void *to, int64_t at, int64_t j)
{
    size_t bytes = (size_t)s->d * ad_dtype_size(s->dtype);
    memcpy((char *)to + (size_t)at * bytes, (const char *)s->y + (size_t)j * bytes, bytes);
}

/* First centres: each next one with probability proportional to the squared distance from those before. Returns how
 * many: fewer where there are not so many different codes. */
static fwm_status seed(ot_support *s, int64_t *K, fwm_key key, uint64_t step)
{
    int64_t N = s->view.N, pick = (int64_t)(fwm_random_uniform(key, step, 0) * (double)N);
    int64_t most = s->o.anchors < N ? s->o.anchors : N;
    for (*K = 0; *K < most; ++*K) {
        double total = 0, at = 0;
        copy_code(s, s->centre, *K, pick < N ? pick : N - 1);
        copy_code(s, s->queries, 0, pick < N ? pick : N - 1);
        FWM_TRY(ot_sites_set(s->centres, 1, s->queries, NULL));
        distances_to d = {.to = s->distance, .lower = *K > 0};
        ot_sites_each(s->centres, N, s->y, keep_first, &d);
        for (int64_t j = 0; j < N; j++)
            total += s->distance[j];
        double draw = fwm_random_uniform(key, step, (uint32_t)(*K + 1)) * total;
        if (!(total > 0)) {
            ++*K;
            break;
        }
        for (pick = 0; pick < N - 1 && (at += s->distance[pick]) < draw; pick++)
            ;
        while (pick > 0 && s->distance[pick] == 0) /* rounding may end on a code that is a centre already */
            pick--;
    }
    return FWM_OK;
}

/* Centres become the means of their codes; one without codes stays. */
static void move_centres(ot_support *s, int64_t K)
{
    memset(s->sum, 0, (size_t)(K * s->d) * sizeof *s->sum);
    memset(s->count, 0, (size_t)K * sizeof *s->count);
    for (int64_t j = 0; j < s->view.N; j++) {
        s->count[s->anchor[j]]++;
        for (int64_t k = 0; k < s->d; k++)
            s->sum[s->anchor[j] * s->d + k] += code(s, j, k);
    }
    for (int64_t i = 0; i < K * s->d; i++)
        if (s->count[i / s->d] > 0)
            ot_number_put(s->dtype, s->centre, i, s->sum[i] / (double)s->count[i / s->d]);
}

static fwm_status assign(ot_support *s, int64_t K)
{
    FWM_TRY(ot_sites_set(s->centres, K, s->centre, NULL));
    ot_sites_cells(s->centres, s->anchor, s->scratch, s->view.N, s->y);
    return FWM_OK;
}

/* Of each centre the nearest of its codes; centres without codes disappear. scratch holds scores, so the largest is
 * nearest. */
static void find_medoids(ot_support *s, int64_t K)
{
    int64_t *name = s->count, kept = 0;
    for (int64_t k = 0; k < K; k++)
        s->medoid[k] = -1;
    for (int64_t j = 0; j < s->view.N; j++) {
        int64_t k = s->anchor[j];
        if (s->medoid[k] < 0 || s->scratch[j] > s->scratch[s->medoid[k]])
            s->medoid[k] = j;
    }
    for (int64_t k = 0; k < K; k++) {
        name[k] = kept;
        if (s->medoid[k] >= 0)
            s->medoid[kept++] = s->medoid[k];
    }
    for (int64_t j = 0; j < s->view.N; j++)
        s->anchor[j] = name[s->anchor[j]];
    s->view.K = kept;
}

static fwm_status find_anchors(ot_support *s, fwm_key key, uint64_t step)
{
    int64_t K;
    FWM_TRY(seed(s, &K, key, step));
    FWM_TRY(assign(s, K));
    for (int64_t i = 0; i < s->o.lloyd; i++) {
        move_centres(s, K);
        FWM_TRY(assign(s, K));
    }
    find_medoids(s, K);
    return FWM_OK;
}

/* ---- visibility and sheets ---- */

static void find_visibility(ot_support *s)
{
    int64_t K = s->view.K, n = 0, unseen = 0;
    for (int64_t k = 0; k < K; k++)
        for (int64_t l = 0; l < k; l++)
            for (int t = 0; t < WAYPOINTS; t++, n++)
                for (int64_t c = 0; c < s->d; c++)
                    ot_number_put(s->dtype, s->queries, n * s->d + c,
                                  (1 - way[t]) * code(s, s->medoid[k], c) + way[t] * code(s, s->medoid[l], c));
    ot_sites_distance(s->codes, s->distance, n, s->queries, false);
    const double *d = s->distance;
    for (int64_t k = 0; k < K; k++) {
        s->invisible[k * K + k] = 0;
        for (int64_t l = 0; l < k; l++, d += WAYPOINTS) {
            double most = 0;
            for (int t = 0; t < WAYPOINTS; t++)
                most = fmax(most, d[t]);
            s->invisible[k * K + l] = s->invisible[l * K + k] = most > s->o.kappa * s->view.r0;
            unseen += s->invisible[k * K + l];
        }
    }
    s->view.unseen = K > 1 ? (double)unseen / (double)(K * (K - 1) / 2) : 0;
}

/* Numbers the components in the order of their first anchors; returns how many. */
static int64_t components(ot_support *s)
{
    int64_t K = s->view.K, sheets = 0, *stack = s->count;
    for (int64_t k = 0; k < K; k++)
        s->sheet_of_anchor[k] = -1;
    for (int64_t k = 0; k < K; k++) {
        int64_t top = 0;
        if (s->sheet_of_anchor[k] >= 0)
            continue;
        s->sheet_of_anchor[k] = sheets;
        stack[top++] = k;
        while (top > 0) {
            int64_t at = stack[--top];
            for (int64_t l = 0; l < K; l++)
                if (s->sheet_of_anchor[l] < 0 && !s->invisible[at * K + l]) {
                    s->sheet_of_anchor[l] = sheets;
                    stack[top++] = l;
                }
        }
        sheets++;
    }
    return sheets;
}

static double medoid_distance(const ot_support *s, int64_t k, int64_t l)
{
    double square = 0;
    for (int64_t c = 0; c < s->d; c++) {
        double e = code(s, s->medoid[k], c) - code(s, s->medoid[l], c);
        square += e * e;
    }
    return square;
}

/* Anchors of small components join the sheet of the nearest anchor of a large one. If all are small, all stay. */
static void drop_small(ot_support *s, int64_t sheets)
{
    int64_t K = s->view.K, kept = 0, *size = s->count, name[K];
    memset(size, 0, (size_t)K * sizeof *size);
    for (int64_t j = 0; j < s->view.N; j++)
        size[s->sheet_of_anchor[s->anchor[j]]]++;
    s->view.dropped = 0;
    for (int64_t k = 0; k < sheets; k++)
        kept += size[k] >= s->o.sheet;
    int64_t least = kept ? s->o.sheet : 1;
    kept = 0;
    for (int64_t k = 0; k < sheets; k++) {
        name[k] = size[k] >= least ? kept++ : -1;
        s->view.dropped += name[k] < 0 ? size[k] : 0;
    }
    s->view.sheets = kept;
    for (int64_t k = 0; k < K; k++)
        s->sheet_of_anchor[k] = name[s->sheet_of_anchor[k]];
    for (int64_t k = 0; k < K; k++)
        name[k] = s->sheet_of_anchor[k];
    for (int64_t k = 0; k < K; k++) {
        double nearest = INFINITY;
        for (int64_t l = 0; name[k] < 0 && l < K; l++)
            if (name[l] >= 0 && medoid_distance(s, k, l) < nearest) {
                nearest = medoid_distance(s, k, l);
                s->sheet_of_anchor[k] = name[l];
            }
    }
}

fwm_status ot_support_update(ot_support *s, int64_t N, const void *y, fwm_key key, uint64_t step)
{
    FWM_CHECK(N >= 2, FWM_INVALID, "support: a bank needs two codes, found %lld", (long long)N);
    FWM_TRY(ot_sites_set(s->codes, N, y, NULL));
    s->y = y;
    s->view.N = N;
    measure_scales(s);
    FWM_TRY(find_anchors(s, key, step));
    find_visibility(s);
    drop_small(s, components(s));
    memset(s->mass, 0, (size_t)s->view.sheets * sizeof *s->mass);
    for (int64_t j = 0; j < N; j++) {
        s->sheet[j] = s->sheet_of_anchor[s->anchor[j]];
        s->mass[s->sheet[j]] += 1.0 / (double)N;
    }
    s->y = NULL;
    return FWM_OK;
}

const ot_support_view *ot_support_get(const ot_support *s)
{
    return &s->view;
}

ot_sites *ot_support_sites(ot_support *s)
{
    return s->codes;
}

void ot_support_score(ot_support *s, double *score, int64_t M, const void *p)
{
    ot_sites_distance(s->codes, score, M, p, false);
    for (int64_t i = 0; i < M; i++)
        score[i] = score[i] > s->view.tau ? (score[i] - s->view.tau) / s->view.s : 0.0;
}

void ot_support_means(const ot_support *s, void *means)
{
    memset(s->sum, 0, (size_t)(s->view.sheets * s->d) * sizeof *s->sum);
    for (int64_t j = 0; j < s->view.N; j++)
        for (int64_t k = 0; k < s->d; k++)
            s->sum[s->sheet[j] * s->d + k] +=
                ot_sites_coordinate(s->codes, j, k) / (s->mass[s->sheet[j]] * (double)s->view.N);
    for (int64_t i = 0; i < s->view.sheets * s->d; i++)
        ot_number_put(s->dtype, means, i, s->sum[i]);
}
