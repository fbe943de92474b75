/* The simulator: trajectories of an equation's true law, as a camera and a cheap simulation see them.
 *
 * The truth is the implicit step with Newton iterations on the fine mesh (float64), `substeps` a frame; the cheap
 * simulation is the same equation (or another of the same fields) with nominal parameters on the coarse mesh, fewer
 * steps, open loop from the same start and actions. A parameter may have inclusions: the value of the last disc that
 * holds a cell's centroid.
 *
 * Every draw is a function of (seed, split, index of the trajectory): a trajectory can be made alone, and its bytes do
 * not depend on what is made beside it. Initial states are, field by field, a mean, Gaussian random fields with
 * covariance sigma^2 exp(-r^2 / (2 l^2)), made of random Fourier features (Rahimi & Recht 2007), and blobs, so a start
 * does not depend on the mesh; essential conditions are then laid over it. Actions are
 * drawn for pieces of random length and held, or led from one to the next along half a cosine. Camera noise of pixel
 * value i of frame t is the i-th normal of key (seed, noise stream) at step (split, index, t).
 *
 * Key states, where the equation has a criterion: frames t > 0 reached from t - 1 by a change faster than `key_rate`
 * (fem_equation.event_rate). Basins, where it has stable states: the one that each frame's state would relax to with
 * all actions off, by running the true law (two steps a frame, which is enough for where it ends) until the equation
 * can tell (fem_equation.basin), for at most FEM_RELAX_FRAMES frames or until the state stands still.
 *
 * In space, discs of inclusions are cylinders along z, and frames show a plane.
 *
 * Owner: the arrays given to the sink are the simulator's, valid during the call. Calls come in order of split and
 * index, on the calling thread.
 *
 * Cost: 144 trajectories of 41 frames on 64x64 P1 cells, four substeps a frame: 3.8 s on two cores (heat). */
#ifndef FWM_PHYSICS_SIMULATE_H
#define FWM_PHYSICS_SIMULATE_H

#include "physics/fem.h"
#include "physics/view.h"

enum { FEM_MAX_INCLUSIONS = 16, FEM_MAX_REGION_VALUES = 32, FEM_MAX_STARTS = 8, FEM_RELAX_FRAMES = 80 };
typedef enum fem_split { FEM_TRAIN, FEM_VALIDATION, FEM_TEST, FEM_TEST_OOD, FEM_SPLIT_COUNT } fem_split;
const char *fem_split_name(int split); /* "train", "validation", "test", "test_ood" */

typedef struct fem_inclusion {
    double value, x, y, radius;
} fem_inclusion;

/* A parameter of the truth in a named region of the mesh. */
typedef struct fem_region_value {
    int parameter;
    const char *region;
    double value;
} fem_region_value;

typedef struct fem_range {
    double lo, hi; /* a uniform draw between them */
} fem_range;

/* How a field starts: mean + Gaussian random field + blobs value exp(-r^2 / (2 radius^2)); each component of a vector
 * by itself. */
typedef struct fem_start {
    const char *field;                      /* a field or component by name */
    fem_range mean, deviation, correlation; /* [its unit], [its unit], [L] */
    int64_t blobs_lo, blobs_hi;
    fem_range blob_value, blob_radius; /* [its unit], [L] */
} fem_start;

/* A parameter of the truth that is drawn for each trajectory: one value, or, with discs, the truth's own with discs
 * whose values are drawn, each anywhere in the mesh's box. */
typedef struct fem_random {
    int parameter; /* of the equation */
    fem_range range, range_ood;
    bool logarithmic; /* uniform in the logarithm */
    int64_t discs_lo, discs_hi;
    fem_range radius; /* [L] */
} fem_random;

/* How actions change within a trajectory. */
typedef enum fem_control { FEM_CONSTANT, FEM_HELD, FEM_SMOOTH, FEM_CONTROL_COUNT } fem_control;

/* Texts must outlive the simulation. */
typedef struct fem_simulate_spec {
    uint64_t seed;
    const char *equation;
    const char *cheap_equation; /* of the same fields; NULL: the same */
    fem_mesh_spec mesh, coarse;
    const char *mesh_file; /* gmsh's: its mesh is the coarse one, refined `refine` times the truth's; of mesh and coarse
                              the element alone counts then. NULL: boxes */
    int refine;
    int64_t count[FEM_SPLIT_COUNT];    /* trajectories of each split */
    int64_t frames;                    /* T */
    int64_t height, width;             /* of a frame, in pixels */
    double dt;                         /* between frames [time] */
    int substeps, cheap_substeps;      /* of the truth and of the cheap simulation, between frames; cheap 0: 1 */
    fem_scheme scheme;                 /* of both */
    double spectral_radius, tolerance; /* likewise; tolerance 0: 1e-10 */
    double adaptive; /* 0: `substeps` always; else twice, four times, ... as many until a frame changes by less of the
                        state than this */
    int64_t warmup;  /* frames that the truth runs, with the first frame's actions, before the trajectory begins */
    double truth[FEM_MAX_PARAMETERS], nominal[FEM_MAX_PARAMETERS]; /* in the equation's order */
    int n_region_values;
    fem_region_value region_value[FEM_MAX_REGION_VALUES];
    int inclusion_of; /* the parameter that inclusions change */
    int n_inclusions;
    fem_inclusion inclusion[FEM_MAX_INCLUSIONS];
    int n_random;
    fem_random random[FEM_MAX_PARAMETERS];
    int n_sources;
    fem_source source[FEM_MAX_ACTIONS];
    const char *source_name[FEM_MAX_ACTIONS]; /* NULL: the equation's word and a number */
    int n_conditions;
    fem_condition condition[FEM_MAX_CONDITIONS]; /* profiles are made from `parabolic` */
    bool parabolic[FEM_MAX_CONDITIONS];
    const char *condition_name[FEM_MAX_CONDITIONS]; /* of the action of a driven one */
    double power_probability;                       /* that a changing action is on during a piece of its schedule */
    fem_control control;                            /* of the powers: FEM_HELD or FEM_SMOOTH */
    fem_range power, power_ood;
    int64_t hold_lo, hold_hi; /* frames of a piece */
    fem_control ambient_control;
    fem_range ambient, ambient_ood;           /* of each ambient action */
    fem_range correlation, deviation, offset; /* of the first component's start where n_starts is 0: l [L], sigma, mean
                                                 (above a constant ambient) */
    int n_starts;
    fem_start start[FEM_MAX_STARTS];
    const char *shown_field;  /* what frames show: a component, or a vector field's magnitude; NULL: the first */
    fem_range shown;          /* values of it at the ends of the colour map */
    bool deformed;            /* frames show the body where its displacement has taken it, else in its place at rest */
    double margin[2];         /* then: what they show beyond the mesh's box along x and y [L] */
    fem_cut cut;              /* of meshes in space: the plane that frames show */
    double vignetting, noise; /* brightness 1 - v r^2 (r from the centre, in units of the longer edge); deviation [-] */
    double key_rate;          /* [1/time] */
} fem_simulate_spec;

/* The experiment heat_plate in full. */
void fem_simulate_defaults(fem_simulate_spec *spec);

/* One trajectory; arrays row-major. */
typedef struct fem_trajectory {
    fem_split split;
    int64_t index, count; /* within its split, of that many */
    int64_t frames, height, width, nodes, coarse_nodes, components, actions_count;
    const uint8_t *frame;     /* [T,H,W,3] sRGB */
    const float *state;       /* [T,n,c] */
    const float *cheap;       /* [T,m,c] */
    const float *actions;     /* [T,A]: powers of the sources, ambient, driven conditions; row t is held over [t,t+1) */
    const uint8_t *key_state; /* [T], NULL where the equation has no criterion */
    const int8_t *basin;      /* [T] from 0, FEM_BASIN_OPEN: none was reached; NULL where it has no basins */
} fem_trajectory;

/* What all trajectories share: for the dataset's header and for evaluation with the true operator. */
typedef struct fem_simulation fem_simulation;
/* Errors: FWM_INVALID naming the entry of the spec. */
fwm_status fem_simulation_create(fem_simulation **simulation, const fem_simulate_spec *spec) FWM_MUST_USE;
void fem_simulation_destroy(fem_simulation **simulation);
const fem_mesh *fem_simulation_mesh(const fem_simulation *s);
const fem_mesh *fem_simulation_coarse_mesh(const fem_simulation *s);
const fem_equation *fem_simulation_equation(const fem_simulation *s);
/* Trajectories that fill lanes and threads: what is best asked for at once. */
int64_t fem_simulation_room(const fem_simulation *s);
/* True parameters in float64: one value, or one a cell where there are inclusions or regions; without what is random.
 */
const fem_theta *fem_simulation_theta(const fem_simulation *s);
/* Of spec.random[k]: its parameter, and how many values a trajectory has of it, 1 or n_cells. */
int64_t fem_simulation_drawn(const fem_simulation *s, int random, int *parameter);
/* Those values, of one trajectory. */
void fem_simulation_draw(const fem_simulation *s, int split, int64_t index, int random, double *values);

typedef fwm_status (*fem_sink)(void *context, const fem_trajectory *trajectory);
/* All splits, in order. A failing sink ends the run with its status. */
fwm_status fem_simulate(fem_simulation *s, fem_sink sink, void *context) FWM_MUST_USE;
/* Trajectories first..first+n-1 of one split. */
fwm_status fem_simulate_some(fem_simulation *s, fem_split split, int64_t first, int64_t n, fem_sink sink,
                             void *context) FWM_MUST_USE;

/* A state [n,c] as a frame [H,W,3] without noise: the camera of the simulator. */
fwm_status fem_simulation_picture(const fem_simulation *s, const float *state, uint8_t *frame) FWM_MUST_USE;

#endif
