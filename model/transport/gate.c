#include "model/transport/gate.h"

#include "model/autodiff/ops.h"
#include "model/base/arena.h"
#include "model/transport/numeric.h"
#include "model/transport/semi_discrete.h"
#include "model/transport/sobol.h"

#include <math.h>
#include <string.h>

enum { SOURCES = 4096, MAX_CLASSES = 64, STREAM_MAP = 0x6d617073, STREAM_SHIFT = 0x73686966 };
enum { CODES, CLASSES, IS_SET, LOOKS, AGREED, SCALARS }; /* looks noted; how many of the last agree */

static const double alike = 0.98;

struct ot_gate {
    ot_memory *memory;
    ad_dtype dtype;
    int64_t N, d, n, K;
    ot_sites *codes, *cells; /* the bank; A mu_k */
    void *bank;              /* [N,d] */
    int64_t *label, *before; /* [N] of the codes; of the new ones by the look before */
    double *scalar, *mass;   /* [SCALARS], [K] */
    void *source;            /* [SOURCES,n] */
    void *block;
    size_t size;
};

static void place(ot_gate *e, ot_cursor *c)
{
    size_t element = ad_dtype_size(e->dtype);
    e->bank = ot_cursor_take(c, e->N, e->d, element);
    e->label = ot_cursor_take(c, e->N, 1, sizeof(int64_t));
    e->before = ot_cursor_take(c, e->N, 1, sizeof(int64_t));
    e->scalar = ot_cursor_take(c, SCALARS, 1, sizeof(double));
    e->mass = ot_cursor_take(c, e->K, 1, sizeof(double));
    e->source = ot_cursor_take(c, SOURCES, e->n, element);
}

static fwm_status allocate(ot_gate *e)
{
    ot_cursor c = {0};
    FWM_CHECK(e->n >= 0 && e->K >= 1 && e->K <= MAX_CLASSES, FWM_INVALID,
              "gate: expected noise of 0 or more coordinates and 1 to %d classes, found %lld and %lld", MAX_CLASSES,
              (long long)e->n, (long long)e->K);
    FWM_TRY(ot_sites_create(&e->codes, e->dtype, e->N, e->d));
    if (e->n > 0)
        FWM_TRY(ot_sites_create(&e->cells, e->dtype, e->K, e->n));
    place(e, &c);
    FWM_CHECK(!c.overflow, FWM_OVERFLOW, "gate: %lld codes are too many", (long long)e->N);
    FWM_TRY(fwm_block_alloc(&e->block, c.at));
    e->size = c.at;
    c = (ot_cursor){.base = e->block};
    place(e, &c);
    memset(e->block, 0, e->size);
    return FWM_OK;
}

fwm_status ot_gate_create(ot_gate **out, ot_memory *memory, int64_t n, int64_t K)
{
    const ot_memory_options *o = ot_memory_get_options(memory);
    *out = NULL;
    ot_gate *e = fwm_calloc(1, sizeof *e);
    FWM_CHECK(e, FWM_MEMORY, "gate: out of memory");
    *e = (ot_gate){.memory = memory, .dtype = ot_memory_dtype(memory), .N = o->codes, .d = o->d, .n = n, .K = K};
    fwm_status status = allocate(e);
    if (status != FWM_OK)
        ot_gate_destroy(&e);
    *out = e;
    return status;
}

void ot_gate_destroy(ot_gate **e)
{
    if (!e || !*e)
        return;
    ot_sites_destroy(&(*e)->codes);
    ot_sites_destroy(&(*e)->cells);
    if ((*e)->block)
        fwm_block_free((*e)->block, (*e)->size);
    fwm_free(*e);
    *e = NULL;
}

bool ot_gate_is_set(const ot_gate *e)
{
    return e->scalar[IS_SET] != 0;
}

int64_t ot_gate_classes(const ot_gate *e)
{
    return (int64_t)e->scalar[CLASSES];
}

const double *ot_gate_masses(const ot_gate *e)
{
    return e->mass;
}

/* Coordinate k of A: the identity, or Gaussian. */
static double map_entry(const ot_gate *e, int64_t row, int64_t column)
{
    if (e->n == e->d)
        return row == column ? 1.0 : 0.0;
    return fwm_random_normal((fwm_key){(uint64_t)e->d, STREAM_MAP}, (uint64_t)row, (uint32_t)column) /
           sqrt((double)e->d);
}

/* Cells of the noise: sites A mu_k, in units of their own spread, with heights that give them the sheets' masses. */
static fwm_status cut_noise(ot_gate *e)
{
    int64_t K = ot_gate_classes(e), count[MAX_CLASSES] = {0}, group[MAX_CLASSES];
    double mean[MAX_CLASSES] = {0}, g[MAX_CLASSES] = {0}, square = 0;
    ot_correction_result result;
    ot_correction *correction = NULL;
    double *site = fwm_calloc((size_t)(K * e->n), sizeof *site), *u = fwm_calloc((size_t)(SOURCES * e->n), sizeof *u);
    void *typed = fwm_calloc((size_t)(K * e->n), ad_dtype_size(e->dtype));
    fwm_key shift = {(uint64_t)e->n, STREAM_SHIFT};
    fwm_status status = site && u && typed ? FWM_OK : fwm_fail(FWM_MEMORY, "gate: out of memory");
    for (int64_t j = 0; j < (int64_t)e->scalar[CODES]; j++)
        count[e->label[j]]++;
    for (int64_t r = 0; status == FWM_OK && r < e->n; r++) {
        double centre = 0;
        memset(mean, 0, sizeof mean);
        for (int64_t j = 0; j < (int64_t)e->scalar[CODES]; j++)
            for (int64_t c = 0; c < e->d; c++)
                mean[e->label[j]] +=
                    map_entry(e, r, c) * ot_number(e->dtype, e->bank, j * e->d + c) / (double)count[e->label[j]];
        for (int64_t k = 0; k < K; k++)
            centre += mean[k] / (double)K;
        for (int64_t k = 0; k < K; k++) {
            site[k * e->n + r] = mean[k] - centre;
            square += site[k * e->n + r] * site[k * e->n + r] / (double)K;
        }
    }
    for (int64_t i = 0; status == FWM_OK && i < K * e->n; i++)
        ot_number_put(e->dtype, typed, i, square > 0 ? site[i] / sqrt(square) : 0.0);
    for (int64_t k = 0; k < K; k++)
        group[k] = k;
    if (status == FWM_OK)
        status = ot_sobol_fill(u, SOURCES, e->n, 0, &shift);
    for (int64_t i = 0; status == FWM_OK && i < SOURCES * e->n; i++)
        ot_number_put(e->dtype, e->source, i, 2 * u[i] - 1);
    if (status == FWM_OK)
        status = ot_sites_set(e->cells, K, typed, g);
    if (status == FWM_OK && K > 1)
        status = ot_correction_create(&correction, SOURCES, K, K);
    if (status == FWM_OK && K > 1)
        status = ot_correction_run(correction, &result, g, e->cells, K, group, e->mass, SOURCES, e->source);
    ot_correction_destroy(&correction);
    fwm_free(site);
    fwm_free(u);
    fwm_free(typed);
    return status;
}

/* Masses, and the cells of the noise, of the bank and its labels as they stand. */
static fwm_status take_up(ot_gate *e)
{
    int64_t N = (int64_t)e->scalar[CODES];
    memset(e->mass, 0, (size_t)e->K * sizeof *e->mass);
    for (int64_t j = 0; j < N; j++)
        e->mass[e->label[j]] += 1.0 / (double)N;
    return e->n > 0 ? cut_noise(e) : FWM_OK;
}

static void nearest_labels(const ot_gate *e, int64_t *k, int64_t M, const void *y)
{
    ot_sites_cells(e->codes, k, NULL, M, y);
    for (int64_t i = 0; i < M; i++)
        k[i] = e->label[k[i]];
}

/* More sheets than classes: the last takes the rest. */
static inline int64_t class_of_sheet(const ot_gate *e, int64_t sheet)
{
    return sheet < e->K ? sheet : e->K - 1;
}

/* Whether a look divides its codes as the look before would. */
static bool agrees(ot_gate *e, const ot_geometry *look, int64_t K)
{
    int64_t count[MAX_CLASSES][MAX_CLASSES] = {{0}}, together = 0;
    bool taken[MAX_CLASSES] = {false};
    if (e->scalar[CODES] == 0 || K != ot_gate_classes(e))
        return false;
    nearest_labels(e, e->before, look->N, look->code);
    for (int64_t j = 0; j < look->N; j++)
        count[e->before[j]][class_of_sheet(e, look->support->sheet[j])]++;
    for (int64_t k = 0; k < K; k++) {
        int64_t most = 0;
        for (int64_t l = 1; l < K; l++)
            most = count[k][l] > count[k][most] ? l : most;
        if (taken[most])
            return false;
        taken[most] = true;
        together += count[k][most];
    }
    return (double)together >= alike * (double)look->N;
}

fwm_status ot_gate_update(ot_gate *e)
{
    const ot_geometry *look = ot_memory_geometry(e->memory);
    if (ot_gate_is_set(e) || !look->ready || e->scalar[LOOKS] == (double)look->looks)
        return FWM_OK;
    const ot_support_view *v = look->support;
    int64_t K = v->sheets < e->K ? v->sheets : e->K;
    e->scalar[AGREED] = agrees(e, look, K) ? e->scalar[AGREED] + 1 : 1;
    e->scalar[LOOKS] = (double)look->looks;
    memcpy(e->bank, look->code, (size_t)(look->N * e->d) * ad_dtype_size(e->dtype));
    for (int64_t j = 0; j < look->N; j++)
        e->label[j] = class_of_sheet(e, v->sheet[j]);
    e->scalar[CODES] = (double)look->N;
    e->scalar[CLASSES] = (double)K;
    FWM_TRY(ot_sites_set(e->codes, look->N, e->bank, NULL));
    if (e->scalar[AGREED] < OT_GATE_LOOKS)
        return FWM_OK;
    FWM_TRY(take_up(e));
    e->scalar[IS_SET] = 1;
    return FWM_OK;
}

void ot_gate_of_codes(const ot_gate *e, int64_t *k, int64_t M, const void *y)
{
    memset(k, 0, (size_t)M * sizeof *k);
    if (!ot_gate_is_set(e))
        return;
    nearest_labels(e, k, M, y);
}

void ot_gate_of_noise(const ot_gate *e, int64_t *k, int64_t M, const void *z)
{
    memset(k, 0, (size_t)M * sizeof *k);
    if (ot_gate_is_set(e) && e->n > 0)
        ot_sites_cells(e->cells, k, NULL, M, z);
}

/* ---- graph value ---- */

struct ot_gate_value {
    ot_gate *gate;
    int64_t M;
    bool of_noise;
    int64_t *class_of; /* [M] */
    ad_custom custom;
};

fwm_status ot_gate_value_create(ot_gate_value **out, ot_gate *gate, int64_t M, bool of_noise)
{
    *out = NULL;
    FWM_CHECK(M >= 1 && (!of_noise || gate->n > 0), FWM_INVALID,
              "gate: expected rows, and noise where its class is asked for, found %lld rows", (long long)M);
    ot_gate_value *v = fwm_calloc(1, sizeof *v);
    FWM_CHECK(v, FWM_MEMORY, "gate: out of memory");
    *v = (ot_gate_value){.gate = gate, .M = M, .of_noise = of_noise};
    v->class_of = fwm_calloc((size_t)M, sizeof *v->class_of);
    if (!v->class_of) {
        ot_gate_value_destroy(&v);
        return fwm_fail(FWM_MEMORY, "gate: out of memory");
    }
    *out = v;
    return FWM_OK;
}

void ot_gate_value_destroy(ot_gate_value **v)
{
    if (!v || !*v)
        return;
    fwm_free((*v)->class_of);
    fwm_free(*v);
    *v = NULL;
}

static fwm_status one_hot_shape(void *self, int n, const ad_shape *in, ad_shape *out)
{
    const ot_gate_value *v = self;
    int64_t width = v->of_noise ? v->gate->n : v->gate->d;
    FWM_CHECK(n == 1 && ad_shape_count(&in[0]) == v->M * width, FWM_SHAPE, "gate: expected [%lld,%lld]",
              (long long)v->M, (long long)width);
    *out = ad_shape_make(2, v->M, v->gate->K);
    return FWM_OK;
}

static fwm_status one_hot_forward(void *self, ad_dtype dtype, const void *const *in, void *out)
{
    ot_gate_value *v = self;
    int64_t K = v->gate->K;
    if (v->of_noise)
        ot_gate_of_noise(v->gate, v->class_of, v->M, in[0]);
    else
        ot_gate_of_codes(v->gate, v->class_of, v->M, in[0]);
    memset(out, 0, (size_t)(v->M * K) * ad_dtype_size(dtype));
    for (int64_t i = 0; i < v->M; i++)
        ot_number_put(dtype, out, i * K + v->class_of[i], 1.0);
    return FWM_OK;
}

ad_value ot_gate_one_hot(ad_graph *g, ot_gate_value *v, ad_value x)
{
    v->custom = (ad_custom){.name = "gate", .self = v, .shape = one_hot_shape, .forward = one_hot_forward};
    x = ad_stop_gradient(g, x);
    return ad_stop_gradient(g, ad_custom_apply(g, &v->custom, 1, &x));
}

/* ---- checkpoints ---- */

int ot_gate_arrays(ot_gate *e, ot_memory_array array[OT_GATE_ARRAYS])
{
    array[0] = (ot_memory_array){"gate_codes", e->bank, false, false, e->N, e->d};
    array[1] = (ot_memory_array){"gate_labels", e->label, true, false, e->N, 1};
    array[2] = (ot_memory_array){"gate_scalars", e->scalar, false, true, SCALARS, 1};
    return OT_GATE_ARRAYS;
}

fwm_status ot_gate_restore(ot_gate *e)
{
    const double *v = e->scalar;
    bool sound =
        v[AGREED] >= 0 && v[CODES] >= 0 && v[CODES] <= (double)e->N && v[CLASSES] >= 0 && v[CLASSES] <= (double)e->K;
    for (int64_t j = 0; j < e->N; j++)
        sound = sound && e->label[j] >= 0 && e->label[j] < e->K;
    FWM_CHECK(sound, FWM_DATA, "gate: the saved labels are not those of a gate of %lld classes", (long long)e->K);
    if (v[CODES] > 0)
        FWM_TRY(ot_sites_set(e->codes, (int64_t)v[CODES], e->bank, NULL));
    return ot_gate_is_set(e) ? take_up(e) : FWM_OK;
}
