/* Incompressible flow against published figures: program_benchmark_flow [brief] [NAME]...
 *     cavity_100, cavity_1000    lid-driven cavity: stations of Ghia, Ghia & Shin 1982 (tables I and II) on the centre
 *                                lines, and the extrema there
 *     cylinder_steady            DFG benchmark 2D-1, Re 20: drag, lift, pressure drop (Schaefer & Turek 1996; digits of
 *                                John & Matthies 2001)
 *     cylinder_shedding          DFG benchmark 2D-2, Re 100: Strouhal number, largest drag and lift
 * Taylor-Hood elements. Forces are the reactions of the nodes on the cylinder: the sum of their rows of the residual of
 * the same problem with the cylinder let go.
 *
 * At Re 1000 the two published cavities do not agree: the second order differences of Ghia et al. on 129^2 have extrema
 * of -0.38289, 0.37095 and -0.51550, the spectral solution of Botella & Peyret 1998 (tables 9 and 10 for the stations,
 * and its extrema) -0.3885698, 0.3769447 and -0.5270771. Ghia's least v is 2.2 % off that, and 0.018 at a station: a
 * solver that has converged cannot be within 1 % of it. Both are shown, with what is allowed of each. */
#include "benchmark.h"

enum { VELOCITY_X, VELOCITY_Y, PRESSURE, COMPONENTS };
static const double no_action[1] = {0};

static fem_theta theta_of(const double *viscosity)
{
    return (fem_theta){{viscosity}, {1}};
}

/* ---- lid-driven cavity ---- */

enum { STATIONS = 17 };
typedef struct profiles {
    const char *by;
    double re, allowed_u, allowed_v;
    double u[STATIONS], v[STATIONS];
    double least_u, most_v, least_v; /* on the centre lines */
} profiles;
static const double ghia_y[STATIONS] = {0,      0.0547, 0.0625, 0.0703, 0.1016, 0.1719, 0.2813, 0.4531, 0.5,
                                        0.6172, 0.7344, 0.8516, 0.9531, 0.9609, 0.9688, 0.9766, 1};
static const double ghia_x[STATIONS] = {0,      0.0625, 0.0703, 0.0781, 0.0938, 0.1563, 0.2266, 0.2344, 0.5,
                                        0.8047, 0.8594, 0.9063, 0.9453, 0.9531, 0.9609, 0.9688, 1};
static const profiles published[] = {
    {"Ghia",
     100,
     0.01,
     0.01,
     {0, -0.03717, -0.04192, -0.04775, -0.06434, -0.10150, -0.15662, -0.21090, -0.20581, -0.13641, 0.00332, 0.23151,
      0.68717, 0.73722, 0.78871, 0.84123, 1},
     {0, 0.09233, 0.10091, 0.10890, 0.12317, 0.16077, 0.17507, 0.17527, 0.05454, -0.24533, -0.22445, -0.16914, -0.10313,
      -0.08864, -0.07391, -0.05906, 0},
     -0.21090,
     0.17527,
     -0.24533},
    {"Ghia",
     1000,
     0.01,
     0.02,
     {0, -0.18109, -0.20196, -0.22220, -0.29730, -0.38289, -0.27805, -0.10648, -0.06080, 0.05702, 0.18719, 0.33304,
      0.46604, 0.51117, 0.57492, 0.65928, 1},
     {0, 0.27485, 0.29012, 0.30353, 0.32627, 0.37095, 0.33075, 0.32235, 0.02526, -0.31966, -0.42665, -0.51550, -0.39188,
      -0.33714, -0.27669, -0.21388, 0},
     -0.38289,
     0.37095,
     -0.51550},
    {"Botella",
     1000,
     0.01,
     0.01,
     {0, -0.1812881, -0.2023300, -0.2228955, -0.3004561, -0.3885691, -0.2803696, -0.1081999, -0.0620561, 0.0570178,
      0.1886747, 0.3372212, 0.4723329, 0.5169277, 0.5808359, 0.6644227, 1},
     {0, 0.2807056, 0.2962703, 0.3099097, 0.3330442, 0.3769189, 0.3339924, 0.3253592, 0.0257995, -0.3202137, -0.4264545,
      -0.5264392, -0.4103754, -0.3553213, -0.2936869, -0.2279225, 0},
     -0.3885698,
     0.3769447,
     -0.5270771}};
enum { PUBLISHED = sizeof published / sizeof *published };

/* n x n cells of Q2, finer towards the walls. */
static fem_mesh *cavity_mesh(int64_t n)
{
    const int64_t row = n + 1;
    double *x = benchmark_zeros(2 * row * row);
    int32_t *cell = calloc((size_t)(4 * n * n), sizeof *cell);
    for (int64_t i = 0; i < row * row; i++) {
        x[2 * i] = 0.5 - 0.5 * cos(M_PI * (double)(i % row) / (double)n);
        x[2 * i + 1] = 0.5 - 0.5 * cos(M_PI * (double)(i / row) / (double)n);
    }
    for (int64_t i = 0; i < n * n; i++) {
        const int32_t at = (int32_t)(i / n * row + i % n), up = (int32_t)row;
        memcpy(cell + 4 * i, (int32_t[4]){at, at + 1, at + up + 1, at + up}, 4 * sizeof *cell);
    }
    fem_mesh *mesh;
    MUST(fem_mesh_from_arrays(&mesh, FEM_Q2, row * row, x, n * n, cell));
    free(x);
    free(cell);
    return mesh;
}

/* The largest difference of a velocity's component along its centre line. */
static double worst_station(const fem_mesh *mesh, const double *u, int component, const double *at,
                            const double *expected, double *where)
{
    double point[2 * STATIONS], found[STATIONS], *one = benchmark_zeros(mesh->n_nodes), most = 0;
    for (int k = 0; k < STATIONS; k++) {
        point[2 * k] = component == VELOCITY_X ? 0.5 : at[k];
        point[2 * k + 1] = component == VELOCITY_X ? at[k] : 0.5;
    }
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        one[i] = u[COMPONENTS * i + component];
    fem_csr *evaluate;
    MUST(fem_evaluate(&evaluate, mesh, STATIONS, point, -1, NULL));
    fem_csr_apply(evaluate, one, found);
    for (int k = 0; k < STATIONS; k++)
        if (fabs(found[k] - expected[k]) > most) {
            most = fabs(found[k] - expected[k]);
            *where = at[k];
        }
    fem_csr_destroy(&evaluate);
    free(one);
    return most;
}

/* The largest value of `sign` times a component along its centre line, between points 1e-3 apart by a parabola. */
static double extreme(const fem_mesh *mesh, const double *u, int component, double sign)
{
    enum { POINTS = 1001 };
    double *point = benchmark_zeros(2 * POINTS), *found = benchmark_zeros(POINTS),
           *one = benchmark_zeros(mesh->n_nodes);
    for (int k = 0; k < POINTS; k++) {
        point[2 * k + (component == VELOCITY_X)] = k / (POINTS - 1.0);
        point[2 * k + (component == VELOCITY_Y)] = 0.5;
    }
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        one[i] = sign * u[COMPONENTS * i + component];
    fem_csr *evaluate;
    MUST(fem_evaluate(&evaluate, mesh, POINTS, point, -1, NULL));
    fem_csr_apply(evaluate, one, found);
    int best = 1;
    for (int k = 2; k < POINTS - 1; k++)
        best = found[k] > found[best] ? k : best;
    const double low = found[best - 1], middle = found[best], high = found[best + 1], bend = low - 2 * middle + high,
                 most = bend < 0 ? middle - (high - low) * (high - low) / (8 * bend) : middle;
    fem_csr_destroy(&evaluate);
    free(point);
    free(found);
    free(one);
    return sign * most;
}

static void extreme_rows(const fem_mesh *mesh, const double *u, const profiles *g)
{
    const struct {
        const char *name;
        int component;
        double sign, published, allowed;
    } row[] = {{"least u on x = 1/2", VELOCITY_X, -1, g->least_u, g->allowed_u},
               {"largest v on y = 1/2", VELOCITY_Y, 1, g->most_v, g->allowed_v},
               {"least v on y = 1/2", VELOCITY_Y, -1, g->least_v, g->allowed_v}};
    for (int k = 0; k < 3; k++) {
        char name[80];
        (void)snprintf(name, sizeof name, "%s, and %s's", row[k].name, g->by);
        benchmark_row(name, extreme(mesh, u, row[k].component, row[k].sign), row[k].published, row[k].allowed);
    }
}

/* Long implicit Euler steps through growing Reynolds numbers. */
static void cavity(double re, int64_t n)
{
    static const double climb[] = {100, 400, 1000};
    fem_mesh *mesh = cavity_mesh(n);
    const fem_condition conditions[] = {{.boundary = "top", .field = "velocity.x", .constant = 1},
                                        {.boundary = "top", .field = "velocity.y"},
                                        {.boundary = "left", .field = "velocity"},
                                        {.boundary = "right", .field = "velocity"},
                                        {.boundary = "bottom", .field = "velocity"}};
    fem_problem *p;
    MUST(fem_problem_create(&p, &(fem_problem_spec){.equation = "navier_stokes",
                                                    .mesh = mesh,
                                                    .dt = 1e6,
                                                    .n_conditions = 5,
                                                    .condition = conditions,
                                                    .tolerance = 1e-9}));
    double *u = benchmark_zeros(2 * mesh->n_nodes * COMPONENTS), *next = u + mesh->n_nodes * COMPONENTS, where = 0;
    for (int k = 0; k < 3 && climb[k] <= re; k++) {
        const double nu = 1 / climb[k];
        const fem_theta theta = theta_of(&nu);
        MUST(fem_step(p, AD_F64, next, u, no_action, &theta, 1));
        memcpy(u, next, (size_t)(mesh->n_nodes * COMPONENTS) * sizeof *u);
    }
    for (int k = 0; k < PUBLISHED; k++) {
        const profiles *g = &published[k];
        char name[80];
        if (g->re != re)
            continue;
        (void)snprintf(name, sizeof name, "u on x = 1/2 off %s's, worst of %d, %dx%d Q2", g->by, STATIONS, (int)n,
                       (int)n);
        benchmark_row(name, worst_station(mesh, u, VELOCITY_X, ghia_y, g->u, &where), 0, g->allowed_u);
        printf("    at y = %g\n", where);
        (void)snprintf(name, sizeof name, "v on y = 1/2 off %s's, worst of %d, %dx%d Q2", g->by, STATIONS, (int)n,
                       (int)n);
        benchmark_row(name, worst_station(mesh, u, VELOCITY_Y, ghia_x, g->v, &where), 0, g->allowed_v);
        printf("    at x = %g\n", where);
        extreme_rows(mesh, u, g);
    }
    free(u);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
}

static void cavity_100(void)
{
    cavity(100, 32);
}
static void cavity_100_brief(void)
{
    cavity(100, 12);
}
static void cavity_1000(void)
{
    cavity(1000, 40);
}
static void cavity_1000_brief(void)
{
    cavity(1000, 20);
}

/* ---- the channel with a cylinder ---- */

static const double LENGTH = 2.2, HEIGHT = 0.41, CENTRE = 0.2, RADIUS = 0.05, HALF = 0.1;

typedef struct mesh_maker {
    double *x;
    int32_t *cell, *wall;
    int64_t vertices, cells, walls, room;
} mesh_maker;

/* The vertex at a place, which may be there already. */
static int32_t vertex_at(mesh_maker *m, double x, double y)
{
    for (int64_t i = m->vertices - 1; i >= 0; i--)
        if (fabs(m->x[2 * i] - x) + fabs(m->x[2 * i + 1] - y) < 1e-9)
            return (int32_t)i;
    m->x[2 * m->vertices] = x;
    m->x[2 * m->vertices + 1] = y;
    return (int32_t)m->vertices++;
}

static void add_cell(mesh_maker *m, const double corner[4][2])
{
    for (int k = 0; k < 4; k++)
        m->cell[4 * m->cells + k] = vertex_at(m, corner[k][0], corner[k][1]);
    m->cells++;
}

/* A point of the ring between the cylinder and the square about it: `turn` in cells counter-clockwise from the square's
 * lower right corner, 4 `around` of them, `out` from 0 on the cylinder to 1. */
static void ring_point(double *x, int around, int turn, double out)
{
    const int n = 4 * around, side = turn % n / around;
    const double angle = 2 * M_PI * turn / n - M_PI / 4, s = 2.0 * (turn % around) / around - 1;
    /* the polygon has the circle's area */
    const double r = RADIUS * sqrt(2 * M_PI / n / sin(2 * M_PI / n));
    const double square[4][2] = {{1, s}, {-s, 1}, {-1, -s}, {s, -1}};
    const double circle[2] = {r * cos(angle), r * sin(angle)};
    for (int d = 0; d < 2; d++)
        x[d] = CENTRE + (1 - out) * circle[d] + out * HALF * square[side][d];
}

/* `around` cells on each side of the square, `out` from the cylinder to it, finer at the cylinder. */
static void add_ring(mesh_maker *m, int around, int out)
{
    for (int k = 0; k < out; k++)
        for (int t = 0; t < 4 * around; t++) {
            const double in_ = (double)k / out, out_ = (k + 1.0) / out;
            const double a = 0.6 * in_ * in_ + 0.4 * in_, b = 0.6 * out_ * out_ + 0.4 * out_;
            double corner[4][2];
            ring_point(corner[0], around, t, a);
            ring_point(corner[1], around, t, b);
            ring_point(corner[2], around, t + 1, b);
            ring_point(corner[3], around, t + 1, a);
            add_cell(m, corner);
            if (k == 0) {
                m->wall[2 * m->walls] = m->cell[4 * (m->cells - 1)];
                m->wall[2 * m->walls++ + 1] = m->cell[4 * (m->cells - 1) + 3];
            }
        }
}

/* Rectangles around the square, which grow towards the outlet. */
static void add_rectangles(mesh_maker *m, int around, int before, int below, int after)
{
    double x[256], y[64];
    int nx = 0, ny = 0;
    const double low = CENTRE - HALF, high = CENTRE + HALF;
    for (int k = 0; k < before; k++)
        x[nx++] = low * k / before;
    for (int k = 0; k < around; k++)
        x[nx++] = low + 2 * HALF * k / around;
    for (int k = 0; k <= after; k++) {
        const double s = (double)k / after;
        x[nx++] = high + (LENGTH - high) * (0.65 * s * s + 0.35 * s);
    }
    for (int k = 0; k < below; k++)
        y[ny++] = low * k / below;
    for (int k = 0; k < around; k++)
        y[ny++] = low + 2 * HALF * k / around;
    for (int k = 0; k <= below; k++)
        y[ny++] = high + (HEIGHT - high) * k / below;
    for (int i = 0; i + 1 < nx; i++)
        for (int j = 0; j + 1 < ny; j++) {
            if (i >= before && i < before + around && j >= below && j < below + around)
                continue;
            const double corner[4][2] = {{x[i], y[j]}, {x[i + 1], y[j]}, {x[i + 1], y[j + 1]}, {x[i], y[j + 1]}};
            add_cell(m, corner);
        }
}

static fem_mesh *channel_mesh(int around, int out, int before, int below, int after)
{
    mesh_maker m = {.room = 20000};
    m.x = benchmark_zeros(2 * m.room);
    m.cell = calloc((size_t)(4 * m.room), sizeof *m.cell);
    m.wall = calloc((size_t)(2 * m.room), sizeof *m.wall);
    add_ring(&m, around, out);
    add_rectangles(&m, around, before, below, after);
    /* The sides by where the faces lie. */
    static const char *const name[5] = {"cylinder", "left", "right", "bottom", "top"};
    fem_named_faces faces[5] = {{"cylinder", m.walls, m.wall}};
    int32_t *list = calloc((size_t)(8 * m.room), sizeof *list);
    for (int side = 1, at = 0; side < 5; side++) {
        faces[side] = (fem_named_faces){name[side], 0, list + at};
        for (int64_t k = 0; k < 4 * m.cells; k++) {
            const int32_t a = m.cell[k], b = m.cell[k / 4 * 4 + (k + 1) % 4];
            const int axis = side < 3 ? 0 : 1;
            const double place = side % 2 ? 0 : side == 2 ? LENGTH : HEIGHT;
            if (fabs(m.x[2 * a + axis] - place) > 1e-9 || fabs(m.x[2 * b + axis] - place) > 1e-9)
                continue;
            list[at++] = a;
            list[at++] = b;
            faces[side].count++;
        }
    }
    fem_mesh *mesh;
    MUST(fem_mesh_build(&mesh, &(fem_mesh_arrays){.element = FEM_Q2,
                                                  .n_vertices = m.vertices,
                                                  .vertices = m.x,
                                                  .n_cells = m.cells,
                                                  .cells = m.cell,
                                                  .n_boundaries = 5,
                                                  .boundary = faces}));
    free(m.x);
    free(m.cell);
    free(m.wall);
    free(list);
    return mesh;
}

static double inflow(const double *x, void *peak)
{
    return *(const double *)peak * 4 * x[1] * (HEIGHT - x[1]) / (HEIGHT * HEIGHT);
}

typedef struct channel {
    fem_mesh *mesh;
    fem_problem *flow, *loose; /* loose: the cylinder let go, for the forces */
    double peak, viscosity;
} channel;

static void channel_make(channel *c, fem_mesh *mesh, double peak, double dt, fem_scheme scheme)
{
    *c = (channel){.mesh = mesh, .peak = peak, .viscosity = 1e-3};
    const fem_condition conditions[] = {
        {.boundary = "left", .field = "velocity.x", .gain = 1, .profile = inflow, .context = &c->peak},
        {.boundary = "left", .field = "velocity.y"},
        {.boundary = "bottom", .field = "velocity"},
        {.boundary = "top", .field = "velocity"},
        {.boundary = "cylinder", .field = "velocity"}};
    fem_problem_spec spec = {.equation = "navier_stokes",
                             .mesh = mesh,
                             .dt = dt,
                             .scheme = scheme,
                             .n_conditions = 5,
                             .condition = conditions,
                             .tolerance = 1e-9};
    MUST(fem_problem_create(&c->flow, &spec));
    spec.n_conditions = 4;
    MUST(fem_problem_create(&c->loose, &spec));
}

static void channel_free(channel *c)
{
    fem_problem_destroy(&c->flow);
    fem_problem_destroy(&c->loose);
    fem_mesh_destroy(&c->mesh);
}

/* Force on the cylinder along both axes. */
static void force(const channel *c, const double *u1, const double *u0, double f[2])
{
    const fem_mesh *mesh = c->mesh;
    double *r = benchmark_zeros(mesh->n_nodes * COMPONENTS);
    const fem_theta theta = theta_of(&c->viscosity);
    unsigned char *seen = calloc((size_t)mesh->n_nodes, 1);
    int label;
    MUST(fem_mesh_label(mesh, "cylinder", &label));
    MUST(fem_residual(c->loose, AD_F64, r, u1, u0, no_action, &theta, 1));
    f[0] = f[1] = 0;
    for (int64_t k = 0; k < mesh->n_faces * mesh->face_node_count; k++) {
        const int64_t node = mesh->face_nodes[k];
        if (mesh->face_label[k / mesh->face_node_count] != label || seen[node])
            continue;
        seen[node] = 1;
        f[0] -= r[node * COMPONENTS];
        f[1] -= r[node * COMPONENTS + 1];
    }
    free(seen);
    free(r);
}

static double pressure_at(const fem_mesh *mesh, const double *u, double x, double y)
{
    int64_t best = 0;
    double least = INFINITY;
    for (int64_t i = 0; i < mesh->n_nodes; i++) {
        const double d = hypot(mesh->nodes[2 * i] - x, mesh->nodes[2 * i + 1] - y);
        best = d < least ? i : best;
        least = fmin(least, d);
    }
    return u[best * COMPONENTS + PRESSURE];
}

static void steady(int around, int out, int before, int below, int after, double allowed)
{
    channel c;
    channel_make(&c, channel_mesh(around, out, before, below, after), 0.3, 1e6, FEM_BACKWARD_EULER);
    const int64_t n = c.mesh->n_nodes;
    double *u = benchmark_zeros(2 * n * COMPONENTS), *next = u + n * COMPONENTS, f[2];
    const fem_theta theta = theta_of(&c.viscosity);
    MUST(fem_step(c.flow, AD_F64, next, u, no_action, &theta, 1));
    force(&c, next, next, f);
    const double unit = 0.2 * 0.2 * 2 * RADIUS / 2;
    printf("    %d cells, %d unknowns\n", (int)c.mesh->n_cells, (int)(n * COMPONENTS));
    benchmark_row("drag coefficient, Re 20", f[0] / unit, 5.57953523384, 5.58 * allowed);
    benchmark_row("lift coefficient, Re 20", f[1] / unit, 0.010618948146, 0.01 * 5 * allowed);
    benchmark_row("pressure drop, Re 20",
                  pressure_at(c.mesh, next, CENTRE - RADIUS, CENTRE) -
                      pressure_at(c.mesh, next, CENTRE + RADIUS, CENTRE),
                  0.11752016697, 0.1175 * allowed);
    free(u);
    channel_free(&c);
}

static void steady_full(void)
{
    steady(20, 12, 8, 8, 44, 0.01);
}
static void steady_brief(void)
{
    steady(8, 5, 4, 4, 16, 0.02);
}

/* Midpoint steps from rest until vortices are shed regularly; the force of a step is that of its midpoint. */
static void shedding(int around, int out, int before, int below, int after, double dt, double end)
{
    channel c;
    channel_make(&c, channel_mesh(around, out, before, below, after), 1.5, dt, FEM_MIDPOINT);
    const int64_t n = c.mesh->n_nodes;
    const int steps = (int)(end / dt);
    double *u = benchmark_zeros(2 * n * COMPONENTS), *next = u + n * COMPONENTS, drag = -1, lift = -1, before_lift = 0;
    double first = 0, last = 0;
    int crossings = 0;
    const fem_theta theta = theta_of(&c.viscosity);
    const double unit = 2 * RADIUS / 2;
    printf("    %d cells, %d unknowns, %d steps\n", (int)c.mesh->n_cells, (int)(n * COMPONENTS), steps);
    for (int k = 0; k < steps; k++) {
        double f[2];
        MUST(fem_step(c.flow, AD_F64, next, u, no_action, &theta, 1));
        force(&c, next, u, f);
        double *swap = u;
        u = next;
        next = swap;
        if (k % 100 == 99)
            fprintf(stderr, "    t %.2f drag %.4f lift %.4f\n", (k + 1) * dt, f[0] / unit, f[1] / unit);
        if (k * dt > end - 1.5) {
            drag = fmax(drag, f[0] / unit);
            lift = fmax(lift, f[1] / unit);
            if (before_lift < 0 && f[1] >= 0) { /* where it rises through zero */
                last = (k - f[1] / (f[1] - before_lift)) * dt;
                first = crossings++ == 0 ? last : first;
            }
        }
        before_lift = f[1];
    }
    benchmark_row("Strouhal number, Re 100", crossings > 1 ? (crossings - 1) / (last - first) * 2 * RADIUS : 0, 0.3,
                  0.005);
    benchmark_row("largest drag coefficient, Re 100", drag, 3.23, 0.01);
    benchmark_row("largest lift coefficient, Re 100", lift, 1.0, 0.01);
    free(u < next ? u : next);
    channel_free(&c);
}

static void shedding_full(void)
{
    shedding(12, 8, 6, 5, 32, 1.0 / 200, 7);
}

/* Vortices take too long to form for a test. */
static void shedding_none(void)
{
    printf("    takes minutes: only in full\n");
}

static const benchmark_case cases[] = {
    {"cavity_100", "lid-driven cavity at Re 100 against Ghia et al. 1982", cavity_100, cavity_100_brief},
    {"cavity_1000", "lid-driven cavity at Re 1000 against Ghia et al. 1982, Botella & Peyret 1998", cavity_1000,
     cavity_1000_brief},
    {"cylinder_steady", "DFG benchmark 2D-1", steady_full, steady_brief},
    {"cylinder_shedding", "DFG benchmark 2D-2", shedding_full, shedding_none},
};

int main(int argc, char **argv)
{
    return benchmark_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
