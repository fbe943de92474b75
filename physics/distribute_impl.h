/* Steps of distributing a mesh, between its two files. */
#ifndef FWM_PHYSICS_DISTRIBUTE_IMPL_H
#define FWM_PHYSICS_DISTRIBUTE_IMPL_H

#include "physics/distribute.h"
#include "physics/petsc.h"

#include <petscsf.h>

enum { FEM_KEY = 4 };

/* What a node lies on: the sorted vertices (global, merged) of its vertex, edge or face; {-2, cell} inside a cell. */
typedef struct fem_node_key {
    int32_t vertex[FEM_KEY];
    int32_t node; /* local number */
} fem_node_key;

/* The cells of one process, as division and process 0 give them. */
typedef struct fem_share {
    int64_t n_cells;
    int32_t *cell;   /* [n_cells] global numbers */
    int32_t *owner;  /* [n_cells] rank */
    int32_t *vertex; /* [n_cells, vertices] global numbers, in the order of the arrays */
    int32_t *merged; /* [n_cells, vertices] the same, merged */
    double *x;       /* [n_cells, vertices, dim] */
    int32_t *region; /* [n_cells] */
    int32_t *label;  /* [n_cells, faces] index of the named boundary, -1 none */
} fem_share;

/* Ghosts and those who want ours. */
typedef struct fem_halo {
    int *send_count, *receive_count; /* [ranks] nodes */
    int64_t n_send, n_receive;
    int32_t *send, *receive; /* local nodes, by rank */
    void *send_buffer, *receive_buffer;
    MPI_Request *request; /* [2 ranks] */
    size_t bytes;         /* a node, that the buffers have room for */
} fem_halo;

/* Ownership and the halo of a part whose mesh stands. */
fwm_status fem_halo_create(fem_part *part, const fem_share *share) FWM_MUST_USE;
void fem_halo_destroy(fem_halo **halo);

/* All processes fail together: the worst status, with the message of the lowest rank that failed. */
fwm_status fem_agree(fwm_status status) FWM_MUST_USE;

#define FEM_MPI(call)                                                                                                  \
    do {                                                                                                               \
        if ((call) != MPI_SUCCESS)                                                                                     \
            return fwm_fail(FWM_LIBRARY, "MPI: %s failed", #call);                                                     \
    } while (0)

#endif
