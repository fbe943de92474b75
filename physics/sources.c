/* Loads of sources: F[i][j] = Q_j int q_j phi_i, assembled once. A square is cut out of every cell exactly (Sutherland
 * & Hodgman 1974), so the total power does not depend on how the mesh meets its edges. */
#include "physics/problem_impl.h"

#include "model/base/arena.h"

#include <math.h>
#include <string.h>

enum { MAX_CORNERS = 16, TRIANGLE_POINTS = 6 };

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
static int clip(double (*out)[FEM_DIM], double (*in)[FEM_DIM], int n, int axis, double line, double sign)
{
    int m = 0;
    for (int k = 0; k < n; k++) {
        const double *a = in[k], *b = in[(k + 1) % n];
        double da = sign * (a[axis] - line), db = sign * (b[axis] - line);
        if (da <= 0)
            memcpy(out[m++], a, sizeof *out);
        if ((da < 0 && db > 0) || (da > 0 && db < 0)) {
            double t = da / (da - db);
            for (int d = 0; d < FEM_DIM; d++)
                out[m][d] = a[d] + t * (b[d] - a[d]);
            m++;
        }
    }
    return m;
}

/* The polygon cell \ outside of the source's square (the whole cell where the source has a density). */
static int cut_cell(const fem_mesh *mesh, int64_t cell, const fem_source *s, double (*polygon)[FEM_DIM])
{
    double other[MAX_CORNERS][FEM_DIM];
    int n = mesh->cell_vertices;
    for (int k = 0; k < n; k++)
        memcpy(polygon[k], mesh->vertices + FEM_DIM * (int64_t)mesh->cells[cell * n + k], sizeof *polygon);
    if (s->density)
        return n;
    const double centre[FEM_DIM] = {s->x, s->y};
    for (int d = 0; d < FEM_DIM && n > 0; d++) {
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

static fwm_status add_point(point_list *l, int64_t cell, const double reference[FEM_DIM], double weight)
{
    if (l->n == l->room) {
        int64_t room = l->room > 0 ? 2 * l->room : 256;
        double *r = fwm_realloc(l->reference, (size_t)room * FEM_DIM, sizeof *r);
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
    memcpy(l->reference + FEM_DIM * l->n, reference, FEM_DIM * sizeof *reference);
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
        double x[FEM_DIM], reference[FEM_DIM];
        for (int d = 0; d < FEM_DIM; d++)
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
        double polygon[MAX_CORNERS][FEM_DIM];
        int n = cut_cell(mesh, cell, s, polygon);
        for (int k = 1; k + 1 < n; k++)
            FWM_TRY(add_triangle(l, mesh, cell, s, polygon[0], polygon[k], polygon[k + 1]));
    }
    return FWM_OK;
}

/* column[i * n_sources + j] += F of source j; every field of the equation's first takes it. */
static fwm_status dense_loads(fem_problem *p, double *column)
{
    const fem_mesh *mesh = p->mesh;
    point_list l = {0};
    double *value = NULL;
    fwm_status status = FWM_OK;
    int k = mesh->cell_node_count;
    for (int j = 0; j < p->n_sources; j++) {
        FWM_TRY_GOTO(status, source_points(&l, mesh, &p->spec.source[j]));
        fwm_free(value);
        value = fwm_malloc((size_t)(l.n * k), sizeof *value);
        FWM_CHECK_GOTO(status, value, FWM_MEMORY, "out of memory for the load of source %d", j);
        FWM_TRY_GOTO(status, fem_tabulate(mesh, l.n, l.reference, value, NULL));
        for (int64_t q = 0; q < l.n; q++)
            for (int i = 0; i < k; i++)
                column[(int64_t)mesh->cell_nodes[l.cell[q] * k + i] * p->n_sources + j] +=
                    l.weight[q] * value[q * k + i];
    }
done:
    fwm_free(l.reference);
    fwm_free(l.weight);
    fwm_free(l.cell);
    fwm_free(value);
    return status;
}

fwm_status fem_loads_create(fem_problem *p)
{
    int64_t n = p->mesh->n_nodes, entries = 0, columns = p->n_sources;
    double *column = fwm_calloc((size_t)(n * columns), sizeof *column);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, column, FWM_MEMORY, "out of memory for the loads of %d sources", p->n_sources);
    FWM_TRY_GOTO(status, dense_loads(p, column));
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
        if (i % p->equation->n_fields == 0)
            for (int64_t j = 0; j < columns; j++) {
                double w = column[i / p->equation->n_fields * columns + j];
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
