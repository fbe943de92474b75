#include "model/transport/sinkhorn_impl.h"

#include "model/base/arena.h"
#include "model/transport/sites.h"

#include <math.h>
#include <string.h>

enum { STEP_LIMIT = 1000000 };

static const double log_of_zero = -1e5; /* not -infinity: differences of it stay numbers */
static const double default_scaling = 0.5, weight_tolerance = 1e-4;

/* ---- workspace ---- */

static int64_t round_up(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static int64_t padded(int64_t n)
{
    return round_up(n, OT_PAD);
}

static void place_pair(ot_sinkhorn *s, ot_cursor *c, ot_pair *pair, bool self, int64_t M, int64_t N)
{
    size_t element = ad_dtype_size(s->dtype);
    *pair = (ot_pair){.M = M, .N = N, .ld = padded(N), .self = self};
    pair->C = ot_cursor_take(c, M, pair->ld, element);
    pair->k = ot_cursor_take(c, padded(M), 1, element);
    pair->h = ot_cursor_take(c, pair->ld, 1, element);
    pair->partial = ot_cursor_take(c, OT_CHUNKS, pair->ld, element);
    pair->row_sum = ot_cursor_take(c, padded(M), 1, sizeof(double));
    pair->col_sum = ot_cursor_take(c, pair->ld, 1, sizeof(double));
}

static void place(ot_sinkhorn *s, ot_cursor *c)
{
    int64_t M = s->M, N = s->N, d = s->d, dp = s->dp, ldm = padded(M), ldn = padded(N);
    size_t element = ad_dtype_size(s->dtype);
    place_pair(s, c, &s->pair[XY], false, M, N);
    place_pair(s, c, &s->pair[XX], true, s->options.biased ? 0 : M, s->options.biased ? 0 : M);
    place_pair(s, c, &s->pair[YY], true, s->options.biased ? 0 : N, s->options.biased ? 0 : N);
    s->x_panels = ot_cursor_take(c, ldm, d, element);
    s->y_panels = ot_cursor_take(c, ldn, d, element);
    void **of_x[] = {&s->x, &s->bar_xy, &s->bar_xx}, **of_y[] = {&s->y, &s->bar_yx, &s->bar_yy};
    for (size_t k = 0; k < sizeof of_x / sizeof *of_x; k++) {
        *of_x[k] = ot_cursor_take(c, ldm, dp, element);
        *of_y[k] = ot_cursor_take(c, ldn, dp, element);
    }
    double **rows[] = {&s->a, &s->log_a, &s->f, &s->p, &s->ft, &s->pt};
    double **columns[] = {&s->b, &s->log_b, &s->g, &s->q, &s->gt, &s->qt};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        *rows[k] = ot_cursor_take(c, M, 1, sizeof(double));
        *columns[k] = ot_cursor_take(c, N, 1, sizeof(double));
    }
}

static void connect(ot_sinkhorn *s)
{
    ot_pair *xy = &s->pair[XY], *xx = &s->pair[XX], *yy = &s->pair[YY];
    xy->log_a = xx->log_a = xx->log_b = s->log_a;
    xy->log_b = yy->log_a = yy->log_b = s->log_b;
    xy->f = s->f, xy->g = s->g;
    xx->f = xx->g = s->p;
    yy->f = yy->g = s->q;
}

static fwm_status check_scales(double blur, double rho)
{
    FWM_CHECK(isfinite(blur) && blur > 0, FWM_INVALID, "Sinkhorn: blur is %g, expected a positive number", blur);
    FWM_CHECK(isfinite(rho) && rho >= 0, FWM_INVALID,
              "Sinkhorn: rho is %g, expected a positive number, or 0 for marginals that must be met", rho);
    return FWM_OK;
}

fwm_status ot_sinkhorn_create(ot_sinkhorn **out, ad_dtype dtype, int64_t M, int64_t N, int64_t d,
                              const ot_sinkhorn_options *o)
{
    *out = NULL;
    FWM_CHECK(M >= 1 && N >= 1 && d >= 1, FWM_INVALID,
              "Sinkhorn: expected clouds of at least one point and coordinate, found "
              "[%lld,%lld] and [%lld,%lld]",
              (long long)M, (long long)d, (long long)N, (long long)d);
    FWM_TRY(check_scales(o->blur, o->rho));
    FWM_CHECK(o->scaling >= 0 && o->scaling < 1, FWM_INVALID, "Sinkhorn: scaling is %g, expected a number in (0,1)",
              o->scaling);
    FWM_CHECK(o->extra >= 0 && o->extra <= STEP_LIMIT && o->tol >= 0, FWM_INVALID,
              "Sinkhorn: expected 0 to %d extra steps and a tolerance that is not negative, found %d and %g",
              STEP_LIMIT, o->extra, o->tol);
    ot_sinkhorn *s = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "Sinkhorn: out of memory");
    s->dtype = dtype, s->M = M, s->N = N, s->d = d, s->dp = round_up(d, OT_PAD_D);
    s->options = *o;
    if (o->scaling == 0)
        s->options.scaling = default_scaling;
    s->kernels = ot_kernels_find(dtype == AD_F64);
    fwm_status status = FWM_OK;
    ot_cursor c = {0};
    place(s, &c);
    FWM_CHECK_GOTO(status, !c.overflow, FWM_OVERFLOW,
                   "Sinkhorn: clouds of %lld and %lld points in %lld dimensions are too large", (long long)M,
                   (long long)N, (long long)d);
    s->size = c.at;
    FWM_TRY_GOTO(status, fwm_block_alloc(&s->block, s->size));
    c = (ot_cursor){.base = s->block};
    place(s, &c);
    connect(s);
    *out = s;
    return FWM_OK;
done:
    ot_sinkhorn_destroy(&s);
    return status;
}

void ot_sinkhorn_destroy(ot_sinkhorn **s)
{
    if (!s || !*s)
        return;
    fwm_block_free((*s)->block, (*s)->size);
    fwm_free(*s);
    *s = NULL;
}

size_t ot_sinkhorn_memory(const ot_sinkhorn *s)
{
    return s->size + sizeof *s;
}

fwm_status ot_sinkhorn_set_scales(ot_sinkhorn *s, double blur, double rho)
{
    FWM_TRY(check_scales(blur, rho));
    s->options.blur = blur;
    s->options.rho = rho;
    return FWM_OK;
}

/* ---- reading clouds and weights ---- */

static fwm_status check_cloud(const ot_sinkhorn *s, const char *name, int64_t n, const void *v)
{
    for (int64_t i = 0; i < n * s->d; i++)
        FWM_CHECK(isfinite(ot_number(s->dtype, v, i)), FWM_NUMERIC,
                  "Sinkhorn: coordinate %lld of point %lld of cloud %s is %g; find what made it not finite",
                  (long long)(i % s->d), (long long)(i / s->d), name, ot_number(s->dtype, v, i));
    return FWM_OK;
}

/* relaxed: masses need not be 1, and are left as they are. */
static fwm_status load_weights(const char *name, bool relaxed, int64_t n, const double *from, double *w, double *log_w)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        w[i] = from ? from[i] : 1.0 / (double)n;
        FWM_CHECK(isfinite(w[i]) && w[i] >= 0, FWM_INVALID,
                  "Sinkhorn: weight %lld of cloud %s is %g, expected at least 0", (long long)i, name, w[i]);
        sum += w[i];
    }
    FWM_CHECK(sum > 0 && (relaxed || fabs(sum - 1) <= weight_tolerance), FWM_INVALID,
              "Sinkhorn: the weights of cloud %s sum to %g, expected %s", name, sum, relaxed ? "more than 0" : "1");
    for (int64_t i = 0; i < n; i++) {
        if (!relaxed)
            w[i] /= sum;
        log_w[i] = w[i] > 0 ? log(w[i]) : log_of_zero;
    }
    return FWM_OK;
}

/* What a coordinate's extent over both clouds tells: the joint mean (each cloud counts half) and the spread around it.
 */
typedef struct extent {
    double mean, lo, hi, spread;
} extent;

static extent measure(const ot_sinkhorn *s, const void *x, const void *y, int64_t k)
{
    extent e = {.lo = INFINITY, .hi = -INFINITY};
    for (int side = 0; side < 2; side++) {
        const void *v = side ? y : x;
        const double *w = side ? s->b : s->a;
        int64_t n = side ? s->N : s->M;
        for (int64_t i = 0; i < n; i++) {
            double c = ot_number(s->dtype, v, i * s->d + k);
            e.mean += 0.5 * w[i] * c;
            e.lo = fmin(e.lo, c);
            e.hi = fmax(e.hi, c);
        }
    }
    for (int side = 0; side < 2; side++) {
        const void *v = side ? y : x;
        const double *w = side ? s->b : s->a;
        int64_t n = side ? s->N : s->M;
        for (int64_t i = 0; i < n; i++) {
            double c = ot_number(s->dtype, v, i * s->d + k) - e.mean;
            e.spread += 0.5 * w[i] * c * c;
        }
    }
    return e;
}

/* Coordinate k of the copies; what pads them stays the zeros of the block. */
static void centre(const ot_sinkhorn *s, int64_t n, int64_t k, double mean, const void *from, void *to, void *panels)
{
    for (int64_t i = 0; i < n; i++) {
        double c = ot_number(s->dtype, from, i * s->d + k) - mean;
        ot_number_put(s->dtype, to, i * s->dp + k, c);
        ot_number_put(s->dtype, panels, i / OT_PAD * OT_PAD * s->d + k * OT_PAD + i % OT_PAD, c);
    }
}

/* Centres both clouds on the joint mean; diameter: of the joint bounding box; spread: root mean square distance. */
static fwm_status load_clouds(ot_sinkhorn *s, const void *x, const void *y, double *diameter, double *spread)
{
    double box = 0, square = 0;
    FWM_TRY(check_cloud(s, "x", s->M, x));
    FWM_TRY(check_cloud(s, "y", s->N, y));
    for (int64_t k = 0; k < s->d; k++) {
        extent e = measure(s, x, y, k);
        centre(s, s->M, k, e.mean, x, s->x, s->x_panels);
        centre(s, s->N, k, e.mean, y, s->y, s->y_panels);
        box += (e.hi - e.lo) * (e.hi - e.lo);
        square += e.spread;
    }
    double limit = s->dtype == AD_F64 ? 1e300 : 1e37;
    FWM_CHECK(box < limit, FWM_NUMERIC, "Sinkhorn: the clouds span %g: squared distances overflow; scale them down",
              sqrt(box));
    *diameter = sqrt(box);
    *spread = sqrt(square);
    return FWM_OK;
}

/* ---- iteration ---- */

/* Relaxed marginals shorten every soft minimum by 1/(1 + eps/rho). */
static void shorten(const ot_sinkhorn *s, double eps)
{
    double factor = 1 / (1 + eps / s->options.rho), *fresh[] = {s->ft, s->pt, s->gt, s->qt};
    for (int k = 0; s->options.rho > 0 && k < 4; k++)
        for (int64_t i = 0; i < (k < 2 ? s->M : s->N); i++)
            fresh[k][i] *= factor;
}

static void all_softmins(ot_sinkhorn *s, double eps)
{
    s->kernels->softmin(&s->pair[XY], eps, s->ft, s->gt);
    if (!s->options.biased) {
        s->kernels->softmin(&s->pair[XX], eps, s->pt, NULL);
        s->kernels->softmin(&s->pair[YY], eps, s->qt, NULL);
    }
    shorten(s, eps);
}

/* v += weight (vt - v); returns max |vt - v|, NaN where there is one. */
static double move(int64_t n, double weight, double *v, const double *vt)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        double change = vt[i] - v[i];
        most = fabs(change) <= most ? most : fabs(change);
        v[i] += weight * change;
    }
    return most;
}

/* One simultaneous step of the four potentials; returns the largest change over eps. */
static double step(ot_sinkhorn *s, double eps, double weight)
{
    all_softmins(s, eps);
    double f = move(s->M, weight, s->f, s->ft), g = move(s->N, weight, s->g, s->gt);
    double p = move(s->M, weight, s->p, s->pt), q = move(s->N, weight, s->q, s->qt);
    double sum = f + g + p + q;
    return sum == sum ? fmax(fmax(f, g), fmax(p, q)) / eps : sum;
}

/* The solution at infinite eps, then falling eps, then further steps at the last one. */
static void anneal(ot_sinkhorn *s, double diameter)
{
    double blur = s->last.blur, scale = diameter > blur ? diameter : blur;
    double *start[] = {s->f, s->p, s->pt, s->g, s->q, s->qt};
    for (int k = 0; k < 6; k++)
        memset(start[k], 0, (size_t)(k < 3 ? s->M : s->N) * sizeof(double));
    s->last.iterations = 0;
    (void)step(s, scale * scale, 1.0);
    for (; scale > blur; scale *= s->options.scaling, s->last.iterations++)
        (void)step(s, scale * scale, 0.5);
    for (int k = 0; k <= s->options.extra; k++) {
        s->last.change = step(s, blur * blur, 0.5);
        s->last.iterations++;
        if (s->last.change < s->options.tol)
            break;
    }
}

static double marginal_error(int64_t n, double eps, const double *w, const double *v, const double *vt)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += w[i] * fabs(expm1((v[i] - vt[i]) / eps));
    return sum;
}

/* What a pair of potentials v (of a,b) and self (of a,a) stand for: v - self, and exp(-self/rho) - exp(-v/rho) relaxed.
 */
static double gain(const ot_sinkhorn *s, double v, double self)
{
    double rho = s->options.rho;
    return rho > 0 ? exp(-v / rho) * expm1((v - self) / rho) : v - self;
}

/* S, OT(a,b) and the mass of its plan from the final potentials. */
static void evaluate(ot_sinkhorn *s, double eps)
{
    double rho = s->options.rho, value = 0, transport = 0, mass = 0, sum_a = 0, sum_b = 0;
    for (int64_t i = 0; i < s->M; i++) {
        value += s->a[i] * gain(s, s->ft[i], s->pt[i]);
        transport += s->a[i] * (rho > 0 ? -rho * expm1(-s->ft[i] / rho) : s->ft[i]);
        mass += s->a[i] * (rho > 0 ? exp(-s->ft[i] / rho) : 1.0);
        sum_a += s->a[i];
    }
    for (int64_t j = 0; j < s->N; j++) {
        value += s->b[j] * gain(s, s->gt[j], s->qt[j]);
        transport += s->b[j] * (rho > 0 ? -rho * expm1(-s->gt[j] / rho) : s->gt[j]);
        sum_b += s->b[j];
    }
    s->last.transport = transport + (rho > 0 ? eps * (sum_a * sum_b - mass) : 0.0);
    s->last.value = s->options.biased ? s->last.transport : rho > 0 ? (rho + 0.5 * eps) * value : value;
    s->last.mass = mass;
}

/* The last step, full, with the barycentres that the gradients need. */
static void finish(ot_sinkhorn *s, bool want_x, bool want_y)
{
    double eps = s->last.blur * s->last.blur;
    const ot_kernels *k = s->kernels;
    if (want_x || want_y) {
        k->barycentre(&s->pair[XY], eps, s->ft, s->gt, s->bar_xy, want_y ? s->bar_yx : NULL, s->dp, s->x, s->y);
        if (!s->options.biased)
            k->barycentre(&s->pair[XX], eps, s->pt, NULL, s->bar_xx, NULL, s->dp, s->x, s->x);
        if (want_y && !s->options.biased)
            k->barycentre(&s->pair[YY], eps, s->qt, NULL, s->bar_yy, NULL, s->dp, s->y, s->y);
        else if (!s->options.biased)
            k->softmin(&s->pair[YY], eps, s->qt, NULL);
        shorten(s, eps);
    } else { /* shortened there */
        all_softmins(s, eps);
    }
    double rows = marginal_error(s->M, eps, s->a, s->f, s->ft), columns = marginal_error(s->N, eps, s->b, s->g, s->gt);
    s->last.marginal_error = rows > columns ? rows : columns;
    evaluate(s, eps);
}

/* Weights' gradients: potentials' difference with mean 0; relaxed, the mass counts and nothing is shifted. */
static void weight_gradient(const ot_sinkhorn *s, int64_t n, double *out, const double *v, const double *self)
{
    double mean = 0, factor = s->options.rho > 0 ? s->options.rho + s->last.blur * s->last.blur : 1.0;
    for (int64_t i = 0; i < n; i++) {
        out[i] = factor * gain(s, v[i], self[i]);
        mean += out[i] / (double)n;
    }
    for (int64_t i = 0; s->options.rho == 0 && i < n; i++)
        out[i] -= mean;
}

/* w_i (self barycentre - barycentre over the other cloud); relaxed, rows of the two plans have masses of their own.
 * Biased, the point itself stands where its barycentre does. */
static void write_gradient(const ot_sinkhorn *s, int64_t n, void *out, const double *w, const void *x,
                           const double *potential[2], const void *self, const void *other)
{
    double rho = s->options.rho;
    for (int64_t i = 0; i < n; i++) {
        double to_other = rho > 0 ? exp(-potential[0][i] / rho) : 1.0, to_self = s->options.biased ? 0.0
                                                                                 : rho > 0 ? exp(-potential[1][i] / rho)
                                                                                           : 1.0;
        for (int64_t k = 0; k < s->d; k++) {
            int64_t at = i * s->dp + k;
            double here = ot_number(s->dtype, x, at), b = ot_number(s->dtype, other, at),
                   a = s->options.biased ? here : ot_number(s->dtype, self, at);
            ot_number_put(s->dtype, out, i * s->d + k,
                          w[i] * (rho > 0 ? to_other * (here - b) - to_self * (here - a) : a - b));
        }
    }
}

fwm_status ot_sinkhorn_run(ot_sinkhorn *s, ot_sinkhorn_result *result, void *dx, void *dy, double *da, double *db,
                           const void *x, const void *y, const double *a, const double *b)
{
    double diameter = 0, spread = 0;
    FWM_TRY(load_weights("x", s->options.rho > 0, s->M, a, s->a, s->log_a));
    FWM_TRY(load_weights("y", s->options.rho > 0, s->N, b, s->b, s->log_b));
    FWM_TRY(load_clouds(s, x, y, &diameter, &spread));
    s->last = (ot_sinkhorn_result){.blur = s->options.blur};
    if (s->options.relative) /* where all points are one, every blur gives the value 0 */
        s->last.blur *= spread > 0 ? spread : 1.0;
    s->kernels->cost(&s->pair[XY], s->d, s->dp, s->x, s->y_panels);
    if (!s->options.biased) {
        s->kernels->cost(&s->pair[XX], s->d, s->dp, s->x, s->x_panels);
        s->kernels->cost(&s->pair[YY], s->d, s->dp, s->y, s->y_panels);
    }
    anneal(s, diameter);
    finish(s, dx != NULL, dy != NULL);
    FWM_CHECK(isfinite(s->last.value), FWM_NUMERIC,
              "Sinkhorn: the value is %g at blur %g and diameter %g; take a larger blur or float64", s->last.value,
              s->last.blur, diameter);
    if (dx)
        write_gradient(s, s->M, dx, s->a, s->x, (const double *[]){s->ft, s->pt}, s->bar_xx, s->bar_xy);
    if (dy)
        write_gradient(s, s->N, dy, s->b, s->y, (const double *[]){s->gt, s->qt}, s->bar_yy, s->bar_yx);
    if (da)
        weight_gradient(s, s->M, da, s->ft, s->pt);
    if (db)
        weight_gradient(s, s->N, db, s->gt, s->qt);
    if (result)
        *result = s->last;
    return FWM_OK;
}

void ot_sinkhorn_last(const ot_sinkhorn *s, ot_sinkhorn_result *result, const double **f, const double **g)
{
    if (result)
        *result = s->last;
    if (f)
        *f = s->ft;
    if (g)
        *g = s->gt;
}

double ot_sinkhorn_group_error(const ot_sinkhorn *s, int64_t K, const int64_t *group)
{
    double eps = s->last.blur * s->last.blur, most = 0;
    for (int64_t k = 0; k < K; k++) {
        double surplus = 0;
        for (int64_t j = 0; j < s->N; j++)
            surplus += group[j] == k ? s->b[j] * expm1((s->g[j] - s->gt[j]) / eps) : 0.0;
        most = fabs(surplus) > most ? fabs(surplus) : most;
    }
    return most;
}
