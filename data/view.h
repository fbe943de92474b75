/* A dataset as a model takes it, over one as it lies in a file: nodes and channels of the state chosen, a mesh given,
 * frames drawn from the state, actions of zeros, the cheap simulation taken from a file of its own.
 *
 * Ownership: the view owns the dataset beneath (unless it is borrowed) and the one of the cheap simulation, and closes
 * them. What the spec
 * points to lives in the spec's arena, which the view takes over. ds_path of a view is the file's.
 * Threads: as any dataset. Cost: a field that is mapped is read through a buffer as large as the part that is read;
 * drawing costs one sparse product a frame. */
#ifndef FWM_DATA_VIEW_H
#define FWM_DATA_VIEW_H

#include "data/dataset.h"

/* Row r of a field: sum of weight[e] u[column[e]] over e from row_start[r] to row_start[r + 1], u at the points of the
 * state beneath. */
typedef struct ds_rows {
    int64_t rows;             /* 0: not given */
    const int64_t *row_start; /* [rows + 1] */
    const int32_t *column;
    const double *weight;
} ds_rows;

/* Frames from one channel of the state beneath, a row a pixel; pixels without elements are black. */
typedef struct ds_drawing {
    int64_t height, width; /* 0: frames are not drawn */
    int64_t channel;       /* of the state beneath */
    double low, high;      /* the values at the two ends of the colour map */
    ds_rows pixels;
} ds_drawing;

typedef struct ds_view_spec {
    fwm_arena *arena;
    ds_rows nodes; /* of the state; not given: the points beneath */
    int64_t channels;
    const int32_t *channel;                  /* [channels] channel beneath, -1: zeros; NULL: as they are */
    const char *const *names, *const *units; /* [channels], where channel is given */
    const ds_mesh *mesh, *coarse_mesh;       /* NULL: that of the dataset beneath */
    const ds_grid *grid;                     /* likewise */
    const char *equation;                    /* likewise */
    double dt;                               /* 0: likewise */
    ds_drawing drawing;
    int64_t zero_actions; /* actions of zeros, for a dataset that has none */
    const char *const *action_names, *const *action_units;
    /* Problems without time (one step each): the transition from a state of zeros to the solution, two steps. */
    bool begins_at_zero;
    bool borrowed;     /* the dataset beneath outlives the view */
    ds_dataset *cheap; /* whose state is s_phy, trajectory by trajectory; NULL: s_phy of the dataset beneath */
} ds_view_spec;

/* Statistics are those of the datasets beneath, which must have them (ds_ensure_stats); frames that are drawn have
 * none. On error *out is NULL, and base, cheap and arena are gone as well.
 * Errors: FWM_INVALID (an index out of range, a cheap simulation of other trajectories), FWM_MEMORY. */
fwm_status ds_view_create(ds_dataset **out, ds_dataset *base, const ds_view_spec *spec) FWM_MUST_USE;

#endif
