#include "train/symmetries.h"

#include "model/base/arena.h"
#include "train/scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8, GRAIN = 1 << 20 };

/* x'[r] = sign[r] x[axis[r]] about the centre of the mesh's box. */
typedef struct turning {
    int axis[2];
    int sign[2];
} turning;

static const turning unmoved = {{0, 1}, {1, 1}};
static const turning asked[] = {{{0, 1}, {-1, 1}}, {{0, 1}, {1, -1}}, {{1, 0}, {-1, 1}}}; /* as in the table's words */
static const char *const words[] = {"mirror_x", "mirror_y", "rotate"};
enum { ASKED = sizeof asked / sizeof *asked };

typedef struct maker {
    const tr_config *config;
    const ds_info *info;
    const tr_law *law;
    const fem_mesh *mesh, *coarse;
    fwm_arena *arena;
    tr_scene scene;
    char what[32]; /* the symmetry that is being made, for messages */
} maker;

/* First b, then a. */
static turning after(const turning *a, const turning *b)
{
    turning c;
    for (int r = 0; r < 2; r++) {
        c.axis[r] = b->axis[a->axis[r]];
        c.sign[r] = a->sign[r] * b->sign[a->axis[r]];
    }
    return c;
}

static bool same(const turning *a, const turning *b)
{
    return a->axis[0] == b->axis[0] && a->axis[1] == b->axis[1] && a->sign[0] == b->sign[0] && a->sign[1] == b->sign[1];
}

/* -1 for mirrors. */
static int handedness(const turning *t)
{
    return t->sign[0] * t->sign[1] * (t->axis[0] == 0 ? 1 : -1);
}

static bool is_vector(const ds_field_info *field, int64_t c)
{
    const char *a = field->names[c], *b = c + 1 < field->channels ? field->names[c + 1] : "";
    const size_t n = strlen(a);
    return n > 2 && strcmp(a + n - 2, "_x") == 0 && strlen(b) == n && strncmp(a, b, n - 2) == 0 &&
           strcmp(b + n - 2, "_y") == 0;
}

/* ---- points ---- */

typedef struct place {
    int64_t x, y;
    int32_t index;
} place;

static int compare_places(const void *a, const void *b)
{
    const place *p = a, *q = b;
    if (p->x != q->x)
        return p->x < q->x ? -1 : 1;
    return p->y < q->y ? -1 : p->y > q->y;
}

/* A point within the box in units of its larger side / GRAIN; periodic axes wrap. */
static place place_of(const fem_mesh *mesh, const double x[2], int32_t index)
{
    const double side = fmax(mesh->upper[0] - mesh->lower[0], mesh->upper[1] - mesh->lower[1]);
    int64_t at[2];
    for (int d = 0; d < 2; d++) {
        const int64_t length = llround(GRAIN * ((mesh->upper[d] - mesh->lower[d]) / side));
        at[d] = llround(GRAIN * ((x[d] - mesh->lower[d]) / side));
        if (mesh->periodic[d])
            at[d] = ((at[d] % length) + length) % length;
    }
    return (place){at[0], at[1], index};
}

/* Where the point comes from that the turning brings to x. */
static void origin_of(const fem_mesh *mesh, const turning *t, const double x[2], double from[2])
{
    for (int r = 0; r < 2; r++) {
        const double centre = (mesh->lower[r] + mesh->upper[r]) / 2;
        const int axis = t->axis[r];
        from[axis] = (mesh->lower[axis] + mesh->upper[axis]) / 2 + t->sign[r] * (x[r] - centre);
    }
}

/* Its neighbours in rounding included; -1: none. */
static int32_t find_place(const fem_mesh *mesh, const place *sorted, int64_t n, const double x[2])
{
    const double side = fmax(mesh->upper[0] - mesh->lower[0], mesh->upper[1] - mesh->lower[1]) / GRAIN;
    for (int dx = -1; dx <= 1; dx++)
        for (int dy = -1; dy <= 1; dy++) {
            const double near[2] = {x[0] + dx * side, x[1] + dy * side};
            const place key = place_of(mesh, near, 0);
            const place *found = bsearch(&key, sorted, (size_t)n, sizeof key, compare_places);
            if (found)
                return found->index;
        }
    return -1;
}

static int compare_cells(const void *a, const void *b)
{
    return memcmp(a, b, FEM_MAX_CELL_NODES * sizeof(int32_t));
}

static int compare_indices(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Cells as ascending lists of nodes, in order; each node replaced by map[node] where map is given. */
static void list_cells(const fem_mesh *mesh, const int32_t *map, int32_t *out)
{
    const int k = mesh->cell_node_count;
    memset(out, 0, (size_t)(mesh->n_cells * FEM_MAX_CELL_NODES) * sizeof *out);
    for (int64_t c = 0; c < mesh->n_cells; c++) {
        int32_t *cell = out + c * FEM_MAX_CELL_NODES;
        for (int i = 0; i < k; i++) {
            const int32_t node = mesh->cell_nodes[c * k + i];
            cell[i] = map ? map[node] : node;
        }
        qsort(cell, (size_t)k, sizeof *cell, compare_indices);
    }
    qsort(out, (size_t)mesh->n_cells, FEM_MAX_CELL_NODES * sizeof *out, compare_cells);
}

static fwm_status check_cells(const maker *m, const fem_mesh *mesh, const int32_t *point)
{
    const size_t size = (size_t)mesh->n_cells * FEM_MAX_CELL_NODES;
    int32_t *own = fwm_malloc(size, sizeof *own), *turned = fwm_malloc(size, sizeof *turned);
    bool equal = false;
    if (own && turned) {
        list_cells(mesh, NULL, own);
        list_cells(mesh, point, turned);
        equal = memcmp(own, turned, size * sizeof *own) == 0;
    }
    const bool room = own && turned;
    fwm_free(own);
    fwm_free(turned);
    FWM_CHECK(room, FWM_MEMORY, "augmentation: out of memory");
    FWM_CHECK(equal, FWM_CONFIG,
              "data.augment.symmetries: %s does not bring every cell of the mesh onto a cell (triangles are cut along "
              "one diagonal: take quadrilaterals)",
              m->what);
    return FWM_OK;
}

static fwm_status turn_points(const maker *m, const fem_mesh *mesh, const turning *t, const int32_t **out)
{
    const int64_t n = mesh->n_nodes;
    int32_t *point = fwm_arena_alloc(m->arena, (size_t)n * sizeof *point);
    place *sorted = fwm_malloc((size_t)n, sizeof *sorted);
    int64_t missing = -1;
    if (point && sorted) {
        for (int64_t i = 0; i < n; i++)
            sorted[i] = place_of(mesh, mesh->nodes + 2 * i, (int32_t)i);
        qsort(sorted, (size_t)n, sizeof *sorted, compare_places);
        for (int64_t i = 0; i < n && missing < 0; i++) {
            double from[2];
            origin_of(mesh, t, mesh->nodes + 2 * i, from);
            point[i] = find_place(mesh, sorted, n, from);
            missing = point[i] < 0 ? i : -1;
        }
    }
    fwm_free(sorted);
    FWM_CHECK(point && sorted, FWM_MEMORY, "augmentation: out of memory");
    FWM_CHECK(missing < 0, FWM_CONFIG,
              "data.augment.symmetries: %s does not bring every node of the mesh onto a node: none lands at (%g, %g)",
              m->what, mesh->nodes[2 * missing], mesh->nodes[2 * missing + 1]);
    *out = point;
    return check_cells(m, mesh, point);
}

static fwm_status turn_pixels(const maker *m, const turning *t, const int32_t **out)
{
    const int64_t H = m->info->height, W = m->info->width;
    int32_t *point = fwm_arena_alloc(m->arena, (size_t)(H * W) * sizeof *point);
    FWM_CHECK(point, FWM_MEMORY, "augmentation: out of memory");
    FWM_CHECK(t->axis[0] == 0 || H == W, FWM_CONFIG, "data.augment.symmetries: %s needs square frames, found %lldx%lld",
              m->what, (long long)H, (long long)W);
    for (int64_t i = 0; i < H; i++)
        for (int64_t j = 0; j < W; j++) {
            const int64_t at[2] = {2 * j - W + 1, H - 1 - 2 * i}; /* twice the place about the centre, y upwards */
            int64_t from[2];
            for (int r = 0; r < 2; r++)
                from[t->axis[r]] = t->sign[r] * at[r];
            point[i * W + j] = (int32_t)((H - 1 - from[1]) / 2 * W + (from[0] + W - 1) / 2);
        }
    *out = point;
    return FWM_OK;
}

/* ---- channels and actions ---- */

static fwm_status turn_channels(const maker *m, const ds_field_info *field, const turning *t, const fem_equation *eq,
                                ds_turn *out)
{
    int32_t *channel = fwm_arena_alloc(m->arena, (size_t)field->channels * sizeof *channel);
    float *sign = fwm_arena_alloc(m->arena, (size_t)field->channels * sizeof *sign);
    FWM_CHECK(channel && sign, FWM_MEMORY, "augmentation: out of memory");
    int64_t c = 0;
    for (int f = 0; c < field->channels; f++) {
        const bool vector = eq ? (eq->field_kind[f] & FEM_FIELD_VECTOR) != 0 : is_vector(field, c);
        for (int r = 0; vector && r < 2; r++) {
            channel[c + r] = (int32_t)(c + t->axis[r]);
            sign[c + r] = (float)t->sign[r];
        }
        if (!vector) {
            channel[c] = (int32_t)c;
            sign[c] = !eq && strcmp(field->names[c], "vorticity") == 0 ? (float)handedness(t) : 1;
        }
        c += vector ? 2 : 1;
    }
    out->channel = channel;
    out->sign = sign;
    return FWM_OK;
}

/* The source that lies where source k is turned from. */
static int find_source(const maker *m, const turning *t, int k)
{
    const fem_source *s = &m->scene.source[k];
    const double at[2] = {s->x, s->y}, slack = 1e-9 * (fabs(s->x) + fabs(s->y) + s->half_width);
    double from[2];
    origin_of(m->mesh, t, at, from);
    for (int i = 0; i < m->scene.n_sources; i++) {
        const fem_source *o = &m->scene.source[i];
        if (!o->boundary && fabs(o->x - from[0]) <= slack && fabs(o->y - from[1]) <= slack &&
            o->half_width == s->half_width && o->power == s->power &&
            (o->field == s->field || (o->field && s->field && strcmp(o->field, s->field) == 0)))
            return i;
    }
    return -1;
}

static fwm_status turn_actions(const maker *m, const turning *t, const fem_equation *eq, ds_turn *out)
{
    const ds_field_info *actions = &m->info->fields[DS_ACTIONS];
    if (actions->channels == 0)
        return FWM_OK;
    FWM_CHECK(eq, FWM_CONFIG,
              "data.augment.symmetries: %s: how the actions turn is known where physics.equation is named", m->what);
    int32_t *channel = fwm_arena_alloc(m->arena, (size_t)actions->channels * sizeof *channel);
    float *sign = fwm_arena_alloc(m->arena, (size_t)actions->channels * sizeof *sign);
    FWM_CHECK(channel && sign, FWM_MEMORY, "augmentation: out of memory");
    for (int64_t c = 0; c < actions->channels; c++) {
        const bool source = c < m->scene.n_sources;
        channel[c] = source ? find_source(m, t, (int)c) : (int32_t)c;
        sign[c] = 1;
        const fem_source *s = source ? &m->scene.source[c] : NULL;
        FWM_CHECK(channel[c] >= 0 && !(s && (s->boundary || (s->field && strchr(s->field, '.')))), FWM_CONFIG,
                  "data.augment.symmetries: %s brings no source onto source %lld (%s)", m->what, (long long)c,
                  actions->names[c]);
    }
    out->channel = channel;
    out->sign = sign;
    return FWM_OK;
}

/* ---- the law ---- */

static fwm_status check_law(const maker *m, const turning *t)
{
    const tr_config *c = m->config;
    const fem_equation *eq = tr_law_equation(m->law);
    if (!eq)
        return FWM_OK;
    FWM_CHECK(m->scene.n_conditions == 0, FWM_CONFIG,
              "data.augment.symmetries: %s: the law has conditions on boundaries (simulate.conditions)", m->what);
    FWM_CHECK(
        c->simulate.inclusions.rows == 0 && c->simulate.regions.count == 0 && c->simulate.random.count == 0, FWM_CONFIG,
        "data.augment.symmetries: %s: the truth varies in space (simulate.inclusions, regions or random)", m->what);
    for (int k = 0; k < eq->n_parameters; k++) {
        const char *name = eq->parameter[k].name;
        const size_t n = strlen(name);
        const int axis =
            n > 2 && name[n - 2] == '_' && (name[n - 1] == 'x' || name[n - 1] == 'y') ? name[n - 1] - 'x' : -1;
        FWM_CHECK(tr_law_count(m->law, k) == 1, FWM_CONFIG,
                  "data.augment.symmetries: %s: %s is learned as a field (physics.field)", m->what, name);
        FWM_CHECK(axis < 0 || (t->axis[axis] == axis && t->sign[axis] == 1) ||
                      (tr_law_initial(m->law, k) == 0 && !tr_law_is_learned(m->law, k)),
                  FWM_CONFIG, "data.augment.symmetries: %s turns %s, which is %g", m->what, name,
                  tr_law_initial(m->law, k));
    }
    return FWM_OK;
}

static fwm_status make_symmetry(maker *m, const turning *t, ds_symmetry *s)
{
    const fem_equation *eq = tr_law_equation(m->law);
    const ds_info *info = m->info;
    (void)snprintf(m->what, sizeof m->what, "(%s%c, %s%c)", t->sign[0] < 0 ? "-" : "", "xy"[t->axis[0]],
                   t -> sign[1] < 0 ? "-" : "", "xy"[t->axis[1]]);
    for (int k = 0; k < ASKED; k++)
        if (same(t, &asked[k]))
            (void)snprintf(m->what, sizeof m->what, "%s", words[k]);
    s->name = fwm_arena_strdup(m->arena, m->what);
    FWM_CHECK(s->name, FWM_MEMORY, "augmentation: out of memory");
    const double lx = m->mesh->upper[0] - m->mesh->lower[0], ly = m->mesh->upper[1] - m->mesh->lower[1];
    FWM_CHECK(t->axis[0] == 0 || fabs(lx - ly) <= 1e-9 * (lx + ly), FWM_CONFIG,
              "data.augment.symmetries: %s needs a square, found %g by %g", m->what, lx, ly);
    FWM_TRY(check_law(m, t));
    FWM_TRY(turn_points(m, m->mesh, t, &s->field[DS_STATE].point));
    FWM_TRY(turn_channels(m, &info->fields[DS_STATE], t, eq, &s->field[DS_STATE]));
    FWM_TRY(turn_actions(m, t, eq, &s->field[DS_ACTIONS]));
    if (info->fields[DS_S_PHY].channels > 0 && m->coarse) {
        FWM_TRY(turn_points(m, m->coarse, t, &s->field[DS_S_PHY].point));
        FWM_TRY(turn_channels(m, &info->fields[DS_S_PHY], t, eq, &s->field[DS_S_PHY]));
    }
    return info->fields[DS_FRAMES].channels > 0 ? turn_pixels(m, t, &s->field[DS_FRAMES].point) : FWM_OK;
}

/* All that the turnings asked for make together, the unmoved one first. */
static int close_group(const tr_config *c, turning group[MOST])
{
    int n = 1;
    group[0] = unmoved;
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < c->data.augment.symmetries.count; k++) {
            int w = 0;
            while (w < ASKED - 1 && strcmp(c->data.augment.symmetries.items[k], words[w]) != 0)
                w++;
            const turning next = after(&asked[w], &group[i]);
            bool known = false;
            for (int j = 0; j < n; j++)
                known = known || same(&group[j], &next);
            if (!known && n < MOST)
                group[n++] = next;
        }
    return n;
}

fwm_status tr_symmetries(ds_augment *augment, fwm_arena *arena, const tr_config *config, const ds_dataset *ds,
                         const tr_law *law)
{
    turning group[MOST];
    const int n = close_group(config, group);
    *augment = (ds_augment){.brightness = config->data.augment.brightness,
                            .contrast = config->data.augment.contrast,
                            .frame_noise = config->data.augment.frame_noise};
    FWM_CHECK(ds_get_info(ds)->fields[DS_FRAMES].channels > 0 ||
                  (augment->brightness <= 0 && augment->contrast <= 0 && augment->frame_noise <= 0),
              FWM_CONFIG,
              "data.augment: brightness, contrast and frame_noise change frames, which %s lacks: expected 0",
              ds_path(ds));
    if (n == 1)
        return FWM_OK;
    maker m = {.config = config,
               .info = ds_get_info(ds),
               .law = law,
               .mesh = tr_law_mesh(law),
               .coarse = tr_law_coarse_mesh(law),
               .arena = arena};
    FWM_CHECK(m.mesh && m.mesh->dim == 2, FWM_CONFIG,
              "data.augment.symmetries: expected a state on a mesh in the plane, which %s lacks", ds_path(ds));
    if (tr_law_equation(law))
        FWM_TRY(tr_scene_fill(&m.scene, config, tr_law_equation(law)));
    ds_symmetry *list = fwm_arena_alloc(arena, (size_t)n * sizeof *list);
    FWM_CHECK(list, FWM_MEMORY, "augmentation: out of memory");
    for (int i = 1; i < n; i++)
        FWM_TRY(make_symmetry(&m, &group[i], &list[i - 1]));
    augment->count = n - 1;
    augment->symmetry = list;
    return FWM_OK;
}
