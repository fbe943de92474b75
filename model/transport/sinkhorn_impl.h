/* What a divergence is made of, for sinkhorn.c (the iteration) and sinkhorn_graph.c (the graph value). */
#ifndef OT_SINKHORN_IMPL_H
#define OT_SINKHORN_IMPL_H

#include "model/autodiff/ops.h"
#include "model/transport/kernels/softmin.h"
#include "model/transport/numeric.h"
#include "model/transport/sinkhorn.h"

enum { XY, XX, YY, N_PAIRS };

struct ot_sinkhorn {
    ad_dtype dtype;
    int64_t M, N, d, dp; /* dp: coordinates of the copies, padded with zeros */
    ot_sinkhorn_options options;
    const ot_kernels *kernels;
    void *block;
    size_t size;
    ot_pair pair[N_PAIRS];
    void *x, *y, *x_panels, *y_panels;       /* centred clouds, by points and by panels of points */
    void *bar_xy, *bar_yx, *bar_xx, *bar_yy; /* barycentres, by points */
    double *a, *b, *log_a, *log_b;
    double *f, *g, *p, *q, *ft, *gt, *pt, *qt;
    ot_sinkhorn_result last;
    ad_custom custom;
    bool weighted[2]; /* the graph value has weights of x, of y */
};

#endif
