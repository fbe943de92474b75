#include "train/points.h"

#include "model/base/arena.h"
#include "model/base/random.h"
#include "model/transport/exact.h"
#include "model/transport/metrics.h"
#include "model/transport/semi_discrete.h"
#include "model/transport/sobol.h"
#include "train/metrics.h"

#include <math.h>
#include <string.h>

enum { MOST = 2048, EXACT = 512, SOURCES = 512, DIRECTIONS = 128, PATIENCE = 200, STREAM_SLICES = 0x706f696e };

/* ---- the network ---- */

ad_value tr_points_noise(const tr_config *c, const wm_model *m, int64_t n)
{
    return ad_affine(m->nn.g, ad_random_uniform(m->nn.g, ad_shape_make(2, n, c->model.points.noise)), 2.0, -1.0);
}

static ad_value hidden(const tr_config *c, const nn_builder *b, ad_value y)
{
    static const char *const name[] = {"h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7"};
    for (int64_t k = 0; k < c->model.points.widths.count; k++)
        y = ad_silu(b->g, nn_linear(b, name[k], y, c->model.points.widths.items[k], sqrt(2.0)));
    return y;
}

ad_value tr_points_predict(const tr_config *c, const wm_model *m, ad_value x, ad_value noise, ad_value class_of)
{
    const nn_builder *b = &m->nn;
    const wm_channels *s = &m->config->state;
    ad_value part[3];
    int n = 0;
    if (x != AD_NONE)
        part[n++] = wm_normalise(m, x, s);
    if (noise != AD_NONE)
        part[n++] = noise;
    if (class_of != AD_NONE)
        part[n++] = class_of;
    ad_scope_push(b->g, "points");
    ad_value y = nn_linear(b, "out", hidden(c, b, n == 1 ? part[0] : ad_concat(b->g, n, part, 1)), s->count, 1.0);
    ad_scope_pop(b->g);
    ad_value scale = ad_constant(b->g, ad_shape_make(1, s->count), s->std);
    return ad_add(b->g, ad_mul(b->g, y, scale), ad_constant(b->g, ad_shape_make(1, s->count), s->mean));
}

ad_value tr_points_logits(const tr_config *c, const wm_model *m, ad_value x)
{
    const nn_builder *b = &m->nn;
    ad_scope_push(b->g, "gate");
    ad_value y = hidden(c, b, wm_normalise(m, x, &m->config->state));
    y = nn_linear(b, "out", y, c->model.latent.classes, 0.1);
    ad_scope_pop(b->g);
    return y;
}

/* Gumbel: argmax of logits - log(-log u). */
ad_value tr_points_class(const wm_model *m, ad_value logits)
{
    ad_graph *g = m->nn.g;
    ad_value u = ad_clamp(g, ad_random_uniform(g, *ad_shape_of(g, logits)), 1e-7, 1 - 1e-7);
    ad_value gumbel = ad_neg(g, ad_log(g, ad_neg(g, ad_log(g, u))));
    return ad_stop_gradient(g, ad_max_one_hot(g, ad_add(g, ad_stop_gradient(g, logits), gumbel)));
}

fwm_status tr_points_declare(tr_world *w)
{
    const tr_config *c = w->config;
    int64_t d = w->model.state.count;
    ad_graph *g = NULL;
    FWM_TRY(ad_graph_create(&g, AD_F32));
    wm_model m = {.nn = {g, w->store}, .config = &w->model};
    bool paired = w->info->steps > 1, gated = c->model.latent.gate == TR_GATE_SHEETS;
    ad_value x = paired ? ad_input(g, "x", ad_shape_make(2, 1, d)) : AD_NONE,
             noise = c->model.points.head == TR_HEAD_GENERATOR ? tr_points_noise(c, &m, 1) : AD_NONE,
             class_of = gated ? ad_input(g, "class", ad_shape_make(2, 1, c->model.latent.classes)) : AD_NONE;
    (void)tr_points_predict(c, &m, x, noise, class_of);
    if (gated && paired)
        (void)tr_points_logits(c, &m, x);
    fwm_status status = ad_graph_status(g);
    ad_graph_destroy(&g);
    return status;
}

/* ---- memory and gate ---- */

fwm_status tr_memory_create(ot_memory **memory, ot_gate **gate, const tr_config *c, const wm_config *model)
{
    ot_memory_options o = {.codes = c->transport.bank,
                           .predictions = c->transport.predictions,
                           .every = c->transport.every,
                           .eta = c->transport.context,
                           .share = c->transport.share,
                           .seed = (uint64_t)c->seed};
    *memory = NULL, *gate = NULL;
    if (c->transport.weight <= 0 && c->model.latent.gate == TR_GATE_NONE)
        return FWM_OK;
    if (c->model.kind == TR_MODEL_POINTS)
        o.d = model->state.count, o.dc = c->data.clip > 1 ? o.d : 0;
    else
        wm_transport_sizes(model, &o.d, &o.dc);
    FWM_TRY(ot_memory_create(memory, AD_F32, &o));
    if (c->model.latent.gate == TR_GATE_SHEETS)
        FWM_TRY(ot_gate_create(gate, *memory, o.dc > 0 ? 0 : c->model.points.noise, c->model.latent.classes));
    return FWM_OK;
}

int tr_memory_tensors(ot_memory *memory, ot_gate *gate, tr_tensor t[TR_MEMORY_TENSORS], char (*name)[512])
{
    ot_memory_array array[TR_MEMORY_TENSORS];
    int n = memory ? ot_memory_arrays(memory, array) : 0;
    n += gate ? ot_gate_arrays(gate, array + n) : 0;
    for (int k = 0; k < n; k++) {
        (void)snprintf(name[k], sizeof name[k], "transport/%s", array[k].name);
        t[k] = (tr_tensor){.name = name[k],
                           .dtype = array[k].integer  ? TR_I64
                                    : array[k].real64 ? TR_F64
                                                      : TR_F32,
                           .rank = 2,
                           .shape = {array[k].rows, array[k].columns},
                           .data = array[k].data};
    }
    return n;
}

fwm_status tr_memory_load(ot_memory *memory, ot_gate *gate, const tr_checkpoint *ck)
{
    tr_tensor t[TR_MEMORY_TENSORS];
    char name[TR_MEMORY_TENSORS][512];
    int n = tr_memory_tensors(memory, gate, t, name);
    for (int k = 0; k < n; k++)
        FWM_TRY(tr_checkpoint_copy(ck, name[k], t[k].dtype, 2, t[k].shape, (void *)t[k].data));
    if (memory)
        FWM_TRY(ot_memory_restore(memory));
    return gate ? ot_gate_restore(gate) : FWM_OK;
}

/* ---- what is measured ---- */

typedef struct bench {
    tr_world *w;
    ot_memory *memory;
    ot_gate *gate;
    int64_t n, d;
    bool paired;
    float *x, *y, *p; /* contexts, truth, generated [n,d] */
    int64_t *label;
    double s, s_x;
} bench;

static fwm_status read_split(bench *b, ds_split split)
{
    ds_sequence *sequence = NULL;
    int64_t at = 0;
    FWM_TRY(ds_sequence_create(&sequence, b->w->ds, split, 64, MOST, NULL));
    fwm_status status = FWM_OK;
    for (;;) {
        ds_batch batch;
        status = ds_sequence_next(sequence, &batch);
        if (status != FWM_OK || batch.count == 0)
            break;
        for (int64_t i = 0; i < batch.count && at < b->n; i++, at++) {
            const float *clip = batch.clip.state + i * batch.length * b->d;
            memcpy(b->x + at * b->d, clip, (size_t)b->d * sizeof *clip);
            memcpy(b->y + at * b->d, clip + (batch.length - 1) * b->d, (size_t)b->d * sizeof *clip);
            b->label[at] = batch.clip.parameters ? (int64_t)batch.clip.parameters[i * b->w->info->parameters] : 0;
        }
    }
    ds_sequence_destroy(&sequence);
    return status;
}

static fwm_status run_network(bench *b, float *flat, uint64_t seed)
{
    enum { MAX_PARAMETERS = 64 };
    const tr_config *c = b->w->config;
    ad_graph *g = NULL;
    ad_plan *plan = NULL;
    ot_gate_value *of_noise = NULL;
    ad_value all[MAX_PARAMETERS], x = AD_NONE, noise = AD_NONE, class_of = AD_NONE;
    fwm_status status = FWM_OK;
    FWM_TRY_GOTO(status, ad_graph_create(&g, AD_F32));
    wm_model m = {.nn = {g, b->w->store}, .config = &b->w->model};
    if (b->paired)
        x = ad_input(g, "x", ad_shape_make(2, b->n, b->d));
    if (c->model.points.head == TR_HEAD_GENERATOR)
        noise = tr_points_noise(c, &m, b->n);
    if (b->gate && b->paired)
        class_of = tr_points_class(&m, tr_points_logits(c, &m, x));
    if (b->gate && !b->paired) {
        FWM_TRY_GOTO(status, ot_gate_value_create(&of_noise, b->gate, b->n, true));
        class_of = ot_gate_one_hot(g, of_noise, noise);
    }
    ad_value p = tr_points_predict(c, &m, x, noise, class_of);
    FWM_TRY_GOTO(status, ad_graph_status(g));
    FWM_TRY_GOTO(status, ad_plan_create(&plan, g, 1, &p, NULL));
    int n = nn_graph_parameters(&m.nn, all, NULL, MAX_PARAMETERS);
    FWM_TRY_GOTO(status, nn_store_bind(&m.nn, plan, flat, n, all, NULL, NULL));
    FWM_TRY_GOTO(status, ad_plan_prepare(plan));
    if (x != AD_NONE)
        memcpy(ad_plan_data(plan, x), b->x, (size_t)(b->n * b->d) * sizeof *b->x);
    FWM_TRY_GOTO(status, ad_plan_run(plan, seed, 0));
    memcpy(b->p, ad_plan_data(plan, p), (size_t)(b->n * b->d) * sizeof *b->p);
done:
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
    ot_gate_value_destroy(&of_noise);
    return status;
}

static double spread(const float *v, int64_t n, int64_t d)
{
    double trace = 0;
    for (int64_t k = 0; k < d; k++) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < n; i++)
            mean += (double)v[i * d + k] / (double)n;
        for (int64_t i = 0; i < n; i++)
            square += ((double)v[i * d + k] - mean) * ((double)v[i * d + k] - mean) / (double)n;
        trace += square;
    }
    return sqrt(trace);
}

/* Exact W2 of the first n rows, contexts joined where `joint`. */
static fwm_status exact_w2(const bench *b, bool joint, double *w2)
{
    int64_t n = b->n < EXACT ? b->n : EXACT, width = joint ? 2 * b->d : b->d;
    double factor = b->s_x > 0 ? b->s / b->s_x : 0.0;
    double *rows[2] = {fwm_calloc((size_t)(n * width), sizeof(double)),
                       fwm_calloc((size_t)(n * width), sizeof(double))};
    fwm_status status = rows[0] && rows[1] ? FWM_OK : fwm_fail(FWM_MEMORY, "points: out of memory");
    for (int side = 0; status == FWM_OK && side < 2; side++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t k = 0; k < width; k++)
                rows[side][i * width + k] =
                    k < b->d ? (double)(side ? b->y : b->p)[i * b->d + k] : factor * (double)b->x[i * b->d + k - b->d];
    ot_exact_result r = {0};
    if (status == FWM_OK)
        status = ot_exact_clouds(&r, AD_F64, n, n, width, rows[0], rows[1], NULL, NULL);
    *w2 = sqrt(2 * fmax(r.cost, 0));
    fwm_free(rows[0]);
    fwm_free(rows[1]);
    return status;
}

/* ---- the picture ---- */

static int64_t pixel_of(double u, double half)
{
    double at = (u + half) / (2 * half) * TR_POINTS_SIDE;
    return at < 0 || at >= TR_POINTS_SIDE ? -1 : (int64_t)at;
}

static void count_points(float *picture, const float *v, int64_t n, double half)
{
    memset(picture, 0, (size_t)TR_POINTS_SIDE * TR_POINTS_SIDE * sizeof *picture);
    for (int64_t i = 0; i < n; i++) {
        int64_t column = pixel_of((double)v[2 * i], half), row = pixel_of(-(double)v[2 * i + 1], half);
        if (row >= 0 && column >= 0)
            picture[row * TR_POINTS_SIDE + column] += 1;
    }
}

static void fill_grid(float *grid, double half)
{
    for (int64_t row = 0; row < TR_POINTS_SIDE; row++)
        for (int64_t column = 0; column < TR_POINTS_SIDE; column++) {
            float *u = grid + 2 * (row * TR_POINTS_SIDE + column);
            u[0] = (float)(half * (2 * ((double)column + 0.5) / TR_POINTS_SIDE - 1));
            u[1] = (float)(-half * (2 * ((double)row + 0.5) / TR_POINTS_SIDE - 1));
        }
}

/* Heights of the bank's codes for uniform noise on the square: Sinkhorn's dual from Sobol points, corrected by sheets.
 */
static fwm_status noise_heights(const bench *b, double *g, ot_sites *sites)
{
    enum { WIDE = 4096 };
    const ot_geometry *look = ot_memory_geometry(b->memory);
    const ot_sinkhorn_options o = {.blur = 0.05, .scaling = 0.9, .extra = PATIENCE, .biased = true, .fixed_y = true};
    double *u = fwm_calloc(2 * WIDE, sizeof *u);
    float *source = fwm_calloc(2 * WIDE, sizeof *source);
    ot_sinkhorn *s = NULL;
    ot_correction *correction = NULL;
    ot_correction_result result;
    fwm_status status = u && source ? FWM_OK : fwm_fail(FWM_MEMORY, "points: out of memory");
    if (status == FWM_OK)
        status = ot_sobol_fill(u, WIDE, 2, 0, &(fwm_key){1, 1});
    for (int64_t i = 0; status == FWM_OK && i < 2 * WIDE; i++)
        source[i] = (float)(2 * u[i] - 1);
    if (status == FWM_OK)
        status = ot_sinkhorn_create(&s, AD_F32, SOURCES, look->N, 2, &o);
    if (status == FWM_OK)
        status = ot_sinkhorn_run(s, NULL, NULL, NULL, NULL, NULL, source, look->code, NULL, NULL);
    if (status == FWM_OK) {
        ot_heights_sinkhorn(g, look->N, s);
        status = ot_sites_set(sites, look->N, look->code, g);
    }
    const ot_support_view *v = look->support;
    if (status == FWM_OK && v->sheets > 1)
        status = ot_correction_create(&correction, WIDE, look->N, v->sheets);
    if (status == FWM_OK && v->sheets > 1)
        status = ot_correction_run(correction, &result, g, sites, v->sheets, v->sheet, v->mass, WIDE, source);
    ot_correction_destroy(&correction);
    ot_sinkhorn_destroy(&s);
    fwm_free(u);
    fwm_free(source);
    return status;
}

static fwm_status unpaired_scores(const bench *b, double *score, int64_t cells, const float *grid)
{
    const ot_geometry *look = ot_memory_geometry(b->memory);
    const ot_support_view *v = look->support;
    double *g = fwm_calloc((size_t)look->N, sizeof *g), *scratch = fwm_calloc((size_t)(2 * cells), sizeof *scratch);
    int64_t *j = fwm_calloc((size_t)(2 * cells), sizeof *j);
    ot_sites *sites = NULL;
    ot_boundary *boundary = NULL;
    fwm_status status = g && scratch && j ? FWM_OK : fwm_fail(FWM_MEMORY, "points: out of memory");
    if (status == FWM_OK)
        status = ot_sites_create(&sites, AD_F32, look->N, 2);
    if (status == FWM_OK)
        status = noise_heights(b, g, sites);
    if (status == FWM_OK)
        status = ot_boundary_create(&boundary, AD_F32, look->N, 2, v->K, cells);
    if (status == FWM_OK)
        status = ot_boundary_set(boundary, look->N, look->code, g, v->K, v->anchor, v->invisible);
    if (status == FWM_OK)
        status = ot_boundary_distance(boundary, score, j, j + cells, cells, grid);
    if (status == FWM_OK)
        ot_boundary_score(score, score, 0.05, cells);
    ot_boundary_destroy(&boundary);
    ot_sites_destroy(&sites);
    fwm_free(g);
    fwm_free(scratch);
    fwm_free(j);
    return status;
}

static fwm_status draw_picture(const bench *b, tr_points_report *r)
{
    enum { CELLS = TR_POINTS_SIDE * TR_POINTS_SIDE };
    const ot_geometry *look = ot_memory_geometry(b->memory);
    if (b->d != 2 || !look->ready || (!b->paired && b->w->config->model.points.noise != 2))
        return FWM_OK;
    float *grid = fwm_calloc(2 * CELLS, sizeof *grid);
    double *score = fwm_calloc(CELLS, sizeof *score);
    fwm_status status = grid && score ? FWM_OK : fwm_fail(FWM_MEMORY, "points: out of memory");
    r->half = b->paired ? 2 : 1;
    if (status == FWM_OK)
        fill_grid(grid, r->half);
    if (status == FWM_OK && !b->paired)
        status = unpaired_scores(b, score, CELLS, grid);
    int64_t room = ot_memory_get_options(b->memory)->codes;
    for (int64_t at = 0; status == FWM_OK && b->paired && at < CELLS; at += room)
        status = ot_memory_score(b->memory, score + at, CELLS - at < room ? CELLS - at : room, grid + 2 * at);
    for (int64_t i = 0; status == FWM_OK && i < CELLS; i++)
        r->boundary[i] = (float)score[i];
    count_points(r->density[0], b->y, b->n, 2);
    count_points(r->density[1], b->p, b->n, 2);
    r->has_picture = status == FWM_OK;
    fwm_free(grid);
    fwm_free(score);
    return status;
}

static fwm_status measure(bench *b, tr_points_report *r, float *flat, ds_split split, uint64_t seed)
{
    FWM_TRY(read_split(b, split));
    FWM_TRY(run_network(b, flat, seed));
    b->s = spread(b->y, b->n, b->d);
    b->s_x = b->paired ? spread(b->x, b->n, b->d) : 0;
    for (int64_t i = 0; i < b->n; i++)
        r->components = b->label[i] + 1 > r->components ? b->label[i] + 1 : r->components;
    ot_mixing mixing;
    FWM_TRY(ot_mixing_measure(&mixing, AD_F32, b->n, b->p, b->n, b->y, b->label, r->components, b->d));
    r->mixing = mixing.mixing, r->off = mixing.off, r->coverage = mixing.coverage, r->threshold = mixing.threshold;
    FWM_TRY(exact_w2(b, false, &r->w2));
    FWM_TRY(exact_w2(b, b->paired, &r->joint_w2));
    ot_sliced *slices = NULL;
    FWM_TRY(ot_sliced_create(&slices, AD_F32, b->n, b->n, b->d, DIRECTIONS));
    fwm_status status = ot_sliced_run(slices, &r->sliced, b->n, b->n, b->p, b->y, (fwm_key){seed, STREAM_SLICES}, 0);
    ot_sliced_destroy(&slices);
    FWM_TRY(status);
    r->sliced = sqrt(fmax(r->sliced, 0));
    r->squared_error = NAN;
    if (b->paired) {
        r->squared_error = 0;
        for (int64_t i = 0; i < b->n * b->d; i++)
            r->squared_error += pow((double)b->p[i] - (double)b->y[i], 2) / ((double)b->n * b->s * b->s);
    }
    return b->memory ? draw_picture(b, r) : FWM_OK;
}

fwm_status tr_points_measure(tr_points_report *r, tr_world *world, ot_memory *memory, ot_gate *gate, float *flat,
                             ds_split split, uint64_t seed)
{
    int64_t n = ds_split_list(world->info, split, NULL);
    *r = (tr_points_report){0};
    FWM_CHECK(n > 1, FWM_DATA, "%s: /split: expected at least two points of split '%s', found %lld", ds_path(world->ds),
              ds_split_name(split), (long long)n);
    bench b = {.w = world,
               .memory = memory,
               .gate = gate,
               .n = n < MOST ? n : MOST,
               .d = world->model.state.count,
               .paired = world->info->steps > 1};
    size_t size = (size_t)(b.n * b.d);
    b.x = fwm_calloc(size, sizeof *b.x);
    b.y = fwm_calloc(size, sizeof *b.y);
    b.p = fwm_calloc(size, sizeof *b.p);
    b.label = fwm_calloc((size_t)b.n, sizeof *b.label);
    r->count = b.n;
    fwm_status status = b.x && b.y && b.p && b.label ? measure(&b, r, flat, split, seed)
                                                     : fwm_fail(FWM_MEMORY, "points: out of memory");
    fwm_free(b.x);
    fwm_free(b.y);
    fwm_free(b.p);
    fwm_free(b.label);
    return status;
}

fwm_status tr_points_json(const tr_points_report *r, json_t **json)
{
    *json = json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "points", (json_int_t)r->count, "mixing",
                      tr_json_number(r->mixing), "off", tr_json_number(r->off), "coverage", tr_json_number(r->coverage),
                      "w2", tr_json_number(r->w2), "joint_w2", tr_json_number(r->joint_w2), "squared_error",
                      tr_json_number(r->squared_error), "sliced", tr_json_number(r->sliced));
    FWM_CHECK(*json, FWM_MEMORY, "points: out of memory");
    return FWM_OK;
}
