/* The backward passes of group_norm, for the operators that give its sums, its dx, or both: see group_norm.h. */
#ifndef FWM_AUTODIFF_OPS_GROUP_NORM_BACKWARD_H
#define FWM_AUTODIFF_OPS_GROUP_NORM_BACKWARD_H

#include "model/autodiff/ops/group_norm.h"

/* Coefficients in the order that the passes use them. */
enum { NORM_MU, NORM_R, NORM_M1, NORM_M2 };

static inline int64_t norm_width(const norm_geometry *s)
{
    return 2 * s->C + 2 * s->G;
}

/* Into the last part of sample b's sums, and for its pixel loops. */
static inline void norm_keep_moments(const norm_pass *p, int64_t b)
{
    real *out = p->found + b * norm_width(&p->s) + 2 * p->s.C;
    for (int64_t group = 0; group < p->s.G; group++) {
        double mu, r;
        norm_group_moments(p, b, group, &mu, &r);
        out[group] = (real)mu;
        out[p->s.G + group] = (real)r;
        for (int64_t c = group * p->s.K; c < (group + 1) * p->s.K; c++) {
            norm_coefficient(p, b, NORM_MU)[c] = (real)mu;
            norm_coefficient(p, b, NORM_R)[c] = (real)r;
        }
    }
}

/* part[i] += dn, products[i] += dn xhat over one piece of a row; with SiLU dn is kept where p->dn is given. */
static inline void norm_sum_span(const norm_pass *p, int64_t b, int64_t row, int64_t c, int64_t span,
                                 real *restrict part, real *restrict products)
{
    int64_t at = (b * p->s.S + row) * p->s.C + c;
    const real *restrict x = p->x + at, *restrict dy = p->dy + at, *restrict scale = p->scale + c;
    const real *restrict shift = p->shift + c, *restrict mu = norm_coefficient(p, b, NORM_MU) + c;
    const real *restrict r = norm_coefficient(p, b, NORM_R) + c;
    if (p->silu && p->dn) {
        real *restrict keep = p->dn + at;
#pragma omp simd
        for (int64_t i = 0; i < span; i++) {
            real xhat = (x[i] - mu[i]) * r[i], dn = dy[i] * norm_silu_slope(scale[i] * xhat + shift[i]);
            keep[i] = dn;
            part[i] += dn;
            products[i] += dn * xhat;
        }
    } else if (p->silu) {
#pragma omp simd
        for (int64_t i = 0; i < span; i++) {
            real xhat = (x[i] - mu[i]) * r[i], dn = dy[i] * norm_silu_slope(scale[i] * xhat + shift[i]);
            part[i] += dn;
            products[i] += dn * xhat;
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < span; i++) {
            real xhat = (x[i] - mu[i]) * r[i];
            part[i] += dy[i];
            products[i] += dy[i] * xhat;
        }
    }
}

static inline void norm_sum_chunk(const norm_pass *p, int64_t b, int64_t chunk)
{
    int64_t C = p->s.C, last = norm_last_row(p, chunk);
    double *sum1 = norm_partial(p, b, chunk), *sum2 = sum1 + C;
    memset(sum1, 0, (size_t)(2 * C) * sizeof *sum1);
    for (int64_t row = chunk * p->s.rows; row < last; row += NORM_RUN)
        for (int64_t c = 0; c < C; c += NORM_SPAN) {
            int64_t end = last - row < NORM_RUN ? last : row + NORM_RUN, span = C - c < NORM_SPAN ? C - c : NORM_SPAN;
            real part[NORM_SPAN], products[NORM_SPAN];
            for (int64_t i = 0; i < span; i++)
                part[i] = products[i] = 0;
            for (int64_t k = row; k < end; k++)
                norm_sum_span(p, b, k, c, span, part, products);
            for (int64_t i = 0; i < span; i++) {
                sum1[c + i] += (double)part[i];
                sum2[c + i] += (double)products[i];
            }
        }
}

static inline void norm_combine(const norm_pass *p, int64_t b)
{
    real *out = p->found + b * norm_width(&p->s);
    for (int64_t c = 0; c < 2 * p->s.C; c++) {
        double sum = 0;
        for (int64_t chunk = 0; chunk < p->s.chunks; chunk++)
            sum += norm_partial(p, b, chunk)[c];
        out[c] = (real)sum;
    }
}

/* Per channel: mu, r, m1, m2, from the sums. */
static inline void norm_spread(const norm_pass *p, int64_t b)
{
    int64_t C = p->s.C, G = p->s.G, K = p->s.K;
    const real *sum1 = p->sums + b * norm_width(&p->s), *sum2 = sum1 + C, *mu = sum2 + C, *r = mu + G;
    double n = (double)(p->s.S * K);
    for (int64_t group = 0; group < G; group++) {
        double m1 = 0, m2 = 0;
        for (int64_t c = group * K; c < (group + 1) * K; c++) {
            m1 += (double)p->scale[c] * (double)sum1[c];
            m2 += (double)p->scale[c] * (double)sum2[c];
        }
        for (int64_t c = group * K; c < (group + 1) * K; c++) {
            norm_coefficient(p, b, NORM_MU)[c] = mu[group];
            norm_coefficient(p, b, NORM_R)[c] = r[group];
            norm_coefficient(p, b, NORM_M1)[c] = (real)(m1 / n);
            norm_coefficient(p, b, NORM_M2)[c] = (real)(m2 / n);
        }
    }
}

/* r (scale dn - m1 - xhat m2): dn from dy, or as it was kept, in which case it may stand where dx goes. */
static inline void norm_dx_chunk(const norm_pass *p, int64_t b, int64_t chunk)
{
    int64_t C = p->s.C;
    const real *restrict mu = norm_coefficient(p, b, NORM_MU), *restrict r = norm_coefficient(p, b, NORM_R);
    const real *restrict m1 = norm_coefficient(p, b, NORM_M1), *restrict m2 = norm_coefficient(p, b, NORM_M2);
    const real *restrict scale = p->scale, *restrict shift = p->shift;
    const bool gate = p->silu && !p->dn;
    for (int64_t row = chunk * p->s.rows; row < norm_last_row(p, chunk); row++) {
        const int64_t at = (b * p->s.S + row) * C;
        const real *x = p->x + at, *dn = (p->silu && p->dn ? p->dn : p->dy) + at;
        real *dx = p->out + at;
        if (gate) {
#pragma omp simd
            for (int64_t c = 0; c < C; c++) {
                real xhat = (x[c] - mu[c]) * r[c], slope = norm_silu_slope(scale[c] * xhat + shift[c]);
                dx[c] = r[c] * (scale[c] * (dn[c] * slope) - m1[c] - xhat * m2[c]);
            }
        } else {
#pragma omp simd
            for (int64_t c = 0; c < C; c++) {
                real xhat = (x[c] - mu[c]) * r[c];
                dx[c] = r[c] * (scale[c] * dn[c] - m1[c] - xhat * m2[c]);
            }
        }
    }
}

#endif
