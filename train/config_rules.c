/* Rules between keys: what no single row can say. */
#include "physics/fem.h"
#include "train/config_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct rules {
    const tr_config *config;
    tr_errors *errors;
} rules;

/* One broken rule, reported at `path`, or where that is a default, at `other`. */
static void broken(rules *r, const char *path, const char *other, const char *fmt, ...) FWM_PRINTF(4, 5);

static void broken(rules *r, const char *path, const char *other, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const struct tr_config_own *own = r->config->own;
    const tr_row *first = tr_row_find(path), *second = tr_row_find(other);
    tr_place place = own->places[first - tr_config_rows];
    if (place.file == NULL && second != NULL && own->places[second - tr_config_rows].file != NULL) {
        place = own->places[second - tr_config_rows];
        path = other;
    }
    if (place.file == NULL)
        place = (tr_place){own->file, 1, 1};
    tr_errors_add(r->errors, place, path, "%s", text);
}

static bool in_map(const tr_map *map, const char *name)
{
    for (int64_t i = 0; i < map->count; i++)
        if (strcmp(map->items[i].name, name) == 0)
            return true;
    return false;
}

static bool in_list(const tr_strings *list, const char *name)
{
    for (int64_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], name) == 0)
            return true;
    return false;
}

static const fem_parameter *parameter_of(const fem_equation *equation, const char *name)
{
    for (int k = 0; k < equation->n_parameters; k++)
        if (strcmp(equation->parameter[k].name, name) == 0)
            return &equation->parameter[k];
    return NULL;
}

/* Names and ranges of a map's entries, each reported where it was given. */
static void hold_parameters(rules *r, const char *path, const tr_map *map, const fem_equation *equation)
{
    for (int64_t i = 0; i < map->count; i++) {
        const struct tr_named_real *item = &map->items[i];
        const tr_place place = {item->file, item->line, item->column};
        const fem_parameter *p = parameter_of(equation, item->name);
        if (p != NULL && (item->value < p->lo || item->value > p->hi))
            tr_errors_add(r->errors, place, path, "expected %s from %g to %g %s, found %g", p->name, p->lo, p->hi,
                          p->unit, item->value);
        if (p != NULL)
            continue;
        char names[256] = "";
        size_t used = 0;
        fwm_nearest nearest;
        fwm_nearest_start(&nearest, item->name);
        for (int k = 0; k < equation->n_parameters && used < sizeof names; k++) {
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", k > 0 ? ", " : "",
                                     equation->parameter[k].name);
            fwm_nearest_offer(&nearest, equation->parameter[k].name);
        }
        const bool near = fwm_nearest_found(&nearest);
        tr_errors_add(r->errors, place, path, "expected one of %s (%s), found \"%.64s\"%s%s%s", names, equation->name,
                      item->name, near ? "; did you mean " : "", near ? nearest.best : "", near ? "?" : "");
    }
}

static void hold_inclusions(rules *r, const fem_equation *equation)
{
    const tr_config *c = r->config;
    const char *name = c->simulate.inclusion_of;
    const fem_parameter *p = name[0] != '\0' ? parameter_of(equation, name) : NULL;
    for (int k = 0; name[0] == '\0' && p == NULL && k < equation->n_parameters; k++)
        if (equation->parameter[k].per_cell)
            p = &equation->parameter[k];
    if (name[0] != '\0' && (p == NULL || !p->per_cell)) {
        broken(r, "simulate.inclusion_of", "simulate.equation",
               "expected a parameter of %s that may vary in space, found %.64s", equation->name, name);
        return;
    }
    for (int64_t i = 0; i < c->simulate.inclusions.rows; i++) {
        const double *disc = c->simulate.inclusions.items + 4 * i;
        if (p == NULL)
            broken(r, "simulate.inclusions", "simulate.equation", "expected none: no parameter of %s varies in space",
                   equation->name);
        else if (disc[0] < p->lo || disc[0] > p->hi || disc[3] <= 0)
            broken(r, "simulate.inclusions", "", "expected %s from %g to %g and a radius above 0 in row %lld", p->name,
                   p->lo, p->hi, (long long)i);
    }
}

static void hold_simulate(rules *r)
{
    const tr_config *c = r->config;
    const fem_equation *equation = fem_equation_at(c->simulate.equation);
    hold_parameters(r, "simulate.truth", &c->simulate.truth, equation);
    hold_parameters(r, "simulate.nominal", &c->simulate.nominal,
                    c->simulate.nominal_equation > 0 ? fem_equation_at(c->simulate.nominal_equation - 1) : equation);
    hold_inclusions(r, equation);
    const bool quadrilateral = c->simulate.cell == TR_QUADRILATERAL || c->simulate.cell == TR_HEXAHEDRON;
    const bool q = c->simulate.space == TR_Q1 || c->simulate.space == TR_Q2;
    if (quadrilateral != q)
        broken(r, "simulate.space", "simulate.cell", "expected %s on %s cells, found %s",
               quadrilateral ? "Q1 or Q2" : "P1 or P2", tr_config_word("simulate.cell", c->simulate.cell),
               tr_config_word("simulate.space", c->simulate.space));
    for (int64_t i = 0; i < c->simulate.sources.rows; i++) {
        const double *x = c->simulate.sources.items + 2 * i;
        if (c->simulate.mesh[0] == '\0' && (x[0] > c->simulate.size.items[0] || x[1] > c->simulate.size.items[1]))
            broken(r, "simulate.sources", "simulate.size",
                   "expected sources within simulate.size, found row %lld outside", (long long)i);
    }
    if (c->simulate.frame_range[0] >= c->simulate.frame_range[1])
        broken(r, "simulate.frame_range", "", "expected two different values");
}

/* Fields of the law, each reported where it was given. */
static void hold_field_weights(rules *r, const fem_equation *equation)
{
    const tr_map *map = &r->config->physics.residual.field_weight;
    for (int64_t i = 0; i < map->count; i++) {
        bool known = false;
        char names[200] = "none";
        size_t used = 0;
        for (int k = 0; equation != NULL && k < equation->n_fields && used < sizeof names; k++) {
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", k > 0 ? ", " : "", equation->field[k]);
            known = known || strcmp(equation->field[k], map->items[i].name) == 0;
        }
        const tr_place place = {map->items[i].file, map->items[i].line, map->items[i].column};
        if (!known)
            tr_errors_add(r->errors, place, "physics.residual.field_weight",
                          "expected a field of the law (%s), found \"%.64s\"", names, map->items[i].name);
    }
}

static void hold_physics(rules *r)
{
    const tr_config *c = r->config;
    const fem_equation *equation =
        c->physics.equation == TR_EQUATION_NONE ? NULL : fem_equation_at(c->physics.equation - 1);
    if (equation != NULL)
        hold_parameters(r, "physics.parameters", &c->physics.parameters, equation);
    hold_field_weights(r, equation);
    for (int64_t i = 0; i < c->physics.learn.count; i++) {
        const char *name = c->physics.learn.items[i];
        if (!in_map(&c->physics.parameters, name))
            broken(r, "physics.learn", "physics.parameters",
                   "expected names out of physics.parameters, which gives the starting value, found %s", name);
    }
    for (int64_t i = 0; i < c->physics.field.count; i++)
        if (!in_list(&c->physics.learn, c->physics.field.items[i]))
            broken(r, "physics.field", "physics.learn", "expected names out of physics.learn, found %s",
                   c->physics.field.items[i]);
    for (int64_t i = 0; i < c->physics.parameters.count; i++)
        if (in_list(&c->physics.learn, c->physics.parameters.items[i].name) &&
            c->physics.parameters.items[i].value == 0)
            broken(r, "physics.parameters", "physics.learn",
                   "expected a starting value other than 0 for %s, which is learned and keeps its sign",
                   c->physics.parameters.items[i].name);
    if (c->physics.equation == TR_EQUATION_NONE) {
        if (c->model.predictor.prior == TR_PRIOR_FEM)
            broken(r, "model.predictor.prior", "physics.equation",
                   "expected none where physics.equation is none, found fem");
        if (c->objective.physics > 0)
            broken(r, "objective.physics", "physics.equation", "expected 0 where physics.equation is none");
        if (c->physics.learn.count > 0)
            broken(r, "physics.learn", "physics.equation", "expected [] where physics.equation is none");
    } else if (!in_map(&c->physics.parameters, equation->parameter[0].name)) {
        broken(r, "physics.parameters", "physics.equation", "expected at least %s, the law's first parameter",
               equation->parameter[0].name);
    }
}

static void hold_trainer(rules *r)
{
    size_t bytes;
    const char *memory = r->config->trainer.memory;
    if (!tr_bytes_parse(memory, &bytes))
        broken(r, "trainer.memory", "", "expected a size with its unit, such as 2GiB or 750MB, or none, found '%.40s'",
               memory);
}

static void hold_widths(rules *r, const char *path, const tr_ints *widths)
{
    for (int64_t i = 0; i < widths->count; i++)
        if (widths->items[i] % r->config->model.groups != 0)
            broken(r, path, "model.groups", "expected multiples of model.groups (%lld), found %lld",
                   (long long)r->config->model.groups, (long long)widths->items[i]);
}

static void hold_model(rules *r)
{
    const tr_config *c = r->config;
    hold_widths(r, "model.encoder.widths", &c->model.encoder.widths);
    hold_widths(r, "model.predictor.widths", &c->model.predictor.widths);
    const tr_ints decoder = {1, (int64_t[]){c->model.decoder.width}};
    hold_widths(r, "model.decoder.width", &decoder);
    const int64_t levels = c->model.predictor.widths.count;
    if (c->model.predictor.grid % (INT64_C(1) << (levels - 1)) != 0)
        broken(r, "model.predictor.grid", "model.predictor.widths",
               "expected a multiple of 2^%lld, so that it halves once for each further width, found %lld",
               (long long)levels - 1, (long long)c->model.predictor.grid);
    if (c->model.latent.min_log_std >= c->model.latent.max_log_std)
        broken(r, "model.latent.min_log_std", "model.latent.max_log_std", "expected it below max_log_std");
    if (c->transport.ramp_start > c->transport.ramp_end)
        broken(r, "transport.ramp_start", "transport.ramp_end", "expected it at most ramp_end");
    if (c->transport.edge_start > c->transport.edge_end)
        broken(r, "transport.edge_start", "transport.edge_end", "expected it at most edge_end");
}

static void hold_points(rules *r)
{
    const tr_config *c = r->config;
    if (c->model.kind != TR_MODEL_POINTS) {
        if (c->model.latent.gate == TR_GATE_NONE)
            return;
        if (c->transport.code != TR_CODE_STATE)
            broken(r, "model.latent.gate", "transport.code",
                   "expected state: sheets keep their meaning only where the ruler of codes does not move");
        return;
    }
    if (c->data.augment.symmetries.count > 0)
        broken(r, "data.augment.symmetries", "model.kind", "expected [] where model.kind is points");
    if (c->data.augment.brightness > 0 || c->data.augment.contrast > 0 || c->data.augment.frame_noise > 0)
        broken(r, "data.augment.frame_noise", "model.kind", "expected no changes of frames where model.kind is points");
    if (c->transport.weight <= 0)
        broken(r, "transport.weight", "model.kind", "expected a weight above 0: points are trained by transport");
    if (c->physics.equation != TR_EQUATION_NONE)
        broken(r, "physics.equation", "model.kind", "expected none where model.kind is points");
    if (c->model.points.head == TR_HEAD_REGRESSOR && c->model.latent.gate != TR_GATE_NONE)
        broken(r, "model.latent.gate", "model.points.head", "expected none for a regressor");
    if (c->transport.emphasis > 0 &&
        (c->model.points.head == TR_HEAD_REGRESSOR || c->model.latent.gate != TR_GATE_NONE))
        broken(r, "transport.emphasis", "model.points.head", "expected 0 for a regressor, and with a gate");
}

static void hold_objective(rules *r)
{
    const tr_config *c = r->config;
    if (c->model.kind == TR_MODEL_POINTS)
        return;
    const tr_ints *unroll = &c->objective.unroll;
    const tr_reals *start = &c->objective.unroll_start;
    if (unroll->count != start->count) {
        broken(r, "objective.unroll_start", "objective.unroll",
               "expected one fraction for each of the %lld horizons, found %lld", (long long)unroll->count,
               (long long)start->count);
        return;
    }
    if (start->items[0] > 0)
        broken(r, "objective.unroll_start", "objective.unroll", "expected 0 first");
    for (int64_t i = 1; i < unroll->count; i++)
        if (start->items[i] <= start->items[i - 1])
            broken(r, "objective.unroll_start", "objective.unroll", "expected increasing fractions");
    for (int64_t i = 0; i < unroll->count; i++)
        if (unroll->items[i] + c->data.context > c->data.clip)
            broken(r, "data.clip", "objective.unroll",
                   "expected at least data.context (%lld) + the longest horizon of objective.unroll (%lld) frames, "
                   "found %lld",
                   (long long)c->data.context, (long long)unroll->items[i], (long long)c->data.clip);
}

static void hold_run(rules *r)
{
    const tr_config *c = r->config;
    if (c->experiment[0] == '\0' || c->experiment[0] == '.' || strchr(c->experiment, '/') != NULL)
        broken(r, "experiment", "", "expected a name that can be a folder's (no /, no leading dot), found \"%.60s\"",
               c->experiment);
    if (c->data.file[0] == '\0')
        broken(r, "data.file", "", "expected a file name, found an empty string");
    if (c->trainer.steps > 0 && c->schedule.warmup > c->trainer.steps)
        broken(r, "schedule.warmup", "trainer.steps", "expected at most trainer.steps (%lld), found %lld",
               (long long)c->trainer.steps, (long long)c->schedule.warmup);
    for (int64_t i = 0; i < c->eval.horizons.count; i++)
        if (c->eval.horizons.items[i] > c->eval.horizon)
            broken(r, "eval.horizons", "eval.horizon", "expected horizons within eval.horizon (%lld), found %lld",
                   (long long)c->eval.horizon, (long long)c->eval.horizons.items[i]);
}

void tr_config_hold_rules(const tr_config *config, tr_errors *errors)
{
    rules r = {config, errors};
    hold_simulate(&r);
    tr_config_hold_scene(config, errors);
    hold_trainer(&r);
    hold_physics(&r);
    hold_model(&r);
    hold_points(&r);
    hold_objective(&r);
    hold_run(&r);
}
