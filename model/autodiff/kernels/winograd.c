#include "model/autodiff/kernels/winograd.h"

#include "model/autodiff/kernels/panel_product.h"
#include "model/autodiff/kernels/winograd_lines.h"

#include <omp.h>
#include <string.h>

enum {
    GAP = 16,      /* reals between the matrices of two points: at powers of two they would share a set of the cache */
    K_CHUNK = 256, /* rows of a panel of weights that stay in the first-level cache */
    SIDE = WINOGRAD_POINTS
};

/* ---- where things stand in the scratch memory ---- */

/* Images: samples and results [panel][tile][point][16], so that a tile's transform writes (reads) one run. */

/* From a tile to the next: an odd number of lines, which all sets of the cache share. */
LANES_INLINE int64_t tile_pitch(int64_t points)
{
    return (points | 1) * PANEL;
}

static inline int64_t panel_pitch(const ad_winograd *p)
{
    return p->block * tile_pitch(p->points);
}

/* Weights: samples and cotangents [point][panel][tile][16], because the products run over the tiles. */
static inline int64_t stack_pitch(const ad_winograd *p, int64_t channels)
{
    return channels * p->block + GAP;
}

static inline int64_t tiles_size(const ad_winograd *p, int64_t channels)
{
    return p->kind == AD_CONV_BACKWARD_WEIGHTS ? p->points * stack_pitch(p, channels)
                                               : channels / PANEL * panel_pitch(p);
}

static inline int64_t samples_size(const ad_winograd *p)
{
    return tiles_size(p, p->parts * p->K);
}

static inline int64_t results_size(const ad_winograd *p)
{
    return tiles_size(p, p->N);
}

/* Transformed weights: [group][point][N/16][parts * K][16]; as gradient [point][parts * K / 16][N/16][16][16]. */
static inline int64_t point_pitch(const ad_winograd *p)
{
    return p->N * p->parts * p->K + GAP;
}

static inline int64_t weights_size(const ad_winograd *p)
{
    return p->groups * p->points * point_pitch(p);
}

/* ---- tiles of images ---- */

typedef struct place {
    int64_t image, row, column; /* of the tile's first sample */
} place;

static inline place place_of(const ad_winograd *p, const ad_winograd_lattice *l, int64_t phase, int64_t tile)
{
    int64_t each = p->tile_rows * p->tile_columns, at = tile % each, phases = p->s.stride[0];
    int64_t step = WINOGRAD_OUTPUTS * l->step;
    return (place){tile / each, at / p->tile_columns * step + l->first[0][phase / phases],
                   at % p->tile_columns * step + l->first[1][phase % phases]};
}

static inline bool is_inside(const ad_winograd_lattice *l, const place *at, int64_t n)
{
    int64_t span = l->step * (n - 1);
    return at->row >= 0 && at->column >= 0 && at->row + span < l->H && at->column + span < l->W;
}

static inline winograd_grid grid_of(const ad_winograd_lattice *l)
{
    return (winograd_grid){l->step * l->W * l->C, l->step * l->C};
}

/* The n x n pixels of a tile that an edge of the image cuts, one by one; those outside are `beyond`, whatever the
 * panel. */
typedef struct cut_tile {
    real *at[SIDE * SIDE];
    int64_t step[SIDE * SIDE]; /* to the next panel */
} cut_tile;

static inline void cut_place(cut_tile *cut, const ad_winograd_lattice *l, const place *at, int n, const real *image,
                             real *beyond)
{
    for (int u = 0; u < n; u++)
        for (int v = 0; v < n; v++) {
            const int64_t row = at->row + u * l->step, column = at->column + v * l->step;
            const bool inside = row >= 0 && row < l->H && column >= 0 && column < l->W;
            const real *pixel = image + ((at->image * l->H + row) * l->W + column) * l->C;
            cut->at[u * n + v] = inside ? (real *)(uintptr_t)pixel : beyond;
            cut->step[u * n + v] = inside ? PANEL : 0;
        }
}

static inline void cut_advance(cut_tile *cut, int n)
{
    for (int k = 0; k < n * n; k++)
        cut->at[k] += cut->step[k];
}

/* Asks for the memory of one panel of the next tile in the row: rows and columns apart as `grid` says; the processor's
 * own prefetching cannot follow tiles. Addresses past an image are only asked for. */
LANES_INLINE void expect_tile(const real *next, int rows, int first_column, int columns, winograd_grid grid, int write)
{
#pragma GCC unroll 6
    for (int u = 0; u < rows; u++)
#pragma GCC unroll 6
        for (int v = first_column; v < columns; v++)
            if (write)
                __builtin_prefetch(next + u * grid.row + v * grid.column, 1);
            else
                __builtin_prefetch(next + u * grid.row + v * grid.column, 0);
}

/* Transforms n x n samples of every panel of one tile, `out` at its place in the first panel; points and panels lie
 * `apart` and `pitch` from each other. */
LANES_INLINE void sample_tile(winograd_line line, int taps, int n, const ad_winograd *p, const ad_winograd_lattice *l,
                              int64_t phase, int64_t tile, const real *image, real *out, int64_t apart, int64_t pitch)
{
    const int side = taps + 3;
    const place at = place_of(p, l, phase, tile);
    const bool inside = is_inside(l, &at, n);
    const winograd_grid to = {side * apart, apart}, from = grid_of(l);
    const real *origin = image + ((at.image * l->H + at.row) * l->W + at.column) * l->C;
    real zeros[PANEL] = {0};
    cut_tile cut;
    if (!inside)
        cut_place(&cut, l, &at, n, image, zeros);
    for (int64_t c = 0; c < l->C; c += PANEL, out += pitch, origin += PANEL) {
        const winograd_square points = {out, to, NULL};
        if (inside) {
            expect_tile(origin + WINOGRAD_OUTPUTS * from.column, n, n - WINOGRAD_OUTPUTS, n, from, 0);
            for (int v = 0; v < PANEL; v += LANES)
                winograd_both(line, taps, v, side, points, n, (winograd_square){(real *)(uintptr_t)origin, from, NULL});
        } else {
            for (int v = 0; v < PANEL; v += LANES)
                winograd_both(line, taps, v, side, points, n, (winograd_square){.at = cut.at});
            cut_advance(&cut, n);
        }
    }
}

/* ---- weights ---- */

/* The taps of 16 x 16 channels that give the phase of a backward-data pass: w's in reverse order, exchanged. */
static void turn_taps(const ad_winograd *p, int64_t phase, int64_t k, int64_t n, const real *w, real *turned)
{
    const ad_conv_geometry *s = &p->s;
    int64_t stride = s->stride[0];
    for (int u = p->taps - 1; u >= 0; u--)
        for (int v = p->taps - 1; v >= 0; v--, turned += PANEL * PANEL) {
            int64_t tap = (stride * u + phase / stride) * s->kw + stride * v + phase % stride;
            const real *from = w + (tap * s->Cin + n) * s->Cout + k;
            for (int i = 0; i < PANEL; i++)
                for (int j = 0; j < PANEL; j++)
                    turned[i * PANEL + j] = from[j * s->Cout + i];
        }
}

/* 16 x 16 channels: n..n+15 of the results, k..k+15 of one phase. */
LANES_INLINE void transform_weights(int taps, const ad_winograd *p, int64_t phase, int64_t k, int64_t n, const real *w,
                                    real *out)
{
    const ad_conv_geometry *s = &p->s;
    const int side = taps + 3;
    const bool data = p->kind == AD_CONV_BACKWARD_DATA;
    int64_t stride = s->stride[0], rows = p->parts * p->K, apart = point_pitch(p);
    int64_t group = data ? phase : 0, part = data ? 0 : phase;
    int64_t tap = phase / stride * s->kw + phase % stride;
    const winograd_grid packed = {taps * PANEL * PANEL, PANEL * PANEL}, to = {side * apart, apart};
    const winograd_grid direct = {stride * s->kw * s->Cin * s->Cout, stride * s->Cin * s->Cout};
    real turned[3 * 3 * PANEL * PANEL];
    if (data)
        turn_taps(p, phase, k, n, w, turned);
    out += group * p->points * apart + n * rows + (part * p->K + k) * PANEL;
    for (int i = 0; i < PANEL; i++, out += PANEL)
        for (int v = 0; v < PANEL; v += LANES) {
            real *from = data ? turned + i * PANEL : (real *)(uintptr_t)w + (tap * s->Cin + k + i) * s->Cout + n;
            winograd_both(winograd_taps, taps, v, side, (winograd_square){out, to, NULL}, taps,
                          (winograd_square){from, data ? packed : direct, NULL});
        }
}

/* The gradient of 16 x 16 channels of one phase back from the points. */
LANES_INLINE void finish_weights(int taps, const ad_winograd *p, int64_t phase, int64_t k, int64_t n, const real *u,
                                 real *w)
{
    const ad_conv_geometry *s = &p->s;
    const int side = taps + 3;
    int64_t stride = s->stride[0], apart = point_pitch(p);
    int64_t tap = phase / stride * s->kw + phase % stride;
    const winograd_grid from = {side * apart, apart};
    const winograd_grid to = {stride * s->kw * s->Cin * s->Cout, stride * s->Cin * s->Cout};
    u += (phase * p->K + k) * p->N + n * PANEL;
    w += (tap * s->Cin + k) * s->Cout + n;
    for (int i = 0; i < PANEL; i++, u += PANEL, w += s->Cout)
        for (int v = 0; v < PANEL; v += LANES)
            winograd_both(winograd_taps_adjoint, taps, v, taps, (winograd_square){w, to, NULL}, side,
                          (winograd_square){(real *)(uintptr_t)u, from, NULL});
}

/* Both of them for one of the shared units: (phase, k panel, n panel). */
LANES_INLINE void weights_unit(int taps, const ad_winograd *p, int64_t unit, real *w, real *u)
{
    int64_t panels = p->N / PANEL, n = unit % panels * PANEL, k = unit / panels % (p->K / PANEL) * PANEL;
    int64_t phase = unit / (panels * (p->K / PANEL));
    if (p->kind == AD_CONV_BACKWARD_WEIGHTS)
        finish_weights(taps, p, phase, k, n, u, w);
    else
        transform_weights(taps, p, phase, k, n, w, u);
}

static inline int64_t weights_units(const ad_winograd *p)
{
    return p->groups * p->parts * (p->K / PANEL) * (p->N / PANEL);
}

/* ---- forward and backward data ---- */

/* Of one point: results [N/16][rows][16] = samples [K/16][rows][16] times weights [N/16][K][16]. */
LANES_INLINE void multiply_block(int64_t points, const ad_winograd *p, int64_t rows, real *results, const real *samples,
                                 const real *weights)
{
    const int64_t K = p->parts * p->K, pitch = panel_pitch(p);
    panel_walk walk = {
        .a_row = tile_pitch(points), .a_step = 1, .a_outer = pitch, .b_row = PANEL, .c_row = tile_pitch(points)};
    walk.ahead_row = PANEL;
    for (int64_t n = 0; n < p->N; n += PANEL)
        for (int64_t k = 0; k < K; k += K_CHUNK) {
            int64_t chunk = K - k < K_CHUNK ? K - k : K_CHUNK;
            walk.ahead = weights + n * K + (k + chunk) * PANEL, walk.ahead_rows = chunk;
            panel_product(rows, results + n / PANEL * pitch, samples + k / PANEL * pitch, weights + n * K + k * PANEL,
                          PANEL, chunk / PANEL, walk, k > 0);
        }
}

LANES_INLINE void result_tile(int taps, const ad_winograd *p, int64_t group, int64_t tile, real *results, real *image)
{
    const ad_winograd_lattice *l = &p->to;
    const int side = taps + 3, n = WINOGRAD_OUTPUTS;
    const place at = place_of(p, l, group, tile);
    const bool inside = is_inside(l, &at, n);
    const winograd_grid from = {side * PANEL, PANEL}, to = grid_of(l);
    real *origin = image + ((at.image * l->H + at.row) * l->W + at.column) * l->C;
    real nowhere[PANEL];
    cut_tile cut;
    if (!inside)
        cut_place(&cut, l, &at, n, image, nowhere);
    for (int64_t c = 0; c < l->C; c += PANEL, results += panel_pitch(p), origin += PANEL) {
        const winograd_square points = {results, from, NULL};
        if (inside) {
            expect_tile(origin + n * to.column, n, 0, n, to, 1);
            for (int v = 0; v < PANEL; v += LANES)
                winograd_both(winograd_outputs, taps, v, n, (winograd_square){origin, to, NULL}, side, points);
        } else {
            for (int v = 0; v < PANEL; v += LANES)
                winograd_both(winograd_outputs, taps, v, n, (winograd_square){.at = cut.at}, side, points);
            cut_advance(&cut, n);
        }
    }
}

LANES_INLINE void run_block(int taps, const ad_winograd *p, int64_t block, const real *in, const real *weights,
                            real *out, real *samples)
{
    const int64_t points = (taps + 3) * (taps + 3), pitch = tile_pitch(points);
    int64_t first = block * p->block, rows = p->tiles - first < p->block ? p->tiles - first : p->block;
    real *results = samples + samples_size(p);
    for (int64_t group = 0; group < p->groups; group++) {
        for (int64_t t = 0; t < rows; t++) /* all phases of a tile: their pixels lie side by side */
            for (int64_t part = 0; part < p->parts; part++)
                sample_tile(winograd_samples, taps, taps + 3, p, &p->from, group + part, first + t, in,
                            samples + part * p->K / PANEL * panel_pitch(p) + t * pitch, PANEL, panel_pitch(p));
        for (int64_t point = 0; point < points; point++, weights += point_pitch(p))
            multiply_block(points, p, rows, results + point * PANEL, samples + point * PANEL, weights);
        for (int64_t t = 0; t < rows; t++)
            result_tile(taps, p, group, first + t, results + t * pitch, out);
    }
}

/* ---- weights' gradient ---- */

/* One panel of 16 input channels at one point: [N/16][16][16] (+)= samples^T [rows][16] times cotangents
 * [N/16][rows][16]. */
static void multiply_weights(const ad_winograd *p, int64_t rows, real *u, const real *samples, const real *cotangents,
                             bool add)
{
    const panel_walk walk = {.a_row = 1, .a_step = PANEL, .b_row = PANEL, .c_row = PANEL};
    for (int64_t n = 0; n < p->N; n += PANEL)
        panel_product(PANEL, u + n * PANEL, samples, cotangents + n * p->block, rows, 1, walk, add);
}

LANES_INLINE void weights_samples(int taps, const ad_winograd *p, int64_t unit, int64_t first, const real *x,
                                  const real *y, real *samples, real *cotangents)
{
    const int64_t tile = unit / (p->parts + 1), part = unit % (p->parts + 1), pitch = p->block * PANEL;
    if (part < p->parts)
        sample_tile(winograd_samples, taps, taps + 3, p, &p->from, part, first + tile, x,
                    samples + part * p->K * p->block + tile * PANEL, stack_pitch(p, p->parts * p->K), pitch);
    else
        sample_tile(winograd_outputs_adjoint, taps, WINOGRAD_OUTPUTS, p, &p->to, 0, first + tile, y,
                    cotangents + tile * PANEL, stack_pitch(p, p->N), pitch);
}

/* ---- the passes ---- */

/* The stages for one number of taps, which the compiler knows in each of them: outside the parallel regions, where it
 * would be a variable. */
typedef struct stages {
    void (*weights_unit)(const ad_winograd *p, int64_t unit, real *w, real *u);
    void (*run_block)(const ad_winograd *p, int64_t block, const real *in, const real *weights, real *out,
                      real *samples);
    void (*weights_samples)(const ad_winograd *p, int64_t unit, int64_t first, const real *x, const real *y,
                            real *samples, real *cotangents);
} stages;

#define STAGES(taps)                                                                                                   \
    static void weights_unit_##taps(const ad_winograd *p, int64_t unit, real *w, real *u)                              \
    {                                                                                                                  \
        weights_unit(taps, p, unit, w, u);                                                                             \
    }                                                                                                                  \
    static void run_block_##taps(const ad_winograd *p, int64_t block, const real *in, const real *weights, real *out,  \
                                 real *samples)                                                                        \
    {                                                                                                                  \
        run_block(taps, p, block, in, weights, out, samples);                                                          \
    }                                                                                                                  \
    static void weights_samples_##taps(const ad_winograd *p, int64_t unit, int64_t first, const real *x,               \
                                       const real *y, real *samples, real *cotangents)                                 \
    {                                                                                                                  \
        weights_samples(taps, p, unit, first, x, y, samples, cotangents);                                              \
    }                                                                                                                  \
    static const stages stages_##taps = {weights_unit_##taps, run_block_##taps, weights_samples_##taps};

STAGES(2)
STAGES(3)

static void run_images(const stages *stage, const ad_winograd *p, const real *in, real *w, real *out, real *scratch)
{
    int64_t units = weights_units(p), blocks = (p->tiles + p->block - 1) / p->block;
    int64_t each = samples_size(p) + results_size(p);
#pragma omp parallel num_threads((int)p->threads) if (p->threads > 1)
    {
        real *mine = scratch + weights_size(p) + omp_get_thread_num() * each;
#pragma omp for schedule(static)
        for (int64_t unit = 0; unit < units; unit++)
            stage->weights_unit(p, unit, w, scratch);
#pragma omp for schedule(dynamic)
        for (int64_t block = 0; block < blocks; block++)
            stage->run_block(p, block, in, scratch, out, mine);
    }
}

static void run_weights(const stages *stage, const ad_winograd *p, const real *x, real *w, const real *y, real *scratch)
{
    real *samples = scratch + weights_size(p), *cotangents = samples + samples_size(p);
    int64_t K = p->parts * p->K, panels = K / PANEL, products = p->points * panels, units = weights_units(p);
#pragma omp parallel num_threads((int)p->threads) if (p->threads > 1)
    {
        for (int64_t first = 0; first < p->tiles; first += p->block) {
            int64_t rows = p->tiles - first < p->block ? p->tiles - first : p->block;
#pragma omp for schedule(static)
            for (int64_t unit = 0; unit < rows * (p->parts + 1); unit++)
                stage->weights_samples(p, unit, first, x, y, samples, cotangents);
#pragma omp for schedule(static)
            for (int64_t k = 0; k < products; k++) {
                const int64_t point = k / panels, panel = k % panels;
                multiply_weights(p, rows, scratch + point * point_pitch(p) + panel * PANEL * p->N,
                                 samples + point * stack_pitch(p, K) + panel * PANEL * p->block,
                                 cotangents + point * stack_pitch(p, p->N), first > 0);
            }
        }
#pragma omp for schedule(static)
        for (int64_t unit = 0; unit < units; unit++)
            stage->weights_unit(p, unit, w, scratch);
    }
}

static void run(const ad_winograd *p, void *x, void *w, void *y, void *scratch)
{
    const stages *stage = p->taps == 3 ? &stages_3 : &stages_2;
    if (p->kind == AD_CONV_BACKWARD_WEIGHTS)
        run_weights(stage, p, x, w, y, scratch);
    else if (p->kind == AD_CONV_FORWARD)
        run_images(stage, p, x, w, y, scratch);
    else
        run_images(stage, p, y, w, x, scratch);
}

extern const ad_winograd_kernel FWM_V(ad_winograd_run);
const ad_winograd_kernel FWM_V(ad_winograd_run) = run;

/* ---- planning ---- */

#ifdef FWM_DEFINITION

extern const ad_winograd_kernel ad_winograd_run_f32_v1, ad_winograd_run_f32_v3, ad_winograd_run_f32_v4,
    ad_winograd_run_f64_v3, ad_winograd_run_f64_v4;

ad_winograd_kernel ad_winograd_find(ad_dtype dtype, int isa_level)
{
    if (dtype == AD_F64)
        return isa_level >= 4   ? ad_winograd_run_f64_v4
               : isa_level >= 3 ? ad_winograd_run_f64_v3
                                : ad_winograd_run_f64_v1;
    return isa_level >= 4 ? ad_winograd_run_f32_v4 : isa_level >= 3 ? ad_winograd_run_f32_v3 : ad_winograd_run_f32_v1;
}

bool ad_winograd_fits(const ad_conv_geometry *s)
{
    int64_t stride = s->stride[0], taps = s->kh / stride;
    return s->stride[1] == stride && (stride == 1 || stride == 2) && s->kh == s->kw && s->kh == taps * stride &&
           (stride == 1 ? taps == 2 || taps == 3 : taps == 2) && s->dilation[0] == 1 && s->dilation[1] == 1 &&
           s->groups == 1 && s->Cin % PANEL == 0 && s->Cout % PANEL == 0;
}

static int64_t ceiling(int64_t a, int64_t b)
{
    return a >= 0 ? (a + b - 1) / b : -(-a / b);
}

/* The lattices of a backward-data pass: x[stride q + a - pad] = sum over taps i of y[q - i] w[stride i + a], for the
 * phase a of the rows (columns) x; q starts where x does. */
static void place_phases(ad_winograd *p, int axis)
{
    const ad_conv_geometry *s = &p->s;
    for (int64_t a = 0; a < s->stride[axis]; a++) {
        int64_t q = ceiling(s->pad_before[axis] - a, s->stride[axis]);
        p->from.first[axis][a] = q - (p->taps - 1);
        p->to.first[axis][a] = s->stride[axis] * q + a - s->pad_before[axis];
    }
}

/* Tiles in work together: few enough for the second- and third-level caches, enough to use each matrix of weights
 * (gradients) many times before the next; shared evenly among the threads. */
static int64_t block_of(const ad_winograd *p, int64_t rows_at_once)
{
    enum { BYTES = 1 << 20, LEAST = 36, LEAST_WEIGHTS = 48, FEW = 4 };
    bool weights = p->kind == AD_CONV_BACKWARD_WEIGHTS;
    int64_t each = p->points * (p->parts * p->K + p->N) * (int64_t)sizeof(float);
    int64_t least = weights ? LEAST_WEIGHTS : LEAST, block = BYTES / each, share = weights ? 1 : p->threads;
    block = block < least ? least : block;
    int64_t blocks = ceiling(ceiling(p->tiles, block), share) * share;
    block = ceiling(p->tiles, blocks);
    /* Where a thread has few blocks, equal ones are worth more than full registers. */
    return weights || blocks <= FEW * share ? block : ceiling(block, rows_at_once) * rows_at_once;
}

ad_winograd ad_winograd_plan(ad_conv_kind kind, const ad_conv_geometry *s, int threads)
{
    int64_t stride = s->stride[0], phases = stride * stride;
    ad_winograd p = {.kind = kind, .s = *s, .taps = (int)(s->kh / stride), .threads = threads};
    bool data = kind == AD_CONV_BACKWARD_DATA;
    p.points = (p.taps + 3) * (p.taps + 3);
    p.groups = data ? phases : 1;
    p.parts = data ? 1 : phases;
    p.K = data ? s->Cout : s->Cin;
    p.N = data ? s->Cin : s->Cout;
    ad_winograd_lattice x = {s->H, s->W, s->Cin, stride, {{0}}}, y = {s->h, s->w, s->Cout, 1, {{0}}};
    p.from = data ? y : x;
    p.to = data ? x : y;
    int64_t most[2] = {s->h, s->w};
    for (int axis = 0; axis < 2; axis++)
        if (data) {
            place_phases(&p, axis);
            int64_t first = p.to.first[axis][0];
            for (int64_t a = 1; a < stride; a++)
                first = p.to.first[axis][a] < first ? p.to.first[axis][a] : first;
            most[axis] = ceiling((axis ? s->W : s->H) - first, stride);
        } else {
            for (int64_t a = 0; a < stride; a++)
                p.from.first[axis][a] = a - s->pad_before[axis];
        }
    p.tile_rows = ceiling(most[0], WINOGRAD_OUTPUTS);
    p.tile_columns = ceiling(most[1], WINOGRAD_OUTPUTS);
    p.tiles = s->B * p.tile_rows * p.tile_columns;
    p.block = block_of(&p, 6);
    return p;
}

/* Measured on two AVX2 cores of a Zen 3, oneDNN 2.6.3 beside it in one run. 3x3: from 256 tiles on 2.5 to 5 times
 * faster at 64 to 512 channels, 1.3 to 2.5 at 16 and 32; at 16 to 64 tiles 1.1 to 2.4; at 4 tiles 0.6 to 1, where the
 * weights' transforms cost as much as the products. 5x5 results of 4x4 tiles, a saving of 1.6: 0.8 to 1.6. 4x4 with
 * stride 2: from 32 tiles on 1.2 to 3, at 16 tiles 0.9 to 1.8. 2x2: 1.5 to 2 at 64 channels, 1 at 32. */
bool ad_winograd_pays(ad_conv_kind kind, const ad_conv_geometry *s)
{
    if (!ad_winograd_fits(s))
        return false;
    ad_winograd p = ad_winograd_plan(kind, s, 1);
    double plain = (double)(s->h * s->w * s->kh * s->kw);
    double reduced = (double)(p.tile_rows * p.tile_columns * p.points * p.groups * p.parts);
    bool few = s->kh == 2 && (s->Cin < 32 || s->Cout < 32);
    return plain >= 1.7 * reduced && p.tiles >= 16 * s->stride[0] && !few;
}

const char *ad_winograd_name(const ad_winograd *p)
{
    return p->taps == 3 ? "winograd:F(4x4,3x3)" : "winograd:F(4x4,2x2)";
}

size_t ad_winograd_scratch(const ad_winograd *p, size_t real_size)
{
    int64_t each = samples_size(p) + results_size(p);
    int64_t copies = p->kind == AD_CONV_BACKWARD_WEIGHTS ? 1 : p->threads;
    return (size_t)(weights_size(p) + copies * each) * real_size;
}

#endif
