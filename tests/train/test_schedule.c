#include "train/schedule.h"

#include <criterion/criterion.h>
#include <math.h>

static void near(double found, double expected)
{
    /* A few roundings of numbers of size 1. */
    cr_assert(fabs(found - expected) < 1e-15, "expected %.17g, found %.17g", expected, found);
}

Test(schedule, cosine)
{
    tr_schedule s = {.kind = TR_SCHEDULE_COSINE, .lr = 0.1, .warmup = 10, .steps = 110, .final = 0.2};
    cr_assert_eq(tr_schedule_check(&s), FWM_OK);
    near(tr_schedule_rate(&s, 1), 0.01);
    near(tr_schedule_rate(&s, 5), 0.05);
    near(tr_schedule_rate(&s, 10), 0.1);
    near(tr_schedule_rate(&s, 60), 0.1 * 0.6); /* half way: the mean of 1 and 0.2 */
    near(tr_schedule_rate(&s, 35), 0.1 * (0.2 + 0.4 * (1 + sqrt(0.5))));
    near(tr_schedule_rate(&s, 110), 0.02);
    near(tr_schedule_rate(&s, 1000), 0.02);
    near(tr_schedule_rate(&s, 0), 0.01);
    for (int64_t t = 10; t < 110; t++)
        cr_assert_lt(tr_schedule_rate(&s, t + 1), tr_schedule_rate(&s, t));
}

Test(schedule, without_warmup)
{
    tr_schedule s = {.kind = TR_SCHEDULE_COSINE, .lr = 1, .warmup = 0, .steps = 101, .final = 0};
    cr_assert_eq(tr_schedule_check(&s), FWM_OK);
    near(tr_schedule_rate(&s, 1), 1);
    near(tr_schedule_rate(&s, 51), 0.5);
    near(tr_schedule_rate(&s, 101), 0);
}

Test(schedule, constant)
{
    tr_schedule s = {.kind = TR_SCHEDULE_CONSTANT, .lr = 0.3, .warmup = 4, .steps = 9, .final = 1};
    cr_assert_eq(tr_schedule_check(&s), FWM_OK);
    near(tr_schedule_rate(&s, 1), 0.075);
    for (int64_t t = 4; t < 20; t++)
        near(tr_schedule_rate(&s, t), 0.3);
}

Test(schedule, shortest_runs)
{
    for (int kind = 0; kind < TR_SCHEDULE_COUNT; kind++)
        for (int64_t warmup = 0; warmup <= 1; warmup++) {
            tr_schedule s = {.kind = (tr_schedule_kind)kind, .lr = 1, .warmup = warmup, .steps = 1, .final = 1};
            cr_assert_eq(tr_schedule_check(&s), FWM_OK);
            near(tr_schedule_rate(&s, 1), 1);
        }
}

Test(schedule, misuse_is_refused)
{
    const tr_schedule bad[] = {
        {TR_SCHEDULE_COSINE, -1, 0, 10, 0},    {TR_SCHEDULE_COSINE, NAN, 0, 10, 0}, {TR_SCHEDULE_COSINE, 1, 11, 10, 0},
        {TR_SCHEDULE_COSINE, 1, -1, 10, 0},    {TR_SCHEDULE_COSINE, 1, 0, 0, 0},    {TR_SCHEDULE_COSINE, 1, 0, 10, 1.5},
        {TR_SCHEDULE_CONSTANT, 1, 0, 10, 0.5}, {TR_SCHEDULE_COUNT, 1, 0, 10, 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(tr_schedule_check(&bad[i]), FWM_INVALID, "case %zu", i);
}
