/* The seam between datasets and the layouts they lie in. A layout is one file under layouts/, found by the build:
 * data/layouts/NAME.c defines `const ds_layout ds_layout_NAME`. The functions below run with the lock of h5.h held,
 * but for the readers, which do not (ds_array_read_steps takes it). dataset.c checks the arguments of the readers
 * before it calls them. */
#ifndef FWM_DATA_LAYOUT_H
#define FWM_DATA_LAYOUT_H

#include "data/array.h"
#include "data/dataset.h"
#include "data/h5.h"

typedef struct ds_layout {
    const char *name;

    /* How sure this layout is that `path` is its own: 0 no, 100 marked as such. `file` is NULL for a folder. */
    int (*detect)(const char *path, const ds_h5 *file);

    /* Fills ds->info (texts and arrays from ds->arena; what is left zero is absent, names left NULL are numbered) and
     * ds->self. On error close is called all the same, ds->self as far as it came. ds->file is open unless path is a
     * folder. */
    fwm_status (*open)(ds_dataset *ds);
    void (*close)(ds_dataset *ds);

    /* A field that exists, within the trajectory: out [length, points, channels]. As bytes only frames that are. */
    fwm_status (*read)(ds_dataset *ds, ds_field field, int64_t trajectory, int64_t start, int64_t length, ds_as as,
                       void *out);
    fwm_status (*read_parameters)(ds_dataset *ds, int64_t trajectory, float *out);
    fwm_status (*read_key_state)(ds_dataset *ds, int64_t trajectory, int64_t start, int64_t length, uint8_t *out);

    /* Array `i` of info.truths into ds->arena. Lock held. */
    fwm_status (*read_truth)(ds_dataset *ds, int64_t i, int64_t *count, const double **values);
} ds_layout;

struct ds_dataset {
    ds_info info;
    ds_options options;
    char *path;
    fwm_arena *arena;
    ds_h5 *file; /* NULL for a folder */
    const ds_layout *layout;
    void *self; /* the layout's own */
    struct ds_truth_entry {
        int64_t count;
        const double *values;
    } * truths; /* [info.truths], values NULL until asked for */
};

/* FWM_INVALID, naming the option, where options were given that the layout does not take (those it takes: true). */
fwm_status ds_refuse_options(const ds_dataset *ds, bool frames, bool state, bool actions) FWM_MUST_USE;

/* lengths[trajectories] and splits[trajectories] of ds->info, zeroed, from the arena. */
fwm_status ds_make_lists(ds_dataset *ds, int64_t trajectories, int64_t **lengths, uint8_t **splits) FWM_MUST_USE;

/* A text by a format, into the arena; NULL when memory is out. */
__attribute__((format(printf, 2, 3))) const char *ds_format(fwm_arena *arena, const char *format, ...);

/* `count` names "<stem>0", "<stem>1", ... in the arena (the stem alone where there is one); NULL when
 * memory is out. */
const char *const *ds_number_names(fwm_arena *arena, const char *stem, int64_t count);

#endif
