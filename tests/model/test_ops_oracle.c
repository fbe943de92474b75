/* The operators that move, broadcast and sum numbers, against plain loops over indices, on many random shapes: the
 * table test compares an operator with itself in float64 and would not see a mistake that both make.
 *
 * All numbers are integers of at most 8 in magnitude, and every sum here has fewer than 2^24 / 64 terms, so that
 * results are exact in float32 in any order: equality is the tolerance, for every instruction set, and one and two
 * threads. */
#include "tests/model/op_check.h"

#include <omp.h>

/* ---- random shapes and numbers ---- */

typedef struct source {
    uint64_t stream, at;
} source;

static int64_t below(source *s, int64_t n)
{
    return (int64_t)(uniform_at(s->stream, s->at++) * (double)n);
}

static double *integers(source *s, int64_t n)
{
    double *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (double)(below(s, 17) - 8);
    return x;
}

/* Lengths on both sides of every switch in the kernels: rows of 64, 256, 1024, tiles of 32, parallel from 16384
 * elements. */
static ad_shape random_shape(source *s, int max_rank, int64_t max_count)
{
    static const int64_t lengths[] = {1, 2, 3, 4, 5, 7, 16, 31, 33, 64, 65, 130, 257, 520, 1030, 4100, 17000};
    ad_shape shape = {.rank = 1 + (int)below(s, max_rank)};
    int64_t left = max_count;
    for (int k = 0; k < shape.rank; k++) {
        int64_t d = lengths[below(s, (int64_t)(sizeof lengths / sizeof *lengths))];
        while (d > left)
            d = lengths[below(s, 5)] < left ? 1 : left;
        shape.dim[k] = d;
        left /= d;
    }
    for (int k = shape.rank - 1; k > 0; k--) { /* long axes anywhere */
        int j = (int)below(s, k + 1);
        int64_t d = shape.dim[k];
        shape.dim[k] = shape.dim[j];
        shape.dim[j] = d;
    }
    return shape;
}

/* A shape that broadcasts to `out`. */
static ad_shape random_part(source *s, const ad_shape *out)
{
    int drop = (int)below(s, out->rank);
    ad_shape part = {.rank = out->rank - drop};
    bool full = below(s, 3) == 0;
    if (full)
        return *out;
    for (int k = 0; k < part.rank; k++)
        part.dim[k] = below(s, 2) ? out->dim[k + drop] : 1;
    return part;
}

/* ---- indices ---- */

static void index_of(const ad_shape *s, int64_t flat, int64_t *i)
{
    for (int k = s->rank - 1; k >= 0; k--) {
        i[k] = flat % s->dim[k];
        flat /= s->dim[k];
    }
}

/* The element of a broadcast `s` that stands at index i of an array of rank `rank`. */
static int64_t flat_of(const ad_shape *s, const int64_t *i, int rank)
{
    int64_t flat = 0;
    for (int k = 0; k < s->rank; k++)
        flat = flat * s->dim[k] + (s->dim[k] == 1 ? 0 : i[k + rank - s->rank]);
    return flat;
}

/* ---- comparing ---- */

typedef struct question {
    ad_graph *g;
    int n;
    ad_value in[4];
    double *x[4];
} question;

static question ask(ad_dtype dtype)
{
    question q = {.n = 0};
    REQUIRE(ad_graph_create(&q.g, dtype));
    return q;
}

static ad_value given(question *q, source *s, ad_shape shape)
{
    char name[16];
    snprintf(name, sizeof name, "x%d", q->n);
    q->in[q->n] = ad_input(q->g, name, shape);
    q->x[q->n] = integers(s, ad_shape_count(&shape));
    return q->in[q->n++];
}

/* Holds that y is `expected` (owned by the callee) at every level, with one and two threads; ends the question. */
static void expect(question *q, ad_value y, const ad_shape *shape, double *expected, const char *what)
{
    const int isa_levels[] = {1, 3, 4};
    char a[96], b[96];
    REQUIRE(ad_graph_status(q->g));
    cr_assert(ad_shape_equal(ad_shape_of(q->g, y), shape), "%s: shape %s, expected %s", what,
              ad_shape_text(ad_shape_of(q->g, y), a), ad_shape_text(shape, b));
    for (int level = 0; level < 3 && isa_levels[level] <= fwm_isa_level(); level++)
        for (int threads = 1; threads <= 2; threads++) {
            omp_set_num_threads(threads);
            double *found = evaluate(q->g, q->n, q->in, q->x, y,
                                     &(ad_plan_options){.isa_level = isa_levels[level], .poison = true});
            for (int64_t i = 0; i < ad_shape_count(shape); i++)
                cr_assert(found[i] == expected[i], "%s -> %s, level %d, %d threads: [%lld] is %g, expected %g", what,
                          ad_shape_text(shape, a), isa_levels[level], threads, (long long)i, found[i], expected[i]);
            free(found);
        }
    for (int k = 0; k < q->n; k++)
        free(q->x[k]);
    free(expected);
    ad_graph_destroy(&q->g);
}

enum { ROUNDS = 60, MAX_COUNT = 40000 };

/* ---- tests ---- */

/* Element-wise operator `form` of inputs of these shapes. */
static void check_broadcast(source *s, ad_dtype dtype, int form, const ad_shape part[3])
{
    static const char *const names[] = {"sub", "maximum", "where"};
    question q = ask(dtype);
    ad_shape two, out;
    ad_value v[3], r;
    for (int k = 0; k < 3; k++)
        v[k] = given(&q, s, part[k]);
    cr_assert(ad_shape_broadcast(&part[0], &part[1], &two) && ad_shape_broadcast(&two, &part[2], &out));
    const ad_shape *shape = form == 2 ? &out : &two;
    double *y = malloc((size_t)ad_shape_count(shape) * sizeof *y);
    for (int64_t flat = 0; flat < ad_shape_count(shape); flat++) {
        int64_t i[AD_MAX_RANK];
        index_of(shape, flat, i);
        double a = q.x[0][flat_of(&part[0], i, shape->rank)], b = q.x[1][flat_of(&part[1], i, shape->rank)];
        double c = form == 2 ? q.x[2][flat_of(&part[2], i, shape->rank)] : 0;
        y[flat] = form == 0 ? a - b : form == 1 ? (a > b ? a : b) : c != 0 ? a : b;
    }
    if (form == 0)
        r = ad_sub(q.g, v[0], v[1]);
    else if (form == 1)
        r = ad_maximum(q.g, v[0], v[1]);
    else
        r = ad_where(q.g, v[2], v[0], v[1]);
    expect(&q, r, shape, y, names[form]);
}

Test(ops_oracle, broadcasting_of_two_and_three_inputs)
{
    source s = {1, 0};
    for (int round = 0; round < 3 * ROUNDS; round++) {
        ad_shape target = random_shape(&s, 5, MAX_COUNT), part[3];
        for (int k = 0; k < 3; k++)
            part[k] = random_part(&s, &target);
        check_broadcast(&s, round % 4 ? AD_F32 : AD_F64, round % 3, part);
    }
}

/* 40 rows of 33 are expanded in groups of 31 and 9; of 2 x 15 groups, the second of two threads begins with a group
 * of 9. */
Test(ops_oracle, broadcasting_when_a_thread_begins_with_a_short_group)
{
    source s = {9, 0};
    ad_shape part[3] = {ad_shape_make(3, 15, 40, 33), ad_shape_make(1, 33), ad_shape_make(3, 15, 1, 33)};
    check_broadcast(&s, AD_F32, 2, part);
}

Test(ops_oracle, reductions_over_any_axes)
{
    source s = {2, 0};
    for (int round = 0; round < 3 * ROUNDS; round++) {
        question q = ask(round % 4 ? AD_F32 : AD_F64);
        ad_shape x = random_shape(&s, 5, MAX_COUNT), kept = x, dropped = {.rank = 0};
        int axes[AD_MAX_RANK], n = 0, form = round % 3;
        for (int k = 0; k < x.rank; k++)
            if (below(&s, 2) || (n == 0 && k == x.rank - 1)) {
                axes[n++] = below(&s, 2) ? k : k - x.rank;
                kept.dim[k] = 1;
            } else
                dropped.dim[dropped.rank++] = x.dim[k];
        if (dropped.rank == 0)
            dropped = (ad_shape){1, {1}};
        ad_value v = given(&q, &s, x);
        double *y = malloc((size_t)ad_shape_count(&kept) * sizeof *y);
        for (int64_t flat = 0; flat < ad_shape_count(&kept); flat++)
            y[flat] = form == 0 ? -INFINITY : 0;
        for (int64_t flat = 0; flat < ad_shape_count(&x); flat++) {
            int64_t i[AD_MAX_RANK];
            index_of(&x, flat, i);
            double *to = &y[flat_of(&kept, i, x.rank)];
            *to = form == 0 ? fmax(*to, q.x[0][flat]) : *to + q.x[0][flat];
        }
        bool keep = below(&s, 2);
        if (form == 0)
            expect(&q, ad_max(q.g, v, n, axes, keep), keep ? &kept : &dropped, y, "max");
        else if (form == 1)
            expect(&q, ad_sum(q.g, v, n, axes, keep), keep ? &kept : &dropped, y, "sum");
        else
            expect(&q, ad_sum_to(q.g, v, kept), &kept, y, "sum_to");
    }
}

Test(ops_oracle, maximum_mask_marks_the_first)
{
    source s = {3, 0};
    for (int round = 0; round < ROUNDS; round++) {
        question q = ask(AD_F32);
        ad_shape x = random_shape(&s, 3, MAX_COUNT), d = x;
        int axis = (int)below(&s, x.rank);
        d.dim[axis] = 1;
        ad_value v = given(&q, &s, x), dx;
        ad_value m = ad_max(q.g, v, 1, &axis, true);
        REQUIRE(ad_vjp(q.g, m, ad_fill(q.g, d, 3.0), 1, &v, &dx));
        int64_t after = 1;
        for (int k = axis + 1; k < x.rank; k++)
            after *= x.dim[k];
        double *y = malloc((size_t)ad_shape_count(&x) * sizeof *y);
        for (int64_t flat = 0; flat < ad_shape_count(&x); flat++) {
            int64_t place = flat / after % x.dim[axis], start = flat - place * after;
            bool first = true;
            for (int64_t k = 0; k < x.dim[axis]; k++) {
                double other = q.x[0][start + k * after];
                first = first && (other < q.x[0][flat] || (other == q.x[0][flat] && k >= place));
            }
            y[flat] = first ? 3.0 : 0.0;
        }
        expect(&q, dx, &x, y, "gradient of max");
    }
}

Test(ops_oracle, broadcast_to_and_transpose)
{
    source s = {4, 0};
    for (int round = 0; round < 2 * ROUNDS; round++) {
        question q = ask(round % 4 ? AD_F32 : AD_F64);
        ad_shape out = random_shape(&s, 5, MAX_COUNT), in;
        int perm[AD_MAX_RANK];
        bool transpose = round % 2;
        if (transpose) {
            in.rank = out.rank;
            for (int k = 0; k < out.rank; k++)
                perm[k] = (int)fwm_random_permute((fwm_key){5, 5}, (uint64_t)round, (uint64_t)out.rank, (uint64_t)k);
            for (int k = 0; k < out.rank; k++)
                in.dim[perm[k]] = out.dim[k];
        } else
            in = random_part(&s, &out);
        ad_value v = given(&q, &s, in);
        double *y = malloc((size_t)ad_shape_count(&out) * sizeof *y);
        for (int64_t flat = 0; flat < ad_shape_count(&out); flat++) {
            int64_t i[AD_MAX_RANK], j[AD_MAX_RANK];
            index_of(&out, flat, i);
            for (int k = 0; k < out.rank && transpose; k++)
                j[perm[k]] = i[k];
            y[flat] = q.x[0][flat_of(&in, transpose ? j : i, out.rank)];
        }
        expect(&q, transpose ? ad_transpose(q.g, v, perm) : ad_broadcast_to(q.g, v, out), &out, y,
               transpose ? "transpose" : "broadcast_to");
    }
}

Test(ops_oracle, slice_pad_and_concat)
{
    source s = {6, 0};
    for (int round = 0; round < 3 * ROUNDS; round++) {
        question q = ask(round % 4 ? AD_F32 : AD_F64);
        ad_shape x = random_shape(&s, 4, MAX_COUNT), out = x;
        int axis = (int)below(&s, x.rank), form = round % 3, spelled = below(&s, 2) ? axis : axis - x.rank;
        ad_value v = given(&q, &s, x), w = AD_NONE, r;
        ad_shape second = x;
        int64_t start = below(&s, x.dim[axis]), after = below(&s, 5);
        if (form == 0) {
            out.dim[axis] = 1 + below(&s, x.dim[axis] - start);
            r = ad_slice(q.g, v, spelled, start, out.dim[axis]);
        } else if (form == 1) {
            start = below(&s, 5);
            out.dim[axis] += start + after;
            r = ad_pad(q.g, v, spelled, start, after);
        } else {
            second.dim[axis] = 1 + below(&s, 5);
            w = given(&q, &s, second);
            out.dim[axis] += second.dim[axis];
            r = ad_concat(q.g, 2, (ad_value[]){v, w}, spelled);
        }
        double *y = malloc((size_t)ad_shape_count(&out) * sizeof *y);
        for (int64_t flat = 0; flat < ad_shape_count(&out); flat++) {
            int64_t i[AD_MAX_RANK], flat_x = 0, flat_w = 0;
            index_of(&out, flat, i);
            i[axis] += form == 0 ? start : form == 1 ? -start : 0;
            bool in_x = i[axis] >= 0 && i[axis] < x.dim[axis];
            int64_t other = i[axis] - x.dim[axis];
            for (int k = 0; k < x.rank; k++) {
                flat_x = flat_x * x.dim[k] + i[k];
                flat_w = flat_w * second.dim[k] + (k == axis ? other : i[k]);
            }
            y[flat] = in_x ? q.x[0][flat_x] : form == 2 ? q.x[1][flat_w] : 0.0;
        }
        expect(&q, r, &out, y, form == 0 ? "slice" : form == 1 ? "pad" : "concat");
    }
}

/* m, n, k on both sides of where one library gives way to the other are in the table of sizes. */
Test(ops_oracle, matrix_products)
{
    static const int64_t sizes[][3] = {{1, 1, 1},    {3, 4, 5},    {1, 64, 33},    {64, 1, 7},
                                       {17, 31, 64}, {130, 20, 5}, {390, 400, 385}};
    source s = {7, 0};
    for (int size = 0; size < 7; size++)
        for (int form = 0; form < 16; form++) {
            bool ta = form & 1, tb = form & 2, batch_a = form & 4, batch_b = form & 8;
            int64_t m = sizes[size][0], n = sizes[size][1], k = sizes[size][2], B = 3;
            if (size == 6 && (form & 12))
                continue;
            question q = ask(form % 5 ? AD_F32 : AD_F64);
            ad_shape a =
                batch_a ? ad_shape_make(3, B, ta ? k : m, ta ? m : k) : ad_shape_make(2, ta ? k : m, ta ? m : k);
            ad_shape b =
                batch_b ? ad_shape_make(3, B, tb ? n : k, tb ? k : n) : ad_shape_make(2, tb ? n : k, tb ? k : n);
            ad_shape out = batch_a || batch_b ? ad_shape_make(3, B, m, n) : ad_shape_make(2, m, n);
            ad_value va = given(&q, &s, a), vb = given(&q, &s, b);
            double *y = malloc((size_t)ad_shape_count(&out) * sizeof *y);
            for (int64_t p = 0; p < (out.rank == 3 ? B : 1); p++)
                for (int64_t i = 0; i < m; i++)
                    for (int64_t j = 0; j < n; j++) {
                        const double *xa = q.x[0] + (batch_a ? p * m * k : 0), *xb = q.x[1] + (batch_b ? p * k * n : 0);
                        double sum = 0;
                        for (int64_t l = 0; l < k; l++)
                            sum += (ta ? xa[l * m + i] : xa[i * k + l]) * (tb ? xb[j * k + l] : xb[l * n + j]);
                        y[(p * m + i) * n + j] = sum;
                    }
            expect(&q, ad_matmul(q.g, va, vb, ta, tb), &out, y, "matmul");
        }
}

Test(ops_oracle, pixel_shuffle_undoes_unshuffle)
{
    source s = {8, 0};
    question q = ask(AD_F32);
    ad_shape x = ad_shape_make(4, 2, 6, 4, 3), blocks = ad_shape_make(4, 2, 3, 2, 12);
    ad_value v = given(&q, &s, x), small = ad_pixel_unshuffle(q.g, v, 2);
    double *same = malloc((size_t)ad_shape_count(&x) * sizeof *same),
           *y = malloc((size_t)ad_shape_count(&x) * sizeof *y);
    for (int64_t flat = 0; flat < ad_shape_count(&x); flat++) {
        int64_t i[AD_MAX_RANK]; /* of the result: channel (row of the block, column of the block, channel) */
        index_of(&blocks, flat, i);
        int64_t row = 2 * i[1] + i[3] / 6, column = 2 * i[2] + i[3] / 3 % 2;
        y[flat] = q.x[0][((i[0] * 6 + row) * 4 + column) * 3 + i[3] % 3];
        same[flat] = q.x[0][flat];
    }
    ad_value back = ad_pixel_shuffle(q.g, small, 2);
    double *found = evaluate(q.g, q.n, q.in, q.x, back, NULL);
    cr_assert(memcmp(found, same, (size_t)ad_shape_count(&x) * sizeof *same) == 0);
    free(found), free(same);
    expect(&q, small, &blocks, y, "pixel_unshuffle");
}

/* What a builder refuses says which shapes it met. */
Test(ops_oracle, refusals_name_the_shapes)
{
    const char *parts[][2] = {{"add", "[2,3]"},     {"matmul", "[4,5]"}, {"reshape", "[7]"},    {"concat", "[2,3]"},
                              {"slice", "start 2"}, {"sum", "axis 5"},   {"transpose", "[2,3]"}};
    for (int k = 0; k < 7; k++) {
        ad_graph *g;
        REQUIRE(ad_graph_create(&g, AD_F32));
        ad_value a = ad_input(g, "a", ad_shape_make(2, 2, 3)), b = ad_input(g, "b", ad_shape_make(2, 4, 5));
        ad_value made = k == 0   ? ad_add(g, a, b)
                        : k == 1 ? ad_matmul(g, a, b, false, false)
                        : k == 2 ? ad_reshape(g, a, ad_shape_make(1, 7))
                        : k == 3 ? ad_concat(g, 2, (ad_value[]){a, b}, 0)
                        : k == 4 ? ad_slice(g, a, 1, 2, 2)
                        : k == 5 ? ad_sum(g, a, 1, (int[]){5}, false)
                                 : ad_transpose(g, a, (int[]){0, 0});
        cr_expect(made == AD_NONE && ad_graph_status(g) != FWM_OK);
        cr_expect(strstr(fwm_error_message(), parts[k][0]) && strstr(fwm_error_message(), parts[k][1]), "%s: %s",
                  parts[k][0], fwm_error_message());
        ad_graph_destroy(&g);
    }
}
