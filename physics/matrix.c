/* Element matrices from the transposed sweep alone: on a mesh whose cells share no nodes, the bars of the unit test
 * function t of every cell are row t of every element matrix. One state with a test function in each lane gives plain
 * matrices; a state in each lane with one test function gives a matrix a lane. In double. */
#include "physics/problem_impl.h"

#include "model/base/arena.h"

#include <string.h>

enum { TEST, BAR, STATES }; /* arrays of the work: [n_cells * dofs][lanes]; STATES: u1, u0, w */

static int64_t broken_size(const fem_problem *p)
{
    return p->mesh->n_cells * p->mesh->cell_node_count * p->components * p->lane[AD_F64]->lanes;
}

fwm_status fem_matrix_work_create(fem_problem *p, fem_thread_work *work)
{
    if (work->broken)
        return FWM_OK;
    work->broken = fem_vector_alloc(5 * (size_t)broken_size(p), sizeof(double));
    FWM_CHECK(work->broken, FWM_MEMORY, "out of memory for element matrices");
    return FWM_OK;
}

/* The sweep of a block on the broken mesh; `tables` holds its tables. */
static fem_sweep broken_sweep(const fem_block *b, const fem_at *at, fem_tables *tables)
{
    const fem_problem *p = b->p;
    const fem_mesh *mesh = p->mesh;
    const int lanes = b->lane->lanes, components = p->components;
    const int64_t size = broken_size(p);
    double *array = b->work->broken;
    fem_sweep s = fem_block_sweep(b, at);
    const void *from[3] = {s.u1, s.u0, s.w};
    for (int k = 0; k < 3; k++) {
        double *to = array + (STATES + k) * size;
        for (int64_t i = 0; from[k] && i < mesh->n_cells * mesh->cell_node_count; i++)
            memcpy(to + i * components * lanes,
                   (const double *)from[k] + (int64_t)mesh->cell_nodes[i] * components * lanes,
                   (size_t)(components * lanes) * sizeof *to);
    }
    *tables = *s.tables;
    tables->cell_nodes = p->broken_nodes;
    s.tables = tables;
    s.u1 = array + STATES * size;
    s.u0 = array + (STATES + 1) * size;
    s.w = s.w ? array + (STATES + 2) * size : NULL;
    s.rbar = array + TEST * size;
    s.u1_bar = array + BAR * size;
    return s;
}

/* Bars of the test functions in TEST. */
static void pull_rows(const fem_block *b, fem_sweep *s)
{
    memset(s->u1_bar, 0, (size_t)broken_size(b->p) * sizeof(double));
    fem_sweep_vjp(b->p, AD_F64, s);
}

/* Sets one entry of every cell's test function in one lane, or in all (lane -1). */
static void put_test(const fem_block *b, int dof, int lane, double value)
{
    const fem_problem *p = b->p;
    const int lanes = b->lane->lanes, dofs = p->mesh->cell_node_count * p->components;
    double *test = b->work->broken;
    for (int64_t cell = 0; cell < p->mesh->n_cells; cell++)
        for (int l = lane < 0 ? 0 : lane; l < (lane < 0 ? lanes : lane + 1); l++)
            test[(cell * dofs + dof) * lanes + l] = value;
}

void fem_jacobian(fem_problem *p, double *ke, const double *u1, const double *u0, const double *a,
                  const fem_theta *theta, const fem_stage *stage)
{
    const fem_block b = fem_block_at(p, AD_F64, theta, 1, 0, 0);
    const fem_at at = {SLOT_U1, SLOT_U0, -1, *stage};
    const int lanes = b.lane->lanes, dofs = p->mesh->cell_node_count * p->components;
    fem_tables tables;
    b.lane->pack(fem_slot(&b, SLOT_U1), u1, p->dof, 1);
    b.lane->pack(fem_slot(&b, SLOT_U0), u0, p->dof, 1);
    b.lane->pack(b.work->a, a, p->n_actions, 1);
    fem_sweep s = broken_sweep(&b, &at, &tables);
    const double *bar = s.u1_bar;
    memset(b.work->broken, 0, (size_t)broken_size(p) * sizeof(double));
    for (int first = 0; first < dofs; first += lanes) {
        const int end = first + lanes < dofs ? first + lanes : dofs;
        for (int t = first; t < end; t++)
            put_test(&b, t, t - first, 1);
        pull_rows(&b, &s);
        for (int64_t cell = 0; cell < p->mesh->n_cells; cell++)
            for (int t = first; t < end; t++)
                for (int j = 0; j < dofs; j++)
                    ke[(cell * dofs + t) * dofs + j] = bar[(cell * dofs + j) * lanes + t - first];
        for (int t = first; t < end; t++)
            put_test(&b, t, t - first, 0);
    }
}

void fem_block_matrix(const fem_block *b, const fem_at *at, fem_lane_factor *factor)
{
    const fem_problem *p = b->p;
    const int dofs = p->mesh->cell_node_count * p->components;
    fem_tables tables;
    fem_sweep s = broken_sweep(b, at, &tables);
    memset(b->work->broken, 0, (size_t)broken_size(p) * sizeof(double));
    fem_lane_factor_clear(factor);
    for (int t = 0; t < dofs; t++) {
        put_test(b, t, -1, 1);
        pull_rows(b, &s);
        fem_lane_factor_add(factor, t, s.u1_bar);
        put_test(b, t, -1, 0);
    }
}
