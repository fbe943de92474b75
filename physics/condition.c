/* Conditions on boundaries: which unknowns are not free, and which faces a natural condition sweeps. */
#include "physics/problem_impl.h"

#include "model/base/arena.h"

#include <math.h>
#include <string.h>

/* What holds an unknown: a condition's number from 0, or one of these. */
enum { FREE = -1, MEAN = -2, PINNED = -3, LISTED = -4 };

/* ---- components on vertices ---- */

/* Reference coordinates of a cell's node: where the first cell's map meets it. Nodes of a periodic mesh may belong to
 * another image, so the first cell that holds its node itself is asked. */
static void node_reference(const fem_mesh *mesh, int node, double reference[FEM_MAX_DIM])
{
    for (int64_t cell = 0; cell < mesh->n_cells; cell++) {
        const double *x = mesh->nodes + mesh->dim * (int64_t)mesh->cell_nodes[cell * mesh->cell_node_count + node];
        if (fem_cell_inverse(mesh, cell, x, 1e-6, reference))
            return;
    }
}

/* Which nodes of a cell lie between vertices, and the vertices' nodes that they average: from the functions that map
 * the cell, which are those of first order. */
static void find_averages(fem_problem *p)
{
    const fem_mesh *mesh = p->mesh;
    const fem_cell_shape *shape = fem_shape(mesh);
    const int nodes = mesh->cell_node_count;
    int at_vertex[FEM_MAX_CELL_VERTICES];
    double value[FEM_MAX_CELL_NODES][FEM_MAX_CELL_VERTICES], slope[FEM_MAX_CELL_VERTICES * FEM_MAX_DIM];
    for (int i = 0; i < nodes; i++) {
        double reference[FEM_MAX_DIM] = {0};
        node_reference(mesh, i, reference);
        fem_vertex_functions(shape, reference, value[i], slope);
        for (int v = 0; v < shape->vertices; v++)
            if (value[i][v] > 0.99)
                at_vertex[v] = i;
    }
    for (int i = 0; i < nodes; i++) {
        fem_average *m = &p->average[i];
        *m = (fem_average){0};
        for (int v = 0; v < shape->vertices; v++)
            if (value[i][v] > 0.01 && value[i][v] < 0.99)
                m->vertex[m->count++] = (int8_t)at_vertex[v];
    }
}

bool fem_on_vertices(const fem_problem *p, int component)
{
    const fem_equation *e = p->equation;
    for (int k = 0, at = 0; k < e->n_fields; k++) {
        at += e->field_kind[k] & FEM_FIELD_VECTOR ? p->mesh->dim : 1;
        if (component < at)
            return (e->field_kind[k] & FEM_FIELD_VERTICES) && fem_element_table[p->mesh->element].degree > 1;
    }
    return false;
}

static void mark_means(const fem_problem *p, int *held)
{
    const fem_mesh *mesh = p->mesh;
    const int nodes = mesh->cell_node_count;
    for (int c = 0; c < p->components; c++)
        for (int64_t e = 0; e < mesh->n_cells * nodes && fem_on_vertices(p, c); e++)
            if (p->average[e % nodes].count > 0)
                held[(int64_t)mesh->cell_nodes[e] * p->components + c] = MEAN;
}

/* ---- essential conditions ---- */

static fwm_status check_essential(const fem_problem *p, int k, int *first, int *count, int *label)
{
    const fem_condition *c = &p->spec.condition[k];
    FWM_TRY(fem_equation_component(p->equation, p->mesh->dim, c->field, first, count));
    FWM_TRY(fem_mesh_label(p->mesh, c->boundary, label));
    FWM_CHECK(isfinite(c->constant) && isfinite(c->gain), FWM_INVALID,
              "problem: the condition on %s at %s is not finite", c->field, c->boundary);
    for (int j = 0; j < k; j++) {
        const fem_condition *other = &p->spec.condition[j];
        int first_other, count_other;
        if (!other->field || strcmp(other->boundary, c->boundary) != 0)
            continue;
        FWM_TRY(fem_equation_component(p->equation, p->mesh->dim, other->field, &first_other, &count_other));
        FWM_CHECK(first_other + count_other <= *first || *first + *count <= first_other, FWM_INVALID,
                  "problem: contradictory conditions on boundary %s: %s is given twice", c->boundary, c->field);
    }
    return FWM_OK;
}

static fwm_status mark_essential(const fem_problem *p, int k, int *held)
{
    const fem_mesh *mesh = p->mesh;
    int first, count, label;
    FWM_TRY(check_essential(p, k, &first, &count, &label));
    for (int64_t face = 0; face < mesh->n_faces; face++)
        for (int i = 0; i < mesh->face_node_count && mesh->face_label[face] == label; i++)
            for (int c = first; c < first + count; c++) {
                int64_t dof = (int64_t)mesh->face_nodes[face * mesh->face_node_count + i] * p->components + c;
                held[dof] = held[dof] == MEAN ? MEAN : k;
            }
    return FWM_OK;
}

/* A multiplier is determined up to a constant where no face of the boundary is free in the first field that it acts on:
 * its first unknown is then zero. */
static void pin_multipliers(const fem_problem *p, int *held)
{
    const fem_equation *e = p->equation;
    const fem_mesh *mesh = p->mesh;
    for (int k = 0, at = 0; k < e->n_fields; k++) {
        const int width = e->field_kind[k] & FEM_FIELD_VECTOR ? mesh->dim : 1;
        bool determined = !(e->field_kind[k] & FEM_FIELD_MULTIPLIER);
        for (int64_t i = 0; i < mesh->n_faces * mesh->face_node_count && !determined; i++) {
            const int64_t node = mesh->face_nodes[i];
            /* a node inside a free face is free; a corner may be held by its other face */
            bool free_velocity = false;
            for (int c = 0; c < p->components; c++)
                free_velocity =
                    free_velocity || ((c < at || c >= at + width) && held[node * p->components + c] == FREE);
            determined = free_velocity || held[node * p->components + at] >= 0;
        }
        for (int64_t i = 0; i < mesh->n_nodes && !determined; i++)
            if (held[i * p->components + at] == FREE) {
                held[i * p->components + at] = PINNED;
                determined = true;
            }
        at += width;
    }
}

/* ---- lists ---- */

static fwm_status list_fixed(fem_problem *p, const int *held)
{
    fem_constraints *c = &p->constraints;
    int64_t n = 0;
    for (int64_t i = 0; i < p->dof; i++)
        n += held[i] >= 0 || held[i] == PINNED;
    p->fixed_dof = fwm_malloc((size_t)n, sizeof *p->fixed_dof);
    p->fixed_action = fwm_malloc((size_t)n, sizeof *p->fixed_action);
    p->fixed_constant = fwm_malloc((size_t)n, sizeof *p->fixed_constant);
    p->fixed_gain = fwm_malloc((size_t)n, sizeof *p->fixed_gain);
    FWM_CHECK(p->fixed_dof && p->fixed_action && p->fixed_constant && p->fixed_gain, FWM_MEMORY,
              "out of memory for %lld conditions", (long long)n);
    int32_t action[FEM_MAX_CONDITIONS];
    for (int k = 0, next = p->n_sources + p->equation->n_ambient; k < p->spec.n_conditions; k++)
        action[k] = p->spec.condition[k].driven ? next++ : -1;
    *c = (fem_constraints){
        .dof = p->fixed_dof, .action = p->fixed_action, .constant = p->fixed_constant, .gain = p->fixed_gain};
    for (int64_t i = 0; i < p->dof; i++) {
        if (held[i] < 0 && held[i] != PINNED)
            continue;
        const fem_condition *q = held[i] >= 0 ? &p->spec.condition[held[i]] : NULL;
        const double *x = p->mesh->nodes + i / p->components * p->mesh->dim;
        double gain = q ? q->gain * (q->profile ? q->profile(x, q->context) : 1) : 0;
        FWM_CHECK(isfinite(gain), FWM_INVALID, "problem: the profile of %s at %s is not finite at node %lld", q->field,
                  q->boundary, (long long)(i / p->components));
        p->fixed_dof[c->n] = (int32_t)i;
        p->fixed_action[c->n] = q && q->driven ? action[held[i]] : -1;
        p->fixed_constant[c->n] = q ? q->constant + (q->driven ? 0 : gain) : 0;
        p->fixed_gain[c->n++] = q && q->driven ? gain : 0;
    }
    return FWM_OK;
}

static fwm_status list_means(fem_problem *p, int *held)
{
    const fem_mesh *mesh = p->mesh;
    const int nodes = mesh->cell_node_count;
    int64_t n = 0, at = 0;
    for (int64_t i = 0; i < p->dof; i++)
        n += held[i] == MEAN;
    p->mean_dof = fwm_malloc((size_t)n, sizeof *p->mean_dof);
    p->mean_start = fwm_malloc((size_t)n + 1, sizeof *p->mean_start);
    p->mean_from = fwm_malloc((size_t)n * FEM_MAX_CELL_VERTICES, sizeof *p->mean_from);
    FWM_CHECK(p->mean_dof && p->mean_start && p->mean_from, FWM_MEMORY, "out of memory for %lld conditions",
              (long long)n);
    fem_constraints *c = &p->constraints;
    for (int64_t e = 0; e < mesh->n_cells * nodes; e++)
        for (int k = 0; k < p->components; k++) {
            const int64_t dof = (int64_t)mesh->cell_nodes[e] * p->components + k;
            if (held[dof] != MEAN)
                continue;
            held[dof] = LISTED;
            const fem_average *m = &p->average[e % nodes];
            p->mean_dof[c->n_means] = (int32_t)dof;
            p->mean_start[c->n_means++] = (int32_t)at;
            for (int v = 0; v < m->count; v++)
                p->mean_from[at++] = mesh->cell_nodes[e / nodes * nodes + m->vertex[v]] * p->components + k;
        }
    p->mean_start[c->n_means] = (int32_t)at;
    c->mean = p->mean_dof;
    c->mean_start = p->mean_start;
    c->mean_from = p->mean_from;
    return FWM_OK;
}

/* ---- natural conditions ---- */

static fwm_status list_faces(fem_problem *p, const fem_condition *c)
{
    const fem_equation *e = p->equation;
    const fem_mesh *mesh = p->mesh;
    fem_natural *list = &p->natural[p->n_natural];
    int label;
    list->kind = -1;
    for (int k = 0; k < e->n_natural; k++)
        if (c->natural && strcmp(c->natural, e->natural[k]) == 0)
            list->kind = k;
    FWM_CHECK(list->kind >= 0, FWM_INVALID, "problem: %s has no natural condition '%s' (boundary %s)%s%s", e->name,
              c->natural ? c->natural : "", c->boundary ? c->boundary : "", e->n_natural > 0 ? "; there is " : "",
              e->n_natural > 0 ? e->natural[0] : "");
    FWM_CHECK(!c->driven, FWM_INVALID, "problem: the natural condition %s at %s cannot have an action of its own",
              c->natural, c->boundary);
    FWM_TRY(fem_mesh_label(mesh, c->boundary, &label));
    list->face = fwm_malloc((size_t)mesh->n_faces, sizeof *list->face);
    FWM_CHECK(list->face, FWM_MEMORY, "out of memory for a condition");
    p->n_natural++;
    for (int64_t face = 0; face < mesh->n_faces; face++)
        if (mesh->face_label[face] == label)
            list->face[list->n++] = (int32_t)face;
    return FWM_OK;
}

/* Whether some unknown on these faces is free to meet a natural condition; multipliers are not asked. */
static bool acts_on_something(const fem_problem *p, const fem_natural *list, const int *held)
{
    const fem_equation *e = p->equation;
    const fem_mesh *mesh = p->mesh;
    for (int k = 0, at = 0; k < e->n_fields; k++) {
        const int width = e->field_kind[k] & FEM_FIELD_VECTOR ? mesh->dim : 1;
        for (int64_t i = 0; i < list->n * mesh->face_node_count && !(e->field_kind[k] & FEM_FIELD_MULTIPLIER); i++) {
            const int64_t face = list->face[i / mesh->face_node_count];
            const int64_t node = mesh->face_nodes[face * mesh->face_node_count + i % mesh->face_node_count];
            for (int c = at; c < at + width; c++)
                if (held[node * p->components + c] == FREE)
                    return true;
        }
        at += width;
    }
    return false;
}

/* Natural conditions that contradict: given twice, which would count twice, or where nothing is free. */
static fwm_status check_natural(const fem_problem *p, const int *held)
{
    for (int k = 0, at = 0; k < p->spec.n_conditions; k++) {
        const fem_condition *c = &p->spec.condition[k];
        if (!c->natural)
            continue;
        FWM_CHECK(acts_on_something(p, &p->natural[at++], held), FWM_INVALID,
                  "problem: contradictory conditions on boundary %s: %s, where essential conditions hold everything",
                  c->boundary, c->natural);
        for (int j = 0; j < k; j++) {
            const fem_condition *other = &p->spec.condition[j];
            FWM_CHECK(!other->natural || strcmp(other->natural, c->natural) != 0 ||
                          strcmp(other->boundary, c->boundary) != 0,
                      FWM_INVALID, "problem: contradictory conditions on boundary %s: %s is given twice", c->boundary,
                      c->natural);
        }
    }
    return FWM_OK;
}

fwm_status fem_conditions_create(fem_problem *p)
{
    int *held = fwm_malloc((size_t)p->dof, sizeof *held);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, held, FWM_MEMORY, "out of memory for conditions");
    for (int64_t i = 0; i < p->dof; i++)
        held[i] = FREE;
    find_averages(p);
    mark_means(p, held);
    for (int k = 0; k < p->spec.n_conditions; k++) {
        const fem_condition *c = &p->spec.condition[k];
        FWM_CHECK_GOTO(status, c->boundary && !c->field != !c->natural, FWM_INVALID,
                       "problem: condition %d: expected a boundary and either a field or a natural condition", k);
        if (c->field)
            FWM_TRY_GOTO(status, mark_essential(p, k, held));
        else
            FWM_TRY_GOTO(status, list_faces(p, c));
    }
    FWM_TRY_GOTO(status, check_natural(p, held));
    pin_multipliers(p, held);
    p->held = fwm_malloc((size_t)p->dof, 1);
    FWM_CHECK_GOTO(status, p->held, FWM_MEMORY, "out of memory for conditions");
    for (int64_t i = 0; i < p->dof; i++)
        p->held[i] = held[i] != FREE;
    FWM_TRY_GOTO(status, list_fixed(p, held));
    FWM_TRY_GOTO(status, list_means(p, held));
done:
    fwm_free(held);
    return status;
}

void fem_conditions_destroy(fem_problem *p)
{
    void *arrays[] = {p->held,       p->fixed_dof, p->fixed_action, p->fixed_constant,
                      p->fixed_gain, p->mean_dof,  p->mean_start,   p->mean_from};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        fwm_free(arrays[k]);
    for (int k = 0; k < p->n_natural; k++)
        fwm_free(p->natural[k].face);
}
