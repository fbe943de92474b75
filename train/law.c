#include "train/law_impl.h"

#include "model/base/arena.h"
#include "physics/scheme.h"
#include "train/mesh_data.h"
#include "train/scene.h"

#include <math.h>
#include <string.h>

/* ---- parameters ---- */

static void parameter_path(const tr_law *law, int k, char path[96])
{
    (void)snprintf(path, 96, "/" TR_LAW_PREFIX "%s", law->equation->parameter[k].name);
}

int64_t tr_law_count(const tr_law *law, int k)
{
    return law->field[k] ? law->mesh->n_cells : 1;
}

static ad_value log_parameter(const tr_law *law, const nn_builder *b, int k)
{
    char path[96];
    parameter_path(law, k, path);
    nn_init init = {.kind = NN_INIT_CONSTANT, .value = log(fabs(law->start[k])), .no_decay = true};
    return nn_parameter(b, path, ad_shape_make(1, tr_law_count(law, k)), init);
}

static int theta_values(tr_law *law, ad_graph *g, ad_value *theta)
{
    nn_builder b = {.g = g, .store = law->store};
    int n = law->equation->n_parameters;
    for (int k = 0; k < n; k++) {
        theta[k] =
            law->learned[k] ? ad_exp(g, log_parameter(law, &b, k)) : ad_fill(g, ad_shape_make(1, 1), law->start[k]);
        if (law->learned[k] && law->start[k] < 0)
            theta[k] = ad_affine(g, theta[k], -1, 0);
    }
    return n;
}

/* The law's operator of a kind for these states and actions (AD_NONE, the last, where there are none): the parameters
 * follow them as inputs. */
static ad_value apply_law(tr_law *law, ad_graph *g, fem_custom_kind kind, int n_states, ad_value *in)
{
    n_states -= in[n_states - 1] == AD_NONE;
    const ad_custom *custom = NULL;
    int64_t count[FEM_MAX_PARAMETERS];
    int n = theta_values(law, g, in + n_states);
    if (ad_graph_status(g) != FWM_OK)
        return AD_NONE;
    for (int k = 0; k < n; k++)
        count[k] = tr_law_count(law, k);
    fwm_status status = fem_custom(&custom, law->problem, kind, ad_graph_dtype(g), ad_dim(g, in[0], 0), count);
    if (status != FWM_OK)
        return tr_law_keep_failure(g, status);
    return ad_custom_apply(g, custom, n_states + n, in);
}

static ad_value build_step(void *self, ad_graph *g, ad_value s, ad_value a)
{
    ad_value in[2 + FEM_MAX_PARAMETERS] = {s, a};
    return apply_law(self, g, FEM_CUSTOM_STEP, 2, in);
}

static ad_value build_rate(void *self, ad_graph *g, ad_value s, ad_value a)
{
    ad_value in[3 + FEM_MAX_PARAMETERS] = {s, s, a};
    return apply_law(self, g, FEM_CUSTOM_RESIDUAL, 3, in);
}

static ad_value build_loss(void *self, ad_graph *g, ad_value s1, ad_value s0, ad_value a)
{
    ad_value in[3 + FEM_MAX_PARAMETERS] = {s1, s0, a};
    return apply_law(self, g, FEM_CUSTOM_LOSS, 3, in);
}

static ad_value build_description(void *self, ad_graph *g)
{
    tr_law *law = self;
    nn_builder b = {.g = g, .store = law->store};
    ad_value part[FEM_MAX_PARAMETERS];
    int n = 0;
    for (int k = 0; k < law->equation->n_parameters; k++)
        if (law->learned[k])
            part[n++] = ad_reshape(g, ad_mean_all(g, log_parameter(law, &b, k)), ad_shape_make(2, 1, 1));
    return n == 0 ? AD_NONE : n == 1 ? part[0] : ad_concat(g, n, part, 1);
}

ad_value tr_law_total_variation(tr_law *law, const nn_builder *b)
{
    ad_graph *g = b->g;
    ad_value sum = AD_NONE;
    for (int k = 0; law->equation && k < law->equation->n_parameters; k++) {
        if (!law->learned[k] || !law->field[k])
            continue;
        ad_value x = ad_reshape(g, log_parameter(law, b, k), ad_shape_make(3, 1, law->mesh->n_cells, 1));
        ad_value jump = ad_sum_all(g, ad_abs(g, tr_law_jumps(law, g, x)));
        sum = sum == AD_NONE ? jump : ad_add(g, sum, jump);
    }
    return sum;
}

void tr_law_values(const tr_law *law, const nn_store *store, ad_dtype dtype, const void *flat, int k, double *values)
{
    char path[96];
    parameter_path(law, k, path);
    const nn_slot *slot = law->learned[k] ? nn_store_find(store, path + 1) : NULL;
    for (int64_t i = 0; i < tr_law_count(law, k); i++) {
        if (!slot)
            values[i] = law->start[k];
        else if (dtype == AD_F64)
            values[i] = copysign(exp(((const double *)flat)[slot->offset + i]), law->start[k]);
        else
            values[i] = copysign(exp((double)((const float *)flat)[slot->offset + i]), law->start[k]);
    }
}

/* Room for the parts of `batch` transitions; nothing is allocated again for as many. */
static fwm_status reserve_parts(tr_law *law, int64_t batch)
{
    const int64_t n = law->equation->n_fields + law->mesh->n_regions;
    int64_t count = 0;
    if (batch <= law->parts_batch)
        return FWM_OK;
    for (int k = 0; k < law->equation->n_parameters; k++)
        count += tr_law_count(law, k);
    fwm_free(law->parts);
    fwm_free(law->wide);
    fwm_free(law->narrow);
    law->parts_batch = 0;
    law->parts = fwm_malloc((size_t)(batch * n), sizeof *law->parts);
    law->wide = fwm_malloc((size_t)count, sizeof *law->wide);
    law->narrow = fwm_malloc((size_t)count, sizeof *law->narrow);
    FWM_CHECK(law->parts && law->wide && law->narrow, FWM_MEMORY, "law: out of memory");
    law->parts_batch = batch;
    return FWM_OK;
}

static void mean_over_batch(double *mean, const double *each, int64_t n, int64_t batch)
{
    for (int64_t k = 0; mean && k < n; k++) {
        mean[k] = 0;
        for (int64_t b = 0; b < batch; b++)
            mean[k] += each[b * n + k] / (double)batch;
    }
}

fwm_status tr_law_parts(tr_law *law, const nn_store *store, const float *flat, double *cells, double *fields,
                        double *regions, const float *s1, const float *s0, const float *a, int64_t batch)
{
    const fem_equation *eq = law->equation;
    fem_theta theta = {{0}, {0}};
    FWM_TRY(reserve_parts(law, batch));
    double *of_fields = law->parts, *of_regions = law->parts + batch * eq->n_fields;
    for (int64_t k = 0, at = 0; k < eq->n_parameters; k++) {
        theta.count[k] = tr_law_count(law, (int)k);
        theta.value[k] = law->narrow + at;
        tr_law_values(law, store, AD_F32, flat, (int)k, law->wide + at);
        for (int64_t end = at + theta.count[k]; at < end; at++)
            law->narrow[at] = (float)law->wide[at];
    }
    FWM_TRY(fem_indicator(law->problem, AD_F32, cells, of_fields, of_regions, s1, s0, a, &theta, batch));
    mean_over_batch(fields, of_fields, eq->n_fields, batch);
    mean_over_batch(regions, of_regions, law->mesh->n_regions, batch);
    return FWM_OK;
}

bool tr_law_is_learned(const tr_law *law, int k)
{
    return law->learned[k];
}

double tr_law_initial(const tr_law *law, int k)
{
    return law->start[k];
}

/* ---- creation ---- */

static fwm_status read_parameters(tr_law *law, const tr_config *c)
{
    const fem_equation *eq = law->equation;
    for (int k = 0; k < eq->n_parameters; k++)
        law->start[k] = eq->parameter[k].lo > 0 ? eq->parameter[k].preset : 0; /* absent: the term is not in the law */
    for (int64_t i = 0; i < c->physics.parameters.count; i++) {
        int k;
        fwm_status status = fem_parameter_find(eq, c->physics.parameters.items[i].name, &k);
        if (status != FWM_OK)
            return fwm_fail_within(FWM_CONFIG, "physics.parameters");
        law->start[k] = c->physics.parameters.items[i].value;
    }
    for (int64_t i = 0; i < c->physics.learn.count; i++) {
        int k;
        if (fem_parameter_find(eq, c->physics.learn.items[i], &k) != FWM_OK)
            return fwm_fail_within(FWM_CONFIG, "physics.learn");
        FWM_CHECK(law->start[k] != 0, FWM_CONFIG,
                  "physics.learn: '%s' keeps its sign: expected a starting value other than 0 in "
                  "physics.parameters, found %g",
                  c->physics.learn.items[i], law->start[k]);
        law->learned[k] = true;
    }
    for (int64_t i = 0; i < c->physics.field.count; i++) {
        int k;
        if (fem_parameter_find(eq, c->physics.field.items[i], &k) != FWM_OK)
            return fwm_fail_within(FWM_CONFIG, "physics.field");
        FWM_CHECK(eq->parameter[k].per_cell, FWM_CONFIG, "physics.field: '%s' cannot vary from cell to cell",
                  c->physics.field.items[i]);
        FWM_CHECK(law->learned[k], FWM_CONFIG, "physics.field: '%s' is not in physics.learn",
                  c->physics.field.items[i]);
        law->field[k] = true;
    }
    return FWM_OK;
}

/* The norm's unit of a field: the root mean square of its components' deviations. */
static void field_scales(const fem_equation *eq, int dim, const double *std, double *scale)
{
    for (int f = 0, at = 0; f < eq->n_fields; f++) {
        const int width = eq->field_kind[f] & FEM_FIELD_VECTOR ? dim : 1;
        double sum = 0;
        for (int k = 0; k < width; k++, at++)
            sum += std[at] * std[at];
        scale[f] = sqrt(sum / width);
    }
}

static fwm_status new_problem(const tr_law *law, const tr_config *c, double dt, const double *std, fem_problem_spec own,
                              fem_problem **problem)
{
    tr_scene scene;
    fem_span span[FEM_MAX_CONDITIONS];
    FWM_TRY(tr_scene_fill(&scene, c, law->equation));
    FWM_TRY(fem_conditions_shape(scene.condition, span, scene.parabolic, scene.n_conditions, law->mesh));
    own.equation = law->equation->name;
    own.mesh = law->mesh;
    own.dt = dt;
    own.spectral_radius = c->simulate.spectral_radius;
    own.n_sources = scene.n_sources;
    own.source = scene.source;
    own.n_conditions = scene.n_conditions;
    own.condition = scene.condition;
    if (std)
        field_scales(law->equation, law->mesh->dim, std, own.field_scale);
    return fem_problem_create(problem, &own);
}

/* Which entries of a state no essential condition holds. */
static fwm_status mark_free(tr_law *law, const tr_config *c)
{
    tr_scene scene;
    const int64_t size = law->mesh->n_nodes * fem_equation_components(law->equation, law->mesh->dim);
    FWM_TRY(tr_scene_fill(&scene, c, law->equation));
    if (scene.n_conditions == 0)
        return FWM_OK;
    law->free = fwm_calloc((size_t)size, sizeof *law->free);
    FWM_CHECK(law->free, FWM_MEMORY, "law: out of memory");
    for (int k = 0; k < scene.n_conditions; k++) {
        scene.condition[k].constant = 1;
        scene.condition[k].gain = 0;
        scene.condition[k].driven = false;
    }
    FWM_TRY(fem_conditions_lay(law->free, scene.condition, scene.n_conditions, law->equation, law->mesh, NULL, 0));
    for (int64_t i = 0; i < size; i++)
        law->free[i] = 1 - law->free[i];
    return FWM_OK;
}

fwm_status tr_law_true_problem(const tr_law *law, const tr_config *config, const ds_dataset *ds, const double *std,
                               fem_problem **problem)
{
    /* The residual is that of one step of the scheme which made the data, or of the midpoint rule where it remembers.
     */
    const fem_scheme scheme = tr_scheme_of(config->simulate.scheme);
    const fem_problem_spec own = {.scheme = scheme, .substeps = fem_scheme_substeps(scheme)};
    return new_problem(law, config, ds_get_info(ds)->dt, std, own, problem);
}

/* u [batch*n*c] -> where it is after `frames` steps; u_next is work space, a [batch*A] zeros. */
static fwm_status let_go(fem_problem *problem, const fem_theta *theta, double *u, double *u_next, const double *a,
                         int64_t size, int64_t batch, int64_t frames)
{
    for (int64_t t = 0; t < frames; t++) {
        FWM_TRY(fem_step(problem, AD_F64, u_next, u, a, theta, batch));
        memcpy(u, u_next, (size_t)(batch * size) * sizeof *u);
    }
    return FWM_OK;
}

fwm_status tr_law_relax(const tr_law *law, const tr_config *config, const ds_dataset *ds, const nn_store *store,
                        const float *flat, float *states, int64_t batch, int64_t frames)
{
    const fem_equation *eq = law->equation;
    const int64_t size = law->mesh->n_nodes * fem_equation_components(eq, law->mesh->dim);
    int64_t total = 0;
    for (int k = 0; k < eq->n_parameters; k++)
        total += tr_law_count(law, k);
    fem_problem *problem = NULL;
    FWM_TRY(new_problem(law, config, ds_get_info(ds)->dt, NULL, (fem_problem_spec){.scheme = FEM_BACKWARD_EULER},
                        &problem));
    const int64_t actions = fem_problem_actions(problem);
    double *u = fwm_malloc((size_t)(2 * batch * size), sizeof *u), *values = fwm_malloc((size_t)total + 1, sizeof *u);
    double *a = fwm_calloc((size_t)(batch * actions) + 1, sizeof *a);
    fwm_status status = u && values && a ? FWM_OK : fwm_fail(FWM_MEMORY, "law: out of memory");
    fem_theta theta = {{0}, {0}};
    for (int64_t k = 0, at = 0; status == FWM_OK && k < eq->n_parameters; at += theta.count[k++]) {
        tr_law_values(law, store, AD_F32, flat, (int)k, values + at);
        theta.count[k] = tr_law_count(law, (int)k);
        theta.value[k] = values + at;
    }
    for (int64_t i = 0; status == FWM_OK && i < batch * size; i++)
        u[i] = (double)states[i];
    if (status == FWM_OK)
        status = let_go(problem, &theta, u, u + batch * size, a, size, batch, frames);
    for (int64_t i = 0; status == FWM_OK && i < batch * size; i++)
        states[i] = (float)u[i];
    fwm_free(u);
    fwm_free(values);
    fwm_free(a);
    fem_problem_destroy(&problem);
    return status;
}

static fwm_status make_problem(tr_law *law, const tr_config *c, const ds_dataset *ds, const double *std)
{
    const ds_info *info = ds_get_info(ds);
    const char *name = tr_config_word("physics.equation", c->physics.equation);
    FWM_CHECK(
        strcmp(info->equation, name) == 0, FWM_DATA,
        "%s: @equation: expected '%s' (physics.equation of the configuration), found '%s'; choose the dataset or the "
        "equation",
        ds_path(ds), name, info->equation);
    FWM_TRY(fem_equation_find(name, &law->equation));
    FWM_TRY(read_parameters(law, c));
    tr_scene scene;
    FWM_TRY(tr_scene_fill(&scene, c, law->equation));
    const int actions = scene.n_sources + law->equation->n_ambient + scene.n_driven;
    FWM_CHECK(actions == info->fields[DS_ACTIONS].channels, FWM_CONFIG,
              "simulate: %d sources and loads, %d ambient value(s) and %d driven condition(s) make %d actions, but %s "
              "has %lld",
              scene.n_sources, law->equation->n_ambient, scene.n_driven, actions, ds_path(ds),
              (long long)info->fields[DS_ACTIONS].channels);
    const int components = fem_equation_components(law->equation, law->mesh->dim);
    FWM_CHECK(info->fields[DS_STATE].channels == components, FWM_DATA,
              "%s: /state: expected %d channels (the fields of %s), found %lld", ds_path(ds), components, name,
              (long long)info->fields[DS_STATE].channels);
    FWM_CHECK(info->fields[DS_STATE].points == law->mesh->n_nodes, FWM_DATA,
              "%s: /state: expected %lld nodes (those of /mesh), found %lld", ds_path(ds),
              (long long)law->mesh->n_nodes, (long long)info->fields[DS_STATE].points);
    fem_norm norm = c->physics.residual.norm == TR_NORM_DUAL     ? FEM_NORM_DUAL
                    : c->physics.residual.norm == TR_NORM_LUMPED ? FEM_NORM_LUMPED
                                                                 : FEM_NORM_STEP;
    fem_problem_spec own = {.norm = norm,
                            .substeps = (int)c->physics.substeps,
                            .scheme = tr_scheme_of(c->physics.scheme),
                            .tolerance = c->physics.tolerance};
    FWM_TRY(mark_free(law, c));
    for (int k = 0; k < law->equation->n_fields; k++)
        for (int64_t i = 0; i < c->physics.residual.field_weight.count; i++) {
            const struct tr_named_real *w = &c->physics.residual.field_weight.items[i];
            if (strcmp(w->name, law->equation->field[k]) == 0)
                own.field_weight[k] = w->value > 0 ? w->value : -1; /* a weight of 0 means 1 there */
        }
    return new_problem(law, c, info->dt, std, own, &law->problem);
}

fwm_status tr_law_create(tr_law **out, const tr_config *c, const ds_dataset *ds, const double *std)
{
    const ds_info *info = ds_get_info(ds);
    tr_law *law = fwm_calloc(1, sizeof *law);
    *out = NULL;
    FWM_CHECK(law, FWM_MEMORY, "law: out of memory");
    law->cut = (fem_cut){.axis = c->simulate.cut_across, .share = c->simulate.cut};
    fwm_status status = FWM_OK;
    if (info->mesh || info->fields[DS_STATE].points != 1 || c->physics.equation != TR_EQUATION_NONE)
        status = tr_mesh_from_data(&law->mesh, info->mesh, ds_path(ds), "/mesh");
    if (status == FWM_OK && info->coarse_mesh)
        status = tr_mesh_from_data(&law->coarse, info->coarse_mesh, ds_path(ds), "/coarse_mesh");
    if (status == FWM_OK)
        status = tr_law_watch_body(law, c, ds);
    if (status == FWM_OK && c->physics.equation != TR_EQUATION_NONE)
        status = make_problem(law, c, ds, std);
    if (status == FWM_OK) {
        law->nodes = law->mesh ? law->mesh->n_nodes : 1;
        law->mass = fwm_malloc((size_t)law->nodes, sizeof *law->mass);
        if (!law->mass)
            status = fwm_fail(FWM_MEMORY, "law: out of memory");
    }
    if (status != FWM_OK) {
        tr_law_destroy(&law);
        return status;
    }
    for (int64_t i = 0; i < law->nodes; i++)
        law->mass[i] = law->mesh ? law->mesh->lumped[i] / law->mesh->area : 1.0;
    *out = law;
    return FWM_OK;
}

void tr_law_destroy(tr_law **out)
{
    tr_law *law = out ? *out : NULL;
    if (!law)
        return;
    tr_law_forget_pictures(law);
    fem_problem_destroy(&law->problem);
    fem_mesh_destroy(&law->coarse);
    fem_mesh_destroy(&law->mesh);
    fwm_free(law->mass);
    fwm_free(law->free);
    fwm_free(law->parts);
    fwm_free(law->wide);
    fwm_free(law->narrow);
    fwm_free(law);
    *out = NULL;
}

const wm_physics *tr_law_physics(tr_law *law, nn_store *store)
{
    law->store = store;
    bool known = law->problem != NULL;
    law->physics = (wm_physics){
        .self = law,
        .step = known ? build_step : NULL,
        .rate = known ? build_rate : NULL,
        .loss = known ? build_loss : NULL,
        .describe = known ? build_description : NULL,
        .mass = law->mass,
        .free = law->free,
    };
    tr_law_add_pictures(law, &law->physics);
    return &law->physics;
}

const fem_mesh *tr_law_mesh(const tr_law *law)
{
    return law->mesh;
}

const fem_mesh *tr_law_coarse_mesh(const tr_law *law)
{
    return law->coarse;
}

fem_problem *tr_law_problem(const tr_law *law)
{
    return law->problem;
}

const fem_equation *tr_law_equation(const tr_law *law)
{
    return law->equation;
}
