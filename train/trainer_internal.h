/* The state of a run, for trainer.c (the loop), trainer_state.c (checkpoints) and trainer_plan.c (what is printed
 * before). */
#ifndef TRAIN_TRAINER_INTERNAL_H
#define TRAIN_TRAINER_INTERNAL_H

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
} tr_memory;

typedef struct tr_run {
    const tr_config *config;
    const tr_train_options *options;
    FILE *out;
    char folder[TR_PATH];
    tr_world *world;
    tr_identify *identify;
    tr_objective *stage[TR_MAX_STAGES]; /* one for each unroll length */
    int n_stages, current;              /* current: the stage whose workspace is allocated, -1: none */
    ot_memory *memory;                  /* of the boundary regulariser; NULL without it */
    ot_gate *gate;                      /* NULL without it */
    tr_rollout *validation;
    bool validation_ready;
    ds_loader *clips, *pairs; /* pairs, and identify, are gone once the law is fitted */
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
    tr_group *groups; /* what is frozen or not decayed */
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

/* trainer_plan.c */
fwm_status tr_run_build(tr_run *run) FWM_MUST_USE;    /* graphs and plans; allocates no workspace */
fwm_status tr_run_allocate(tr_run *run) FWM_MUST_USE; /* vectors, groups and loaders */
void tr_run_destroy(tr_run *run);
void tr_run_predict(tr_run *run); /* fills `predicted`; before anything is allocated */
void tr_run_print(const tr_run *run, bool plans);
fwm_status tr_run_enter_stage(tr_run *run, int stage) FWM_MUST_USE;
int tr_run_stage_at(const tr_run *run, int64_t step); /* 0-based update */

#endif
