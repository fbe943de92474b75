/* Stepping batches of trajectories: the truth, with one law for all or one drawn for each, in a fixed number of
 * substeps or as many as the error asks for; and the cheap simulation.
 *
 * Where every trajectory has parameters of its own, a matrix serves one of them: threads then take trajectories, each
 * with problems of its own, instead of sharing a batch in lanes.
 *
 * Error control: a frame is stepped with n, 2n, 4n, ... substeps until two results differ by at most `adaptive` of the
 * state, in the L2 norm of each field (multipliers left out); the finer one is kept. Samples decide one by one, so a
 * trajectory does not depend on what is stepped beside it. */
#include "physics/simulate_impl.h"

#include "model/base/arena.h"
#include "model/base/threads.h"
#include "physics/scheme.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* ---- set-up ---- */

/* Levels of the truth: substeps, 2 substeps, ... up to FEM_MAX_SUBSTEPS where steps adapt. */
static fwm_status make_ladder(fem_ladder *l, const fem_simulation *s, const fem_problem_spec *truth)
{
    fem_problem_spec p = *truth;
    do {
        FWM_TRY(fem_problem_create(&l->level[l->count], &p));
        l->count++;
        p.substeps *= 2;
    } while (s->spec.adaptive > 0 && p.substeps <= FEM_MAX_SUBSTEPS && l->count < FEM_LADDER);
    if (s->spec.adaptive > 0) {
        const size_t n = (size_t)(s->room * s->mesh->n_nodes * s->components);
        l->coarse = fwm_malloc(n, sizeof *l->coarse);
        l->from = fwm_malloc(n, sizeof *l->from);
        l->to = fwm_malloc(n, sizeof *l->to);
        l->a = fwm_malloc((size_t)(s->room * s->n_actions), sizeof *l->a);
        l->active = fwm_malloc((size_t)s->room, sizeof *l->active);
        FWM_CHECK(l->coarse && l->from && l->to && l->a && l->active, FWM_MEMORY, "out of memory for adaptive steps");
    }
    return FWM_OK;
}

fwm_status fem_ladders_create(fem_simulation *s, const fem_problem_spec *truth)
{
    const int count = s->spec.n_random > 0 ? fwm_threads_count() : 1;
    s->ladder = fwm_calloc((size_t)count, sizeof *s->ladder);
    FWM_CHECK(s->ladder, FWM_MEMORY, "out of memory for the simulator");
    s->n_ladders = count;
    for (int k = 0; k < count; k++)
        FWM_TRY(make_ladder(&s->ladder[k], s, truth));
    return FWM_OK;
}

void fem_ladders_destroy(fem_simulation *s)
{
    for (int k = 0; s->ladder && k < s->n_ladders; k++) {
        fem_ladder *l = &s->ladder[k];
        for (int i = 0; i < FEM_LADDER; i++)
            fem_problem_destroy(&l->level[i]);
        fwm_free(l->coarse);
        fwm_free(l->from);
        fwm_free(l->to);
        fwm_free(l->a);
        fwm_free(l->active);
    }
    fwm_free(s->ladder);
    s->ladder = NULL;
}

/* ---- one frame ---- */

/* Largest of the fields' |fine - coarse| / |fine|. */
static double difference(const fem_simulation *s, const double *fine, const double *coarse)
{
    const fem_equation *e = s->equation;
    const int c_n = s->components;
    double most = 0;
    for (int f = 0, at = 0; f < e->n_fields; f++) {
        const int width = e->field_kind[f] & FEM_FIELD_VECTOR ? s->mesh->dim : 1;
        double miss = 0, size = 0;
        for (int64_t i = 0; i < s->mesh->n_nodes && !(e->field_kind[f] & FEM_FIELD_MULTIPLIER); i++)
            for (int c = at; c < at + width; c++) {
                const double u = fine[i * c_n + c], d = u - coarse[i * c_n + c];
                miss += s->mesh->lumped[i] * d * d;
                size += s->mesh->lumped[i] * u * u;
            }
        at += width;
        if (miss > 0)
            most = fmax(most, sqrt(miss / size));
    }
    return most;
}

/* One level for `count` samples; a sample that cannot be solved at this level becomes NaN, but on the last. */
static fwm_status step_level(const fem_simulation *s, fem_problem *p, bool last, const fem_theta *theta, double *to,
                             const double *from, const double *a, int64_t count)
{
    const int64_t size = s->mesh->n_nodes * s->components;
    fwm_status status = fem_step(p, AD_F64, to, from, a, theta, count);
    for (int64_t k = 0; status == FWM_NUMERIC && !last && k < count; k++) {
        const fwm_status one = fem_step(p, AD_F64, to + k * size, from + k * size, a + k * s->n_actions, theta, 1);
        if (one == FWM_NUMERIC)
            to[k * size] = (double)NAN;
        else if (one != FWM_OK)
            return one;
    }
    return status == FWM_NUMERIC && !last ? FWM_OK : status;
}

static fwm_status step_adaptively(const fem_simulation *s, fem_ladder *l, const fem_theta *theta, double *u1,
                                  const double *u0, const double *a, int64_t count)
{
    const int64_t size = s->mesh->n_nodes * s->components, A = s->n_actions;
    const size_t bytes = (size_t)size * sizeof *u1;
    FWM_TRY(step_level(s, l->level[0], l->count == 1, theta, l->coarse, u0, a, count));
    for (int64_t k = 0; k < count; k++)
        l->active[k] = k;
    double worst = 0;
    for (int level = 1; level < l->count && count > 0; level++) {
        for (int64_t k = 0; k < count; k++) {
            memcpy(l->from + k * size, u0 + l->active[k] * size, bytes);
            memcpy(l->a + k * A, a + l->active[k] * A, (size_t)A * sizeof *l->a);
        }
        FWM_TRY(step_level(s, l->level[level], level == l->count - 1, theta, l->to, l->from, l->a, count));
        int64_t left = 0;
        worst = 0;
        for (int64_t k = 0; k < count; k++) {
            const double miss = difference(s, l->to + k * size, l->coarse + k * size);
            if (miss <= s->spec.adaptive) { /* false for NaN */
                memcpy(u1 + l->active[k] * size, l->to + k * size, bytes);
                continue;
            }
            worst = fmax(worst, miss);
            memcpy(l->coarse + left * size, l->to + k * size, bytes);
            l->active[left++] = l->active[k];
        }
        count = left;
    }
    FWM_CHECK(
        count == 0, FWM_NUMERIC,
        "adaptive: sample %lld: the last two of %d levels of substeps differ by %g of the state, expected at most "
        "%g; give more substeps or a shorter dt",
        (long long)l->active[0], l->count, worst, s->spec.adaptive);
    return FWM_OK;
}

static fwm_status step_truth(const fem_simulation *s, fem_ladder *l, const fem_theta *theta, double *u1,
                             const double *u0, const double *a, int64_t count)
{
    if (s->spec.adaptive > 0)
        return step_adaptively(s, l, theta, u1, u0, a, count);
    return fem_step(l->level[0], AD_F64, u1, u0, a, theta, count);
}

/* ---- a batch ---- */

static void keep(float *out, const double *u, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)u[i];
}

/* The truth's state at the coarse nodes. */
static void restrict_state(const fem_simulation *s, const double *u, double *v)
{
    const fem_csr *m = s->restriction;
    const int64_t c = s->components;
    for (int64_t i = 0; i < m->rows; i++)
        for (int64_t k = 0; k < c; k++) {
            double sum = 0;
            for (int64_t e = m->row_start[i]; e < m->row_start[i + 1]; e++)
                sum += m->weight[e] * u[m->column[e] * c + k];
            v[i * c + k] = sum;
        }
}

void fem_take_actions(const fem_simulation *s, double *a, int64_t first, int64_t count, int64_t t)
{
    for (int64_t b = 0; b < count; b++)
        for (int64_t k = 0; k < s->n_actions; k++)
            a[b * s->n_actions + k] = (double)s->actions[((first + b) * s->spec.frames + t) * s->n_actions + k];
}

/* Trajectories first .. first + count - 1 of the batch, from their starts in u: states, and the start of the cheap
 * simulation. u and u_next [count,n,c] and a [count,A] are work. */
static fwm_status march_truth(fem_simulation *s, fem_ladder *l, const fem_theta *theta, double *u, double *u_next,
                              double *a, int64_t first, int64_t count)
{
    const int64_t c = s->components, n = s->mesh->n_nodes * c, m = s->coarse->n_nodes * c, frames = s->spec.frames;
    fem_take_actions(s, a, first, count, 0);
    for (int64_t t = -s->spec.warmup; t < frames; t++) {
        for (int64_t b = 0; b < count && t == 0; b++)
            restrict_state(s, u + b * n, s->v + (first + b) * m);
        for (int64_t b = 0; b < count && t >= 0; b++)
            keep(s->state + ((first + b) * frames + t) * n, u + b * n, n);
        if (t == frames - 1)
            break;
        fem_take_actions(s, a, first, count, t > 0 ? t : 0);
        const fwm_status status = step_truth(s, l, theta, u_next, u, a, count);
        if (status != FWM_OK)
            return fwm_fail_within(status, "frame %lld", (long long)t);
        memcpy(u, u_next, (size_t)(count * n) * sizeof *u);
    }
    return FWM_OK;
}

/* Threads take trajectories; the failure of the first one is reported. */
static fwm_status march_apart(fem_simulation *s, int64_t batch)
{
    const int64_t n = s->mesh->n_nodes * s->components;
    fwm_status status = FWM_OK;
    int64_t failed = batch;
    char message[FWM_ERROR_CAPACITY] = "";
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t b = 0; b < batch; b++) {
        const fem_theta theta = fem_drawn_theta(s, b);
        const fwm_status one = march_truth(s, &s->ladder[omp_get_thread_num()], &theta, s->u + b * n, s->u_next + b * n,
                                           s->a + b * s->n_actions, b, 1);
#pragma omp critical(fem_march)
        if (one != FWM_OK && b < failed) {
            failed = b;
            status = one;
            fwm_error_get(message, sizeof message);
        }
    }
    return status == FWM_OK ? FWM_OK : fwm_fail(status, "trajectory %lld of the batch: %s", (long long)failed, message);
}

static fwm_status march_cheap(fem_simulation *s, int64_t batch)
{
    const int64_t m = s->coarse->n_nodes * s->components, frames = s->spec.frames;
    for (int64_t t = 0; t < frames; t++) {
        for (int64_t b = 0; b < batch; b++)
            keep(s->cheap_state + (b * frames + t) * m, s->v + b * m, m);
        if (t == frames - 1)
            break;
        fem_take_actions(s, s->a, 0, batch, t);
        const fwm_status status = fem_step(s->cheap, AD_F64, s->v_next, s->v, s->a, &s->cheap_theta, batch);
        if (status != FWM_OK)
            return fwm_fail_within(status, "cheap simulation, frame %lld", (long long)t);
        double *swap = s->v;
        s->v = s->v_next;
        s->v_next = swap;
    }
    return FWM_OK;
}

fwm_status fem_march(fem_simulation *s, int64_t batch)
{
    FWM_TRY(s->spec.n_random > 0 ? march_apart(s, batch)
                                 : march_truth(s, s->ladder, &s->truth_theta, s->u, s->u_next, s->a, 0, batch));
    return march_cheap(s, batch);
}
