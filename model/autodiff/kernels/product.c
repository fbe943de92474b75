#include "model/autodiff/kernels/product.h"

#include "model/autodiff/kernels/panel_product.h"
#include "model/base/threads.h"

#include <omp.h>

enum {
    CHUNK = 256, /* rows of a panel that stay in the first-level cache */
    ROWS = 48    /* rows of C^T that are in work together */
};

static inline int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* Scratch: the operand in panels that was turned as a whole [panel][k][16], then A^T's panels or one chunk a thread. */
static inline int64_t turned_size(const ad_product *p)
{
    return p->across ? p->m * p->k : p->trans_b ? p->n * p->k : p->trans_a ? p->m * p->k : 0;
}

static inline int64_t chunk_size(const ad_product *p)
{
    return p->trans_b ? 0 : CHUNK * PANEL;
}

/* to [rows][16] = from [16][rows]^T, columns `apart`. */
static void turn(int64_t rows, real *to, const real *from, int64_t apart)
{
    int64_t i = 0;
    for (; i + PANEL <= rows; i += PANEL)
        for (int j = 0; j < PANEL; j++)
            for (int k = 0; k < PANEL; k++)
                to[(i + k) * PANEL + j] = from[j * apart + i + k];
    for (; i < rows; i++)
        for (int j = 0; j < PANEL; j++)
            to[i * PANEL + j] = from[j * apart + i];
}

/* to [rows][16] = 16 columns of from, rows `apart`. */
static void gather_columns(int64_t rows, real *to, const real *from, int64_t apart)
{
    for (int64_t i = 0; i < rows; i++)
        for (int v = 0; v < PANEL; v += LANES)
            lanes_store(to + i * PANEL + v, lanes_load(from + i * apart + v));
}

/* Rows of 16 k's at a time, so that the next of them are asked for meanwhile; the rest of k in one piece. `ahead`: k
 * rows of B, ahead_row apart, that will be copied next; NULL: none. */
LANES_INLINE void multiply(int64_t rows, real *c, int64_t c_row, const real *a, int64_t a_row, const real *b, int64_t k,
                           const real *ahead, int64_t ahead_row, bool add)
{
    enum { INNER = 16 };
    const int64_t whole = k / INNER;
    panel_walk walk = {.a_row = a_row, .a_step = 1, .a_outer = INNER, .b_row = PANEL, .c_row = c_row};
    walk.ahead = ahead, walk.ahead_row = ahead_row, walk.ahead_rows = k;
    if (whole > 0)
        panel_product(rows, c, a, b, INNER, whole, walk, add);
    walk.ahead = NULL;
    if (k % INNER > 0)
        panel_product(rows, c, a + whole * INNER, b + whole * INNER * PANEL, k % INNER, 1, walk, add || whole > 0);
}

/* C's columns j..j+15, `length` terms from k on, of B's panel that was turned or is copied here; `more`: columns j+16..
 * come next. */
static void column_panel(const ad_product *p, int64_t j, int64_t k, int64_t length, real *c, const real *a,
                         const real *b, const real *turned, real *chunk, bool more)
{
    const real *panel = p->trans_b ? turned + j * p->k + k * PANEL : chunk, *own = b + k * p->n + j;
    const real *ahead = more && !p->trans_b ? own + PANEL : NULL;
    if (!p->trans_b)
        gather_columns(length, chunk, own, p->n);
    if (!p->trans_a) {
        multiply(p->m, c + j, p->n, a + k, p->k, panel, length, ahead, p->n, k > 0);
        return;
    }
    panel_walk walk = {.a_row = 1, .a_step = PANEL, .b_row = PANEL, .c_row = p->n, .ahead_row = p->n};
    for (int64_t i = 0; i < p->m; i += PANEL) {
        const int64_t from = i * length / p->m;
        walk.ahead = ahead ? ahead + from * p->n : NULL, walk.ahead_rows = (i + PANEL) * length / p->m - from;
        panel_product(PANEL, c + i * p->n + j, turned + i * p->k + k * PANEL, panel, length, 1, walk, k > 0);
    }
}

/* C's columns from first to last: the part of A that meets a chunk of k stays in the second-level cache. */
static void column_panels(const ad_product *p, int64_t first, int64_t last, real *c, const real *a, const real *b,
                          const real *turned, real *chunk)
{
    for (int64_t k = 0; k < p->k; k += CHUNK)
        for (int64_t j = first; j < last; j += PANEL)
            column_panel(p, j, k, p->k - k < CHUNK ? p->k - k : CHUNK, c, a, b, turned, chunk, j + PANEL < last);
}

/* A block of C^T: rows j.. of B against the panel of A's rows i..i+15. */
static void row_block(const ad_product *p, int64_t i, int64_t j, real *c, const real *b, const real *turned)
{
    const int64_t rows = p->n - j < ROWS ? p->n - j : ROWS;
    real block[ROWS * PANEL];
    for (int64_t k = 0; k < p->k; k += CHUNK) {
        const int64_t length = p->k - k < CHUNK ? p->k - k : CHUNK;
        multiply(rows, block, PANEL, b + j * p->k + k, p->k, turned + i * p->k + k * PANEL, length, NULL, 0, k > 0);
    }
    for (int r = 0; r < PANEL; r++)
        for (int64_t q = 0; q < rows; q++)
            c[(i + r) * p->n + j + q] = block[q * PANEL + r];
}

static void turn_all(const ad_product *p, real *turned, const real *a, const real *b)
{
    const int64_t panels = (p->across || !p->trans_b ? p->m : p->n) / PANEL;
    const real *from = p->across || !p->trans_b ? a : b;
#pragma omp for schedule(static)
    for (int64_t q = 0; q < panels; q++)
        if (p->trans_a)
            gather_columns(p->k, turned + q * PANEL * p->k, from + q * PANEL, p->m);
        else
            turn(p->k, turned + q * PANEL * p->k, from + q * PANEL * p->k, p->k);
}

static void run(const ad_product *p, void *c_, const void *a, const void *b, void *scratch)
{
    real *turned = scratch, *chunks = turned + round_up(turned_size(p), PANEL), *c = c_;
    const int64_t blocks = (p->n + ROWS - 1) / ROWS;
    const int64_t units = p->across ? p->m / PANEL * blocks : p->n / PANEL;
#pragma omp parallel num_threads(p->threads) if (p->threads > 1 && p->m * p->n * p->k > 4 * FWM_PARALLEL_MIN)
    {
        const int64_t team = omp_get_num_threads(), me = omp_get_thread_num();
        const int64_t first = me * units / team, last = (me + 1) * units / team;
        if (turned_size(p) > 0)
            turn_all(p, turned, a, b);
        if (!p->across)
            column_panels(p, first * PANEL, last * PANEL, c, a, b, turned, chunks + me * chunk_size(p));
        for (int64_t unit = first; p->across && unit < last; unit++)
            row_block(p, unit / blocks * PANEL, unit % blocks * ROWS, c, b, turned);
    }
}

extern const ad_product_kernel FWM_V(ad_product_run);
const ad_product_kernel FWM_V(ad_product_run) = run;

/* ---- planning ---- */

#ifdef FWM_DEFINITION

extern const ad_product_kernel ad_product_run_f32_v1, ad_product_run_f32_v3, ad_product_run_f32_v4,
    ad_product_run_f64_v3, ad_product_run_f64_v4;

ad_product_kernel ad_product_find(ad_dtype dtype, int isa_level)
{
    if (dtype == AD_F64)
        return isa_level >= 4 ? ad_product_run_f64_v4 : isa_level >= 3 ? ad_product_run_f64_v3 : ad_product_run_f64_v1;
    return isa_level >= 4 ? ad_product_run_f32_v4 : isa_level >= 3 ? ad_product_run_f32_v3 : ad_product_run_f32_v1;
}

bool ad_product_fits(int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b)
{
    if (k < 1 || (trans_a && trans_b))
        return false;
    return trans_b ? m % PANEL == 0 || n % PANEL == 0 : n % PANEL == 0 && (!trans_a || m % PANEL == 0);
}

ad_product ad_product_plan(int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b, int threads)
{
    return (ad_product){.m = m,
                        .n = n,
                        .k = k,
                        .trans_a = trans_a,
                        .trans_b = trans_b,
                        .across = trans_b && m % PANEL == 0 && (m <= n || n % PANEL != 0),
                        .threads = threads};
}

/* Measured on two AVX2 cores of a Zen 3, oneDNN 2.6.3 and OpenBLAS 0.3.21 beside it in one run, operands in memory,
 * medians of interleaved calls; how many times faster than the better library's choice by shape. A B from 8 rows
 * on: 1.0 to 1.4. A^T B 1.0 to 1.4, but 0.8 where 512 rows and more have over 1024 columns. A B^T below 128 rows 1.0
 * to 1.5, from there 0.9 to 1.0. Where all sides are long the second-level cache does not hold what is read again: 0.6.
 */
bool ad_product_pays(int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b)
{
    enum { FEW = 8, NARROW = 64, TALL = 512, WIDE = 1024, MANY = 128, LARGE = 768 };
    if (!ad_product_fits(m, n, k, trans_a, trans_b) || (m >= LARGE && n >= LARGE && k >= LARGE))
        return false;
    if (trans_b)
        return m >= FEW && m < MANY;
    return n >= NARROW && (trans_a ? m >= NARROW && (m < TALL || n <= WIDE) : m >= FEW);
}

const char *ad_product_name(const ad_product *p)
{
    return p->trans_a ? "panels:A^T B" : p->trans_b ? "panels:A B^T" : "panels:A B";
}

size_t ad_product_scratch(const ad_product *p, size_t real_size)
{
    return (size_t)(round_up(turned_size(p), PANEL) + p->threads * chunk_size(p)) * real_size;
}

#endif
