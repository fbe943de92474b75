/* Parameters of the law that are drawn anew for each trajectory: a value, or discs with values of their own. */
#include "physics/simulate_impl.h"

#include <math.h>
#include <string.h>

enum { DRAW_VALUE, DRAW_DISCS, DRAW_DISC = 4 }; /* four for each disc; 2^12 numbers for each parameter */

static double within(fem_range r, double uniform, bool logarithmic)
{
    return logarithmic ? r.lo * pow(r.hi / r.lo, uniform) : r.lo + (r.hi - r.lo) * uniform;
}

int64_t fem_simulation_drawn(const fem_simulation *s, int random, int *parameter)
{
    *parameter = s->spec.random[random].parameter;
    return s->spec.random[random].discs_hi > 0 ? s->mesh->n_cells : 1;
}

void fem_simulation_draw(const fem_simulation *s, int split, int64_t index, int random, double *values)
{
    const fem_random *r = &s->spec.random[random];
    const fem_mesh *mesh = s->mesh;
    const fwm_key key = {s->spec.seed, FEM_STREAM_LAW};
    const uint64_t step = fem_trajectory_key(split, index);
    const uint32_t base = (uint32_t)random << 12;
    const fem_range range = split == FEM_TEST_OOD ? r->range_ood : r->range;
    if (r->discs_hi == 0) {
        values[0] = within(range, fwm_random_uniform(key, step, base + DRAW_VALUE), r->logarithmic);
        return;
    }
    const double *own = s->varying[r->parameter];
    for (int64_t c = 0; c < mesh->n_cells; c++)
        values[c] = own ? own[c] : s->spec.truth[r->parameter];
    const double span = (double)(r->discs_hi - r->discs_lo + 1);
    const int64_t discs = r->discs_lo + (int64_t)(span * fwm_random_uniform(key, step, base + DRAW_DISCS));
    for (int64_t d = 0; d < discs; d++) {
        const uint32_t draw = base + DRAW_DISC + 4 * (uint32_t)d;
        const double value = within(range, fwm_random_uniform(key, step, draw), r->logarithmic),
                     radius = within(r->radius, fwm_random_uniform(key, step, draw + 1), false);
        double centre[2];
        for (int k = 0; k < 2; k++)
            centre[k] = mesh->lower[k] +
                        (mesh->upper[k] - mesh->lower[k]) * fwm_random_uniform(key, step, draw + 2 + (uint32_t)k);
        for (int64_t c = 0; c < mesh->n_cells; c++)
            if (fem_disc_holds(mesh, c, centre[0], centre[1], radius))
                values[c] = value;
    }
}

void fem_draw_law(fem_simulation *s, int split, int64_t index, int64_t b)
{
    int parameter;
    double *values = s->drawn + b * s->drawn_size;
    for (int k = 0; k < s->spec.n_random; k++) {
        fem_simulation_draw(s, split, index, k, values);
        values += fem_simulation_drawn(s, k, &parameter);
    }
}

fem_theta fem_drawn_theta(const fem_simulation *s, int64_t b)
{
    fem_theta theta = s->truth_theta;
    const double *values = s->drawn + b * s->drawn_size;
    for (int k = 0; k < s->spec.n_random; k++) {
        int parameter;
        const int64_t count = fem_simulation_drawn(s, k, &parameter);
        theta.value[parameter] = values;
        theta.count[parameter] = count;
        values += count;
    }
    return theta;
}

static fwm_status check_random(const fem_simulate_spec *s, const fem_equation *e, int k)
{
    const fem_random *r = &s->random[k];
    FWM_CHECK(r->parameter >= 0 && r->parameter < e->n_parameters, FWM_INVALID,
              "simulate: random: expected a parameter of %s, found number %d", e->name, r->parameter);
    const fem_parameter *p = &e->parameter[r->parameter];
    for (int j = 0; j < k; j++)
        FWM_CHECK(s->random[j].parameter != r->parameter, FWM_INVALID, "simulate: random: %s is drawn twice", p->name);
    const fem_range both[] = {r->range, r->range_ood};
    for (int j = 0; j < 2; j++)
        FWM_CHECK(both[j].lo <= both[j].hi && both[j].lo >= p->lo && both[j].hi <= p->hi &&
                      (!r->logarithmic || both[j].lo > 0),
                  FWM_INVALID, "simulate: random: expected %s from %g to %g %s%s, found %g to %g", p->name, p->lo,
                  p->hi, p->unit, r->logarithmic ? ", above 0" : "", both[j].lo, both[j].hi);
    FWM_CHECK(r->discs_lo >= 0 && r->discs_lo <= r->discs_hi && r->discs_hi <= 64, FWM_INVALID,
              "simulate: random: %s: expected 0 to 64 discs, found %lld to %lld", p->name, (long long)r->discs_lo,
              (long long)r->discs_hi);
    FWM_CHECK(r->discs_hi == 0 || (p->per_cell && r->radius.lo > 0 && r->radius.lo <= r->radius.hi), FWM_INVALID,
              "simulate: random: %s: expected a parameter that may vary in space and radii above 0 for discs, found "
              "%g to %g",
              p->name, r->radius.lo, r->radius.hi);
    return FWM_OK;
}

fwm_status fem_check_random(const fem_simulate_spec *s, const fem_equation *e)
{
    FWM_CHECK(s->n_random >= 0 && s->n_random <= FEM_MAX_PARAMETERS, FWM_INVALID,
              "simulate: random: expected at most %d parameters, found %d", FEM_MAX_PARAMETERS, s->n_random);
    FWM_CHECK(s->adaptive >= 0 && s->adaptive < 1, FWM_INVALID, "simulate: adaptive: expected 0 to below 1, found %g",
              s->adaptive);
    for (int k = 0; k < s->n_random; k++)
        FWM_TRY(check_random(s, e, k));
    return FWM_OK;
}
