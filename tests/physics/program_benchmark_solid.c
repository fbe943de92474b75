/* Solids against beam theory and conservation laws: program_benchmark_solid [brief] [NAME]...
 *     cantilever     end load, small strains: Timoshenko's beam in plane strain (Timoshenko & Goodier 1970, art. 21;
 *                    Cowper's 1966 shear coefficient)
 *     elastica       end load, large deflections of a neo-Hookean strip: the elastica, EI theta'' + P cos theta = 0
 *                    (Bisshopp & Drucker 1945)
 *     energy         10^4 steps of Newmark's method on a free body: energy, linear and angular momentum */
#include "benchmark.h"

#include "physics/mesh_impl.h"

enum { YOUNG, POISSON, DENSITY, DAMPING, PARAMETERS };
enum { COMPONENTS = 4 }; /* displacement and velocity in the plane */

static fem_theta theta_of(const double value[PARAMETERS])
{
    return (fem_theta){{value, value + 1, value + 2, value + 3}, {1, 1, 1, 1}};
}

static fem_mesh *box(fem_element element, int64_t nx, int64_t ny, double lx, double ly)
{
    fem_mesh *mesh;
    MUST(fem_mesh_create(&mesh, &(fem_mesh_spec){.element = element, .nx = nx, .ny = ny, .lx = lx, .ly = ly}));
    return mesh;
}

/* Clamped on the left, a traction (0, a) on the right. */
static fem_problem *beam(const char *equation, const fem_mesh *mesh, double dt)
{
    const fem_condition conditions[] = {{.boundary = "left", .field = "displacement"},
                                        {.boundary = "left", .field = "velocity"}};
    const fem_source load = {.power = 1, .field = "velocity.y", .boundary = "right"};
    fem_problem *p;
    MUST(fem_problem_create(&p, &(fem_problem_spec){.equation = equation,
                                                    .mesh = mesh,
                                                    .dt = dt,
                                                    .tolerance = 1e-8,
                                                    .n_sources = 1,
                                                    .source = &load,
                                                    .n_conditions = 2,
                                                    .condition = conditions}));
    return p;
}

/* Mean displacement of the right side. */
static void end_of(const fem_mesh *mesh, const double *u, double end[2])
{
    int n = 0;
    end[0] = end[1] = 0;
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        if (mesh->nodes[2 * i] > mesh->upper[0] - 1e-9) {
            end[0] += u[COMPONENTS * i];
            end[1] += u[COMPONENTS * i + 1];
            n++;
        }
    end[0] /= n;
    end[1] /= n;
}

static void cantilever(fem_element element, int64_t nx, int64_t ny, double dt)
{
    const double length = 20, height = 1, e = 1e4, nu = 0.3, traction = 1;
    const double theta_values[PARAMETERS] = {e, nu, 1, 0};
    fem_mesh *mesh = box(element, nx, ny, length, height);
    fem_problem *p = beam("elasticity", mesh, dt);
    const fem_theta theta = theta_of(theta_values);
    double *u = benchmark_zeros(2 * mesh->n_nodes * COMPONENTS), *next = u + mesh->n_nodes * COMPONENTS, end[2];
    for (int k = 0; k * dt < 240; k++) { /* implicit Euler damps what is left of the first swing */
        MUST(fem_step(p, AD_F64, next, u, &traction, &theta, 1));
        memcpy(u, next, (size_t)(mesh->n_nodes * COMPONENTS) * sizeof *u);
    }
    end_of(mesh, u, end);
    /* Plane strain: E and nu of the strip. */
    const double es = e / (1 - nu * nu), ns = nu / (1 - nu), inertia = height * height * height / 12;
    const double kappa = 10 * (1 + ns) / (12 + 11 * ns), shear = e / (2 * (1 + nu)), force = traction * height;
    const double bending = force * length * length * length / (3 * es * inertia);
    char name[64];
    (void)snprintf(name, sizeof name, "end deflection, %s, %dx%d cells", fem_element_space(element), (int)nx, (int)ny);
    benchmark_row(name, end[1], bending + force * length / (kappa * shear * height), 0.004 * bending);
    free(u);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
}

static void cantilever_full(void)
{
    cantilever(FEM_P2, 80, 4, 4);
    cantilever(FEM_Q2, 80, 4, 4);
}
static void cantilever_brief(void)
{
    cantilever(FEM_P2, 40, 2, 8);
    cantilever(FEM_Q2, 40, 2, 8);
}

/* The elastica's angle and end for P L^2 / EI = load, by Runge-Kutta over s in [0,1] from the curvature `c` at the
 * clamp; returns the curvature at the end, which is to vanish. */
static double shoot(double c, double load, double end[2])
{
    enum { STEPS = 2000 };
    const double h = 1.0 / STEPS;
    double a = 0, b = c;
    end[0] = end[1] = 0;
    for (int k = 0; k < STEPS; k++) {
        const double a2 = a + h / 2 * b, b1 = -load * cos(a), b2 = -load * cos(a2);
        const double a3 = a + h / 2 * (b + h / 2 * b1), b3 = -load * cos(a3);
        const double a4 = a + h * (b + h / 2 * b2), b4 = -load * cos(a4), middle = a + h / 2 * b + h * h / 8 * b1;
        const double next = a + h * b + h * h / 6 * (b1 + b2 + b3);
        end[0] += h / 6 * (cos(a) + 4 * cos(middle) + cos(next));
        end[1] += h / 6 * (sin(a) + 4 * sin(middle) + sin(next));
        b += h / 6 * (b1 + 2 * b2 + 2 * b3 + b4);
        a = next;
    }
    return b;
}

static void elastica(double load, double end[2])
{
    double lo = 0, hi = load + 1;
    for (int k = 0; k < 80; k++) {
        const double c = (lo + hi) / 2;
        *(shoot(c, load, end) < 0 ? &lo : &hi) = c;
    }
}

/* A strip of height 1/20 without Poisson's effect: shear adds 1.5e-3 of the deflection. */
static void large(int64_t nx, const double *loads, int n)
{
    const double height = 1.0 / 20, e = 1e4, inertia = height * height * height / 12;
    const double theta_values[PARAMETERS] = {e, 0, 1, 0};
    const int parts = 100;
    fem_mesh *mesh = box(FEM_Q2, nx, 1, 1, height);
    fem_problem *p = beam("neo_hookean", mesh, 1);
    const fem_theta theta = theta_of(theta_values);
    double *u = benchmark_zeros(2 * mesh->n_nodes * COMPONENTS), *next = u + mesh->n_nodes * COMPONENTS, from = 0;
    for (int k = 0; k < n; k++) {
        double end[2], exact[2];
        for (int i = 1; i <= parts + 10; i++) { /* the last ones let it come to rest */
            const double part = fmin(1, (double)i / parts);
            const double traction = (from + (loads[k] - from) * part) * e * inertia / height;
            MUST(fem_step(p, AD_F64, next, u, &traction, &theta, 1));
            memcpy(u, next, (size_t)(mesh->n_nodes * COMPONENTS) * sizeof *u);
        }
        from = loads[k];
        end_of(mesh, u, end);
        elastica(loads[k], exact);
        char name[64];
        (void)snprintf(name, sizeof name, "P L^2/EI = %g: deflection", loads[k]);
        benchmark_row(name, end[1], exact[1], 0.005);
        (void)snprintf(name, sizeof name, "P L^2/EI = %g: distance to the clamp", loads[k]);
        benchmark_row(name, 1 + end[0], exact[0], 0.005);
    }
    free(u);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
}

static void large_full(void)
{
    large(40, (const double[]){0.5, 1, 2, 5, 10}, 5);
}
static void large_brief(void)
{
    large(10, (const double[]){1}, 1);
}

/* ---- conservation ---- */

typedef struct invariants {
    double energy, x, y, turn; /* momenta: linear, angular */
} invariants;

static invariants measure(const fem_problem *p, const fem_problem *still, const double *u, const fem_theta *theta)
{
    const fem_mesh *mesh = fem_problem_mesh(p);
    const double none[1] = {0};
    const int64_t n = mesh->n_nodes;
    double *rest = benchmark_zeros(2 * n * COMPONENTS), *r = rest + n * COMPONENTS, *v = benchmark_zeros(2 * n),
           *mv = v + n;
    invariants m = {0};
    /* At rest under its displacement, the rows of the velocity are the stress against each function. */
    for (int64_t i = 0; i < n; i++)
        memcpy(rest + COMPONENTS * i, u + COMPONENTS * i, 2 * sizeof *rest);
    MUST(fem_residual((fem_problem *)(uintptr_t)still, AD_F64, r, rest, rest, none, theta, 1));
    for (int64_t i = 0; i < n; i++)
        m.energy += 0.5 * (u[COMPONENTS * i] * r[COMPONENTS * i + 2] + u[COMPONENTS * i + 1] * r[COMPONENTS * i + 3]);
    const double rho = ((const double *)theta->value[DENSITY])[0];
    for (int d = 0; d < 2; d++) {
        for (int64_t i = 0; i < n; i++)
            v[i] = u[COMPONENTS * i + 2 + d];
        fem_csr_apply(mesh->impl->mass, v, mv);
        for (int64_t i = 0; i < n; i++) {
            m.energy += 0.5 * rho * v[i] * mv[i];
            *(d == 0 ? &m.x : &m.y) += rho * mv[i];
            m.turn += rho * mv[i] * (d == 0 ? -mesh->nodes[2 * i + 1] : mesh->nodes[2 * i]);
        }
    }
    free(rest);
    free(v);
    return m;
}

/* A free body that turns, moves and swings in many modes; the angular momentum of small strains is about the places of
 * reference. */
static void conservation(int64_t cells, int calls)
{
    const double theta_values[PARAMETERS] = {1, 0.3, 1, 0}, none[1] = {0};
    const fem_theta theta = theta_of(theta_values);
    fem_mesh *mesh = box(FEM_Q1, cells, cells, 1, 1);
    fem_problem *p, *still;
    fem_problem_spec spec = {.equation = "elasticity",
                             .mesh = mesh,
                             .dt = 0.02 * FEM_MAX_SUBSTEPS,
                             .substeps = FEM_MAX_SUBSTEPS,
                             .scheme = FEM_MIDPOINT};
    MUST(fem_problem_create(&p, &spec));
    spec.substeps = 1;
    spec.scheme = FEM_BACKWARD_EULER;
    MUST(fem_problem_create(&still, &spec));
    double *u = benchmark_zeros(2 * mesh->n_nodes * COMPONENTS), *next = u + mesh->n_nodes * COMPONENTS, drift = 0;
    for (int64_t i = 0; i < mesh->n_nodes; i++) {
        const double x = mesh->nodes[2 * i], y = mesh->nodes[2 * i + 1];
        u[COMPONENTS * i] = 0.05 * sin(3 * x + y);
        u[COMPONENTS * i + 1] = 0.04 * cos(2 * x - 4 * y);
        u[COMPONENTS * i + 2] = 0.3 - 0.2 * y + 0.1 * sin(5 * y);
        u[COMPONENTS * i + 3] = 0.1 + 0.2 * x;
    }
    const invariants first = measure(p, still, u, &theta);
    invariants now = first;
    for (int k = 0; k < calls; k++) {
        MUST(fem_step(p, AD_F64, next, u, none, &theta, 1));
        memcpy(u, next, (size_t)(mesh->n_nodes * COMPONENTS) * sizeof *u);
        now = measure(p, still, u, &theta);
        drift = fmax(drift, fabs(now.energy / first.energy - 1));
    }
    char name[64];
    (void)snprintf(name, sizeof name, "largest drift of the energy, %d steps", calls * FEM_MAX_SUBSTEPS);
    benchmark_row(name, drift, 0, 1e-6);
    benchmark_row("momentum along x", now.x / first.x, 1, 1e-6);
    benchmark_row("momentum along y", now.y / first.y, 1, 1e-6);
    benchmark_row("angular momentum", now.turn / first.turn, 1, 1e-6);
    free(u);
    fem_problem_destroy(&p);
    fem_problem_destroy(&still);
    fem_mesh_destroy(&mesh);
}

static void conservation_full(void)
{
    conservation(16, 160);
}
static void conservation_brief(void)
{
    conservation(5, 160);
}

static const benchmark_case cases[] = {
    {"cantilever", "end load on a clamped beam, small strains", cantilever_full, cantilever_brief},
    {"elastica", "end load on a clamped strip, large deflections", large_full, large_brief},
    {"energy", "a free body under Newmark's method", conservation_full, conservation_brief},
};

int main(int argc, char **argv)
{
    return benchmark_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
