/* What a dataset that others recorded lacks, completed so that the model trains on it (data/view.h, data/video.h):
 *
 *     a mesh          grids become meshes whose nodes are their points, closed where they are periodic; a line becomes
 *                     a strip one cell wide (ds_grid_strip); of three axes a plane is taken (data.across, data.plane)
 *                     without a law; a state of one point stays one, without a place
 *     sides           those of frames are filled up to multiples of 8
 *     a state         of video without one: the picture itself, coarsely
 *     frames          drawn from a channel of the state by a colour map (data.draw)
 *     channels        those named by data.fields; on a line, velocities get a second component that is zero
 *     time            problems without it (one step: Darcy) are the transition from a state of zeros to the solution,
 *                     seen through the frame, which is drawn from a channel that is given (data.draw)
 *     actions         those that physics.equation expects are zero where the dataset has none
 *     s_phy           where physics.equation is named: computed once, and kept (cheap.h)
 *
 * What is there is left as it is: a dataset of `fwm simulate` comes back itself. */
#ifndef TRAIN_RECORDED_H
#define TRAIN_RECORDED_H

#include "data/dataset.h"
#include "train/config.h"

/* Takes over `file`, on error too. Statistics of what the file holds are there afterwards, frames excepted. Errors:
 * FWM_CONFIG (data.* or physics.* contradict the dataset, naming the key), FWM_DATA, and those of reading it and of
 * simulating. */
fwm_status tr_recorded(ds_dataset **out, ds_dataset *file, const tr_config *config) FWM_MUST_USE;

/* The same without s_phy. */
fwm_status tr_recorded_state(ds_dataset **out, ds_dataset *file, const tr_config *config) FWM_MUST_USE;

#endif
