/* The geometry of a bank of codes: its scales, anchors, which anchors see each other, and its sheets.
 *
 *   d_2(x)    mean distance to the two nearest codes
 *   s         sqrt(trace of the covariance): the global scale, by which losses are divided
 *   tau, r    98 % quantile and median over codes of d_2 among the others: "on the sheet", and the spacing
 *   anchors   k-means++ and 8 Lloyd steps; of each the medoid, a real code
 *   r0        95 % quantile over codes of d_2((y + its eighth neighbour) / 2): midpoints of neighbours lie on the
 * manifold by construction, so this null is right in any dimension k, l are mutually invisible where d_2 exceeds 1.6 r0
 * on the way from one medoid to the other (t = .2, .35, .5, .65, .8): between disconnected supports, and across the
 * hollow of one that is not convex sheets    connected components of the visible graph; those of fewer than 5 codes are
 * dropped, and their codes counted to the sheet of the nearest medoid that is left
 *
 * Fixed by (bank, key, step); threads do not matter. Workspace once; an update allocates nothing. Cost of an update:
 * about (2 N + 5/2 K^2 + 9 K) N d multiply-adds. A sheet should have 50 codes or more: the eighth neighbour must lie in
 * it. */
#ifndef OT_SUPPORT_H
#define OT_SUPPORT_H

#include "model/base/random.h"
#include "model/transport/sites.h"

typedef struct ot_support_options {     /* 0: the default */
    int64_t anchors;                    /* 48; at most that many, at least four a sheet wanted */
    int64_t lloyd;                      /* 8 */
    int64_t neighbour;                  /* 8 */
    int64_t sheet;                      /* 5: codes of the smallest sheet */
    double kappa;                       /* 1.6 */
    double null_quantile, tau_quantile; /* .95, .98 */
} ot_support_options;

typedef struct ot_support ot_support;

/* What an update found. Arrays belong to the support and change with the next update. */
typedef struct ot_support_view {
    int64_t N, K, sheets, dropped;  /* codes, anchors, sheets, codes in dropped components */
    const int64_t *anchor;          /* [N]: of each code */
    const int64_t *medoid;          /* [K]: a code */
    const int64_t *sheet_of_anchor; /* [K] */
    const int64_t *sheet;           /* [N] */
    const unsigned char *invisible; /* [K][K], symmetric */
    const double *mass;             /* [sheets]: shares of the codes */
    double s, tau, r, r0;
    double unseen; /* share of the pairs of anchors that are mutually invisible */
} ot_support_view;

/* For banks of up to N codes of d coordinates. options NULL: defaults. Errors: FWM_INVALID, FWM_OVERFLOW, FWM_MEMORY.
 */
fwm_status ot_support_create(ot_support **s, ad_dtype dtype, int64_t N, int64_t d,
                             const ot_support_options *options) FWM_MUST_USE;
void ot_support_destroy(ot_support **s);
size_t ot_support_memory(const ot_support *s);

/* Looks at a bank y [N,d] of the type, 2 <= N <= room. Errors: FWM_INVALID, FWM_NUMERIC (which code is not finite). */
fwm_status ot_support_update(ot_support *s, int64_t N, const void *y, fwm_key key, uint64_t step) FWM_MUST_USE;
const ot_support_view *ot_support_get(const ot_support *s);

/* The codes as a set of sites (heights 0): distances to the bank, d_2 of predictions. */
ot_sites *ot_support_sites(ot_support *s);

/* In-loss score [d_2(p_i) - tau]_+ / s of points p [M,d], to score [M]: how far off the sheets. */
void ot_support_score(ot_support *s, double *score, int64_t M, const void *p);

/* Mean codes of the sheets to means [sheets,d] of the type: sites of a power diagram by sheets (clustered codes in high
 * d). */
void ot_support_means(const ot_support *s, void *means);

#endif
