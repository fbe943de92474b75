/* Statistics that took a pass over a large dataset, kept beside it: PATH.stats.json (of a folder: FOLDER.stats.json).
 *
 * The file carries a key of all that the numbers were computed from: layout and choices, splits, lengths, extents, and
 * name, size and time of change of every file of the dataset. With another key it is not believed, and written anew: it
 * is never stale. Where it cannot be written the statistics are computed again the next time. */
#ifndef FWM_DATA_STATS_FILE_H
#define FWM_DATA_STATS_FILE_H

#include "data/layout.h"

/* That key, as text. */
enum { DS_IDENTITY_BYTES = 24 };
void ds_identity(const ds_dataset *ds, char key[DS_IDENTITY_BYTES]);

/* Fills the statistics of all fields that lack them and are in the file, where it was made from this data. What is
 * wrong with the file is not an error: it is as if there were none. */
void ds_stats_file_read(ds_dataset *ds);

/* Writes the statistics of all fields that have them, aside and renamed. Nothing is said when it cannot be done. */
void ds_stats_file_write(const ds_dataset *ds);

#endif
