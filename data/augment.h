/* Augmentation of clips: symmetries of the law and the mesh, and what a camera does.
 *
 * What happens to a clip is a function of (seed, number of its draw) alone: the same in a run that was stopped and goes
 * on, another each time that the same clip is drawn, so that clips which are drawn often (key states) are not seen
 * twice alike. Symmetries turn frames, state, actions and cheap simulation of all steps together; one of them, or none,
 * is drawn with equal probability. Brightness, contrast and noise change frames alone. */
#ifndef FWM_DATA_AUGMENT_H
#define FWM_DATA_AUGMENT_H

#include "data/dataset.h"
#include "model/base/random.h"

/* Value c of point p becomes sign[c] times value channel[c] of point point[p]. */
typedef struct ds_turn {
    const int32_t *point;   /* [points]; NULL: as they are */
    const int32_t *channel; /* [channels]; NULL: as they are, with their signs */
    const float *sign;      /* [channels], where channel is given */
} ds_turn;

typedef struct ds_symmetry {
    const char *name;
    ds_turn field[DS_FIELDS];
} ds_symmetry;

typedef struct ds_augment {
    int count; /* 0: none */
    const ds_symmetry *symmetry;
    double brightness;  /* largest shift of frames [of full brightness] */
    double contrast;    /* largest change of the factor 1 about middle grey [-] */
    double frame_noise; /* deviation of each value of a frame [of full brightness] */
} ds_augment;

/* Whether anything happens at all. */
bool ds_augment_is_on(const ds_augment *augment);

/* Floats of scratch that ds_augment_clip needs. */
int64_t ds_augment_scratch(const ds_info *info);

/* Changes the arrays of `clip` that are not NULL, `steps` steps each; `draw` is the number of the clip's draw. */
void ds_augment_clip(const ds_augment *augment, const ds_info *info, uint64_t seed, uint64_t draw, int64_t steps,
                     const ds_clip *clip, float *scratch);

#endif
