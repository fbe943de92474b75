#include "train/metrics.h"

#include "model/base/arena.h"
#include "model/base/checked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define METRIC_EPS 1e-7
enum { SSIM_WINDOW = 11, FIELD_METRICS = 3, MAX_FIELDS = 4096 };

/* Values lie as [metric][horizon][trajectory][field] for the state, [metric][horizon][trajectory] for frames, so that
 * an average reads one contiguous run. `seen` has a byte for each (horizon, trajectory): bit 0 state, bit 1 frame. */
struct tr_metrics {
    int64_t trajectories;
    int horizon, fields;
    char **names;
    double *state, *frame;
    unsigned char *seen;
    const double *deviation; /* [fields] of states of one node, or NULL */
};

enum { SEEN_STATE = 1, SEEN_FRAME = 2 };

const char *tr_metric_name(tr_metric metric)
{
    static const char *const names[] = {"vrmse", "rmse", "nrmse", "psnr", "ssim"};
    return (int)metric >= 0 && metric < TR_METRIC_COUNT ? names[metric] : "unknown metric";
}

/* ---- one field ---- */

tr_field_error tr_field_compare(const float *x, const float *y, const float *weight, int64_t nodes, int64_t stride)
{
    double total = 0, squares = 0, error = 0, mean = 0, energy = 0;
    for (int64_t i = 0; i < nodes; i++) {
        double w = weight ? (double)weight[i] : 1.0, t = (double)y[i * stride], d = (double)x[i * stride] - t;
        total += w, squares += w * w, error += w * d * d, mean += w * t, energy += w * t * t;
    }
    tr_field_error none = {NAN, NAN, NAN};
    if (!(total > 0))
        return none;
    mean /= total;
    /* A second pass about the mean: E[y^2] - E[y]^2 would cancel for fields far from zero. */
    double spread = 0;
    for (int64_t i = 0; i < nodes; i++) {
        double w = weight ? (double)weight[i] : 1.0, t = (double)y[i * stride] - mean;
        spread += w * t * t;
    }
    double mse = error / total, freedom = 1.0 - squares / (total * total);
    /* One node carries all the weight: no variance. */
    double variance = freedom > 1e-12 ? spread / total / freedom : NAN;
    return (tr_field_error){.vrmse = sqrt(mse / (variance + METRIC_EPS)),
                            .rmse = sqrt(mse),
                            .nrmse = sqrt(mse / (energy / total + METRIC_EPS))};
}

/* ---- one frame ---- */

double tr_frame_psnr(const float *x, const float *y, int64_t n)
{
    double error = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)x[i] - (double)y[i];
        error += d * d;
    }
    return n > 0 ? -10.0 * log10(error / (double)n) : NAN;
}

static void ssim_window(double w[SSIM_WINDOW])
{
    double total = 0;
    for (int i = 0; i < SSIM_WINDOW; i++) {
        double d = i - SSIM_WINDOW / 2;
        total += w[i] = exp(-d * d / (2.0 * 1.5 * 1.5));
    }
    for (int i = 0; i < SSIM_WINDOW; i++)
        w[i] /= total;
}

/* The five windowed moments of one channel after the horizontal pass, rows[k][H][W-10]: x, y, x^2, y^2, xy. */
static void ssim_rows(double *rows, const float *x, const float *y, int H, int W, int C, const double *w)
{
    int valid = W - SSIM_WINDOW + 1;
    int64_t plane = (int64_t)H * valid;
    for (int i = 0; i < H; i++)
        for (int j = 0; j < valid; j++) {
            double s[5] = {0};
            for (int k = 0; k < SSIM_WINDOW; k++) {
                int64_t at = ((int64_t)i * W + j + k) * C;
                double a = (double)x[at], b = (double)y[at];
                s[0] += w[k] * a, s[1] += w[k] * b, s[2] += w[k] * a * a, s[3] += w[k] * b * b, s[4] += w[k] * a * b;
            }
            for (int m = 0; m < 5; m++)
                rows[m * plane + (int64_t)i * valid + j] = s[m];
        }
}

/* The mean of the map of one channel, after the vertical pass. */
static double ssim_channel(const double *rows, int H, int W, const double *w)
{
    const double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;
    int valid = W - SSIM_WINDOW + 1, high = H - SSIM_WINDOW + 1;
    int64_t plane = (int64_t)H * valid;
    double sum = 0;
    for (int i = 0; i < high; i++)
        for (int j = 0; j < valid; j++) {
            double s[5] = {0};
            for (int k = 0; k < SSIM_WINDOW; k++)
                for (int m = 0; m < 5; m++)
                    s[m] += w[k] * rows[m * plane + (int64_t)(i + k) * valid + j];
            double xx = s[2] - s[0] * s[0], yy = s[3] - s[1] * s[1], xy = s[4] - s[0] * s[1];
            sum += (2 * s[0] * s[1] + c1) * (2 * xy + c2) / ((s[0] * s[0] + s[1] * s[1] + c1) * (xx + yy + c2));
        }
    return sum / ((double)high * valid);
}

static fwm_status check_frame(int H, int W, int C)
{
    FWM_CHECK(H >= 1 && W >= 1 && C >= 1 && H <= 65536 && W <= 65536 && C <= 64, FWM_INVALID,
              "frame: expected height and width 1 to 65536 and 1 to 64 channels, found %dx%dx%d", H, W, C);
    return FWM_OK;
}

fwm_status tr_frame_ssim(double *ssim, const float *x, const float *y, int H, int W, int C)
{
    FWM_TRY(check_frame(H, W, C));
    *ssim = NAN;
    if (H < SSIM_WINDOW || W < SSIM_WINDOW)
        return FWM_OK;
    double w[SSIM_WINDOW];
    ssim_window(w);
    double *rows = fwm_malloc((size_t)H * (size_t)(W - SSIM_WINDOW + 1), 5 * sizeof *rows);
    FWM_CHECK(rows, FWM_MEMORY, "SSIM of a %dx%d frame: out of memory", H, W);
    double sum = 0;
    for (int c = 0; c < C; c++) {
        ssim_rows(rows, x + c, y + c, H, W, C, w);
        sum += ssim_channel(rows, H, W, w);
    }
    fwm_free(rows);
    *ssim = isnan(sum) ? -1.0 : sum / C;
    return FWM_OK;
}

/* ---- the table ---- */

static double *state_at(const tr_metrics *m, int metric, int h, int64_t trajectory)
{
    return m->state + (((int64_t)metric * m->horizon + h - 1) * m->trajectories + trajectory) * m->fields;
}

static double *frame_at(const tr_metrics *m, int metric, int h, int64_t trajectory)
{
    return m->frame + ((int64_t)(metric - TR_PSNR) * m->horizon + h - 1) * m->trajectories + trajectory;
}

static unsigned char *seen_at(const tr_metrics *m, int h, int64_t trajectory)
{
    return m->seen + (int64_t)(h - 1) * m->trajectories + trajectory;
}

static bool inside(const tr_metrics *m, int64_t trajectory, int h)
{
    return trajectory >= 0 && trajectory < m->trajectories && h >= 1 && h <= m->horizon;
}

static fwm_status allocate(tr_metrics *m, const char *const *names)
{
    size_t cells, values;
    bool fits = fwm_mul_size((size_t)m->trajectories, (size_t)m->horizon, &cells) &&
                fwm_mul_size(cells, FIELD_METRICS * (size_t)m->fields, &values);
    FWM_CHECK(fits, FWM_OVERFLOW, "table of metrics: %lld trajectories of %d steps and %d fields are too many",
              (long long)m->trajectories, m->horizon, m->fields);
    m->state = fwm_malloc(values > 0 ? values : 1, sizeof *m->state);
    m->frame = fwm_malloc(cells, 2 * sizeof *m->frame);
    m->seen = fwm_calloc(cells, 1);
    m->names = fwm_calloc((size_t)m->fields + 1, sizeof *m->names);
    FWM_CHECK(m->state && m->frame && m->seen && m->names, FWM_MEMORY, "table of metrics: out of memory for %zu cells",
              cells);
    for (size_t i = 0; i < values; i++)
        m->state[i] = NAN;
    for (size_t i = 0; i < 2 * cells; i++)
        m->frame[i] = NAN;
    for (int i = 0; i < m->fields; i++) {
        FWM_CHECK(names && names[i], FWM_INVALID, "table of metrics: expected names of %d fields, number %d is missing",
                  m->fields, i);
        m->names[i] = fwm_strdup(names[i]);
        FWM_CHECK(m->names[i], FWM_MEMORY, "table of metrics: out of memory");
    }
    return FWM_OK;
}

fwm_status tr_metrics_create(tr_metrics **metrics, int64_t trajectories, int horizon, int fields,
                             const char *const *names)
{
    *metrics = NULL;
    FWM_CHECK(trajectories >= 1 && horizon >= 1 && fields >= 0 && fields <= MAX_FIELDS, FWM_INVALID,
              "table of metrics: expected at least 1 trajectory and 1 step and 0 to %d fields, found %lld, %d, %d",
              MAX_FIELDS, (long long)trajectories, horizon, fields);
    tr_metrics *m = fwm_calloc(1, sizeof *m);
    FWM_CHECK(m, FWM_MEMORY, "table of metrics: out of memory");
    m->trajectories = trajectories, m->horizon = horizon, m->fields = fields;
    fwm_status status = allocate(m, names);
    if (status != FWM_OK)
        tr_metrics_destroy(&m);
    *metrics = m;
    return status;
}

void tr_metrics_destroy(tr_metrics **metrics)
{
    tr_metrics *m = *metrics;
    if (!m)
        return;
    for (int i = 0; m->names && i < m->fields; i++)
        fwm_free(m->names[i]);
    fwm_free(m->names);
    fwm_free(m->state);
    fwm_free(m->frame);
    fwm_free(m->seen);
    fwm_free(m);
    *metrics = NULL;
}

static fwm_status check_place(const tr_metrics *m, int64_t trajectory, int h)
{
    FWM_CHECK(inside(m, trajectory, h), FWM_INVALID,
              "table of metrics: expected trajectory 0 to %lld and step 1 to %d, found %lld and %d",
              (long long)m->trajectories - 1, m->horizon, (long long)trajectory, h);
    return FWM_OK;
}

void tr_metrics_set_deviation(tr_metrics *m, const double *deviation)
{
    m->deviation = deviation;
}

fwm_status tr_metrics_add_state(tr_metrics *m, int64_t trajectory, int h, const float *x, const float *y,
                                const float *weight, int64_t nodes)
{
    FWM_TRY(check_place(m, trajectory, h));
    FWM_CHECK(m->fields > 0, FWM_INVALID, "table of metrics: it was made without fields, a state cannot be entered");
    FWM_CHECK(nodes >= 1, FWM_INVALID, "table of metrics: expected at least 1 node, found %lld", (long long)nodes);
    for (int f = 0; f < m->fields; f++) {
        tr_field_error e = tr_field_compare(x + f, y + f, weight, nodes, m->fields);
        if (nodes == 1 && m->deviation)
            e.vrmse = e.rmse / sqrt(m->deviation[f] * m->deviation[f] + METRIC_EPS);
        state_at(m, TR_VRMSE, h, trajectory)[f] = e.vrmse;
        state_at(m, TR_RMSE, h, trajectory)[f] = e.rmse;
        state_at(m, TR_NRMSE, h, trajectory)[f] = e.nrmse;
    }
    *seen_at(m, h, trajectory) |= SEEN_STATE;
    return FWM_OK;
}

fwm_status tr_metrics_add_frame(tr_metrics *m, int64_t trajectory, int h, const float *x, const float *y, int H, int W,
                                int C)
{
    FWM_TRY(check_place(m, trajectory, h));
    double ssim;
    FWM_TRY(tr_frame_ssim(&ssim, x, y, H, W, C));
    *frame_at(m, TR_PSNR, h, trajectory) = tr_frame_psnr(x, y, (int64_t)H * W * C);
    *frame_at(m, TR_SSIM, h, trajectory) = ssim;
    *seen_at(m, h, trajectory) |= SEEN_FRAME;
    return FWM_OK;
}

static bool is_frame(tr_metric metric)
{
    return metric >= TR_PSNR;
}

double tr_metrics_value(const tr_metrics *m, tr_metric metric, int64_t trajectory, int h, int field)
{
    if (!inside(m, trajectory, h) || (int)metric < 0 || metric >= TR_METRIC_COUNT)
        return NAN;
    if (is_frame(metric))
        return *frame_at(m, metric, h, trajectory);
    if (field >= m->fields)
        return NAN;
    const double *v = state_at(m, metric, h, trajectory);
    if (field >= 0)
        return v[field];
    double sum = 0;
    for (int f = 0; f < m->fields; f++)
        sum += v[f];
    return m->fields > 0 ? sum / m->fields : NAN;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* `worst` stands for NaN on the way in and on the way out. */
static double median(double *v, int64_t n, double worst)
{
    qsort(v, (size_t)n, sizeof *v, compare_doubles);
    double low = v[(n - 1) / 2], high = v[n / 2];
    double middle = low == high ? low : 0.5 * (low + high);
    return middle == worst ? NAN : middle;
}

double tr_metrics_average(const tr_metrics *m, tr_metric metric, int h, int field, tr_average average)
{
    if (h < 1 || h > m->horizon)
        return NAN;
    double *list = average == TR_MEDIAN ? fwm_malloc((size_t)m->trajectories, sizeof *list) : NULL;
    if (average == TR_MEDIAN && !list)
        return NAN;
    int bit = is_frame(metric) ? SEEN_FRAME : SEEN_STATE;
    double sum = 0, worst = is_frame(metric) ? -INFINITY : INFINITY;
    int64_t n = 0;
    for (int64_t t = 0; t < m->trajectories; t++) {
        if (!(*seen_at(m, h, t) & bit))
            continue;
        double v = tr_metrics_value(m, metric, t, h, field);
        if (list)
            list[n] = isnan(v) ? worst : v;
        sum += v;
        n++;
    }
    double result = n == 0 ? NAN : list ? median(list, n, worst) : sum / (double)n;
    fwm_free(list);
    return result;
}

int64_t tr_metrics_diverged(const tr_metrics *m, int h)
{
    int64_t n = 0;
    for (int64_t t = 0; h >= 1 && h <= m->horizon && t < m->trajectories; t++)
        n += (*seen_at(m, h, t) & SEEN_STATE) && !isfinite(tr_metrics_value(m, TR_RMSE, t, h, TR_ALL_FIELDS));
    return n;
}

/* ---- as JSON ---- */

json_t *tr_json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* {"1": x, "5": y}; NULL when memory is out. */
static json_t *json_horizons(const tr_metrics *m, tr_metric metric, int field, tr_average average, const int *horizons,
                             int n)
{
    json_t *object = json_object();
    for (int i = 0; object && i < n; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%d", horizons[i]);
        if (json_object_set_new(object, key,
                                tr_json_number(tr_metrics_average(m, metric, horizons[i], field, average)))) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

static json_t *json_diverged(const tr_metrics *m, const int *horizons, int n)
{
    json_t *object = json_object();
    for (int i = 0; object && i < n; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%d", horizons[i]);
        json_t *count = horizons[i] <= m->horizon ? json_integer(tr_metrics_diverged(m, horizons[i])) : json_null();
        if (json_object_set_new(object, key, count)) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

static int json_field_metrics(json_t *object, const tr_metrics *m, int field, const int *horizons, int n)
{
    int bad = 0;
    for (int metric = TR_VRMSE; metric <= TR_NRMSE; metric++)
        bad |= json_object_set_new(object, tr_metric_name((tr_metric)metric),
                                   json_horizons(m, (tr_metric)metric, field, TR_MEAN, horizons, n));
    return bad;
}

static json_t *json_state(const tr_metrics *m, const int *horizons, int n)
{
    json_t *state = json_object();
    if (!state)
        return NULL;
    int bad = json_field_metrics(state, m, TR_ALL_FIELDS, horizons, n);
    bad |=
        json_object_set_new(state, "vrmse_median", json_horizons(m, TR_VRMSE, TR_ALL_FIELDS, TR_MEDIAN, horizons, n));
    bad |= json_object_set_new(state, "diverged", json_diverged(m, horizons, n));
    if (m->fields > 1) {
        json_t *fields = json_object();
        bad |= json_object_set_new(state, "fields", fields);
        for (int f = 0; !bad && f < m->fields; f++) {
            json_t *one = json_object();
            bad |= json_object_set_new(fields, m->names[f], one);
            bad = bad || json_field_metrics(one, m, f, horizons, n);
        }
    }
    if (bad)
        json_decref(state);
    return bad ? NULL : state;
}

static json_t *json_frames(const tr_metrics *m, const int *horizons, int n)
{
    json_t *frames = json_object();
    int bad = !frames;
    for (int metric = TR_PSNR; !bad && metric <= TR_SSIM; metric++)
        bad |= json_object_set_new(frames, tr_metric_name((tr_metric)metric),
                                   json_horizons(m, (tr_metric)metric, 0, TR_MEAN, horizons, n));
    if (bad)
        json_decref(frames);
    return bad ? NULL : frames;
}

static bool any_seen(const tr_metrics *m, int bit)
{
    for (int64_t i = 0; i < m->trajectories * m->horizon; i++)
        if (m->seen[i] & bit)
            return true;
    return false;
}

fwm_status tr_metrics_json(const tr_metrics *m, const int *horizons, int n, json_t **json)
{
    *json = NULL;
    for (int i = 0; i < n; i++)
        FWM_CHECK(horizons[i] >= 1, FWM_INVALID, "metrics: expected horizons of 1 step or more, found %d", horizons[i]);
    json_t *object = json_object();
    FWM_CHECK(object, FWM_MEMORY, "metrics as JSON: out of memory");
    int bad = json_object_set_new(object, "state", any_seen(m, SEEN_STATE) ? json_state(m, horizons, n) : json_null());
    bad |= json_object_set_new(object, "frames", any_seen(m, SEEN_FRAME) ? json_frames(m, horizons, n) : json_null());
    bad |= json_object_set_new(object, "key_state", json_pack("{s:n, s:n}", "recall", "precision"));
    if (bad) {
        json_decref(object);
        return fwm_fail(FWM_MEMORY, "metrics as JSON: out of memory, or the name of a field is not UTF-8");
    }
    *json = object;
    return FWM_OK;
}
