/* Conditions on boundaries and time schemes: patch tests, Taylor tests, orders in time, errors. */
#include "boxes.h"
#include "taylor.h"

TestSuite(conditions, .fini = fem_finalize);

enum { K, CAPACITY, EXCHANGE, EMISSION, T0, THETAS };
static const char *const sides[6] = {"left", "right", "bottom", "top", "front", "back"};

static double plane(const double *x, void *dim)
{
    return 0.3 + 0.7 * x[0] - 0.4 * x[1] + (*(int *)dim == 3 ? 0.9 * x[2] : 0);
}

/* With a linear function on all of the boundary, an insulated one that agrees with it aside, a long step ends in that
 * function exactly: on crooked cells of every element, in each lane. */
Test(conditions, a_linear_function_passes_the_patch_test)
{
    enum { BATCH = 3 };
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        fem_mesh *mesh = crooked_box((fem_element)e, 2);
        fem_problem *p;
        int dim = mesh->dim;
        fem_condition c[6];
        for (int s = 0; s < 2 * dim; s++)
            c[s] = (fem_condition){
                .boundary = sides[s], .field = "temperature", .gain = 1, .profile = plane, .context = &dim};
        MUST(fem_problem_create(
            &p, &(fem_problem_spec){
                    .equation = "conduction", .mesh = mesh, .dt = 1e14, .n_conditions = 2 * dim, .condition = c}));
        const int64_t n = mesh->n_nodes;
        double *u0 = noise(1, BATCH * n, -1, 1), *u1 = malloc((size_t)(BATCH * n) * sizeof *u1), a[BATCH] = {0};
        const double one = 1, none = 0;
        fem_theta theta = {{&one, &one, &none, &none, &one}, {1, 1, 1, 1, 1}};
        MUST(fem_step(p, AD_F64, u1, u0, a, &theta, BATCH));
        for (int64_t i = 0; i < BATCH * n; i++)
            cr_assert_float_eq(u1[i], plane(mesh->nodes + i % n * dim, &dim), 1e-12, "%s %s node %d: %.15g",
                               fem_element_cell((fem_element)e), fem_element_space((fem_element)e), (int)(i % n),
                               u1[i]);
        free(u0), free(u1);
        fem_problem_destroy(&p);
        fem_mesh_destroy(&mesh);
    }
}

/* A driven essential condition, one of constant value, convection, radiation, a load on a boundary, a source;
 * parameters by cell and by region. */
static void check_gradients(taylor_kind kind, fem_element element, fem_scheme scheme, int substeps, fem_norm norm)
{
    fem_mesh *mesh = crooked_box(element, 2);
    fem_problem *p;
    int dim = mesh->dim;
    const fem_source sources[2] = {{.power = 3, .density = plane, .context = &dim}, {.power = 2, .boundary = "right"}};
    const fem_condition c[4] = {
        {.boundary = "left", .field = "temperature", .constant = 0.5, .gain = 0.8, .driven = true},
        {.boundary = "top", .natural = "convection"},
        {.boundary = "right", .natural = "radiation"},
        {.boundary = "top", .natural = "radiation"}};
    MUST(fem_problem_create(&p, &(fem_problem_spec){.equation = "conduction",
                                                    .mesh = mesh,
                                                    .dt = 0.05,
                                                    .substeps = substeps,
                                                    .scheme = scheme,
                                                    .spectral_radius = 0.5,
                                                    .n_sources = 2,
                                                    .source = sources,
                                                    .n_conditions = 4,
                                                    .condition = c,
                                                    .norm = norm}));
    cr_assert_eq(fem_problem_actions(p), 4);
    const int64_t n = TAYLOR_BATCH * mesh->n_nodes;
    double scalar[4] = {1.3, 0.7, 0.02, 3};
    taylor t = {.problem = p,
                .kind = kind,
                .x = {noise(1, n, -0.5, 1), noise(2, n, -0.5, 1), noise(3, TAYLOR_BATCH * 4, 0.1, 1),
                      noise(4, mesh->n_cells, 0.5, 2), &scalar[0], &scalar[1], &scalar[2], &scalar[3]},
                .count = {n, n, TAYLOR_BATCH * 4, mesh->n_cells, 1, 1, 1, 1},
                .first_step = kind == TAYLOR_STEP ? 0.00390625 : 0.03125};
    taylor_check(&t, 0);
    if (kind == TAYLOR_STEP)
        cr_expect(fem_problem_adjoint_error(p, AD_F64) > 0 && fem_problem_adjoint_error(p, AD_F64) < 1e-8,
                  "adjoint solves are off by %g", fem_problem_adjoint_error(p, AD_F64));
    for (int k = 0; k < 4; k++)
        free(t.x[k]);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
}

Test(conditions, gradients_of_the_residual)
{
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++)
        check_gradients(TAYLOR_RESIDUAL, (fem_element)e, e % 2 ? FEM_MIDPOINT : FEM_BACKWARD_EULER, 1, FEM_NORM_DUAL);
}

Test(conditions, gradients_of_the_step)
{
    check_gradients(TAYLOR_STEP, FEM_P1, FEM_BACKWARD_EULER, 2, FEM_NORM_DUAL);
    check_gradients(TAYLOR_STEP, FEM_Q2, FEM_MIDPOINT, 1, FEM_NORM_DUAL);
    check_gradients(TAYLOR_STEP, FEM_TET_P1, FEM_BDF2, 3, FEM_NORM_DUAL);
    check_gradients(TAYLOR_STEP, FEM_HEX_Q1, FEM_GENERALISED_ALPHA, 5, FEM_NORM_DUAL);
}

Test(conditions, gradients_of_the_loss)
{
    check_gradients(TAYLOR_LOSS, FEM_P2, FEM_MIDPOINT, 1, FEM_NORM_DUAL);
    check_gradients(TAYLOR_LOSS, FEM_TET_P1, FEM_BDF2, 2, FEM_NORM_STEP);
}

/* Orders in time against the exact decay of the semi-discrete system, cos pi x being a mode of any uniform mesh: one
 * step of length 1/8 in ever more substeps. */
Test(conditions, schemes_have_their_orders_in_time)
{
    static const double order[FEM_SCHEME_COUNT] = {1, 2, 2, 2};
    for (int scheme = 0; scheme < FEM_SCHEME_COUNT; scheme++) {
        fem_mesh *mesh;
        MUST(fwm_threads_init(1));
        MUST(fem_mesh_create(&mesh, &(fem_mesh_spec){.element = FEM_Q1, .nx = 8, .ny = 2, .lx = 1, .ly = 1}));
        const double h = 1.0 / 8, s = sin(M_PI * h / 2), lambda = 12 * s * s / (h * h * (3 - 2 * s * s));
        const double one = 1, none = 0, a = 0;
        fem_theta theta = {{&one, &one, &none, &none, &one}, {1, 1, 1, 1, 1}};
        double before = 0, *u0 = malloc((size_t)mesh->n_nodes * sizeof *u0),
               *u1 = malloc((size_t)mesh->n_nodes * sizeof *u1);
        for (int64_t i = 0; i < mesh->n_nodes; i++)
            u0[i] = cos(M_PI * mesh->nodes[2 * i]);
        for (int substeps = 16; substeps <= 64; substeps *= 2) {
            fem_problem *p;
            MUST(fem_problem_create(&p, &(fem_problem_spec){.equation = "conduction",
                                                            .mesh = mesh,
                                                            .dt = 0.125,
                                                            .substeps = substeps,
                                                            .scheme = (fem_scheme)scheme,
                                                            .spectral_radius = 0.5}));
            MUST(fem_step(p, AD_F64, u1, u0, &a, &theta, 1));
            const double error = fabs(u1[0] - exp(-0.125 * lambda));
            if (substeps > 16)
                cr_expect_float_eq(log2(before / error), order[scheme], 0.1, "%s: order %.3f at %d substeps",
                                   fem_scheme_name((fem_scheme)scheme), log2(before / error), substeps);
            before = error;
            fem_problem_destroy(&p);
        }
        free(u0), free(u1);
        fem_mesh_destroy(&mesh);
    }
}

/* A rod between a fixed end and convection: u = 1 - q x with k q = h (1 - q l - ua), exact for linear elements; one
 * value a region gives the same as scalars. */
Test(conditions, convection_balances_conduction)
{
    fem_mesh *mesh = plain_box(FEM_TET_P1, 2);
    fem_problem *p;
    const fem_condition c[2] = {{.boundary = "left", .field = "temperature", .constant = 1},
                                {.boundary = "right", .natural = "convection"}};
    MUST(fem_problem_create(
        &p, &(fem_problem_spec){.equation = "conduction", .mesh = mesh, .dt = 1e9, .n_conditions = 2, .condition = c}));
    const double k = 2, one = 1, h = 3, none = 0, ua = 0.2, length = 1.2, q = h * (1 - ua) / (k + h * length);
    fem_theta theta = {{&k, &one, &h, &none, &one}, {1, 1, 1, 1, 1}};
    double *u0 = calloc((size_t)mesh->n_nodes, 8), *u1 = malloc((size_t)mesh->n_nodes * 8);
    MUST(fem_step(p, AD_F64, u1, u0, &ua, &theta, 1));
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        cr_expect_float_eq(u1[i], 1 - q * mesh->nodes[3 * i], 1e-8);
    free(u0), free(u1);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
}

/* The parts of the loss sum to it, are positive, and point at the cell whose node was pushed; a weight scales its
 * field. */
Test(conditions, the_indicator_sums_to_the_loss)
{
    enum { BATCH = 3 };
    fem_mesh *mesh = crooked_box(FEM_P2, 4);
    double loss[2][BATCH], field[BATCH], region[BATCH], a[BATCH] = {0.1, 0.2, 0.3};
    double *cells = malloc((size_t)(BATCH * mesh->n_cells) * 8);
    const int64_t n = mesh->n_nodes, pushed = mesh->cell_nodes[19 * mesh->cell_node_count + 1];
    double *u0 = noise(5, BATCH * n, 0, 1), *u1 = malloc((size_t)(BATCH * n) * 8), k = 2, one = 1, half = 0.5, none = 0;
    fem_theta theta = {{&k, &one, &half, &none, &one}, {1, 1, 1, 1, 1}};
    const fem_condition c[2] = {{.boundary = "left", .field = "temperature", .constant = 1},
                                {.boundary = "right", .natural = "convection"}};
    for (int w = 0; w < 2; w++) {
        fem_problem *p;
        MUST(fem_problem_create(&p, &(fem_problem_spec){.equation = "conduction",
                                                        .mesh = mesh,
                                                        .dt = 1e-3,
                                                        .n_conditions = 2,
                                                        .condition = c,
                                                        .scale = 2,
                                                        .field_weight = {w == 0 ? 0 : 3}}));
        MUST(fem_step(p, AD_F64, u1, u0, a, &theta, BATCH));
        u1[n + pushed] += 0.5;
        MUST(fem_loss(p, AD_F64, loss[w], u1, u0, a, &theta, BATCH));
        MUST(fem_indicator(p, AD_F64, cells, field, region, u1, u0, a, &theta, BATCH));
        for (int b = 0; b < BATCH; b++) {
            double sum = 0;
            int64_t worst = 0;
            for (int64_t i = 0; i < mesh->n_cells; i++) {
                const double *row = cells + b * mesh->n_cells;
                sum += row[i];
                worst = row[i] > row[worst] ? i : worst;
                cr_expect(row[i] >= -1e-15);
            }
            bool holds = false;
            for (int i = 0; i < mesh->cell_node_count; i++)
                holds = holds || mesh->cell_nodes[worst * mesh->cell_node_count + i] == pushed;
            cr_expect(b != 1 || holds, "cell %d", (int)worst);
            cr_expect_float_eq(sum, loss[w][b], 1e-10 * loss[w][1]);
            cr_expect_float_eq(field[b], loss[w][b], 1e-10 * loss[w][1]);
            cr_expect_float_eq(region[b], loss[w][b], 1e-10 * loss[w][1]);
        }
        fem_problem_destroy(&p);
    }
    cr_expect(loss[0][1] > 1e-4 && loss[0][0] < 1e-12);
    cr_expect_float_eq(loss[1][1], 3 * loss[0][1], 1e-12);
    free(cells), free(u0), free(u1);
    fem_mesh_destroy(&mesh);
}

Test(conditions, bad_conditions_are_named)
{
    fem_mesh *mesh = plain_box(FEM_P1, 2);
    static const struct {
        fem_condition condition[2];
        int n;
        const char *said;
    } bad[] = {
        {{{.boundary = "leeward", .field = "temperature"}}, 1, "leeward"},
        {{{.boundary = "left", .field = "pressure"}}, 1, "temperature"},
        {{{.boundary = "left", .field = "temperature.x"}}, 1, "temperature.x"},
        {{{.boundary = "left", .natural = "suction"}}, 1, "suction"},
        {{{.boundary = "left"}}, 1, "condition 0"},
        {{{.boundary = "left", .field = "temperature", .natural = "convection"}}, 1, "condition 0"},
        {{{.boundary = "left", .field = "temperature", .constant = NAN}}, 1, "not finite"},
        {{{.boundary = "left", .natural = "convection", .driven = true}}, 1, "convection"},
        {{{.boundary = "left", .field = "temperature"}, {.boundary = "left", .field = "temperature", .constant = 1}},
         2,
         "contradictory"},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        fem_problem *p = NULL;
        fem_problem_spec spec = {
            .equation = "conduction", .mesh = mesh, .dt = 1, .n_conditions = bad[k].n, .condition = bad[k].condition};
        cr_expect_eq(fem_problem_create(&p, &spec), FWM_INVALID, "case %zu", k);
        cr_expect(!p && strstr(fwm_error_message(), bad[k].said), "case %zu: %s", k, fwm_error_message());
    }
    fem_problem *p = NULL;
    fem_problem_spec spec = {.equation = "conduction", .mesh = mesh, .dt = 1, .scheme = FEM_BDF2, .substeps = 1};
    cr_expect_eq(fem_problem_create(&p, &spec), FWM_INVALID);
    cr_expect(strstr(fwm_error_message(), "at least 2 substeps"), "%s", fwm_error_message());
    fem_scheme scheme;
    cr_expect_eq(fem_scheme_parse("leapfrog", &scheme), FWM_INVALID);
    fem_mesh_destroy(&mesh);
}
