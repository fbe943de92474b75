/* The Allen-Cahn equation against closed forms: manufactured solutions and their orders, the width and the speed of an
 * interface, gradients, the criteria of key states and basins, and steps that are too long. */
#include "support.h"

TestSuite(allen_cahn, .fini = fem_finalize);

enum { DIFFUSIVITY, REACTION, LAW, FIELD_SOURCES = 2, SAMPLES = 101 };

/* ---- a manufactured solution: u = s phi, phi = cos(pi x) cos(pi y), which needs the densities phi and phi^3 ---- */

static const double D = 0.07, R = 2;

static double mode(const double *x)
{
    return cos(M_PI * x[0]) * cos(M_PI * x[1]);
}

static double density(const double *x, void *context)
{
    return pow(mode(x), *(const int *)context);
}

static void amplitudes(double *a, double s, double ds)
{
    a[0] = ds + (2 * M_PI * M_PI * D - R) * s;
    a[1] = R * s * s * s;
    a[2] = 0;
}

typedef struct solution {
    fem_mesh *mesh;
    fem_problem *problem;
} solution;

static solution solution_make(fem_element element, int64_t n, double dt)
{
    static int power[FIELD_SOURCES] = {1, 3};
    fem_source source[FIELD_SOURCES];
    for (int j = 0; j < FIELD_SOURCES; j++)
        source[j] = (fem_source){.power = 1, .density = density, .context = &power[j]};
    solution s = {0};
    MUST(fwm_threads_init(1));
    MUST(fem_mesh_create(&s.mesh, &(fem_mesh_spec){.element = element, .nx = n, .ny = n, .lx = 1, .ly = 1}));
    MUST(fem_problem_create(
        &s.problem,
        &(fem_problem_spec){
            .equation = "allen_cahn", .mesh = s.mesh, .dt = dt, .n_sources = FIELD_SOURCES, .source = source}));
    return s;
}

static void solution_free(solution *s)
{
    fem_problem_destroy(&s->problem);
    fem_mesh_destroy(&s->mesh);
}

static void advance(fem_problem *p, double *u1, const double *u0, const double *a, double diffusivity, double reaction)
{
    fem_theta theta = {{&diffusivity, &reaction}, {1, 1}};
    MUST(fem_step(p, AD_F64, u1, u0, a, &theta, 1));
}

static double *field_at(const fem_mesh *mesh, double amplitude)
{
    double *u = malloc((size_t)mesh->n_nodes * sizeof *u);
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        u[i] = amplitude * mode(mesh->nodes + 2 * i);
    return u;
}

/* Root mean squares of the error and of its gradient over SAMPLES x SAMPLES points (101 shares no factor with the
 * numbers of cells). */
static void errors(const fem_mesh *mesh, const double *u, double amplitude, double *l2, double *h1)
{
    double *point = malloc(SAMPLES * SAMPLES * 2 * sizeof *point), *v = malloc(SAMPLES * SAMPLES * sizeof *v),
           sum[3] = {0};
    for (int i = 0; i < SAMPLES * SAMPLES; i++) {
        point[2 * i] = (i % SAMPLES + 0.5) / SAMPLES;
        point[2 * i + 1] = (i / SAMPLES + 0.5) / SAMPLES;
    }
    for (int axis = -1; axis < 2; axis++) {
        fem_csr *at;
        MUST(fem_evaluate(&at, mesh, SAMPLES * SAMPLES, point, axis, NULL));
        fem_csr_apply(at, u, v);
        for (int i = 0; i < SAMPLES * SAMPLES; i++) {
            double x = M_PI * point[2 * i], y = M_PI * point[2 * i + 1];
            double exact = axis < 0 ? cos(x) * cos(y) : axis == 0 ? -M_PI * sin(x) * cos(y) : -M_PI * cos(x) * sin(y);
            double e = v[i] - amplitude * exact;
            sum[axis + 1] += e * e / (SAMPLES * SAMPLES);
        }
        fem_csr_destroy(&at);
    }
    *l2 = sqrt(sum[0]);
    *h1 = sqrt(sum[1] + sum[2]);
    free(point);
    free(v);
}

/* One step of the time-discrete problem, whose source holds (s1-s0)/dt exactly: what is left is the error in space. */
static void space_errors(fem_element element, int64_t n, double *l2, double *h1)
{
    const double dt = 0.2, s0 = 0.9, s1 = 0.6;
    solution s = solution_make(element, n, dt);
    double a[FIELD_SOURCES + 1], *u0 = field_at(s.mesh, s0), *u1 = malloc((size_t)s.mesh->n_nodes * sizeof *u1);
    amplitudes(a, s1, (s1 - s0) / dt);
    advance(s.problem, u1, u0, a, D, R);
    errors(s.mesh, u1, s1, l2, h1);
    free(u0);
    free(u1);
    solution_free(&s);
}

static void check_space(fem_element element, double order)
{
    double l2[2], h1[2];
    space_errors(element, 12, &l2[0], &h1[0]);
    space_errors(element, 24, &l2[1], &h1[1]);
    double rate = log2(l2[0] / l2[1]), gradient_rate = log2(h1[0] / h1[1]);
    cr_expect(rate > order - 0.1 && rate < order + 0.25, "%s: L2 order %.3f, expected %g", fem_element_space(element),
              rate, order);
    cr_expect(gradient_rate > order - 1.1 && gradient_rate < order - 0.75, "%s: H1 order %.3f, expected %g",
              fem_element_space(element), gradient_rate, order - 1);
    cr_expect(l2[1] < 4e-3, "error %g", l2[1]); /* of a field of size 0.3: the orders are not those of a wrong answer */
}

Test(allen_cahn, converges_in_space)
{
    check_space(FEM_P1, 2);
    check_space(FEM_Q1, 2);
    check_space(FEM_P2, 3);
    check_space(FEM_Q2, 3);
}

/* u = cos(6 t) phi to t = 0.4: the error of the steps (1e-2) hides the mesh's (1e-5). */
Test(allen_cahn, implicit_euler_converges_in_time)
{
    double error[3], h1;
    for (int k = 0; k < 3; k++) {
        int steps = 20 << k;
        double dt = 0.4 / steps;
        solution s = solution_make(FEM_Q2, 10, dt);
        double a[FIELD_SOURCES + 1], *u = field_at(s.mesh, 1), *next = malloc((size_t)s.mesh->n_nodes * sizeof *next);
        for (int t = 1; t <= steps; t++) {
            amplitudes(a, cos(6 * t * dt), -6 * sin(6 * t * dt));
            advance(s.problem, next, u, a, D, R);
            double *keep = u;
            u = next;
            next = keep;
        }
        errors(s.mesh, u, cos(6 * 0.4), &error[k], &h1);
        free(u);
        free(next);
        solution_free(&s);
    }
    for (int k = 0; k < 2; k++)
        cr_expect(log2(error[k] / error[k + 1]) > 0.93 && log2(error[k] / error[k + 1]) < 1.07, "order %.3f",
                  log2(error[k] / error[k + 1]));
}

/* ---- interfaces ---- */

/* A strip of 128 x 2 cells of Q2, length 1, u0 a step at `at`. */
static fem_problem *strip_make(fem_mesh **mesh, double dt, double at, double **u)
{
    fem_problem *p;
    MUST(fwm_threads_init(1));
    MUST(fem_mesh_create(mesh, &(fem_mesh_spec){.element = FEM_Q2, .nx = 128, .ny = 2, .lx = 1, .ly = 1.0 / 64}));
    MUST(fem_problem_create(&p, &(fem_problem_spec){.equation = "allen_cahn", .mesh = *mesh, .dt = dt}));
    *u = malloc((size_t)(*mesh)->n_nodes * sizeof **u);
    for (int64_t i = 0; i < (*mesh)->n_nodes; i++)
        (*u)[i] = tanh(((*mesh)->nodes[2 * i] - at) / 0.02);
    return p;
}

static void run(fem_problem *p, int64_t n, double **u, int steps, double field, double diffusivity, double reaction)
{
    double *next = malloc((size_t)n * sizeof *next);
    for (int t = 0; t < steps; t++) {
        advance(p, next, *u, &field, diffusivity, reaction);
        double *keep = *u;
        *u = next;
        next = keep;
    }
    free(next);
}

/* Where u crosses `level` along y = 0, by linear interpolation between nodes 1/256 apart. */
static double crossing(const fem_mesh *mesh, const double *u, double level)
{
    double row[257], at = -1;
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        if (mesh->nodes[2 * i + 1] < 1e-12)
            row[(int)(256 * mesh->nodes[2 * i] + 0.5)] = u[i];
    for (int k = 0; k < 256; k++)
        if (row[k] <= level && row[k + 1] > level)
            at = (k + (level - row[k]) / (row[k + 1] - row[k])) / 256;
    return at;
}

/* At rest tanh(x / w), w = sqrt(2 D / r) = 0.05: u = tanh(1/2) and tanh(-1/2) are w apart, to a percent. */
Test(allen_cahn, an_interface_has_its_width)
{
    fem_mesh *mesh;
    double *u;
    fem_problem *p = strip_make(&mesh, 0.1, 0.5, &u);
    run(p, mesh->n_nodes, &u, 60, 0, 0.00125, 1);
    double width = crossing(mesh, u, tanh(0.5)) - crossing(mesh, u, tanh(-0.5)), most = 0;
    cr_expect_float_eq(width, 0.05, 5e-4, "width %.5f", width);
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        most = fmax(most, fabs(u[i] - tanh((mesh->nodes[2 * i] - 0.5) / 0.05)));
    cr_expect(most < 2e-3, "profile off by %g", most);
    free(u);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
}

/* Under a uniform field a the interface travels at c = 3 |u2| sqrt(D r / 2), u2 the middle root of r (u - u^3) + a = 0
 * (exact for the cubic): within 1 percent with steps of 0.02. */
Test(allen_cahn, an_interface_travels_at_its_speed)
{
    const double diffusivity = 0.00125, reaction = 1, field = 0.2, dt = 0.02;
    double root = -field; /* Newton's method for u - u^3 + a = 0 near -a */
    for (int k = 0; k < 20; k++)
        root -= (root - root * root * root + field) / (1 - 3 * root * root);
    const double speed = 3 * fabs(root) * sqrt(diffusivity * reaction / 2);
    fem_mesh *mesh;
    double *u;
    fem_problem *p = strip_make(&mesh, dt, 0.8, &u);
    run(p, mesh->n_nodes, &u, 200, field, diffusivity, reaction); /* until it has its shape */
    double start = crossing(mesh, u, 0);
    run(p, mesh->n_nodes, &u, 800, field, diffusivity, reaction);
    double found = (start - crossing(mesh, u, 0)) / (800 * dt);
    cr_expect_float_eq(found, speed, 0.01 * speed, "speed %.6f, expected %.6f", found, speed);
    free(u);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
}

/* ---- gradients ---- */

enum { BATCH = 11, U1 = 0, U0, ACTIONS, THETA, INPUTS = THETA + LAW };
typedef enum what { RESIDUAL, STEP, DISTANCE } what;

typedef struct subject {
    what kind;
    fem_mesh *mesh;
    fem_problem *p;
    double *x[INPUTS], *w, *y;
    int64_t count[INPUTS], out;
} subject;

static double value(const subject *s)
{
    fem_theta theta = {{s->x[THETA], s->x[THETA + 1]}, {s->count[THETA], s->count[THETA + 1]}};
    if (s->kind == RESIDUAL)
        MUST(fem_residual(s->p, AD_F64, s->y, s->x[U1], s->x[U0], s->x[ACTIONS], &theta, BATCH));
    else if (s->kind == STEP)
        MUST(fem_step(s->p, AD_F64, s->y, s->x[U0], s->x[ACTIONS], &theta, BATCH));
    else
        MUST(fem_loss(s->p, AD_F64, s->y, s->x[U1], s->x[U0], s->x[ACTIONS], &theta, BATCH));
    return dot(s->w, s->y, s->out);
}

static void pull(const subject *s, double *const *g)
{
    fem_theta theta = {{s->x[THETA], s->x[THETA + 1]}, {s->count[THETA], s->count[THETA + 1]}};
    fem_bars bars = {.u1 = g[U1], .u0 = g[U0], .a = g[ACTIONS], .theta = {g[THETA], g[THETA + 1]}};
    (void)value(s);
    if (s->kind == RESIDUAL)
        MUST(fem_residual_vjp(s->p, AD_F64, &bars, s->w, s->x[U1], s->x[U0], s->x[ACTIONS], &theta, BATCH));
    else if (s->kind == STEP)
        MUST(fem_step_vjp(s->p, AD_F64, &bars, s->w, s->y, s->x[U0], s->x[ACTIONS], &theta, BATCH));
    else
        MUST(fem_loss_vjp(s->p, AD_F64, &bars, s->w, s->x[U1], s->x[U0], s->x[ACTIONS], &theta, BATCH));
}

/* |f(x+hd) - f(x) - h <g,d>| falls as h^2, or is rounding. */
static void check_input(const subject *s, int input, const double *g)
{
    static const char *const name[INPUTS] = {"u1", "u0", "a", "diffusivity", "reaction"};
    int64_t n = s->count[input];
    double *d = noise(20 + (uint32_t)input, n, -1, 1), *keep = malloc((size_t)n * sizeof *keep), before = 0, scale = 0;
    memcpy(keep, s->x[input], (size_t)n * sizeof *keep);
    double f0 = value(s), size = largest(keep, n), slope = dot(g, d, n) * size;
    for (int64_t i = 0; i < s->out; i++)
        scale += fabs(s->w[i] * s->y[i]);
    cr_expect(largest(g, n) > 0, "%s: gradient is zero", name[input]);
    for (int k = 0; k < 4; k++) {
        double h = ldexp(0.0078125, -k);
        for (int64_t i = 0; i < n; i++)
            s->x[input][i] = keep[i] + h * size * d[i];
        double remainder = fabs(value(s) - f0 - h * slope);
        if (k > 0 && remainder > 1e-10 * (scale + fabs(slope)))
            cr_expect(log2(before / remainder) > 1.9 && log2(before / remainder) < 2.1, "%s: order %.4f at step %g",
                      name[input], log2(before / remainder), h);
        before = remainder;
    }
    memcpy(s->x[input], keep, (size_t)n * sizeof *keep);
    free(d);
    free(keep);
}

static void check_gradients(what kind, fem_element element, int substeps, fem_norm norm)
{
    const fem_source spot = {.x = 0.3, .y = 0.4, .half_width = 0.13, .power = 2};
    subject s = {.kind = kind};
    MUST(fwm_threads_init(2));
    MUST(fem_mesh_create(&s.mesh, &(fem_mesh_spec){.element = element, .nx = 4, .ny = 3, .lx = 1.2, .ly = 0.9}));
    MUST(fem_problem_create(&s.p, &(fem_problem_spec){.equation = "allen_cahn",
                                                      .mesh = s.mesh,
                                                      .dt = 0.25,
                                                      .substeps = substeps,
                                                      .n_sources = 1,
                                                      .source = &spot,
                                                      .norm = norm,
                                                      .scale = 0.7}));
    int64_t field = BATCH * s.mesh->n_nodes;
    const int64_t count[INPUTS] = {field, field, 2 * BATCH, s.mesh->n_cells, s.mesh->n_cells};
    const double lo[INPUTS] = {-1.1, -1.1, -0.5, 0.01, 0.5}, hi[INPUTS] = {1.2, 1.2, 0.7, 0.03, 1.5};
    memcpy(s.count, count, sizeof count);
    double *g[INPUTS];
    for (int k = 0; k < INPUTS; k++) {
        s.x[k] = noise(11 + (uint32_t)k, count[k], lo[k], hi[k]);
        g[k] = kind == STEP && k == U1 ? NULL : calloc((size_t)count[k], sizeof **g);
    }
    s.out = kind == DISTANCE ? BATCH : field;
    s.w = noise(31, s.out, 0.2, 1);
    s.y = malloc((size_t)s.out * sizeof *s.y);
    pull(&s, g);
    for (int k = 0; k < INPUTS; k++)
        if (g[k])
            check_input(&s, k, g[k]);
    for (int k = 0; k < INPUTS; k++)
        free(g[k]), free(s.x[k]);
    free(s.w), free(s.y);
    fem_problem_destroy(&s.p);
    fem_mesh_destroy(&s.mesh);
}

Test(allen_cahn, gradients_of_the_residual)
{
    check_gradients(RESIDUAL, FEM_P1, 1, FEM_NORM_DUAL);
    check_gradients(RESIDUAL, FEM_Q2, 1, FEM_NORM_DUAL);
}

Test(allen_cahn, gradients_of_the_step)
{
    check_gradients(STEP, FEM_P1, 1, FEM_NORM_DUAL);
    check_gradients(STEP, FEM_Q1, 3, FEM_NORM_DUAL);
}

Test(allen_cahn, gradients_of_the_loss)
{
    check_gradients(DISTANCE, FEM_P1, 1, FEM_NORM_DUAL);
    check_gradients(DISTANCE, FEM_Q1, 2, FEM_NORM_STEP);
}

/* ---- criteria ---- */

/* Half of the plate turns within a step of 0.5: half its area in 0.5 is a rate of 1. States of one sign have a basin.
 */
Test(allen_cahn, key_states_and_basins)
{
    const fem_equation *eq;
    fem_mesh *mesh;
    MUST(fem_equation_find("allen_cahn", &eq));
    MUST(fem_mesh_create(&mesh, &(fem_mesh_spec){.element = FEM_P1, .nx = 32, .ny = 8, .lx = 2, .ly = 1}));
    float *u0 = malloc((size_t)mesh->n_nodes * 4), *u1 = malloc((size_t)mesh->n_nodes * 4);
    double *u = malloc((size_t)mesh->n_nodes * 8);
    for (int64_t i = 0; i < mesh->n_nodes; i++) {
        u0[i] = -0.5f;
        u1[i] = mesh->nodes[2 * i] < 1 ? 0.1f : -0.6f;
        u[i] = 1e-3;
    }
    cr_expect_float_eq(eq->event_rate(mesh, u1, u0, 0.5), 1, 0.05);
    cr_expect_eq(eq->event_rate(mesh, u0, u0, 0.5), 0);
    cr_expect_eq(eq->basin(mesh, u), 1);
    u[7] = -1e-3;
    cr_expect_eq(eq->basin(mesh, u), FEM_BASIN_OPEN);
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        u[i] = -0.2;
    cr_expect_eq(eq->basin(mesh, u), 0);
    free(u0), free(u1), free(u);
    fem_mesh_destroy(&mesh);
}

/* r dt = 3 at u = 0, which is a maximum of the energy: the step's matrix is not definite there, and the error says so.
 */
Test(allen_cahn, a_step_that_is_too_long_is_named)
{
    fem_mesh *mesh;
    fem_problem *p;
    const double d = 1e-3, r = 3, field = 0;
    fem_theta theta = {{&d, &r}, {1, 1}};
    MUST(fwm_threads_init(1));
    MUST(fem_mesh_create(&mesh, &(fem_mesh_spec){.element = FEM_P1, .nx = 6, .ny = 6, .lx = 1, .ly = 1}));
    MUST(fem_problem_create(&p, &(fem_problem_spec){.equation = "allen_cahn", .mesh = mesh, .dt = 1}));
    double *u0 = noise(9, mesh->n_nodes, -0.05, 0.05), *u1 = malloc((size_t)mesh->n_nodes * sizeof *u1);
    fwm_status status = fem_step(p, AD_F64, u1, u0, &field, &theta, 1);
    cr_expect_eq(status, FWM_NUMERIC);
    cr_expect(strstr(fwm_error_message(), "allen_cahn") && strstr(fwm_error_message(), "sample 0"), "%s",
              fwm_error_message());
    free(u0), free(u1);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
}
