/* What training remembers for the boundary regulariser: true codes, recent predictions, and the geometry of the codes.
 *
 * Two rings. The bank holds the newest N true codes y with the contexts x that they followed from (what the model
 * knows before it predicts; 0 coordinates: an unconditional generator) and the step at which they came; the other ring
 * holds as many of the newest predictions p (P, where that is more), with contexts and importance weights: the guards
 * look at all of them, transport starts from P. Every R steps the bank is
 * looked at: what is seen then, codes, scales, sheets, which anchors see each other (support.h), stays as it is until
 * the next look, so that losses in between have one meaning. Codes of an encoder that moves are at most N/batch + R
 * steps old: `age` tells.
 *
 * Contexts are standardised against the codes: a squared distance of contexts counts (eta s / s_x)^2, s and s_x the
 * global scales of codes and contexts.
 *
 * Guards: at a look the remembered predictions are held against the bank. `coverage` is the share of the bank's codes
 * with a prediction within 1.5 tau; `mass_error` is max_k |share of predictions nearest to sheet k - share of codes|.
 * Where coverage falls under 90 % of the best so far, or a sheet loses three quarters of its mass, `guard`, a factor of
 * the edge term's weight, is halved; otherwise it grows back by a quarter, to 1 at most.
 *
 * Everything is a function of what was pushed, in order: a memory that was saved and loaded goes on to the same bits.
 * Memory is allocated at creation. */
#ifndef OT_MEMORY_H
#define OT_MEMORY_H

#include "model/transport/boundary.h"
#include "model/transport/metrics.h"
#include "model/transport/support.h"

typedef struct ot_memory ot_memory;
enum { OT_MEMORY_ANCHORS = 48 }; /* and the most sheets that are told apart */

typedef struct ot_memory_options {
    int64_t d, dc;       /* coordinates of a code, 1 or more, and of a context */
    int64_t codes;       /* N, 16 or more */
    int64_t predictions; /* P, 1 or more */
    int64_t every;       /* R: steps between looks, 1 or more */
    double eta;          /* weight of contexts, >= 0; 0: they do not matter */
    double share;        /* of the contexts that shall score 1/2 or more as boundary; sets ell. 0: 0.1 */
    uint64_t seed;       /* of the anchors */
} ot_memory_options;

/* A ring as arrays: `count` rows are there, of which `next` is overwritten next. */
typedef struct ot_ring {
    int64_t room, count, next;
    void *code, *context; /* [room,d], [room,dc] of the type */
    double *weight;       /* [room] importance weights of mean 1, of predictions; NULL in the bank */
    int64_t *step;        /* [room] */
} ot_ring;

/* What the last look saw. */
typedef struct ot_geometry {
    bool ready;          /* there was a look: codes were enough and not all one point */
    int64_t N;           /* codes */
    const void *code;    /* [N,d] */
    const void *context; /* [N,dc] */
    const void *joint;   /* [N,d+dc]: code, context times `factor` */
    double factor;       /* eta s / s_x */
    double spacing;      /* median distance of a joint code to its nearest other one */
    double s, tau;
    const ot_support_view *support;
    bool gaps; /* the codes leave gaps: of their anchors' pairs more do not see each other than noise explains */
    int64_t looks;
    double ell;    /* of the paired diagram: contexts as sites, outcomes' anchors as groups; infinite without sheets */
    double oldest; /* age of the oldest code [steps] */
    double coverage; /* NaN before there were predictions */
    double mass_error;
    double sliced; /* sliced squared distance of predictions and codes, over s^2 */
    double best_coverage;
    double guard;
    bool lowered; /* the last look halved the guard */
} ot_geometry;

/* Errors: FWM_INVALID, FWM_OVERFLOW, FWM_MEMORY. */
fwm_status ot_memory_create(ot_memory **m, ad_dtype dtype, const ot_memory_options *options) FWM_MUST_USE;
void ot_memory_destroy(ot_memory **m);
size_t ot_memory_bytes(const ot_memory *m);
const ot_memory_options *ot_memory_get_options(const ot_memory *m);
ad_dtype ot_memory_dtype(const ot_memory *m);

/* After update `step`: n true codes y [n,d] with contexts x [n,dc], and M predictions p [M,d] with contexts xp [M,dc]
 * and weights w [M] (of the type; NULL: 1). Looks where a look is due: at the first step with a full bank, then every R
 * steps. Errors: FWM_NUMERIC for a number that is not finite (which cloud, point, coordinate); nothing is kept then. */
fwm_status ot_memory_push(ot_memory *m, int64_t step, int64_t n, const void *y, const void *x, int64_t M, const void *p,
                          const void *xp, const void *w) FWM_MUST_USE;

const ot_geometry *ot_memory_geometry(const ot_memory *m);
const ot_ring *ot_memory_predictions(const ot_memory *m);
ot_support *ot_memory_support(ot_memory *m);

/* Boundary scores b [M] in [0,1] of contexts x [M,dc]: the paired diagram of the last look (boundary.h), ell so that
 * the wanted share of the bank's own contexts scores 1/2 or more. Zeros before a look, without contexts, and where
 * everything sees everything. M up to the bank's room. Errors: FWM_INVALID, FWM_NUMERIC. */
fwm_status ot_memory_score(ot_memory *m, double *score, int64_t M, const void *x) FWM_MUST_USE;

/* ---- for checkpoints ---- */

/* The arrays that with the scalars are the whole state: named, of the memory's type unless `integer` (int64). */
typedef struct ot_memory_array {
    const char *name;
    void *data;
    bool integer, real64; /* neither: the memory's type */
    int64_t rows, columns;
} ot_memory_array;
enum { OT_MEMORY_ARRAYS = 10 };
int ot_memory_arrays(ot_memory *m, ot_memory_array array[OT_MEMORY_ARRAYS]);

/* After the arrays were filled from a checkpoint: puts the geometry together again. Errors: FWM_DATA (numbers that no
 * memory can have). */
fwm_status ot_memory_restore(ot_memory *m) FWM_MUST_USE;

#endif
