/* The heat equation against closed forms: manufactured solutions and their orders. */
#include "support.h"

TestSuite(heat, .fini = fem_finalize);

/* Exact field u = s phi, phi = cos(pi x) cos(pi y) on the unit square (insulated), with k, lam, eps, T0 constant and ua
 * = 0. eps ((T0+u)^4 - T0^4) is four powers of u, so the source is four densities phi^1 .. phi^4 with amplitudes in
 * time. */
enum { SOURCES = 4, SAMPLES = 101 };
static const double K = 0.7, LAM = 3, EPS = 0.05, T0 = 3;

static double mode(const double *x)
{
    return cos(M_PI * x[0]) * cos(M_PI * x[1]);
}

static double density(const double x[FEM_MAX_DIM], void *context)
{
    return pow(mode(x), *(const int *)context);
}

static void amplitudes(double *a, double s, double ds)
{
    a[0] = ds + (2 * M_PI * M_PI * K + LAM + 4 * EPS * T0 * T0 * T0) * s;
    a[1] = 6 * EPS * T0 * T0 * s * s;
    a[2] = 4 * EPS * T0 * s * s * s;
    a[3] = EPS * s * s * s * s;
    a[4] = 0;
}

typedef struct solution {
    fem_mesh *mesh;
    fem_problem *problem;
    double theta[PARAMETERS];
} solution;

static solution solution_make(fem_element element, int64_t n, double dt)
{
    static int power[SOURCES] = {1, 2, 3, 4};
    fem_source source[SOURCES];
    for (int j = 0; j < SOURCES; j++)
        source[j] = (fem_source){.power = 1, .density = density, .context = &power[j]};
    solution s = {.theta = {K, LAM, EPS, T0}};
    MUST(fwm_threads_init(1));
    MUST(fem_mesh_create(&s.mesh, &(fem_mesh_spec){.element = element, .nx = n, .ny = n, .lx = 1, .ly = 1}));
    MUST(fem_problem_create(
        &s.problem,
        &(fem_problem_spec){.equation = "heat", .mesh = s.mesh, .dt = dt, .n_sources = SOURCES, .source = source}));
    return s;
}

static void advance(const solution *s, double *u1, const double *u0, const double *a)
{
    fem_theta theta = {{&s->theta[0], &s->theta[1], &s->theta[2], &s->theta[3]}, {1, 1, 1, 1}};
    MUST(fem_step(s->problem, AD_F64, u1, u0, a, &theta, 1));
}

static double *field_at(const solution *s, double amplitude)
{
    double *u = malloc((size_t)s->mesh->n_nodes * sizeof *u);
    for (int64_t i = 0; i < s->mesh->n_nodes; i++)
        u[i] = amplitude * mode(s->mesh->nodes + 2 * i);
    return u;
}

/* Root mean squares over SAMPLES x SAMPLES points of the error and of its gradient: the norms to within a percent,
 * equally on every mesh (101 shares no factor with the numbers of cells). */
static void errors(const solution *s, const double *u, double amplitude, double *l2, double *h1)
{
    double *point = malloc(SAMPLES * SAMPLES * 2 * sizeof *point), *v = malloc(SAMPLES * SAMPLES * sizeof *v),
           sum[3] = {0};
    for (int i = 0; i < SAMPLES * SAMPLES; i++) {
        point[2 * i] = (i % SAMPLES + 0.5) / SAMPLES;
        point[2 * i + 1] = (i / SAMPLES + 0.5) / SAMPLES;
    }
    for (int axis = -1; axis < 2; axis++) {
        fem_csr *at;
        MUST(fem_evaluate(&at, s->mesh, SAMPLES * SAMPLES, point, axis, NULL));
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

/* One implicit step of the time-discrete problem, whose source holds (s1-s0)/dt exactly: what is left is the error in
 * space. */
static void space_errors(fem_element element, int64_t n, double *l2, double *h1)
{
    const double dt = 0.05, s0 = 0.9, s1 = 0.6;
    solution s = solution_make(element, n, dt);
    double a[SOURCES + 1], *u0 = field_at(&s, s0), *u1 = malloc((size_t)s.mesh->n_nodes * sizeof *u1);
    amplitudes(a, s1, (s1 - s0) / dt);
    advance(&s, u1, u0, a);
    errors(&s, u1, s1, l2, h1);
    free(u0);
    free(u1);
    fem_problem_destroy(&s.problem);
    fem_mesh_destroy(&s.mesh);
}

static void check_space(fem_element element, double order)
{
    double l2[2], h1[2];
    space_errors(element, 12, &l2[0], &h1[0]);
    space_errors(element, 24, &l2[1], &h1[1]);
    double rate = log2(l2[0] / l2[1]), gradient_rate = log2(h1[0] / h1[1]);
    /* Theory: order p+1 in L2, p in H1, reached from below or above by a few hundredths at these sizes. */
    cr_expect(rate > order - 0.1 && rate < order + 0.25, "%s: L2 order %.3f, expected %g", fem_element_space(element),
              rate, order);
    cr_expect(gradient_rate > order - 1.1 && gradient_rate < order - 0.75, "%s: H1 order %.3f, expected %g",
              fem_element_space(element), gradient_rate, order - 1);
    cr_expect(l2[1] < 4e-3, "error %g", l2[1]); /* of a field of size 0.3: the orders are not those of a wrong answer */
}

Test(heat, p1_converges_in_space)
{
    check_space(FEM_P1, 2);
}

Test(heat, q1_converges_in_space)
{
    check_space(FEM_Q1, 2);
}

Test(heat, p2_converges_in_space)
{
    check_space(FEM_P2, 3);
}

Test(heat, q2_converges_in_space)
{
    check_space(FEM_Q2, 3);
}

/* u = cos(12 t) phi to t = 0.2, fast enough for the error of the steps (1e-2) to hide the mesh's (1e-5): order 1 of
 * implicit Euler. */
Test(heat, implicit_euler_converges_in_time)
{
    double error[3];
    for (int k = 0; k < 3; k++) {
        int steps = 20 << k;
        double dt = 0.2 / steps, h1;
        solution s = solution_make(FEM_Q2, 12, dt);
        double a[SOURCES + 1], *u = field_at(&s, 1), *next = malloc((size_t)s.mesh->n_nodes * sizeof *next);
        for (int t = 1; t <= steps; t++) {
            amplitudes(a, cos(12 * t * dt), -12 * sin(12 * t * dt));
            advance(&s, next, u, a);
            double *keep = u;
            u = next;
            next = keep;
        }
        errors(&s, u, cos(12 * 0.2), &error[k], &h1);
        free(u);
        free(next);
        fem_problem_destroy(&s.problem);
        fem_mesh_destroy(&s.mesh);
    }
    for (int k = 0; k < 2; k++)
        cr_expect(log2(error[k] / error[k + 1]) > 0.93 && log2(error[k] / error[k + 1]) < 1.07, "order %.3f",
                  log2(error[k] / error[k + 1]));
}

/* Insulated, without loss or sources: heat is conserved by every step. Without conduction gradients either, a uniform
 * plate relaxes by its own ordinary differential equation: one implicit step of u' = -lam (u - ua) is (u + dt lam ua) /
 * (1 + dt lam). */
Test(heat, heat_is_conserved_and_uniform_plates_relax)
{
    plate p = plate_make(FEM_P1, 6, 5, 1e-2, 1, FEM_NORM_DUAL, 0, 3);
    double *u0 = noise(5, p.n, -1, 1), *u1 = malloc((size_t)p.n * sizeof *u1), *k = p.k, none = 0, lam = 4, t0 = 3;
    const double off[3] = {0, 0, 0.25};
    fem_theta kept = {{k, &none, &none, &t0}, {p.mesh->n_cells, 1, 1, 1}},
              lossy = {{k, &lam, &none, &t0}, {p.mesh->n_cells, 1, 1, 1}};
    MUST(fem_step(p.problem, AD_F64, u1, u0, off, &kept, 1));
    double before = 0, after = 0;
    for (int64_t i = 0; i < p.n; i++) {
        before += p.mesh->lumped[i] * u0[i];
        after += p.mesh->lumped[i] * u1[i];
        u0[i] = 0.8;
    }
    cr_assert_float_eq(before, after, 1e-13);
    MUST(fem_step(p.problem, AD_F64, u1, u0, off, &lossy, 1));
    for (int64_t i = 0; i < p.n; i++)
        cr_assert_float_eq(u1[i], (0.8 + 1e-2 * lam * 0.25) / (1 + 1e-2 * lam), 1e-12);
    free(u0);
    free(u1);
    plate_free(&p);
}

/* Total power of a heater is Q (2w)^2 however the mesh cuts it: with unit dt, R(0,0,a) sums to minus that. */
Test(heat, heaters_give_their_exact_power_on_any_mesh)
{
    for (int e = 0; e <= FEM_Q2; e++)
        for (int64_t n = 1; n < 8; n += 3) {
            plate p = {0};
            MUST(fwm_threads_init(1));
            const fem_source heater = {.x = 0.37, .y = 0.41, .half_width = 0.1, .power = 300};
            MUST(fem_mesh_create(&p.mesh,
                                 &(fem_mesh_spec){.element = (fem_element)e, .nx = n, .ny = n + 1, .lx = 1, .ly = 1}));
            MUST(fem_problem_create(
                &p.problem,
                &(fem_problem_spec){.equation = "heat", .mesh = p.mesh, .dt = 1, .n_sources = 1, .source = &heater}));
            double *zero = calloc((size_t)p.mesh->n_nodes, sizeof *zero),
                   *r = malloc((size_t)p.mesh->n_nodes * sizeof *r), sum = 0, mx = 0;
            const double one = 1, none = 0, a[2] = {1, 0};
            fem_theta theta = {{&one, &none, &none, &none}, {1, 1, 1, 1}};
            MUST(fem_residual(p.problem, AD_F64, r, zero, zero, a, &theta, 1));
            for (int64_t i = 0; i < p.mesh->n_nodes; i++) {
                sum -= r[i];
                mx -= r[i] * p.mesh->nodes[2 * i];
            }
            cr_assert_float_eq(sum, 12, 1e-11, "%s %d: %g", fem_element_space((fem_element)e), (int)n, sum);
            cr_assert_float_eq(mx, 12 * 0.37, 1e-11); /* and its centre: shape functions hold x exactly */
            free(zero);
            free(r);
            fem_problem_destroy(&p.problem);
            fem_mesh_destroy(&p.mesh);
        }
}

Test(heat, equations_and_parameters_are_found_by_name)
{
    const fem_equation *heat;
    int index;
    MUST(fem_equation_find("heat", &heat));
    MUST(fem_parameter_find(heat, "radiation", &index));
    cr_assert_eq(index, RADIATION);
    cr_assert_eq(fem_parameter_find(heat, "viscosity", &index), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "viscosity") && strstr(fwm_error_message(), "conductivity"));
    cr_assert_eq(fem_equation_find("magic", &heat), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "magic") && strstr(fwm_error_message(), "heat"));
    int n = 0;
    while (fem_equation_at(n))
        n++;
    cr_assert_geq(n, 1);
}
