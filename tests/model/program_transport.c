/* Solves the transport problems that standard input describes and prints the results, for the check against POT.
 *
 * In:  {"x": [M numbers x d, in rows], "y": [...], "a": [M], "b": [N], "d": d, "eps": eps, "rho": rho (0: marginals
 * met)} Out: {"value", "transport", "mass", "dx", "dy", "da", "db": of the Sinkhorn divergence for |x-y|^2/2; "exact",
 * "f", "g": exact transport and its prices; "w1", "w2": of the first coordinates alone} */
#include "model/base/arena.h"
#include "model/transport/exact.h"
#include "model/transport/metrics.h"
#include "model/transport/sinkhorn.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

typedef struct problem {
    int64_t M, N, d;
    double *x, *y, *a, *b, eps, rho;
} problem;

static double *list(const json_t *in, const char *key, int64_t *n)
{
    const json_t *array = json_object_get(in, key);
    *n = (int64_t)json_array_size(array);
    double *v = fwm_calloc((size_t)*n + 1, sizeof *v);
    for (int64_t i = 0; v && i < *n; i++)
        v[i] = json_number_value(json_array_get(array, (size_t)i));
    return v;
}

static json_t *array_of(int64_t n, const double *v)
{
    json_t *out = json_array();
    for (int64_t i = 0; i < n; i++)
        (void)json_array_append_new(out, json_real(v[i]));
    return out;
}

static fwm_status divergence(const problem *p, json_t *out)
{
    ot_sinkhorn *s;
    ot_sinkhorn_result r;
    const ot_sinkhorn_options o = {.blur = sqrt(p->eps), .scaling = .8, .extra = 100000, .tol = 1e-12, .rho = p->rho};
    const int64_t length[4] = {p->M * p->d, p->N * p->d, p->M, p->N};
    static const char *const name[4] = {"dx", "dy", "da", "db"};
    double *grad[4];
    for (int k = 0; k < 4; k++)
        grad[k] = fwm_calloc((size_t)length[k], sizeof(double));
    FWM_TRY(ot_sinkhorn_create(&s, AD_F64, p->M, p->N, p->d, &o));
    FWM_TRY(ot_sinkhorn_run(s, &r, grad[0], grad[1], grad[2], grad[3], p->x, p->y, p->a, p->b));
    ot_sinkhorn_destroy(&s);
    (void)json_object_set_new(out, "value", json_real(r.value));
    (void)json_object_set_new(out, "transport", json_real(r.transport));
    (void)json_object_set_new(out, "mass", json_real(r.mass));
    for (int k = 0; k < 4; k++) {
        (void)json_object_set_new(out, name[k], array_of(length[k], grad[k]));
        fwm_free(grad[k]);
    }
    return FWM_OK;
}

static fwm_status exact(const problem *p, json_t *out)
{
    ot_exact_result r;
    double *C = fwm_calloc((size_t)(p->M * p->N), sizeof *C), *f = fwm_calloc((size_t)p->M, sizeof *f);
    double *g = fwm_calloc((size_t)p->N, sizeof *g), w1, w2;
    double *first = fwm_calloc((size_t)(p->M + p->N), sizeof *first);
    int64_t *index = fwm_calloc((size_t)(2 * (p->M + p->N)), sizeof *index);
    FWM_CHECK(C && f && g && first && index, FWM_MEMORY, "out of memory");
    for (int64_t i = 0; i < p->M; i++)
        for (int64_t j = 0; j < p->N; j++)
            for (int64_t k = 0; k < p->d; k++)
                C[i * p->N + j] +=
                    .5 * (p->x[i * p->d + k] - p->y[j * p->d + k]) * (p->x[i * p->d + k] - p->y[j * p->d + k]);
    FWM_TRY(ot_exact_solve(&r, f, g, NULL, p->M, p->N, C, p->a, p->b));
    for (int64_t i = 0; i < p->M + p->N; i++)
        first[i] = i < p->M ? p->x[i * p->d] : p->y[(i - p->M) * p->d];
    ot_line_distance(&w1, &w2, p->M, first, p->a, p->N, first + p->M, p->b, index);
    (void)json_object_set_new(out, "exact", json_real(r.cost));
    (void)json_object_set_new(out, "f", array_of(p->M, f));
    (void)json_object_set_new(out, "g", array_of(p->N, g));
    (void)json_object_set_new(out, "w1", json_real(w1));
    (void)json_object_set_new(out, "w2", json_real(w2));
    fwm_free(C);
    fwm_free(f);
    fwm_free(g);
    fwm_free(first);
    fwm_free(index);
    return FWM_OK;
}

static fwm_status solve(const problem *p, json_t *out)
{
    FWM_TRY(divergence(p, out));
    return exact(p, out);
}

int main(void)
{
    json_error_t error;
    json_t *in = json_loadf(stdin, 0, &error);
    if (!in) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    problem p = {.d = (int64_t)json_integer_value(json_object_get(in, "d"))};
    int64_t numbers;
    p.x = list(in, "x", &numbers);
    p.y = list(in, "y", &numbers);
    p.a = list(in, "a", &p.M);
    p.b = list(in, "b", &p.N);
    p.eps = json_number_value(json_object_get(in, "eps"));
    p.rho = json_number_value(json_object_get(in, "rho"));
    json_t *out = json_object();
    const fwm_status status = solve(&p, out);
    if (status == FWM_OK)
        (void)json_dumpf(out, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
    else
        (void)fprintf(stderr, "%s\n", fwm_error_message());
    json_decref(out);
    json_decref(in);
    double *clouds[] = {p.x, p.y, p.a, p.b};
    for (int k = 0; k < 4; k++)
        fwm_free(clouds[k]);
    return status != FWM_OK;
}
