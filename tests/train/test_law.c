/* The law given to the model: its parameters in the store, its builders, its total variation, and what it refuses. */
#include "model/base/colours.h"
#include "model/base/threads.h"
#include "tests/train/small.h"
#include "train/world.h"

#include <math.h>

static tr_config *load(const char *const *more)
{
    static char data[SMALL_PATH + 16];
    const char *sets[16] = {data};
    int64_t n = 1;
    tr_config *c;
    cr_assert_eq(fwm_threads_init(1), FWM_OK);
    (void)snprintf(data, sizeof data, "data.file=%s", small_data());
    for (int k = 0; more && more[k]; k++)
        sets[n++] = more[k];
    cr_assert_eq(tr_config_load(&c, SMALL_CONFIG, sets, n), FWM_OK, "%s", fwm_error_message());
    return c;
}

static int index_of(const tr_law *law, const char *name)
{
    int k = -1;
    cr_assert_eq(fem_parameter_find(tr_law_equation(law), name, &k), FWM_OK);
    return k;
}

Test(law, parameters, .timeout = 60)
{
    static const char *const more[] = {"physics.parameters={conductivity: 2, loss: 3}", "physics.learn=[conductivity]",
                                       NULL};
    tr_config *c = load(more);
    tr_world *w;
    double value[1024];
    cr_assert_eq(tr_world_open(&w, c, NULL, NULL), FWM_OK, "%s", fwm_error_message());
    const fem_mesh *mesh = tr_law_mesh(w->law);
    int k = index_of(w->law, "conductivity"), loss = index_of(w->law, "loss"),
        radiation = index_of(w->law, "radiation");
    cr_expect_eq(tr_law_count(w->law, k), mesh->n_cells);
    cr_expect_eq(tr_law_count(w->law, loss), 1);
    cr_expect(tr_law_is_learned(w->law, k) && !tr_law_is_learned(w->law, loss) &&
              !tr_law_is_learned(w->law, radiation));
    cr_expect_eq(tr_law_initial(w->law, k), 2);
    tr_law_values(w->law, w->store, AD_F32, NULL, loss, value);
    cr_expect_eq(value[0], 3);
    tr_law_values(w->law, w->store, AD_F32, NULL, radiation, value);
    cr_expect_eq(value[0], 0, "what physics.parameters does not name is not in the law");

    /* The store keeps logarithms, one a cell, that begin at the configured value. */
    ad_graph *g;
    cr_assert_eq(ad_graph_create(&g, AD_F64), FWM_OK);
    const wm_physics *p = tr_law_physics(w->law, w->store);
    ad_value s = ad_input(g, "s", ad_shape_make(3, 1, mesh->n_nodes, 1)), a = ad_input(g, "a", ad_shape_make(2, 1, 5));
    (void)p->step(p->self, g, s, a);
    cr_assert_eq(ad_graph_status(g), FWM_OK);
    cr_assert_eq(nn_store_count(w->store), 1);
    const nn_slot *slot = nn_store_slot(w->store, 0);
    cr_expect_str_eq(slot->name, TR_LAW_PREFIX "conductivity");
    cr_expect(slot->init.no_decay);
    double *flat = calloc((size_t)nn_store_size(w->store), sizeof *flat);
    nn_store_initialise(w->store, 1, AD_F64, flat);
    flat[slot->offset + 5] = log(7.0);
    tr_law_values(w->law, w->store, AD_F64, flat, k, value);
    cr_expect_float_eq(value[4], 2, 1e-14);
    cr_expect_float_eq(value[5], 7, 1e-13);
    free(flat);
    ad_graph_destroy(&g);
    tr_world_close(&w);
    tr_config_destroy(c);
}

/* log k jumps by 1.5 across x = 1/2 of the unit square: total variation 1.5, up to rounding. */
Test(law, total_variation_is_jump_times_length, .timeout = 60)
{
    tr_config *c = load(NULL);
    tr_world *w;
    cr_assert_eq(tr_world_open(&w, c, NULL, NULL), FWM_OK, "%s", fwm_error_message());
    const fem_mesh *mesh = tr_law_mesh(w->law);
    ad_graph *g;
    ad_plan *plan;
    ad_value parameter[8];
    cr_assert_eq(ad_graph_create(&g, AD_F64), FWM_OK);
    (void)tr_law_physics(w->law, w->store);
    nn_builder b = {.g = g, .store = w->store};
    ad_value variation = tr_law_total_variation(w->law, &b);
    cr_assert_eq(ad_graph_status(g), FWM_OK);
    cr_assert_neq(variation, AD_NONE);
    cr_assert_eq(ad_plan_create(&plan, g, 1, &variation, NULL), FWM_OK);
    int n = nn_graph_parameters(&b, parameter, NULL, 8);
    cr_assert_eq(n, 1);
    double *flat = calloc((size_t)nn_store_size(w->store), sizeof *flat);
    cr_assert_eq(nn_store_bind(&b, plan, flat, n, parameter, NULL, NULL), FWM_OK);
    cr_assert_eq(ad_plan_prepare(plan), FWM_OK);
    for (int64_t i = 0; i < mesh->n_cells; i++)
        flat[i] = 0.25;
    cr_assert_eq(ad_plan_run(plan, 0, 0), FWM_OK);
    cr_expect_eq(*(double *)ad_plan_data(plan, variation), 0);
    for (int64_t i = 0; i < mesh->n_cells; i++)
        flat[i] = mesh->centroid[2 * i] < 0.5 ? 0.25 : -1.25;
    cr_assert_eq(ad_plan_run(plan, 0, 0), FWM_OK);
    cr_expect_float_eq(*(double *)ad_plan_data(plan, variation), 1.5, 1e-12);
    free(flat);
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
    tr_world_close(&w);
    tr_config_destroy(c);
}

Test(law, without_an_equation, .timeout = 60)
{
    tr_config *whole = load(NULL), *c;
    tr_world *w;
    cr_assert_eq(tr_config_variant(whole, "data_only", &c), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_world_open(&w, c, NULL, NULL), FWM_OK, "%s", fwm_error_message());
    const wm_physics *p = tr_law_physics(w->law, w->store);
    cr_expect_null(tr_law_equation(w->law));
    cr_expect_null(tr_law_problem(w->law));
    cr_expect(!p->step && !p->rate && !p->loss && !p->describe);
    cr_expect(p->render && p->sample && p->prolong);
    double sum = 0;
    for (int64_t i = 0; i < w->model.nodes; i++)
        sum += p->mass[i];
    cr_expect_float_eq(sum, 1, 1e-12, "mass is a share of the domain");
    tr_world_close(&w);
    tr_config_destroy(c);
    tr_config_destroy(whole);
}

/* Each dataset operator is made once, and prolongation is exact for linear fields. */
Test(law, operators, .timeout = 60)
{
    tr_config *c = load(NULL);
    tr_world *w;
    const ad_sparse *m, *again;
    cr_assert_eq(tr_world_open(&w, c, NULL, NULL), FWM_OK, "%s", fwm_error_message());
    const fem_mesh *fine = tr_law_mesh(w->law), *coarse = tr_law_coarse_mesh(w->law);
    cr_assert_eq(tr_law_prolong(w->law, &m), FWM_OK);
    cr_assert_eq(tr_law_prolong(w->law, &again), FWM_OK);
    cr_expect_eq(m, again);
    for (int64_t i = 0; i < fine->n_nodes; i++) {
        double x = 0;
        for (int64_t j = m->row_start[i]; j < m->row_start[i + 1]; j++)
            x += m->weight[j] * (3 * coarse->nodes[2 * m->column[j]] - 2 * coarse->nodes[2 * m->column[j] + 1] + 1);
        cr_assert_float_eq(x, 3 * fine->nodes[2 * i] - 2 * fine->nodes[2 * i + 1] + 1, 1e-12);
    }
    cr_assert_eq(tr_law_render(w->law, 8, 8, &m), FWM_OK);
    cr_assert_eq(tr_law_render(w->law, 8, 4, &again), FWM_OK);
    cr_expect_neq(m, again);
    tr_world_close(&w);
    tr_config_destroy(c);
}

/* What the law says a camera sees of a body is what the simulator's camera has drawn: the body's place, and its colour.
 */
Test(law, a_moved_body_is_seen_where_frames_show_it, .timeout = 60)
{
    enum { H = 24, WIDE = 40 };
    static const char set[] =
        "--set simulate.train=1 --set simulate.validation=0 --set simulate.test=0 --set simulate.test_ood=0 --set "
        "simulate.steps=8 --set simulate.frame='[24, 40]' --set simulate.noise=0 --set simulate.vignetting=0 --set "
        "simulate.frame_field=displacement.y --set simulate.frame_range='[-1, 1]' --set simulate.warmup=12";
    char folder[SMALL_PATH], file[SMALL_PATH + 32];
    const char *sets[] = {file};
    tr_config *c;
    tr_world *w;
    small_folder(folder);
    cr_assert_eq(fwm_threads_init(1), FWM_OK);
    cr_assert_eq(small_shell("%s simulate configs/soft_beam.yaml %s --out %s/data.h5 >/dev/null 2>%s/err",
                             small_program(), set, folder, folder),
                 0, "%s", small_text(folder, "err"));
    (void)snprintf(file, sizeof file, "data.file=%s/data.h5", folder);
    cr_assert_eq(tr_config_load(&c, "configs/soft_beam.yaml", sets, 1), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_world_open(&w, c, NULL, NULL), FWM_OK, "%s", fwm_error_message());
    const int64_t n = w->model.nodes, last = w->info->steps - 1;
    float *state = malloc((size_t)n * 4 * sizeof *state), *frame = malloc(H * WIDE * 3 * sizeof *frame);
    const ds_clip clip = {.state = state, .frames = frame};
    cr_assert_eq(ds_read(w->ds, 0, last, 1, &clip), FWM_OK, "%s", fwm_error_message());

    ad_graph *g;
    ad_plan *plan;
    cr_assert_eq(ad_graph_create(&g, AD_F32), FWM_OK);
    const wm_physics *p = tr_law_physics(w->law, w->store);
    ad_value s = ad_input(g, "s", ad_shape_make(3, 1, n, 4));
    ad_value seen = p->see(p->self, g, ad_slice(g, s, 2, 1, 1), s, false, false, H, WIDE);
    cr_assert_eq(ad_graph_status(g), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ad_plan_create(&plan, g, 1, &seen, NULL), FWM_OK);
    cr_assert_eq(ad_plan_prepare(plan), FWM_OK);
    memcpy(ad_plan_data(plan, s), state, (size_t)n * 4 * sizeof *state);
    cr_assert_eq(ad_plan_run(plan, 0, 0), FWM_OK, "%s", fwm_error_message());
    const float *y = ad_plan_data(plan, seen);
    int inside = 0, outside = 0;
    for (int i = 0; i < H * WIDE; i++) {
        double rgb[3];
        fwm_colour(((double)y[2 * i] + 1) / 2, rgb);
        for (int k = 0; k < 3; k++) {
            if (y[2 * i + 1] > 1 - 1e-6f) /* whole pixels of the body; its edge is darker */
                cr_assert_float_eq((double)frame[3 * i + k], rgb[k], 1.0 / 255, "pixel %d", i);
            else if (y[2 * i + 1] < 1e-6f)
                cr_assert_eq(frame[3 * i + k], 0, "pixel %d", i);
        }
        inside += y[2 * i + 1] > 1 - 1e-6f;
        outside += y[2 * i + 1] < 1e-6f;
    }
    cr_expect(inside > 100 && outside > 400, "%d in the body, %d beside it", inside, outside);
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
    tr_world_close(&w);
    tr_config_destroy(c);
    free(state);
    free(frame);
    small_remove(folder);
}

static void expect_refused(const char *set, const char *other, fwm_status code, const char *says)
{
    const char *more[] = {set, other, NULL};
    tr_config *c = load(more);
    tr_world *w;
    cr_expect_eq(tr_world_open(&w, c, NULL, NULL), code, "%s", set);
    cr_expect_null(w);
    cr_expect_not_null(strstr(fwm_error_message(), says), "expected '%s' in: %s", says, fwm_error_message());
    tr_config_destroy(c);
}

/* Left alone, a state goes where the law's own steps with all actions off take it. */
Test(law, a_state_left_alone_follows_the_law, .timeout = 60)
{
    enum { B = 2, FRAMES = 3, A = 5 };
    static const char *const more[] = {"physics.parameters={conductivity: 2, loss: 3}", "physics.learn=[]",
                                       "physics.field=[]", NULL};
    const double conductivity = 2, loss = 3, zero = 0, off[B * A] = {0};
    tr_config *c = load(more);
    tr_world *w;
    cr_assert_eq(tr_world_open(&w, c, NULL, NULL), FWM_OK, "%s", fwm_error_message());
    const fem_mesh *mesh = tr_law_mesh(w->law);
    const int64_t n = mesh->n_nodes;
    fem_problem *problem;
    const fem_source heater = {.x = 0.5, .y = 0.5, .half_width = 0.1, .power = 1}; /* off */
    const fem_problem_spec spec = {.equation = "heat",
                                   .mesh = mesh,
                                   .dt = w->info->dt,
                                   .scheme = FEM_BACKWARD_EULER,
                                   .n_sources = 4,
                                   .source = (const fem_source[]){heater, heater, heater, heater}};
    cr_assert_eq(fem_problem_create(&problem, &spec), FWM_OK, "%s", fwm_error_message());
    fem_theta theta = {{0}, {0}};
    for (int k = 0; k < tr_law_equation(w->law)->n_parameters; k++)
        theta.value[k] = &zero, theta.count[k] = 1;
    theta.value[index_of(w->law, "conductivity")] = &conductivity;
    theta.value[index_of(w->law, "loss")] = &loss;
    float *states = malloc((size_t)(B * n) * sizeof *states);
    double *u = malloc((size_t)(2 * B * n) * sizeof *u), *next = u + B * n, largest = 0;
    for (int64_t i = 0; i < B * n; i++) {
        states[i] = (float)(1 + sin(3.0 * (double)i));
        u[i] = (double)states[i];
    }
    for (int t = 0; t < FRAMES; t++) {
        cr_assert_eq(fem_step(problem, AD_F64, next, u, off, &theta, B), FWM_OK, "%s", fwm_error_message());
        memcpy(u, next, (size_t)(B * n) * sizeof *u);
    }
    cr_assert_eq(tr_law_relax(w->law, c, w->ds, w->store, NULL, states, B, FRAMES), FWM_OK, "%s", fwm_error_message());
    for (int64_t i = 0; i < B * n; i++) {
        largest = fmax(largest, fabs(u[i]));
        cr_expect_float_eq((double)states[i], u[i], 1e-6);
    }
    cr_expect(largest > 1e-3 && largest < 1.9, "%g", largest);
    free(states), free(u);
    fem_problem_destroy(&problem);
    tr_world_close(&w);
    tr_config_destroy(c);
}

Test(law, refusals, .timeout = 60)
{
    expect_refused("simulate.sources=[]", NULL, FWM_CONFIG,
                   "0 sources and loads, 1 ambient value(s) and 0 driven condition(s) make 1 actions");
    expect_refused("physics.learn=[loss, conductivity]", "physics.field=[loss]", FWM_CONFIG,
                   "'loss' cannot vary from cell to cell");
    expect_refused("data.file=/nowhere.h5", NULL, FWM_IO, "/nowhere.h5");
}
