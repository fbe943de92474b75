#include "data/xdmf.h"

#include "data/h5write.h"
#include "data/mesh_io.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_NODES = 27, MAX_FIELDS = 64, NAME_BYTES = 32 };

/* A kind of cell: each node of it as the vertices whose mean it is, one bit each. Triquadratic hexahedra: VTK's order,
 * edges, faces x- x+ y- y+ z- z+, centre. */
typedef struct cell_nodes {
    const char *cell, *name;
    int count;
    uint8_t mean[MAX_NODES];
} cell_nodes;

static const cell_nodes kinds[] = {
    {"interval", "Polyline", 2, {1, 2}},
    {"interval", "Edge_3", 3, {1, 2, 3}},
    {"triangle", "Triangle", 3, {1, 2, 4}},
    {"triangle", "Triangle_6", 6, {1, 2, 4, 3, 6, 5}},
    {"quadrilateral", "Quadrilateral", 4, {1, 2, 4, 8}},
    {"quadrilateral", "Quadrilateral_9", 9, {1, 2, 4, 8, 3, 6, 12, 9, 15}},
    {"tetrahedron", "Tetrahedron", 4, {1, 2, 4, 8}},
    {"tetrahedron", "Tetrahedron_10", 10, {1, 2, 4, 8, 3, 6, 5, 9, 10, 12}},
    {"hexahedron", "Hexahedron", 8, {1, 2, 4, 8, 16, 32, 64, 128}},
    {"hexahedron", "Hexahedron_27", 27, {1,   2,   4,  8,  16, 32,  64,  128, 3,  6,   12, 9,   48, 96,
                                         192, 144, 17, 34, 68, 136, 153, 102, 51, 204, 15, 240, 255}},
};

struct ds_xdmf {
    char *path, *aside, *h5_path, *h5_aside;
    ds_h5_sink sink;
    FILE *text;
    const cell_nodes *kind;
    int64_t cells, nodes, points, steps;
    int64_t n_fields;
    ds_xdmf_field field[MAX_FIELDS];
    char *names[MAX_FIELDS];
    int32_t *node;  /* [points] the node that each shows */
    float *scratch; /* [points,3] */
};

/* ---- points and cells ---- */

/* Where the node of a cell lies that is the mean of the vertices in `mean`. */
static void mean_of(const ds_mesh *m, int64_t cell, unsigned mean, double x[3])
{
    int count = __builtin_popcount(mean);
    x[0] = x[1] = x[2] = 0;
    for (int v = 0; v < m->k; v++)
        for (int d = 0; (mean >> v & 1) && d < m->dim; d++)
            x[d] += m->vertices[m->dim * m->cells[cell * m->k + v] + d] / count;
}

/* The place among a cell's nodes of each node of the kind; false where one is not found. */
static bool order_cell(const ds_mesh *m, const cell_nodes *kind, int64_t cell, int order[MAX_NODES])
{
    double size = 0, first[3];
    mean_of(m, cell, 1, first);
    for (int v = 1; v < m->k; v++) {
        double x[3];
        mean_of(m, cell, 1U << v, x);
        for (int d = 0; d < m->dim; d++)
            size = fmax(size, fabs(x[d] - first[d]));
    }
    for (int k = 0; k < kind->count; k++) {
        double x[3];
        mean_of(m, cell, kind->mean[k], x);
        order[k] = -1;
        for (int i = 0; i < m->kn && order[k] < 0; i++) {
            double distance = 0;
            for (int d = 0; d < m->dim; d++)
                distance = fmax(distance, fabs(m->nodes[m->dim * m->cell_nodes[cell * m->kn + i] + d] - x[d]));
            if (distance <= 1e-5 * size)
                order[k] = i;
        }
        if (order[k] < 0)
            return false;
    }
    return true;
}

/* Points are the nodes; cells list them in the kind's order. */
static fwm_status share_points(const ds_mesh *m, const cell_nodes *kind, double *x, int32_t *cells, int32_t *node)
{
    const double *from = m->nodes ? m->nodes : m->vertices;
    for (int64_t i = 0; i < m->n; i++) {
        node[i] = (int32_t)i;
        for (int d = 0; d < m->dim; d++)
            x[3 * i + d] = from[m->dim * i + d];
    }
    for (int64_t c = 0; c < m->ncell; c++) {
        int order[MAX_NODES];
        FWM_CHECK(!m->nodes || order_cell(m, kind, c, order), FWM_DATA,
                  "cell_nodes: cell %lld has no node where a cell of space %s has one", (long long)c, m->space);
        for (int k = 0; k < kind->count; k++)
            cells[c * kind->count + k] = m->nodes ? m->cell_nodes[c * m->kn + order[k]] : m->cells[c * m->k + k];
    }
    return FWM_OK;
}

/* Each cell has its own points, placed by its vertices; nodes by the order that one cell away from the seam shows. */
static fwm_status own_points(const ds_mesh *m, const cell_nodes *kind, double *x, int32_t *cells, int32_t *node)
{
    int order[MAX_NODES];
    int64_t good = 0;
    while (good < m->ncell && !order_cell(m, kind, good, order))
        good++;
    FWM_CHECK(good < m->ncell, FWM_DATA, "cell_nodes: no cell has its nodes where a cell of space %s has them",
              m->space);
    for (int64_t c = 0; c < m->ncell; c++)
        for (int k = 0; k < kind->count; k++) {
            int64_t p = c * kind->count + k;
            mean_of(m, c, kind->mean[k], x + 3 * p);
            cells[p] = (int32_t)p;
            node[p] = m->cell_nodes[c * m->kn + order[k]];
        }
    return FWM_OK;
}

static fwm_status write_mesh(ds_xdmf *w, const ds_mesh *m)
{
    int64_t k = w->kind->count;
    double *x = fwm_calloc((size_t)w->points, 3 * sizeof *x);
    int32_t *cells = fwm_malloc((size_t)(m->ncell * k), sizeof *cells);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, x && cells, FWM_MEMORY, "%s: out of memory for %lld points", w->path, (long long)w->points);
    FWM_TRY_GOTO(status, (m->merge ? own_points : share_points)(m, w->kind, x, cells, w->node));
    FWM_TRY_GOTO(status, ds_h5_put_array(&w->sink, "/points", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2,
                                         (int64_t[]){w->points, 3}, x));
    FWM_TRY_GOTO(status, ds_h5_put_array(&w->sink, "/cells", H5T_STD_I32LE, H5T_NATIVE_INT32, 2,
                                         (int64_t[]){m->ncell, k}, cells));
    for (int64_t r = 0; m->nregion > 0 && r < m->nregion; r++)
        for (int64_t i = 0; i < m->region[r].count; i++)
            cells[m->region[r].cells[i]] = -(int32_t)r - 1;
    if (m->nregion > 0) {
        for (int64_t c = 0; c < m->ncell; c++)
            cells[c] = cells[c] < 0 ? -cells[c] : 0;
        FWM_TRY_GOTO(status, ds_h5_put_array(&w->sink, "/region", H5T_STD_I32LE, H5T_NATIVE_INT32, 1,
                                             (int64_t[]){m->ncell}, cells));
    }
done:
    fwm_free(x);
    fwm_free(cells);
    return status;
}

/* ---- text ---- */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void put_escaped(FILE *f, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", f);
            break;
        case '<':
            fputs("&lt;", f);
            break;
        case '"':
            fputs("&quot;", f);
            break;
        default:
            fputc(*text, f);
        }
}

/* `shape`: the extents as text. */
static void put_item(const ds_xdmf *w, const char *shape, const char *type, int precision, const char *place)
{
    fprintf(w->text, "<DataItem Dimensions=\"%s\" NumberType=\"%s\" Precision=\"%d\" Format=\"HDF\">", shape, type,
            precision);
    put_escaped(w->text, file_name(w->h5_path));
    fprintf(w->text, ":%s</DataItem>", place);
}

static void put_attribute(const ds_xdmf *w, const char *name, bool vector, const char *centre)
{
    fputs("        <Attribute Name=\"", w->text);
    put_escaped(w->text, name);
    fprintf(w->text, "\" AttributeType=\"%s\" Center=\"%s\">", vector ? "Vector" : "Scalar", centre);
}

static void put_step(const ds_xdmf *w, double time, bool regions)
{
    char shape[64], place[NAME_BYTES];
    fprintf(w->text, "      <Grid Name=\"step %lld\" GridType=\"Uniform\">\n        <Time Value=\"%.17g\"/>\n",
            (long long)w->steps, time);
    (void)snprintf(shape, sizeof shape, "%lld %d", (long long)w->cells, w->kind->count);
    fprintf(w->text, "        <Topology TopologyType=\"%s\" NumberOfElements=\"%lld\"%s>", w->kind->name,
            (long long)w->cells, w->kind->count == 2 ? " NodesPerElement=\"2\"" : "");
    put_item(w, shape, "Int", 4, "/cells");
    (void)snprintf(shape, sizeof shape, "%lld 3", (long long)w->points);
    fputs("</Topology>\n        <Geometry GeometryType=\"XYZ\">", w->text);
    put_item(w, shape, "Float", 8, "/points");
    fputs("</Geometry>\n", w->text);
    if (regions) {
        (void)snprintf(shape, sizeof shape, "%lld", (long long)w->cells);
        put_attribute(w, "region", false, "Cell");
        put_item(w, shape, "Int", 4, "/region");
        fputs("</Attribute>\n", w->text);
    }
    for (int64_t f = 0; f < w->n_fields; f++) {
        bool vector = w->field[f].components > 1;
        (void)snprintf(shape, sizeof shape, "%lld%s", (long long)w->points, vector ? " 3" : "");
        (void)snprintf(place, sizeof place, "/field%lld/%lld", (long long)f, (long long)w->steps);
        put_attribute(w, w->field[f].name, vector, "Node");
        put_item(w, shape, "Float", 4, place);
        fputs("</Attribute>\n", w->text);
    }
    fputs("      </Grid>\n", w->text);
}

/* ---- life ---- */

static void release(ds_xdmf *w, bool keep)
{
    if (w->text)
        (void)fclose(w->text);
    if (w->sink.id > 0)
        (void)H5Fclose(w->sink.id);
    if (!keep && w->aside)
        (void)unlink(w->aside);
    if (!keep && w->h5_aside)
        (void)unlink(w->h5_aside);
    for (int64_t f = 0; f < w->n_fields; f++)
        fwm_free(w->names[f]);
    fwm_free(w->path);
    fwm_free(w->aside);
    fwm_free(w->h5_path);
    fwm_free(w->h5_aside);
    fwm_free(w->node);
    fwm_free(w->scratch);
    fwm_free(w);
}

void ds_xdmf_abort(ds_xdmf **x)
{
    if (!*x)
        return;
    ds_h5_lock();
    release(*x, false);
    ds_h5_unlock();
    *x = NULL;
}

static fwm_status check_fields(const char *path, int64_t n, const ds_xdmf_field *fields)
{
    FWM_CHECK(n >= 0 && n <= MAX_FIELDS, FWM_INVALID, "%s: expected at most %d fields, found %lld", path, MAX_FIELDS,
              (long long)n);
    for (int64_t f = 0; f < n; f++) {
        FWM_CHECK(fields[f].name && fields[f].name[0] && fields[f].components >= 1 && fields[f].components <= 3,
                  FWM_INVALID, "%s: field %lld: expected a name and 1 to 3 components, found %lld", path, (long long)f,
                  (long long)fields[f].components);
        for (int64_t g = 0; g < f; g++)
            FWM_CHECK(strcmp(fields[f].name, fields[g].name) != 0, FWM_INVALID, "%s: two fields are called '%s'", path,
                      fields[f].name);
    }
    return FWM_OK;
}

static char *joined(const char *path, size_t length, const char *end)
{
    size_t bytes = length + strlen(end) + 1;
    char *text = fwm_malloc(bytes, 1);
    if (text)
        (void)snprintf(text, bytes, "%.*s%s", (int)length, path, end);
    return text;
}

static fwm_status prepare(ds_xdmf *w, const char *path, const ds_mesh *m, const ds_xdmf_field *fields)
{
    char aside[48], h5_aside[48];
    size_t stem = strlen(path) - strlen(".xdmf");
    (void)snprintf(aside, sizeof aside, ".xdmf.writing.%ld", (long)getpid());
    (void)snprintf(h5_aside, sizeof h5_aside, ".h5.writing.%ld", (long)getpid());
    w->path = fwm_strdup(path);
    w->aside = joined(path, stem, aside);
    w->h5_path = joined(path, stem, ".h5");
    w->h5_aside = joined(path, stem, h5_aside);
    w->cells = m->ncell;
    w->nodes = m->n;
    w->points = m->merge ? m->ncell * w->kind->count : m->n;
    FWM_CHECK(w->points < INT32_MAX, FWM_OVERFLOW, "%s: %lld points are too many", path, (long long)w->points);
    w->node = fwm_malloc((size_t)w->points, sizeof *w->node);
    w->scratch = fwm_malloc((size_t)w->points, 3 * sizeof *w->scratch);
    bool named = true;
    for (int64_t f = 0; f < w->n_fields; f++) {
        w->names[f] = fwm_strdup(fields[f].name);
        w->field[f] = (ds_xdmf_field){w->names[f], fields[f].components};
        named = named && w->names[f];
    }
    FWM_CHECK(w->path && w->aside && w->h5_path && w->h5_aside && w->node && w->scratch && named, FWM_MEMORY,
              "%s: out of memory for %lld points", path, (long long)w->points);
    return FWM_OK;
}

static fwm_status begin(ds_xdmf *w, const ds_mesh *m)
{
    w->text = fopen(w->aside, "w");
    FWM_CHECK(w->text, FWM_IO, "%s: %s", w->aside, strerror(errno));
    w->sink = (ds_h5_sink){H5Fcreate(w->h5_aside, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), w->h5_path};
    FWM_CHECK(w->sink.id > 0, FWM_IO, "%s: cannot be created, HDF5 says: %s", w->h5_path, ds_h5_reason());
    FWM_TRY(write_mesh(w, m));
    for (int64_t f = 0; f < w->n_fields; f++) {
        char place[NAME_BYTES];
        (void)snprintf(place, sizeof place, "/field%lld", (long long)f);
        FWM_TRY(ds_h5_put_group(&w->sink, place));
    }
    fputs("<?xml version=\"1.0\"?>\n<Xdmf Version=\"3.0\">\n  <Domain>\n"
          "    <Grid Name=\"series\" GridType=\"Collection\" CollectionType=\"Temporal\">\n",
          w->text);
    return FWM_OK;
}

fwm_status ds_xdmf_create(ds_xdmf **out, const char *path, const ds_mesh *m, int64_t n_fields,
                          const ds_xdmf_field *fields)
{
    *out = NULL;
    size_t length = strlen(path);
    FWM_CHECK(length > 5 && strcmp(path + length - 5, ".xdmf") == 0, FWM_INVALID, "%s: expected a path ending in .xdmf",
              path);
    FWM_TRY(check_fields(path, n_fields, fields));
    fwm_status status = ds_mesh_check(m);
    if (status != FWM_OK)
        return fwm_fail_within(status, "%s", path);
    ds_xdmf *w = fwm_calloc(1, sizeof *w);
    FWM_CHECK(w, FWM_MEMORY, "%s: out of memory", path);
    w->n_fields = n_fields;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (strcmp(kinds[k].cell, m->cell) == 0 && kinds[k].count == m->kn)
            w->kind = &kinds[k];
    ds_h5_lock();
    status = prepare(w, path, m, fields);
    if (status == FWM_OK)
        status = begin(w, m);
    if (status != FWM_OK)
        release(w, false);
    ds_h5_unlock();
    if (status != FWM_OK)
        return status;
    *out = w;
    return FWM_OK;
}

static fwm_status write_field(ds_xdmf *w, int64_t f, const float *values)
{
    char place[NAME_BYTES];
    int64_t components = w->field[f].components, stored = components > 1 ? 3 : 1;
    for (int64_t p = 0; p < w->points; p++)
        for (int64_t c = 0; c < stored; c++)
            w->scratch[p * stored + c] = c < components ? values[w->node[p] * components + c] : 0;
    (void)snprintf(place, sizeof place, "/field%lld/%lld", (long long)f, (long long)w->steps);
    return ds_h5_put_array(&w->sink, place, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, stored == 1 ? 1 : 2,
                           (int64_t[]){w->points, 3}, w->scratch);
}

fwm_status ds_xdmf_step(ds_xdmf *w, double time, const float *const *values)
{
    FWM_CHECK(isfinite(time), FWM_INVALID, "%s: expected a finite time, found %g", w->path, time);
    fwm_status status = FWM_OK;
    ds_h5_lock();
    for (int64_t f = 0; f < w->n_fields && status == FWM_OK; f++)
        status = write_field(w, f, values[f]);
    if (status == FWM_OK)
        put_step(w, time, H5Lexists(w->sink.id, "/region", H5P_DEFAULT) > 0);
    ds_h5_unlock();
    w->steps++;
    return status;
}

fwm_status ds_xdmf_finish(ds_xdmf **x)
{
    ds_xdmf *w = *x;
    *x = NULL;
    fwm_status status = FWM_OK;
    ds_h5_lock();
    fputs("    </Grid>\n  </Domain>\n</Xdmf>\n", w->text);
    bool written = fflush(w->text) == 0 && !ferror(w->text) && fsync(fileno(w->text)) == 0;
    written = H5Fclose(w->sink.id) >= 0 && written;
    w->sink.id = 0;
    FWM_CHECK_GOTO(status, written, FWM_IO, "%s: cannot be written: %s", w->path, strerror(errno));
    FWM_CHECK_GOTO(status, rename(w->h5_aside, w->h5_path) == 0 && rename(w->aside, w->path) == 0, FWM_IO, "%s: %s",
                   w->path, strerror(errno));
done:
    release(w, status == FWM_OK);
    ds_h5_unlock();
    return status;
}

/* ---- a dataset's trajectory ---- */

/* Whether channel c + k is called STEM_x, STEM_y, ... for k = 0, 1, ... */
static bool same_stem(const char *const *names, int64_t c, int64_t k)
{
    const char *a = names[c], *b = names[c + k];
    size_t n = strlen(a);
    return n > 2 && strlen(b) == n && strncmp(a, b, n - 1) == 0 && a[n - 2] == '_' && a[n - 1] == 'x' &&
           b[n - 1] == "xyz"[k];
}

typedef struct channel_map {
    int64_t fields, channels;
    ds_xdmf_field field[MAX_FIELDS];
    int64_t first[MAX_FIELDS];
    char stem[MAX_FIELDS][64];
} channel_map;

static fwm_status group_channels(channel_map *map, const char *path, const ds_field_info *state)
{
    map->fields = 0;
    map->channels = state->channels;
    for (int64_t c = 0; c < state->channels;) {
        int64_t n = 1;
        while (n < 3 && c + n < state->channels && same_stem(state->names, c, n))
            n++;
        FWM_CHECK(map->fields < MAX_FIELDS, FWM_INVALID, "%s: more than %d fields", path, MAX_FIELDS);
        char *stem = map->stem[map->fields];
        (void)snprintf(stem, sizeof map->stem[0], "%s", state->names[c]);
        if (n > 1 && strlen(stem) > 2)
            stem[strlen(stem) - 2] = 0;
        map->first[map->fields] = c;
        map->field[map->fields++] = (ds_xdmf_field){stem, n};
        c += n;
    }
    return FWM_OK;
}

static fwm_status write_steps(ds_xdmf *x, ds_dataset *ds, int64_t trajectory, const channel_map *map, float *state,
                              float *fields)
{
    const ds_info *info = ds_get_info(ds);
    int64_t n = info->fields[DS_STATE].points;
    for (int64_t t = 0; t < info->lengths[trajectory]; t++) {
        const float *values[MAX_FIELDS];
        float *next = fields;
        FWM_TRY(ds_read(ds, trajectory, t, 1, &(ds_clip){.state = state}));
        for (int64_t f = 0; f < map->fields; f++) {
            int64_t components = map->field[f].components;
            values[f] = next;
            for (int64_t i = 0; i < n; i++)
                for (int64_t c = 0; c < components; c++)
                    *next++ = state[i * map->channels + map->first[f] + c];
        }
        FWM_TRY(ds_xdmf_step(x, info->dt > 0 ? (double)t * info->dt : (double)t, values));
    }
    return FWM_OK;
}

fwm_status ds_xdmf_trajectory(ds_dataset *ds, int64_t trajectory, const char *path)
{
    const ds_info *info = ds_get_info(ds);
    const ds_field_info *state = &info->fields[DS_STATE];
    FWM_CHECK(info->mesh && state->points > 0, FWM_DATA, "%s: expected a mesh and states on it, found %s", ds_path(ds),
              info->mesh ? "no states" : "no mesh");
    FWM_CHECK(trajectory >= 0 && trajectory < info->trajectories, FWM_INVALID,
              "%s: expected a trajectory from 0 to %lld, found %lld", ds_path(ds), (long long)info->trajectories - 1,
              (long long)trajectory);
    size_t numbers = (size_t)(state->points * state->channels);
    channel_map *map = fwm_malloc(1, sizeof *map);
    float *one = fwm_malloc(numbers, sizeof *one), *fields = fwm_malloc(numbers, sizeof *fields);
    ds_xdmf *x = NULL;
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, map && one && fields, FWM_MEMORY, "%s: out of memory for a state", path);
    FWM_TRY_GOTO(status, group_channels(map, path, state));
    FWM_TRY_GOTO(status, ds_xdmf_create(&x, path, info->mesh, map->fields, map->field));
    FWM_TRY_GOTO(status, write_steps(x, ds, trajectory, map, one, fields));
    status = ds_xdmf_finish(&x);
done:
    ds_xdmf_abort(&x);
    fwm_free(map);
    fwm_free(one);
    fwm_free(fields);
    return status;
}
