/* The edge term of the boundary regulariser as a graph value, against the memory's last look at the bank.
 *
 * Transport form: from predictions to the bank's codes, contexts joined to both, by Sinkhorn's iteration; its dual
 * gives the codes' heights; where sheets' masses have not settled the heights are corrected by sheets; then L_edge with
 * hard targets of edge.h. The source is the batch's predictions and, where they are fewer than the memory's room for
 * predictions, the remembered ones (as they were: they carry no gradient), so that a small batch does not decide how
 * much mass a sheet may have. Hinge form, for heads without a distribution: the mean distance to the two nearest codes;
 * no transport.
 *
 * Before the memory is ready, and where its last look saw no gaps, the value and its gradient are 0: a manifold without
 * edges inside is left alone. One term serves one value of one graph. */
#ifndef OT_EDGE_TERM_H
#define OT_EDGE_TERM_H

#include "model/transport/edge.h"
#include "model/transport/memory.h"

typedef struct ot_edge_term ot_edge_term;

typedef struct ot_edge_options {
    bool hinge;
    double rho;     /* 0: every code draws its share; > 0: marginals relaxed, in units of s^2 */
    double scaling; /* of the annealing, in (0,1) */
    int extra;      /* iterations at the last blur (the median spacing of the bank) */
} ot_edge_options;

typedef struct ot_edge_report {
    double value, active; /* L_edge; share of predictions beyond tau */
    double group_error;   /* of the sheets' masses before the correction; 0 where there is one sheet */
    int64_t source;       /* points that transport started from */
    bool corrected;
} ot_edge_report;

/* For M predictions a run. The memory must outlive the term. Errors: FWM_INVALID, FWM_OVERFLOW, FWM_MEMORY. */
fwm_status ot_edge_term_create(ot_edge_term **t, ot_memory *memory, int64_t M,
                               const ot_edge_options *options) FWM_MUST_USE;
void ot_edge_term_destroy(ot_edge_term **t);
size_t ot_edge_term_bytes(const ot_edge_term *t);

/* L_edge [1] of predictions p [M,d] with contexts x [M,dc] (AD_NONE where dc is 0) and importance weights w [M] for
 * the transport (AD_NONE: uniform; the term itself is the plain mean). Only p has a gradient. */
ad_value ot_edge_value(ad_graph *g, ot_edge_term *t, ad_value p, ad_value x, ad_value w);

/* Of the last run. */
const ot_edge_report *ot_edge_last(const ot_edge_term *t);

#endif
