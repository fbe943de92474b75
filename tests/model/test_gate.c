/* The transport gate: cells of the noise with the sheets' masses, classes of codes, a saved gate. */
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/transport/gate.h"
#include "tests/model/clouds.h"

#include <string.h>

enum { BANK = 256, CLASSES = 8, EVERY = 10 };

/* A memory that has looked at two discs, 30 % of the points in the left one. */
static ot_memory *looked(void)
{
    ot_memory *m;
    const ot_memory_options o = {.d = 2, .dc = 0, .codes = BANK, .predictions = 8, .every = EVERY};
    double *y = two_discs(BANK, 0.3);
    REQUIRE(ot_memory_create(&m, AD_F64, &o));
    REQUIRE(ot_memory_push(m, 1, BANK, y, NULL, 8, y, NULL, NULL));
    cr_assert_eq(ot_memory_geometry(m)->support->sheets, 2);
    free(y);
    return m;
}

/* Shows the gate as many looks at the same codes as it wants to see agree. */
static void settle(ot_memory *m, ot_gate *gate)
{
    double *y = two_discs(BANK, 0.3);
    for (int k = 0; k < OT_GATE_LOOKS; k++) {
        cr_expect(!ot_gate_is_set(gate), "before look %d", k);
        if (k > 0)
            REQUIRE(ot_memory_push(m, 1 + k * EVERY, BANK, y, NULL, 8, y, NULL, NULL));
        REQUIRE(ot_gate_update(gate));
        REQUIRE(ot_gate_update(gate)); /* the same look counts once */
    }
    cr_assert(ot_gate_is_set(gate));
    free(y);
}

static double share_of(const int64_t *k, int64_t n, int64_t which)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += k[i] == which;
    return (double)count / (double)n;
}

Test(gate, noise_is_cut_into_the_masses_of_sheets)
{
    enum { NOISE = 20000 };
    static const int64_t sizes[] = {2, 5};
    for (int c = 0; c < 2; c++) {
        ot_memory *m = looked();
        ot_gate *gate;
        int64_t n = sizes[c], *k = integers(NOISE);
        double *z = numbers(NOISE * n);
        for (int64_t i = 0; i < NOISE * n; i++)
            z[i] = 2 * fwm_random_uniform((fwm_key){4, 4}, 0, (uint32_t)i) - 1;
        REQUIRE(ot_gate_create(&gate, m, n, CLASSES));
        ot_gate_of_noise(gate, k, NOISE, z);
        near("before it is set all is class 0", share_of(k, NOISE, 0), 1, 0);
        settle(m, gate);
        cr_expect(ot_gate_classes(gate) == 2);
        ot_gate_of_noise(gate, k, NOISE, z);
        const double *mass = ot_gate_masses(gate);
        near("mass of class 0", share_of(k, NOISE, 0), mass[0], 0.012);
        near("mass of the small sheet", fmin(mass[0], mass[1]), 0.3, 0.01);
        ot_gate_destroy(&gate);
        ot_memory_destroy(&m);
        free(k);
        free(z);
    }
}

Test(gate, codes_have_the_class_of_their_sheet)
{
    ot_memory *m = looked();
    ot_gate *gate;
    double *y = two_discs(100, 0.5);
    int64_t k[100];
    REQUIRE(ot_gate_create(&gate, m, 0, CLASSES));
    settle(m, gate);
    ot_gate_of_codes(gate, k, 100, y);
    for (int i = 1; i < 100; i++)
        cr_expect_eq(k[i] == k[0], (y[2 * i] < 0) == (y[0] < 0), "code %d", i);
    /* As a graph value: one-hot of the same. */
    ot_gate_value *value;
    ad_graph *g;
    ad_plan *plan;
    REQUIRE(ot_gate_value_create(&value, gate, 100, false));
    REQUIRE(ad_graph_create(&g, AD_F64));
    ad_value in = ad_input(g, "y", ad_shape_make(2, 100, 2)), out = ot_gate_one_hot(g, value, in);
    REQUIRE(ad_plan_create(&plan, g, 1, &out, NULL));
    REQUIRE(ad_plan_prepare(plan));
    memcpy(ad_plan_data(plan, in), y, 200 * sizeof *y);
    REQUIRE(ad_plan_run(plan, 1, 1));
    const double *hot = ad_plan_data(plan, out);
    for (int i = 0; i < 100; i++)
        for (int c = 0; c < CLASSES; c++)
            near("one-hot", hot[i * CLASSES + c], c == k[i], 0);
    cr_expect(ot_gate_value_create(&value, gate, 4, true) == FWM_INVALID, "a gate without noise has no class of it");
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
    ot_gate_destroy(&gate);
    ot_memory_destroy(&m);
    free(y);
}

Test(gate, a_saved_gate_cuts_the_same)
{
    enum { NOISE = 500 };
    ot_memory *m = looked();
    ot_gate *a, *b;
    ot_memory_array from[OT_GATE_ARRAYS], to[OT_GATE_ARRAYS];
    double *z = square_points(NOISE, 2);
    int64_t k[NOISE], l[NOISE];
    REQUIRE(ot_gate_create(&a, m, 2, CLASSES));
    REQUIRE(ot_gate_create(&b, m, 2, CLASSES));
    settle(m, a);
    int n = ot_gate_arrays(a, from);
    cr_assert_eq(ot_gate_arrays(b, to), n);
    for (int i = 0; i < n; i++)
        memcpy(to[i].data, from[i].data, (size_t)(from[i].rows * from[i].columns) * 8);
    REQUIRE(ot_gate_restore(b));
    ot_gate_of_noise(a, k, NOISE, z);
    ot_gate_of_noise(b, l, NOISE, z);
    cr_expect_arr_eq(k, l, sizeof k);
    ((int64_t *)to[1].data)[3] = CLASSES;
    cr_expect(ot_gate_restore(b) == FWM_DATA);
    ot_gate_destroy(&a);
    ot_gate_destroy(&b);
    ot_memory_destroy(&m);
    free(z);
}

/* A look that sees other sheets starts the count again: here one that finds the two discs joined. */
Test(gate, looks_that_differ_do_not_set_it)
{
    ot_memory *m = looked();
    ot_gate *gate;
    double *two = two_discs(BANK, 0.3), *one = square_points(BANK, 2);
    REQUIRE(ot_gate_create(&gate, m, 2, CLASSES));
    REQUIRE(ot_gate_update(gate));
    for (int k = 1; k <= 2 * OT_GATE_LOOKS; k++) {
        const double *y = k % OT_GATE_LOOKS == OT_GATE_LOOKS - 1 ? one : two;
        REQUIRE(ot_memory_push(m, 1 + k * EVERY, BANK, y, NULL, 8, y, NULL, NULL));
        cr_assert_eq(ot_memory_geometry(m)->support->sheets, y == one ? 1 : 2);
        REQUIRE(ot_gate_update(gate));
        cr_expect(!ot_gate_is_set(gate), "at look %d", k + 1);
    }
    ot_gate_destroy(&gate);
    ot_memory_destroy(&m);
    free(two);
    free(one);
}
