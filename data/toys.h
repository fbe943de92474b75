/* Toy datasets of points, for the transport regulariser: where the truth is known in closed form.
 *
 *     discs      two discs of radius .4 at (-1,0) and (1,0), `share` of the points in the left one
 *     moons      two interleaved half circles of radius 1, noise .05
 *     gaussians  eight Gaussians of deviation .1 on the unit circle; above two dimensions on random directions of
 *                length 2
 *     line       one uniform strip [-1,1] x [-.25,.25]: nothing is disconnected
 *     duffing    pairs: x uniform on [-2,2]^2, y the state of q'' = q - q^3 - .6 q' a time 9 after it, where a kick
 *                N(0, .15^2) nobody sees came first; above two dimensions embedded by a fixed random isometry with
 *                noise .02
 *
 * A point is a trajectory with /state [1,d]: of one step (y), or of two (x, then y) where it is a pair. /parameters
 * holds the component that y belongs to (of duffing: the well). A function of the seed and the point's number. */
#ifndef FWM_DATA_TOYS_H
#define FWM_DATA_TOYS_H

#include "data/dataset.h"

typedef enum ds_toy { DS_TOY_DISCS, DS_TOY_MOONS, DS_TOY_GAUSSIANS, DS_TOY_LINE, DS_TOY_DUFFING } ds_toy;

typedef struct ds_toy_options {
    ds_toy toy;
    int64_t count[DS_SPLITS]; /* points of each split */
    int64_t dimensions;       /* 2 or more; gaussians and duffing alone have more than 2 */
    double share;             /* of discs */
    uint64_t seed;
    const char *name, *config, *generator; /* texts of the file */
} ds_toy_options;

/* One point: x [d] (only of pairs; may be NULL otherwise), y [d]; returns the component. */
int64_t ds_toy_draw(const ds_toy_options *o, int64_t index, float *x, float *y);
bool ds_toy_is_paired(ds_toy toy);
int64_t ds_toy_components(ds_toy toy);

/* Writes the dataset. Errors: FWM_INVALID, FWM_IO, FWM_MEMORY. */
fwm_status ds_toy_write(const ds_toy_options *options, const char *path) FWM_MUST_USE;

#endif
