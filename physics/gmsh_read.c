/* The sections of a .msh file, from a copy of the file in memory. */
#include "physics/gmsh_impl.h"

#include "model/base/arena.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const gmsh_kind gmsh_kinds[GMSH_KINDS] = {{"lines", 1, 2, 1},
                                          {"triangles", 2, 3, 2},
                                          {"quadrilaterals", 2, 4, 3},
                                          {"tetrahedra", 3, 4, 4},
                                          {"hexahedra", 3, 8, 5}};

enum { GMSH_POINT = 15, MAX_TAGS = 1024 };

/* Of an entity of format 4: the group of its elements. */
typedef struct entity {
    int32_t dim, tag, group;
} entity;

typedef struct reader {
    gmsh_file *file;
    char *text; /* [size + 1], ends in 0 */
    size_t size, at;
    bool binary, four;
    int64_t n_entities, entity_room;
    entity *entities;
} reader;

static fwm_status fail(const reader *r, const char *what)
{
    if (r->binary)
        return fwm_fail(FWM_DATA, "%s: byte %zu: %s", r->file->path, r->at, what);
    int64_t line = 1;
    for (size_t i = 0; i < r->at && i < r->size; i++)
        line += r->text[i] == '\n';
    return fwm_fail(FWM_DATA, "%s:%lld: %s", r->file->path, (long long)line, what);
}

#define EXPECT(cond, ...)                                                                                              \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            char expect_text_[256];                                                                                    \
            (void)snprintf(expect_text_, sizeof expect_text_, __VA_ARGS__);                                            \
            return fail(r, expect_text_);                                                                              \
        }                                                                                                              \
    } while (0)

/* ---- numbers ---- */

/* What stands at r, for messages: up to 20 characters of its line. */
static const char *here(const reader *r, char text[32])
{
    size_t at = r->at + (r->binary ? 0 : strspn(r->text + r->at, " \t\r\n")), n = 0;
    for (; n < 20 && at + n < r->size && (unsigned char)r->text[at + n] > ' '; n++)
        text[n] = r->text[at + n];
    text[n] = 0;
    return at >= r->size ? "the end of the file; is it cut off?" : text;
}

/* A whole number, of `bytes` 4 or 8 in a binary file. */
static fwm_status whole(reader *r, int bytes, const char *what, int64_t *value)
{
    *value = 0;
    if (r->binary) {
        int32_t four;
        EXPECT(r->size - r->at >= (size_t)bytes, "expected %s, found the end of the file; is it cut off?", what);
        if (bytes == 4) {
            memcpy(&four, r->text + r->at, 4);
            *value = four;
        } else
            memcpy(value, r->text + r->at, 8);
        r->at += (size_t)bytes;
        return FWM_OK;
    }
    char *end, text[32];
    errno = 0;
    *value = strtoll(r->text + r->at, &end, 10);
    EXPECT(end > r->text + r->at && errno == 0 && (*end == 0 || strchr(" \t\r\n", *end)),
           "expected %s (a whole number), found %s", what, here(r, text));
    r->at = (size_t)(end - r->text);
    return FWM_OK;
}

static fwm_status small(reader *r, const char *what, int64_t least, int64_t most, int32_t *value)
{
    int64_t n;
    *value = 0;
    FWM_TRY(whole(r, 4, what, &n));
    EXPECT(n >= least && n <= most, "%s: expected %lld to %lld, found %lld", what, (long long)least, (long long)most,
           (long long)n);
    *value = (int32_t)n;
    return FWM_OK;
}

static fwm_status real(reader *r, const char *what, double *value)
{
    if (r->binary) {
        EXPECT(r->size - r->at >= 8, "expected %s, found the end of the file; is it cut off?", what);
        memcpy(value, r->text + r->at, 8);
        r->at += 8;
    } else {
        char *end, text[32];
        *value = strtod(r->text + r->at, &end);
        EXPECT(end > r->text + r->at, "expected %s (a number), found %s", what, here(r, text));
        r->at = (size_t)(end - r->text);
    }
    EXPECT(isfinite(*value), "expected %s, found a number that is not finite", what);
    return FWM_OK;
}

/* A count of things that take at least `least` bytes each: more than the file can hold is refused before room for them
 * is made. */
static fwm_status count(reader *r, int bytes, size_t least, const char *what, int64_t *value)
{
    FWM_TRY(whole(r, bytes, what, value));
    EXPECT(*value >= 0 && (uint64_t)*value <= (r->size - r->at) / least,
           "%s: found %lld, but %zu bytes are left in the file; is it cut off or damaged?", what, (long long)*value,
           r->size - r->at);
    return FWM_OK;
}

static void skip_space(reader *r)
{
    r->at += strspn(r->text + r->at, " \t\r\n");
}

/* The line that r stands on, ended by 0 in `line`; r moves behind it. */
static void take_line(reader *r, char *line, size_t capacity)
{
    size_t n = strcspn(r->text + r->at, "\r\n"), keep = n < capacity ? n : capacity - 1;
    memcpy(line, r->text + r->at, keep);
    line[keep] = 0;
    r->at += n;
    if (r->text[r->at] == '\r')
        r->at++;
    if (r->text[r->at] == '\n')
        r->at++;
}

/* A count that is text in binary files of format 2 too, with its line. */
static fwm_status text_count(reader *r, size_t least, const char *what, int64_t *value)
{
    char line[8];
    bool binary = r->binary;
    r->binary = false;
    fwm_status status = count(r, 4, least, what, value);
    r->binary = binary;
    if (status == FWM_OK && binary)
        take_line(r, line, sizeof line);
    return status;
}

static fwm_status grow(const reader *r, void *array, int64_t n, int64_t *room, size_t size)
{
    if (n < *room)
        return FWM_OK;
    int64_t more = *room > 0 ? 2 * *room : 64;
    void *p = fwm_realloc(*(void **)array, (size_t)more, size);
    FWM_CHECK(p, FWM_MEMORY, "%s: out of memory", r->file->path);
    *(void **)array = p;
    *room = more;
    return FWM_OK;
}

/* ---- sections ---- */

static fwm_status read_format(reader *r)
{
    char line[64];
    double version;
    int type, bytes;
    take_line(r, line, sizeof line);
    EXPECT(sscanf(line, "%lf %d %d", &version, &type, &bytes) == 3,
           "$MeshFormat: expected version, file type and size, found '%.40s'", line);
    EXPECT(version == 2.2 || version == 4.1,
           "expected format 2.2 or 4.1, found %g; save it with gmsh -format msh41 or msh22", version);
    EXPECT((type == 0 || type == 1) && bytes == 8, "$MeshFormat: expected type 0 or 1 and size 8, found %d and %d",
           type, bytes);
    r->four = version == 4.1;
    r->binary = type == 1;
    if (r->binary) {
        int64_t one;
        FWM_TRY(whole(r, 4, "the number 1", &one));
        EXPECT(one == 1, "expected the number 1, found %lld: the file was written on a machine of other byte order",
               (long long)one);
    }
    return FWM_OK;
}

/* Text in either kind of file. */
static fwm_status read_names(reader *r)
{
    char line[512];
    int64_t n;
    bool binary = r->binary;
    r->binary = false;
    FWM_TRY(count(r, 4, 4, "the number of physical names", &n));
    for (int64_t k = 0; k < n; k++) {
        int32_t dim, tag;
        FWM_TRY(small(r, "the dimension of a physical name", 0, 3, &dim));
        FWM_TRY(small(r, "the tag of a physical name", 1, INT32_MAX, &tag));
        take_line(r, line, sizeof line);
        char *open = strchr(line, '"'), *close = open ? strrchr(line, '"') : NULL;
        EXPECT(open && close > open + 1, "physical group %d: expected a name in quotes, found '%.40s'", tag, line);
        *close = 0;
        EXPECT(strlen(open + 1) < FEM_NAME_BYTES, "physical name '%.80s': expected at most %d characters", open + 1,
               FEM_NAME_BYTES - 1);
        FWM_TRY(grow(r, &r->file->name, r->file->n_names, &r->file->name_room, sizeof *r->file->name));
        gmsh_name *name = &r->file->name[r->file->n_names++];
        *name = (gmsh_name){.dim = dim, .tag = tag};
        strcpy(name->text, open + 1);
    }
    r->binary = binary;
    return FWM_OK;
}

static fwm_status read_entity(reader *r, int dim)
{
    int64_t tag, groups, group = 0, bounding;
    double box;
    FWM_TRY(whole(r, 4, "the tag of an entity", &tag));
    for (int k = 0; k < (dim == 0 ? 3 : 6); k++)
        FWM_TRY(real(r, "the box of an entity", &box));
    FWM_TRY(count(r, 8, r->binary ? 4 : 2, "the number of an entity's physical tags", &groups));
    EXPECT(groups <= 1 || dim == 0,
           "entity %lld of dimension %d is in %lld physical groups, expected at most one: elements have one region or "
           "boundary",
           (long long)tag, dim, (long long)groups);
    for (int64_t k = 0; k < groups; k++)
        FWM_TRY(whole(r, 4, "a physical tag", &group));
    if (dim > 0) {
        FWM_TRY(count(r, 8, r->binary ? 4 : 2, "the number of an entity's bounding entities", &bounding));
        for (int64_t k = 0; k < bounding; k++) {
            int64_t ignored;
            FWM_TRY(whole(r, 4, "a bounding entity", &ignored));
        }
    }
    EXPECT(tag > INT32_MIN && tag <= INT32_MAX && llabs(group) <= INT32_MAX, "an entity's tag is out of range");
    FWM_TRY(grow(r, &r->entities, r->n_entities, &r->entity_room, sizeof *r->entities));
    r->entities[r->n_entities++] = (entity){dim, (int32_t)tag, (int32_t)llabs(group)};
    return FWM_OK;
}

static int compare_entities(const void *a, const void *b)
{
    const entity *x = a, *y = b;
    return x->dim != y->dim ? x->dim - y->dim : (x->tag > y->tag) - (x->tag < y->tag);
}

static fwm_status read_entities(reader *r)
{
    int64_t n[4];
    for (int dim = 0; dim < 4; dim++)
        FWM_TRY(count(r, 8, 8, "the number of entities", &n[dim]));
    for (int dim = 0; dim < 4; dim++)
        for (int64_t k = 0; k < n[dim]; k++)
            FWM_TRY(read_entity(r, dim));
    qsort(r->entities, (size_t)r->n_entities, sizeof *r->entities, compare_entities);
    return FWM_OK;
}

static fwm_status room_for_nodes(reader *r, int64_t n)
{
    gmsh_file *f = r->file;
    EXPECT(!f->x, "a second section $Nodes");
    f->tag = fwm_malloc((size_t)n, sizeof *f->tag);
    f->x = fwm_malloc((size_t)n * 3, sizeof *f->x);
    FWM_CHECK(f->tag && f->x, FWM_MEMORY, "%s: out of memory for %lld nodes", f->path, (long long)n);
    return FWM_OK;
}

static fwm_status read_point(reader *r, int64_t at)
{
    for (int d = 0; d < 3; d++)
        FWM_TRY(real(r, "a coordinate of a node", &r->file->x[3 * at + d]));
    return FWM_OK;
}

static fwm_status read_nodes_2(reader *r)
{
    int64_t n;
    FWM_TRY(text_count(r, 8, "the number of nodes", &n));
    FWM_TRY(room_for_nodes(r, n));
    for (int64_t k = 0; k < n; k++) {
        FWM_TRY(whole(r, 4, "the tag of a node", &r->file->tag[k]));
        FWM_TRY(read_point(r, k));
        r->file->n_nodes++;
    }
    return FWM_OK;
}

static fwm_status read_nodes_4(reader *r)
{
    int64_t blocks, n, ignored;
    FWM_TRY(count(r, 8, 8, "the number of blocks of nodes", &blocks));
    FWM_TRY(count(r, 8, 8, "the number of nodes", &n));
    for (int k = 0; k < 2; k++)
        FWM_TRY(whole(r, 8, "the least and largest tag of nodes", &ignored));
    FWM_TRY(room_for_nodes(r, n));
    for (int64_t b = 0; b < blocks; b++) {
        int32_t dim, parametric;
        int64_t here, first = r->file->n_nodes;
        FWM_TRY(small(r, "the dimension of an entity", 0, 3, &dim));
        FWM_TRY(whole(r, 4, "the tag of an entity", &ignored));
        FWM_TRY(small(r, "whether nodes are parametric", 0, 1, &parametric));
        FWM_TRY(count(r, 8, 8, "the number of nodes of a block", &here));
        EXPECT(here <= n - first, "blocks hold more nodes than the %lld of the section's head", (long long)n);
        for (int64_t k = 0; k < here; k++)
            FWM_TRY(whole(r, 8, "the tag of a node", &r->file->tag[first + k]));
        for (int64_t k = 0; k < here; k++) {
            FWM_TRY(read_point(r, first + k));
            double parameter;
            for (int d = 0; parametric && d < dim; d++)
                FWM_TRY(real(r, "a parameter of a node", &parameter));
        }
        r->file->n_nodes += here;
    }
    EXPECT(r->file->n_nodes == n, "expected %lld nodes in the blocks, found %lld", (long long)n,
           (long long)r->file->n_nodes);
    return FWM_OK;
}

/* Which list elements of gmsh's type belong to: -1 for points. */
static fwm_status kind_of_type(const reader *r, int64_t type, int *kind)
{
    static const struct {
        int type;
        const char *name;
    } refused[] = {{6, "prisms"},
                   {7, "pyramids"},
                   {8, "lines of second order"},
                   {9, "triangles of second order"},
                   {10, "quadrilaterals of second order"},
                   {11, "tetrahedra of second order"},
                   {12, "hexahedra of second order"},
                   {16, "quadrilaterals of second order"},
                   {17, "hexahedra of second order"}};
    *kind = -1;
    if (type == GMSH_POINT)
        return FWM_OK;
    for (int k = 0; k < GMSH_KINDS; k++)
        if (gmsh_kinds[k].type == type) {
            *kind = k;
            return FWM_OK;
        }
    for (size_t k = 0; k < sizeof refused / sizeof *refused; k++)
        EXPECT(refused[k].type != type,
               "found %s (type %lld)%s; expected straight triangles, quadrilaterals, "
               "tetrahedra or hexahedra%s",
               refused[k].name, (long long)type, type > 7 ? ": curved geometry" : "",
               type > 7 ? ": save with Mesh.ElementOrder = 1" : "");
    EXPECT(false,
           "found elements of type %lld; expected straight triangles, quadrilaterals, tetrahedra or hexahedra "
           "(types 2 to 5): save with Mesh.ElementOrder = 1",
           (long long)type);
    return FWM_OK;
}

/* The nodes of one element, kept under its kind (not for points). */
static fwm_status take_element(reader *r, int kind, int bytes, int32_t group)
{
    int64_t node;
    if (kind < 0)
        return whole(r, bytes, "the node of a point", &node);
    gmsh_elements *e = &r->file->element[kind];
    int n = gmsh_kinds[kind].nodes;
    if (e->count == e->room) {
        int64_t room = e->room;
        FWM_TRY(grow(r, &e->group, e->count, &room, sizeof *e->group));
        FWM_TRY(grow(r, &e->node, e->count, &e->room, (size_t)n * sizeof *e->node));
    }
    for (int k = 0; k < n; k++)
        FWM_TRY(whole(r, bytes, "a node of an element", &e->node[e->count * n + k]));
    e->group[e->count++] = group;
    return FWM_OK;
}

/* Tags of format 2: the first is the physical group. */
static fwm_status read_tags(reader *r, int32_t n, int32_t *group)
{
    *group = 0;
    for (int32_t k = 0; k < n; k++) {
        int64_t tag;
        FWM_TRY(whole(r, 4, "a tag of an element", &tag));
        EXPECT(llabs(tag) <= INT32_MAX, "a tag of an element is out of range: %lld", (long long)tag);
        if (k == 0)
            *group = (int32_t)llabs(tag);
    }
    return FWM_OK;
}

static fwm_status read_elements_2(reader *r)
{
    int64_t n, done = 0;
    FWM_TRY(text_count(r, 6, "the number of elements", &n));
    while (done < n) {
        int64_t type, tag, block = 1;
        int32_t tags, group;
        int kind;
        if (!r->binary)
            FWM_TRY(whole(r, 4, "the tag of an element", &tag));
        FWM_TRY(whole(r, 4, "the type of an element", &type));
        FWM_TRY(kind_of_type(r, type, &kind));
        if (r->binary)
            FWM_TRY(count(r, 4, 4, "the number of elements of a block", &block));
        EXPECT(block >= 1 && block <= n - done, "a block of %lld elements, but %lld are left", (long long)block,
               (long long)(n - done));
        FWM_TRY(small(r, "the number of tags of an element", 0, MAX_TAGS, &tags));
        for (int64_t k = 0; k < block; k++) {
            if (r->binary)
                FWM_TRY(whole(r, 4, "the tag of an element", &tag));
            FWM_TRY(read_tags(r, tags, &group));
            FWM_TRY(take_element(r, kind, 4, group));
        }
        done += block;
    }
    return FWM_OK;
}

static fwm_status read_elements_4(reader *r)
{
    int64_t blocks, n, ignored, done = 0;
    FWM_TRY(count(r, 8, 8, "the number of blocks of elements", &blocks));
    FWM_TRY(count(r, 8, 4, "the number of elements", &n));
    for (int k = 0; k < 2; k++)
        FWM_TRY(whole(r, 8, "the least and largest tag of elements", &ignored));
    for (int64_t b = 0; b < blocks; b++) {
        int32_t dim;
        int64_t tag, type, here;
        int kind;
        FWM_TRY(small(r, "the dimension of an entity", 0, 3, &dim));
        FWM_TRY(whole(r, 4, "the tag of an entity", &tag));
        FWM_TRY(whole(r, 4, "the type of an element", &type));
        FWM_TRY(kind_of_type(r, type, &kind));
        FWM_TRY(count(r, 8, 4, "the number of elements of a block", &here));
        entity key = {dim, (int32_t)tag, 0}, *own = NULL;
        if (r->n_entities > 0)
            own = bsearch(&key, r->entities, (size_t)r->n_entities, sizeof key, compare_entities);
        EXPECT(own || r->n_entities == 0, "elements of an entity %lld of dimension %d that $Entities does not list",
               (long long)tag, dim);
        for (int64_t k = 0; k < here; k++) {
            FWM_TRY(whole(r, 8, "the tag of an element", &ignored));
            FWM_TRY(take_element(r, kind, 8, own ? own->group : 0));
        }
        done += here;
    }
    EXPECT(done == n, "expected %lld elements in the blocks, found %lld", (long long)n, (long long)done);
    return FWM_OK;
}

/* Moves behind the line that ends a section, from anywhere before it. */
static fwm_status skip_section(reader *r, const char *name)
{
    char end[80];
    (void)snprintf(end, sizeof end, "$End%s", name + 1);
    const char *found = memmem(r->text + r->at, r->size - r->at, end, strlen(end));
    EXPECT(found, "section %s: expected %s, found the end of the file; is it cut off?", name, end);
    r->at = (size_t)(found - r->text) + strlen(end);
    return FWM_OK;
}

static fwm_status end_section(reader *r, const char *name)
{
    char end[80];
    (void)snprintf(end, sizeof end, "$End%s", name + 1);
    char text[32];
    skip_space(r);
    EXPECT(strncmp(r->text + r->at, end, strlen(end)) == 0, "section %s: expected %s, found %s", name, end,
           here(r, text));
    r->at += strlen(end);
    return FWM_OK;
}

static fwm_status read_section(reader *r, const char *name)
{
    static const struct {
        const char *name;
        int version; /* 0: both */
        fwm_status (*read)(reader *r);
    } sections[] = {{"$PhysicalNames", 0, read_names}, {"$Entities", 4, read_entities},
                    {"$Nodes", 2, read_nodes_2},       {"$Nodes", 4, read_nodes_4},
                    {"$Elements", 2, read_elements_2}, {"$Elements", 4, read_elements_4}};
    for (size_t k = 0; k < sizeof sections / sizeof *sections; k++)
        if (strcmp(sections[k].name, name) == 0 &&
            (sections[k].version == 0 || sections[k].version == (r->four ? 4 : 2))) {
            FWM_TRY(sections[k].read(r));
            return end_section(r, name);
        }
    EXPECT(strcmp(name, "$Periodic") != 0,
           "the mesh is periodic: only boxes can be (mesh it without Periodic, or make a box)");
    EXPECT(strcmp(name, "$PartitionedEntities") != 0, "the file is one of several parts: save the whole mesh");
    return skip_section(r, name);
}

static fwm_status read_all(reader *r)
{
    char name[64], text[32];
    skip_space(r);
    take_line(r, name, sizeof name);
    EXPECT(strncmp(name, "$MeshFormat", 11) == 0, "expected $MeshFormat, found '%.20s': not a gmsh file", name);
    FWM_TRY(read_format(r));
    FWM_TRY(end_section(r, "$MeshFormat"));
    for (skip_space(r); r->at < r->size; skip_space(r)) {
        EXPECT(r->text[r->at] == '$', "expected a section, found %s", here(r, text));
        take_line(r, name, sizeof name);
        name[strcspn(name, " \t")] = 0;
        FWM_TRY(read_section(r, name));
    }
    EXPECT(r->file->n_nodes > 0, "no section $Nodes with nodes");
    return FWM_OK;
}

static fwm_status load(reader *r)
{
    const char *path = r->file->path;
    FILE *f = fopen(path, "rb");
    FWM_CHECK(f, FWM_IO, "%s: %s", path, strerror(errno));
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, fseek(f, 0, SEEK_END) == 0 && ftell(f) >= 0, FWM_IO, "%s: not a file", path);
    r->size = (size_t)ftell(f);
    FWM_CHECK_GOTO(status, r->size < ((size_t)1 << 32), FWM_IO, "%s: expected less than 4 GiB, found %zu bytes", path,
                   r->size);
    r->text = fwm_malloc(r->size + 1, 1);
    FWM_CHECK_GOTO(status, r->text, FWM_MEMORY, "%s: out of memory for %zu bytes", path, r->size);
    rewind(f);
    FWM_CHECK_GOTO(status, fread(r->text, 1, r->size, f) == r->size, FWM_IO, "%s: %s", path, strerror(errno));
    r->text[r->size] = 0;
done:
    (void)fclose(f);
    return status;
}

fwm_status gmsh_read(gmsh_file *file, const char *path)
{
    *file = (gmsh_file){.path = path};
    reader r = {.file = file};
    fwm_status status = load(&r);
    if (status == FWM_OK)
        status = read_all(&r);
    fwm_free(r.text);
    fwm_free(r.entities);
    return status;
}

void gmsh_free(gmsh_file *file)
{
    for (int k = 0; k < GMSH_KINDS; k++) {
        fwm_free(file->element[k].node);
        fwm_free(file->element[k].group);
    }
    fwm_free(file->tag);
    fwm_free(file->x);
    fwm_free(file->name);
}
