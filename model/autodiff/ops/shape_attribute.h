/* A shape as attributes: i[0] the rank, i[1..rank] the dimensions. */
#ifndef FWM_AUTODIFF_OPS_SHAPE_ATTRIBUTE_H
#define FWM_AUTODIFF_OPS_SHAPE_ATTRIBUTE_H

#include "model/autodiff/graph.h"

static inline ad_attributes ad_shape_attribute(const ad_shape *s)
{
    ad_attributes attr = {.i = {s->rank}};
    for (int k = 0; k < s->rank; k++)
        attr.i[1 + k] = s->dim[k];
    return attr;
}

static inline ad_shape ad_attribute_shape(const ad_attributes *attr)
{
    ad_shape s = {.rank = (int)attr->i[0]};
    for (int k = 0; k < s.rank; k++)
        s.dim[k] = attr->i[1 + k];
    return s;
}

#endif
