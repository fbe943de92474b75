/* A thousand seeded bad inputs: each is a good problem, mesh or call of some equation on some element with one thing
 * wrong, drawn with its numbers from the seed. Each must end in its error, whose message names the thing, and leave no
 * problem behind. */
#include "cases.h"

TestSuite(bad_inputs, .fini = fem_finalize);

enum { SEEDS = 1000 };

typedef struct draw {
    uint32_t seed, at;
} draw;

static double uniform(draw *d)
{
    return fwm_random_uniform((fwm_key){23, d->seed}, 0, d->at++);
}

static int pick(draw *d, int n)
{
    return (int)(uniform(d) * n) % n;
}

/* Zero, below zero, infinite or no number: what no size may be. */
static double no_size(draw *d)
{
    const double bad[] = {0, -uniform(d), -1e300, (double)INFINITY, -(double)INFINITY, (double)NAN};
    return bad[pick(d, 6)];
}

static double not_finite(draw *d)
{
    const double bad[] = {(double)INFINITY, -(double)INFINITY, (double)NAN};
    return bad[pick(d, 3)];
}

static double nowhere(const double *x, void *context)
{
    (void)x, (void)context;
    return (double)NAN;
}

/* A good problem, and room for what a fault adds. */
typedef struct subject {
    const equation_case *c;
    const fem_equation *equation;
    fem_mesh *mesh;
    int dim;
    fem_problem_spec spec;
    fem_condition condition[FEM_MAX_CONDITIONS + 4];
    fem_source source[FEM_MAX_ACTIONS + 4];
    char text[64];
} subject;

static subject subject_make(draw *d, bool needs_natural)
{
    subject s = {0};
    do {
        s.c = &equation_cases[pick(d, EQUATION_CASES)];
        s.equation = case_equation(s.c);
    } while (needs_natural && s.equation->n_natural == 0);
    fem_element element;
    do
        element = (fem_element)pick(d, FEM_ELEMENT_COUNT);
    while (!case_lives(s.c, element));
    s.mesh = case_mesh(element);
    s.dim = s.mesh->dim;
    return s;
}

/* Pointers into the subject itself: once it stands where it stays. */
static void subject_fill(subject *s)
{
    s->condition[0] = (fem_condition){.boundary = "left", .field = s->c->held, .constant = 0.1};
    s->source[0] = (fem_source){.power = 0.3, .field = s->c->sourced, .density = case_bump, .context = &s->dim};
    s->spec = (fem_problem_spec){.equation = s->c->name,
                                 .mesh = s->mesh,
                                 .dt = s->c->dt,
                                 .n_sources = 1,
                                 .source = s->source,
                                 .n_conditions = 1,
                                 .condition = s->condition};
}

static fem_condition *add_condition(subject *s, fem_condition c)
{
    s->condition[s->spec.n_conditions] = c;
    return &s->condition[s->spec.n_conditions++];
}

static const char *other_side(draw *d)
{
    static const char *const side[] = {"right", "bottom", "top"};
    return side[pick(d, 3)];
}

/* ---- what may be wrong with a problem: each returns a word of its message ---- */

static const char *bad_step(subject *s, draw *d)
{
    s->spec.dt = no_size(d);
    return "dt";
}

static const char *bad_substeps(subject *s, draw *d)
{
    s->spec.substeps = pick(d, 2) ? -1 - pick(d, 1000) : FEM_MAX_SUBSTEPS + 1 + pick(d, 1000);
    return "substeps";
}

static const char *too_few_substeps(subject *s, draw *d)
{
    s->spec.scheme = pick(d, 2) ? FEM_BDF2 : FEM_GENERALISED_ALPHA;
    s->spec.substeps = 1;
    return "substeps";
}

static const char *bad_radius(subject *s, draw *d)
{
    s->spec.spectral_radius = pick(d, 2) ? 1.01 + uniform(d) : -0.01 - uniform(d);
    return "spectral radius";
}

static const char *bad_choice(subject *s, draw *d)
{
    if (pick(d, 2)) {
        s->spec.scheme = (fem_scheme)(FEM_SCHEME_COUNT + pick(d, 100));
        return "scheme";
    }
    s->spec.norm = (fem_norm)(FEM_NORM_COUNT + pick(d, 100));
    return "norm";
}

static const char *unknown_equation(subject *s, draw *d)
{
    (void)snprintf(s->text, sizeof s->text, "equation%d", pick(d, 1000));
    s->spec.equation = s->text;
    return s->text;
}

static const char *unknown_boundary(subject *s, draw *d)
{
    (void)snprintf(s->text, sizeof s->text, "leeward%d", pick(d, 1000));
    if (pick(d, 2))
        s->condition[0].boundary = s->text;
    else
        s->source[0] = (fem_source){.power = 1, .field = s->c->sourced, .boundary = s->text};
    return s->text;
}

static const char *unknown_field(subject *s, draw *d)
{
    (void)snprintf(s->text, sizeof s->text, "%s%d", pick(d, 2) ? "humour" : s->c->held, pick(d, 1000));
    if (pick(d, 2))
        s->condition[0].field = s->text;
    else
        s->source[0].field = s->text;
    return s->text;
}

static const char *unknown_axis(subject *s, draw *d)
{
    (void)snprintf(s->text, sizeof s->text, "%.40s.%c", s->equation->field[0], "wuv"[pick(d, 3)]);
    s->condition[0].field = s->text;
    return s->text;
}

static const char *unknown_natural(subject *s, draw *d)
{
    (void)snprintf(s->text, sizeof s->text, "suction%d", pick(d, 1000));
    add_condition(s, (fem_condition){.boundary = other_side(d), .natural = s->text});
    return s->text;
}

static const char *condition_of_nothing(subject *s, draw *d)
{
    add_condition(s, (fem_condition){.boundary = other_side(d)});
    return "condition 1";
}

static const char *condition_nowhere(subject *s, draw *d)
{
    (void)d;
    s->condition[0].boundary = NULL;
    return "condition 0";
}

static const char *condition_not_finite(subject *s, draw *d)
{
    switch (pick(d, 3)) {
    case 0:
        s->condition[0].constant = not_finite(d);
        break;
    case 1:
        s->condition[0].gain = not_finite(d);
        break;
    default:
        s->condition[0].gain = 1;
        s->condition[0].profile = nowhere;
    }
    return "not finite";
}

static const char *held_twice(subject *s, draw *d)
{
    add_condition(s, (fem_condition){.boundary = "left", .field = s->c->held, .constant = uniform(d)});
    return "contradictory";
}

static const char *too_many(subject *s, draw *d)
{
    switch (pick(d, 3)) {
    case 0:
        s->spec.n_conditions = FEM_MAX_CONDITIONS + 1 + pick(d, 3);
        return "conditions";
    case 1:
        s->spec.n_conditions = -1 - pick(d, 9);
        return "conditions";
    default:
        s->spec.n_sources = pick(d, 2) ? -1 : FEM_MAX_ACTIONS + 1;
        return "sources";
    }
}

static const char *too_many_actions(subject *s, draw *d)
{
    for (int k = 0; k < FEM_MAX_ACTIONS; k++)
        s->source[k] = s->source[0];
    s->spec.n_sources = FEM_MAX_ACTIONS;
    s->condition[0].driven = true;
    (void)d;
    return "actions";
}

static const char *bad_source(subject *s, draw *d)
{
    switch (pick(d, 3)) {
    case 0:
        s->source[0].power = not_finite(d);
        return "power";
    case 1:
        s->source[0].density = nowhere;
        return "source 0";
    default:
        s->source[0] = (fem_source){.x = 0.5, .y = 0.4, .half_width = no_size(d), .power = 1, .field = s->c->sourced};
        return "source 0";
    }
}

static const char *bad_weight(subject *s, draw *d)
{
    switch (pick(d, 4)) {
    case 0:
        s->spec.scale = pick(d, 2) ? -uniform(d) - 0.01 : (double)NAN;
        return "scale";
    case 1:
        s->spec.field_weight[0] = not_finite(d);
        return "weight";
    case 2:
        s->spec.field_scale[0] = pick(d, 2) ? -uniform(d) - 0.01 : (double)INFINITY;
        return "scale";
    default:
        s->spec.tolerance = pick(d, 2) ? 1 + uniform(d) : -1e-9;
        return "tolerance";
    }
}

static const char *bad_reference(subject *s, draw *d)
{
    const int k = pick(d, s->equation->n_parameters);
    s->spec.reference[k] = s->equation->parameter[k].hi * 2 + 1;
    return s->equation->parameter[k].name;
}

/* ---- contradictions with natural conditions ---- */

static void hold_everything(subject *s, const char *side)
{
    for (int f = 0; f < s->equation->n_fields; f++)
        if (!(s->equation->field_kind[f] & FEM_FIELD_MULTIPLIER))
            add_condition(s, (fem_condition){.boundary = side, .field = s->equation->field[f], .constant = 0.9});
}

static const char *natural_where_all_is_held(subject *s, draw *d)
{
    const char *side = other_side(d), *natural = s->equation->natural[pick(d, s->equation->n_natural)];
    if (pick(d, 2)) {
        hold_everything(s, side);
        add_condition(s, (fem_condition){.boundary = side, .natural = natural});
    } else {
        add_condition(s, (fem_condition){.boundary = side, .natural = natural});
        hold_everything(s, side);
    }
    return "contradictory";
}

static const char *natural_twice(subject *s, draw *d)
{
    const char *side = other_side(d), *natural = s->equation->natural[pick(d, s->equation->n_natural)];
    add_condition(s, (fem_condition){.boundary = side, .natural = natural});
    add_condition(s, (fem_condition){.boundary = side, .natural = natural});
    return "contradictory";
}

static const char *natural_driven(subject *s, draw *d)
{
    const char *natural = s->equation->natural[pick(d, s->equation->n_natural)];
    add_condition(s, (fem_condition){.boundary = other_side(d), .natural = natural, .driven = true});
    return natural;
}

static const struct problem_fault {
    const char *(*spoil)(subject *s, draw *d);
    bool natural; /* only for equations with natural conditions */
} problem_faults[] = {{bad_step, false},
                      {bad_substeps, false},
                      {too_few_substeps, false},
                      {bad_radius, false},
                      {bad_choice, false},
                      {unknown_equation, false},
                      {unknown_boundary, false},
                      {unknown_field, false},
                      {unknown_axis, false},
                      {unknown_natural, false},
                      {condition_of_nothing, false},
                      {condition_nowhere, false},
                      {condition_not_finite, false},
                      {held_twice, false},
                      {too_many, false},
                      {too_many_actions, false},
                      {bad_source, false},
                      {bad_weight, false},
                      {bad_reference, false},
                      {natural_where_all_is_held, true},
                      {natural_twice, true},
                      {natural_driven, true}};
enum { PROBLEM_FAULTS = sizeof problem_faults / sizeof *problem_faults };

static void check_problem(draw *d)
{
    const int fault = pick(d, PROBLEM_FAULTS);
    subject s = subject_make(d, problem_faults[fault].natural);
    fem_problem *p = NULL;
    subject_fill(&s);
    MUST(fem_problem_create(&p, &s.spec)); /* good but for the fault */
    fem_problem_destroy(&p);
    const char *said = problem_faults[fault].spoil(&s, d);
    cr_expect_eq(fem_problem_create(&p, &s.spec), FWM_INVALID, "seed %u, fault %d of %s", d->seed, fault, s.c->name);
    cr_expect(!p && strstr(fwm_error_message(), said), "seed %u, fault %d of %s: expected '%s' in: %s", d->seed, fault,
              s.c->name, said, fwm_error_message());
    fem_problem_destroy(&p);
    fem_mesh_destroy(&s.mesh);
}

/* ---- calls ---- */

/* One state that a call takes, with one thing wrong. */
static void check_call(draw *d)
{
    enum { BATCH = 3, KINDS = 6 };
    subject s = subject_make(d, false);
    const int kind = pick(d, KINDS), what = pick(d, s.equation->n_parameters), sample = pick(d, BATCH);
    const fem_parameter *q = &s.equation->parameter[what];
    subject_fill(&s);
    fem_problem *p;
    MUST(fem_problem_create(&p, &s.spec));
    const int64_t n = s.mesh->n_nodes * fem_problem_components(p);
    double *u0 = case_states(s.c, s.mesh, 1, BATCH), *u1 = case_states(s.c, s.mesh, 2, BATCH),
           *theta[FEM_MAX_PARAMETERS], *y = malloc((size_t)(BATCH * n) * 8), a[BATCH * FEM_MAX_ACTIONS] = {0};
    fem_theta t = {{0}, {0}};
    for (int k = 0; k < s.equation->n_parameters; k++) {
        theta[k] = case_parameter(s.c, s.mesh, k, &t.count[k]);
        t.value[k] = theta[k];
    }
    int64_t batch = BATCH;
    fwm_status expected = FWM_INVALID;
    const char *said = q->name;
    char number[32];
    bool step = pick(d, 2);
    if (kind == 0) { /* out of range, among them negative conductivities */
        const double bad[] = {q->lo - 1 - uniform(d), q->hi * 2 + 1, not_finite(d)};
        theta[what][pick(d, (int)t.count[what])] = bad[pick(d, 3)];
    } else if (kind == 1) {
        t.value[what] = NULL;
    } else if (kind == 2) {
        t.count[what] = s.mesh->n_cells + 1 + pick(d, 5);
        expected = FWM_SHAPE;
    } else if (kind == 3) {
        batch = -pick(d, 3);
        said = "batch";
    } else {
        /* a state or an action that is no number is met by the solver, which names the sample */
        step = true;
        expected = FWM_NUMERIC;
        if (kind == 4)
            u0[sample * n + pick(d, s.mesh->dim) + (pick(d, (int)s.mesh->n_nodes)) * fem_problem_components(p)] =
                not_finite(d);
        else
            a[sample * fem_problem_actions(p)] = not_finite(d);
        (void)snprintf(number, sizeof number, "sample %d", sample);
        said = number;
    }
    const fwm_status found =
        step ? fem_step(p, AD_F64, y, u0, a, &t, batch) : fem_residual(p, AD_F64, y, u1, u0, a, &t, batch);
    cr_expect_eq(found, expected, "seed %u, call %d of %s on %s %s: status %d", d->seed, kind, s.c->name,
                 fem_element_cell(s.mesh->element), fem_element_space(s.mesh->element), (int)found);
    cr_expect(found == FWM_OK || strstr(fwm_error_message(), said), "seed %u, call %d of %s: expected '%s' in: %s",
              d->seed, kind, s.c->name, said, fwm_error_message());
    for (int k = 0; k < s.equation->n_parameters; k++)
        free(theta[k]);
    free(u0), free(u1), free(y);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&s.mesh);
}

/* ---- meshes ---- */

/* Arrays of a good box with one thing wrong; the error names the cell, the vertex or the name. */
static void check_mesh(draw *d)
{
    const fem_element element = (fem_element)pick(d, FEM_ELEMENT_COUNT);
    fem_mesh *box = plain_box(element, 2), *mesh = NULL;
    const int corners = box->cell_vertices, dim = box->dim;
    const int64_t cell = pick(d, (int)box->n_cells), vertex = box->cells[cell * corners];
    const char *said = "cell", *region[1] = {"plate"};
    int32_t *where = calloc((size_t)box->n_cells, sizeof *where), inside[4];
    fem_named_faces faces = {"wall", 1, box->faces};
    fem_mesh_arrays arrays = {.element = element,
                              .n_vertices = box->n_vertices,
                              .vertices = box->vertices,
                              .n_cells = box->n_cells,
                              .cells = box->cells,
                              .n_boundaries = 1,
                              .boundary = &faces,
                              .n_regions = 1,
                              .region_name = region,
                              .cell_region = where};
    switch (pick(d, 7)) {
    case 0: /* flat: all of it in one plane */
        for (int k = 0; k < corners; k++)
            box->vertices[dim * (int64_t)box->cells[cell * corners + k]] = 0.5;
        break;
    case 1: /* a corner pulled through the cell, so that it or a neighbour is turned inside out */
        for (int e = 0; e < dim; e++)
            box->vertices[dim * vertex + e] += 5;
        break;
    case 2:
        box->cells[cell * corners + pick(d, corners)] = pick(d, 2) ? -1 - pick(d, 9) : (int32_t)box->n_vertices;
        break;
    case 3:
        box->cells[cell * corners + 1] = box->cells[cell * corners];
        break;
    case 4:
        box->vertices[dim * vertex + pick(d, dim)] = not_finite(d);
        said = "vertex";
        break;
    case 5:
        where[cell] = pick(d, 2) ? -1 : 1 + pick(d, 9);
        said = "region";
        break;
    default: /* a face that bounds nothing: from one corner of the box to the other */
        for (int k = 0; k < box->face_vertices; k++)
            inside[k] = (int32_t)(k * (box->n_vertices - 1) / (box->face_vertices - 1));
        faces.faces = inside;
        said = "wall";
    }
    const fwm_status found = fem_mesh_build(&mesh, &arrays);
    cr_expect(found == FWM_DATA || found == FWM_INVALID, "seed %u: status %d", d->seed, (int)found);
    cr_expect(!mesh && strstr(fwm_error_message(), said), "seed %u: expected '%s' in: %s", d->seed, said,
              fwm_error_message());
    fem_mesh_destroy(&mesh);
    free(where);
    fem_mesh_destroy(&box);
}

Test(bad_inputs, a_thousand_are_named)
{
    MUST(fwm_threads_init(1));
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        draw d = {seed, 0};
        const int where = pick(&d, 10);
        if (where < 6)
            check_problem(&d);
        else if (where < 8)
            check_call(&d);
        else
            check_mesh(&d);
    }
}

/* Names of regions and boundaries that a mesh has not. */
Test(bad_inputs, names_that_a_mesh_has_not)
{
    fem_mesh *mesh = plain_box(FEM_P1, 2);
    int found;
    cr_expect_eq(fem_mesh_region(mesh, "inclusion", &found), FWM_INVALID);
    cr_expect(strstr(fwm_error_message(), "inclusion"), "%s", fwm_error_message());
    cr_expect_eq(fem_mesh_label(mesh, "front", &found), FWM_INVALID);
    cr_expect(strstr(fwm_error_message(), "front"), "%s", fwm_error_message());
    fem_mesh_destroy(&mesh);
}
