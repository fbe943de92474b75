/* Loads of sources: F[i][j] = Q_j int q_j phi_i over the domain or over a boundary, assembled once. A square is cut out
 * of every cell exactly (Sutherland & Hodgman 1974), so the total power does not depend on how the mesh meets its
 * edges; a density in space and one on a boundary take the element's own quadrature. */
#include "physics/problem_impl.h"

#include "model/base/arena.h"

#include <math.h>
#include <string.h>

enum { MAX_CORNERS = 16, TRIANGLE_POINTS = 6, PLANE = 2 };

/* Degree 4 on a triangle in barycentric weights (Strang & Fix 1973, table 4.1, n. 5): exact for biquadratic shape
 * functions on parallelograms' halves to within the mesh's own order. */
static const double triangle_rule[TRIANGLE_POINTS][4] = {
    {0.108103018168070, 0.445948490915965, 0.445948490915965, 0.223381589678011},
    {0.445948490915965, 0.108103018168070, 0.445948490915965, 0.223381589678011},
    {0.445948490915965, 0.445948490915965, 0.108103018168070, 0.223381589678011},
    {0.816847572980459, 0.091576213509771, 0.091576213509771, 0.109951743655322},
    {0.091576213509771, 0.816847572980459, 0.091576213509771, 0.109951743655322},
    {0.091576213509771, 0.091576213509771, 0.816847572980459, 0.109951743655322},
};

/* Keeps the part of a polygon where sign * (x[axis] - line) <= 0. */
static int clip(double (*out)[PLANE], double (*in)[PLANE], int n, int axis, double line, double sign)
{
    int m = 0;
    for (int k = 0; k < n; k++) {
        const double *a = in[k], *b = in[(k + 1) % n];
        double da = sign * (a[axis] - line), db = sign * (b[axis] - line);
        if (da <= 0)
            memcpy(out[m++], a, sizeof *out);
        if ((da < 0 && db > 0) || (da > 0 && db < 0)) {
            double t = da / (da - db);
            for (int d = 0; d < PLANE; d++)
                out[m][d] = a[d] + t * (b[d] - a[d]);
            m++;
        }
    }
    return m;
}

/* The polygon cell \ outside of the source's square (the whole cell where the source has a density). */
static int cut_cell(const fem_mesh *mesh, int64_t cell, const fem_source *s, double (*polygon)[PLANE])
{
    double other[MAX_CORNERS][PLANE];
    int n = mesh->cell_vertices;
    for (int k = 0; k < n; k++)
        memcpy(polygon[k], mesh->vertices + PLANE * (int64_t)mesh->cells[cell * n + k], sizeof *polygon);
    if (s->density)
        return n;
    const double centre[PLANE] = {s->x, s->y};
    for (int d = 0; d < PLANE && n > 0; d++) {
        n = clip(other, polygon, n, d, centre[d] + s->half_width, 1);
        n = clip(polygon, other, n, d, centre[d] - s->half_width, -1);
    }
    return n;
}

typedef struct point_list {
    double *reference, *weight; /* [room,2], [room]: weight times density */
    int64_t *cell;
    int64_t n, room;
} point_list;

static fwm_status add_point(point_list *l, int64_t cell, const double reference[PLANE], double weight)
{
    if (l->n == l->room) {
        int64_t room = l->room > 0 ? 2 * l->room : 256;
        double *r = fwm_realloc(l->reference, (size_t)room * PLANE, sizeof *r);
        if (r)
            l->reference = r;
        double *w = fwm_realloc(l->weight, (size_t)room, sizeof *w);
        if (w)
            l->weight = w;
        int64_t *c = fwm_realloc(l->cell, (size_t)room, sizeof *c);
        if (c)
            l->cell = c;
        FWM_CHECK(r && w && c, FWM_MEMORY, "out of memory for the load of a source");
        l->room = room;
    }
    memcpy(l->reference + PLANE * l->n, reference, PLANE * sizeof *reference);
    l->weight[l->n] = weight;
    l->cell[l->n++] = cell;
    return FWM_OK;
}

static fwm_status add_triangle(point_list *l, const fem_mesh *mesh, int64_t cell, const fem_source *s, const double *a,
                               const double *b, const double *c)
{
    double area = 0.5 * ((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]));
    if (!(area > 0))
        return FWM_OK;
    for (int q = 0; q < TRIANGLE_POINTS; q++) {
        const double *w = triangle_rule[q];
        double x[PLANE], reference[PLANE];
        for (int d = 0; d < PLANE; d++)
            x[d] = w[0] * a[d] + w[1] * b[d] + w[2] * c[d];
        FWM_CHECK(fem_cell_inverse(mesh, cell, x, 1e-6, reference), FWM_DATA,
                  "mesh: cell %lld is too distorted to place a source in", (long long)cell);
        double density = s->density ? s->density(x, s->context) : 1;
        FWM_TRY(add_point(l, cell, reference, w[3] * area * s->power * density));
    }
    return FWM_OK;
}

/* Quadrature points of one source over all cells it touches. */
static fwm_status source_points(point_list *l, const fem_mesh *mesh, const fem_source *s)
{
    l->n = 0;
    for (int64_t cell = 0; cell < mesh->n_cells; cell++) {
        double polygon[MAX_CORNERS][PLANE];
        int n = cut_cell(mesh, cell, s, polygon);
        for (int k = 1; k + 1 < n; k++)
            FWM_TRY(add_triangle(l, mesh, cell, s, polygon[0], polygon[k], polygon[k + 1]));
    }
    return FWM_OK;
}

/* column[dof * n_sources] += F of one source in the plane. */
static fwm_status plane_load(point_list *l, const fem_problem *p, const fem_source *source, int component,
                             double *column)
{
    const fem_mesh *mesh = p->mesh;
    const int k = mesh->cell_node_count;
    FWM_TRY(source_points(l, mesh, source));
    double *value = fwm_malloc((size_t)(l->n * k), sizeof *value);
    FWM_CHECK(value, FWM_MEMORY, "out of memory for the load of a source");
    fwm_status status = fem_tabulate(mesh, l->n, l->reference, value, NULL);
    for (int64_t q = 0; q < l->n && status == FWM_OK; q++)
        for (int i = 0; i < k; i++) {
            int64_t dof = (int64_t)mesh->cell_nodes[l->cell[q] * k + i] * p->components + component;
            column[dof * p->n_sources] += l->weight[q] * value[q * k + i];
        }
    fwm_free(value);
    return status;
}

static double density_at(const fem_source *s, const double *x)
{
    return s->power * (s->density ? s->density(x, s->context) : 1);
}

/* The same for a density in space, by the cells' own quadrature. */
static void space_load(const fem_problem *p, const fem_source *source, int component, double *column)
{
    const fem_mesh *mesh = p->mesh;
    const fem_tables *t = &mesh->impl->tables[AD_F64];
    const int k = mesh->cell_node_count, points = mesh->impl->n_points, dim = mesh->dim, record = dim * dim + 1;
    const double *basis = t->basis, *weight = t->weight, *geometry = t->geometry, *x = t->point;
    for (int64_t cell = 0; cell < mesh->n_cells; cell++)
        for (int q = 0; q < points; q++) {
            int64_t at = t->geometry_points == 1 ? cell : cell * points + q;
            double w =
                weight[q] * geometry[at * record + dim * dim] * density_at(source, x + (cell * points + q) * dim);
            for (int i = 0; i < k; i++) {
                int64_t dof = (int64_t)mesh->cell_nodes[cell * k + i] * p->components + component;
                column[dof * p->n_sources] += w * basis[q * k + i];
            }
        }
}

static void boundary_load(const fem_problem *p, const fem_source *source, int label, int component, double *column)
{
    const fem_mesh *mesh = p->mesh;
    const fem_face_tables *f = &mesh->impl->faces[AD_F64];
    const int k = mesh->cell_node_count, dim = mesh->dim, record = dim * dim + 1;
    const double *weight = f->weight, *geometry = f->geometry, *x = f->point;
    for (int64_t face = 0; face < f->n_faces; face++)
        for (int q = 0; q < f->n_points && f->label[face] == label; q++) {
            int64_t at = face * f->n_points + q;
            const double *basis = (const double *)f->basis + (f->local[face] * f->n_points + q) * k;
            double w = weight[q] * geometry[at * record + dim * dim] * density_at(source, x + at * dim);
            for (int i = 0; i < k; i++) {
                int64_t dof = (int64_t)mesh->cell_nodes[f->cell[face] * k + i] * p->components + component;
                column[dof * p->n_sources] += w * basis[i];
            }
        }
}

/* column[dof * n_sources + j] += F of source j. */
static fwm_status dense_loads(fem_problem *p, double *column)
{
    point_list l = {0};
    fwm_status status = FWM_OK;
    for (int j = 0; j < p->n_sources; j++) {
        const fem_source *source = &p->spec.source[j];
        int component = 0, count = 1, label;
        if (source->field)
            FWM_TRY_GOTO(status, fem_equation_component(p->equation, p->mesh->dim, source->field, &component, &count));
        FWM_CHECK_GOTO(status, count == 1, FWM_INVALID, "problem: source %d: expected one component as in '%s.x'", j,
                       source->field);
        if (source->boundary) {
            FWM_TRY_GOTO(status, fem_mesh_label(p->mesh, source->boundary, &label));
            boundary_load(p, source, label, component, column + j);
        } else if (p->mesh->dim == PLANE) {
            FWM_TRY_GOTO(status, plane_load(&l, p, source, component, column + j));
        } else {
            space_load(p, source, component, column + j);
        }
    }
done:
    fwm_free(l.reference);
    fwm_free(l.weight);
    fwm_free(l.cell);
    return status;
}

fwm_status fem_loads_create(fem_problem *p)
{
    int64_t n = p->dof, entries = 0, columns = p->n_sources;
    double *column = fwm_calloc((size_t)(n * columns), sizeof *column);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, column, FWM_MEMORY, "out of memory for the loads of %d sources", p->n_sources);
    FWM_TRY_GOTO(status, dense_loads(p, column));
    for (int64_t e = 0; e < n * columns; e++)
        FWM_CHECK_GOTO(status, isfinite(column[e]), FWM_INVALID,
                       "problem: source %d: expected a finite density, found %g about node %lld", (int)(e % columns),
                       column[e], (long long)(e / columns / p->components));
    for (int64_t e = 0; e < n * columns; e++)
        entries += column[e] != 0;
    p->load_row = fwm_calloc((size_t)p->dof + 1, sizeof *p->load_row);
    p->load_action = fwm_malloc((size_t)entries, sizeof *p->load_action);
    p->load_weight = fwm_malloc((size_t)entries, sizeof *p->load_weight);
    p->load_weight_f32 = fwm_malloc((size_t)entries, sizeof *p->load_weight_f32);
    FWM_CHECK_GOTO(status, p->load_row && p->load_action && p->load_weight && p->load_weight_f32, FWM_MEMORY,
                   "out of memory for the loads of %d sources", p->n_sources);
    int32_t at = 0;
    for (int64_t i = 0; i < p->dof; i++) {
        p->load_row[i] = at;
        for (int64_t j = 0; j < columns; j++) {
            double w = column[i * columns + j];
            if (w == 0)
                continue;
            p->load_action[at] = (int32_t)j;
            p->load_weight[at] = w;
            p->load_weight_f32[at++] = (float)w;
        }
    }
    p->load_row[p->dof] = at;
    fem_loads loads = {.n_dof = p->dof, .n_actions = p->n_sources, .row_start = p->load_row, .action = p->load_action};
    p->loads[AD_F32] = p->loads[AD_F64] = loads;
    p->loads[AD_F32].weight = p->load_weight_f32;
    p->loads[AD_F64].weight = p->load_weight;
done:
    fwm_free(column);
    return status;
}
