/* Helpers of operator files for the samples of the table test. */
#ifndef FWM_AUTODIFF_OPS_SAMPLES_H
#define FWM_AUTODIFF_OPS_SAMPLES_H

#include "model/autodiff/op.h"

static inline int ad_samples_copy(ad_sample *s, int capacity, const ad_sample *all, int n)
{
    int count = n < capacity ? n : capacity;
    for (int i = 0; i < count; i++)
        s[i] = all[i];
    return count;
}

/* Their body, where the operator's samples are a plain list. */
#define AD_SAMPLES(...)                                                                                                \
    static int samples(ad_sample *s, int capacity)                                                                     \
    {                                                                                                                  \
        const ad_sample all[] = {__VA_ARGS__};                                                                         \
        return ad_samples_copy(s, capacity, all, (int)(sizeof all / sizeof *all));                                     \
    }

#endif
