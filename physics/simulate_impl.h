/* What the simulator's files share. */
#ifndef FWM_PHYSICS_SIMULATE_IMPL_H
#define FWM_PHYSICS_SIMULATE_IMPL_H

#include "model/base/random.h"
#include "physics/simulate.h"
#include "physics/span.h"
#include "physics/warp.h"

enum { FEM_LADDER = 7 }; /* 1, 2, ... 64 substeps */

/* The truth in ever more substeps, one problem each, and what choosing among them takes; one level where steps do not
 * adapt. */
typedef struct fem_ladder {
    int count;
    fem_problem *level[FEM_LADDER];
    double *coarse, *from, *to, *a; /* [room,n,c] and [room,A] */
    int64_t *active;                /* [room] */
} fem_ladder;

struct fem_simulation {
    fem_simulate_spec spec;
    const fem_equation *equation, *cheap_equation;
    int components;
    fem_condition condition[FEM_MAX_CONDITIONS]; /* of the truth, with profiles on its mesh */
    fem_span span[FEM_MAX_CONDITIONS];
    fem_mesh *mesh, *coarse;
    fem_ladder *ladder; /* one, or one a thread where trajectories have laws of their own */
    int n_ladders;
    fem_problem *cheap;
    double *drawn; /* [room,drawn_size] what is random of the batch's laws */
    int64_t drawn_size;
    fem_problem *relax;                  /* the truth with long steps, for basins; NULL where there are none */
    double *varying[FEM_MAX_PARAMETERS]; /* [n_cells] of the truth; NULL where there is one value */
    fem_theta truth_theta, cheap_theta;
    fem_csr *render, *restriction; /* nodes -> pixels, nodes -> coarse nodes */
    double *mask;                  /* [H,W] */
    double *light;                 /* [H,W] vignetting */
    fem_warp *warp;                /* where frames show deformed bodies, else NULL */
    double *moved;                 /* [threads] pictures of a body before and after */
    int64_t n_actions;
    int displacement;       /* its first component, where bodies are deformed */
    int shown, shown_count; /* components that frames show */
    int start_first[FEM_MAX_STARTS], start_count[FEM_MAX_STARTS];

    /* One batch. */
    int64_t room;
    double *u, *u_next, *v, *v_next, *a;  /* [room,n,c], [room,m,c], [room,A] */
    float *state, *cheap_state, *actions; /* [room,T,...] */
    uint8_t *frame, *key_state;           /* key_state, basin [room,T] */
    int8_t *basin;
    int64_t *open; /* [room] frames that are relaxed together */
};

/* Names of draws: each consumer has its own stream of the run's seed. */
enum fem_stream {
    FEM_STREAM_START = 0x5101,
    FEM_STREAM_FEATURES,
    FEM_STREAM_POWER,
    FEM_STREAM_NOISE,
    FEM_STREAM_AMBIENT,
    FEM_STREAM_DRIVEN,
    FEM_STREAM_LAW,
    FEM_STREAM_DEPTH /* what starts have along z */
};

static inline uint64_t fem_trajectory_key(int split, int64_t index)
{
    return (uint64_t)split << 60 | (uint64_t)index << 20; /* the frame goes below */
}

/* Does the cylinder along z (in the plane: the disc) hold the cell's centroid? */
static inline bool fem_disc_holds(const fem_mesh *mesh, int64_t cell, double x, double y, double radius)
{
    const double *at = mesh->centroid + mesh->dim * cell;
    return (at[0] - x) * (at[0] - x) + (at[1] - y) * (at[1] - y) < radius * radius;
}

/* ---- simulate_spec.c ---- */

fwm_status fem_simulate_check(const fem_simulate_spec *spec) FWM_MUST_USE;
fwm_status fem_simulate_check_law(const fem_simulate_spec *spec, const fem_equation *equation,
                                  const fem_equation *cheap) FWM_MUST_USE;
/* A: sources, ambient values, driven conditions. */
int64_t fem_simulate_actions(const fem_simulate_spec *spec, const fem_equation *equation);

/* ---- draw.c ---- */

/* The initial state [n,c], before conditions, and the ambient actions of one trajectory where they are constant (else
 * 0). */
void fem_draw_start(const fem_simulation *s, int split, int64_t index, double *u, double *ambient);
/* Powers, ambient actions and what drives conditions, [T,A]. */
void fem_draw_actions(const fem_simulation *s, int split, int64_t index, const double *ambient, float *actions);

/* ---- draw_law.c ---- */

fwm_status fem_check_random(const fem_simulate_spec *spec, const fem_equation *equation) FWM_MUST_USE;
/* The random parameters of a trajectory, as number b of the batch; the law that they make. */
void fem_draw_law(fem_simulation *s, int split, int64_t index, int64_t b);
fem_theta fem_drawn_theta(const fem_simulation *s, int64_t b);

/* ---- march.c ---- */

/* `truth` is what the first level solves. */
fwm_status fem_ladders_create(fem_simulation *s, const fem_problem_spec *truth) FWM_MUST_USE;
void fem_ladders_destroy(fem_simulation *s);
/* Actions of frame t of trajectories first .. first + count - 1 of the batch into a [count,A]. */
void fem_take_actions(const fem_simulation *s, double *a, int64_t first, int64_t count, int64_t t);
/* Fills s->state and s->cheap_state of the batch from its starts in s->u. */
fwm_status fem_march(fem_simulation *s, int64_t batch) FWM_MUST_USE;

/* ---- label.c ---- */

/* Key states and basins of the `batch` trajectories in s->state. */
fwm_status fem_label(fem_simulation *s, int64_t batch) FWM_MUST_USE;

/* ---- camera.c ---- */

fwm_status fem_camera_create(fem_simulation *s) FWM_MUST_USE;
/* frame [H,W,3] of a state [n,c]; noise [H*W*3] normals, or NULL. */
fwm_status fem_camera_shoot(const fem_simulation *s, const float *field, const float *noise,
                            uint8_t *frame) FWM_MUST_USE;

#endif
