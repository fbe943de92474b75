/* Convolution and its adjoints between an image of few channels (pixels: 3, 4) and one of many, channels last, any
 * thread count the same bits: where libraries leave most of each vector empty.
 *
 * A pixel (p,q) of the image of many channels meets a window of the other: kh runs of kw * few contiguous numbers. With
 * the narrow image in a padded copy, whose windows all lie inside, they are products of small matrices that need no
 * columns written out (W [kh, kw * few, many]):
 *   scatter   run(p,q) += W many[p,q,:]
 *   weights   W = sum over pixels of run(p,q) many[p,q,:]
 * Cin few: backward data scatters. Cout few, stride 1: forward scatters, with the taps in reverse order. The third,
 * which gathers many[p,q,:] = sum over runs of run(p,q) W, is oneDNN's: the same products ran at 0.8 to 1.1 of its
 * speed. Sums of weights run over blocks of rows, then images, then groups of images that depend on the shape alone.
 * Error: that of plain float32 sums. */
#ifndef FWM_AUTODIFF_NARROW_H
#define FWM_AUTODIFF_NARROW_H

#include "model/autodiff/dnnl/conv.h"
#include "model/autodiff/graph.h"

#include <stdbool.h>
#include <stddef.h>

/* Everything that is fixed by the shape; plain data. */
typedef struct ad_narrow {
    ad_conv_kind kind;
    bool turned; /* Cout is the narrow side */
    int64_t B, kh, kw, few, many;
    int64_t H, W, h, w; /* narrow image; wide image */
    int64_t stride[2], before[2];
    int64_t run;          /* kw * few */
    int64_t rows, length; /* of the padded copy; its rows have room for a panel behind */
    int64_t groups;       /* weights: images are summed in this many groups */
    int threads;
} ad_narrow;

/* True for the kinds above, with runs of up to 16 numbers on the narrow side and channels in multiples of 16 on the
 * other; no dilation, one group, stride 1 where Cout is the narrow side, padded images of at most 1 MiB. */
bool ad_narrow_fits(ad_conv_kind kind, const ad_conv_geometry *s);

/* True where it is faster than oneDNN: the measured rule of narrow.c. */
bool ad_narrow_pays(ad_conv_kind kind, const ad_conv_geometry *s);

/* For a shape that fits; `threads` is the largest number that a run will use. */
ad_narrow ad_narrow_plan(ad_conv_kind kind, const ad_conv_geometry *s, int threads);
const char *ad_narrow_name(const ad_narrow *p);                 /* such as "narrow:scatter" */
size_t ad_narrow_scratch(const ad_narrow *p, size_t real_size); /* bytes, for memory 64-byte aligned */

/* Two of x, w and y are read, the one of the plan's kind is written; layouts as in dnnl/conv.h. */
typedef void (*ad_narrow_kernel)(const ad_narrow *p, void *x, void *w, void *y, void *scratch);
ad_narrow_kernel ad_narrow_find(ad_dtype dtype, int isa_level); /* as fwm_isa_level() tells it */

#endif
