/* Metrics of predictions against the truth, and their table over trajectories and horizons.
 *
 * Fields are de-normalised nodal values: per (trajectory, horizon, field) over the nodes, with eps = 1e-7,
 *     MSE = mean (x-y)^2,  RMSE = sqrt(MSE),  NRMSE = sqrt(MSE / (mean y^2 + eps)),  VRMSE = sqrt(MSE / (var y + eps)),
 * var the unbiased variance (n - 1), so that predicting the spatial mean gives about 1 (The Well; Ohana et al. 2024).
 * With nodal weights w (lumped mass; made to sum to one) means are weighted and var y = sum w (y-ym)^2 / (1 - sum w^2),
 * which is the n - 1 of uniform weights. Frames are in [0,1]: PSNR = 10 log10(1 / MSE) over all pixels and channels;
 * SSIM as in the video-prediction literature (Wang et al. 2004; Finn et al. 2016): 11x11 Gaussian window of sigma 1.5,
 * `valid` borders, K1 0.01, K2 0.03, mean of the map, mean of the channels.
 *
 * Invariant: the table keeps every single value, and reductions walk it in the order of the trajectories, so that
 * results do not depend on the order in which, or on the thread by which, trajectories were added. Memory: 8 bytes a
 * value, trajectories x horizon x (3 fields + 2). Sums are float64. */
#ifndef FWM_TRAIN_METRICS_H
#define FWM_TRAIN_METRICS_H

#include "model/base/status.h"

#include <jansson.h>
#include <stdint.h>

typedef enum tr_metric { TR_VRMSE, TR_RMSE, TR_NRMSE, TR_PSNR, TR_SSIM, TR_METRIC_COUNT } tr_metric;
typedef enum tr_average { TR_MEAN, TR_MEDIAN } tr_average;
enum { TR_ALL_FIELDS = -1 };

/* "vrmse", "rmse", "nrmse", "psnr", "ssim". */
const char *tr_metric_name(tr_metric metric);

/* ---- one field, one frame ---- */

typedef struct tr_field_error {
    double vrmse, rmse, nrmse; /* [-], [field's unit], [-]; NaN where undefined (one node, no weight, NaN in x) */
} tr_field_error;

/* x prediction, y truth: `nodes` values, `stride` floats apart (c for one field of [nodes,c]); weight [nodes] or NULL
 * (uniform). */
tr_field_error tr_field_compare(const float *x, const float *y, const float *weight, int64_t nodes, int64_t stride);

/* x, y [n] in [0,1]. Infinite for equal frames [dB]. */
double tr_frame_psnr(const float *x, const float *y, int64_t n);

/* x, y [H,W,C] in [0,1]. *ssim is NaN for frames under 11 x 11, and -1 (the literature's convention) where the map is
 * NaN. Errors: FWM_INVALID, FWM_MEMORY. */
fwm_status tr_frame_ssim(double *ssim, const float *x, const float *y, int H, int W, int C) FWM_MUST_USE;

/* ---- the table ---- */

typedef struct tr_metrics tr_metrics;

/* A table for `trajectories` rollouts of `horizon` steps (1..horizon), with c = `fields` (0: no state) named `names`
 * (copied; NULL when fields is 0). Errors: FWM_INVALID, FWM_OVERFLOW, FWM_MEMORY; *metrics is then NULL. */
fwm_status tr_metrics_create(tr_metrics **metrics, int64_t trajectories, int horizon, int fields,
                             const char *const *names) FWM_MUST_USE;
void tr_metrics_destroy(tr_metrics **metrics);

/* A state of one node has no variance over its nodes: its VRMSE is the RMSE over this deviation [fields] of the channel
 * in the training split, which must outlive the table. Until it is set, that VRMSE is NaN. */
void tr_metrics_set_deviation(tr_metrics *metrics, const double *deviation);

/* Enters step h (1..horizon) of a trajectory: x, y [nodes,c], weight [nodes] or NULL. A second entry replaces the
 * first. Different (trajectory, h) may be entered by different threads. Errors: FWM_INVALID. */
fwm_status tr_metrics_add_state(tr_metrics *metrics, int64_t trajectory, int h, const float *x, const float *y,
                                const float *weight, int64_t nodes) FWM_MUST_USE;

/* The same for frames x, y [H,W,C] in [0,1]. Errors: FWM_INVALID, FWM_MEMORY. */
fwm_status tr_metrics_add_frame(tr_metrics *metrics, int64_t trajectory, int h, const float *x, const float *y, int H,
                                int W, int C) FWM_MUST_USE;

/* One trajectory's value; NaN where it was not entered or is undefined. `field` is TR_ALL_FIELDS (mean of the fields)
 * or an index; frames ignore it. */
double tr_metrics_value(const tr_metrics *metrics, tr_metric metric, int64_t trajectory, int h, int field);

/* Average over the trajectories that were entered at h. TR_MEAN is NaN when one of them is; TR_MEDIAN takes a NaN for
 * the worst value, so that a few diverged rollouts leave it finite. NaN when nothing was entered or memory is out. */
double tr_metrics_average(const tr_metrics *metrics, tr_metric metric, int h, int field, tr_average average);

/* Trajectories whose state at h was entered and is not finite: rollouts that diverged. */
int64_t tr_metrics_diverged(const tr_metrics *metrics, int h);

/* {"state": {"vrmse": {"1": x, ...}, "rmse", "nrmse", "vrmse_median", "diverged"}, "frames": {"psnr", "ssim"},
 *  "key_state": {"recall": null, "precision": null}} at the given horizons (those above the table's are null). With two
 * or more fields state has "fields": {name: {"vrmse", "rmse", "nrmse"}}. State or frames that were never entered are
 * null; so is every number that is not finite. The caller owns *json. Errors: FWM_INVALID, FWM_MEMORY. */
fwm_status tr_metrics_json(const tr_metrics *metrics, const int *horizons, int n, json_t **json) FWM_MUST_USE;

/* A JSON number, or null where x is not finite. A new reference; NULL when memory is out. */
json_t *tr_json_number(double x);

#endif
