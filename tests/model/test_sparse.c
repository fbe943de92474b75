/* Sparse matrices: what is refused, the transpose, and products against sums over a dense copy. */
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/random.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(expr) cr_assert((expr) == FWM_OK, "%s: %s", #expr, fwm_error_message())

static double uniform(uint32_t stream, int64_t i)
{
    return 2 * fwm_random_uniform((fwm_key){9, stream}, 0, (uint32_t)i) - 1;
}

/* About `share` of the entries; row 1 stays empty. */
static ad_sparse *random_matrix(int64_t rows, int64_t cols, double share, double *dense)
{
    int64_t *start = calloc((size_t)rows + 1, sizeof *start), nnz = 0;
    int32_t *column = malloc((size_t)(rows * cols) * sizeof *column);
    double *weight = malloc((size_t)(rows * cols) * sizeof *weight);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) {
            bool present = i != 1 && fabs(uniform(1, i * cols + j)) < share;
            dense[i * cols + j] = present ? (double)(float)uniform(2, i * cols + j) : 0;
            if (present) {
                column[nnz] = (int32_t)j;
                weight[nnz++] = dense[i * cols + j];
            }
        }
        start[i + 1] = nnz;
    }
    ad_sparse *m;
    REQUIRE(ad_sparse_create(&m, rows, cols, start, column, weight));
    free(start), free(column), free(weight);
    return m;
}

static double at(ad_dtype dtype, const void *v, int64_t i)
{
    return dtype == AD_F64 ? ((const double *)v)[i] : (double)((const float *)v)[i];
}

/* The error of a sum of n products is at most (n + 1) eps/2 times the sum of their absolute values, at most n here. */
static void check_product(const ad_sparse *m, const double *dense, bool transposed, ad_dtype dtype, int64_t B,
                          int64_t C)
{
    ad_graph *g;
    ad_plan *plan;
    REQUIRE(ad_graph_create(&g, dtype));
    ad_value x = ad_input(g, "x", ad_shape_make(3, B, m->cols, C)), y = ad_spmm(g, m, x);
    REQUIRE(ad_plan_create(&plan, g, 1, &y, NULL));
    REQUIRE(ad_plan_prepare(plan));
    void *from = ad_plan_data(plan, x);
    for (int64_t i = 0; i < B * m->cols * C; i++)
        if (dtype == AD_F64)
            ((double *)from)[i] = (double)(float)uniform(3, i);
        else
            ((float *)from)[i] = (float)uniform(3, i);
    REQUIRE(ad_plan_run(plan, 1, 1));
    double eps = dtype == AD_F64 ? DBL_EPSILON : (double)FLT_EPSILON, n = (double)m->cols;
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = 0; i < m->rows; i++)
            for (int64_t c = 0; c < C; c++) {
                double sum = 0;
                for (int64_t j = 0; j < m->cols; j++)
                    sum += dense[transposed ? j * m->rows + i : i * m->cols + j] *
                           at(dtype, from, (b * m->cols + j) * C + c);
                double found = at(dtype, ad_plan_data(plan, y), (b * m->rows + i) * C + c);
                cr_assert(fabs(found - sum) <= 0.5 * eps * (n + 1) * n,
                          "B %lld C %lld [%lld,%lld,%lld]: %.9g, expected %.9g", (long long)B, (long long)C,
                          (long long)b, (long long)i, (long long)c, found, sum);
            }
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
}

/* Batches and channels on both sides of the kernel's groups of 4 and 8; more rows than one block of 1024. */
Test(sparse, products_agree_with_a_dense_matrix)
{
    static const int64_t batch[] = {1, 4, 7}, channels[] = {1, 2, 3, 4, 5, 6, 7, 8, 11};
    double *dense = malloc(1100 * 37 * sizeof *dense);
    ad_sparse *m = random_matrix(1100, 37, 0.1, dense);
    for (int threads = 1; threads <= 2; threads++) {
        omp_set_num_threads(threads);
        for (size_t i = 0; i < sizeof batch / sizeof *batch; i++)
            for (size_t k = 0; k < sizeof channels / sizeof *channels; k++) {
                check_product(m, dense, false, AD_F32, batch[i], channels[k]);
                check_product(m->transpose, dense, true, AD_F64, batch[i], channels[k]);
            }
    }
    ad_sparse_destroy(&m);
    cr_assert_null(m);
    free(dense);
}

Test(sparse, transpose_is_exact_and_points_back)
{
    double dense[7 * 5];
    ad_sparse *m = random_matrix(7, 5, 0.6, dense), *t = m->transpose;
    cr_assert_eq(t->transpose, m);
    cr_assert(t->rows == 5 && t->cols == 7 && t->nnz == m->nnz && t->row_start[5] == m->nnz);
    for (int64_t i = 0; i < t->rows; i++)
        for (int64_t k = t->row_start[i]; k < t->row_start[i + 1]; k++) {
            cr_expect_eq(t->weight[k], dense[t->column[k] * 5 + i]);
            cr_expect(k == t->row_start[i] || t->column[k] > t->column[k - 1]);
        }
    ad_sparse_destroy(&m);
}

static void refused(int64_t rows, int64_t cols, const int64_t *start, const int32_t *column, const char *part)
{
    static const double weight[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    ad_sparse *m = (ad_sparse *)&weight;
    cr_expect(ad_sparse_create(&m, rows, cols, start, column, weight) != FWM_OK, "accepted: %s", part);
    cr_expect_null(m);
    cr_expect(strstr(fwm_error_message(), part), "'%s' lacks '%s'", fwm_error_message(), part);
}

Test(sparse, malformed_rows_are_refused)
{
    const int32_t good[] = {0, 1, 1}, high[] = {0, 2, 1}, low[] = {-1, 1, 1}, fallen[] = {1, 0, 1}, twice[] = {1, 1, 1};
    refused(0, 2, (int64_t[]){0, 0, 0}, good, "rows and columns");
    refused(2, 2, (int64_t[]){1, 2, 3}, good, "row_start[0]");
    refused(2, 2, (int64_t[]){0, 2, 1}, good, "falls after row 1");
    refused(2, 2, (int64_t[]){0, 2, 3}, high, "column 2");
    refused(2, 2, (int64_t[]){0, 2, 3}, low, "column -1");
    refused(2, 2, (int64_t[]){0, 2, 3}, fallen, "columns rise");
    refused(2, 2, (int64_t[]){0, 2, 3}, twice, "columns rise");
}
