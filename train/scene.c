#include "train/scene.h"

#include <string.h>

fem_scheme tr_scheme_of(int scheme)
{
    static const fem_scheme schemes[] = {[TR_BACKWARD_EULER] = FEM_BACKWARD_EULER,
                                         [TR_MIDPOINT] = FEM_MIDPOINT,
                                         [TR_NEWMARK] = FEM_MIDPOINT,
                                         [TR_BDF2] = FEM_BDF2,
                                         [TR_GENERALISED_ALPHA] = FEM_GENERALISED_ALPHA};
    return schemes[scheme];
}

static const char *given(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

fwm_status tr_scene_fill(tr_scene *s, const tr_config *c, const fem_equation *eq)
{
    const tr_load *load = c->simulate.loads.items;
    const tr_condition *condition = c->simulate.conditions.items;
    *s = (tr_scene){.n_conditions = (int)c->simulate.conditions.count};
    int64_t driven = 0;
    for (int k = 0; k < s->n_conditions; k++)
        driven += condition[k].action[0] != '\0';
    const int64_t actions = c->simulate.sources.rows + c->simulate.loads.count + eq->n_ambient + driven;
    FWM_CHECK(actions <= FEM_MAX_ACTIONS, FWM_CONFIG,
              "simulate: expected at most %d actions, found %lld: %lld sources, %lld loads, %d ambient value(s), %lld "
              "driven condition(s)",
              FEM_MAX_ACTIONS, (long long)actions, (long long)c->simulate.sources.rows,
              (long long)c->simulate.loads.count, eq->n_ambient, (long long)driven);
    for (int64_t i = 0; i < c->simulate.sources.rows; i++)
        s->source[s->n_sources++] = (fem_source){.x = c->simulate.sources.items[2 * i],
                                                 .y = c->simulate.sources.items[2 * i + 1],
                                                 .half_width = c->simulate.source_half_width,
                                                 .power = c->simulate.source_power};
    for (int64_t i = 0; i < c->simulate.loads.count; i++) {
        const tr_load *l = &load[i];
        s->source_name[s->n_sources] = l->action;
        s->source[s->n_sources++] = (fem_source){.x = l->at[0],
                                                 .y = l->at[1],
                                                 .half_width = l->half_width,
                                                 .power = l->power,
                                                 .field = given(l->field),
                                                 .boundary = given(l->boundary)};
    }
    for (int k = 0; k < s->n_conditions; k++) {
        const tr_condition *q = &condition[k];
        const bool moved = q->action[0] != '\0';
        s->condition[k] = (fem_condition){.boundary = q->boundary,
                                          .field = given(q->field),
                                          .natural = given(q->natural),
                                          .constant = moved ? q->value : 0,
                                          .gain = moved ? q->gain : q->value,
                                          .driven = moved};
        s->parabolic[k] = q->profile == TR_PROFILE_PARABOLIC;
        s->condition_name[k] = given(q->action);
        s->n_driven += moved;
    }
    return FWM_OK;
}
