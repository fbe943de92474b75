#include "model/base/arena.h"
#include "model/base/random.h"
#include "model/base/threads.h"
#include "train/config.h"
#include "train/config_internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Three lines; what a test adds begins in line 4. */
#define MINIMAL "experiment: x\ndata: {file: d.h5}\nphysics: {parameters: {conductivity: 1}}\n"

static tr_config *parse_with(const char *text, const char *const *sets, int64_t n)
{
    tr_config *config = NULL;
    const fwm_status status = tr_config_parse(&config, text, strlen(text), "t.yaml", sets, n);
    cr_assert_eq(status, FWM_OK, "%s", fwm_error_message());
    return config;
}

static tr_config *parse(const char *text)
{
    return parse_with(text, NULL, 0);
}

static void refuses_set(const char *text, const char *set, const char *expected)
{
    tr_config *config = NULL;
    const fwm_status status = tr_config_parse(&config, text, strlen(text), "t.yaml", &set, set != NULL);
    cr_expect_eq(status, FWM_CONFIG, "%s", text);
    cr_expect_null(config);
    cr_expect_str_eq(fwm_error_message(), expected);
}

static void refuses(const char *text, const char *expected)
{
    refuses_set(text, NULL, expected);
}

/* ---- errors, with their place ---- */
Test(config, unknown_key)
{
    refuses(MINIMAL "sed: 3\n", "t.yaml:4:1: sed: expected a key of the top level, found \"sed\"; did you mean seed?");
    refuses(MINIMAL "optimizer: {lr: 1.0e-3, weight-decay: 0}\n",
            "t.yaml:4:25: optimizer.weight-decay: expected a key of optimizer, found \"weight-decay\"; did you mean "
            "weight_decay?");
    /* not in its block, but elsewhere */
    refuses(MINIMAL "warmup: 3\n",
            "t.yaml:4:1: warmup: expected a key of the top level, found \"warmup\"; did you mean simulate.warmup?");
    refuses(MINIMAL "xyzzyx: 3\n", "t.yaml:4:1: xyzzyx: expected a key of the top level, found \"xyzzyx\"");
}

Test(config, wrong_type)
{
    refuses(MINIMAL "trainer: {memory: 2Gib}\n", "t.yaml:4:19: trainer.memory: expected a size with its unit, such as "
                                                 "2GiB or 750MB, or none, found '2Gib'");
    refuses(MINIMAL "seed: x\n", "t.yaml:4:7: seed: expected an integer from 0 to 9007199254740991, found \"x\"");
    refuses(MINIMAL "seed: 1.0\n", "t.yaml:4:7: seed: expected an integer from 0 to 9007199254740991, found \"1.0\"");
    refuses(MINIMAL "seed: \"1\"\n",
            "t.yaml:4:7: seed: expected an integer from 0 to 9007199254740991, found \"1\" in quotes");
    refuses(MINIMAL "seed: [1]\n",
            "t.yaml:4:7: seed: expected an integer from 0 to 9007199254740991, found a list of 1");
    refuses(MINIMAL "seed:\n", "t.yaml:4:6: seed: expected an integer from 0 to 9007199254740991, found nothing");
    refuses(MINIMAL "model: {predictor: {position_bias: yes}}\n",
            "t.yaml:4:36: model.predictor.position_bias: expected true or false, found \"yes\"");
    refuses(MINIMAL "model: 3\n", "t.yaml:4:8: model: expected a mapping of keys, found \"3\"");
    refuses(MINIMAL "eval: {horizons: 5}\n",
            "t.yaml:4:18: eval.horizons: expected a list of 1 to 32 integers from 1 to 100000, found \"5\"");
    refuses(MINIMAL "eval: {horizons: [1, 5.5]}\n",
            "t.yaml:4:22: eval.horizons[1]: expected an integer from 1 to 100000, found \"5.5\"");
    refuses(MINIMAL "optimizer: {betas: [0.9]}\n",
            "t.yaml:4:20: optimizer.betas: expected a list of 2 numbers from 0 to 0.999999, found a list of 1");
    refuses(MINIMAL "simulate: {sources: [[1, 0.5], [1, 0.5, 0.5]]}\n",
            "t.yaml:4:32: simulate.sources[1]: expected a row of 2 numbers, found a list of 3");
    refuses(MINIMAL "simulate: {truth: [1]}\n", "t.yaml:4:19: simulate.truth: expected a mapping from names to numbers "
                                                "from -1e+12 to 1e+12, found a list of 1");
    refuses("experiment: ~\ndata: {file: [a]}\nphysics: {parameters: {conductivity: 1}}\n",
            "t.yaml:1:13: experiment: expected a string, found \"~\"\n"
            "t.yaml:2:14: data.file: expected a string, found a list of 1");
}

Test(config, strict_numbers)
{
    static const char *const wrong[] = {"010", "1_000", "12:30", "0x10", "1e",  "1.e+", ".5",  "+",
                                        "1 2", "inf",   ".inf",  "nan",  "1,0", "--1",  "1d3", "1e400"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        double value;
        cr_expect_not(tr_real_parse(wrong[i], &value), "%s", wrong[i]);
    }
    static const struct {
        const char *text;
        double value;
    } right[] = {{"0", 0},        {"-0.5", -0.5}, {"+3", 3},         {"1.", 1},
                 {"1e3", 1000.0}, {"1E-3", 1e-3}, {"-1.5e+2", -150}, {"5.0e-4", 5e-4}};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        double value;
        cr_expect(tr_real_parse(right[i].text, &value) && value == right[i].value, "%s", right[i].text);
    }
    int64_t whole;
    cr_expect(tr_int_parse("-12", &whole) && whole == -12);
    cr_expect_not(tr_int_parse("9223372036854775808", &whole));
    cr_expect_not(tr_int_parse("007", &whole));
}

Test(config, out_of_range)
{
    refuses(MINIMAL "data: {batch: 0}\n", "t.yaml:4:1: data: expected each key once, found it again (first at 2:1)");
    refuses(MINIMAL "trainer: {log_every: 0}\n",
            "t.yaml:4:22: trainer.log_every: expected an integer from 1 to 1e+09, found \"0\"");
    refuses(MINIMAL "simulate: {dt: 0}\n",
            "t.yaml:4:16: simulate.dt: expected a number above 0 and at most 1000000, found \"0\"");
    refuses(MINIMAL "simulate: {hold: [5, 3]}\n",
            "t.yaml:4:18: simulate.hold: expected the smaller number first, found [5, 3]");
    refuses(MINIMAL "trainer: {threads: all}\n",
            "t.yaml:4:20: trainer.threads: expected an integer from 1 to 4096, or auto, found \"all\"");
}

Test(config, wrong_choice)
{
    refuses(MINIMAL "schedule: {name: cosin}\n",
            "t.yaml:4:18: schedule.name: expected one of cosine, constant, found \"cosin\"; did you mean cosine?");
    refuses("experiment: x\ndata: {file: d}\nphysics: {parameters: {conductivity: 1, los: 2}}\n",
            "t.yaml:3:41: physics.parameters: expected one of conductivity, loss, radiation, temperature (heat), found "
            "\"los\"; did you mean loss?");
    refuses("experiment: x\ndata: {file: d}\nphysics: {parameters: {conductivity: 1, conductivity: 2}}\n",
            "t.yaml:3:41: physics.parameters.conductivity: expected each key once, found it again (first at 3:24)");
}

/* Parameters are those of the equation, in its ranges, wherever the equation is named. */
Test(config, parameters_of_the_equation)
{
    refuses(MINIMAL "simulate: {truth: {reaction: 2}, equation: heat}\n",
            "t.yaml:4:20: simulate.truth: expected one of conductivity, loss, radiation, temperature (heat), found "
            "\"reaction\"");
    refuses(MINIMAL "simulate: {equation: allen_cahn, nominal: {diffusivity: 0}}\n",
            "t.yaml:4:44: simulate.nominal: expected diffusivity from 1e-10 to 1e+08 L^2/time, found 0");
    refuses(MINIMAL "simulate: {equation: allen_cahn, inclusion_of: conductivity}\n",
            "t.yaml:4:48: simulate.inclusion_of: expected a parameter of allen_cahn that may vary in space, found "
            "conductivity");
    refuses(
        MINIMAL "simulate: {inclusions: [[1, 0, 0, 1], [0, 0, 0, 1]]}\n",
        "t.yaml:4:24: simulate.inclusions: expected conductivity from 1e-08 to 1e+08 and a radius above 0 in row 1");
}

Test(config, forbidden_yaml)
{
    refuses(MINIMAL "seed: &a 3\n", "t.yaml:4:7: seed: expected a value, found an anchor (&): write the value out");
    refuses(MINIMAL "model: {groups: *a}\n",
            "t.yaml:4:17: model.groups: expected a value, found an alias (*): write the value out");
    refuses(MINIMAL "seed: !!int 3\n", "t.yaml:4:7: seed: expected a value, found a tag (!): types come from the key");
    refuses(MINIMAL "<<: {seed: 3}\n", "t.yaml:4:1: expected a key, found a merge key (<<): use include");
    refuses(MINIMAL "---\nseed: 3\n", "t.yaml:4:1: expected one document, found a second one");
    refuses(MINIMAL "? [a, b]\n: 3\n", "t.yaml:4:3: expected a plain key, found a collection as key");
    refuses(MINIMAL "seed: \"1\\0\"\n", "t.yaml:4:7: seed: expected text, found a zero byte in it");
    refuses("\xFF\xFE", "t.yaml:1:1: expected UTF-8 text, found the byte-order mark of UTF-16");
    refuses("seed: 1\nexperiment: a\xC0z\n", "t.yaml:2:15: expected UTF-8 text, found invalid trailing UTF-8 octet");
    refuses("", "t.yaml:1:1: expected a mapping of keys, found nothing");
    refuses("- 1\n", "t.yaml:1:1: expected a mapping of keys, found a list of 1");
    refuses(MINIMAL "seed: [1\n",
            "t.yaml:5:1: seed: expected YAML, found did not find expected ',' or ']' while parsing a flow sequence");
}

Test(config, depth_and_size, .timeout = 10)
{
    /* libyaml needs more than a minute for these brackets; the event stream is left at level 64. */
    enum { BRACKETS = 80000 };
    char *text = malloc(TR_YAML_BYTES + 2);
    memcpy(text, "seed: ", 6);
    memset(text + 6, '[', BRACKETS);
    text[6 + BRACKETS] = '\0';
    refuses(text, "t.yaml:1:70: seed: expected at most 64 levels, found one more");
    memset(text, '#', TR_YAML_BYTES + 1);
    text[TR_YAML_BYTES + 1] = '\0';
    refuses(text, "t.yaml:1:1: expected at most 1048576 bytes, found 1048577");
    free(text);
}

Test(config, twenty_errors)
{
    char text[4096] = MINIMAL;
    for (int i = 0; i < 30; i++)
        (void)snprintf(text + strlen(text), 64, "zzzzzzz%d: 1\n", i);
    tr_config *config = NULL;
    cr_assert_eq(tr_config_parse(&config, text, strlen(text), "t.yaml", NULL, 0), FWM_CONFIG);
    int lines = 1;
    for (const char *c = fwm_error_message(); *c != '\0'; c++)
        lines += *c == '\n';
    cr_assert_eq(lines, 20);
    cr_assert_not_null(strstr(fwm_error_message(), "t.yaml:4:1: zzzzzzz0:"));
    cr_assert_not_null(strstr(fwm_error_message(), "t.yaml:23:1: zzzzzzz19:"));
}

Test(config, required)
{
    refuses("experiment: x\nphysics: {parameters: {conductivity: 1}}\n",
            "t.yaml:1:1: data.file: expected a value (The dataset, an HDF5 file; `fwm simulate` writes it, all else "
            "reads it), found "
            "nothing; give it in the file or by --set data.file=...");
    refuses("data:\n  file: \?\?\?\nexperiment: x\nphysics: {parameters: {conductivity: 1}}\n",
            "t.yaml:2:9: data.file: expected a value (The dataset, an HDF5 file; `fwm simulate` writes it, all else "
            "reads it), found "
            "\?\?\?; give it in the file or by --set data.file=...");
    const char *set = "data.file=y.h5";
    tr_config *c =
        parse_with("data:\n  file: \?\?\?\nexperiment: x\nphysics: {parameters: {conductivity: 1}}\n", &set, 1);
    cr_assert_str_eq(c->data.file, "y.h5");
    tr_config_destroy(c);
}

Test(config, rules_between_keys)
{
    refuses(MINIMAL "objective: {unroll: [1, 9], unroll_start: [0, 0.5]}\n",
            "t.yaml:4:21: objective.unroll: expected at least data.context (1) + the longest horizon of "
            "objective.unroll (9) "
            "frames, found 8");
    refuses(MINIMAL "objective: {unroll: [1, 2]}\n",
            "t.yaml:4:21: objective.unroll: expected one fraction for each of the 2 horizons, found 1");
    refuses(MINIMAL "simulate: {space: Q1}\n",
            "t.yaml:4:19: simulate.space: expected P1 or P2 on triangle cells, found Q1");
    refuses(MINIMAL "model: {groups: 7}\n",
            "t.yaml:4:17: model.groups: expected multiples of model.groups (7), found 32\n"
            "t.yaml:4:17: model.groups: expected multiples of model.groups (7), found 64\n"
            "t.yaml:4:17: model.groups: expected multiples of model.groups (7), found 128\n"
            "t.yaml:4:17: model.groups: expected multiples of model.groups (7), found 24\n"
            "t.yaml:4:17: model.groups: expected multiples of model.groups (7), found 48\n"
            "t.yaml:4:17: model.groups: expected multiples of model.groups (7), found 48\n"
            "t.yaml:4:17: model.groups: expected multiples of model.groups (7), found 32");
    refuses("experiment: x\ndata: {file: d}\nphysics: {parameters: {conductivity: 1}, learn: [loss]}\n",
            "t.yaml:3:49: physics.learn: expected names out of physics.parameters, which gives the starting value, "
            "found loss");
    refuses("experiment: a/b\ndata: {file: d}\nphysics: {parameters: {conductivity: 1}}\n",
            "t.yaml:1:13: experiment: expected a name that can be a folder's (no /, no leading dot), found \"a/b\"");
}

/* Boxes in space: numbers, sides, axes, and what has no form there. */
Test(config, rules_of_space)
{
    refuses(MINIMAL "simulate: {cell: tetrahedron, coarse_cells: [4, 4, 4], size: [1, 1, 1]}\n",
            "t.yaml:1:1: simulate.cells: expected 3 numbers for tetrahedron cells, found 2");
    refuses(MINIMAL "simulate: {cells: [4, 4, 4]}\n",
            "t.yaml:4:19: simulate.cells: expected 2 numbers for triangle cells, found 3");
    refuses(MINIMAL "simulate: {cell: hexahedron, cells: [4, 4, 4], coarse_cells: [4, 4, 4], size: [1, 1, 1]}\n",
            "t.yaml:4:18: simulate.cell: expected Q1 or Q2 on hexahedron cells, found P1");
    refuses(MINIMAL "simulate: {periodic: [z]}\n",
            "t.yaml:4:22: simulate.periodic: expected axes of the plane, found z");
    refuses(MINIMAL "simulate: {conditions: [{boundary: back, field: temperature}]}\n",
            "t.yaml:4:25: simulate.conditions[0]: expected a boundary of the box (left, right, bottom, top), found "
            "\"back\"");
    refuses(MINIMAL "simulate:\n  {cell: tetrahedron, cells: [4, 4, 4], coarse_cells: [4, 4, 4], size: [1, 1, 1],\n"
                    "  sources: [[0.5, 0.5]]}\n",
            "t.yaml:6:12: simulate.sources: expected none in space: squares are of the plane; give simulate.loads on "
            "boundaries");
    refuses(MINIMAL "simulate:\n  {cell: tetrahedron, cells: [4, 4, 4], coarse_cells: [4, 4, 4], size: [1, 1, 1],\n"
                    "  loads: [{action: a}]}\n",
            "t.yaml:6:11: simulate.loads[0]: expected a boundary in space: squares are of the plane");
    refuses(MINIMAL
            "simulate: {equation: shallow_water, cell: tetrahedron, cells: [4, 4, 4], coarse_cells: [4, 4, 4],\n"
            "  size: [1, 1, 1]}\n",
            "t.yaml:4:43: simulate.cell: expected cells of the plane: shallow_water has no form in space");
    refuses(MINIMAL "simulate: {deformed: true}\n",
            "t.yaml:4:22: simulate.deformed: expected an equation whose displacement is a vector, such as elasticity, "
            "found heat");
    refuses(MINIMAL "simulate: {margin: [0, 1]}\n",
            "t.yaml:4:20: simulate.margin: expected [0, 0] where simulate.deformed is false");
    refuses(MINIMAL "simulate: {equation: elasticity, deformed: true, periodic: [x]}\n",
            "t.yaml:4:44: simulate.deformed: expected false where the box is periodic: a body that moves has no place "
            "there");
    tr_config *c = parse(MINIMAL "simulate: {cell: hexahedron, space: Q1, cells: [4, 5, 6], coarse_cells: [2, 2, 2],\n"
                                 "  size: [1, 2, 3], loads: [{action: a, boundary: front}]}\n");
    cr_expect(c->simulate.cells.count == 3 && c->simulate.cells.items[2] == 6 && c->simulate.size.items[2] == 3);
    tr_config_destroy(c);
}

/* ---- --set ---- */
Test(config, set_is_the_same_schema)
{
    const char *sets[] = {"optimizer.lr=2.0e-3", "physics.parameters.loss=4",
                          "objective={unroll: [1, 2], unroll_start: [0, 0.5]}", "experiment=other"};
    tr_config *c = parse_with(MINIMAL, sets, 4);
    cr_expect_eq(c->optimizer.lr, 2e-3);
    cr_assert_eq(c->physics.parameters.count, 2); /* laid over the file's map */
    cr_expect_str_eq(c->physics.parameters.items[1].name, "loss");
    cr_expect_eq(c->physics.parameters.items[1].value, 4);
    cr_expect_eq(c->objective.unroll.count, 2);
    cr_expect_str_eq(c->experiment, "other");
    tr_config_destroy(c);
    refuses_set(MINIMAL, "data.bach=3",
                "--set data.bach=3:1:6: data.bach: expected a key of data, found \"bach\"; did you mean batch?");
    refuses_set(MINIMAL, "data.batch=x",
                "--set data.batch=x:1:12: data.batch: expected an integer from 1 to 4096, found \"x\"");
    refuses_set(MINIMAL,
                "data.batch=", "--set data.batch=:1:1: data.batch: expected an integer from 1 to 4096, found nothing");
    refuses_set(MINIMAL, "data.batch",
                "--set data.batch:1:1: expected KEY=VALUE, as in optimizer.lr=1.0e-3, found \"data.batch\"");
    refuses_set(MINIMAL, "seed=*a", "--set seed=*a:1:1: expected a value, found an alias (*): write the value out");
    refuses_set(MINIMAL, "include=x",
                "--set include=x:1:1: include: expected a key of the top level, found \"include\"");
}

/* ---- include ---- */
typedef struct folder {
    char path[64];
} folder;

static folder make_folder(void)
{
    folder f = {"/tmp/fwm_config_XXXXXX"};
    cr_assert_not_null(mkdtemp(f.path));
    return f;
}

static void put(const folder *f, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", f->path, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static fwm_status load(const folder *f, const char *name, tr_config **config)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", f->path, name);
    return tr_config_load(config, path, NULL, 0);
}

static void remove_folder(const folder *f)
{
    static const char *const names[] = {"a.yaml", "b.yaml", "c.yaml"};
    char path[256];
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->path, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(f->path);
}

Test(config, include_lays_one_file_over_another)
{
    folder f = make_folder();
    tr_config *c;
    put(&f, "a.yaml",
        MINIMAL "seed: 1\neval: {horizons: [1, 2, 3]}\nvariants: {v: {seed: 5, optimizer: {lr: 0.5}}, w: {}}\n");
    /* the include counts first wherever it stands; lists replace, maps and variants merge */
    put(&f, "b.yaml",
        "experiment: y\neval: {horizons: [4]}\ninclude: a.yaml\nphysics: {parameters: {loss: 2}}\n"
        "variants: {v: {optimizer: {clip: 3}}}\n");
    cr_assert_eq(load(&f, "b.yaml", &c), FWM_OK, "%s", fwm_error_message());
    cr_expect_str_eq(c->experiment, "y");
    cr_expect_eq(c->seed, 1);
    cr_expect_eq(c->eval.horizons.count, 1);
    cr_expect_eq(c->physics.parameters.count, 2);
    cr_assert_eq(c->variants.count, 2);
    tr_config *v;
    cr_assert_eq(tr_config_variant(c, "v", &v), FWM_OK, "%s", fwm_error_message());
    cr_expect_eq(v->seed, 5);
    cr_expect_eq(v->optimizer.lr, 0.5);
    cr_expect_eq(v->optimizer.clip, 3);
    tr_config_destroy(v);
    tr_config_destroy(c);
    remove_folder(&f);
}

Test(config, include_cycle_and_absence)
{
    folder f = make_folder();
    tr_config *c = NULL;
    char expected[512];
    put(&f, "a.yaml", "include: b.yaml\n");
    put(&f, "b.yaml", "seed: 1\ninclude: a.yaml\n");
    cr_expect_eq(load(&f, "a.yaml", &c), FWM_CONFIG);
    (void)snprintf(expected, sizeof expected,
                   "%s/b.yaml:2:10: include: expected a file that is not including this one, found %s/a.yaml", f.path,
                   f.path);
    cr_expect_str_eq(fwm_error_message(), expected);
    put(&f, "c.yaml", "include: none.yaml\n");
    cr_expect_eq(load(&f, "c.yaml", &c), FWM_CONFIG);
    (void)snprintf(
        expected, sizeof expected,
        "%s/c.yaml:1:10: include: %s/none.yaml: expected a configuration file, found: No such file or directory",
        f.path, f.path);
    cr_expect_str_eq(fwm_error_message(), expected);
    cr_expect_eq(load(&f, "none.yaml", &c), FWM_IO);
    cr_expect_null(c);
    remove_folder(&f);
}

/* ---- variants ---- */

/* What the command line says stands above the file, its variants included. */
Test(config, settings_stand_above_variants)
{
    static const char text[] = MINIMAL "variants: {a: {optimizer: {lr: 0.25, clip: 3}}}\n";
    const char *const sets[] = {"optimizer.lr=0.125"};
    tr_config *c = NULL, *v = NULL;
    cr_assert_eq(tr_config_parse(&c, text, strlen(text), "t.yaml", sets, 1), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_config_variant(c, "a", &v), FWM_OK, "%s", fwm_error_message());
    cr_expect_eq(v->optimizer.lr, 0.125);
    cr_expect_eq(v->optimizer.clip, 3);
    tr_config_destroy(v);
    tr_config_destroy(c);
}
Test(config, variant)
{
    tr_config *c = parse(MINIMAL "variants: {a: {optimizer: {lr: 0.25}}, b: {seed: 9}}\n"), *v = NULL;
    const double lr = c->optimizer.lr;
    cr_assert_eq(c->variants.count, 2);
    cr_expect_str_eq(c->variants.items[0], "a");
    cr_assert_eq(tr_config_variant(c, "a", &v), FWM_OK);
    cr_expect_eq(c->optimizer.lr, lr);
    tr_config_destroy(c); /* the variant has a life of its own */
    cr_expect_eq(v->optimizer.lr, 0.25);
    cr_expect_str_eq(v->data.file, "d.h5");
    cr_expect_str_eq(v->physics.parameters.items[0].name, "conductivity");
    cr_expect_eq(v->variants.count, 0);
    tr_config_destroy(v);
}

Test(config, variant_errors)
{
    tr_config *c = parse(MINIMAL "variants: {fused: {}}\n"), *v = NULL;
    cr_expect_eq(tr_config_variant(c, "fuse", &v), FWM_CONFIG);
    cr_expect_str_eq(fwm_error_message(),
                     "t.yaml: variants: expected one of the 1 variants, found \"fuse\"; did you mean fused?");
    tr_config_destroy(c);
    refuses(MINIMAL "variants: {a: {sed: 1}}\n",
            "t.yaml:4:16: sed: expected a key of the top level, found \"sed\"; did you mean seed?\n"
            "t.yaml:1:1: variants: these are errors of variant a");
    /* each is held against the rules as a whole */
    refuses(MINIMAL "variants: {a: {physics: {equation: none}}}\n",
            "t.yaml:4:36: physics.equation: expected none where physics.equation is none, found fem\n"
            "t.yaml:4:36: physics.equation: expected 0 where physics.equation is none\n"
            "t.yaml:1:1: variants: these are errors of variant a");
    refuses(MINIMAL "variants: {a: {variants: {}}}\n",
            "t.yaml:4:16: variants: expected a key of the top level, found \"variants\"\n"
            "t.yaml:1:1: variants: these are errors of variant a");
    refuses(MINIMAL "variants: {a: 3}\n", "t.yaml:4:15: variants.a: expected a mapping of overrides, found \"3\"");
}

/* ---- writing out ---- */
static void round_trip(const char *text)
{
    char *once = NULL, *twice = NULL;
    json_t *a, *b;
    tr_config *c = parse(text), *back;
    cr_assert_eq(tr_config_dump(c, &once), FWM_OK);
    back = parse(once);
    cr_assert_eq(tr_config_dump(back, &twice), FWM_OK);
    cr_expect_str_eq(once, twice);
    cr_assert_eq(tr_config_json(c, &a), FWM_OK);
    cr_assert_eq(tr_config_json(back, &b), FWM_OK);
    cr_expect(json_equal(a, b)); /* reals bit by bit */
    cr_assert_eq(c->variants.count, back->variants.count);
    for (int64_t i = 0; i < c->variants.count; i++) {
        tr_config *v, *w;
        json_t *x, *y;
        cr_assert_eq(tr_config_variant(c, c->variants.items[i], &v), FWM_OK);
        cr_assert_eq(tr_config_variant(back, c->variants.items[i], &w), FWM_OK);
        cr_assert(tr_config_json(v, &x) == FWM_OK && tr_config_json(w, &y) == FWM_OK);
        cr_expect(json_equal(x, y), "%s", c->variants.items[i]);
        json_decref(x);
        json_decref(y);
        tr_config_destroy(v);
        tr_config_destroy(w);
    }
    json_decref(a);
    json_decref(b);
    fwm_free(once);
    fwm_free(twice);
    tr_config_destroy(back);
    tr_config_destroy(c);
}

Test(config, dump_reads_back)
{
    round_trip(MINIMAL);
    round_trip(MINIMAL
               "optimizer: {lr: 0.1234567890123456789, eps: 1.0e-30, clip: 123456789.5}\nseed: 9007199254740991\n"
               "trainer: {threads: 3}\nobjective: {state: 4.9e-324}\n"
               "variants: {a: {experiment: \"a, {b}: 'c'\", optimizer: {lr: 0.3}}}\n");
    round_trip(MINIMAL
               "optimizer: {lr_factor: {\"*/bias\": 0.5, \"yes\": 2, decoder/up0: 0}, frozen: [\"a*\", \"?: b\"]}\n"
               "variants: {a: {optimizer: {lr_factor: {\"* #\": 3}, frozen: [\"[\"]}}}\n");
    round_trip("experiment: \"\\u00e9\\t\\\"q\\\" \\\\ \\U0001F525 \\x85 # no\"\ndata: {file: \"true\"}\n"
               "physics: {parameters: {conductivity: 0.1, loss: 1.0e-30}}\n");
}

Test(config, committed_experiments)
{
    static const char *const files[] = {"configs/heat_plate.yaml", "configs/heat_plate_small.yaml"};
    for (int i = 0; i < 2; i++) {
        tr_config *c;
        char *text;
        cr_assert_eq(tr_config_load(&c, files[i], NULL, 0), FWM_OK, "%s", fwm_error_message());
        cr_expect_geq(c->variants.count, 5);
        cr_assert_eq(tr_config_dump(c, &text), FWM_OK);
        round_trip(text);
        fwm_free(text);
        tr_config_destroy(c);
    }
}

Test(config, committed_schema_is_the_tables)
{
    json_error_t error;
    json_t *made, *kept = json_load_file("configs/schema.json", 0, &error);
    cr_assert_not_null(kept, "configs/schema.json: %s", error.text);
    cr_assert_eq(tr_config_schema(&made), FWM_OK);
    char *text = json_dumps(made, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    FILE *file = fopen("configs/schema.json", "r");
    char *bytes = calloc(1, strlen(text) + 2);
    const size_t n = fread(bytes, 1, strlen(text) + 1, file);
    (void)fclose(file);
    cr_assert(n == strlen(text) + 1 && strncmp(bytes, text, strlen(text)) == 0 && bytes[n - 1] == '\n',
              "configs/schema.json is not the table's: build/fwm help config --json > configs/schema.json");
    /* Each key of the table is in it, as a property of its block. */
    for (int i = 0; i < tr_config_row_count; i++) {
        json_t *at = json_object_get(made, "properties");
        char path[TR_PATH_CAPACITY], *rest = path, *part;
        (void)snprintf(path, sizeof path, "%s", tr_config_rows[i].path);
        while ((part = strsep(&rest, ".")) != NULL)
            at = rest != NULL ? json_object_get(json_object_get(at, part), "properties") : json_object_get(at, part);
        cr_expect_not_null(json_object_get(at, "description"), "%s", tr_config_rows[i].path);
    }
    free(text);
    free(bytes);
    json_decref(kept);
    json_decref(made);
}

Test(config, help)
{
    char *text;
    cr_assert_eq(tr_config_help("optimizer.lr", &text), FWM_OK);
    cr_expect_str_eq(
        text, "  optimizer.lr\n      Learning rate at the top of the schedule\n      a number above 0 and at most 10; "
              "default 1.0e-3\n");
    fwm_free(text);
    cr_assert_eq(tr_config_help("", &text), FWM_OK);
    for (int i = 0; i < tr_config_row_count; i++)
        cr_expect_not_null(strstr(text, tr_config_rows[i].path), "%s", tr_config_rows[i].path);
    fwm_free(text);
    cr_assert_eq(tr_config_help("optimiser.lr", &text), FWM_CONFIG);
    cr_expect_str_eq(
        fwm_error_message(),
        "expected a key or a block of the configuration, found \"optimiser.lr\"; did you mean optimizer.lr?");
    cr_expect_str_eq(tr_config_word("physics.equation", TR_EQUATION_heat), "heat");
    cr_expect_str_eq(tr_config_word("eval.split", TR_SPLIT_TEST_OOD), "test_ood");
    cr_expect_str_eq(tr_config_word("trainer.isa", TR_ISA_AVX512), "avx512");
    cr_expect_null(tr_config_word("trainer.isa", 99));
}

/* ---- what is in the table is in the structures, and apart ---- */
static void mark_row(const tr_row *row, unsigned char *used)
{
    static const size_t sizes[] = {[TR_TYPE_BOOL] = sizeof(bool),
                                   [TR_TYPE_INT] = 8,
                                   [TR_TYPE_REAL] = 8,
                                   [TR_TYPE_STRING] = sizeof(char *),
                                   [TR_TYPE_ENUM] = sizeof(int),
                                   [TR_TYPE_INTS] = sizeof(tr_ints),
                                   [TR_TYPE_REALS] = sizeof(tr_reals),
                                   [TR_TYPE_STRINGS] = sizeof(tr_strings),
                                   [TR_TYPE_MATRIX] = sizeof(tr_matrix),
                                   [TR_TYPE_MAP] = sizeof(tr_map),
                                   [TR_TYPE_RECORDS] = sizeof(tr_records)};
    const bool fixed = row->type == TR_TYPE_INT || row->type == TR_TYPE_REAL;
    const size_t size = sizes[row->type] * (fixed ? (size_t)row->count : 1);
    for (size_t k = row->offset; k < row->offset + size; k++)
        cr_assert_eq(used[k]++, 0, "%s", row->path);
}

Test(config, rows_do_not_overlap)
{
    unsigned char used[sizeof(tr_config)] = {0};
    for (int i = 0; i < tr_config_row_count; i++) {
        const tr_row *row = &tr_config_rows[i];
        mark_row(row, used);
        unsigned char record[1024] = {0};
        memset(record, 1, sizeof(tr_place)); /* where it was given comes first */
        cr_assert_leq(row->size, sizeof record);
        for (const tr_row *m = row->members; m != NULL && m->path != NULL; m++)
            mark_row(m, record);
        for (size_t k = row->size; row->members != NULL && k < sizeof record; k++)
            cr_assert_eq(record[k], 0, "%s: a member beyond the record", row->path);
    }
}

/* ---- mutations ---- */
/* Overwrites, cuts, doubles and splices stretches of a valid text, seeded: nothing may crash, loop, or be accepted and
 * then not be written out. */
Test(config, mutations, .timeout = 60)
{
    enum { ROUNDS = 6000, CAPACITY = 1 << 15 };
    static const char pieces[][8] = {"[", "]", "{", "}",      ": ", "- ", "\n", "\"", "'",   "&a ",  "*a",  "!!",
                                     "|", ">", "#", "\?\?\?", "<<", "%",  "@",  "\t", "1e9", "\xC3", "---", "..."};
    static const char *const names[] = {"configs/heat_plate.yaml", "configs/gray_scott.yaml"}; /* the latter: records */
    char *bases[2], *text = malloc(CAPACITY);
    size_t sizes[2];
    tr_config *c = NULL;
    for (int k = 0; k < 2; k++) {
        FILE *file = fopen(names[k], "r");
        bases[k] = calloc(1, CAPACITY);
        sizes[k] = fread(bases[k], 1, CAPACITY / 2, file);
        (void)fclose(file);
    }
    const fwm_key key = {2024, 7};
    int accepted = 0;
    const double start = fwm_seconds();
    for (uint64_t round = 0; round < ROUNDS; round++) {
        const char *base = bases[round % 2];
        const size_t size = sizes[round % 2];
        uint32_t w[4];
        size_t n = size;
        memcpy(text, base, size);
        fwm_random_words(key, round, 0, w);
        const uint32_t edits = 1 + w[0] % 4;
        for (uint32_t e = 1; e <= edits && n > 0; e++) {
            fwm_random_words(key, round, e, w);
            const size_t at = w[0] % n, span = 1 + w[1] % 24, most = n - at < span ? n - at : span;
            const char *piece = pieces[w[2] % (sizeof pieces / sizeof *pieces)];
            switch (w[3] % 5) {
            case 0: /* any byte */
                text[at] = (char)w[2];
                break;
            case 1: /* cut */
                memmove(text + at, text + at + most, n - at - most);
                n -= most;
                break;
            case 2: /* double */
                memmove(text + at + most, text + at, n - at);
                n += most;
                break;
            case 3: /* a piece of YAML */
                memmove(text + at + strlen(piece), text + at, n - at);
                memcpy(text + at, piece, strlen(piece));
                n += strlen(piece);
                break;
            default: /* end of file */
                n = w[2] % 8 == 0 ? at + 1 : n;
                break;
            }
        }
        const fwm_status status = tr_config_parse(&c, text, n, "m.yaml", NULL, 0);
        cr_assert(status == FWM_OK || status == FWM_CONFIG, "round %llu: %s", (unsigned long long)round,
                  fwm_error_message());
        if (status == FWM_OK) {
            char *dump = NULL;
            tr_config *back = NULL;
            accepted++;
            cr_assert_eq(tr_config_dump(c, &dump), FWM_OK);
            cr_assert_eq(tr_config_parse(&back, dump, strlen(dump), "dump", NULL, 0), FWM_OK, "round %llu: %s\n%s",
                         (unsigned long long)round, fwm_error_message(), dump);
            fwm_free(dump);
            tr_config_destroy(back);
        }
        tr_config_destroy(c);
    }
    cr_log_info("%d of %d accepted, %.2f s", accepted, ROUNDS, fwm_seconds() - start);
    cr_assert(accepted > ROUNDS / 20 && accepted < ROUNDS); /* the mutations reach both sides */
    free(bases[0]);
    free(bases[1]);
    free(text);
}

/* ---- sizes ---- */
Test(config, sizes_with_units)
{
    static const struct {
        const char *text;
        size_t bytes; /* 0: refused, but for none */
    } cases[] = {{"2GiB", (size_t)2 << 30},
                 {"1.5 GB", 1500000000},
                 {"750kB", 750000},
                 {"1B", 1},
                 {"none", 0},
                 {"2", 0},
                 {"2gb", 0},
                 {"GiB", 0},
                 {"-1MB", 0},
                 {"1e3MB", 0},
                 {"0GiB", 0},
                 {"2GiB ", 0},
                 {"1..5GB", 0},
                 {"", 0},
                 {"99999999TiB", 0}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        size_t bytes = 7;
        bool good = tr_bytes_parse(cases[k].text, &bytes);
        cr_expect_eq(good, cases[k].bytes > 0 || strcmp(cases[k].text, "none") == 0, "'%s'", cases[k].text);
        if (good)
            cr_expect_eq(bytes, cases[k].bytes, "'%s' is %zu", cases[k].text, bytes);
    }
}
