/* Operations on lane blocks besides the element sweep: triangular solves, loads, updates, packing. */
#include "physics/lanes.h"

#include <string.h>

enum { CHUNK = 64 };

static void pack(void *block, const void *rows, int64_t n, int count)
{
    /* Tiles of dofs stay in the first-level cache while the lanes are filled one by one. */
    enum { TILE = 128 };
    real *out = block;
    const real *in = rows;
    for (int64_t first = 0; first < n; first += TILE) {
        int64_t end = first + TILE < n ? first + TILE : n;
        for (int l = 0; l < FEM_LANES; l++) {
            const real *row = in + (l < count ? l : count - 1) * n;
            for (int64_t i = first; i < end; i++)
                out[i * FEM_LANES + l] = row[i];
        }
    }
}

static void unpack(void *rows, const void *block, int64_t n, int count)
{
    enum { TILE = 128 };
    real *out = rows;
    const real *in = block;
    for (int64_t first = 0; first < n; first += TILE) {
        int64_t end = first + TILE < n ? first + TILE : n;
        for (int l = 0; l < count; l++)
            for (int64_t i = first; i < end; i++)
                out[l * n + i] = in[i * FEM_LANES + l];
    }
}

/* sum_e value[e] x[index[e]], four partial sums to hide the latency of the additions. */
FEM_INLINE vec sparse_dot(const real *value, const int32_t *index, int32_t start, int32_t end, const vec *x)
{
    vec s0 = vec_zero(), s1 = s0, s2 = s0, s3 = s0;
    int32_t e = start;
    for (; e + 4 <= end; e += 4) {
        s0 += x[index[e]] * value[e];
        s1 += x[index[e + 1]] * value[e + 1];
        s2 += x[index[e + 2]] * value[e + 2];
        s3 += x[index[e + 3]] * value[e + 3];
    }
    for (; e < end; e++)
        s0 += x[index[e]] * value[e];
    return (s0 + s1) + (s2 + s3);
}

static void solve(void *x, const void *b, void *work, const fem_triangles *f)
{
    vec *w = work, *out = x;
    const vec *in = b;
    const real *diagonal = f->inverse_diagonal;
    for (int64_t k = 0; k < f->n; k++)
        w[k] = in[f->order[k]] - sparse_dot(f->row_value, f->row_column, f->row_start[k], f->row_start[k + 1], w);
    for (int64_t k = f->n - 1; k >= 0; k--) {
        w[k] = w[k] * diagonal[k] -
               sparse_dot(f->column_value, f->column_row, f->column_start[k], f->column_start[k + 1], w);
        out[f->order[k]] = w[k];
    }
}

static void constrain(void *u, const void *a, const fem_constraints *c)
{
    vec *out = u;
    for (int64_t i = 0; i < c->n; i++) {
        out[c->dof[i]] = vec_zero() + (real)c->constant[i];
        if (c->action[i] >= 0)
            out[c->dof[i]] += ((const vec *)a)[c->action[i]] * (real)c->gain[i];
    }
    for (int64_t i = 0; i < c->n_means; i++) {
        const int32_t first = c->mean_start[i], end = c->mean_start[i + 1];
        vec sum = out[c->mean_from[first]];
        for (int32_t e = first + 1; e < end; e++)
            sum += out[c->mean_from[e]];
        out[c->mean[i]] = sum * ((real)1 / (real)(end - first));
    }
}

static void constrain_vjp(void *u_bar, void *a_bar, const fem_constraints *c)
{
    vec *bar = u_bar;
    for (int64_t i = 0; i < c->n_means; i++) {
        const int32_t first = c->mean_start[i], end = c->mean_start[i + 1];
        const vec share = bar[c->mean[i]] * ((real)1 / (real)(end - first));
        for (int32_t e = first; e < end; e++)
            bar[c->mean_from[e]] += share;
        bar[c->mean[i]] = vec_zero();
    }
    for (int64_t i = 0; i < c->n; i++) {
        if (c->action[i] >= 0)
            ((vec *)a_bar)[c->action[i]] += bar[c->dof[i]] * (real)c->gain[i];
        bar[c->dof[i]] = vec_zero();
    }
}

static void mask(void *r, const fem_constraints *c)
{
    for (int64_t i = 0; i < c->n; i++)
        ((vec *)r)[c->dof[i]] = vec_zero();
    for (int64_t i = 0; i < c->n_means; i++)
        ((vec *)r)[c->mean[i]] = vec_zero();
}

static void load(void *r, const void *a, const fem_loads *f)
{
    vec *out = r;
    for (int64_t i = 0; i < f->n_dof; i++)
        for (int32_t e = f->row_start[i]; e < f->row_start[i + 1]; e++)
            out[i] -= ((const vec *)a)[f->action[e]] * ((const real *)f->weight)[e];
}

static void load_vjp(void *a_bar, const void *r_bar, const fem_loads *f)
{
    vec chunk[FEM_MAX_ACTIONS];
    memset(chunk, 0, sizeof chunk);
    const vec *v = r_bar;
    vec *out = a_bar;
    for (int64_t i = 0; i < f->n_dof; i++) {
        for (int32_t e = f->row_start[i]; e < f->row_start[i + 1]; e++)
            chunk[f->action[e]] += v[i] * ((const real *)f->weight)[e];
        if (i % CHUNK == CHUNK - 1 || i == f->n_dof - 1)
            for (int k = 0; k < f->n_actions; k++) {
                out[k] -= chunk[k];
                chunk[k] = vec_zero();
            }
    }
}

FEM_INLINE vec magnitude(vec x)
{
    return vec_select(x < 0, -x, x);
}

static void update(void *u, const void *d, const double *active, double *size_d, double *size_u, int64_t n)
{
    vec largest_d = vec_zero(), largest_u = vec_zero();
    vec_mask moves;
    for (int l = 0; l < FEM_LANES; l++)
        moves[l] = active[l] != 0 ? -1 : 0;
    vec *out = u;
    for (int64_t i = 0; i < n; i++) {
        vec step = ((const vec *)d)[i], next = vec_select(moves, out[i] - step, out[i]), a = magnitude(step),
            b = magnitude(next);
        out[i] = next;
        /* The second test makes a NaN stay. */
        largest_d = vec_select((a <= largest_d) | (largest_d != largest_d), largest_d, a);
        largest_u = vec_select((b <= largest_u) | (largest_u != largest_u), largest_u, b);
    }
    for (int l = 0; l < FEM_LANES; l++) {
        size_d[l] = (double)largest_d[l];
        size_u[l] = (double)largest_u[l];
    }
}

FEM_INLINE vec lane_scalars(const double *s)
{
    vec v;
    for (int l = 0; l < FEM_LANES; l++)
        v[l] = (real)s[l];
    return v;
}

/* A lane times 0 is 0, whatever it held: what has failed there stays there. */
static void scale(void *y, const void *x, const double *s, int64_t n)
{
    const vec factor = lane_scalars(s);
    const vec_mask none = factor == 0;
    for (int64_t i = 0; i < n; i++)
        ((vec *)y)[i] = vec_select(none, vec_zero(), ((const vec *)x)[i] * factor);
}

static void divide(void *y, const void *x, const double *s, const double *m, int64_t nodes, int fields)
{
    vec factor = lane_scalars(s);
    for (int64_t i = 0; i < nodes; i++) {
        real inverse = (real)(1 / m[i]);
        for (int c = 0; c < fields; c++)
            ((vec *)y)[i * fields + c] = ((const vec *)x)[i * fields + c] * (factor * inverse);
    }
}

static void weigh(void *y, const double *w, int64_t nodes, int components)
{
    for (int64_t i = 0; i < nodes; i++)
        for (int c = 0; c < components; c++)
            ((vec *)y)[i * components + c] *= (real)w[c];
}

static void combine(void *y, double a, const void *x, double b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        ((vec *)y)[i] = ((const vec *)x)[i] * (real)a + ((vec *)y)[i] * (real)b;
}

static void dot(double *sum, const void *x, const void *y, int64_t n)
{
    for (int l = 0; l < FEM_LANES; l++)
        sum[l] = 0;
    for (int64_t first = 0; first < n; first += CHUNK) {
        int64_t end = first + CHUNK < n ? first + CHUNK : n;
        vec part = vec_zero();
        for (int64_t i = first; i < end; i++)
            part += ((const vec *)x)[i] * ((const vec *)y)[i];
        for (int l = 0; l < FEM_LANES; l++)
            sum[l] += (double)part[l];
    }
}

static void mass(void *y, const void *x, const fem_csr *m, int fields)
{
    for (int64_t i = 0; i < m->rows; i++)
        for (int c = 0; c < fields; c++) {
            vec sum = vec_zero();
            for (int64_t e = m->row_start[i]; e < m->row_start[i + 1]; e++)
                sum += ((const vec *)x)[(int64_t)m->column[e] * fields + c] * (real)m->weight[e];
            ((vec *)y)[i * fields + c] = sum;
        }
}

extern const fem_lane_kernels FWM_V(fem_lane_kernels);
const fem_lane_kernels FWM_V(fem_lane_kernels) = {
    .lanes = FEM_LANES,
    .pack = pack,
    .unpack = unpack,
    .solve = solve,
    .constrain = constrain,
    .constrain_vjp = constrain_vjp,
    .mask = mask,
    .load = load,
    .load_vjp = load_vjp,
    .update = update,
    .scale = scale,
    .divide = divide,
    .weigh = weigh,
    .combine = combine,
    .dot = dot,
    .mass = mass,
};
