/* What is simulated: the presets, and what is refused. */
#include "physics/simulate_impl.h"

#include <math.h>

const char *fem_split_name(int split)
{
    static const char *const names[FEM_SPLIT_COUNT] = {"train", "validation", "test", "test_ood"};
    return split >= 0 && split < FEM_SPLIT_COUNT ? names[split] : "unknown";
}

void fem_simulate_defaults(fem_simulate_spec *spec)
{
    static const double heater[4][2] = {{0.22, 0.25}, {0.25, 0.78}, {0.78, 0.28}, {0.72, 0.75}};
    *spec = (fem_simulate_spec){
        .seed = 0,
        .equation = "heat",
        .mesh = {FEM_P1, 64, 64, 1, 1},
        .coarse = {FEM_P1, 16, 16, 1, 1},
        .count = {64, 16, 32, 32},
        .frames = 41,
        .height = 64,
        .width = 64,
        .dt = 5e-4,
        .substeps = 4,
        .truth = {1, 10, 0.1, 3}, /* conductivity, loss, radiation, temperature */
        .nominal = {1},
        .n_inclusions = 3,
        .inclusion = {{0.2, 0.30, 0.62, 0.14}, {5, 0.70, 0.66, 0.16}, {0.5, 0.55, 0.27, 0.14}},
        .n_sources = 4,
        .power_probability = 0.7,
        .control = FEM_HELD,
        .ambient_control = FEM_CONSTANT,
        .power = {0, 1},
        .power_ood = {1, 2},
        .hold_lo = 4,
        .hold_hi = 12,
        .ambient = {-0.5, 0.5},
        .ambient_ood = {-0.5, 0.5},
        .correlation = {0.10, 0.25},
        .deviation = {0.4, 0.8},
        .offset = {-0.2, 0.2},
        .shown = {-2, 4},
        .cut = {.axis = 2, .share = 0.5},
        .vignetting = 0.7,
        .noise = 0.02,
        .key_rate = 0.25,
    };
    for (int h = 0; h < 4; h++)
        spec->source[h] = (fem_source){.x = heater[h][0], .y = heater[h][1], .half_width = 0.1, .power = 300};
}

static fwm_status check_range(const char *name, fem_range r, double least)
{
    FWM_CHECK(isfinite(r.lo) && isfinite(r.hi) && r.lo <= r.hi && r.lo >= least, FWM_INVALID,
              "simulate: %s: expected a range from at least %g, found %g to %g", name, least, r.lo, r.hi);
    return FWM_OK;
}

int64_t fem_simulate_actions(const fem_simulate_spec *s, const fem_equation *e)
{
    int64_t n = s->n_sources + e->n_ambient;
    for (int k = 0; k < s->n_conditions; k++)
        n += s->condition[k].driven;
    return n;
}

static fwm_status check_starts(const fem_simulate_spec *s, const fem_equation *e)
{
    FWM_CHECK(s->n_starts >= 0 && s->n_starts <= FEM_MAX_STARTS, FWM_INVALID,
              "simulate: start: expected at most %d fields, found %d", FEM_MAX_STARTS, s->n_starts);
    bool taken[FEM_MAX_COMPONENTS] = {false};
    for (int k = 0; k < s->n_starts; k++) {
        const fem_start *x = &s->start[k];
        int first, count;
        if (fem_equation_component(e, fem_element_dim(s->mesh.element), x->field, &first, &count) != FWM_OK)
            return fwm_fail_within(FWM_INVALID, "simulate: start");
        for (int c = first; c < first + count; c++) {
            FWM_CHECK(!taken[c], FWM_INVALID, "simulate: start: %s is given twice", x->field);
            taken[c] = true;
        }
        FWM_TRY(check_range("start.mean", x->mean, -INFINITY));
        FWM_TRY(check_range("start.deviation", x->deviation, 0));
        FWM_TRY(check_range("start.correlation_length", x->correlation, 1e-6));
        FWM_TRY(check_range("start.blob_value", x->blob_value, -INFINITY));
        FWM_TRY(check_range("start.blob_radius", x->blob_radius, 1e-6));
        FWM_CHECK(x->blobs_lo >= 0 && x->blobs_lo <= x->blobs_hi && x->blobs_hi <= 64, FWM_INVALID,
                  "simulate: start: expected 0 to 64 blobs, found %lld to %lld", (long long)x->blobs_lo,
                  (long long)x->blobs_hi);
    }
    return FWM_OK;
}

static fwm_status check_parameters(const char *whose, const fem_equation *e, const double *value)
{
    for (int k = 0; k < e->n_parameters; k++) {
        const fem_parameter *p = &e->parameter[k];
        FWM_CHECK(value[k] >= p->lo && value[k] <= p->hi, FWM_INVALID,
                  "simulate: %s: expected %s from %g to %g %s, found %g", whose, p->name, p->lo, p->hi, p->unit,
                  value[k]);
    }
    return FWM_OK;
}

fwm_status fem_simulate_check_law(const fem_simulate_spec *s, const fem_equation *e, const fem_equation *cheap)
{
    FWM_CHECK(s->n_sources >= 0 && s->n_sources + e->n_ambient <= FEM_MAX_ACTIONS, FWM_INVALID,
              "simulate: expected at most %d sources, found %d", FEM_MAX_ACTIONS - e->n_ambient, s->n_sources);
    FWM_CHECK(s->n_conditions >= 0 && s->n_conditions <= FEM_MAX_CONDITIONS &&
                  fem_simulate_actions(s, e) <= FEM_MAX_ACTIONS,
              FWM_INVALID, "simulate: expected at most %d conditions and %d actions, found %d and %lld",
              FEM_MAX_CONDITIONS, FEM_MAX_ACTIONS, s->n_conditions,
              (long long)(s->n_conditions <= FEM_MAX_CONDITIONS ? fem_simulate_actions(s, e) : 0));
    FWM_CHECK(s->n_inclusions >= 0 && s->n_inclusions <= FEM_MAX_INCLUSIONS, FWM_INVALID,
              "simulate: expected at most %d inclusions, found %d", FEM_MAX_INCLUSIONS, s->n_inclusions);
    FWM_CHECK(s->n_inclusions == 0 ||
                  (s->inclusion_of >= 0 && s->inclusion_of < e->n_parameters && e->parameter[s->inclusion_of].per_cell),
              FWM_INVALID, "simulate: inclusions: expected a parameter of %s that varies in space, found %d", e->name,
              s->inclusion_of);
    for (int k = 0; k < s->n_inclusions; k++) {
        const fem_parameter *p = &e->parameter[s->inclusion_of];
        FWM_CHECK(s->inclusion[k].radius > 0 && s->inclusion[k].value >= p->lo && s->inclusion[k].value <= p->hi,
                  FWM_INVALID,
                  "simulate: inclusion %d: expected a positive radius and %s from %g to %g, found %g and %g", k,
                  p->name, p->lo, p->hi, s->inclusion[k].radius, s->inclusion[k].value);
    }
    for (int k = 0; k < s->n_sources; k++)
        FWM_CHECK(fem_element_dim(s->mesh.element) == 2 || s->source[k].boundary || s->source[k].density, FWM_INVALID,
                  "simulate: source %d: expected a boundary: squares are of the plane", k);
    FWM_TRY(check_parameters("truth", e, s->truth));
    FWM_TRY(check_parameters("nominal", cheap, s->nominal));
    FWM_CHECK(!s->mesh_file || (s->refine >= 1 && s->refine <= 4), FWM_INVALID,
              "simulate: refine: expected 1 to 4, found %d", s->refine);
    FWM_CHECK(s->n_region_values >= 0 && s->n_region_values <= FEM_MAX_REGION_VALUES, FWM_INVALID,
              "simulate: regions: expected at most %d values, found %d", FEM_MAX_REGION_VALUES, s->n_region_values);
    for (int k = 0; k < s->n_region_values; k++) {
        const fem_region_value *r = &s->region_value[k];
        FWM_CHECK(r->parameter >= 0 && r->parameter < e->n_parameters && e->parameter[r->parameter].per_cell,
                  FWM_INVALID, "simulate: regions: expected a parameter of %s that varies in space, found number %d",
                  e->name, r->parameter);
        const fem_parameter *p = &e->parameter[r->parameter];
        FWM_CHECK(r->value >= p->lo && r->value <= p->hi, FWM_INVALID,
                  "simulate: regions: %s: expected %s from %g to %g %s, found %g", r->region, p->name, p->lo, p->hi,
                  p->unit, r->value);
    }
    FWM_TRY(fem_check_random(s, e));
    return check_starts(s, e);
}

fwm_status fem_simulate_check(const fem_simulate_spec *s)
{
    FWM_CHECK(s->frames >= 2 && s->frames < (INT64_C(1) << 20), FWM_INVALID,
              "simulate: expected 2 to 2^20 - 1 frames, found %lld", (long long)s->frames);
    for (int k = 0; k < FEM_SPLIT_COUNT; k++)
        FWM_CHECK(s->count[k] >= 0 && s->count[k] < (INT64_C(1) << 32), FWM_INVALID,
                  "simulate: %s: expected a number of trajectories, found %lld", fem_split_name(k),
                  (long long)s->count[k]);
    FWM_CHECK(s->hold_lo >= 1 && s->hold_lo <= s->hold_hi && s->hold_hi < (1 << 20), FWM_INVALID,
              "simulate: actions: expected to be held for 1 frame or more, found %lld to %lld", (long long)s->hold_lo,
              (long long)s->hold_hi);
    FWM_CHECK(s->power_probability >= 0 && s->power_probability <= 1, FWM_INVALID,
              "simulate: power_probability: expected 0 to 1, found %g", s->power_probability);
    FWM_CHECK(isfinite(s->vignetting) && isfinite(s->noise) && s->noise >= 0, FWM_INVALID,
              "simulate: expected a finite vignetting and a noise of at least 0, found %g and %g", s->vignetting,
              s->noise);
    FWM_CHECK((s->control == FEM_HELD || s->control == FEM_SMOOTH) && (int)s->ambient_control >= 0 &&
                  s->ambient_control < FEM_CONTROL_COUNT,
              FWM_INVALID, "simulate: control: expected held or smooth powers, found %d and %d", (int)s->control,
              (int)s->ambient_control);
    FWM_CHECK(s->key_rate > 0, FWM_INVALID, "simulate: key_rate: expected a rate above 0, found %g", s->key_rate);
    FWM_CHECK(s->warmup >= 0 && s->warmup < (1 << 24), FWM_INVALID,
              "simulate: warmup: expected 0 to 2^24 - 1 frames, found %lld", (long long)s->warmup);
    FWM_TRY(check_range("power", s->power, -INFINITY));
    FWM_TRY(check_range("power_ood", s->power_ood, -INFINITY));
    FWM_TRY(check_range("ambient", s->ambient, -INFINITY));
    FWM_TRY(check_range("ambient_ood", s->ambient_ood, -INFINITY));
    FWM_TRY(check_range("correlation", s->correlation, 1e-6));
    FWM_TRY(check_range("deviation", s->deviation, 0));
    FWM_TRY(check_range("offset", s->offset, -INFINITY));
    FWM_TRY(check_range("shown", s->shown, -INFINITY));
    FWM_CHECK(s->cut.share >= 0 && s->cut.share <= 1 && s->cut.axis >= 0 && s->cut.axis < 3, FWM_INVALID,
              "simulate: cut: expected a share from 0 to 1 and axis 0 to 2, found %g and %d", s->cut.share,
              s->cut.axis);
    for (int d = 0; d < 2; d++)
        FWM_CHECK(isfinite(s->margin[d]) && s->margin[d] >= 0 && (s->deformed || s->margin[d] == 0), FWM_INVALID,
                  "simulate: margin: expected 0 or more, and 0 where bodies are not deformed, found %g", s->margin[d]);
    FWM_CHECK(s->shown.hi > s->shown.lo, FWM_INVALID, "simulate: shown: expected two different values, found %g twice",
              s->shown.lo);
    return FWM_OK;
}
