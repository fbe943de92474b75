/* Which files a dataset of The Well consists of, and which split each belongs to. */
#ifndef FWM_DATA_WELL_FILES_H
#define FWM_DATA_WELL_FILES_H

#include "data/dataset.h"

typedef struct ds_well_file {
    const char *path;
    ds_split split;
} ds_well_file;

/* The split that a path names: its folder is train, valid, validation, val or test, or one of these words stands in
 * the file's name; train otherwise. */
ds_split ds_well_split_of(const char *path);

/* The files under a folder: those of its train, valid and test, or of data/train, ..., or those in the folder itself;
 * each folder's by name. *split_folders: there were folders of splits. Errors: FWM_IO, FWM_DATA (none), FWM_MEMORY. */
fwm_status ds_well_list_files(const char *folder, fwm_arena *arena, int64_t *count, ds_well_file **files,
                              bool *split_folders) FWM_MUST_USE;

/* Where the dataset's stats.yaml would be: beside data/, for files in data/train and the like; else beside the file.
 * NULL when memory is out. */
const char *ds_well_stats_path(const char *file, fwm_arena *arena);

#endif
