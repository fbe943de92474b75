/* Exact cells of power diagrams on an interval or a rectangle, and damped Newton on their masses. */
#include "model/base/arena.h"
#include "model/base/threads.h"
#include "model/transport/numeric.h"
#include "model/transport/semi_discrete.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { HALVINGS = 60, BOX = -1 };

/* One problem. facet [N][N] are masses a unit of height moves between cells: rho |facet| / |y_i - y_j|. */
typedef struct diagram {
    int64_t N, d;
    const double *y, *box;
    double volume;
    double *facet, *matrix, *polygons;
} diagram;

/* A convex polygon: the edge from vertex k to the next was cut by `by[k]`. */
typedef struct polygon {
    int64_t n;
    double *x, *z;
    int64_t *by;
} polygon;

/* Weight of the cut between i and j: points with <x, y_j - y_i> > level belong rather to j. */
static double cut_level(const diagram *D, const double *g, int64_t i, int64_t j)
{
    double level = g[i] - g[j];
    for (int64_t k = 0; k < D->d; k++)
        level += 0.5 * (D->y[j * D->d + k] - D->y[i * D->d + k]) * (D->y[j * D->d + k] + D->y[i * D->d + k]);
    return level;
}

static double separation(const diagram *D, int64_t i, int64_t j)
{
    double square = 0;
    for (int64_t k = 0; k < D->d; k++) {
        double e = D->y[j * D->d + k] - D->y[i * D->d + k];
        square += e * e;
    }
    return sqrt(square);
}

/* ---- one dimension ---- */

static double cell_interval(const diagram *D, const double *g, int64_t i, double *facet)
{
    double lo = D->box[0], hi = D->box[1];
    int64_t lo_by = BOX, hi_by = BOX;
    for (int64_t j = 0; j < D->N; j++) {
        if (j == i)
            continue;
        double e = D->y[j] - D->y[i], at = cut_level(D, g, i, j) / e;
        if (e > 0 && at < hi)
            hi = at, hi_by = j;
        if (e < 0 && at > lo)
            lo = at, lo_by = j;
    }
    if (hi <= lo)
        return 0;
    if (facet && lo_by != BOX)
        facet[lo_by] = 1 / (D->volume * separation(D, i, lo_by));
    if (facet && hi_by != BOX)
        facet[hi_by] = 1 / (D->volume * separation(D, i, hi_by));
    return (hi - lo) / D->volume;
}

/* ---- two dimensions ---- */

/* What of p has <x,e> <= level, to q. */
static void clip(polygon *q, const polygon *p, double ex, double ez, double level, int64_t by)
{
    q->n = 0;
    for (int64_t k = 0; k < p->n; k++) {
        int64_t next = k + 1 < p->n ? k + 1 : 0;
        double here = p->x[k] * ex + p->z[k] * ez - level, there = p->x[next] * ex + p->z[next] * ez - level;
        if (here <= 0) {
            q->x[q->n] = p->x[k], q->z[q->n] = p->z[k];
            q->by[q->n++] = p->by[k];
        }
        if ((here <= 0) != (there <= 0)) {
            double s = here / (here - there);
            q->x[q->n] = p->x[k] + s * (p->x[next] - p->x[k]);
            q->z[q->n] = p->z[k] + s * (p->z[next] - p->z[k]);
            q->by[q->n++] = here <= 0 ? by : p->by[k];
        }
    }
}

static bool is_cut(const polygon *p, double ex, double ez, double level)
{
    for (int64_t k = 0; k < p->n; k++)
        if (p->x[k] * ex + p->z[k] * ez > level)
            return true;
    return false;
}

/* room: 2 polygons of N + 8 vertices. */
static double cell_polygon(const diagram *D, const double *g, int64_t i, double *facet, double *room)
{
    int64_t most = D->N + 8;
    const double *b = D->box;
    polygon p = {4, room, room + most, (int64_t *)(void *)(room + 2 * most)}, q = {0};
    q.x = room + 3 * most, q.z = room + 4 * most, q.by = (int64_t *)(void *)(room + 5 * most);
    const double corners[2][4] = {{b[0], b[2], b[2], b[0]}, {b[1], b[1], b[3], b[3]}};
    for (int k = 0; k < 4; k++)
        p.x[k] = corners[0][k], p.z[k] = corners[1][k], p.by[k] = BOX;
    for (int64_t j = 0; j < D->N && p.n > 0; j++) {
        double ex = D->y[2 * j] - D->y[2 * i], ez = D->y[2 * j + 1] - D->y[2 * i + 1], level = cut_level(D, g, i, j);
        if (j == i || !is_cut(&p, ex, ez, level))
            continue;
        clip(&q, &p, ex, ez, level, j);
        polygon swap = p;
        p = q;
        q = swap;
    }
    double area = 0;
    for (int64_t k = 0; k < p.n; k++) {
        int64_t next = k + 1 < p.n ? k + 1 : 0;
        /* relative to the first vertex: small cells keep their digits */
        area += 0.5 * ((p.x[k] - p.x[0]) * (p.z[next] - p.z[0]) - (p.x[next] - p.x[0]) * (p.z[k] - p.z[0]));
        if (facet && p.by[k] != BOX)
            facet[p.by[k]] += hypot(p.x[next] - p.x[k], p.z[next] - p.z[k]) / (D->volume * separation(D, i, p.by[k]));
    }
    return area / D->volume;
}

/* ---- both ---- */

/* Masses of all cells; with_facets: D->facet too. Rows are independent. */
static void measure(const diagram *D, double *mass, const double *g, bool with_facets)
{
    int64_t N = D->N, room = 6 * (N + 8); /* of each thread */
#pragma omp parallel for schedule(static) if (N >= 64)
    for (int64_t i = 0; i < N; i++) {
        double *facet = with_facets ? D->facet + i * N : NULL;
        if (facet)
            memset(facet, 0, (size_t)N * sizeof *facet);
        mass[i] = D->d == 1 ? cell_interval(D, g, i, facet)
                            : cell_polygon(D, g, i, facet, D->polygons + omp_get_thread_num() * room);
    }
}

/* Heights that leave no cell empty. Zero heights do where every point lies in its own cell within the box; else the
 * power diagram of y is made the Voronoi diagram of the points a y + b inside the box: h = -|a y + b|^2 / 2a. */
static void start(const diagram *D, double *g, double *mass)
{
    int64_t N = D->N, d = D->d;
    double lo[2] = {INFINITY, INFINITY}, hi[2] = {-INFINITY, -INFINITY}, a = INFINITY;
    memset(g, 0, (size_t)N * sizeof *g);
    bool inside = true;
    for (int64_t i = 0; i < N * d; i++) {
        int64_t k = i % d;
        lo[k] = fmin(lo[k], D->y[i]);
        hi[k] = fmax(hi[k], D->y[i]);
        inside = inside && D->y[i] > D->box[k] && D->y[i] < D->box[d + k];
    }
    if (!inside) {
        for (int64_t k = 0; k < d; k++)
            a = fmin(a, 0.9 * (D->box[d + k] - D->box[k]) / fmax(hi[k] - lo[k], 1e-300));
        a = fmin(a, 1.0);
        for (int64_t j = 0; j < N; j++) {
            double image = 0, own = 0;
            for (int64_t k = 0; k < d; k++) {
                double centre = 0.5 * (D->box[k] + D->box[d + k]), y = D->y[j * d + k];
                double at = centre + a * (y - 0.5 * (lo[k] + hi[k])), shift = at - a * y;
                image += 0.5 * at * at / a - shift * shift * 0.5 / a;
                own += 0.5 * y * y;
            }
            g[j] = own - image;
        }
    }
    measure(D, mass, g, true);
}

static double smallest(int64_t n, const double *v)
{
    double least = v[0];
    for (int64_t i = 1; i < n; i++)
        least = fmin(least, v[i]);
    return least;
}

static double distance(int64_t n, const double *a, const double *b)
{
    double square = 0;
    for (int64_t i = 0; i < n; i++)
        square += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(square);
}

/* step := solution of (Laplacian of the facets) v = nu - mass with v_{N-1} = 0. */
static bool newton_direction(const diagram *D, double *step, const double *nu, const double *mass)
{
    int64_t n = D->N - 1;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < D->N; j++)
            sum += D->facet[i * D->N + j];
        for (int64_t j = 0; j < i; j++)
            D->matrix[i * n + j] = -0.5 * (D->facet[i * D->N + j] + D->facet[j * D->N + i]);
        D->matrix[i * n + i] = sum;
        step[i] = nu[i] - mass[i];
    }
    step[n] = 0;
    return n == 0 || ot_cholesky_solve(n, D->matrix, step);
}

static fwm_status descend(const diagram *D, double *g, double *mass, double *trial, double *step, double *fresh,
                          const double *nu, double tol, int max_steps, ot_newton_result *r)
{
    int64_t N = D->N;
    start(D, g, mass);
    double floor_mass = 0.5 * fmin(smallest(N, nu), smallest(N, mass));
    FWM_CHECK(floor_mass > 0, FWM_INVALID,
              "Newton on heights: a cell is empty at the start: are two points nearly alike?");
    for (r->steps = 0, r->error = distance(N, mass, nu); r->error > tol; r->steps++) {
        FWM_CHECK(r->steps < max_steps, FWM_NUMERIC, "Newton on heights: |mass - nu| is %g after %d steps, wanted %g",
                  r->error, max_steps, tol);
        FWM_CHECK(newton_direction(D, step, nu, mass), FWM_NUMERIC,
                  "Newton on heights: the cells' Laplacian is singular at step %d; are the points nearly alike?",
                  r->steps);
        double length = 1, error = 0;
        int half = 0;
        for (; half < HALVINGS; half++, length *= 0.5) {
            for (int64_t j = 0; j < N; j++)
                trial[j] = g[j] + length * step[j];
            measure(D, fresh, trial, true);
            error = distance(N, fresh, nu);
            if (smallest(N, fresh) >= floor_mass && error <= (1 - 0.5 * length) * r->error)
                break;
        }
        FWM_CHECK(half < HALVINGS, FWM_NUMERIC,
                  "Newton on heights: stuck at |mass - nu| = %g after %d steps, wanted %g; rounding allows about 1e-15",
                  r->error, r->steps, tol);
        memcpy(g, trial, (size_t)N * sizeof *g);
        memcpy(mass, fresh, (size_t)N * sizeof *g);
        r->error = error;
    }
    r->smallest_cell = smallest(N, mass);
    double mean = 0;
    for (int64_t j = 0; j < N; j++)
        mean += g[j] / (double)N;
    for (int64_t j = 0; j < N; j++)
        g[j] -= mean;
    return FWM_OK;
}

static fwm_status check_problem(int64_t N, int64_t d, const double *y, const double *nu, const double *box)
{
    double sum = 0;
    FWM_CHECK(N >= 1 && N <= OT_NEWTON_SITES && (d == 1 || d == 2), FWM_INVALID,
              "exact cells: expected 1 to %d points in one or two dimensions, found %lld in %lld", OT_NEWTON_SITES,
              (long long)N, (long long)d);
    for (int64_t k = 0; k < d; k++)
        FWM_CHECK(isfinite(box[k]) && isfinite(box[d + k]) && box[k] < box[d + k], FWM_INVALID,
                  "exact cells: the box goes from %g to %g along coordinate %lld", box[k], box[d + k], (long long)k);
    for (int64_t i = 0; i < N * d; i++)
        FWM_CHECK(isfinite(y[i]), FWM_INVALID, "exact cells: coordinate %lld of point %lld is %g", (long long)(i % d),
                  (long long)(i / d), y[i]);
    for (int64_t i = 0; i < N; i++)
        for (int64_t j = 0; j < i; j++)
            FWM_CHECK(memcmp(y + i * d, y + j * d, (size_t)d * sizeof *y) != 0, FWM_INVALID,
                      "exact cells: points %lld and %lld coincide; give their masses to one", (long long)j,
                      (long long)i);
    for (int64_t j = 0; nu && j < N; j++) {
        FWM_CHECK(isfinite(nu[j]) && nu[j] > 0, FWM_INVALID, "exact cells: mass %lld is %g, expected more than 0",
                  (long long)j, nu[j]);
        sum += nu[j];
    }
    FWM_CHECK(!nu || fabs(sum - 1) <= 1e-9, FWM_INVALID, "exact cells: masses sum to %.12g, expected 1", sum);
    return FWM_OK;
}

fwm_status ot_heights_newton(double *g, double *mass, ot_newton_result *result, int64_t N, int64_t d, const double *y,
                             const double *nu, const double *box, double tol, int max_steps)
{
    FWM_TRY(check_problem(N, d, y, nu, box));
    size_t n = (size_t)N, room = d == 2 ? (size_t)fwm_threads_count() * 6 * (n + 8) : 0;
    double *block = fwm_calloc(2 * n * n + room + 5 * n, sizeof *block);
    FWM_CHECK(block, FWM_MEMORY, "Newton on heights: out of memory for %lld points", (long long)N);
    diagram D = {.N = N, .d = d, .y = y, .box = box, .volume = box[d] - box[0]};
    if (d == 2)
        D.volume *= box[3] - box[1];
    double *v = block + 2 * n * n + room;
    D.facet = block, D.matrix = block + n * n, D.polygons = block + 2 * n * n;
    for (size_t j = 0; j < n; j++)
        v[j] = nu ? nu[j] : 1.0 / (double)N;
    ot_newton_result r = {0};
    fwm_status status = descend(&D, g, v + n, v + 2 * n, v + 3 * n, v + 4 * n, v, tol, max_steps, &r);
    if (mass)
        memcpy(mass, v + n, n * sizeof *mass);
    if (result)
        *result = r;
    fwm_free(block);
    return status;
}

fwm_status ot_cells_exact(double *mass, int64_t N, int64_t d, const double *y, const double *g, const double *box)
{
    FWM_TRY(check_problem(N, d, y, NULL, box));
    size_t n = (size_t)N;
    double *room = fwm_malloc(d == 2 ? (size_t)fwm_threads_count() * 6 * (n + 8) : 1, sizeof *room);
    FWM_CHECK(room, FWM_MEMORY, "exact cells: out of memory for %lld points", (long long)N);
    diagram D = {.N = N, .d = d, .y = y, .box = box, .volume = box[d] - box[0], .polygons = room};
    if (d == 2)
        D.volume *= box[3] - box[1];
    measure(&D, mass, g, false);
    fwm_free(room);
    return FWM_OK;
}
