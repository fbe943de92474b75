/* Parameter groups by name: what patterns do, what they say when they match nothing, and runs with each optimiser that
 * go on to the same bits. */
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"
#include "tests/train/small.h"
#include "train/groups.h"
#include "train/trainer.h"

#define MINIMAL "experiment: x\ndata: {file: d.h5}\nphysics: {parameters: {conductivity: 1}}\n"

static tr_config *parse(const char *text, const char *const *sets, int64_t n)
{
    tr_config *config = NULL;
    cr_assert_eq(tr_config_parse(&config, text, strlen(text), "t.yaml", sets, n), FWM_OK, "%s", fwm_error_message());
    return config;
}

static void expect_refused(const char *line, const char *expected)
{
    char text[512];
    tr_config *config = NULL;
    (void)snprintf(text, sizeof text, "%s%s", MINIMAL, line);
    cr_expect_eq(tr_config_parse(&config, text, strlen(text), "t.yaml", NULL, 0), FWM_CONFIG, "%s", line);
    cr_expect_str_eq(fwm_error_message(), expected);
}

/* law/k, decoder/up/weight, decoder/up/bias, encoder/weight */
static nn_store *make_store(void)
{
    static const char *const names[] = {"/law/k", "/decoder/up/weight", "/decoder/up/bias", "/encoder/weight"};
    ad_graph *g;
    nn_store *store;
    cr_assert_eq(ad_graph_create(&g, AD_F32), FWM_OK);
    cr_assert_eq(nn_store_create(&store), FWM_OK);
    const nn_builder b = {.g = g, .store = store};
    for (int k = 0; k < 4; k++)
        (void)nn_parameter(&b, names[k], ad_shape_make(1, 5 + k), (nn_init){.no_decay = k == 2});
    cr_assert_eq(ad_graph_status(g), FWM_OK);
    ad_graph_destroy(&g);
    return store;
}

static void expect_group(const tr_group *g, int64_t begin, int64_t count, double lr, double decay)
{
    cr_expect(g->begin == begin && g->end == begin + count && g->lr_scale == lr && g->decay_scale == decay,
              "found [%lld,%lld) %g %g", (long long)g->begin, (long long)g->end, g->lr_scale, g->decay_scale);
}

Test(groups, patterns_multiply)
{
    static const char text[] = MINIMAL "optimizer:\n  lr_factor: {\"decoder/*\": 0.5, \"*/bias\": 3}\n"
                                       "  decay_factor: {\"*weight\": 0.25, \"encoder/?eight\": 8}\n"
                                       "  frozen: [\"enc*\"]\n";
    tr_config *c = parse(text, NULL, 0);
    nn_store *store = make_store();
    tr_group groups[4];
    cr_assert_eq(tr_groups_fill(groups, c, store, 5), FWM_OK, "%s", fwm_error_message());
    expect_group(&groups[0], 0, 5, 0, 1); /* the law is fitted, and kept */
    expect_group(&groups[1], 16, 6, 0.5, 0.25);
    expect_group(&groups[2], 32, 7, 1.5, 0);
    expect_group(&groups[3], 48, 8, 0, 2);
    cr_expect(tr_is_frozen(c, "encoder/weight") && !tr_is_frozen(c, "decoder/encoder"));
    c->physics.identification.freeze = false;
    cr_assert_eq(tr_groups_fill(groups, c, store, 5), FWM_OK);
    expect_group(&groups[0], 0, 5, 1, 1);
    nn_store_destroy(&store);
    tr_config_destroy(c);
}

Test(groups, a_pattern_without_a_match_is_refused)
{
    static const char *const bad[] = {"optimizer.lr_factor={\"decodr/*\": 2}", "optimizer.decay_factor={\"law\": 2}",
                                      "optimizer.frozen=[\"*/b\"]"};
    static const char *const key[] = {"optimizer.lr_factor: expected", "optimizer.decay_factor: expected",
                                      "optimizer.frozen: expected"};
    nn_store *store = make_store();
    tr_group groups[4];
    for (int k = 0; k < 3; k++) {
        tr_config *c = parse(MINIMAL, &bad[k], 1);
        cr_expect_eq(tr_groups_fill(groups, c, store, 5), FWM_CONFIG);
        cr_expect(strstr(fwm_error_message(), key[k]) == fwm_error_message(), "%s", fwm_error_message());
        cr_expect_not_null(strstr(fwm_error_message(), "law, decoder, encoder"), "%s", fwm_error_message());
        tr_config_destroy(c);
    }
    nn_store_destroy(&store);
}

Test(groups, free_names_are_read_strictly)
{
    expect_refused("optimizer: {lr_factor: {\"a*\": -1}}\n",
                   "t.yaml:4:31: optimizer.lr_factor.a*: expected a number from 0 to 1000000, found \"-1\"");
    expect_refused("optimizer: {lr_factor: {\"a*\": 1, \"a*\": 2}}\n",
                   "t.yaml:4:34: optimizer.lr_factor.a*: expected each key once, found it again (first at 4:25)");
    expect_refused("optimizer: {lr_factor: {\"\": 1}}\n",
                   "t.yaml:4:25: optimizer.lr_factor: expected a text of 1 to 200 characters, found \"\" in quotes");
    expect_refused("optimizer: {frozen: [[a]]}\n",
                   "t.yaml:4:22: optimizer.frozen[0]: expected a text of 1 to 200 characters, found a list of 1");
    expect_refused("optimizer: {frozen: a}\n",
                   "t.yaml:4:21: optimizer.frozen: expected a list of up to 64 strings, found \"a\"");
    /* A variant's map is laid over the file's, and keeps its own copy of the names. */
    tr_config *variant, *c = parse(MINIMAL "optimizer: {lr_factor: {a: 1, b: 2}, frozen: [x]}\n"
                                           "variants: {v: {optimizer: {lr_factor: {b: 3, c: 4}}}}\n",
                                   NULL, 0);
    cr_assert_eq(tr_config_variant(c, "v", &variant), FWM_OK);
    tr_config_destroy(c);
    const tr_map *map = &variant->optimizer.lr_factor;
    cr_assert_eq(map->count, 3);
    static const char *const names[] = {"a", "b", "c"};
    static const double values[] = {1, 3, 4};
    for (int k = 0; k < 3; k++)
        cr_expect(strcmp(map->items[k].name, names[k]) == 0 && map->items[k].value == values[k], "%d", k);
    cr_expect_str_eq(variant->optimizer.frozen.items[0], "x");
    tr_config_destroy(variant);
}

/* ---- runs ---- */

typedef struct rule {
    const char *name, *sets[4];
} rule;

static const rule rules[] = {
    {"laprop", {"optimizer.name=laprop", "optimizer.agc=0.05", "optimizer.lr_factor={\"decoder/*\": 0.5}"}},
    {"sgd",
     {"optimizer.name=sgd", "optimizer.nesterov=true", "optimizer.lr=1.0e-2",
      "optimizer.frozen=[\"decoder/*\", \"pf_enc/*shift\"]"}},
};

static tr_train_result train(const tr_config *c, const char *folder, const char *name, int64_t stop_after)
{
    char path[SMALL_PATH + 32];
    tr_train_result result;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    const tr_train_options o = {.folder = path, .stop_after = stop_after};
    cr_assert_eq(tr_train(&result, c, &o, stderr), FWM_OK, "%s", fwm_error_message());
    return result;
}

static tr_config *small_run(const rule *r, const char *steps)
{
    static char data[SMALL_PATH + 32];
    (void)snprintf(data, sizeof data, "data.file=%s", small_data());
    const char *sets[16] = {data,
                            "trainer.threads=1",
                            "data.trajectories=2",
                            steps,
                            "schedule.warmup=2",
                            "trainer.eval_every=0",
                            "trainer.save_every=0",
                            "physics.identification.steps=4",
                            "objective.unroll=[1]",
                            "objective.unroll_start=[0.0]"};
    int64_t n = 10;
    for (int k = 0; k < 4 && r->sets[k]; k++)
        sets[n++] = r->sets[k];
    tr_config *c;
    cr_assert_eq(tr_config_load(&c, SMALL_CONFIG, sets, n), FWM_OK, "%s", fwm_error_message());
    return c;
}

/* Checksums of the tensors whose names begin so, as "name=hash" lines. */
static json_t *hashes(const char *folder, const char *file, const char *prefix)
{
    json_t *all = small_inspect(folder, file), *tensor, *found = json_object();
    size_t i;
    json_array_foreach(json_object_get(all, "tensors"), i, tensor)
    {
        const char *name = json_string_value(json_object_get(tensor, "name"));
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            (void)json_object_set(found, name + strlen(prefix), json_object_get(tensor, "xxh64"));
    }
    json_decref(all);
    return found;
}

Test(groups, runs_go_on_to_the_same_bits, .timeout = 120)
{
    static const char *const prefixes[] = {"weights/", "ema/", "moment1/", "moment2/"};
    char folder[SMALL_PATH];
    fwm_log_set_level(FWM_LOG_ERROR);
    cr_assert_eq(fwm_threads_init(1), FWM_OK);
    small_folder(folder);
    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++) {
        tr_config *c = small_run(&rules[k], "trainer.steps=7");
        char whole[64], part[64], file[2][96];
        (void)snprintf(whole, sizeof whole, "%s-whole", rules[k].name);
        (void)snprintf(part, sizeof part, "%s-part", rules[k].name);
        const tr_train_result a = train(c, folder, whole, 0);
        (void)train(c, folder, part, 3);
        const tr_train_result b = train(c, folder, part, 0);
        cr_expect_eq(a.steps, 7);
        cr_expect_eq(a.loss, b.loss);
        (void)snprintf(file[0], sizeof file[0], "%s/last.ckpt", whole);
        (void)snprintf(file[1], sizeof file[1], "%s/last.ckpt", part);
        for (size_t p = 0; p < 4; p++) {
            json_t *x = hashes(folder, file[0], prefixes[p]), *y = hashes(folder, file[1], prefixes[p]);
            cr_expect_gt(json_object_size(x), 30);
            cr_expect(json_equal(x, y), "%s: %s differ", rules[k].name, prefixes[p]);
            json_decref(x);
            json_decref(y);
        }
        tr_config_destroy(c);
    }
    small_remove(folder);
}

/* Frozen parameters are bitwise where they started, what the loss drives has moved. */
Test(groups, frozen_parameters_stay, .timeout = 120)
{
    char folder[SMALL_PATH];
    fwm_log_set_level(FWM_LOG_ERROR);
    cr_assert_eq(fwm_threads_init(1), FWM_OK);
    small_folder(folder);
    tr_config *c = small_run(&rules[1], "trainer.steps=3");
    (void)train(c, folder, "early", 1);
    small_shell("cp %s/early/last.ckpt %s/one.ckpt", folder, folder);
    (void)train(c, folder, "early", 0);
    json_t *one = hashes(folder, "one.ckpt", "weights/"), *three = hashes(folder, "early/last.ckpt", "weights/"), *hash;
    const char *name;
    int stayed = 0, moved = 0;
    json_object_foreach(one, name, hash)
    {
        const bool same = json_equal(hash, json_object_get(three, name));
        const bool frozen = tr_is_frozen(c, name) || strncmp(name, "law/", 4) == 0;
        /* (A KL below its free nats has no gradient: prior and parts of the posterior may rest, and a scale of 1 does
         * where its step is below half its spacing.) */
        const bool driven = !frozen && strncmp(name, "df_pred/", 8) == 0 && strstr(name, "/weight");
        cr_expect(!frozen || same, "%s is frozen, and moved", name);
        cr_expect(!driven || !same, "%s did not move", name);
        stayed += same;
        moved += !same;
    }
    cr_expect(stayed > 5 && moved > 5, "%d stayed, %d moved", stayed, moved);
    json_decref(one);
    json_decref(three);
    tr_config_destroy(c);
    small_remove(folder);
}
