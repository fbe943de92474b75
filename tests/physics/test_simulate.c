/* The simulator: reproducible trajectory by trajectory, statistics as ordered, a truth that the cheap law does not
 * know. */
#include "support.h"

#include "physics/events.h"
#include "physics/simulate.h"

#include <unistd.h>

TestSuite(simulate, .fini = fem_finalize);

typedef struct copy {
    int64_t index, frames, nodes, coarse, actions, pixels;
    fem_split split;
    uint8_t *frame;
    float *state, *cheap, *action;
} copy;

typedef struct shelf {
    copy item[64];
    int n;
} shelf;

static void *keep(const void *x, size_t bytes)
{
    void *y = malloc(bytes);
    memcpy(y, x, bytes);
    return y;
}

static fwm_status collect(void *context, const fem_trajectory *t)
{
    shelf *s = context;
    copy *c = &s->item[s->n++];
    *c = (copy){
        t->index, t->frames, t->nodes, t->coarse_nodes, t->actions_count, t->height * t->width * 3, t->split, NULL,
        NULL,     NULL,      NULL};
    c->frame = keep(t->frame, (size_t)(t->frames * c->pixels));
    c->state = keep(t->state, (size_t)(t->frames * t->nodes) * 4);
    c->cheap = keep(t->cheap, (size_t)(t->frames * t->coarse_nodes) * 4);
    c->action = keep(t->actions, (size_t)(t->frames * t->actions_count) * 4);
    return FWM_OK;
}

static void empty(shelf *s)
{
    for (int k = 0; k < s->n; k++)
        free(s->item[k].frame), free(s->item[k].state), free(s->item[k].cheap), free(s->item[k].action);
    s->n = 0;
}

static fem_simulate_spec small(void)
{
    fem_simulate_spec spec;
    fem_simulate_defaults(&spec);
    spec.seed = 5;
    spec.mesh.nx = spec.mesh.ny = 16;
    spec.coarse.nx = spec.coarse.ny = 8;
    spec.height = spec.width = 20;
    spec.frames = 13;
    const int64_t count[] = {20, 2, 1, 20};
    memcpy(spec.count, count, sizeof count);
    return spec;
}

static void same(const copy *a, const copy *b)
{
    cr_assert(a->index == b->index && a->split == b->split);
    cr_assert_arr_eq(a->frame, b->frame, (size_t)(a->frames * a->pixels));
    cr_assert_arr_eq(a->state, b->state, (size_t)(a->frames * a->nodes) * 4);
    cr_assert_arr_eq(a->cheap, b->cheap, (size_t)(a->frames * a->coarse) * 4);
    cr_assert_arr_eq(a->action, b->action, (size_t)(a->frames * a->actions) * 4);
}

Test(simulate, a_trajectory_alone_equals_itself_in_a_batch)
{
    static shelf all, one;
    fem_simulate_spec spec = small();
    fem_simulation *s;
    MUST(fwm_threads_init(2));
    MUST(fem_simulation_create(&s, &spec));
    MUST(fem_simulate(s, collect, &all));
    cr_assert_eq(all.n, 43);
    fem_simulation_destroy(&s);
    MUST(fwm_threads_init(1));  /* another batch size, another thread count */
    spec.count[FEM_TRAIN] = 50; /* and more of them */
    MUST(fem_simulation_create(&s, &spec));
    const int picks[] = {0, 7, 19, 21, 42};
    for (size_t k = 0; k < sizeof picks / sizeof *picks; k++) {
        const copy *c = &all.item[picks[k]];
        MUST(fem_simulate_some(s, c->split, c->index, 1, collect, &one));
        same(c, &one.item[0]);
        empty(&one);
    }
    /* and different ones are different */
    cr_assert(memcmp(all.item[0].state, all.item[1].state, 100) != 0 &&
              memcmp(all.item[0].state, all.item[20].state, 100) != 0);
    empty(&all);
    fem_simulation_destroy(&s);
}

Test(simulate, starts_schedules_and_splits_follow_their_distributions)
{
    static shelf all;
    fem_simulate_spec spec = small();
    fem_simulation *s;
    MUST(fwm_threads_init(2));
    MUST(fem_simulation_create(&s, &spec));
    MUST(fem_simulate(s, collect, &all));
    int on = 0, slots = 0;
    double deviation = 0;
    for (int k = 0; k < all.n; k++) {
        const copy *c = &all.item[k];
        double lo = c->split == FEM_TEST_OOD ? 1 : 0, hi = lo + 1, sum = 0, square = 0;
        for (int h = 0; h < 4; h++) {
            int held = 1;
            for (int64_t t = 0; t < c->frames; t++) {
                double a = (double)c->action[t * 5 + h];
                cr_assert(a == 0 || (a >= lo && a <= hi));
                on += a > 0;
                slots++;
                if (t > 0 && c->action[t * 5 + h] == c->action[(t - 1) * 5 + h]) {
                    held++;
                } else if (t > 0) {
                    cr_assert_geq(held, 4); /* frames for which a power is kept */
                    held = 1;
                }
            }
        }
        for (int64_t t = 0; t < c->frames; t++)
            cr_assert(fabs((double)c->action[t * 5 + 4]) <= 0.5 && c->action[t * 5 + 4] == c->action[4]);
        for (int64_t i = 0; i < c->nodes; i++) {
            sum += (double)c->state[i];
            square += (double)c->state[i] * (double)c->state[i];
        }
        deviation += sqrt(square / (double)c->nodes - sum * sum / (double)(c->nodes * c->nodes)) / all.n;
    }
    /* Expected share 0.7; about 43*4*2 independent pieces: 3 sigma = 0.075. */
    cr_expect_float_eq((double)on / slots, 0.7, 0.075);
    /* Mean sigma 0.6, less what the plate's own mean takes of a field with l up to a quarter of the plate. */
    cr_expect(deviation > 0.4 && deviation < 0.65, "deviation %g", deviation);
    empty(&all);
    fem_simulation_destroy(&s);
}

/* The law of the data is the truth's: under it a one-substep trajectory has no residual, and under the nominal law it
 * has. */
Test(simulate, trajectories_obey_the_true_law_and_not_the_nominal)
{
    static shelf all;
    fem_simulate_spec spec = small();
    fem_simulation *s;
    spec.substeps = 1;
    MUST(fwm_threads_init(2));
    MUST(fem_simulation_create(&s, &spec));
    MUST(fem_simulate_some(s, FEM_TEST, 0, 1, collect, &all));
    const fem_mesh *mesh = fem_simulation_mesh(s);
    fem_problem *p;
    MUST(fem_problem_create(
        &p,
        &(fem_problem_spec){.equation = "heat", .mesh = mesh, .dt = spec.dt, .n_sources = 4, .source = spec.source}));
    double truth[12], nominal[12];
    const double k = 1, none = 0, t0 = 3;
    fem_theta wrong = {{&k, &none, &none, &t0}, {1, 1, 1, 1}};
    MUST(fem_trajectory_residual(p, truth, all.item[0].state, all.item[0].action, fem_simulation_theta(s), 13));
    MUST(fem_trajectory_residual(p, nominal, all.item[0].state, all.item[0].action, &wrong, 13));
    for (int t = 0; t < 12; t++) {
        /* States are float32: (6e-8 * 3)^2 times the spectrum of P dt / |Omega| (below 200). */
        cr_expect(truth[t] < 1e-11, "frame %d: %g", t, truth[t]);
        cr_expect(nominal[t] > 1e-6, "frame %d: %g", t, nominal[t]);
    }
    /* Start of the cheap simulation: the truth's, at the coarse nodes (every second one). */
    for (int j = 0; j < 9; j++)
        for (int i = 0; i < 9; i++)
            cr_expect_float_eq(all.item[0].cheap[j * 9 + i], all.item[0].state[2 * j * 17 + 2 * i], 1e-5f);
    fem_problem_destroy(&p);
    empty(&all);
    fem_simulation_destroy(&s);
}

/* Noise of deviation 0.02 around the clean picture; its corners are darker by the vignetting. */
Test(simulate, frames_are_noisy_pictures_of_the_state)
{
    static shelf all;
    fem_simulate_spec spec = small();
    fem_simulation *s;
    MUST(fwm_threads_init(2));
    MUST(fem_simulation_create(&s, &spec));
    MUST(fem_simulate_some(s, FEM_TRAIN, 3, 1, collect, &all));
    const copy *c = &all.item[0];
    uint8_t *clean = malloc((size_t)c->pixels);
    double square = 0;
    int64_t counted = 0;
    for (int64_t t = 0; t < c->frames; t++) {
        MUST(fem_simulation_picture(s, c->state + t * c->nodes, clean));
        for (int64_t i = 0; i < c->pixels; i++)
            if (clean[i] > 25 && clean[i] < 230) { /* four deviations from where values are cut */
                double e = (c->frame[t * c->pixels + i] - clean[i]) / 255.0;
                square += e * e;
                counted++;
            }
    }
    /* 0.02^2 plus two roundings to 1/255 (variance 1/12 each); 1e4 values: 3 sigma = 2 percent. */
    double expected = sqrt(0.02 * 0.02 + 2.0 / 12 / 255 / 255);
    cr_assert_gt(counted, 5000);
    cr_expect_float_eq(sqrt(square / (double)counted), expected, 0.05 * expected);
    float *flat = malloc((size_t)c->nodes * sizeof *flat);
    for (int64_t i = 0; i < c->nodes; i++)
        flat[i] = 2.5f;
    MUST(fem_simulation_picture(s, flat, clean));
    double r2 = 2 * 0.475 * 0.475, middle = 2 * 0.025 * 0.025; /* 20 pixels: centres 0.475 and 0.025 from the middle */
    cr_expect_float_eq((double)clean[0] / clean[(10 * 20 + 10) * 3], (1 - 0.7 * r2) / (1 - 0.7 * middle), 0.01);
    free(flat);
    free(clean);
    empty(&all);
    fem_simulation_destroy(&s);
}

static fwm_status refuse(void *context, const fem_trajectory *t)
{
    (void)context, (void)t;
    return fwm_fail(FWM_IO, "disk full");
}

Test(simulate, bad_specifications_and_sinks_are_reported)
{
    fem_simulation *s = NULL;
    fem_simulate_spec spec = small();
    MUST(fwm_threads_init(1));
    spec.hold_lo = 0;
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "held") && !s);
    spec = small();
    spec.dt = 0;
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "dt"));
    spec = small();
    spec.inclusion[1].value = -2;
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "inclusion 1"));
    spec = small();
    spec.correlation.lo = 3;
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "correlation"));
    spec = small();
    MUST(fem_simulation_create(&s, &spec));
    cr_assert_eq(fem_simulate(s, refuse, NULL), FWM_IO);
    cr_assert_eq(fem_simulate_some(s, FEM_TEST, 0, 2, collect, NULL), FWM_INVALID);
    fem_simulation_destroy(&s);
}

/* ---- seeded bad specifications: each is refused by name, and leaves nothing ---- */

typedef struct corruption {
    const char *named; /* what the message has to say */
    void (*apply)(fem_simulate_spec *s, double x);
} corruption;

static void no_step(fem_simulate_spec *s, double x)
{
    s->dt = -x * (x > 0.5);
}

static void cold(fem_simulate_spec *s, double x)
{
    s->truth[0] = -x;
}

static void cold_nominal(fem_simulate_spec *s, double x)
{
    s->nominal[0] = x > 0.5 ? -x : 0;
}

static void gains(fem_simulate_spec *s, double x)
{
    s->truth[1] = x > 0.5 ? NAN : -x - 1e-9;
}

static void bad_disc(fem_simulate_spec *s, double x)
{
    s->inclusion[(int)(x * 3) % 3].radius = x > 0.5 ? 0 : -x;
}

static void bad_disc_value(fem_simulate_spec *s, double x)
{
    s->inclusion[(int)(x * 3) % 3].value = x > 0.5 ? -x : INFINITY;
}

static void constant_disc(fem_simulate_spec *s, double x)
{
    s->inclusion_of = x > 0.5 ? 1 : -1; /* the loss does not vary in space */
}

static void few_frames(fem_simulate_spec *s, double x)
{
    s->frames = (int64_t)(x * 3) - 1;
}

static void crowd(fem_simulate_spec *s, double x)
{
    s->n_sources = x > 0.5 ? FEM_MAX_ACTIONS : -1;
}

static void inverted_hold(fem_simulate_spec *s, double x)
{
    s->hold_hi = s->hold_lo - 1 - (int64_t)(8 * x);
}

static void unlikely(fem_simulate_spec *s, double x)
{
    s->power_probability = x > 0.5 ? 1 + x : -x - 1e-9;
}

static void inverted_range(fem_simulate_spec *s, double x)
{
    s->deviation = (fem_range){1 + x, x};
}

static void dark(fem_simulate_spec *s, double x)
{
    s->shown = (fem_range){x, x};
}

static void flat_source(fem_simulate_spec *s, double x)
{
    s->source[(int)(x * 4) % 4].half_width = x > 0.5 ? 0 : -x;
}

static void no_cells(fem_simulate_spec *s, double x)
{
    s->mesh.nx = (int64_t)(-3 * x);
}

static void long_cells(fem_simulate_spec *s, double x)
{
    s->coarse.lx = x > 0.5 ? NAN : -x;
}

static void unknown_equation(fem_simulate_spec *s, double x)
{
    s->equation = x > 0.5 ? "heet" : "";
}

static void too_many_substeps(fem_simulate_spec *s, double x)
{
    s->substeps = FEM_MAX_SUBSTEPS + 1 + (int)(100 * x);
}

static void no_key_rate(fem_simulate_spec *s, double x)
{
    s->key_rate = x > 0.5 ? NAN : -x;
}

Test(simulate, seeded_bad_specifications_are_refused_by_name)
{
    static const corruption all[] = {{"dt", no_step},
                                     {"truth: expected conductivity", cold},
                                     {"nominal: expected conductivity", cold_nominal},
                                     {"truth: expected loss", gains},
                                     {"inclusion ", bad_disc},
                                     {"inclusion ", bad_disc_value},
                                     {"inclusions", constant_disc},
                                     {"frames", few_frames},
                                     {"sources", crowd},
                                     {"held", inverted_hold},
                                     {"power_probability", unlikely},
                                     {"deviation", inverted_range},
                                     {"shown", dark},
                                     {"source ", flat_source},
                                     {"mesh", no_cells},
                                     {"mesh", long_cells},
                                     {"equation", unknown_equation},
                                     {"substeps", too_many_substeps},
                                     {"key_rate", no_key_rate}};
    enum { ROUNDS = 1000, KINDS = sizeof all / sizeof *all };
    int met[KINDS] = {0};
    MUST(fwm_threads_init(1));
    for (uint64_t round = 0; round < ROUNDS; round++) {
        fem_simulation *s = NULL;
        fem_simulate_spec spec = small();
        spec.mesh.nx = spec.mesh.ny = spec.coarse.nx = spec.coarse.ny = 2;
        const fwm_key key = {99, 3};
        const int kind = (int)(fwm_random_uniform(key, round, 0) * KINDS) % KINDS;
        all[kind].apply(&spec, fwm_random_uniform(key, round, 1));
        const fwm_status status = fem_simulation_create(&s, &spec);
        met[kind]++;
        cr_assert(status == FWM_INVALID && !s, "round %d (%s): status %d", (int)round, all[kind].named, (int)status);
        cr_assert(strstr(fwm_error_message(), all[kind].named), "round %d (%s): %s", (int)round, all[kind].named,
                  fwm_error_message());
    }
    for (int k = 0; k < KINDS; k++)
        cr_assert_gt(met[k], 10);
}

/* ---- several fields ---- */

/* A channel of two fields with everything at once: driven inflow, walls, outflow, a load, starts of several kinds. */
static fem_simulate_spec channel(void)
{
    fem_simulate_spec spec = small();
    spec.equation = "navier_stokes";
    spec.mesh = (fem_mesh_spec){.element = FEM_P2, .nx = 8, .ny = 6, .lx = 2, .ly = 1};
    spec.coarse = (fem_mesh_spec){.element = FEM_P2, .nx = 4, .ny = 3, .lx = 2, .ly = 1};
    spec.truth[0] = 0.05;
    spec.nominal[0] = 0.1;
    spec.n_inclusions = 0;
    spec.dt = 0.1;
    spec.substeps = 2;
    spec.frames = 5;
    spec.n_sources = 1;
    spec.source[0] = (fem_source){.x = 1, .y = 0.5, .half_width = 0.2, .power = 3, .field = "velocity.y"};
    spec.n_conditions = 5;
    spec.condition[0] = (fem_condition){.boundary = "left", .field = "velocity.x", .gain = 1.5, .driven = true};
    spec.parabolic[0] = true;
    spec.condition[1] = (fem_condition){.boundary = "left", .field = "velocity.y"};
    spec.condition[2] = (fem_condition){.boundary = "bottom", .field = "velocity"};
    spec.condition[3] = (fem_condition){.boundary = "top", .field = "velocity"};
    spec.condition[4] = (fem_condition){.boundary = "right", .natural = "outflow"};
    spec.n_starts = 1;
    spec.start[0] = (fem_start){.field = "velocity.x",
                                .mean = {0.5, 0.5},
                                .deviation = {0.1, 0.1},
                                .correlation = {0.5, 0.5},
                                .blobs_lo = 1,
                                .blobs_hi = 2,
                                .blob_value = {0.2, 0.3},
                                .blob_radius = {0.1, 0.2}};
    spec.shown_field = "velocity";
    spec.shown = (fem_range){0, 2};
    return spec;
}

typedef struct flow {
    int n;
    int64_t nodes, coarse, components, actions;
    float *state[4], *cheap[4], *action[4];
} flow;

static fwm_status collect_flow(void *context, const fem_trajectory *t)
{
    flow *f = context;
    f->nodes = t->nodes;
    f->coarse = t->coarse_nodes;
    f->components = t->components;
    f->actions = t->actions_count;
    f->state[f->n] = keep(t->state, (size_t)(t->frames * t->nodes * t->components) * 4);
    f->cheap[f->n] = keep(t->cheap, (size_t)(t->frames * t->coarse_nodes * t->components) * 4);
    f->action[f->n++] = keep(t->actions, (size_t)(t->frames * t->actions_count) * 4);
    return FWM_OK;
}

static void drop_flow(flow *f)
{
    for (int k = 0; k < f->n; k++)
        free(f->state[k]), free(f->cheap[k]), free(f->action[k]);
    f->n = 0;
}

Test(simulate, a_vector_field_keeps_its_conditions_and_its_bytes)
{
    static flow all, one;
    fem_simulate_spec spec = channel();
    fem_simulation *s;
    MUST(fwm_threads_init(2));
    MUST(fem_simulation_create(&s, &spec));
    MUST(fem_simulate_some(s, FEM_TRAIN, 0, 3, collect_flow, &all));
    MUST(fem_simulate_some(s, FEM_TRAIN, 1, 1, collect_flow, &one));
    const fem_mesh *mesh = fem_simulation_mesh(s);
    cr_assert(all.components == 3 && all.actions == 2);
    cr_assert_arr_eq(all.state[1], one.state[0], (size_t)(spec.frames * all.nodes * 3) * 4);
    cr_assert_arr_eq(all.cheap[1], one.cheap[0], (size_t)(spec.frames * all.coarse * 3) * 4);
    double largest = 0;
    for (int k = 0; k < 3; k++)
        for (int64_t t = 0; t < spec.frames; t++)
            for (int64_t i = 0; i < mesh->n_nodes; i++) {
                const double x = mesh->nodes[2 * i], y = mesh->nodes[2 * i + 1];
                const float *u = all.state[k] + (t * all.nodes + i) * 3;
                largest = fmax(largest, fabs((double)u[1]));
                if (y == 0 || y == 1)
                    cr_assert(u[0] == 0 && u[1] == 0, "no slip at (%g, %g), frame %d", x, y, (int)t);
                if (x == 0 && y > 0 && y < 1) { /* frame 0 has frame 0's action, later ones that of the step */
                    const double inflow = (double)all.action[k][(t > 0 ? t - 1 : 0) * 2 + 1];
                    cr_assert_float_eq((double)u[0], 1.5 * inflow * 4 * y * (1 - y), 1e-6);
                    cr_assert_eq(u[1], 0);
                }
            }
    cr_assert_gt(largest, 1e-3); /* the load moves the flow across */
    drop_flow(&all);
    drop_flow(&one);
    fem_simulation_destroy(&s);
}

/* Blobs and means are where the start says; a second field stays at 0. */
Test(simulate, starts_fill_their_fields)
{
    static flow all;
    fem_simulate_spec spec = small();
    fem_simulation *s;
    spec.equation = "gray_scott";
    spec.mesh.periodic[0] = spec.mesh.periodic[1] = spec.coarse.periodic[0] = spec.coarse.periodic[1] = true;
    const double parameters[] = {2e-5, 1e-5, 0.037, 0.06};
    memcpy(spec.truth, parameters, sizeof parameters);
    memcpy(spec.nominal, parameters, sizeof parameters);
    spec.n_inclusions = spec.n_sources = 0;
    spec.n_sources = 1;
    spec.source[0].field = "activator";
    spec.source[0].power = 0;
    spec.frames = 2;
    spec.n_starts = 1;
    spec.start[0] = (fem_start){.field = "activator",
                                .mean = {0.1, 0.1},
                                .correlation = {1, 1},
                                .blobs_lo = 1,
                                .blobs_hi = 1,
                                .blob_value = {0.5, 0.5},
                                .blob_radius = {0.15, 0.15}};
    MUST(fwm_threads_init(2));
    MUST(fem_simulation_create(&s, &spec));
    MUST(fem_simulate_some(s, FEM_TRAIN, 0, 1, collect_flow, &all));
    const fem_mesh *mesh = fem_simulation_mesh(s);
    double mass = 0;
    for (int64_t i = 0; i < mesh->n_nodes; i++) {
        cr_assert_eq(all.state[0][2 * i], 0);
        cr_assert(all.state[0][2 * i + 1] >= 0.1f && all.state[0][2 * i + 1] <= 0.6001f);
        mass += mesh->lumped[i] * ((double)all.state[0][2 * i + 1] - 0.1);
    }
    /* On a closed plate the blob is whole wherever it is: value 2 pi radius^2. Cut at half the side, 3.3 radii: 0.1 %.
     */
    cr_assert_float_eq(mass, 0.5 * 2 * M_PI * 0.15 * 0.15, 2e-3 * 0.5 * 2 * M_PI * 0.15 * 0.15);
    drop_flow(&all);
    fem_simulation_destroy(&s);
}

Test(simulate, equations_of_other_fields_are_no_cheap_simulation)
{
    fem_simulate_spec spec = channel();
    fem_simulation *s = NULL;
    MUST(fwm_threads_init(1));
    spec.cheap_equation = "burgers";
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "nominal_equation") && !s);
    spec = channel();
    spec.start[0].field = "speed";
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "speed"));
    spec = channel();
    spec.condition[1].boundary = "inlet";
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "inlet"));
}

/* ---- laws of their own ---- */

static fem_simulate_spec random_plate(void)
{
    fem_simulate_spec spec = small();
    spec.n_inclusions = 0;
    spec.n_random = 2;
    spec.random[0] = (fem_random){.parameter = 0, /* conductivity */
                                  .range = {0.2, 5},
                                  .range_ood = {6, 7},
                                  .logarithmic = true,
                                  .discs_lo = 1,
                                  .discs_hi = 3,
                                  .radius = {0.15, 0.25}};
    spec.random[1] = (fem_random){.parameter = 1, .range = {5, 15}, .range_ood = {5, 15}}; /* loss */
    return spec;
}

/* Each trajectory obeys the law that was drawn for it, not another's, and is the same alone and on any thread. */
Test(simulate, every_trajectory_has_the_law_that_was_drawn_for_it)
{
    static shelf all, one;
    fem_simulate_spec spec = random_plate();
    fem_simulation *s;
    spec.substeps = 1;
    MUST(fwm_threads_init(2));
    MUST(fem_simulation_create(&s, &spec));
    MUST(fem_simulate_some(s, FEM_TRAIN, 0, 3, collect, &all));
    MUST(fwm_threads_init(1));
    MUST(fem_simulate_some(s, FEM_TRAIN, 2, 1, collect, &one));
    same(&all.item[2], &one.item[0]);
    const fem_mesh *mesh = fem_simulation_mesh(s);
    int parameter;
    cr_assert_eq(fem_simulation_drawn(s, 0, &parameter), mesh->n_cells);
    cr_assert(parameter == 0 && fem_simulation_drawn(s, 1, &parameter) == 1 && parameter == 1);
    fem_problem *p;
    MUST(fem_problem_create(
        &p,
        &(fem_problem_spec){.equation = "heat", .mesh = mesh, .dt = spec.dt, .n_sources = 4, .source = spec.source}));
    double *field = malloc((size_t)mesh->n_cells * sizeof *field), loss, residual[12], before = 0;
    for (int k = 0; k < 3; k++) {
        fem_theta theta = *fem_simulation_theta(s);
        int64_t discs = 0;
        fem_simulation_draw(s, FEM_TRAIN, k, 0, field);
        fem_simulation_draw(s, FEM_TRAIN, k, 1, &loss);
        theta.value[0] = field;
        theta.count[0] = mesh->n_cells;
        theta.value[1] = &loss;
        for (int64_t c = 0; c < mesh->n_cells; c++) {
            cr_assert(field[c] >= 0.2 && field[c] <= 5);
            discs += field[c] != 1;
        }
        cr_assert(discs > 0 && discs < mesh->n_cells);
        cr_assert(loss >= 5 && loss <= 15 && loss != before);
        before = loss;
        for (int other = 0; other < 3; other++) {
            MUST(fem_trajectory_residual(p, residual, all.item[other].state, all.item[other].action, &theta, 13));
            for (int t = 0; t < 12; t++)
                cr_expect(other == k ? residual[t] < 1e-10 : residual[t] > 1e-8, "law %d, trajectory %d, frame %d: %g",
                          k, other, t, residual[t]);
        }
    }
    fem_simulation_draw(s, FEM_TEST_OOD, 0, 0, field);
    for (int64_t c = 0; c < mesh->n_cells; c++)
        cr_assert(field[c] == 1 || (field[c] >= 6 && field[c] <= 7));
    free(field);
    fem_problem_destroy(&p);
    empty(&all);
    empty(&one);
    fem_simulation_destroy(&s);
    spec.random[1].parameter = 0;
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "drawn twice"));
    spec = random_plate();
    spec.random[0].range.lo = -1;
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "conductivity"));
    spec = random_plate();
    spec.random[1].discs_hi = 1; /* the loss does not vary in space */
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "loss"));
}

/* ---- error control ---- */

static double apart(const copy *a, const copy *b)
{
    double miss = 0, size = 0;
    for (int64_t i = 0; i < a->frames * a->nodes; i++) {
        miss += pow((double)a->state[i] - (double)b->state[i], 2);
        size += pow((double)b->state[i], 2);
    }
    return sqrt(miss / size);
}

/* Against 64 substeps: what adapts keeps to its tolerance (a frame's error, which the plate forgets within a few
 * frames) where one substep does not; bytes do not depend on the batch, also where some samples need more than others.
 */
Test(simulate, substeps_adapt_to_the_error)
{
    static shelf fine, coarse, adapted, one;
    fem_simulate_spec spec = small();
    fem_simulation *s;
    spec.n_inclusions = 0;
    MUST(fwm_threads_init(2));
    spec.substeps = 64;
    MUST(fem_simulation_create(&s, &spec));
    MUST(fem_simulate_some(s, FEM_TRAIN, 0, 4, collect, &fine));
    fem_simulation_destroy(&s);
    spec.substeps = 1;
    MUST(fem_simulation_create(&s, &spec));
    MUST(fem_simulate_some(s, FEM_TRAIN, 0, 4, collect, &coarse));
    fem_simulation_destroy(&s);
    spec.adaptive = 2e-3;
    MUST(fem_simulation_create(&s, &spec));
    MUST(fem_simulate_some(s, FEM_TRAIN, 0, 4, collect, &adapted));
    MUST(fem_simulate_some(s, FEM_TRAIN, 3, 1, collect, &one));
    same(&adapted.item[3], &one.item[0]);
    for (int k = 0; k < 4; k++) {
        const double before = apart(&coarse.item[k], &fine.item[k]), after = apart(&adapted.item[k], &fine.item[k]);
        cr_expect(after < 3 * spec.adaptive && before > 2 * after, "trajectory %d: %g, and %g with one substep", k,
                  after, before);
    }
    fem_simulation_destroy(&s);
    spec.adaptive = 1e-9; /* out of reach */
    MUST(fem_simulation_create(&s, &spec));
    cr_assert_eq(fem_simulate_some(s, FEM_TRAIN, 0, 1, collect, &one), FWM_NUMERIC);
    cr_assert(strstr(fwm_error_message(), "adaptive") && strstr(fwm_error_message(), "substeps"), "%s",
              fwm_error_message());
    fem_simulation_destroy(&s);
    empty(&fine);
    empty(&coarse);
    empty(&adapted);
    empty(&one);
}

/* ---- meshes of files ---- */

/* Two triangles, "soft" and "hard", with a named side. */
static const char two_regions[] =
    "$MeshFormat\n2.2 0 8\n$EndMeshFormat\n$PhysicalNames\n4\n1 1 \"clamp\"\n1 2 \"rest\"\n"
    "2 3 \"soft\"\n2 4 \"hard\"\n$EndPhysicalNames\n$Nodes\n4\n1 0 0 0\n2 1 0 0\n3 1 1 0\n"
    "4 0 1 0\n$EndNodes\n$Elements\n6\n1 1 2 1 1 1 4\n2 1 2 2 2 1 2\n3 1 2 2 2 2 3\n"
    "4 1 2 2 2 3 4\n5 2 2 3 3 1 2 3\n6 2 2 4 4 1 3 4\n$EndElements\n";

Test(simulate, a_mesh_from_a_file_has_regions_and_named_boundaries)
{
    static flow all;
    char path[] = "/tmp/fwm-mesh-XXXXXX";
    FILE *f = fdopen(mkstemp(path), "w");
    fputs(two_regions, f);
    cr_assert_eq(fclose(f), 0);
    fem_simulate_spec spec = small();
    fem_simulation *s = NULL;
    spec.equation = "conduction";
    const double parameters[] = {1, 1, 0, 0, 3};
    memcpy(spec.truth, parameters, sizeof parameters);
    memcpy(spec.nominal, parameters, sizeof parameters);
    spec.n_inclusions = spec.n_sources = 0;
    spec.mesh_file = path;
    spec.refine = 2;
    spec.dt = 0.05;
    spec.frames = 3;
    spec.n_conditions = 1;
    spec.condition[0] = (fem_condition){.boundary = "clamp", .field = "temperature", .constant = 0.75};
    spec.n_region_values = 1;
    spec.region_value[0] = (fem_region_value){.parameter = 0, .region = "hard", .value = 4};
    MUST(fwm_threads_init(2));
    MUST(fem_simulation_create(&s, &spec));
    MUST(fem_simulate_some(s, FEM_TRAIN, 0, 1, collect_flow, &all));
    const fem_mesh *mesh = fem_simulation_mesh(s);
    cr_assert(mesh->n_cells == 32 && fem_simulation_coarse_mesh(s)->n_cells == 2);
    const fem_theta *theta = fem_simulation_theta(s);
    cr_assert_eq(theta->count[0], 32);
    for (int64_t c = 0; c < 32; c++) {
        const bool hard = mesh->centroid[2 * c + 1] > mesh->centroid[2 * c];
        cr_assert_eq(((const double *)theta->value[0])[c], hard ? 4 : 1);
    }
    for (int64_t t = 0; t < 3; t++)
        for (int64_t i = 0; i < mesh->n_nodes; i++)
            if (mesh->nodes[2 * i] == 0)
                cr_assert_float_eq(all.state[0][t * all.nodes + i], 0.75f, 1e-6f);
    drop_flow(&all);
    fem_simulation_destroy(&s);
    spec.region_value[0].region = "stiff";
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "stiff") && strstr(fwm_error_message(), "hard"), "%s", fwm_error_message());
    spec.region_value[0].region = "hard";
    spec.condition[0].boundary = "left";
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "clamp"), "%s", fwm_error_message());
    spec.condition[0].boundary = "clamp";
    spec.mesh.element = FEM_Q1;
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "quadrilateral"), "%s", fwm_error_message());
    cr_assert_eq(unlink(path), 0);
}

/* ---- how suddenly states change ---- */

Test(simulate, event_measures_are_rates_of_areas_and_norms)
{
    fem_mesh *mesh;
    MUST(fem_mesh_create(&mesh, &(fem_mesh_spec){.element = FEM_Q1, .nx = 4, .ny = 4, .lx = 2, .ly = 1}));
    float u0[50], u1[50];
    double area = 0;
    for (int64_t i = 0; i < mesh->n_nodes; i++) { /* the second component passes 0.2 in the left half */
        const bool left = mesh->nodes[2 * i] < 1;
        u0[2 * i] = 3;
        u1[2 * i] = 3.3f;
        u0[2 * i + 1] = 0.1f;
        u1[2 * i + 1] = left ? 0.3f : 0.15f;
        area += left ? mesh->lumped[i] : 0;
    }
    cr_expect_float_eq(fem_event_crossing(mesh, u1, u0, 0.5, 2, 1, 0.2), area / 2 / 0.5, 1e-12);
    cr_expect_float_eq(fem_event_crossing(mesh, u0, u1, 0.5, 2, 1, 0.2), area / 2 / 0.5, 1e-12);
    cr_expect_eq(fem_event_crossing(mesh, u1, u0, 0.5, 2, 0, 0.2), 0);
    cr_expect_float_eq(fem_event_relative(mesh, u1, u0, 0.5, 2, 0, 1), 0.3 / 3.3 / 0.5, 1e-6);
    cr_expect_float_eq(fem_event_relative(mesh, u0, u1, 0.5, 2, 0, 1), 0.3 / 3.3 / 0.5, 1e-6);
    for (int k = 0; k < 50; k++)
        u0[k] = u1[k] = 0;
    cr_expect_eq(fem_event_relative(mesh, u1, u0, 0.5, 2, 0, 2), 0);
    fem_mesh_destroy(&mesh);
}

/* Every equation has a criterion and says what it is; a state that stands still has no event. */
Test(simulate, every_equation_has_a_criterion_of_key_states)
{
    fem_mesh *mesh;
    const fem_equation *e;
    MUST(fem_mesh_create(&mesh, &(fem_mesh_spec){.element = FEM_P1, .nx = 3, .ny = 3, .lx = 1, .ly = 1}));
    for (int k = 0; (e = fem_equation_at(k)) != NULL; k++) {
        const int64_t n = mesh->n_nodes * fem_equation_components(e, 2);
        float *u0 = malloc((size_t)n * sizeof *u0), *u1 = malloc((size_t)n * sizeof *u1);
        for (int64_t i = 0; i < n; i++) {
            u0[i] = 1;
            u1[i] = -1;
        }
        cr_assert(e->event_rate && e->event_about && strlen(e->event_about) > 10, "%s", e->name);
        cr_expect_eq(e->event_rate(mesh, u0, u0, 0.25), 0, "%s", e->name);
        const double rate = e->event_rate(mesh, u1, u0, 0.25), share = strstr(e->event_about, "share") ? 1 : 2;
        cr_expect_float_eq(rate, share / 0.25, 1e-6, "%s: %g", e->name, rate);
        free(u0);
        free(u1);
    }
    cr_assert_gt(fem_equation_at(0) != NULL, 0);
    fem_mesh_destroy(&mesh);
}
