/* The whole chain as a user types it: simulate, train, evaluate, imagine, export, inspect; and each variant of the
 * configuration. */
#include "data/dataset.h"
#include "tests/train/small.h"
#include "train/checkpoint.h"

#include <math.h>
#include <png.h>

#define TRAIN_SETS                                                                                                     \
    "--set trainer.threads=1 --set trainer.steps=6 --set schedule.warmup=2 --set trainer.eval_every=3 --set "          \
    "trainer.save_every=3"

/* fwm COMMAND with standard output in FOLDER/out and standard error in FOLDER/err: success is expected. */
#define fwm_does(folder, ...)                                                                                          \
    do {                                                                                                               \
        char words_[1024];                                                                                             \
        (void)snprintf(words_, sizeof words_, __VA_ARGS__);                                                            \
        cr_assert_eq(small_shell("%s %s >%s/out 2>%s/err", small_program(), words_, folder, folder), 0, "fwm %s: %s",  \
                     words_, small_text(folder, "err"));                                                               \
    } while (0)

static json_t *output(const char *folder)
{
    char path[SMALL_PATH + 8];
    (void)snprintf(path, sizeof path, "%s/out", folder);
    return small_json(path);
}

/* The value at "a/b/c"; NULL where there is none. */
static const json_t *at(const json_t *object, const char *path)
{
    char part[64];
    while (object && *path) {
        size_t n = strcspn(path, "/");
        (void)snprintf(part, sizeof part, "%.*s", (int)n, path);
        object = json_object_get(object, part);
        path += n + (path[n] == '/');
    }
    return object;
}

static void simulate_and_train(const char *folder)
{
    fwm_does(folder, "simulate " SMALL_CONFIG " --out %s/data.h5", folder);
    cr_expect_not_null(strstr(small_text(folder, "out"), "/data.h5\n"));
    fwm_does(folder, "simulate " SMALL_CONFIG " --out %s/data.h5 --json", folder);
    json_t *o = output(folder);
    cr_expect(json_is_false(json_object_get(o, "simulated")), "the same dataset is simulated twice");
    json_decref(o);
    cr_expect_eq(small_shell("%s simulate " SMALL_CONFIG " --set seed=4 --out %s/data.h5 2>%s/err", small_program(),
                             folder, folder),
                 1);
    cr_expect_not_null(
        strstr(small_text(folder, "err"), "is there already and was simulated from another configuration"));
    fwm_does(folder, "train " SMALL_CONFIG " --set data.file=%s/data.h5 --out %s/run " TRAIN_SETS, folder, folder);
    cr_expect_not_null(strstr(small_text(folder, "out"), "/run/best.ckpt\n"));
}

static void evaluate(const char *folder)
{
    static const char *const rows[] = {"model", "persistence", "physics_only"}, *const horizons[] = {"1", "5", "10"};
    static const char *const numbers[] = {"state/vrmse", "state/rmse", "physics_residual"}, *const pictures[] = {
                                                                                                "frames/psnr",
                                                                                                "frames/ssim"};
    char path[128];
    fwm_does(folder, "eval %s/run/best.ckpt --split test --json", folder);
    json_t *e = output(folder);
    cr_expect_not_null(strstr(json_string_value(at(e, "checkpoint")), "run/best.ckpt"));
    cr_expect_not_null(strstr(json_string_value(at(e, "data")), "data.h5"));
    cr_expect_str_eq(json_string_value(at(e, "split")), "test");
    cr_expect_eq(json_integer_value(at(e, "trajectories")), 4);
    cr_expect_eq(json_integer_value(at(e, "context")), 1);
    cr_expect_eq(json_integer_value(at(e, "horizon")), 10);
    cr_expect(json_is_number(at(e, "seconds")));
    for (int r = 0; r < 3; r++)
        for (int h = 0; h < 3; h++) {
            for (int k = 0; k < 3; k++) {
                (void)snprintf(path, sizeof path, "%s/%s/%s", rows[r], numbers[k], horizons[h]);
                cr_expect(json_is_number(at(e, path)), "%s", path);
            }
            for (int k = 0; k < 2 && r < 2; k++) {
                (void)snprintf(path, sizeof path, "%s/%s/%s", rows[r], pictures[k], horizons[h]);
                cr_expect(json_is_number(at(e, path)), "%s", path);
            }
        }
    cr_expect_not_null(at(e, "model/key_state/recall"));
    cr_expect_not_null(at(e, "model/key_state/precision"));
    cr_expect(json_is_number(at(e, "parameters/loss/fitted")) && json_is_number(at(e, "parameters/loss/true")));
    /* The same is in the file beside the report. */
    char file[SMALL_PATH + 32];
    (void)snprintf(file, sizeof file, "%s/run/metrics.json", folder);
    json_t *kept = small_json(file);
    cr_expect_eq(json_object_size(kept), json_object_size(e));
    cr_expect_float_eq(json_number_value(at(kept, "model/state/vrmse/10")),
                       json_number_value(at(e, "model/state/vrmse/10")), 1e-7);
    json_decref(kept);
    json_decref(e);
}

static void report_is_self_contained(const char *folder)
{
    char command[SMALL_PATH + 160];
    static const char *const there[] = {"<svg", "data:image/png;base64,", "persistence"}, *const away[] = {
                                                                                              "<link", "<script src",
                                                                                              "src=\"http", "url(http"};
    for (int k = 0; k < 3; k++) {
        (void)snprintf(command, sizeof command, "grep -q '%s' %s/run/report.html", there[k], folder);
        cr_expect_eq(small_shell("%s", command), 0, "no %s in the report", there[k]);
    }
    for (int k = 0; k < 4; k++) {
        (void)snprintf(command, sizeof command, "grep -q '%s' %s/run/report.html", away[k], folder);
        cr_expect_eq(small_shell("%s", command), 1, "the report needs %s", away[k]);
    }
}

static void imagine(const char *folder)
{
    enum { HORIZON = 4 };
    char path[SMALL_PATH + 32];
    ds_dataset *ds, *from;
    fwm_does(folder, "rollout %s/run/best.ckpt --split test --index 2 --horizon %d --out %s/new/one.h5 --json", folder,
             HORIZON, folder);
    json_t *o = output(folder);
    cr_expect_eq(json_array_size(at(o, "vrmse")), HORIZON + 1);
    cr_expect_eq(json_number_value(json_array_get(at(o, "vrmse"), 0)), 0, "it starts from the truth");
    cr_expect_gt(json_number_value(json_array_get(at(o, "vrmse"), HORIZON)), 0);
    int64_t trajectory = json_integer_value(at(o, "trajectory"));
    (void)snprintf(path, sizeof path, "%s/new/one.h5", folder);
    cr_assert_eq(ds_open(&ds, path, "auto"), FWM_OK, "%s", fwm_error_message());
    (void)snprintf(path, sizeof path, "%s/data.h5", folder);
    cr_assert_eq(ds_open(&from, path, "auto"), FWM_OK, "%s", fwm_error_message());
    const ds_info *info = ds_get_info(ds);
    cr_expect_eq(info->trajectories, 1);
    cr_expect_eq(info->steps, HORIZON + 1);
    cr_expect_eq(info->height, 16);
    const size_t n = (size_t)info->fields[DS_STATE].points, A = (size_t)info->fields[DS_ACTIONS].channels;
    float *x = calloc((HORIZON + 1) * n, sizeof *x), *y = calloc((HORIZON + 1) * n, sizeof *y), a[16], b[16];
    cr_assert_leq(A, 16);
    ds_clip clip = {.state = x};
    cr_assert_eq(ds_read(ds, 0, 0, HORIZON + 1, &clip), FWM_OK, "%s", fwm_error_message());
    clip.state = y;
    cr_assert_eq(ds_read(from, trajectory, 0, HORIZON + 1, &clip), FWM_OK);
    cr_expect_arr_eq(x, y, n * sizeof *x, "the first state is the data's");
    cr_expect_neq(memcmp(x + n, y + n, n * sizeof *x), 0);
    clip = (ds_clip){.actions = a};
    cr_assert_eq(ds_read(ds, 0, 1, 1, &clip), FWM_OK);
    clip.actions = b;
    cr_assert_eq(ds_read(from, trajectory, 1, 1, &clip), FWM_OK);
    cr_expect_arr_eq(a, b, A * sizeof *a);
    free(x);
    free(y);
    ds_close(&ds);
    ds_close(&from);
    json_decref(o);

    fwm_does(folder, "rollout %s/run/best.ckpt --horizon %d --out %s/one.png", folder, HORIZON, folder);
    cr_expect_not_null(strstr(small_text(folder, "out"), "step   4  VRMSE "), "%s", small_text(folder, "out"));
    (void)snprintf(path, sizeof path, "%s/one.png", folder);
    png_image image = {.version = PNG_IMAGE_VERSION};
    cr_assert(png_image_begin_read_from_file(&image, path), "%s", image.message);
    cr_expect_eq(image.width, 16 * (HORIZON + 1));
    cr_expect_eq(image.height, 2 * 16);
    image.format = PNG_FORMAT_RGB;
    png_byte *rgb = malloc(PNG_IMAGE_SIZE(image));
    cr_expect(png_image_finish_read(&image, NULL, rgb, 0, NULL), "%s", image.message);
    free(rgb);
    cr_expect_eq(
        small_shell("%s rollout %s/run/best.ckpt --out %s/one.gif 2>%s/err", small_program(), folder, folder, folder),
        2);
    cr_expect_not_null(strstr(small_text(folder, "err"), "--out: expected FILE.h5 or FILE.png"));
    cr_expect_eq(small_shell("%s rollout %s/run/best.ckpt --index 4 2>%s/err", small_program(), folder, folder), 1);
    cr_expect_not_null(strstr(small_text(folder, "err"), "--index: expected 0 to 3"), "%s", small_text(folder, "err"));
}

static void export_and_inspect(const char *folder)
{
    fwm_does(folder, "export %s/run/best.ckpt --format safetensors -o %s/model.safetensors --json", folder, folder);
    json_t *exported = output(folder), *ck = small_inspect(folder, "run/best.ckpt"),
           *weights = small_inspect(folder, "model.safetensors"), *data = small_inspect(folder, "data.h5"),
           *rollout = small_inspect(folder, "new/one.h5");
    static const char *const keys[] = {"version", "step", "seed", "parameters", "digest", "config", "tensors"};
    cr_expect_str_eq(json_string_value(at(ck, "kind")), "checkpoint");
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        cr_expect_not_null(at(ck, keys[k]), "%s", keys[k]);
    cr_expect_str_eq(json_string_value(at(weights, "kind")), "export");
    cr_expect_eq(json_integer_value(at(weights, "parameters")), json_integer_value(at(ck, "parameters")));
    cr_expect_eq(json_integer_value(at(exported, "parameters")), json_integer_value(at(ck, "parameters")));
    cr_expect_str_eq(json_string_value(at(data, "kind")), "dataset");
    cr_expect_eq(json_integer_value(at(data, "trajectories")), 16);
    cr_expect_eq(json_integer_value(at(data, "nan")), 0);
    cr_expect(json_is_number(at(data, "residual")));
    cr_expect_eq(json_integer_value(at(rollout, "trajectories")), 1);
    cr_expect_eq(json_integer_value(at(rollout, "nan")), 0);
    json_decref(exported);
    json_decref(ck);
    json_decref(weights);
    json_decref(data);
    json_decref(rollout);
}

Test(chain, from_simulation_to_export, .timeout = 120)
{
    char folder[SMALL_PATH];
    small_folder(folder);
    simulate_and_train(folder);
    evaluate(folder);
    report_is_self_contained(folder);
    imagine(folder);
    export_and_inspect(folder);
    small_remove(folder);
}

/* Options that say which weights and which start are heard. */
Test(chain, options_of_eval, .timeout = 120)
{
    char folder[SMALL_PATH];
    static const char *const options[] = {"",
                                          "--weights ema",
                                          "--weights last",
                                          "--set export.weights=last",
                                          "--set eval.start=frame",
                                          "--split test_ood",
                                          "--samples 3",
                                          "--set seed=7 --samples 3"};
    enum { N = sizeof options / sizeof *options };
    double vrmse[N];
    small_folder(folder);
    fwm_does(folder, "train " SMALL_CONFIG " --set data.file=%s --out %s/run " TRAIN_SETS " --set optimizer.ema=0.5",
             small_data(), folder);
    for (int k = 0; k < N; k++) {
        fwm_does(folder, "eval %s/run/last.ckpt --json --no-report %s", folder, options[k]);
        json_t *e = output(folder);
        vrmse[k] = json_number_value(at(e, "model/state/vrmse/5"));
        cr_expect(vrmse[k] > 0 && isfinite(vrmse[k]));
        json_decref(e);
    }
    cr_expect_eq(vrmse[0], vrmse[1]);
    cr_expect_eq(vrmse[2], vrmse[3]);
    for (int k = 2; k < N; k++)
        cr_expect_neq(vrmse[k], vrmse[0], "%s", options[k]);
    cr_expect_neq(vrmse[6], vrmse[7]);
    cr_expect_eq(small_shell("%s eval %s/run/last.ckpt --weights best 2>%s/err", small_program(), folder, folder), 2);
    cr_expect_eq(small_shell("test -e %s/run/report.html", folder), 1);
    small_remove(folder);
}

Test(chain, every_variant_trains_and_is_evaluated, .timeout = 180)
{
    static const struct {
        const char *name;
        int steps;
        bool law; /* has fitted parameters */
    } variants[] = {{"fused", 6, true},
                    {"data_only", 6, false},
                    {"no_ot", 6, true},
                    {"physics_only", 0, false},
                    {"physics_learned", 0, true}};
    char folder[SMALL_PATH], file[64], digest[2][24] = {"", ""};
    double vrmse[5];
    small_folder(folder);
    for (int k = 0; k < 5; k++) {
        /* What the command line says stands above the variant: each gets its own number of steps there. */
        fwm_does(folder,
                 "train " SMALL_CONFIG " --variant %s --set data.file=%s --out %s/%s " TRAIN_SETS
                 " --set transport.ramp_start=0 --set transport.ramp_end=0 --set trainer.steps=%d",
                 variants[k].name, small_data(), folder, variants[k].name, variants[k].steps);
        (void)snprintf(file, sizeof file, "%s/best.ckpt", variants[k].name);
        json_t *ck = small_inspect(folder, file);
        cr_expect_leq(json_integer_value(at(ck, "step")), variants[k].steps, "%s", variants[k].name);
        cr_expect_gt(json_integer_value(at(ck, "parameters")), 1000);
        if (k == 0 || k == 2)
            (void)snprintf(digest[k / 2], sizeof digest[0], "%s", json_string_value(at(ck, "digest")));
        json_decref(ck);
        fwm_does(folder, "eval %s/%s --split validation --json --no-report", folder, file);
        json_t *e = output(folder);
        vrmse[k] = json_number_value(at(e, "model/state/vrmse/10"));
        cr_expect_eq(json_object_size(at(e, "parameters")) > 0, variants[k].law, "%s", variants[k].name);
        cr_expect(vrmse[k] > 0 && vrmse[k] < 2, "%s: %g", variants[k].name, vrmse[k]);
        /* The same command on the finished run says so. */
        json_decref(e);
        fwm_does(folder,
                 "train " SMALL_CONFIG " --variant %s --set data.file=%s --out %s/%s " TRAIN_SETS
                 " --set transport.ramp_start=0 --set transport.ramp_end=0 --set trainer.steps=%d",
                 variants[k].name, small_data(), folder, variants[k].name, variants[k].steps);
        cr_expect_not_null(strstr(small_text(folder, "err"), "steps are done"), "%s: %s", variants[k].name,
                           small_text(folder, "err"));
    }
    cr_expect_str_neq(digest[0], digest[1], "the transport term does nothing");
    cr_expect_lt(vrmse[4], vrmse[3], "fitting the law helps: %g against %g", vrmse[4], vrmse[3]);
    small_remove(folder);
}

/* The default folder of a variant is its own. */
Test(chain, variants_do_not_share_a_folder, .timeout = 60)
{
    char folder[SMALL_PATH], *here = getcwd(NULL, 0);
    small_folder(folder);
    cr_assert_eq(small_shell("ln -s %s/configs %s/configs && mkdir %s/d && case %s in /*) p=%s;; *) p=%s/%s;; esac && "
                             "case %s in /*) b=%s;; *) b=%s/%s;; esac && cd %s && "
                             "$b train " SMALL_CONFIG " --variant physics_only --set data.file=$p >out 2>err",
                             here, folder, folder, small_data(), small_data(), here, small_data(), small_program(),
                             small_program(), here, small_program(), folder),
                 0, "%s", small_text(folder, "err"));
    cr_expect_str_eq(small_text(folder, "out"), "checkpoints/heat_plate_small/physics_only/best.ckpt\n");
    free(here);
    small_remove(folder);
}
