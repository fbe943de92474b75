/* Every experiment of configs/ in tiny: simulated, trained for a few steps, evaluated. */
#include "tests/train/small.h"

#include "model/base/status.h"
#include "train/events.h"

#include <math.h>

#define FEW                                                                                                            \
    "--set simulate.train=3 --set simulate.validation=1 --set simulate.test=1 --set simulate.test_ood=1 --set "        \
    "simulate.steps=6 --set simulate.frame='[16, 16]' --set data.file=%s/data.h5 --set data.batch=2 --set "            \
    "physics.identification.steps=2 --set physics.identification.batch=2 --set model.encoder.widths='[8, 8, 8]' "      \
    "--set model.predictor.grid=8 --set model.predictor.widths='[8]' --set model.decoder.width=8 --set "               \
    "model.groups=4 --set transport.weight=0 --set objective.unroll='[1]' --set objective.unroll_start='[0.0]' "       \
    "--set schedule.warmup=1 --set trainer.steps=3 --set trainer.log_every=1 --set trainer.term_norms_every=2 --set "  \
    "eval.horizon=4 --set "                                                                                            \
    "eval.horizons='[1, 4]'"

typedef struct experiment {
    const char *name, *fields, *actions; /* of the state and the actions */
    const char *terms;                   /* what the log says of the law's parts */
    const char *own;                     /* what makes it small */
} experiment;

static const experiment experiments[] = {
    {"heat_plate", "temperature", "heater0 heater1 heater2 heater3 ambient", "loss_phys_temperature",
     "--set simulate.cells='[6, 6]' --set simulate.coarse_cells='[3, 3]'"},
    {"heat_plate_random", "temperature", "heater0 heater1 heater2 heater3 ambient", "loss_phys_temperature",
     "--set simulate.cells='[6, 6]' --set simulate.coarse_cells='[3, 3]'"},
    {"bistable", "phase", "spot0 spot1 field", "loss_phys_phase",
     "--set simulate.cells='[6, 6]' --set simulate.coarse_cells='[3, 3]'"},
    {"gray_scott", "substrate activator", "nozzle0 nozzle1", "loss_phys_substrate loss_phys_activator",
     "--set simulate.cells='[8, 8]' --set simulate.coarse_cells='[4, 4]' --set simulate.warmup=1"},
    {"plume", "concentration", "chimney0 chimney1", "loss_phys_concentration",
     "--set simulate.cells='[8, 8]' --set simulate.coarse_cells='[4, 4]'"},
    {"soft_beam", "displacement.x displacement.y velocity.x velocity.y", "pull bend",
     "loss_phys_displacement loss_phys_velocity", "--set simulate.cells='[6, 2]' --set simulate.coarse_cells='[3, 1]'"},
    {"cylinder_wake", "velocity.x velocity.y pressure", "inflow", "loss_phys_velocity loss_phys_pressure",
     "--set simulate.warmup=1 --set physics.scheme=midpoint --set physics.substeps=1"},
    {"heat_block", "temperature", "left top back ambient", "loss_phys_temperature",
     "--set simulate.cells='[4, 4, 3]' --set simulate.coarse_cells='[2, 2, 1]' --set simulate.cut_across=y"},
    {"wave", "displacement velocity", "mallet0 mallet1", "loss_phys_displacement loss_phys_velocity",
     "--set simulate.cells='[8, 8]' --set simulate.coarse_cells='[4, 4]'"},
    {"shallow_water", "depth discharge.x discharge.y", "sluice", "loss_phys_depth loss_phys_discharge",
     "--set simulate.cells='[8, 8]' --set simulate.coarse_cells='[4, 4]'"},
    {"burgers", "velocity.x velocity.y", "along across", "loss_phys_velocity",
     "--set simulate.cells='[8, 8]' --set simulate.coarse_cells='[4, 4]'"},
    {"fitzhugh_nagumo", "activator inhibitor", "electrode0 electrode1", "loss_phys_activator loss_phys_inhibitor",
     "--set simulate.cells='[8, 8]' --set simulate.coarse_cells='[4, 4]'"},
    {"elastodynamics", "displacement.x displacement.y velocity.x velocity.y", "bend shear",
     "loss_phys_displacement loss_phys_velocity", "--set simulate.cells='[6, 3]' --set simulate.coarse_cells='[2, 1]'"},
};

static bool names_are(const json_t *list, const char *expected)
{
    char text[256] = "";
    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *one = json_array_get(list, k);
        const char *name =
            json_is_string(one) ? json_string_value(one) : json_string_value(json_object_get(one, "name"));
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", k > 0 ? " " : "", name);
    }
    return strcmp(text, expected) == 0;
}

/* The parts of the physics loss are in the log, and where all transitions are judged they sum to it. */
static void expect_parts(const char *folder, const char *terms, bool whole)
{
    char path[SMALL_PATH + 32], names[128], *rest = NULL;
    double sum = 0;
    int64_t rows = 0;
    (void)snprintf(path, sizeof path, "%s/run/metrics.jsonl", folder);
    (void)snprintf(names, sizeof names, "%s", terms);
    tr_history h;
    cr_assert_eq(tr_history_read(&h, path), FWM_OK, "%s", fwm_error_message());
    double *x = calloc((size_t)h.rows + 1, sizeof *x), *y = calloc((size_t)h.rows + 1, sizeof *y), step = 0, loss = 0;
    for (const char *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        rows = tr_history_series(&h, name, x, y);
        cr_assert(rows >= 1 && y[rows - 1] >= 0, "%s: %lld lines", name, (long long)rows);
        step = x[rows - 1];
        sum += y[rows - 1];
    }
    rows = tr_history_series(&h, "loss_phys", x, y);
    for (int64_t k = 0; k < rows; k++)
        loss = x[k] == step + 1 ? y[k] : loss; /* a line is of the update that it ends with */
    cr_expect(!whole || fabs(sum - loss) <= 1e-3 * loss, "parts %g, loss %g", sum, loss);
    cr_expect_gt(sum, 0);
    free(x);
    free(y);
    tr_history_free(&h);
}

static void try_experiment(const char *name)
{
    const experiment *e = experiments;
    while (strcmp(e->name, name) != 0)
        e++;
    char folder[SMALL_PATH], path[SMALL_PATH + 32];
    small_folder(folder);
    cr_assert_eq(small_shell("%s simulate configs/%s.yaml %s " FEW " >/dev/null 2>%s/err", small_program(), name,
                             e->own, folder, folder),
                 0, "%s", small_text(folder, "err"));
    json_t *about = small_inspect(folder, "data.h5");
    cr_expect(names_are(json_object_get(about, "fields"), e->fields), "%s: fields", name);
    cr_expect(names_are(json_object_get(json_object_get(about, "ranges"), "actions"), e->actions), "%s: actions", name);
    cr_expect(json_number_value(json_object_get(about, "residual")) >= 0, "%s: the data's residual", name);
    json_decref(about);
    cr_assert_eq(small_shell("%s train configs/%s.yaml %s " FEW " --out %s/run >/dev/null 2>%s/err", small_program(),
                             name, e->own, folder, folder, folder),
                 0, "%s", small_text(folder, "err"));
    expect_parts(folder, e->terms, strcmp(name, "heat_plate") == 0 || strcmp(name, "plume") == 0);
    cr_assert_eq(
        small_shell("%s eval %s/run/last.ckpt --json >%s/eval.json 2>%s/err", small_program(), folder, folder, folder),
        0, "%s", small_text(folder, "err"));
    (void)snprintf(path, sizeof path, "%s/eval.json", folder);
    json_t *result = small_json(path);
    cr_expect_gt(json_object_size(result), 0);
    json_decref(result);
    small_remove(folder);
}

/* One test each, so that a report names the experiment. */
#define EXPERIMENT(name)                                                                                               \
    Test(experiments, name, .timeout = 300)                                                                            \
    {                                                                                                                  \
        try_experiment(#name);                                                                                         \
    }
EXPERIMENT(heat_plate)
EXPERIMENT(heat_plate_random)
EXPERIMENT(bistable)
EXPERIMENT(gray_scott)
EXPERIMENT(plume)
EXPERIMENT(soft_beam)
EXPERIMENT(cylinder_wake)
EXPERIMENT(heat_block)
EXPERIMENT(wave)
EXPERIMENT(shallow_water)
EXPERIMENT(burgers)
EXPERIMENT(fitzhugh_nagumo)
EXPERIMENT(elastodynamics)

/* A vector equation with trajectories of its own law: the same bytes from one process and from two. */
Test(experiments, ranks_do_not_show_in_a_vector_field, .timeout = 120)
{
    static const char ranks[] = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -n 2";
    static const char set[] =
        "--set simulate.train=18 --set simulate.validation=1 --set simulate.test=0 --set simulate.test_ood=0 --set "
        "simulate.steps=4 --set simulate.cells='[6, 2]' --set simulate.coarse_cells='[3, 1]' --set simulate.random="
        "'[{parameter: young, range: [0.5, 2], discs: [1, 2], radius: [0.3, 0.6]}]'";
    char folder[SMALL_PATH];
    small_folder(folder);
    for (int k = 0; k < 2; k++)
        cr_assert_eq(small_shell("%s %s simulate configs/soft_beam.yaml %s --out %s/%d.h5 >/dev/null 2>%s/err",
                                 k ? ranks : "", small_program(), set, folder, k, folder),
                     0, "%s", small_text(folder, "err"));
    cr_expect_eq(small_shell("cmp %s/0.h5 %s/1.h5 >%s/err 2>&1", folder, folder, folder), 0, "%s",
                 small_text(folder, "err"));
    small_remove(folder);
}

/* The Well's layout is what `convert` makes of the native one. */
Test(experiments, simulated_as_the_well_has_it, .timeout = 120)
{
    static const char set[] = "--set simulate.train=2 --set simulate.validation=1 --set simulate.test=1 --set "
                              "simulate.test_ood=0 --set simulate.steps=4";
    char folder[SMALL_PATH];
    small_folder(folder);
    cr_assert_eq(small_shell("mkdir %s/one && %s simulate " SMALL_CONFIG
                             " %s --out %s/a.h5 >/dev/null 2>%s/err && %s convert --to "
                             "well --out %s/one/set %s/a.h5 >/dev/null 2>>%s/err",
                             folder, small_program(), set, folder, folder, small_program(), folder, folder, folder),
                 0, "%s", small_text(folder, "err"));
    cr_assert_eq(small_shell("%s simulate " SMALL_CONFIG " %s --layout well --out %s/two/set >/dev/null 2>%s/err",
                             small_program(), set, folder, folder),
                 0, "%s", small_text(folder, "err"));
    cr_expect_eq(small_shell("diff -r %s/one/set %s/two/set >%s/err 2>&1", folder, folder, folder), 0, "%s",
                 small_text(folder, "err"));
    cr_expect_neq(small_shell("ls %s/two/set.native.h5* >/dev/null 2>&1", folder), 0, "the native file is left");
    cr_expect_neq(small_shell("%s simulate " SMALL_CONFIG " %s --layout well --out %s/two/set >/dev/null 2>%s/err",
                              small_program(), set, folder, folder),
                  0, "what is there is written over");
    cr_expect(strstr(small_text(folder, "err"), "there already"), "%s", small_text(folder, "err"));
    cr_expect_eq(small_shell("%s simulate " SMALL_CONFIG " --layout wall >/dev/null 2>%s/err", small_program(), folder),
                 2, "%s", small_text(folder, "err"));
    small_remove(folder);
}
