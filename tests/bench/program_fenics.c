/* A residual for tests/bench/fenics.py to compare: program_fenics EQUATION ELEMENT DT MESH OUT PARAMETER...
 *     MESH  int64 vertices, cells; float64 [vertices,2]; int32 [cells,3 or 4], counter-clockwise
 *     OUT   int64 nodes, components; float64 nodes [nodes,2]; the residual [nodes,components] of backward Euler
 * The states are plane waves that the script knows too: component k of state s (1 new, 0 old) is
 *     0.3 + 0.4 sin((1.3 + 0.4 k) x - (0.9 - 0.2 k) y + 0.7 k + 0.5 s). Ambient actions are 0.2. */
#include "model/base/threads.h"
#include "physics/fem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fwm_status read_mesh(fem_mesh **mesh, fem_element element, const char *path)
{
    FILE *f = fopen(path, "rb");
    int64_t size[2] = {0, 0};
    const size_t corners = element == FEM_P1 || element == FEM_P2 ? 3 : 4;
    FWM_CHECK(f, FWM_IO, "%s: cannot be opened", path);
    bool good =
        fread(size, sizeof *size, 2, f) == 2 && size[0] > 0 && size[0] < 1 << 24 && size[1] > 0 && size[1] < 1 << 24;
    const size_t vertices = good ? (size_t)size[0] : 0, cells = good ? (size_t)size[1] : 0;
    double *x = calloc(2 * vertices + 1, sizeof *x);
    int32_t *cell = calloc(corners * cells + 1, sizeof *cell);
    good = good && x && cell && fread(x, sizeof *x, 2 * vertices, f) == 2 * vertices &&
           fread(cell, sizeof *cell, corners * cells, f) == corners * cells;
    (void)fclose(f);
    fwm_status status = good ? fem_mesh_from_arrays(mesh, element, size[0], x, size[1], cell)
                             : fwm_fail(FWM_DATA, "%s: expected a mesh, found less", path);
    free(x);
    free(cell);
    return status;
}

static double wave(const double *x, int k, int s)
{
    return 0.3 + 0.4 * sin((1.3 + 0.4 * k) * x[0] - (0.9 - 0.2 * k) * x[1] + 0.7 * k + 0.5 * s);
}

static fwm_status write_residual(fem_problem *p, const fem_theta *theta, const char *path)
{
    const fem_mesh *mesh = fem_problem_mesh(p);
    const int64_t size[2] = {mesh->n_nodes, fem_problem_components(p)}, n = size[0] * size[1];
    double *u = calloc(3 * (size_t)n, sizeof *u), a[FEM_MAX_ACTIONS];
    FWM_CHECK(u, FWM_MEMORY, "out of memory");
    for (int64_t i = 0; i < n; i++)
        for (int s = 0; s < 2; s++)
            u[(1 - s) * n + i] = wave(mesh->nodes + 2 * (i / size[1]), (int)(i % size[1]), s);
    for (int k = 0; k < FEM_MAX_ACTIONS; k++)
        a[k] = 0.2;
    fwm_status status = fem_residual(p, AD_F64, u + 2 * n, u, u + n, a, theta, 1);
    FILE *f = status == FWM_OK ? fopen(path, "wb") : NULL;
    if (status == FWM_OK && !f)
        status = fwm_fail(FWM_IO, "%s: cannot be made", path);
    if (f) {
        (void)fwrite(size, sizeof *size, 2, f);
        (void)fwrite(mesh->nodes, sizeof(double), (size_t)(2 * size[0]), f);
        (void)fwrite(u + 2 * n, sizeof *u, (size_t)n, f);
        if (fclose(f) != 0)
            status = fwm_fail(FWM_IO, "%s: cannot be written", path);
    }
    free(u);
    return status;
}

static fwm_status run(int argc, char **argv)
{
    fem_mesh *mesh = NULL;
    fem_problem *p = NULL;
    fem_element element;
    double value[FEM_MAX_PARAMETERS];
    fem_theta theta = {{0}, {0}};
    fwm_status status = FWM_OK;
    FWM_CHECK(argc >= 6 && argc - 6 <= FEM_MAX_PARAMETERS, FWM_INVALID,
              "usage: program_fenics EQUATION ELEMENT DT MESH OUT PARAMETER...");
    for (int k = 6; k < argc; k++) {
        value[k - 6] = strtod(argv[k], NULL);
        theta.value[k - 6] = &value[k - 6];
        theta.count[k - 6] = 1;
    }
    FWM_TRY(fwm_threads_init(1));
    FWM_TRY(fem_element_parse(argv[2][0] == 'P' ? "triangle" : "quadrilateral", argv[2], &element));
    FWM_TRY_GOTO(status, read_mesh(&mesh, element, argv[4]));
    const fem_problem_spec spec = {.equation = argv[1], .mesh = mesh, .dt = strtod(argv[3], NULL)};
    FWM_TRY_GOTO(status, fem_problem_create(&p, &spec));
    status = write_residual(p, &theta, argv[5]);
done:
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
    return status;
}

int main(int argc, char **argv)
{
    const fwm_status status = run(argc, argv);
    if (status != FWM_OK)
        fprintf(stderr, "%s\n", fwm_error_message());
    fem_finalize();
    return status == FWM_OK ? 0 : 1;
}
