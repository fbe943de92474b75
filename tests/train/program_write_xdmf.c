/* Writes a box of every element, plain and periodic, as XDMF with two steps: program_write_xdmf FOLDER. Fields: u =
 * x + 2 y + 3 z + t (of the period: sin(2 pi x / 1.2) + 2 y + 3 z + t), flow = (y, -x, t) or (y, 1, t). */
#include "data/xdmf.h"
#include "model/base/threads.h"
#include "train/mesh_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static fwm_status write_steps(ds_xdmf *x, const fem_mesh *m, float *u, float *flow)
{
    for (int t = 0; t < 2; t++) {
        for (int64_t i = 0; i < m->n_nodes; i++) {
            const double *at = m->nodes + m->dim * i, z = m->dim == 3 ? at[2] : 0;
            double along = m->periodic[0] ? sin(2 * M_PI * at[0] / 1.2) : at[0];
            u[i] = (float)(along + 2 * at[1] + 3 * z + t);
            flow[m->dim * i] = (float)at[1];
            flow[m->dim * i + 1] = m->periodic[0] ? 1 : -(float)at[0];
            if (m->dim == 3)
                flow[m->dim * i + 2] = (float)t;
        }
        FWM_TRY(ds_xdmf_step(x, 0.5 * t, (const float *const[]){u, flow}));
    }
    return FWM_OK;
}

static fwm_status write_box(const char *folder, fem_element element, bool periodic)
{
    char path[512];
    fem_mesh *m = NULL;
    ds_mesh stored;
    ds_xdmf *x = NULL;
    (void)snprintf(path, sizeof path, "%s/%s_%s%s.xdmf", folder, fem_element_cell(element), fem_element_space(element),
                   periodic ? "_periodic" : "");
    FWM_TRY(fem_mesh_create(&m, &(fem_mesh_spec){.element = element,
                                                 .nx = 3,
                                                 .ny = 2,
                                                 .lx = 1.2,
                                                 .ly = 0.9,
                                                 .nz = 2,
                                                 .lz = 0.7,
                                                 .periodic = {periodic, false, false}}));
    fwm_arena *arena = fwm_arena_create();
    float *u = malloc((size_t)m->n_nodes * sizeof *u), *flow = malloc((size_t)(m->n_nodes * m->dim) * sizeof *flow);
    fwm_status status = arena && u && flow ? tr_mesh_to_data(&stored, arena, m) : FWM_MEMORY;
    if (status == FWM_OK)
        status = ds_xdmf_create(&x, path, &stored, 2, (const ds_xdmf_field[]){{"u", 1}, {"flow", m->dim}});
    if (status == FWM_OK)
        status = write_steps(x, m, u, flow);
    if (status == FWM_OK)
        status = ds_xdmf_finish(&x);
    ds_xdmf_abort(&x);
    free(u);
    free(flow);
    fwm_arena_destroy(arena);
    fem_mesh_destroy(&m);
    return status;
}

int main(int argc, char **argv)
{
    fwm_status status = fwm_threads_init(1);
    for (int e = 0; argc == 2 && e < FEM_ELEMENT_COUNT; e++)
        for (int periodic = 0; periodic < 2 && status == FWM_OK; periodic++)
            status = write_box(argv[1], (fem_element)e, periodic);
    if (status != FWM_OK)
        fprintf(stderr, "program_write_xdmf: %s\n", fwm_error_message());
    fem_finalize();
    return argc == 2 && status == FWM_OK ? 0 : 1;
}
