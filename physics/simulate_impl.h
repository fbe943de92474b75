/* What the simulator's files share. */
#ifndef FWM_PHYSICS_SIMULATE_IMPL_H
#define FWM_PHYSICS_SIMULATE_IMPL_H

#include "model/base/random.h"
#include "physics/simulate.h"

struct fem_simulation {
    fem_simulate_spec spec;
    fem_mesh *mesh, *coarse;
    fem_problem *truth, *cheap;
    double *conductivity;         /* [n_cells] */
    double scalar[3], nominal[4]; /* loss, radiation, temperature; the cheap law's four */
    fem_theta truth_theta, cheap_theta;
    fem_csr *render, *restriction; /* nodes -> pixels, nodes -> coarse nodes */
    double *mask;                  /* [H,W] */
    double *light;                 /* [H,W] vignetting */
    int64_t n_actions;

    /* One batch. */
    int64_t room;
    double *u, *u_next, *v, *v_next, *a;  /* [room,n], [room,m], [room,A] */
    float *state, *cheap_state, *actions; /* [room,T,...] */
    uint8_t *frame;
};

/* Names of draws: each consumer has its own stream of the run's seed. */
enum fem_stream { FEM_STREAM_START = 0x5101, FEM_STREAM_FEATURES, FEM_STREAM_POWER, FEM_STREAM_NOISE };

static inline uint64_t fem_trajectory_key(int split, int64_t index)
{
    return (uint64_t)split << 60 | (uint64_t)index << 20; /* the frame goes below */
}

/* ---- draw.c ---- */

/* The initial field at nodes [n] and the ambient temperature of one trajectory. */
void fem_draw_start(const fem_simulation *s, int split, int64_t index, double *u, double *ambient);
/* Powers [T,A], ambient in the last column. */
void fem_draw_actions(const fem_simulation *s, int split, int64_t index, double ambient, float *actions);

/* ---- camera.c ---- */

fwm_status fem_camera_create(fem_simulation *s) FWM_MUST_USE;
/* frame [H,W,3] of a field [n]; noise [H*W*3] normals, or NULL. */
void fem_camera_shoot(const fem_simulation *s, const float *field, const float *noise, uint8_t *frame);

#endif
