/* How a dataset of ours appears in the layout of The Well: grid, order of points, fields from channels. */
#ifndef FWM_DATA_WELL_FIELDS_H
#define FWM_DATA_WELL_FIELDS_H

#include "data/dataset.h"

typedef struct ds_well_group {
    const char *name;
    int order;       /* 0 scalar, 1 vector, 2 tensor */
    int64_t channel; /* its first */
    int64_t channels;
} ds_well_group;

typedef struct ds_well_view {
    ds_field field; /* DS_STATE, or DS_FRAMES where there is no state */
    ds_grid grid;   /* all names set */
    int64_t points;
    const int64_t *node; /* [points] which point of the field is point i of the grid; NULL: the same */
    int64_t groups;
    ds_well_group *group;
} ds_well_view;

/* Into the arena. Errors: FWM_UNSUPPORTED (no regular grid: says what was found), FWM_MEMORY. */
fwm_status ds_well_view_of(const ds_info *info, fwm_arena *arena, ds_well_view *view) FWM_MUST_USE;

#endif
