/* L D L^T and L D U with one matrix a lane: the same up-looking elimination as factor.c, a vector at a time. */
#include "physics/lanes.h"

/* Row k of L and column k of U solve with what stands before; see factor.c. */
FEM_INLINE vec eliminate(const fem_lane_triangles *f, int64_t k, vec *y, vec *z, vec pivot, bool definite)
{
    vec *lower = f->lower, *upper = f->upper;
    const vec *inverse = f->inverse_diagonal;
    for (int32_t e = f->row_start[k]; e < f->row_start[k + 1]; e++) {
        const int32_t j = f->row_column[e], end = f->filled[j]++;
        const vec v = y[j], u = v * inverse[j];
        y[j] = vec_zero();
        if (definite) {
            for (int32_t p = f->column_start[j]; p < end; p++)
                y[f->column_row[p]] -= lower[p] * v;
            pivot -= u * v;
            lower[end] = u;
            continue;
        }
        const vec w = z[j], l = w * inverse[j];
        z[j] = vec_zero();
        for (int32_t p = f->column_start[j]; p < end; p++) {
            y[f->column_row[p]] -= lower[p] * v;
            z[f->column_row[p]] -= upper[p] * w;
        }
        pivot -= l * v;
        lower[end] = l;
        upper[end] = u;
    }
    return pivot;
}

static void lane_factor(const fem_lane_triangles *f, int32_t *unknown)
{
    vec *y = f->work, *z = y + f->n, *inverse = f->inverse_diagonal;
    const vec *above = f->above, *below = f->below;
    for (int l = 0; l < FEM_MAX_LANES; l++)
        unknown[l] = -1;
    for (int64_t k = 0; k < f->n; k++) {
        f->filled[k] = f->column_start[k];
        for (int32_t e = f->above_start[k]; e < f->above_start[k + 1]; e++) {
            y[f->above_row[e]] = above[e];
            if (!f->definite)
                z[f->above_row[e]] = below[e];
        }
        vec pivot = y[k];
        const vec scale = pivot;
        y[k] = z[k] = vec_zero();
        pivot = f->definite ? eliminate(f, k, y, z, pivot, true) : eliminate(f, k, y, z, pivot, false);
        for (int l = 0; l < FEM_LANES; l++) {
            const double size = (double)pivot[l], before = (double)scale[l];
            const double least = REAL_EPS * fabs(before);
            const bool good = f->definite ? size > 0 && size < INFINITY : fabs(size) > least && fabs(size) < INFINITY;
            if (!good && unknown[l] < 0)
                unknown[l] = f->order[k];
            pivot[l] = good ? pivot[l] : 1;
        }
        inverse[k] = (vec_zero() + 1) / pivot;
    }
}

/* x -> T^-1 x, T unit lower triangular by columns. */
FEM_INLINE void forward(vec *x, const vec *value, const fem_lane_triangles *f)
{
    for (int64_t k = 0; k < f->n; k++) {
        const vec v = x[k];
        for (int32_t e = f->column_start[k]; e < f->column_start[k + 1]; e++)
            x[f->column_row[e]] -= value[e] * v;
    }
}

/* x -> D^-1 x, then T^-1 x, T unit upper triangular by rows. */
FEM_INLINE void backward(vec *x, const vec *value, const fem_lane_triangles *f)
{
    const vec *inverse = f->inverse_diagonal;
    for (int64_t k = f->n - 1; k >= 0; k--) {
        vec v = x[k] * inverse[k];
        for (int32_t e = f->column_start[k]; e < f->column_start[k + 1]; e++)
            v -= value[e] * x[f->column_row[e]];
        x[k] = v;
    }
}

static void lane_solve(void *x, const void *b, void *work, const fem_lane_triangles *f, bool transposed)
{
    vec *w = work, *out = x;
    const vec *in = b, *lower = f->lower, *upper = f->definite ? f->lower : f->upper;
    for (int64_t k = 0; k < f->n; k++)
        w[k] = in[f->order[k]];
    forward(w, transposed ? upper : lower, f);
    backward(w, transposed ? lower : upper, f);
    for (int64_t k = 0; k < f->n; k++)
        out[f->order[k]] = w[k];
}

extern const fem_lane_direct FWM_V(fem_lane_direct);
const fem_lane_direct FWM_V(fem_lane_direct) = {.factor = lane_factor, .solve = lane_solve};
