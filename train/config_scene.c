/* Rules of a simulated scene: conditions, loads and starts fit the equation and the mesh. Each is reported where it
 * stands. */
#include "physics/fem.h"
#include "physics/scheme.h"
#include "train/config_internal.h"
#include "train/scene.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PLANE = 2 };
static const char *const sides[] = {"left", "right", "bottom", "top", "front", "back"}; /* of boxes: two an axis */

static int dimensions(const tr_config *c)
{
    return c->simulate.cell == TR_TETRAHEDRON || c->simulate.cell == TR_HEXAHEDRON ? 3 : PLANE;
}

/* A field or component of the equation; after an error count is 0. */
static void find_field(const tr_config *c, tr_errors *errors, tr_place place, const char *path, const fem_equation *e,
                       const char *name, int *first, int *count)
{
    if (fem_equation_component(e, dimensions(c), name, first, count) == FWM_OK)
        return;
    tr_errors_add(errors, place, path, "%s", fwm_error_message());
    *count = 0;
}

/* Boundaries of a box; those of a file are known when it is read. */
static void hold_boundary(const tr_config *c, tr_errors *errors, tr_place place, const char *path, const char *name)
{
    const int count = 2 * dimensions(c);
    int side = 0;
    if (c->simulate.mesh[0] != '\0')
        return;
    while (side < count && strcmp(name, sides[side]) != 0)
        side++;
    if (side == count)
        tr_errors_add(errors, place, path,
                      "expected a boundary of the box (left, right, bottom, top%s), found \"%.60s\"",
                      count > 4 ? ", front, back" : "", name);
    for (int64_t k = 0; side < count && k < c->simulate.periodic.count; k++)
        if (c->simulate.periodic.items[k][0] - 'x' == side / 2)
            tr_errors_add(errors, place, path,
                          "expected a boundary that is there: the box is periodic along %s, so it "
                          "has no %s",
                          c->simulate.periodic.items[k], name);
}

static bool knows_natural(const fem_equation *e, const char *name)
{
    for (int k = 0; k < e->n_natural; k++)
        if (strcmp(e->natural[k], name) == 0)
            return true;
    return false;
}

static void hold_natural(tr_errors *errors, const tr_condition *q, const char *path, const fem_equation *e)
{
    char names[200] = "none";
    size_t n = 0;
    for (int k = 0; k < e->n_natural && n < sizeof names; k++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", k > 0 ? ", " : "", e->natural[k]);
    if (!knows_natural(e, q->natural))
        tr_errors_add(errors, q->place, path, "expected a natural condition of %s (%s), found \"%.60s\"", e->name,
                      names, q->natural);
    if (q->action[0] != '\0')
        tr_errors_add(errors, q->place, path, "expected no action: a natural condition is not driven by one");
}

static void hold_conditions(const tr_config *c, tr_errors *errors, const fem_equation *e)
{
    const tr_condition *all = c->simulate.conditions.items;
    for (int64_t k = 0; k < c->simulate.conditions.count; k++) {
        const tr_condition *q = &all[k];
        char path[64];
        int first = 0, count = 0;
        (void)snprintf(path, sizeof path, "simulate.conditions[%lld]", (long long)k);
        hold_boundary(c, errors, q->place, path, q->boundary);
        if ((q->field[0] != '\0') == (q->natural[0] != '\0')) {
            tr_errors_add(errors, q->place, path, "expected either a field or a natural condition, found %s",
                          q->field[0] != '\0' ? "both" : "neither");
            continue;
        }
        if (q->natural[0] != '\0') {
            hold_natural(errors, q, path, e);
            continue;
        }
        find_field(c, errors, q->place, path, e, q->field, &first, &count);
        for (int64_t j = 0; j < k; j++) {
            int from, width;
            if (all[j].field[0] == '\0' || strcmp(all[j].boundary, q->boundary) != 0 ||
                fem_equation_component(e, dimensions(c), all[j].field, &from, &width) != FWM_OK)
                continue;
            if (from < first + count && first < from + width)
                tr_errors_add(errors, q->place, path,
                              "expected one condition for each field at %s, found %s again (first at %d:%d)",
                              q->boundary, q->field, all[j].place.line, all[j].place.column);
        }
    }
}

static void hold_loads(const tr_config *c, tr_errors *errors, const fem_equation *e)
{
    const tr_load *all = c->simulate.loads.items;
    for (int64_t k = 0; k < c->simulate.loads.count; k++) {
        char path[64];
        int first, count = 1;
        (void)snprintf(path, sizeof path, "simulate.loads[%lld]", (long long)k);
        if (all[k].field[0] != '\0')
            find_field(c, errors, all[k].place, path, e, all[k].field, &first, &count);
        if (count > 1)
            tr_errors_add(errors, all[k].place, path, "expected one component, as in %s.x, found all of %s",
                          all[k].field, all[k].field);
        if (all[k].boundary[0] != '\0')
            hold_boundary(c, errors, all[k].place, path, all[k].boundary);
        else if (dimensions(c) > PLANE)
            tr_errors_add(errors, all[k].place, path, "expected a boundary in space: squares are of the plane");
    }
}

static void hold_starts(const tr_config *c, tr_errors *errors, const fem_equation *e)
{
    const tr_field_start *all = c->simulate.start.items;
    bool taken[FEM_MAX_COMPONENTS] = {false};
    for (int64_t k = 0; k < c->simulate.start.count; k++) {
        char path[64];
        int first, count;
        (void)snprintf(path, sizeof path, "simulate.start[%lld]", (long long)k);
        find_field(c, errors, all[k].place, path, e, all[k].field, &first, &count);
        for (int i = first; i < first + count; i++) {
            if (taken[i])
                tr_errors_add(errors, all[k].place, path, "expected each component once, found %s again", all[k].field);
            taken[i] = true;
        }
    }
}

static void hold_regions(const tr_config *c, tr_errors *errors, const fem_equation *e)
{
    const tr_region *all = c->simulate.regions.items;
    for (int64_t k = 0; k < c->simulate.regions.count; k++) {
        char path[64];
        int index;
        (void)snprintf(path, sizeof path, "simulate.regions[%lld]", (long long)k);
        if (fem_parameter_find(e, all[k].parameter, &index) != FWM_OK) {
            tr_errors_add(errors, all[k].place, path, "%s", fwm_error_message());
            continue;
        }
        const fem_parameter *p = &e->parameter[index];
        if (!p->per_cell)
            tr_errors_add(errors, all[k].place, path, "expected a parameter that may vary in space, found %s", p->name);
        if (all[k].value < p->lo || all[k].value > p->hi)
            tr_errors_add(errors, all[k].place, path, "expected %s from %g to %g %s, found %g", p->name, p->lo, p->hi,
                          p->unit, all[k].value);
        if (c->simulate.mesh[0] == '\0')
            tr_errors_add(errors, all[k].place, path, "expected none: a box has no regions; give simulate.mesh");
    }
}

static void hold_random(const tr_config *c, tr_errors *errors, const fem_equation *e)
{
    const tr_random *all = c->simulate.random.items;
    for (int64_t k = 0; k < c->simulate.random.count; k++) {
        const tr_random *r = &all[k];
        char path[64];
        int index;
        (void)snprintf(path, sizeof path, "simulate.random[%lld]", (long long)k);
        if (fem_parameter_find(e, r->parameter, &index) != FWM_OK) {
            tr_errors_add(errors, r->place, path, "%s", fwm_error_message());
            continue;
        }
        const fem_parameter *p = &e->parameter[index];
        const bool same = r->ood_range[0] == 0 && r->ood_range[1] == 0;
        const double lo = same ? r->range[0] : fmin(r->range[0], r->ood_range[0]),
                     hi = same ? r->range[1] : fmax(r->range[1], r->ood_range[1]);
        if (lo < p->lo || hi > p->hi || (r->spread == TR_SPREAD_LOGARITHMIC && lo <= 0))
            tr_errors_add(errors, r->place, path, "expected %s from %g to %g %s%s, found %g to %g", p->name, p->lo,
                          p->hi, p->unit, r->spread == TR_SPREAD_LOGARITHMIC ? ", above 0" : "", lo, hi);
        if (r->discs[1] > 0 && !p->per_cell)
            tr_errors_add(errors, r->place, path, "expected no discs: %s cannot vary in space", p->name);
        for (int64_t j = 0; j < k; j++)
            if (strcmp(all[j].parameter, r->parameter) == 0)
                tr_errors_add(errors, r->place, path, "expected each parameter once, found %s again (first at %d:%d)",
                              r->parameter, all[j].place.line, all[j].place.column);
    }
}

static tr_place place_of(const tr_config *c, const char *path)
{
    const tr_place place = c->own->places[tr_row_find(path) - tr_config_rows];
    return place.file != NULL ? place : (tr_place){c->own->file, 1, 1};
}

static void hold_cheap(const tr_config *c, tr_errors *errors, const fem_equation *e)
{
    if (c->simulate.nominal_equation == 0)
        return;
    const fem_equation *cheap = fem_equation_at(c->simulate.nominal_equation - 1);
    bool same = e->n_fields == cheap->n_fields && e->n_ambient == cheap->n_ambient;
    for (int k = 0; k < e->n_fields && same; k++)
        same = strcmp(e->field[k], cheap->field[k]) == 0;
    if (!same)
        tr_errors_add(errors, place_of(c, "simulate.nominal_equation"), "simulate.nominal_equation",
                      "expected an equation of the same fields as %s, found %s", e->name, cheap->name);
}

/* Boxes have as many numbers as their cells have dimensions. */
static void hold_space(const tr_config *c, tr_errors *errors, const fem_equation *e)
{
    const int dim = dimensions(c);
    const struct {
        const char *path;
        int64_t count;
    } list[] = {{"simulate.cells", c->simulate.cells.count},
                {"simulate.coarse_cells", c->simulate.coarse_cells.count},
                {"simulate.size", c->simulate.size.count}};
    for (int k = 0; k < 3 && c->simulate.mesh[0] == '\0'; k++)
        if (list[k].count != dim)
            tr_errors_add(errors, place_of(c, list[k].path), list[k].path,
                          "expected %d numbers for %s cells, found %lld", dim,
                          tr_config_word("simulate.cell", c->simulate.cell), (long long)list[k].count);
    for (int64_t k = 0; k < c->simulate.periodic.count; k++)
        if (c->simulate.periodic.items[k][0] - 'x' >= dim)
            tr_errors_add(errors, place_of(c, "simulate.periodic"), "simulate.periodic",
                          "expected axes of the plane, found z");
    if (e->max_dim > 0 && dim > e->max_dim)
        tr_errors_add(errors, place_of(c, "simulate.cell"), "simulate.cell",
                      "expected cells of the plane: %s has no form in space", e->name);
    if (dim > PLANE && c->simulate.sources.rows > 0)
        tr_errors_add(errors, place_of(c, "simulate.sources"), "simulate.sources",
                      "expected none in space: squares are of the plane; give simulate.loads on boundaries");
    if (dim > PLANE && c->simulate.deformed)
        tr_errors_add(errors, place_of(c, "simulate.deformed"), "simulate.deformed",
                      "expected false in space: frames show a plane of the body's place at rest");
}

static void hold_deformed(const tr_config *c, tr_errors *errors, const fem_equation *e)
{
    int first, count = 0;
    if (!c->simulate.deformed && (c->simulate.margin[0] > 0 || c->simulate.margin[1] > 0))
        tr_errors_add(errors, place_of(c, "simulate.margin"), "simulate.margin",
                      "expected [0, 0] where simulate.deformed is false");
    if (!c->simulate.deformed)
        return;
    if (fem_equation_component(e, PLANE, "displacement", &first, &count) != FWM_OK || count != PLANE)
        tr_errors_add(errors, place_of(c, "simulate.deformed"), "simulate.deformed",
                      "expected an equation whose displacement is a vector, such as elasticity, found %s", e->name);
    if (c->simulate.periodic.count > 0)
        tr_errors_add(errors, place_of(c, "simulate.deformed"), "simulate.deformed",
                      "expected false where the box is periodic: a body that moves has no place there");
}

void tr_config_hold_scene(const tr_config *c, tr_errors *errors)
{
    const fem_equation *e = fem_equation_at(c->simulate.equation);
    int first, count;
    hold_conditions(c, errors, e);
    hold_loads(c, errors, e);
    hold_starts(c, errors, e);
    hold_regions(c, errors, e);
    hold_random(c, errors, e);
    hold_cheap(c, errors, e);
    if (c->simulate.frame_field[0] != '\0')
        find_field(c, errors, place_of(c, "simulate.frame_field"), "simulate.frame_field", e, c->simulate.frame_field,
                   &first, &count);
    hold_space(c, errors, e);
    hold_deformed(c, errors, e);
    if (c->simulate.mesh[0] != '\0' && c->simulate.periodic.count > 0)
        tr_errors_add(errors, place_of(c, "simulate.periodic"), "simulate.periodic",
                      "expected none: the mesh comes from a file");
    const int least = fem_scheme_substeps(tr_scheme_of(c->simulate.scheme));
    if (c->simulate.substeps < least || c->simulate.nominal_substeps < least)
        tr_errors_add(errors, place_of(c, "simulate.scheme"), "simulate.scheme",
                      "expected simulate.substeps and nominal_substeps of at least %d for %s, found %lld and %lld",
                      least, fem_scheme_name(tr_scheme_of(c->simulate.scheme)), (long long)c->simulate.substeps,
                      (long long)c->simulate.nominal_substeps);
    const int steps = fem_scheme_substeps(tr_scheme_of(c->physics.scheme));
    if (c->physics.equation != TR_EQUATION_NONE && c->physics.substeps < steps)
        tr_errors_add(errors, place_of(c, "physics.scheme"), "physics.scheme",
                      "expected physics.substeps of at least %d for %s, found %lld", steps,
                      fem_scheme_name(tr_scheme_of(c->physics.scheme)), (long long)c->physics.substeps);
}
