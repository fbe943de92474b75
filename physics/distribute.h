/* A mesh over several processes: each keeps its cells, one layer of its neighbours' around them, and a halo.
 *
 * Invariant (overlap 1): a process holds every cell that touches a node of a cell of its own, so rows of the residual,
 * and of its transposes, are whole at the nodes it owns. Rows of other nodes are not to be used. Nothing is ever summed
 * between processes: after a call, fem_part_exchange overwrites the ghosts with their owners' values. A vector-Jacobian
 * product is: exchange the cotangent, call fem_residual_vjp, take the owned rows. Sums over nodes (norms, losses) run
 * over owned nodes and are added by MPI_Allreduce.
 *
 * A node belongs to the lowest of the processes that own a cell at it. Cells are divided by PETSc
 * (DMPlexDistribute, DMPlexDistributeOverlap). The faces between a process's layer and what it does not hold look like
 * boundaries to its mesh, labelled "other": they touch no owned node.
 *
 * Process 0 holds the arrays of the whole mesh, no process its tables. Collective: all processes of the communicator
 * call each function. The communicator is MPI_COMM_WORLD. */
#ifndef FWM_PHYSICS_DISTRIBUTE_H
#define FWM_PHYSICS_DISTRIBUTE_H

#include "physics/fem.h"

typedef struct fem_part {
    fem_mesh *mesh; /* own cells and the layer around them */
    int rank, ranks;
    int64_t n_owned, n_global;           /* nodes of this process; of the whole mesh */
    bool *owned;                         /* [n_nodes] */
    int64_t *node;                       /* [n_nodes] global number: those of a process are consecutive */
    int64_t n_own_cells, n_global_cells; /* likewise */
    int64_t *cell;                       /* [n_cells] number in the arrays of the whole mesh */
    bool *own_cell;                      /* [n_cells] */
    struct fem_halo *halo;
} fem_part;

/* Divides the mesh of `arrays` (read on process 0 alone; NULL elsewhere). Cells get regions and boundaries as
 * fem_mesh_build gives them; boundaries must be named in the arrays (none: all faces are "other"). Errors, the same on
 * all processes: as fem_mesh_build, naming the process; FWM_INVALID where a process would get no cell. */
fwm_status fem_distribute(fem_part **part, const fem_mesh_arrays *arrays) FWM_MUST_USE;
void fem_part_destroy(fem_part **part);

/* Overwrites the values of ghost nodes in u [B,n_nodes,c] with their owners'. Errors: FWM_MEMORY, FWM_LIBRARY. */
fwm_status fem_part_exchange(fem_part *part, ad_dtype dtype, void *u, int64_t batch, int64_t components) FWM_MUST_USE;

/* The sums over processes of n numbers each. */
fwm_status fem_part_sum(double *values, int n) FWM_MUST_USE;

/* u1 [B,n_nodes,c] f64 with R(u1,u0,a;theta) = 0 at the nodes of the whole mesh, ghosts included: Newton's method, each
 * step by conjugate gradients in which the transposed product stands for the Jacobian's. `problem` is one on
 * part->mesh, equal on all processes but for the mesh; u0 has its ghosts. One step of the problem's dt. Errors: those
 * of fem_residual; FWM_UNSUPPORTED where the Jacobian is found not to be symmetric, or the problem has substeps;
 * FWM_NUMERIC, naming the sample, where it does not converge. */
fwm_status fem_part_step(fem_part *part, fem_problem *problem, double *u1, const double *u0, const double *a,
                         const fem_theta *theta, int64_t batch) FWM_MUST_USE;

/* On process 0: all [B,n_global,c] by global number from u [B,n_nodes,c]; elsewhere `all` is not touched. */
fwm_status fem_part_gather(fem_part *part, double *all, const double *u, int64_t batch,
                           int64_t components) FWM_MUST_USE;

#endif
