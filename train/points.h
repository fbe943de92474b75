/* Generators and regressors of points (model.kind points): their network, and what is measured of them. */
#ifndef TRAIN_POINTS_H
#define TRAIN_POINTS_H

#include "model/transport/gate.h"
#include "train/world.h"

/* ---- the network, as graph values ---- */

/* Noise [n, model.points.noise], uniform on [-1,1]. */
ad_value tr_points_noise(const tr_config *config, const wm_model *m, int64_t n);
/* p [n,d] from contexts x [n,d], noise and one-hot classes [n,K]; each may be AD_NONE. In the unit of the data. */
ad_value tr_points_predict(const tr_config *config, const wm_model *m, ad_value x, ad_value noise, ad_value class_of);
/* The gate's classifier: logits [n,K] of contexts. */
ad_value tr_points_logits(const tr_config *config, const wm_model *m, ad_value x);
/* A one-hot class drawn from logits, without gradient. */
ad_value tr_points_class(const wm_model *m, ad_value logits);

/* Puts the parameters of a configuration's network into the world's store, for loading. */
fwm_status tr_points_declare(tr_world *world) FWM_MUST_USE;

/* ---- what is measured ---- */

enum { TR_POINTS_SIDE = 80 };

typedef struct tr_points_report {
    int64_t count, components;
    double mixing, off, coverage, threshold; /* ot_mixing, against the split's points and their components */
    double w2, joint_w2;                     /* exact W2 of 512 codes; with contexts joined (standardised) */
    double squared_error;                    /* regressor: mean |p - y|^2 / s^2; else NaN */
    double sliced;                           /* SW2 [unit of the codes] */
    /* The detected boundary on a grid of the source: noise of an unconditional generator (unpaired diagram), contexts
     * of pairs; row 0 at the top. Two coordinates only. */
    bool has_picture;
    double half; /* the grid covers [-half,half]^2 */
    float boundary[TR_POINTS_SIDE * TR_POINTS_SIDE], density[2][TR_POINTS_SIDE * TR_POINTS_SIDE];
} tr_points_report;

/* Generates as many points as the split has (up to 2048) with flat weights, and measures. `memory` and `gate` (NULL
 * where there is none) are as training left them. Errors: as the graph's, FWM_DATA (an empty split). */
fwm_status tr_points_measure(tr_points_report *report, tr_world *world, ot_memory *memory, ot_gate *gate, float *flat,
                             ds_split split, uint64_t seed) FWM_MUST_USE;

/* Memory and gate of a configuration; *gate is NULL where there is none. */
fwm_status tr_memory_create(ot_memory **memory, ot_gate **gate, const tr_config *config,
                            const wm_config *model) FWM_MUST_USE;

/* Their arrays as tensors "transport/<name>" (name: room for each), and back. */
enum { TR_MEMORY_TENSORS = (int)OT_MEMORY_ARRAYS + (int)OT_GATE_ARRAYS };
int tr_memory_tensors(ot_memory *memory, ot_gate *gate, tr_tensor tensor[TR_MEMORY_TENSORS], char (*name)[512]);
fwm_status tr_memory_load(ot_memory *memory, ot_gate *gate, const tr_checkpoint *checkpoint) FWM_MUST_USE;

/* {"points", "mixing", "off", "coverage", "w2", "joint_w2", "squared_error", "sliced"}. */
fwm_status tr_points_json(const tr_points_report *report, json_t **json) FWM_MUST_USE;

#endif
