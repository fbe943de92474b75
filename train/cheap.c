#include "train/cheap.h"

#include "data/grid.h"
#include "data/stats_file.h"
#include "data/view.h"
#include "data/writer.h"
#include "model/base/log.h"
#include "train/law.h"
#include "train/mesh_data.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { VERSION = 1, PATH_BYTES = 4096, BLOCK_VALUES = 1 << 22, MOST_ROWS = 256, LEAST_CELLS = 3 };

/* ---- the coarse mesh ----------------------------------------------------------------------------------------------
 */

/* `count` points between the ends of an axis; of a periodic one, the last stands one spacing before the first's image.
 */
static const double *coarse_axis(const ds_grid *fine, int d, int64_t count, fwm_arena *arena)
{
    const bool periodic = fine->edge[d][0] == DS_EDGE_PERIODIC && fine->edge[d][1] == DS_EDGE_PERIODIC;
    const double *x = fine->coordinates[d];
    const int64_t n = fine->n[d];
    double length = (x[n - 1] - x[0]) * (periodic ? (double)n / (double)(n - 1) : 1);
    double *out = fwm_arena_alloc(arena, (size_t)count * sizeof *out);
    for (int64_t i = 0; out && i < count; i++)
        out[i] = x[0] + length * (double)i / (double)(periodic ? count : count - 1);
    return out;
}

/* The grid with every `step`-th point or about so many; the two sides of a strip stay. */
static fwm_status coarse_grid(const ds_grid *fine, int64_t step, fwm_arena *arena, ds_grid *out)
{
    *out = *fine;
    for (int d = 0; d < fine->dims; d++) {
        const bool periodic = fine->edge[d][0] == DS_EDGE_PERIODIC && fine->edge[d][1] == DS_EDGE_PERIODIC;
        const int64_t cells = periodic ? fine->n[d] : fine->n[d] - 1, coarse = cells / step;
        if (coarse >= LEAST_CELLS)
            out->n[d] = periodic ? coarse : coarse + 1;
        out->coordinates[d] = coarse_axis(fine, d, out->n[d], arena);
        FWM_CHECK(out->coordinates[d], FWM_MEMORY, "cheap simulation: out of memory");
    }
    return FWM_OK;
}

/* The data as nodes of the coarse mesh: what the cheap simulation starts from, and is a state of. */
static fwm_status coarse_view(ds_dataset **out, ds_dataset *ds, const tr_config *config)
{
    const ds_info *info = ds_get_info(ds);
    ds_view_spec spec = {.arena = fwm_arena_create(), .borrowed = true};
    fem_mesh *fine = NULL, *coarse = NULL;
    fem_csr *csr = NULL;
    ds_grid grid;
    fwm_status status = spec.arena ? FWM_OK : fwm_fail(FWM_MEMORY, "cheap simulation: out of memory");
    if (status == FWM_OK && info->grid) {
        FWM_TRY_GOTO(status, coarse_grid(info->grid, config->data.coarsen, spec.arena, &grid));
        FWM_TRY_GOTO(status, ds_grid_mesh(&grid, spec.arena, &spec.mesh));
        FWM_TRY_GOTO(status, tr_mesh_from_data(&fine, info->mesh, ds_path(ds), "/mesh"));
        FWM_TRY_GOTO(status, tr_mesh_from_data(&coarse, spec.mesh, ds_path(ds), "the coarse mesh"));
        FWM_TRY_GOTO(status, fem_prolong(&csr, fine, coarse));
        FWM_TRY_GOTO(status, tr_rows_keep(&spec.nodes, spec.arena, csr));
    }
done:
    fem_csr_destroy(&csr);
    fem_mesh_destroy(&coarse);
    fem_mesh_destroy(&fine);
    if (status == FWM_OK)
        return ds_view_create(out, ds, &spec);
    fwm_arena_destroy(spec.arena);
    return status;
}

/* ---- the key and the place ----------------------------------------------------------------------------------------
 */

static void copy_keys(json_t *to, const json_t *from, const char *block, const char *const *keys)
{
    json_t *part = json_object();
    for (int k = 0; keys[k]; k++)
        (void)json_object_set(part, keys[k], json_object_get(json_object_get(from, block), keys[k]));
    (void)json_object_set_new(to, block, part);
}

/* All that the numbers depend on, as text. */
static fwm_status make_key(const ds_dataset *ds, const tr_config *config, char **text)
{
    static const char *const data[] = {"fields", "edges", "dt", "coarsen", NULL};
    char identity[DS_IDENTITY_BYTES];
    json_t *whole = NULL, *key;
    FWM_TRY(tr_config_json(config, &whole));
    ds_identity(ds, identity);
    key = json_pack("{s:i, s:s, s:s, s:O?, s:O?}", "version", VERSION, "dataset", identity, "name", ds_path(ds),
                    "simulate", json_object_get(whole, "simulate"), "physics", json_object_get(whole, "physics"));
    json_t *physics = json_object_get(key, "physics");
    static const char *const other[] = {"identification", "residual", "learn", "field"};
    for (size_t k = 0; k < sizeof other / sizeof *other; k++)
        (void)json_object_del(physics, other[k]);
    copy_keys(key, whole, "data", data);
    *text = json_dumps(key, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(key);
    json_decref(whole);
    FWM_CHECK(*text, FWM_MEMORY, "cheap simulation: out of memory");
    return FWM_OK;
}

/* A folder that nobody may write is left alone by the superuser too. */
static bool folder_is_writable(const char *file)
{
    struct stat st;
    char folder[PATH_BYTES];
    const char *slash = strrchr(file, '/');
    (void)snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - file) + 1 : 1, slash ? file : ".");
    return access(folder, W_OK) == 0 && stat(folder, &st) == 0 && (st.st_mode & (S_IWUSR | S_IWGRP | S_IWOTH)) != 0;
}

static fwm_status make_folder(const char *path)
{
    FWM_CHECK(mkdir(path, 0777) == 0 || errno == EEXIST, FWM_IO, "%s: cannot be made: %s", path, strerror(errno));
    return FWM_OK;
}

/* Beside the dataset, or in the user's cache. */
static fwm_status find_place(const ds_dataset *ds, const char *key, char path[PATH_BYTES])
{
    const unsigned long long hash = XXH64(key, strlen(key), VERSION);
    const char *file = ds_path(ds), *slash = strrchr(file, '/'), *cache = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    char folder[PATH_BYTES - 300];
    size_t length = strlen(file);
    while (length > 1 && file[length - 1] == '/')
        length--;
    (void)snprintf(path, PATH_BYTES, "%.*s.s_phy-%016llx.h5", (int)length, file, hash);
    if (access(path, R_OK) == 0 || folder_is_writable(path))
        return FWM_OK;
    FWM_CHECK((cache && cache[0]) || (home && home[0]), FWM_IO,
              "%s: its folder cannot be written: set XDG_CACHE_HOME to a folder for what is computed from it", file);
    if (cache && cache[0])
        (void)snprintf(folder, sizeof folder, "%s", cache);
    else
        (void)snprintf(folder, sizeof folder, "%s/.cache", home);
    FWM_TRY(make_folder(folder));
    (void)snprintf(path, PATH_BYTES, "%s/fwm", folder);
    FWM_TRY(make_folder(path));
    (void)snprintf(path, PATH_BYTES, "%s/fwm/%.100s.s_phy-%016llx.h5", folder, slash && slash[1] ? slash + 1 : "data",
                   hash);
    return FWM_OK;
}

/* ---- computing ----------------------------------------------------------------------------------------------------
 */

typedef struct block {
    ds_dataset *coarse;
    fem_problem *problem;
    double theta[FEM_MAX_PARAMETERS];
    ds_writer *writer;
    int64_t rows, size, actions; /* trajectories at once, values of a state, actions */
    double *u[2], *a;            /* [rows,size], [rows,actions] */
    float *states, *given;       /* [rows,T,size], [rows,T,actions] */
} block;

static fem_theta theta_of(const block *b)
{
    fem_theta theta = {{0}, {0}};
    for (int k = 0; k < fem_problem_equation(b->problem)->n_parameters; k++) {
        theta.value[k] = &b->theta[k];
        theta.count[k] = 1;
    }
    return theta;
}

static fwm_status allocate(block *b, const ds_info *info)
{
    b->size = info->fields[DS_STATE].points * info->fields[DS_STATE].channels;
    b->actions = info->fields[DS_ACTIONS].channels;
    b->rows = BLOCK_VALUES / (b->size * info->steps);
    b->rows = b->rows < 1 ? 1 : b->rows > MOST_ROWS ? MOST_ROWS : b->rows;
    b->rows = b->rows > info->trajectories ? info->trajectories : b->rows;
    const size_t rows = (size_t)b->rows, steps = rows * (size_t)info->steps;
    for (int k = 0; k < 2; k++)
        b->u[k] = fwm_calloc(rows * (size_t)b->size, sizeof(double));
    b->a = fwm_calloc(rows * (size_t)b->actions + 1, sizeof(double));
    b->states = fwm_calloc(steps * (size_t)b->size, sizeof(float));
    b->given = fwm_calloc(steps * (size_t)b->actions + 1, sizeof(float));
    FWM_CHECK(b->u[0] && b->u[1] && b->a && b->states && b->given, FWM_MEMORY, "cheap simulation: out of memory");
    return FWM_OK;
}

static void release(block *b)
{
    ds_writer_abort(&b->writer);
    fwm_free(b->u[0]);
    fwm_free(b->u[1]);
    fwm_free(b->a);
    fwm_free(b->states);
    fwm_free(b->given);
}

/* Trajectories first .. first + n - 1, to the end of the longest of them. */
static fwm_status simulate_block(block *b, int64_t first, int64_t n)
{
    const ds_info *info = ds_get_info(b->coarse);
    const int64_t T = info->steps;
    const fem_theta theta = theta_of(b);
    int64_t longest = 0;
    for (int64_t r = 0; r < n; r++) {
        const int64_t length = info->lengths[first + r];
        float *state = b->states + r * T * b->size, *given = b->given + r * T * b->actions;
        longest = length > longest ? length : longest;
        FWM_TRY(ds_read(b->coarse, first + r, 0, 1, &(ds_clip){.state = state}));
        if (b->actions > 0)
            FWM_TRY(ds_read(b->coarse, first + r, 0, length, &(ds_clip){.actions = given}));
        for (int64_t i = 0; i < b->size; i++)
            b->u[0][r * b->size + i] = (double)state[i];
    }
    for (int64_t t = 0; t + 1 < longest; t++) {
        double *from = b->u[t % 2], *to = b->u[(t + 1) % 2];
        for (int64_t r = 0; r < n; r++)
            for (int64_t i = 0; i < b->actions; i++)
                b->a[r * b->actions + i] = (double)b->given[(r * T + t) * b->actions + i];
        fwm_status status = fem_step(b->problem, AD_F64, to, from, b->actions > 0 ? b->a : NULL, &theta, n);
        if (status != FWM_OK)
            return fwm_fail_within(status,
                                   "the cheap simulation of %s, trajectories %lld to %lld, frame %lld (samples count "
                                   "from the first; data.coarsen, physics.substeps and physics.parameters decide)",
                                   ds_path(b->coarse), (long long)first, (long long)(first + n - 1), (long long)t + 1);
        for (int64_t r = 0; r < n; r++)
            for (int64_t i = 0; i < b->size; i++)
                b->states[(r * T + t + 1) * b->size + i] = (float)to[r * b->size + i];
    }
    return FWM_OK;
}

static fwm_status simulate_all(block *b)
{
    const ds_info *info = ds_get_info(b->coarse);
    for (int64_t first = 0; first < info->trajectories; first += b->rows) {
        const int64_t left = info->trajectories - first, n = left < b->rows ? left : b->rows;
        FWM_TRY(simulate_block(b, first, n));
        for (int64_t r = 0; r < n; r++) {
            const ds_trajectory t = {.state = b->states + r * info->steps * b->size};
            FWM_TRY(ds_writer_put(b->writer, first + r, &t));
        }
    }
    return ds_writer_finish(&b->writer);
}

static fwm_status begin_file(block *b, const char *path, const char *key)
{
    ds_info info = *ds_get_info(b->coarse);
    info.config = key;
    info.name = "cheap simulation";
    info.generator = "fwm " FWM_VERSION;
    info.fields[DS_FRAMES] = info.fields[DS_ACTIONS] = info.fields[DS_S_PHY] = (ds_field_info){0};
    info.height = info.width = 0;
    info.frames_are_bytes = info.has_key_state = false;
    info.parameters = info.truths = 0;
    info.coarse_mesh = NULL;
    info.grid = NULL;
    return ds_writer_create(&b->writer, path, &info, NULL);
}

static fwm_status compute(ds_dataset *ds, const tr_config *config, const char *path, const char *key)
{
    block b = {0};
    tr_law *law = NULL;
    double units[WM_MAX_CHANNELS]; /* of the law's loss, which is not asked for */
    for (int k = 0; k < WM_MAX_CHANNELS; k++)
        units[k] = 1;
    fwm_status status = coarse_view(&b.coarse, ds, config);
    if (status != FWM_OK)
        return status;
    FWM_TRY_GOTO(status, tr_law_create(&law, config, b.coarse, units));
    b.problem = tr_law_problem(law);
    for (int k = 0; k < tr_law_equation(law)->n_parameters; k++)
        b.theta[k] = tr_law_initial(law, k);
    const ds_info *info = ds_get_info(b.coarse);
    fwm_log(FWM_LOG_INFO, "%s: no s_phy: simulating %s for %lld trajectories on %lld nodes, once, into %s", ds_path(ds),
            tr_law_equation(law)->name, (long long)info->trajectories, (long long)info->mesh->n, path);
    FWM_TRY_GOTO(status, allocate(&b, info));
    FWM_TRY_GOTO(status, begin_file(&b, path, key));
    FWM_TRY_GOTO(status, simulate_all(&b));
done:
    release(&b);
    tr_law_destroy(&law);
    ds_close(&b.coarse);
    return status;
}

/* The file where it is there and has this key. */
static bool open_kept(ds_dataset **cheap, const char *path, const char *key)
{
    *cheap = NULL;
    if (access(path, R_OK) != 0)
        return false;
    if (ds_open(cheap, path, "fwm") == FWM_OK && strcmp(ds_get_info(*cheap)->config, key) == 0 &&
        ds_get_info(*cheap)->fields[DS_STATE].stats.mean)
        return true;
    ds_close(cheap);
    return false;
}

static fwm_status find_or_compute(ds_dataset **cheap, ds_dataset *ds, const tr_config *config)
{
    char path[PATH_BYTES], *key = NULL;
    FWM_TRY(make_key(ds, config, &key));
    fwm_status status = find_place(ds, key, path);
    if (status == FWM_OK && !open_kept(cheap, path, key)) {
        status = compute(ds, config, path, key);
        if (status == FWM_OK && !open_kept(cheap, path, key))
            status =
                fwm_fail(FWM_IO, "%s: expected the cheap simulation that was just written, found another file", path);
    }
    free(key);
    return status;
}

fwm_status tr_cheap(ds_dataset **out, ds_dataset *ds, const tr_config *config)
{
    ds_view_spec spec = {0};
    fwm_status status = FWM_OK;
    *out = ds;
    if (ds_get_info(ds)->fields[DS_S_PHY].channels > 0)
        return FWM_OK;
    status = find_or_compute(&spec.cheap, ds, config);
    if (status != FWM_OK) {
        ds_close(out);
        return status;
    }
    spec.arena = fwm_arena_create();
    return ds_view_create(out, ds, &spec);
}
