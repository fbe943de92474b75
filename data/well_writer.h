/* Writing one file in the layout of The Well (DATA.md 2.1; layouts/well.c reads it).
 *
 * Trajectories of equal length whose state lies on a regular grid: ds_info.grid, or a mesh whose nodes are the points
 * of one in any order. Channels named f_x, f_y, ... (one for each axis) become a vector field f, f_xx, f_xy, ... a
 * tensor field, others scalar fields. A dataset without a state gives its frames, as fields over height and width.
 * Parameters become scalars of each trajectory, actions scalars that vary in time. What the layout has no place for
 * (frames beside a state, the cheap simulation, meshes, key states) is left out.
 *
 * The file is written aside, synced and renamed. Memory: one piece that is put. */
#ifndef FWM_DATA_WELL_WRITER_H
#define FWM_DATA_WELL_WRITER_H

#include "data/dataset.h"
#include "data/writer.h"

typedef struct ds_well_writer ds_well_writer;

/* For `count` trajectories of `steps` steps of a dataset that `info` describes. `options` as of ds_writer; NULL: none.
 * Errors: FWM_UNSUPPORTED (the state lies on no regular grid, or there is neither state nor frames), FWM_IO,
 * FWM_MEMORY. */
fwm_status ds_well_writer_create(ds_well_writer **out, const char *path, const ds_info *info, int64_t count,
                                 int64_t steps, const ds_writer_options *options) FWM_MUST_USE;

/* The field that becomes The Well's fields: DS_STATE or DS_FRAMES. */
ds_field ds_well_writer_field(const ds_well_writer *writer);

/* Steps [start, start + length) of trajectory i (of the file): values [length, points, channels] of the field above,
 * actions [length, A] (NULL where there are none), parameters [P] (NULL: put before). */
fwm_status ds_well_writer_put(ds_well_writer *writer, int64_t i, int64_t start, int64_t length, const float *values,
                              const float *actions, const float *parameters) FWM_MUST_USE;

/* Syncs and renames. The writer is gone afterwards, on error with its temporary file. Errors: FWM_IO. */
fwm_status ds_well_writer_finish(ds_well_writer **writer) FWM_MUST_USE;
void ds_well_writer_abort(ds_well_writer **writer);

/* The statistics of the field as a stats.yaml of The Well at `path`. info->fields[..].stats must be known. Errors:
 * FWM_IO, FWM_UNSUPPORTED. */
fwm_status ds_well_write_stats(const char *path, const ds_info *info) FWM_MUST_USE;

#endif
