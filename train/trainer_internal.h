/* The state of a run, for trainer.c (the loop), trainer_state.c (checkpoints) and trainer_plan.c (what is printed
 * before). */
#ifndef TRAIN_TRAINER_INTERNAL_H
#define TRAIN_TRAINER_INTERNAL_H

#include "model/autodiff/choice.h"
#include "train/events.h"
#include "train/identify.h"
#include "train/objective.h"
#include "train/optimizer.h"
#include "train/points.h"
#include "train/schedule.h"
#include "train/trainer.h"

enum { TR_MAX_STAGES = 8, TR_VALIDATION_BATCH = 16, TR_PATH = 1024 };

/* Bytes of the largest moment. */
typedef struct tr_memory {
    size_t process, workspaces, vectors, batches, libraries, peak;
    size_t fit, beside; /* of workspaces: identification's; what is there beside a stage's */
} tr_memory;

typedef struct tr_run {
    const tr_config *config;
    const tr_train_options *options;
    FILE *out;
    char folder[TR_PATH];
    tr_world *world;
    fwm_arena *symmetries; /* of the loader of clips */
    tr_identify *identify;
    tr_objective *stage[TR_MAX_STAGES]; /* one for each unroll length */
    int n_stages, current;              /* current: the stage whose workspace is allocated, -1: none */
    ot_memory *memory;                  /* of the boundary regulariser; NULL without it */
    double *score, *drawn; /* [clips] boundary scores, -1 not seen yet; what the loader draws by (transport.emphasis) */
    int64_t *first_clip;   /* [trajectories] of the loader's, -1: not drawn from */
    ot_gate *gate;         /* NULL without it */
    tr_rollout *validation;
    bool validation_ready;
    ds_loader *clips, *pairs; /* pairs, and identify, are gone once the law is fitted */
    ad_choices *choices;      /* of kernels, with trainer.plan: measure; NULL otherwise */
    tr_events *events;
    tr_lock *lock;
    int64_t law_size, size; /* elements of the flat vectors */
    float *p, *g, *m, *v, *ema;
    int64_t to_identify;      /* updates of the law; 0: nothing is learned */
    int64_t identified, step; /* updates done */
    int64_t saved;            /* the step of this process's newest last.ckpt; -1: none */
    double loss, best;        /* the last update's; the best validation's */
    double began, elapsed;    /* start of this process [s]; seconds of earlier ones */
    tr_memory predicted;
    tr_group *groups;      /* one for each parameter */
    double *group_factors; /* workspace of adaptive clipping, [n_groups] */
    int64_t n_groups;
} tr_run;

size_t tr_resident_bytes(bool peak);       /* VmRSS or VmHWM of this process */
double tr_run_seconds(const tr_run *run);  /* spent on the run, earlier processes included */
int64_t tr_run_horizon(const tr_run *run); /* of validation: eval.horizon, or what the trajectories allow */

/* trainer_state.c */
fwm_status tr_run_save(const tr_run *run, const char *name, bool keep_previous) FWM_MUST_USE;
/* *found tells whether there was a checkpoint; it is loaded into the run. */
fwm_status tr_run_resume(tr_run *run, bool *found) FWM_MUST_USE;
fwm_status tr_run_write_config(const tr_run *run) FWM_MUST_USE;

/* trainer_scores.c: boundary scores of clips, by which the loader draws (transport.emphasis of a world model). */
fwm_status tr_run_open_scores(tr_run *run) FWM_MUST_USE; /* after the loader is there */
void tr_run_close_scores(tr_run *run);
/* The clips of the batch that was remembered last get their scores; after a look (`looked`) the loader draws by them.
 */
fwm_status tr_run_score(tr_run *run, const ds_batch *batch, bool looked) FWM_MUST_USE;
/* Tensors "transport/clip_*", 0 without emphasis; and what a checkpoint had, given to the loader. */
enum { TR_SCORE_TENSORS = 2 };
int tr_run_score_tensors(const tr_run *run, tr_tensor tensor[TR_SCORE_TENSORS]);
fwm_status tr_run_load_scores(tr_run *run, const tr_checkpoint *checkpoint) FWM_MUST_USE;

/* trainer_adjoint.c: NaN where there is no law, or no step of it from there. */
fwm_status tr_run_adjoint_error(const tr_run *run, double *error) FWM_MUST_USE;

/* trainer_plan.c */
/* Around the making of plans, with trainer.plan: measure: reads the folder's kernels.txt; writes what is chosen. */
fwm_status tr_run_open_choices(tr_run *run) FWM_MUST_USE;
fwm_status tr_run_keep_choices(tr_run *run) FWM_MUST_USE;
fwm_status tr_run_build(tr_run *run) FWM_MUST_USE;    /* graphs and plans; allocates no workspace */
fwm_status tr_run_allocate(tr_run *run) FWM_MUST_USE; /* vectors, groups and loaders */
void tr_run_destroy(tr_run *run);
/* Plans the stages anew so that the run keeps to trainer.memory. Error: FWM_MEMORY, with the least it can take. */
fwm_status tr_run_fit_memory(tr_run *run) FWM_MUST_USE;
void tr_run_predict(tr_run *run); /* fills `predicted`; before anything is allocated */
void tr_run_print(const tr_run *run, bool plans);
fwm_status tr_run_enter_stage(tr_run *run, int stage) FWM_MUST_USE;
int tr_run_stage_at(const tr_run *run, int64_t step); /* 0-based update */

#endif
