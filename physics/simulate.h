/* The simulator of `heat_plate`: trajectories of a heated plate with hidden inclusions, as a camera and a cheap
 * simulation see them.
 *
 * The truth is implicit Euler with Newton iterations on the fine mesh (float64), `substeps` a frame; the cheap
 * simulation is the nominal law (reference conductivity, no loss, no radiation) on the coarse mesh, one step a frame,
 * open loop from the same start and powers. Conductivity is one value a cell: the value of the last inclusion that
 * holds the cell's centroid, else the plate's.
 *
 * Every draw is a function of (seed, split, index of the trajectory): a trajectory can be made alone, and its bytes do
 * not depend on what is made beside it. Initial states are Gaussian random fields with covariance sigma^2 exp(-r^2 / (2
 * l^2)), made of random Fourier features (Rahimi & Recht 2007), so a start does not depend on the mesh. Camera noise of
 * pixel value i of frame t is the i-th normal of key (seed, noise stream) at step (split, index, t).
 *
 * Owner: the arrays given to the sink are the simulator's, valid during the call. Calls come in order of split and
 * index, on the calling thread.
 *
 * Cost: 144 trajectories of 41 frames on 64x64 P1 cells, four substeps a frame: 3.8 s on two cores. */
#ifndef FWM_PHYSICS_SIMULATE_H
#define FWM_PHYSICS_SIMULATE_H

#include "physics/fem.h"

enum { FEM_MAX_INCLUSIONS = 16 };
typedef enum fem_split { FEM_TRAIN, FEM_VALIDATION, FEM_TEST, FEM_TEST_OOD, FEM_SPLIT_COUNT } fem_split;
const char *fem_split_name(int split); /* "train", "validation", "test", "test_ood" */

typedef struct fem_inclusion {
    double conductivity, x, y, radius;
} fem_inclusion;

typedef struct fem_range {
    double lo, hi; /* a uniform draw between them */
} fem_range;

typedef struct fem_simulate_spec {
    uint64_t seed;
    fem_mesh_spec mesh, coarse;
    int64_t count[FEM_SPLIT_COUNT];                    /* trajectories of each split */
    int64_t frames;                                    /* T */
    int64_t height, width;                             /* of a frame, in pixels */
    double dt;                                         /* between frames [time] */
    int substeps;                                      /* of the truth */
    double conductivity, loss, radiation, temperature; /* of the truth: k [L^2/time], lam [1/time], eps, T0 */
    int n_inclusions;
    fem_inclusion inclusion[FEM_MAX_INCLUSIONS];
    double cheap_conductivity;
    int n_heaters;
    fem_source heater[FEM_MAX_ACTIONS];
    double power_probability;                 /* that a heater is on during a piece of its schedule */
    fem_range power, power_ood;               /* of a heater that is on; in test_ood */
    int64_t hold_lo, hold_hi;                 /* frames for which a power is kept */
    fem_range ambient;                        /* ua */
    fem_range correlation, deviation, offset; /* of the initial field: l [L], sigma, and its mean above ambient */
    fem_range shown;                          /* u at the ends of the colour map */
    double vignetting, noise; /* brightness 1 - v r^2 (r from the centre, in units of the longer edge); deviation [-] */
} fem_simulate_spec;

/* The experiment heat_plate in full. */
void fem_simulate_defaults(fem_simulate_spec *spec);

/* One trajectory; arrays row-major. */
typedef struct fem_trajectory {
    fem_split split;
    int64_t index, count; /* within its split, of that many */
    int64_t frames, height, width, nodes, coarse_nodes, actions_count;
    const uint8_t *frame; /* [T,H,W,3] sRGB */
    const float *state;   /* [T,n,1] */
    const float *cheap;   /* [T,m,1] */
    const float *actions; /* [T,A]: powers of the heaters, then ambient; row t is held over [t,t+1) */
} fem_trajectory;

/* What all trajectories share: for the dataset's header and for evaluation with the true operator. */
typedef struct fem_simulation fem_simulation;
/* Errors: FWM_INVALID naming the entry of the spec. */
fwm_status fem_simulation_create(fem_simulation **simulation, const fem_simulate_spec *spec) FWM_MUST_USE;
void fem_simulation_destroy(fem_simulation **simulation);
const fem_mesh *fem_simulation_mesh(const fem_simulation *s);
const fem_mesh *fem_simulation_coarse_mesh(const fem_simulation *s);
/* True parameters in float64: conductivity [n_cells], loss, radiation, temperature [1]. */
const fem_theta *fem_simulation_theta(const fem_simulation *s);

typedef fwm_status (*fem_sink)(void *context, const fem_trajectory *trajectory);
/* All splits, in order. A failing sink ends the run with its status. */
fwm_status fem_simulate(fem_simulation *s, fem_sink sink, void *context) FWM_MUST_USE;
/* Trajectories first..first+n-1 of one split. */
fwm_status fem_simulate_some(fem_simulation *s, fem_split split, int64_t first, int64_t n, fem_sink sink,
                             void *context) FWM_MUST_USE;

/* A field [n] at the nodes as a frame [H,W,3] without noise: the camera of the simulator. */
fwm_status fem_simulation_picture(const fem_simulation *s, const float *field, uint8_t *frame) FWM_MUST_USE;

#endif
