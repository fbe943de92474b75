/* Conditions, loads and starts of a simulated scene: read, written out and back, refused where they stand. */
#include "model/base/arena.h"
#include "train/scene.h"

#include <criterion/criterion.h>
#include <string.h>

/* Four lines; what a test adds begins in line 5, within `simulate`. */
#define FLOW                                                                                                           \
    "experiment: x\ndata: {file: d.h5}\nphysics: {equation: none}\n"                                                   \
    "simulate: {equation: navier_stokes, cell: triangle, space: P2, nominal: {viscosity: 1}, truth: {viscosity: 1},\n"
#define REST "model: {predictor: {prior: none}}\nobjective: {physics: 0}\n"

static tr_config *parse(const char *text)
{
    tr_config *config = NULL;
    const fwm_status status = tr_config_parse(&config, text, strlen(text), "t.yaml", NULL, 0);
    cr_assert_eq(status, FWM_OK, "%s", fwm_error_message());
    return config;
}

static void refuses(const char *text, const char *expected)
{
    tr_config *config = NULL;
    cr_expect_eq(tr_config_parse(&config, text, strlen(text), "t.yaml", NULL, 0), FWM_CONFIG, "%s", text);
    cr_expect_null(config);
    cr_expect_str_eq(fwm_error_message(), expected);
}

static const char channel[] =
    FLOW "  conditions: [{boundary: left, field: velocity.x, profile: parabolic, action: inflow, gain: 1.5},\n"
         "    {boundary: left, field: velocity.y}, {boundary: bottom, field: velocity, value: 0.25},\n"
         "    {boundary: right, natural: outflow}],\n"
         "  loads: [{action: push, field: velocity.y, at: [0.5, 0.25], half_width: 0.125, power: -2}],\n"
         "  start: [{field: velocity, mean: [-1, 1], blobs: [1, 3]}], frame_field: velocity}\n" REST;

Test(scene, conditions_and_loads_reach_the_solver)
{
    tr_config *c = parse(channel);
    const fem_equation *e;
    tr_scene s;
    cr_assert_eq(fem_equation_find("navier_stokes", &e), FWM_OK);
    cr_assert_eq(tr_scene_fill(&s, c, e), FWM_OK);
    cr_assert(s.n_sources == 1 && s.n_conditions == 4 && s.n_driven == 1);
    cr_expect_str_eq(s.source_name[0], "push");
    cr_expect(s.source[0].x == 0.5 && s.source[0].y == 0.25 && s.source[0].half_width == 0.125 &&
              s.source[0].power == -2 && strcmp(s.source[0].field, "velocity.y") == 0 && !s.source[0].boundary);
    cr_expect(s.condition[0].driven && s.condition[0].constant == 0 && s.condition[0].gain == 1.5 && s.parabolic[0]);
    cr_expect_str_eq(s.condition_name[0], "inflow");
    cr_expect(!s.condition[2].driven && s.condition[2].gain == 0.25 && !s.parabolic[2]);
    cr_expect(!s.condition[3].field && strcmp(s.condition[3].natural, "outflow") == 0);
    const tr_field_start *start = c->simulate.start.items;
    cr_expect(c->simulate.start.count == 1 && start->mean[0] == -1 && start->blobs[1] == 3 &&
              start->blob_radius[0] == 0.05);
    tr_config_destroy(c);
}

/* What is written out reads back to the same, and is then written the same. */
Test(scene, records_survive_a_round_trip)
{
    tr_config *c = parse(channel);
    char *text = NULL, *again = NULL;
    cr_assert_eq(tr_config_dump(c, &text), FWM_OK);
    tr_config *back = parse(text);
    cr_assert_eq(tr_config_dump(back, &again), FWM_OK);
    cr_expect_str_eq(text, again);
    const tr_condition *q = back->simulate.conditions.items;
    cr_assert_eq(back->simulate.conditions.count, 4);
    cr_expect(strcmp(q[0].action, "inflow") == 0 && q[0].gain == 1.5 && q[0].profile == TR_PROFILE_PARABOLIC);
    json_t *json = NULL;
    cr_assert_eq(tr_config_json(c, &json), FWM_OK);
    const json_t *first = json_array_get(json_object_get(json_object_get(json, "simulate"), "conditions"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(first, "profile")), "parabolic");
    json_decref(json);
    fwm_free(text);
    fwm_free(again);
    tr_config_destroy(back);
    tr_config_destroy(c);
}

Test(scene, bad_records_are_refused_where_they_stand)
{
    refuses(FLOW "  conditions: {}}\n" REST,
            "t.yaml:5:15: simulate.conditions: expected a list of up to 32 mappings of boundary, field, natural, "
            "value, gain, profile, action, found a mapping");
    refuses(FLOW "  conditions: [left]}\n" REST,
            "t.yaml:5:16: simulate.conditions[0]: expected a mapping of keys, found \"left\"");
    refuses(
        FLOW "  conditions: [{field: velocity}]}\n" REST,
        "t.yaml:5:16: simulate.conditions[0].boundary: expected a value (A boundary of the mesh by name: left, "
        "right, bottom, top of boxes, front (lower z) and back of those in space, or a name of the mesh's own), found "
        "nothing");
    refuses(FLOW "  conditions: [{boundary: left, feild: velocity}]}\n" REST,
            "t.yaml:5:33: simulate.conditions[0]: expected one of boundary, field, natural, value, gain, profile, "
            "action, found \"feild\"; did you mean field?");
    refuses(FLOW "  conditions: [{boundary: left, boundary: left, field: velocity}]}\n" REST,
            "t.yaml:5:33: simulate.conditions[0]: expected each key once, found boundary again (first at 5:17)");
    refuses(FLOW "  conditions: [{boundary: left, field: velocity, value: fast}]}\n" REST,
            "t.yaml:5:57: simulate.conditions[0].value: expected a number from -1e+12 to 1e+12, found \"fast\"");
    refuses(
        FLOW "  loads: [{action: a, at: [0.5]}]}\n" REST,
        "t.yaml:5:27: simulate.loads[0].at: expected a list of 2 numbers from -1000000 to 1000000, found a list of 1");
    refuses(FLOW "  start: [{field: velocity, mean: [1, 0]}]}\n" REST,
            "t.yaml:5:35: simulate.start[0].mean: expected the smaller number first, found [1, 0]");
}

Test(scene, rules_name_the_record)
{
    refuses(FLOW "  conditions: [{boundary: inlet, field: velocity}]}\n" REST,
            "t.yaml:5:16: simulate.conditions[0]: expected a boundary of the box (left, right, bottom, top), found "
            "\"inlet\"");
    refuses(FLOW "  periodic: [x], conditions: [{boundary: left, field: velocity}]}\n" REST,
            "t.yaml:5:31: simulate.conditions[0]: expected a boundary that is there: the box is periodic along x, so "
            "it has no left");
    refuses(FLOW "  conditions: [{boundary: left}]}\n" REST,
            "t.yaml:5:16: simulate.conditions[0]: expected either a field or a natural condition, found neither");
    refuses(FLOW "  conditions: [{boundary: left, natural: outfall}]}\n" REST,
            "t.yaml:5:16: simulate.conditions[0]: expected a natural condition of navier_stokes (outflow), found "
            "\"outfall\"");
    refuses(FLOW "  conditions: [{boundary: left, field: velocty}]}\n" REST,
            "t.yaml:5:16: simulate.conditions[0]: navier_stokes: expected a field among velocity (.x, .y), pressure, "
            "found 'velocty'");
    refuses(FLOW "  conditions: [{boundary: top, field: velocity}, {boundary: top, field: velocity.y}]}\n" REST,
            "t.yaml:5:50: simulate.conditions[1]: expected one condition for each field at top, found velocity.y again "
            "(first at 5:16)");
    refuses(FLOW "  loads: [{action: a, field: velocity}]}\n" REST,
            "t.yaml:5:11: simulate.loads[0]: expected one component, as in velocity.x, found all of velocity");
    refuses(FLOW "  start: [{field: velocity}, {field: velocity.x}]}\n" REST,
            "t.yaml:5:30: simulate.start[1]: expected each component once, found velocity.x again");
    refuses(FLOW "  scheme: generalised_alpha, substeps: 2}\n" REST,
            "t.yaml:5:11: simulate.scheme: expected simulate.substeps and nominal_substeps of at least 3 for "
            "generalised_alpha, found 2 and 1");
    refuses(FLOW "  nominal_equation: heat, frame_field: speed}\n" REST,
            "t.yaml:4:74: simulate.nominal: expected one of conductivity, loss, radiation, temperature (heat), found "
            "\"viscosity\"\n"
            "t.yaml:5:21: simulate.nominal_equation: expected an equation of the same fields as navier_stokes, found "
            "heat\n"
            "t.yaml:5:40: simulate.frame_field: navier_stokes: expected a field among velocity (.x, .y), pressure, "
            "found 'speed'");
}

Test(scene, random_parameters_stay_within_the_equation)
{
    static const char plate[] = "experiment: x\ndata: {file: d.h5}\nphysics: {parameters: {conductivity: 1}}\n"
                                "simulate: {truth: {conductivity: 1}, nominal: {conductivity: 1},\n";
    char text[1024];
    static const struct {
        const char *record, *error;
    } cases[] = {
        {"{parameter: conductivty, range: [1, 2]}", "t.yaml:5:12: simulate.random[0]: heat: expected a parameter among "
                                                    "conductivity, loss, radiation, temperature, "
                                                    "found 'conductivty'"},
        {"{parameter: conductivity, range: [-1, 2]}",
         "t.yaml:5:12: simulate.random[0]: expected conductivity from 1e-08 to 1e+08 L^2/time, found -1 to 2"},
        {"{parameter: loss, range: [0, 2], spread: logarithmic}",
         "t.yaml:5:12: simulate.random[0]: expected loss from 0 to 1e+08 1/time, above 0, found 0 to 2"},
        {"{parameter: loss, range: [1, 2], discs: [1, 2]}",
         "t.yaml:5:12: simulate.random[0]: expected no discs: loss cannot vary in space"},
        {"{parameter: loss, range: [1, 2]}, {parameter: loss, range: [1, 2]}",
         "t.yaml:5:46: simulate.random[1]: expected each parameter once, found loss again (first at 5:12)"},
        {"{parameter: loss}", "t.yaml:5:12: simulate.random[0].range: expected a value (Range of its values), found "
                              "nothing"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        (void)snprintf(text, sizeof text, "%s  random: [%s]}\n", plate, cases[k].record);
        refuses(text, cases[k].error);
    }
}
