#include "model/autodiff/fftw/fft.h"

#include "model/base/arena.h"

#include <fftw3.h>
#include <pthread.h>

struct ad_fft {
    ad_dtype dtype;
    bool inverse;
    fftw_plan plan64;
    fftwf_plan plan32;
};

/* FFTW's planner, unlike its plans, is not made for several threads. */
static pthread_mutex_t planner = PTHREAD_MUTEX_INITIALIZER;

typedef struct layout {
    int n_axes;
    int64_t N[2], after, reals, complexes; /* numbers of one item on either side */
} layout;

/* Strides are in numbers on the real side, in pairs on the other. */
#define MAKE_PLAN(NAME, PREFIX, TYPE)                                                                                  \
    static PREFIX##_plan NAME(const layout *s, bool inverse)                                                           \
    {                                                                                                                  \
        PREFIX##_iodim64 dim[2], many = {s->after, 1, 1};                                                              \
        ptrdiff_t last = s->N[s->n_axes - 1], half = last / 2 + 1;                                                     \
        for (int a = 0; a < s->n_axes; a++) {                                                                          \
            ptrdiff_t is = s->after * (a == s->n_axes - 1 ? 1 : last),                                                 \
                      os = s->after * (a == s->n_axes - 1 ? 1 : half);                                                 \
            dim[a] = (PREFIX##_iodim64){s->N[a], inverse ? os : is, inverse ? is : os};                                \
        }                                                                                                              \
        unsigned flags = FFTW_ESTIMATE | FFTW_UNALIGNED | (inverse ? FFTW_DESTROY_INPUT : FFTW_PRESERVE_INPUT);        \
        TYPE *x = fwm_malloc((size_t)s->reals, sizeof *x);                                                             \
        PREFIX##_complex *y = fwm_malloc((size_t)s->complexes, sizeof *y);                                             \
        PREFIX##_plan plan = NULL;                                                                                     \
        if (x && y)                                                                                                    \
            plan = inverse ? PREFIX##_plan_guru64_dft_c2r(s->n_axes, dim, 1, &many, y, x, flags)                       \
                           : PREFIX##_plan_guru64_dft_r2c(s->n_axes, dim, 1, &many, x, y, flags);                      \
        fwm_free(x);                                                                                                   \
        fwm_free(y);                                                                                                   \
        return plan;                                                                                                   \
    }
MAKE_PLAN(make_plan64, fftw, double)
MAKE_PLAN(make_plan32, fftwf, float)

fwm_status ad_fft_create(ad_fft **fft, ad_dtype dtype, int n_axes, const int64_t *N, int64_t after, bool inverse)
{
    *fft = NULL;
    layout s = {.n_axes = n_axes, .after = after, .reals = after, .complexes = after};
    for (int a = 0; a < n_axes; a++) {
        s.N[a] = N[a];
        s.reals *= N[a];
        s.complexes *= a == n_axes - 1 ? N[a] / 2 + 1 : N[a];
    }
    ad_fft *f = fwm_calloc(1, sizeof *f);
    FWM_CHECK(f, FWM_MEMORY, "Fourier transform: out of memory");
    f->dtype = dtype;
    f->inverse = inverse;
    (void)pthread_mutex_lock(&planner);
    if (dtype == AD_F64)
        f->plan64 = make_plan64(&s, inverse);
    else
        f->plan32 = make_plan32(&s, inverse);
    (void)pthread_mutex_unlock(&planner);
    if (!f->plan64 && !f->plan32) {
        ad_fft_destroy(&f);
        return fwm_fail(FWM_LIBRARY, "FFTW makes no plan for %d axes, the last of length %lld, %lld numbers each",
                        n_axes, (long long)N[n_axes - 1], (long long)after);
    }
    *fft = f;
    return FWM_OK;
}

void ad_fft_destroy(ad_fft **fft)
{
    ad_fft *f = fft ? *fft : NULL;
    if (!f)
        return;
    (void)pthread_mutex_lock(&planner);
    if (f->plan64)
        fftw_destroy_plan(f->plan64);
    if (f->plan32)
        fftwf_destroy_plan(f->plan32);
    (void)pthread_mutex_unlock(&planner);
    fwm_free(f);
    *fft = NULL;
}

void ad_fft_run(const ad_fft *f, void *from, void *to)
{
    if (f->dtype == AD_F64 && f->inverse)
        fftw_execute_dft_c2r(f->plan64, from, to);
    else if (f->dtype == AD_F64)
        fftw_execute_dft_r2c(f->plan64, from, to);
    else if (f->inverse)
        fftwf_execute_dft_c2r(f->plan32, from, to);
    else
        fftwf_execute_dft_r2c(f->plan32, from, to);
}
