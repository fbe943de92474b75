/* Datasets: videos of physical systems with their actions, states and cheap simulations, whatever layout they lie in.
 *
 * A dataset is N trajectories. At every time step a trajectory has up to four fields, each `points` x `channels`
 * values:
 *     frames  x(t)      H*W pixels x C, in [0,1] (stored as bytes or as float32)
 *     actions a(t)      1 x A, held over [t, t+1)
 *     state   s(t)      n nodes of the fine mesh x c
 *     s_phy   s_phy(t)  m nodes of the coarse mesh x c'
 * and once, P parameters. All is read as float32, row-major, channel last.
 *
 * Invariant: what ds_open returns has been checked whole but for the numbers themselves: extents agree with each
 * other, with the meshes and with the size of the file; indices of cells and boundary faces are in range. NaN and Inf
 * are data: ds_inspect counts them.
 * Ownership: a dataset owns everything that ds_get_info and ds_truth point to, until ds_close.
 * Threads: HDF5 is used by one thread at a time, under a mutex of this room (see h5.h); any thread may call any
 * function here, but ds_close needs the dataset to itself.
 * Cost: opening reads names, meshes and statistics, never fields. Reading a clip costs one positioned read per chunk
 * it touches, and undoing its filters (array.h); what HDF5 alone can read, one hyperslab under its lock. */
#ifndef FWM_DATA_DATASET_H
#define FWM_DATA_DATASET_H

#include "data/grid.h"
#include "data/mesh.h"
#include "data/stats.h"
#include "model/base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum ds_field { DS_FRAMES, DS_ACTIONS, DS_STATE, DS_S_PHY, DS_FIELDS } ds_field;
typedef enum ds_split { DS_TRAIN, DS_VALIDATION, DS_TEST, DS_TEST_OOD, DS_SPLITS } ds_split;

/* "frames", "actions", "state", "s_phy"; "train", "validation", "test", "test_ood". */
const char *ds_field_name(ds_field field);
const char *ds_split_name(ds_split split);
/* The split of a name; FWM_INVALID, naming the four, otherwise. */
fwm_status ds_split_parse(const char *name, ds_split *out) FWM_MUST_USE;

typedef struct ds_field_info {
    int64_t points, channels;     /* both 0 where the dataset lacks the field */
    const char *const *names;     /* channels of them, never NULL entries where channels > 0 */
    const char *const *units;     /* "" where not known */
    ds_stats stats;               /* training split; NULL pointers until known: ds_ensure_stats */
    const struct ds_array *array; /* where it is stored (one of several), for ds_inspect; NULL where it is not told */
    int time_axis;                /* of that array; -1: it holds for all steps */
} ds_field_info;

typedef struct ds_info {
    const char *layout, *name, *equation, *generator, *config; /* "" where not known */
    double dt;                                                 /* time between frames, 0 where not known */
    int64_t seed;
    int64_t trajectories;              /* N */
    int64_t steps;                     /* T: the longest trajectory's */
    const int64_t *lengths;            /* [N] steps of each */
    const uint8_t *splits;             /* [N] ds_split of each */
    int64_t height, width;             /* of frames; 0 when there are none */
    int64_t shown_height, shown_width; /* the upper left part that was recorded (video.h); 0: all of it */
    bool frames_are_bytes;             /* stored as u8 (read as value / 255) */
    ds_field_info fields[DS_FIELDS];
    int64_t parameters; /* P */
    const char *const *parameter_names, *const *parameter_units;
    bool has_key_state;
    const ds_mesh *mesh, *coarse_mesh; /* NULL where there is none */
    const ds_grid *grid;               /* of the state's points; NULL where they are no grid */
    int64_t truths;                    /* arrays under /truth */
    const char *const *truth_names;
} ds_info;

/* Pointers to a clip's arrays. ds_read fills those that are not NULL. */
typedef struct ds_clip {
    union {
        float *field[DS_FIELDS];
        struct {
            float *frames;  /* [T,H,W,C] in [0,1] */
            float *actions; /* [T,A] */
            float *state;   /* [T,n,c] */
            float *s_phy;   /* [T,m,c'] */
        };
    };
    uint8_t *frame_bytes; /* [T,H,W,C] where frames_are_bytes: 255 times what frames holds */
    float *parameters;    /* [P] */
    uint8_t *key_state;   /* [T] 1 where a sudden change is under way */
} ds_clip;

typedef struct ds_dataset ds_dataset;

/* What to take as which field, where a layout leaves a choice; NULL: its own choice. data/layouts/README.md says what
 * each layout understands. The texts must live as long as the dataset. */
typedef struct ds_options {
    const char *frames, *state, *actions;
} ds_options;

/* Opens `path` (a file, or a folder for layouts of several files) for reading. `layout`: "auto", or a layout's name
 * ("fwm"). `options` may be NULL. On error *out is NULL.
 * Errors: FWM_IO (cannot be opened or read), FWM_DATA (not such a file; a part missing, of another type or shape:
 * file, place in the file, expected, found), FWM_INVALID (no such layout), FWM_MEMORY. */
fwm_status ds_open(ds_dataset **out, const char *path, const char *layout) FWM_MUST_USE;
fwm_status ds_open_with(ds_dataset **out, const char *path, const char *layout, const ds_options *options) FWM_MUST_USE;
void ds_close(ds_dataset **ds);

const ds_info *ds_get_info(const ds_dataset *ds);
const char *ds_path(const ds_dataset *ds);

/* Steps [start, start + length) of one trajectory into the arrays of `out` that are not NULL.
 * Errors: FWM_INVALID (a range outside the trajectory, a field that the dataset lacks), FWM_IO, FWM_DATA; the arrays
 * are then unspecified. */
fwm_status ds_read(ds_dataset *ds, int64_t trajectory, int64_t start, int64_t length, const ds_clip *out) FWM_MUST_USE;

/* An array that the simulator kept for evaluation (/truth/<name>): *values [*count] f64, alive until ds_close.
 * Errors: FWM_DATA when there is none of that name, or as ds_read. */
fwm_status ds_truth(ds_dataset *ds, const char *name, int64_t *count, const double **values) FWM_MUST_USE;

/* Fills the statistics of all fields, or of those that are wanted, where the file had none, by streaming over the
 * training split once (over all trajectories when none is marked for training), in several threads; of large datasets
 * they are kept beside it (stats_file.h). Not to be called while another thread uses the dataset. */
fwm_status ds_ensure_stats(ds_dataset *ds) FWM_MUST_USE;
fwm_status ds_ensure_stats_of(ds_dataset *ds, const bool wanted[DS_FIELDS]) FWM_MUST_USE;

/* How many trajectories a split has; their indices, ascending, into list[] (room for N) unless it is NULL. */
int64_t ds_split_list(const ds_info *info, ds_split split, int64_t *list);

#endif
