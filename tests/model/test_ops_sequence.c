/* Normalisation, recurrence, attention, spectra, categorical codes, losses and products by index against their formulas
 * in float64, and first and second derivatives of what is made of other operators. Inputs are of magnitude 1 where
 * nothing else is said; bounds are in units of the type's eps. */
#include "tests/model/op_trial.h"

/* ---- RMS norm ---- */

static ad_value build_rms_norm(ad_graph *g, const ad_value *in, const int64_t *how)
{
    (void)how;
    return ad_rms_norm(g, in[0], in[1], 1e-3);
}

/* Three roundings of |y| <= |x| / (|x| C^(-1/2)) = C^(1/2). */
Test(ops_sequence, rms_norm)
{
    for (int64_t C = 1; C < 300; C = 3 * C + 2) {
        trial t = {.what = "rms_norm"};
        double *x = trial_input(&t, ad_shape_make(3, 2, 50, C), 0, 0),
               *scale = trial_input(&t, ad_shape_make(1, C), 0, 0);
        double *y = trial_output(&t, ad_shape_make(3, 2, 50, C));
        for (int64_t row = 0; row < 100; row++) {
            double square = 0;
            for (int64_t c = 0; c < C; c++)
                square += x[row * C + c] * x[row * C + c];
            for (int64_t c = 0; c < C; c++)
                y[row * C + c] = x[row * C + c] / sqrt(square / (double)C + 1e-3) * scale[c];
        }
        trial_hold(&t, build_rms_norm, 4 * sqrt((double)C));
    }
}

/* ---- GRU ---- */

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static ad_value build_gru(ad_graph *g, const ad_value *in, const int64_t *how)
{
    (void)how;
    return ad_gru(g, in[0], in[1], in[2], in[3], in[4], in[5]);
}

/* The gates' sums have I + H + 2 terms of magnitude 1: error (I + H + 4)^2. Slopes of what follows are at most 1, and
 * the elementary functions are off by at most 3 ulp. */
Test(ops_sequence, gru_step)
{
    static const int64_t sizes[][3] = {{3, 4, 5}, {1, 1, 1}, {70, 9, 96}};
    for (int k = 0; k < 3; k++) {
        int64_t B = sizes[k][0], I = sizes[k][1], H = sizes[k][2];
        trial t = {.what = "gru"};
        const double *x = trial_input(&t, ad_shape_make(2, B, I), 0, 0),
                     *h = trial_input(&t, ad_shape_make(2, B, H), 0, 0);
        const double *W = trial_input(&t, ad_shape_make(2, I, 3 * H), 0, 0);
        const double *R = trial_input(&t, ad_shape_make(2, H, 3 * H), 0, 0);
        const double *bx = trial_input(&t, ad_shape_make(1, 3 * H), 0, 0);
        const double *bh = trial_input(&t, ad_shape_make(1, 3 * H), 0, 0);
        double *y = trial_output(&t, ad_shape_make(2, B, H));
        for (int64_t i = 0; i < B * H; i++) {
            double from_x[3], from_h[3];
            for (int gate = 0; gate < 3; gate++) {
                int64_t column = gate * H + i % H;
                from_x[gate] = bx[column];
                from_h[gate] = bh[column];
                for (int64_t j = 0; j < I; j++)
                    from_x[gate] += x[i / H * I + j] * W[j * 3 * H + column];
                for (int64_t j = 0; j < H; j++)
                    from_h[gate] += h[i / H * H + j] * R[j * 3 * H + column];
            }
            double z = logistic(from_x[0] + from_h[0]), r = logistic(from_x[1] + from_h[1]);
            double n = tanh(from_x[2] + r * from_h[2]);
            y[i] = z * h[i] + (1 - z) * n;
        }
        trial_hold(&t, build_gru, (double)((I + H + 4) * (I + H + 4)) + 16);
    }
}

/* ---- attention ---- */

static ad_value build_attention(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return ad_attention(g, in[0], in[1], in[2], how[0] ? in[3] : AD_NONE);
}

/* Scores below d^(1/2) < 3 with an error of (d + 2) 3, twice in a softmax, whose sums have Tk terms; the values are
 * weighted by numbers that sum to 1. Scores of 1000 and more must not overflow: the mask puts them there. */
Test(ops_sequence, attention)
{
    for (int form = 0; form < 3; form++) {
        int64_t B = 2, heads = 3, Tq = 5, Tk = 7, d = 8, e = 4;
        trial t = {.what = "attention", .how = {form}};
        const double *q = trial_input(&t, ad_shape_make(4, B, heads, Tq, d), 0, 0);
        const double *k = trial_input(&t, ad_shape_make(4, B, heads, Tk, d), 0, 0);
        const double *v = trial_input(&t, ad_shape_make(4, B, heads, Tk, e), 0, 0);
        double *mask = form ? trial_input(&t, ad_shape_make(2, Tq, Tk), 0, 0) : NULL;
        for (int64_t i = 0; i < Tq * Tk && form; i++)
            mask[i] = form == 2 ? 1024 : i % Tk > i / Tk ? -1e9 : 0;
        double *y = trial_output(&t, ad_shape_make(4, B, heads, Tq, e));
        for (int64_t row = 0; row < B * heads * Tq; row++) {
            double p[7], sum = 0, top = -INFINITY;
            for (int64_t j = 0; j < Tk; j++) {
                p[j] = 0;
                for (int64_t c = 0; c < d; c++)
                    p[j] += q[row * d + c] * k[(row / Tq * Tk + j) * d + c] / sqrt((double)d);
                p[j] += form == 1 ? mask[row % Tq * Tk + j] : 0; /* a constant in all of them changes nothing */
                top = fmax(top, p[j]);
            }
            for (int64_t j = 0; j < Tk; j++)
                sum += p[j] = exp(p[j] - top);
            for (int64_t i = 0; i < Tk * e; i++)
                y[row * e + i % e] += p[i / e] / sum * v[(row / Tq * Tk + i / e) * e + i % e];
        }
        /* The mask of 1024 rounds the scores to 1024 eps. */
        trial_hold(&t, build_attention, form == 2 ? 4096 : 200);
    }
}

/* ---- Fourier transforms ---- */

static ad_value build_fft(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return how[3] ? ad_irfft(g, in[0], (int)how[0], (int)how[1], how[2]) : ad_rfft(g, in[0], (int)how[0], (int)how[1]);
}

/* Reals [B,M,N,A] (M is 1 row for one axis), spectrum [B,M,K,A,2]. By the definition of the sums; the inverse reads the
 * bins that are not stored as the conjugates of their mirrors. A fast transform of S elements is off by at most
 * 4 log2(S) times the norm, which is at most S here (S for the inverse before its division). */
static void check_fft(int64_t B, int64_t M, int64_t N, int64_t A, bool inverse)
{
    int64_t K = N / 2 + 1, S = M * N;
    trial t = {.what = inverse ? "irfft" : "rfft", .how = {M > 1 ? 1 : 2, M > 1 ? 2 : 1, N, inverse}};
    ad_shape reals = ad_shape_make(4, B, M, N, A), spectrum = ad_shape_make(5, B, M, K, A, 2);
    double *x = trial_input(&t, inverse ? spectrum : reals, 0, 0), *y = trial_output(&t, inverse ? reals : spectrum);
    for (int64_t b = 0; b < B; b++)
        for (int64_t a = 0; a < A; a++)
            for (int64_t k = 0; k < M * K; k++)
                for (int64_t j = 0; j < S; j++) {
                    double turn =
                        fmod((double)(k / K * (j / N)) / (double)M + (double)(k % K * (j % N)) / (double)N, 1);
                    double c = cos(2 * M_PI * turn), s = sin(2 * M_PI * turn);
                    int64_t real = (b * S + j) * A + a, pair = ((b * M * K + k) * A + a) * 2;
                    double weight = (k % K == 0 || 2 * (k % K) == N ? 1 : 2) / (double)S;
                    if (inverse)
                        y[real] += weight * (x[pair] * c - x[pair + 1] * s);
                    else {
                        y[pair] += x[real] * c;
                        y[pair + 1] -= x[real] * s;
                    }
                }
    double work = 4 * (log2((double)S) + 1);
    trial_hold(&t, build_fft, inverse ? 4 * work : work * (double)S);
}

Test(ops_sequence, fourier_transforms)
{
    for (int inverse = 0; inverse < 2; inverse++) {
        check_fft(3, 1, 1, 2, inverse);
        check_fft(2, 1, 7, 1, inverse);
        check_fft(2, 1, 16, 3, inverse);
        check_fft(2, 4, 6, 1, inverse);
        check_fft(1, 5, 9, 2, inverse);
        check_fft(20, 8, 16, 10, inverse);
    }
}

static ad_value build_round_trip(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return ad_irfft(g, ad_rfft(g, in[0], 1, 2), 1, 2, how[0]);
}

Test(ops_sequence, inverse_transform_undoes_the_transform)
{
    for (int64_t N = 15; N <= 16; N++) {
        trial t = {.what = "irfft of rfft", .how = {N}};
        ad_shape s = ad_shape_make(4, 2, 12, N, 3);
        double *x = trial_input(&t, s, 0, 0);
        memcpy(trial_output(&t, s), x, (size_t)ad_shape_count(&s) * sizeof *x);
        trial_hold(&t, build_round_trip, 64);
    }
}

/* ---- noise and codes ---- */

static double *draw_once(ad_dtype dtype, ad_shape s, int level)
{
    ad_graph *g;
    REQUIRE(ad_graph_create(&g, dtype));
    double *y = evaluate(g, 0, NULL, NULL, ad_random_gumbel(g, s), &(ad_plan_options){.isa_level = level});
    ad_graph_destroy(&g);
    return y;
}

/* Of n draws the mean is off by (pi^2/6n)^(1/2), the variance by pi^2/6 (4.4/n)^(1/2) (kurtosis 5.4), a frequency p by
 * (p (1-p)/n)^(1/2): five of these. float32 is the rounded float64 at every level. */
Test(ops_sequence, gumbel_noise)
{
    enum { N = 40000 };
    ad_shape s = ad_shape_make(2, 200, N / 200);
    double *y = draw_once(AD_F64, s, 1), sum = 0, square = 0, below = 0;
    for (int i = 0; i < N; i++) {
        sum += y[i];
        square += y[i] * y[i];
        below += y[i] < 0;
    }
    double mean = sum / N, variance = square / N - mean * mean, expected = M_PI * M_PI / 6;
    cr_assert(fabs(mean - 0.5772156649) < 5 * sqrt(expected / N), "mean %g", mean);
    cr_assert(fabs(variance - expected) < 5 * expected * sqrt(4.4 / N), "variance %g", variance);
    cr_assert(fabs(below / N - exp(-1)) < 5 * sqrt(exp(-1) * (1 - exp(-1)) / N), "%g below 0", below / N);
    const int levels[] = {1, 3, 4};
    for (int k = 0; k < 3 && levels[k] <= fwm_isa_level(); k++) {
        double *single = draw_once(AD_F32, s, levels[k]);
        for (int i = 0; i < N; i++)
            cr_assert(single[i] == (double)(float)y[i]);
        free(single);
    }
    free(y);
}

/* Codes are exactly 0 and 1, come as often as their probabilities say (five deviations), and their gradient is the
 * probabilities', to the last bit. */
Test(ops_sequence, categorical_codes)
{
    enum { N = 20000, K = 4 };
    static const double logit[K] = {0.5, -1, 2, -9};
    for (ad_dtype dtype = AD_F32; dtype <= AD_F64; dtype++) {
        ad_graph *g;
        REQUIRE(ad_graph_create(&g, dtype));
        ad_shape s = ad_shape_make(3, N / 10, 10, K);
        ad_value logits = ad_input(g, "logits", s), dy = ad_input(g, "dy", s), through, direct;
        ad_value p = ad_categorical_probabilities(g, logits, 0.01), code = ad_categorical_sample(g, p);
        REQUIRE(ad_vjp(g, code, dy, 1, &logits, &through));
        REQUIRE(ad_vjp(g, p, dy, 1, &logits, &direct));
        double *x[2] = {malloc(N * K * sizeof(double)), malloc(N * K * sizeof(double))}, total = 0, count[K] = {0};
        for (int i = 0; i < N * K; i++) {
            x[0][i] = logit[i % K];
            x[1][i] = uniform_at(3, (uint64_t)i);
        }
        ad_value in[] = {logits, dy};
        double *y = evaluate(g, 2, in, x, code, NULL), *a = evaluate(g, 2, in, x, through, NULL),
               *b = evaluate(g, 2, in, x, direct, NULL);
        for (int i = 0; i < N; i++) {
            double sum = 0;
            for (int k = 0; k < K; k++) {
                cr_assert(y[i * K + k] == 0 || y[i * K + k] == 1, "[%d,%d] is %.17g", i, k, y[i * K + k]);
                sum += y[i * K + k];
                count[k] += y[i * K + k];
            }
            cr_assert(sum == 1);
        }
        for (int k = 0; k < K; k++)
            total += exp(logit[k]);
        for (int k = 0; k < K; k++) {
            double want = 0.99 * exp(logit[k]) / total + 0.01 / K;
            cr_assert(fabs(count[k] / N - want) < 5 * sqrt(want * (1 - want) / N), "class %d: %g, expected %g", k,
                      count[k] / N, want);
        }
        cr_assert(memcmp(a, b, N * K * sizeof *a) == 0);
        cr_assert(largest(N * K, a) > 1e-3);
        free(x[0]), free(x[1]), free(y), free(a), free(b);
        ad_graph_destroy(&g);
    }
}

/* ---- losses ---- */

static ad_value build_loss(ad_graph *g, const ad_value *in, const int64_t *how)
{
    ad_value x = ad_affine(g, in[0], 0.25, 0);
    return how[0] ? ad_log_cosh(g, x) : ad_huber(g, x, 0.5);
}

/* Arguments up to 8, of which huber keeps half; log cosh adds and subtracts numbers up to 16. */
Test(ops_sequence, huber_and_log_cosh)
{
    for (int form = 0; form < 2; form++) {
        trial t = {.what = form ? "log_cosh" : "huber", .how = {form}};
        double *x = trial_input(&t, ad_shape_make(1, 400), 65, -32), *y = trial_output(&t, ad_shape_make(1, 400));
        for (int i = 0; i < 400; i++) {
            double v = x[i] / 4;
            y[i] = form ? log(cosh(v)) : fabs(v) <= 0.5 ? v * v / 2 : 0.5 * (fabs(v) - 0.25);
        }
        trial_hold(&t, build_loss, form ? 64 : 8);
    }
}

/* ---- products by index ---- */

static const char *const forms[] = {"ij,jk->ik",       "bij,bjk->bik", "ij,ij->i",     "i,j->ji",    "ijk,k->j",
                                    "bhqd,bkhd->bhqk", "ab,cb->ca",    "abc,abc->cba", "ab,bc->cab", "abcd,eb->daec"};

static ad_value build_einsum(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return ad_einsum(g, forms[how[0]], in[0], in[1]);
}

static ad_shape shape_of_term(const char *term, size_t n)
{
    ad_shape s = {.rank = (int)n};
    for (size_t k = 0; k < n; k++)
        s.dim[k] = 2 + (term[k] * 7) % 5;
    return s;
}

static int64_t place_of(const char *term, size_t n, const ad_shape *s, const int64_t *index)
{
    int64_t at = 0;
    for (size_t k = 0; k < n; k++)
        at = at * s->dim[k] + index[(int)term[k]];
    return at;
}

/* Every product of elements whose letters agree goes to the result's place. */
static void check_einsum(int form)
{
    const char *a = forms[form], *b = strchr(a, ',') + 1, *out = strchr(b, '>') + 1;
    size_t na = (size_t)(b - a) - 1, nb = (size_t)(out - b) - 2, no = strlen(out);
    trial t = {.what = a, .how = {form}};
    ad_shape sa = shape_of_term(a, na), sb = shape_of_term(b, nb), so = shape_of_term(out, no);
    double *x0 = trial_input(&t, sa, 17, -8), *x1 = trial_input(&t, sb, 17, -8), *y = trial_output(&t, so);
    for (int64_t i = 0; i < ad_shape_count(&sa); i++)
        for (int64_t j = 0; j < ad_shape_count(&sb); j++) {
            int64_t index[128], rest = i;
            bool agree = true;
            for (size_t k = na; k-- > 0; rest /= sa.dim[k])
                index[(int)a[k]] = rest % sa.dim[k];
            rest = j;
            for (size_t k = nb; k-- > 0; rest /= sb.dim[k]) {
                agree = agree && (!memchr(a, b[k], na) || index[(int)b[k]] == rest % sb.dim[k]);
                index[(int)b[k]] = rest % sb.dim[k];
            }
            if (agree)
                y[place_of(out, no, &so, index)] += x0[i] * x1[j];
        }
    trial_hold(&t, build_einsum, 0);
}

Test(ops_sequence, products_by_index)
{
    for (int form = 0; form < (int)(sizeof forms / sizeof *forms); form++)
        check_einsum(form);
}

Test(ops_sequence, wrong_products_are_refused)
{
    static const char *const wrong[] = {"ij,jk",      "ij,jk->il",  "iij,jk->ik", "ij,jk->ik,",
                                        "ij,jk->ikk", "ijk,jk->ik", "ij,ik->jk"};
    for (int k = 0; k < 7; k++) {
        ad_graph *g;
        REQUIRE(ad_graph_create(&g, AD_F32));
        ad_value a = ad_input(g, "a", ad_shape_make(2, 2, 3)), b = ad_input(g, "b", ad_shape_make(2, 3, 4));
        cr_expect(ad_einsum(g, wrong[k], a, b) == AD_NONE && ad_graph_status(g) != FWM_OK, "%s", wrong[k]);
        cr_expect(strstr(fwm_error_message(), wrong[k]) != NULL, "%s", fwm_error_message());
        ad_graph_destroy(&g);
    }
}

/* ---- derivatives of composites ---- */

/* A step whose recurrent product depends on the state: the gradient of its gradient must not pass through it twice. */
static ad_value composite_gru(ad_graph *g, const ad_value *in)
{
    ad_value bias = ad_fill(g, ad_shape_make(1, 6), 0.25);
    return ad_gru(g, in[0], ad_gru(g, in[0], in[1], in[2], in[3], bias, bias), in[2], in[3], bias, bias);
}

static ad_value composite_attention(ad_graph *g, const ad_value *in)
{
    return ad_attention(g, in[0], in[1], in[2], in[3]);
}

static ad_value composite_pool(ad_graph *g, const ad_value *in)
{
    ad_pool p = {.kernel = {3, 2}, .stride = {2, 1}, .pad_before = {1, 0}, .pad_after = {1, 1}};
    return ad_square(g, ad_average_pool_window(g, in[0], &p, false));
}

static ad_value composite_max_pool(ad_graph *g, const ad_value *in)
{
    ad_pool p = {.kernel = {3, 3}, .stride = {2, 2}, .pad_before = {1, 1}, .pad_after = {1, 1}};
    return ad_square(g, ad_max_pool(g, in[0], &p));
}

static ad_value composite_conv3d(ad_graph *g, const ad_value *in)
{
    ad_conv3 c = {.stride = {2, 1, 1}, .pad_before = {1, 1, 0}, .pad_after = {1, 0, 0}};
    return ad_conv3d(g, in[0], in[1], &c);
}

static ad_value composite_conv1d(ad_graph *g, const ad_value *in)
{
    ad_conv1 c = {.stride = 2, .pad_before = 1};
    ad_value y = ad_conv1d(g, ad_pad_reflect(g, in[0], 1, 2, 1), in[1], &c);
    return ad_conv1d_transpose(g, y, in[1], 9, &c);
}

static ad_value composite_resize(ad_graph *g, const ad_value *in)
{
    return ad_square(g, ad_resize_bilinear(g, ad_pad_periodic(g, in[0], 2, 1, 2), 7, 4));
}

static ad_value composite_sort(ad_graph *g, const ad_value *in)
{
    ad_value sorted = ad_sort(g, in[0], false);
    return ad_add(g, ad_square(g, ad_cumsum(g, sorted, -1, true)),
                  ad_sum(g, ad_top_k(g, in[0], 3), 1, (int[]){-1}, true));
}

static ad_value composite_spectrum(ad_graph *g, const ad_value *in)
{
    ad_value y = ad_rfft(g, in[0], 1, 2);
    return ad_irfft(g, ad_mul(g, y, ad_mul(g, y, in[1])), 1, 2, 5);
}

static ad_value composite_losses(ad_graph *g, const ad_value *in)
{
    return ad_add(g, ad_log_cosh(g, in[0]), ad_huber(g, in[0], 0.4));
}

static ad_value composite_einsum(ad_graph *g, const ad_value *in)
{
    return ad_square(g, ad_einsum(g, "abc,cbd->dab", in[0], in[1]));
}

static const struct {
    const char *what;
    ad_value (*build)(ad_graph *g, const ad_value *in);
    int n;
    ad_shape in[4];
} composites[] = {
    {"gru", composite_gru, 4, {{2, {3, 3}}, {2, {3, 2}}, {2, {3, 6}}, {2, {2, 6}}}},
    {"attention", composite_attention, 4, {{3, {2, 3, 4}}, {3, {2, 5, 4}}, {3, {2, 5, 2}}, {2, {3, 5}}}},
    {"average pool", composite_pool, 1, {{4, {2, 5, 4, 3}}}},
    {"max pool", composite_max_pool, 1, {{4, {1, 6, 5, 2}}}},
    {"conv3d", composite_conv3d, 2, {{5, {1, 4, 4, 3, 2}}, {5, {3, 2, 2, 2, 3}}}},
    {"conv1d", composite_conv1d, 2, {{3, {2, 6, 2}}, {3, {3, 2, 3}}}},
    {"resize", composite_resize, 1, {{4, {1, 4, 5, 2}}}},
    {"sort", composite_sort, 1, {{2, {4, 7}}}},
    {"spectrum", composite_spectrum, 2, {{4, {2, 4, 5, 2}}, {1, {2}}}},
    {"losses", composite_losses, 1, {{2, {4, 5}}}},
    {"einsum", composite_einsum, 2, {{3, {2, 3, 4}}, {3, {4, 3, 2}}}},
};

/* Numbers on a shuffled grid, offset from its points that are kinks (the operator table's way): see `draw`. */
static void draw_composite(int at, double *x[4])
{
    int64_t total = 0, place = 0;
    for (int k = 0; k < composites[at].n; k++)
        total += ad_shape_count(&composites[at].in[k]);
    for (int k = 0; k < composites[at].n; k++) {
        int64_t n = ad_shape_count(&composites[at].in[k]);
        x[k] = malloc((size_t)n * sizeof(double));
        for (int64_t i = 0; i < n; i++, place++) {
            double cell = (double)fwm_random_permute((fwm_key){17, (uint32_t)at}, 0, (uint64_t)total, (uint64_t)place);
            x[k][i] = 2 * (cell + 0.3 + 0.4 * uniform_at(77, (uint64_t)place)) / (double)total - 1;
        }
    }
}

/* order 0: of the value; order k + 1: of its gradient in input k. */
static void check_composite(int at, int order, double *x[5])
{
    ad_graph *g;
    char why[256] = "", name[16];
    ad_value in[5], dx[4], y;
    int n = composites[at].n;
    REQUIRE(ad_graph_create(&g, AD_F64));
    for (int k = 0; k < n; k++) {
        snprintf(name, sizeof name, "x%d", k);
        in[k] = ad_input(g, name, composites[at].in[k]);
    }
    y = composites[at].build(g, in);
    REQUIRE(ad_graph_status(g));
    if (order > 0) {
        in[n] = ad_input(g, "dy", *ad_shape_of(g, y));
        x[n] = malloc((size_t)ad_count(g, y) * sizeof(double));
        for (int64_t i = 0; i < ad_count(g, y); i++)
            x[n][i] = 2 * uniform_at(55, (uint64_t)i) - 1;
        REQUIRE(ad_vjp(g, y, in[n], n, in, dx));
        y = dx[order - 1];
    }
    cr_expect(gradient_agrees(g, y, n + (order > 0), in, x, 300, why, sizeof why), "%s, order %d: %s",
              composites[at].what, order > 0 ? 2 : 1, why);
    if (order > 0)
        free(x[n]);
    ad_graph_destroy(&g);
}

Test(ops_sequence, derivatives_of_composites)
{
    for (int at = 0; at < (int)(sizeof composites / sizeof *composites); at++) {
        double *x[5];
        draw_composite(at, x);
        for (int order = 0; order <= composites[at].n; order++)
            check_composite(at, order, x);
        for (int k = 0; k < composites[at].n; k++)
            free(x[k]);
    }
}
