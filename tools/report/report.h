/* The report of a run: one self-contained HTML file (inline SVG curves, inline PNG images, no script, nothing fetched)
 * that reads well in light and dark, on paper, and without colour.
 *
 * The caller fills plain structs; nothing is copied or kept, and nothing here knows of models or datasets. A part that
 * is empty (count 0, NULL) leaves its section out. Texts are UTF-8 and are escaped here. Numbers that are not finite
 * read as "not measured". Images show fields on a pixel grid: whoever holds the mesh renders them. */
#ifndef FWM_TOOLS_REPORT_REPORT_H
#define FWM_TOOLS_REPORT_REPORT_H

#include "model/base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* A line of "checkpoint: best.ckpt", or a headline number with a remark under it ("0.034", "model, persistence 1.33").
 */
typedef struct report_fact {
    const char *label, *value, *note; /* note may be NULL */
} report_fact;

/* One row of the table of metrics: values[method], NaN where not measured. */
typedef struct report_metric {
    const char *name, *unit; /* unit may be NULL */
    bool higher_is_better;
    const double *values;
} report_metric;

typedef struct report_parameter {
    const char *name, *unit;       /* unit may be NULL */
    double initial, fitted, truth; /* NaN where unknown */
} report_parameter;

typedef struct report_series {
    const char *name;
    const double *x, *y; /* [n]; NaN leaves a gap */
    int64_t n;
} report_series;

/* A line chart. Long series are drawn as their mean with a band from least to most. */
typedef struct report_chart {
    const char *title, *x_label, *y_label, *note; /* note may be NULL */
    bool log_y;                                   /* values <= 0 leave gaps */
    const report_series *series;
    int n_series;
} report_chart;

/* What one row of a strip of images is compared with the truth. */
typedef struct report_prediction {
    const char *name;    /* "model", "physics only" */
    const float *values; /* as the strip's truth */
} report_prediction;

/* Truth, predictions and their errors, one row each: still images at chosen times, and all times as a film. channels 1:
 * a field, through the colour map, one scale (the truth's range) for truth and predictions, signed error through the
 * diverging map. channels 3: RGB frames in [0,1], error = largest absolute difference of the channels. The errors of
 * each prediction have a scale of their own, written beside them. A NaN of the truth is drawn grey (outside the
 * domain), one of a prediction alone magenta (diverged). */
typedef struct report_strip {
    const char *title, *unit, *note; /* unit and note may be NULL */
    int times, height, width, channels;
    const char *const *labels; /* [times] "step 1", ... */
    const int *shown;          /* [n_shown] indices of the times with still images; NULL: all */
    int n_shown;
    double fps;         /* of the film [1/s]; 0: none */
    const float *truth; /* [times,height,width,channels] */
    const report_prediction *predictions;
    int n_predictions;
} report_strip;

typedef struct report {
    const char *title, *subtitle; /* subtitle may be NULL */
    const report_fact *headlines; /* shown large */
    int n_headlines;
    const report_fact *facts;
    int n_facts;
    const char *const *methods; /* columns of the table of metrics: "model", "persistence", ... */
    int n_methods;
    const report_metric *metrics;
    int n_metrics;
    const report_parameter *parameters;
    int n_parameters;
    const report_chart *charts;
    int n_charts;
    const report_strip *strips;
    int n_strips;
    const char *config; /* YAML text, or NULL */
} report;

/* Writes the report aside, syncs it and renames it to `path`. Errors: FWM_INVALID (a size or pointer that makes no
 * sense), FWM_IO, FWM_MEMORY, FWM_LIBRARY (libpng); an earlier file is then as it was. */
fwm_status report_write(const char *path, const report *r) FWM_MUST_USE;

#endif
