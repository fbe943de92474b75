/* A run's state in a checkpoint: vectors by parameter name, positions, statistics, the mesh. */
#include "train/trainer_internal.h"

#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const vector_prefix[] = {TR_WEIGHTS, TR_EMA, "moment1/", "moment2/"};
enum { VECTORS = 4, MESH_TENSORS = 4 };

static void vectors_of(const tr_run *run, float *list[VECTORS])
{
    list[0] = run->p;
    list[1] = run->ema;
    list[2] = run->m;
    list[3] = run->v;
}

static int mesh_tensors(const tr_run *run, tr_tensor t[MESH_TENSORS])
{
    const tr_law *law = run->world->law;
    const fem_mesh *mesh[2] = {law ? tr_law_mesh(law) : NULL, law ? tr_law_coarse_mesh(law) : NULL};
    static const char *const names[2][2] = {{"mesh/vertices", "mesh/cells"},
                                            {"coarse_mesh/vertices", "coarse_mesh/cells"}};
    int n = 0;
    for (int k = 0; k < 2; k++) {
        if (!mesh[k])
            continue;
        t[n++] = (tr_tensor){.name = names[k][0],
                             .dtype = TR_F64,
                             .rank = 2,
                             .shape = {mesh[k]->n_vertices, mesh[k]->dim},
                             .data = mesh[k]->vertices};
        t[n++] = (tr_tensor){.name = names[k][1],
                             .dtype = TR_I32,
                             .rank = 2,
                             .shape = {mesh[k]->n_cells, mesh[k]->cell_vertices},
                             .data = mesh[k]->cells};
    }
    return n;
}

static json_t *about(const tr_run *run)
{
    json_t *o = json_object(), *normalisation = NULL;
    if (tr_world_normalisation(run->world, &normalisation) == FWM_OK)
        (void)json_object_set_new(o, "normalisation", normalisation);
    (void)json_object_set_new(o, "threads", json_integer(fwm_threads_count()));
    (void)json_object_set_new(o, "ranks", json_integer(1));
    (void)json_object_set_new(o, "isa", json_integer(fwm_isa_level()));
    (void)json_object_set_new(o, "best", tr_json_number(run->best));
    (void)json_object_set_new(o, "elapsed", json_real(tr_run_seconds(run)));
    (void)json_object_set_new(o, "data", json_string(ds_path(run->world->ds)));
    if (run->world->law && tr_law_mesh(run->world->law))
        (void)json_object_set_new(o, "element", json_string(fem_element_space(tr_law_mesh(run->world->law)->element)));
    return o;
}

static fwm_status save_tensors(const tr_run *run, const char *path, tr_tensor *tensor, char (*name)[512],
                               bool keep_previous)
{
    const nn_store *store = run->world->store;
    float *list[VECTORS];
    vectors_of(run, list);
    int n = 0;
    for (int k = 0; k < nn_store_count(store); k++)
        for (int j = 0; j < VECTORS; j++) {
            const nn_slot *s = nn_store_slot(store, k);
            (void)snprintf(name[n], sizeof name[n], "%s%s", vector_prefix[j], s->name);
            tensor[n] =
                (tr_tensor){.name = name[n], .dtype = TR_F32, .rank = s->shape.rank, .data = list[j] + s->offset};
            memcpy(tensor[n].shape, s->shape.dim, (size_t)s->shape.rank * sizeof *tensor[n].shape);
            n++;
        }
    n += tr_memory_tensors(run->memory, run->gate, tensor + n, name + n);
    n += tr_run_score_tensors(run, tensor + n);
    n += mesh_tensors(run, tensor + n);
    json_t *position = json_pack("{s:I, s:I, s:I}", "step", (json_int_t)run->step, "identified",
                                 (json_int_t)run->identified, "seed", (json_int_t)run->config->seed);
    json_t *rest = about(run);
    char *config = NULL;
    fwm_status status = tr_config_dump(run->config, &config);
    if (status == FWM_OK)
        status = tr_checkpoint_save(
            path,
            &(tr_checkpoint_content){
                .tensors = tensor, .count = n, .position = position, .about = rest, .config = config},
            keep_previous);
    fwm_free(config);
    json_decref(position);
    json_decref(rest);
    return status;
}

fwm_status tr_run_save(const tr_run *run, const char *name, bool keep_previous)
{
    float *list[VECTORS];
    vectors_of(run, list);
    for (int j = 0; j < VECTORS; j++)
        FWM_CHECK(
            isfinite(tr_gradient_norm(AD_F32, list[j], run->size)), FWM_NUMERIC,
            "step %lld: the parameters are not finite any more (%s*): not saved, the checkpoint before is whole. Lower "
            "optimizer.lr or optimizer.weight_decay",
            (long long)run->step, vector_prefix[j]);
    size_t n =
        (size_t)nn_store_count(run->world->store) * VECTORS + TR_MEMORY_TENSORS + TR_SCORE_TENSORS + MESH_TENSORS;
    char path[TR_PATH + 64];
    (void)snprintf(path, sizeof path, "%s/%s", run->folder, name);
    tr_tensor *tensor = fwm_malloc(n, sizeof *tensor);
    char(*names)[512] = fwm_malloc(n, sizeof *names);
    fwm_status status = tensor && names ? save_tensors(run, path, tensor, names, keep_previous)
                                        : fwm_fail(FWM_MEMORY, "checkpoint: out of memory");
    fwm_free(tensor);
    fwm_free(names);
    return status;
}

/* The first key whose values differ, as "block.key"; false where there is none. */
static bool first_difference(const json_t *now, const json_t *then, char *path, size_t capacity)
{
    const char *key;
    json_t *value;
    size_t length = strlen(path);
    json_object_foreach((json_t *)now, key, value)
    {
        json_t *other = json_object_get(then, key);
        if (json_equal(value, other))
            continue;
        (void)snprintf(path + length, capacity - length, "%s%s", length > 0 ? "." : "", key);
        if (json_is_object(value) && json_is_object(other) && first_difference(value, other, path, capacity))
            return true;
        if (!json_is_object(value) || !json_is_object(other) || json_object_size(value) != json_object_size(other))
            return true;
        path[length] = '\0';
    }
    return false;
}

/* What only says how a run is watched may differ. */
static void leave_out_watching(json_t *config)
{
    static const char *const watching[] = {"eval_every",       "save_every", "log_every",
                                           "term_norms_every", "threads",    "isa"};
    (void)json_object_del(config, "eval");
    (void)json_object_del(config, "export");
    (void)json_object_del(json_object_get(config, "data"), "prefetch");
    for (size_t i = 0; i < sizeof watching / sizeof *watching; i++)
        (void)json_object_del(json_object_get(config, "trainer"), watching[i]);
}

/* Do the two configurations decide the same future? */
static fwm_status check_same_run(const tr_run *run, const tr_checkpoint *ck)
{
    tr_config *then = NULL;
    json_t *a = NULL, *b = NULL;
    char where[256] = "";
    const char *text = tr_checkpoint_config(ck);
    FWM_TRY(tr_config_parse(&then, text, strlen(text), tr_checkpoint_path(ck), NULL, 0));
    fwm_status status = tr_config_json(run->config, &a);
    if (status == FWM_OK)
        status = tr_config_json(then, &b);
    tr_config_destroy(then);
    leave_out_watching(a);
    leave_out_watching(b);
    if (status == FWM_OK && first_difference(a, b, where, sizeof where))
        status = fwm_fail(
            FWM_CONFIG,
            "%s: was trained with another configuration (%s differs); go on with the old one, or choose another "
            "folder with --out",
            tr_checkpoint_path(ck), where);
    json_decref(a);
    json_decref(b);
    return status;
}

static void warn_about_bits(const tr_checkpoint *ck)
{
    const json_t *o = tr_checkpoint_about(ck);
    int64_t threads = json_integer_value(json_object_get(o, "threads")),
            isa = json_integer_value(json_object_get(o, "isa"));
    if (threads != fwm_threads_count() || isa != fwm_isa_level())
        fwm_log(FWM_LOG_WARN,
                "the checkpoint was written with %lld threads and instruction set level %lld, this process has %d and "
                "%d: the run "
                "goes on, but not to the same bits",
                (long long)threads, (long long)isa, fwm_threads_count(), fwm_isa_level());
}

static fwm_status load_state(tr_run *run, const tr_checkpoint *ck)
{
    float *list[VECTORS];
    vectors_of(run, list);
    FWM_TRY(check_same_run(run, ck));
    warn_about_bits(ck);
    for (int j = 0; j < VECTORS; j++)
        FWM_TRY(tr_world_load(run->world, ck, vector_prefix[j], list[j]));
    FWM_TRY(tr_memory_load(run->memory, run->gate, ck));
    FWM_TRY(tr_run_load_scores(run, ck));
    FWM_TRY(tr_checkpoint_int(ck, "step", &run->step));
    FWM_TRY(tr_checkpoint_int(ck, "identified", &run->identified));
    const int64_t steps = run->config->trainer.steps;
    FWM_CHECK(run->step >= 0 && run->step <= steps, FWM_DATA, "%s: step %lld is outside 0..%lld",
              tr_checkpoint_path(ck), (long long)run->step, (long long)steps);
    FWM_CHECK(run->identified >= 0 && run->identified <= run->to_identify, FWM_DATA,
              "%s: identified %lld is outside 0..%lld", tr_checkpoint_path(ck), (long long)run->identified,
              (long long)run->to_identify);
    FWM_TRY(tr_world_take_up(run->world, ck));
    const json_t *o = tr_checkpoint_about(ck);
    const json_t *best = json_object_get(o, "best");
    run->best = json_is_number(best) ? json_number_value(best) : INFINITY;
    run->elapsed = json_number_value(json_object_get(o, "elapsed"));
    return FWM_OK;
}

static bool is_absent(const char *path)
{
    struct stat there;
    return stat(path, &there) != 0 && errno == ENOENT;
}

fwm_status tr_run_resume(tr_run *run, bool *found)
{
    char path[TR_PATH + 64], previous[TR_PATH + 80];
    (void)snprintf(path, sizeof path, "%s/last.ckpt", run->folder);
    (void)snprintf(previous, sizeof previous, "%s.prev", path);
    *found = !is_absent(path) || !is_absent(previous);
    if (!*found)
        return FWM_OK;
    tr_checkpoint *ck = NULL;
    FWM_TRY(tr_checkpoint_load(&ck, path));
    fwm_status status = load_state(run, ck);
    tr_checkpoint_destroy(ck);
    return status;
}

/* ---- the folder ---- */

fwm_status tr_folder_make(const char *path)
{
    char part[4096];
    size_t length = strlen(path);
    FWM_CHECK(length > 0 && length < sizeof part, FWM_INVALID,
              "%.100s: expected a path of 1 to %zu characters, found %zu", path, sizeof part - 1, length);
    memcpy(part, path, length + 1);
    for (char *c = part + 1;; c++) {
        if (*c != '/' && *c != '\0')
            continue;
        char kept = *c;
        *c = '\0';
        FWM_CHECK(mkdir(part, 0777) == 0 || errno == EEXIST, FWM_IO, "%s: cannot make the folder: %s", part,
                  strerror(errno));
        if (kept == '\0')
            return FWM_OK;
        *c = kept;
    }
}

/* Written aside: where the disk is full, the old one stays. */
fwm_status tr_run_write_config(const tr_run *run)
{
    char path[TR_PATH + 64], aside[TR_PATH + 80], *text = NULL;
    (void)snprintf(path, sizeof path, "%s/config.yaml", run->folder);
    (void)snprintf(aside, sizeof aside, "%s.new", path);
    FWM_TRY(tr_config_dump(run->config, &text));
    FILE *f = fopen(aside, "w");
    bool done = f && fputs(text, f) >= 0;
    if (f)
        done = fclose(f) == 0 && done;
    done = done && rename(aside, path) == 0;
    int why = errno;
    fwm_free(text);
    if (!done && f)
        (void)unlink(aside);
    FWM_CHECK(done, FWM_IO, "%s: cannot be written: %s", path, strerror(why));
    return FWM_OK;
}
