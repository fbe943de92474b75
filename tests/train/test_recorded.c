/* Datasets that others recorded train as they are (configs/recorded): each file of ../shared/data for a few steps and
 * an evaluation. Without that folder these tests are skipped, and say so; tests/interop/check_recorded.py makes files
 * of the same layouts. */
#include "small.h"
#include "train/trainer.h"

#include <hdf5.h>
#include <math.h>

typedef struct expectation {
    const char *config, *file;
    int64_t nodes, channels, colors, cheap, actions; /* of the model; cheap: nodes of the coarse mesh, 0: none */
} expectation;

/* Trains three steps, saves, and evaluates the checkpoint; what a model is made of is in its checkpoint. */
static void train_in(const char *folder, const char *yaml, const expectation *e)
{
    char path[SMALL_PATH + 64];
    (void)snprintf(path, sizeof path, "%s", yaml);
    (void)setenv("XDG_CACHE_HOME", folder, 1);
    const char *sets[] = {"trainer.steps=3", "schedule.warmup=1"};
    tr_config *config = NULL;
    cr_assert_eq(tr_config_load(&config, path, sets, 2), FWM_OK, "%s", fwm_error_message());
    const tr_train_options options = {.folder = folder, .profile = true};
    tr_train_result result;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    cr_assert_eq(tr_train(&result, config, &options, out), FWM_OK, "%s: %s", e->config, fwm_error_message());
    fclose(out);
    double first, later, share, seconds;
    long long others;
    const char *waiting = strstr(text, "waiting for batches: ");
    cr_assert(
        waiting &&
            sscanf(waiting,
                   "waiting for batches: %lf ms for the first; %lf ms a step for the %lld others, %lf %% of %lf s",
                   &first, &later, &others, &share, &seconds) == 5,
        "%s", text);
    cr_expect(others == 2 && first >= 0 && later >= 0 && share <= 100 && later * 2 <= 1e3 * seconds);
    free(text);
    cr_assert_eq(result.steps, 3);
    cr_assert(isfinite(result.loss));
    tr_trained trained;
    (void)snprintf(path, sizeof path, "%s/last.ckpt", folder);
    cr_assert_eq(tr_trained_open(&trained, path, NULL, NULL, 0, NULL, 4), FWM_OK, "%s", fwm_error_message());
    const wm_config *m = &trained.world->model;
    cr_expect(m->nodes == e->nodes && m->state.count == e->channels && m->colors == e->colors &&
                  m->coarse_nodes == e->cheap && m->actions == e->actions,
              "%s: %lld nodes, %lld channels, %lld colours, %lld coarse nodes, %lld actions", e->config,
              (long long)m->nodes, (long long)m->state.count, (long long)m->colors, (long long)m->coarse_nodes,
              (long long)m->actions);
    tr_evaluation *evaluation = NULL;
    const tr_evaluate_options eo = {.split = (ds_split)config->eval.split,
                                    .horizon = trained.world->info->steps > 4 ? 3 : 1,
                                    .samples = 1,
                                    .trajectories = 4,
                                    .frames = true,
                                    .example = true,
                                    .codes = true};
    cr_assert_eq(tr_evaluate(&evaluation, trained.world, trained.rollout, trained.flat, &eo), FWM_OK, "%s",
                 fwm_error_message());
    const tr_metrics *model = evaluation->table[TR_METHOD_MODEL], *cheap = evaluation->table[TR_METHOD_PHYSICS];
    cr_expect(isfinite(tr_metrics_average(model, TR_VRMSE, 1, 0, TR_MEAN)));
    cr_expect_eq(isfinite(tr_metrics_average(model, TR_PSNR, 1, TR_ALL_FIELDS, TR_MEAN)), e->colors > 0);
    cr_expect_eq(isfinite(tr_metrics_average(cheap, TR_VRMSE, 1, 0, TR_MEAN)), e->cheap > 0);
    tr_evaluation_destroy(&evaluation);
    tr_trained_close(&trained);
    tr_config_destroy(config);
}

static void train_and_evaluate(const expectation *e)
{
    char folder[SMALL_PATH], path[SMALL_PATH + 64], file[SMALL_PATH];
    (void)snprintf(file, sizeof file, "../shared/data/%s", e->file);
    if (access(file, R_OK) != 0)
        cr_skip_test("%s is not there", file);
    small_folder(folder);
    (void)snprintf(path, sizeof path, "configs/recorded/%s.yaml", e->config);
    train_in(folder, path, e);
    small_remove(folder);
}

Test(recorded, pdebench_burgers_with_its_law)
{
    train_and_evaluate(&(expectation){"burgers16", "burgers16_pdebench.hdf5", 32, 2, 3, 16, 0});
}

Test(recorded, pdebench_allen_cahn_with_its_law)
{
    train_and_evaluate(&(expectation){"allen_cahn_1d", "allen_cahn_1d_pdebench.hdf5", 1024, 1, 3, 512, 1});
}

Test(recorded, pdebench_darcy_without_time)
{
    train_and_evaluate(&(expectation){"darcy16", "darcy16_train_pdebench.hdf5", 256, 1, 3, 0, 0});
}

Test(recorded, the_well_without_a_law)
{
    train_and_evaluate(&(expectation){"cylinder_wake", "cylinder_wake_well_train.hdf5", 8192, 3, 3, 0, 0});
}

Test(recorded, robomimic_with_video)
{
    train_and_evaluate(&(expectation){"bridge", "bridge_robomimic.hdf5", 1, 7, 3, 0, 7});
}

Test(recorded, robosuite_by_its_state_alone)
{
    train_and_evaluate(&(expectation){"robosuite_lift", "robosuite_lift_panda_demo.hdf5", 1, 32, 0, 0, 7});
}

Test(recorded, robomimic_by_its_video_alone)
{
    train_and_evaluate(&(expectation){"bridge_video", "bridge_robomimic.hdf5", 289, 3, 3, 0, 7});
}

Test(recorded, the_well_without_a_split_for_training)
{
    train_and_evaluate(&(expectation){"cylinder_wake_valid", "cylinder_wake_well_valid.hdf5", 8192, 3, 3, 0, 0});
}

/* FOLDER/NAME.h5 with one array, which `data` of FOLDER/NAME.yaml describes. */
static void write_generic(const char *folder, const char *name, const char *array, hid_t type, int rank,
                          const hsize_t *dims, const void *values, const char *data, const char *equation,
                          char yaml[SMALL_PATH + 64])
{
    char path[SMALL_PATH + 64];
    (void)snprintf(path, sizeof path, "%s/%s.h5", folder, name);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), space = H5Screate_simple(rank, dims, NULL);
    hid_t id = H5Dcreate2(file, array, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert(id >= 0 && H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(id);
    H5Sclose(space);
    H5Fclose(file);
    (void)snprintf(yaml, SMALL_PATH + 64, "%s/%s.yaml", folder, name);
    FILE *f = fopen(yaml, "w");
    cr_assert(f && fprintf(f,
                           "experiment: %s\n"
                           "data: {file: %s, layout: generic, %s, batch: 2, clip: 3}\n"
                           "physics: {equation: %s}\n"
                           "model: {predictor: {prior: none}}\n"
                           "objective: {physics: 0}\n"
                           "eval: {split: train, horizon: 3, horizons: [1]}\n",
                           name, path, data, equation) > 0);
    (void)fclose(f);
}

/* A file of nothing but pictures, of sides that no network halves three times. */
static void write_pictures(const char *folder, const char *physics, char yaml[SMALL_PATH + 64])
{
    enum { N = 4, T = 6, HEIGHT = 20, WIDTH = 27 };
    static uint8_t video[N][T][HEIGHT][WIDTH];
    const hsize_t dims[4] = {N, T, HEIGHT, WIDTH};
    for (int i = 0; i < N; i++)
        for (int t = 0; t < T; t++)
            for (int r = 0; r < HEIGHT; r++)
                for (int c = 0; c < WIDTH; c++)
                    video[i][t][r][c] = (uint8_t)(128 + 100 * sin(0.3 * (c + t + i)) * cos(0.2 * r));
    write_generic(folder, "pictures", "/film", H5T_NATIVE_UCHAR, 4, dims, video, "frames: '/film:nthw'", physics, yaml);
}

Test(recorded, pictures_of_any_sides_alone)
{
    char folder[SMALL_PATH], yaml[SMALL_PATH + 64];
    small_folder(folder);
    write_pictures(folder, "none", yaml);
    train_in(folder, yaml, &(expectation){.config = "pictures", .nodes = 63, .channels = 1, .colors = 1});
    small_remove(folder);
}

Test(recorded, no_law_describes_colours)
{
    char folder[SMALL_PATH], yaml[SMALL_PATH + 64];
    small_folder(folder);
    write_pictures(folder, "heat, parameters: {conductivity: 1}", yaml);
    tr_config *config = NULL;
    tr_world *world = NULL;
    cr_assert_eq(tr_config_load(&config, yaml, NULL, 0), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_world_open(&world, config, NULL, NULL), FWM_CONFIG);
    cr_assert(strstr(fwm_error_message(), "physics.equation") && strstr(fwm_error_message(), "pictures.h5"), "%s",
              fwm_error_message());
    tr_config_destroy(config);
    small_remove(folder);
}

/* Values that name their point: x + 10 y + 100 z, of 4 x 5 x 3 points. */
static void write_space(const char *folder, const char *equation, char yaml[SMALL_PATH + 64])
{
    enum { N = 3, T = 5, X = 4, Y = 5, Z = 3 };
    static float field[N][T][X][Y][Z];
    const hsize_t dims[5] = {N, T, X, Y, Z};
    for (int i = 0; i < N * T; i++)
        for (int x = 0; x < X; x++)
            for (int y = 0; y < Y; y++)
                for (int z = 0; z < Z; z++)
                    field[i / T][i % T][x][y][z] = (float)(x + 10 * y + 100 * z);
    write_generic(folder, "space", "/field", H5T_NATIVE_FLOAT, 5, dims, field,
                  "state: '/field:ntxyz', dt: 1, frame: [16, 16]", equation, yaml);
}

Test(recorded, a_plane_of_three_axes)
{
    enum { X = 4, Y = 5, Z = 3, STEPS = 2 };
    static const struct {
        const char *across, *plane;
        int n[2], step[2],
            at; /* points along the plane's axes, and what a step along them adds; the plane's own part */
    } cases[] = {{"data.across=third", "data.plane=0.5", {X, Y}, {1, 10}, 100},
                 {"data.across=second", "data.plane=1", {X, Z}, {1, 100}, 40},
                 {"data.across=first", "data.plane=0", {Y, Z}, {10, 100}, 0}};
    char folder[SMALL_PATH], yaml[SMALL_PATH + 64];
    small_folder(folder);
    write_space(folder, "none", yaml);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const char *sets[] = {cases[k].across, cases[k].plane};
        float state[STEPS * X * Y * Z];
        tr_config *config = NULL;
        tr_world *world = NULL;
        cr_assert_eq(tr_config_load(&config, yaml, sets, 2), FWM_OK, "%s", fwm_error_message());
        cr_assert_eq(tr_world_open(&world, config, NULL, NULL), FWM_OK, "%s", fwm_error_message());
        const int points = cases[k].n[0] * cases[k].n[1];
        cr_assert_eq(world->info->fields[DS_STATE].points, points);
        cr_assert_eq(ds_read(world->ds, 1, 2, STEPS, &(ds_clip){.state = state}), FWM_OK, "%s", fwm_error_message());
        for (int i = 0; i < STEPS * points; i++) {
            const double *at = world->info->mesh->vertices + 2 * (i % points);
            cr_assert_eq(state[i], (float)(cases[k].at + cases[k].step[0] * at[0] + cases[k].step[1] * at[1]));
        }
        tr_world_close(&world);
        tr_config_destroy(config);
    }
    train_in(folder, yaml, &(expectation){.config = "space", .nodes = X * Y, .channels = 1, .colors = 3});
    write_space(folder, "heat, parameters: {conductivity: 1}", yaml);
    tr_config *config = NULL;
    tr_world *world = NULL;
    cr_assert_eq(tr_config_load(&config, yaml, NULL, 0), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_world_open(&world, config, NULL, NULL), FWM_CONFIG);
    cr_assert(strstr(fwm_error_message(), "data.across"), "%s", fwm_error_message());
    tr_config_destroy(config);
    small_remove(folder);
}
