/* The reference models for tests/bench/compare.py and tests/bench/reference.py:
 *     program_reference init  s|m FILE                        first weights, float32: weights/NAME
 *     program_reference train s|m f32|f64 IN OUT STEPS LR CLIP   steps of AdamW from IN's weights over IN's batches
 *     program_reference serve s|m THREADS                     a step of the full size for each line on standard input
 * IN holds weights/NAME and the batches in turn, all float32: x [K,rows,64,64,C], y [K,rows,...], for S noise
 * [N,rows,32] too, N at least STEPS; rows = CLIP * batch, time first. OUT holds losses [STEPS] (float64) and, of the
 * first step, gradients/NAME, and weights/NAME after the last, all in the precision asked for. */
#include "model/base/arena.h"
#include "model/base/threads.h"
#include "tools/bench/bench.h"
#include "tools/bench/reference.h"
#include "train/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 512 };

/* ---- files ---- */

/* One tensor for each parameter, "prefix" + its name, out of a flat vector. */
static void list_vector(const bench_reference *r, const char *prefix, const void *flat, tr_tensor *tensor,
                        char (*name)[NAME])
{
    const size_t size = ad_dtype_size(r->spec.dtype);
    for (int k = 0; k < nn_store_count(r->store); k++) {
        const nn_slot *s = nn_store_slot(r->store, k);
        (void)snprintf(name[k], NAME, "%s%s", prefix, s->name);
        tensor[k] = (tr_tensor){.name = name[k],
                                .dtype = r->spec.dtype == AD_F64 ? TR_F64 : TR_F32,
                                .rank = s->shape.rank,
                                .data = (const char *)flat + (size_t)s->offset * size};
        memcpy(tensor[k].shape, s->shape.dim, (size_t)s->shape.rank * sizeof *s->shape.dim);
    }
}

static fwm_status write_out(const bench_reference *r, const char *path, const double *losses, int64_t steps,
                            const void *gradient)
{
    const size_t n = (size_t)nn_store_count(r->store);
    tr_tensor *tensor = fwm_calloc(2 * n + 1, sizeof *tensor);
    char(*name)[NAME] = fwm_calloc(2 * n, sizeof *name);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, tensor && name, FWM_MEMORY, "out of memory");
    size_t count = n;
    list_vector(r, "weights/", r->vector[BENCH_WEIGHTS], tensor, name);
    if (steps > 0) {
        list_vector(r, "gradients/", gradient, tensor + n, name + n);
        tensor[2 * n] = (tr_tensor){.name = "losses", .dtype = TR_F64, .rank = 1, .shape = {steps}, .data = losses};
        count = 2 * n + 1;
    }
    status = tr_safetensors_write(path, tensor, (int64_t)count, NULL);
done:
    fwm_free(tensor);
    fwm_free(name);
    return status;
}

/* `count` float32 numbers from `at` of a tensor into a value of the graph's precision. */
static void widen(void *to, ad_dtype dtype, const tr_tensor *from, int64_t at, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        float x;
        memcpy(&x, (const char *)from->data + (size_t)(at + i) * sizeof x, sizeof x);
        if (dtype == AD_F64)
            ((double *)to)[i] = (double)x;
        else
            ((float *)to)[i] = x;
    }
}

static fwm_status find(const tr_tensor **tensor, const tr_safetensors *file, const char *name, int64_t multiple)
{
    int64_t elements;
    size_t bytes;
    *tensor = tr_safetensors_find(file, name);
    FWM_CHECK(*tensor && (*tensor)->dtype == TR_F32, FWM_DATA, "expected a float32 tensor %s", name);
    FWM_TRY(tr_tensor_size(*tensor, &elements, &bytes));
    FWM_CHECK(elements > 0 && elements % multiple == 0, FWM_DATA, "%s: expected a multiple of %lld numbers, found %lld",
              name, (long long)multiple, (long long)elements);
    return FWM_OK;
}

static fwm_status load_weights(bench_reference *r, const tr_safetensors *file)
{
    const size_t size = ad_dtype_size(r->spec.dtype);
    for (int k = 0; k < nn_store_count(r->store); k++) {
        const nn_slot *s = nn_store_slot(r->store, k);
        const tr_tensor *tensor;
        char name[NAME];
        (void)snprintf(name, sizeof name, "weights/%s", s->name);
        FWM_TRY(find(&tensor, file, name, s->count));
        widen((char *)r->vector[BENCH_WEIGHTS] + (size_t)s->offset * size, r->spec.dtype, tensor, 0, s->count);
    }
    return FWM_OK;
}

/* Batch number `step`, from the start again after the last. */
static fwm_status load_batch(bench_reference *r, const tr_safetensors *file, int64_t step)
{
    static const char *const names[BENCH_REFERENCE_INPUTS] = {"x", "y", "noise"};
    for (int k = 0; k < r->n_inputs; k++) {
        const int64_t count = ad_count(r->g, r->input[k]);
        const tr_tensor *tensor;
        FWM_TRY(find(&tensor, file, names[k], count));
        widen(ad_plan_data(r->plan, r->input[k]), r->spec.dtype, tensor, step % tensor->shape[0] * count, count);
    }
    return FWM_OK;
}

/* ---- the three uses ---- */

static fwm_status init(bool recurrent, const char *path)
{
    const bench_reference_spec spec = {.recurrent = recurrent, .dtype = AD_F32, .batch = 1, .clip = 2};
    bench_reference *r;
    FWM_TRY(bench_reference_create(&r, &spec));
    fwm_status status = write_out(r, path, NULL, 0, NULL);
    bench_reference_destroy(&r);
    return status;
}

typedef struct training {
    tr_safetensors *file;
    bench_reference *r;
    double *losses;
    void *gradient;
} training;

static fwm_status train_steps(training *t, int64_t steps, double lr)
{
    const size_t bytes = (size_t)t->r->size * ad_dtype_size(t->r->spec.dtype);
    FWM_TRY(load_weights(t->r, t->file));
    for (int64_t k = 0; k < steps; k++) {
        FWM_TRY(load_batch(t->r, t->file, k));
        FWM_TRY(bench_reference_train(t->r, lr, &t->losses[k]));
        if (k == 0)
            memcpy(t->gradient, t->r->vector[BENCH_GRADIENT], bytes);
    }
    return FWM_OK;
}

static fwm_status train(bool recurrent, ad_dtype dtype, const char *in, const char *out, int64_t steps, double lr,
                        int64_t clip)
{
    training t = {0};
    const tr_tensor *x;
    fwm_status status;
    FWM_TRY_GOTO(status, tr_safetensors_open(&t.file, in));
    FWM_TRY_GOTO(status, find(&x, t.file, "x", 1));
    FWM_CHECK_GOTO(status, x->rank == 5 && steps > 0 && clip > 0 && x->shape[1] % clip == 0, FWM_DATA,
                   "%s: expected x [K,clip*batch,64,64,C] and one step or more", in);
    const bench_reference_spec spec = {
        .recurrent = recurrent, .dtype = dtype, .batch = x->shape[1] / clip, .clip = clip, .noise_input = recurrent};
    FWM_TRY_GOTO(status, bench_reference_create(&t.r, &spec));
    t.losses = fwm_calloc((size_t)steps, sizeof *t.losses);
    t.gradient = fwm_calloc((size_t)t.r->size, ad_dtype_size(dtype));
    FWM_CHECK_GOTO(status, t.losses && t.gradient, FWM_MEMORY, "out of memory");
    FWM_TRY_GOTO(status, train_steps(&t, steps, lr));
    status = write_out(t.r, out, t.losses, steps, t.gradient);
done:
    bench_reference_destroy(&t.r);
    tr_safetensors_close(t.file);
    fwm_free(t.losses);
    fwm_free(t.gradient);
    return status;
}

/* Kilobytes of a line of /proc/self/status. */
static long status_kib(const char *key)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtol(line + strlen(key) + 1, NULL, 10);
    if (f)
        (void)fclose(f);
    return kib;
}

/* After the first step, and after each line read: one line of JSON. */
static fwm_status serve(bool recurrent, int threads)
{
    const bench_reference_spec spec = {
        .recurrent = recurrent, .dtype = AD_F32, .batch = BENCH_REFERENCE_BATCH, .clip = BENCH_REFERENCE_CLIP};
    const long before = status_kib("VmRSS");
    bench_reference *r;
    char line[16];
    FWM_TRY(fwm_threads_init(threads));
    FWM_TRY(bench_reference_create(&r, &spec));
    for (int k = 0; k < r->n_inputs; k++)
        bench_fill(ad_plan_data(r->plan, r->input[k]), ad_count(r->g, r->input[k]));
    fwm_status status = FWM_OK;
    do {
        double loss;
        const double start = fwm_seconds();
        status = bench_reference_train(r, 1e-9, &loss);
        (void)printf("{\"ms\": %.6f, \"loss\": %.9g, \"imported_kib\": %ld, \"peak_kib\": %ld, \"parameters\": %lld, "
                     "\"gflop\": %.4f}\n",
                     1e3 * (fwm_seconds() - start), loss, before, status_kib("VmHWM"),
                     (long long)nn_store_parameters(r->store), 1e-9 * ad_plan_flops(r->plan));
        (void)fflush(stdout);
    } while (status == FWM_OK && fgets(line, sizeof line, stdin));
    bench_reference_destroy(&r);
    return status;
}

int main(int argc, char **argv)
{
    fwm_status status = FWM_INVALID;
    const bool known = argc >= 4 && (strcmp(argv[2], "s") == 0 || strcmp(argv[2], "m") == 0);
    const bool s = known && argv[2][0] == 's';
    if (known && argc == 4 && strcmp(argv[1], "init") == 0)
        status = init(s, argv[3]);
    else if (known && argc == 9 && strcmp(argv[1], "train") == 0)
        status = fwm_threads_init(0) != FWM_OK ? FWM_LIBRARY
                                               : train(s, strcmp(argv[3], "f64") == 0 ? AD_F64 : AD_F32, argv[4],
                                                       argv[5], atoll(argv[6]), atof(argv[7]), s ? atoll(argv[8]) : 1);
    else if (known && argc == 4 && strcmp(argv[1], "serve") == 0)
        status = serve(s, atoi(argv[3]));
    else
        (void)fprintf(stderr, "program_reference: expected init, train or serve: see its source\n");
    if (status != FWM_OK)
        (void)fprintf(stderr, "%s\n", fwm_error_message());
    return status != FWM_OK;
}
