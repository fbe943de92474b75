/* Video as a model takes it, over a dataset that has frames and perhaps nothing else: sides that are multiples of 8,
 * and a state where there is none.
 *
 *     sides    filled up to the next multiple of 8 (at least 16) at the right and at the bottom, by the picture
 *              mirrored at its last pixel; ds_info.shown_height and shown_width say what was recorded
 *
 *     state    the picture itself, coarsely: the frame's mean around each node of a grid of (width/4 + 1) x
 *              (height/4 + 1) nodes, at most 33 a side, that spans the frame (x to the right, y up, in pixels; edges
 *              open). A function of the frame alone, so a rollout can start from any frame; its fields are the colours
 *
 * Statistics of that state are not known until they are asked for (ds_ensure_stats_of). Threads: as any dataset. */
#ifndef FWM_DATA_VIDEO_H
#define FWM_DATA_VIDEO_H

#include "data/dataset.h"

/* Whether a dataset of that kind lacks something that is filled up here. */
bool ds_video_lacks(const ds_info *info);

/* Takes over base, on error too; *out is NULL then. Errors: FWM_UNSUPPORTED (a side of more than 32767 pixels),
 * FWM_MEMORY. */
fwm_status ds_video_create(ds_dataset **out, ds_dataset *base) FWM_MUST_USE;

#endif
