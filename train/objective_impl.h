/* The objective's structure, for objective.c (the world model) and objective_points.c (generators of points). */
#ifndef TRAIN_OBJECTIVE_IMPL_H
#define TRAIN_OBJECTIVE_IMPL_H

#include "model/transport/emphasis.h"
#include "model/transport/sinkhorn.h"
#include "train/objective.h"

enum { MAX_PARAMETERS = 512, MAX_UNROLL = 16, EXTRA = 2 };

struct tr_objective {
    tr_objective_spec spec;
    ad_graph *g;
    wm_model model;
    ad_plan *plan;
    ot_sinkhorn *sinkhorn;
    ot_edge_term *edge;
    ad_value frames, state, s_phy, actions, weights, report; /* report: terms, total, plain KL */
    ad_value first;           /* the state that the first step predicts; AD_NONE where no law judges it */
    ad_value scales;          /* input [2]: 1/s, and what contexts are multiplied by before that */
    ad_value code, true_code; /* of all steps: what the memory is given */
    ad_value context, true_context, importance; /* of the predictions, of the true codes; weights or AD_NONE */
    ot_emphasis *emphasis;
    ot_gate_value *gate[MAX_UNROLL]; /* classes of each step's true codes; of points: of true codes, of noise */
    ad_value parameter[MAX_PARAMETERS], gradient[MAX_PARAMETERS];
    int n_parameters;
};

/* Two clouds joined with their contexts, in units of the codes' deviation: [code / s, context factor / s, ...]. */
ad_value tr_objective_joined(const tr_objective *o, ad_value code, ad_value context, ad_value bound);

/* S_eps of two joined clouds and L_edge of the predictions in o->code; importance weights of mean 1 (AD_NONE: uniform)
 * of x, which the edge term's transport has too, and of y. */
void tr_objective_transport(tr_objective *o, ad_value x, ad_value y, ad_value weights, ad_value weights_y,
                            ad_value *fit, ad_value *edge);

/* objective_points.c: fills the terms of a generator or regressor of points, and what the memory is given. */
void tr_objective_points(tr_objective *o, ad_value row[TR_TERM_COUNT]);

#endif
