/* What the law's files share. */
#ifndef TRAIN_LAW_IMPL_H
#define TRAIN_LAW_IMPL_H

#include "physics/view.h"
#include "physics/warp.h"
#include "train/law.h"

enum { TR_LAW_OPERATORS = 64, TR_LAW_WARPS = 64 };
typedef enum operator_kind {
    RENDER,
    GRADIENT_X,
    GRADIENT_Y,
    SAMPLE,
    PROLONG,
    PAIR_DIFFERENCE,
    OPERATOR_KINDS
} operator_kind;

typedef struct cached_operator {
    operator_kind kind;
    bool coarse, view; /* view: of what the camera of deformed bodies sees, else of the mesh's box */
    int64_t kh, kw;
    ad_sparse *matrix;
    double *mask; /* [kh*kw] of a view's RENDER: 1 within the mesh */
} cached_operator;

typedef struct cached_warp {
    int64_t kh, kw, channels, batch;
    fem_warp *warp;
} cached_warp;

struct tr_law {
    fem_mesh *mesh, *coarse;
    fem_problem *problem;
    const fem_equation *equation;
    double start[FEM_MAX_PARAMETERS];
    bool learned[FEM_MAX_PARAMETERS], field[FEM_MAX_PARAMETERS];
    int64_t nodes;
    double *mass;         /* [nodes] */
    double *free;         /* [n,c] 0 where essential conditions hold the state, else 1; NULL where all is free */
    double *parts, *wide; /* of tr_law_parts, for parts_batch transitions */
    float *narrow;
    int64_t parts_batch;
    cached_operator cache[TR_LAW_OPERATORS];
    int n_cached;
    bool deformed; /* frames show the body where its displacement has taken it */
    int displacement;
    double margin[2]; /* beyond the box */
    fem_cut cut;      /* of a box in space: what frames show */
    cached_warp warp[TR_LAW_WARPS];
    int n_warps;
    wm_physics physics;
    nn_store *store;
};

/* This thread's message becomes the graph's failure. */
ad_value tr_law_keep_failure(ad_graph *g, fwm_status status);

/* ---- law_pictures.c ---- */

/* Pictures of fields, what a camera sees of a body, and the way back to nodes: the builders of `physics` for them. */
void tr_law_add_pictures(tr_law *law, wm_physics *physics);
/* Jumps of a field of cells [1,n_cells,1] across the faces between them, times the faces' length: [1,n_pairs,1]. */
ad_value tr_law_jumps(tr_law *law, ad_graph *g, ad_value x);
/* Whether frames show a body that its displacement moves. Errors: FWM_DATA where the data do not have it. */
fwm_status tr_law_watch_body(tr_law *law, const tr_config *config, const ds_dataset *ds) FWM_MUST_USE;
void tr_law_forget_pictures(tr_law *law);

#endif
