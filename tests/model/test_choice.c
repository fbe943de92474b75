/* Kernels that are chosen by time: measured once, kept in a file, taken again from it; and files that are no good. */
#include "model/autodiff/choice.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/threads.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUIRE(expr) cr_assert((expr) == FWM_OK, "%s: %s", #expr, fwm_error_message())

enum { TEXT = 1 << 14, PATH = 64 };

/* What a plan of one convolution and one product says of itself. */
static fwm_status describe(ad_dtype dtype, char text[TEXT])
{
    ad_graph *g;
    ad_plan *plan = NULL;
    REQUIRE(ad_graph_create(&g, dtype));
    const ad_value x = ad_input(g, "x", ad_shape_make(4, 2, 16, 16, 16)),
                   w = ad_input(g, "w", ad_shape_make(4, 3, 3, 16, 16));
    const ad_value a = ad_input(g, "a", ad_shape_make(2, 16, 48)), b = ad_input(g, "b", ad_shape_make(2, 48, 32));
    const ad_value out[2] = {ad_conv2d(g, x, w, &(ad_conv){.pad_before = {1, 1}, .pad_after = {1, 1}}),
                             ad_matmul(g, a, b, false, false)};
    fwm_status status = ad_plan_create(&plan, g, 2, out, NULL);
    if (status == FWM_OK) {
        REQUIRE(ad_plan_prepare(plan));
        REQUIRE(ad_plan_run(plan, 0, 0));
        FILE *file = fmemopen(text, TEXT, "w");
        ad_plan_print(plan, file);
        (void)fclose(file);
    }
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
    return status;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void temporary(char path[PATH])
{
    strcpy(path, "/tmp/fwm-choice-XXXXXX");
    const int fd = mkstemp(path);
    cr_assert(fd >= 0 && close(fd) == 0);
}

Test(choice, what_is_measured_is_kept_and_taken_again)
{
    static char text[TEXT], again[TEXT];
    char path[PATH];
    ad_choices *first, *second;
    temporary(path);
    REQUIRE(fwm_threads_init(2));
    REQUIRE(ad_choices_create(&first, true));
    ad_choices_use(first);
    REQUIRE(describe(AD_F32, text));
    cr_expect_eq(ad_choices_measured(first), 2);
    REQUIRE(describe(AD_F32, again));
    cr_expect_str_eq(again, text);
    cr_expect_eq(ad_choices_measured(first), 2, "known shapes are not measured again");
    REQUIRE(describe(AD_F64, again));
    cr_expect_eq(ad_choices_count(first), 2, "float64 has nothing to choose");
    REQUIRE(ad_choices_write(first, path));
    REQUIRE(ad_choices_create(&second, false));
    REQUIRE(ad_choices_read(second, path));
    cr_expect_eq(ad_choices_count(second), 2);
    ad_choices_use(second);
    REQUIRE(describe(AD_F32, again));
    cr_expect_str_eq(again, text);
    cr_expect_eq(ad_choices_measured(second), 0);
    ad_choices_use(NULL);
    ad_choices_destroy(&first), ad_choices_destroy(&second);
    (void)unlink(path);
}

/* A remembered kernel is taken, whatever the rule would say. */
Test(choice, the_file_decides)
{
    static const char *const name[2] = {"library", "winograd"};
    static char text[TEXT];
    char path[PATH], line[512];
    temporary(path);
    REQUIRE(fwm_threads_init(2));
    for (int k = 0; k < 2; k++) {
        ad_choices *c;
        (void)snprintf(line, sizeof line,
                       "conv2d [2,16,16,16] [3,3,16,16] (1,1,1,1,1,1,1,1,1,0,0,0,0,0,0,0) f32 level %d threads 2\t%s\n",
                       fwm_isa_level(), name[k]);
        write_text(path, line);
        REQUIRE(ad_choices_create(&c, false));
        REQUIRE(ad_choices_read(c, path));
        ad_choices_use(c);
        REQUIRE(describe(AD_F32, text));
        cr_expect_eq(strstr(text, "winograd") != NULL, k == 1, "%s", text);
        ad_choices_use(NULL);
        ad_choices_destroy(&c);
    }
    (void)unlink(path);
}

Test(choice, bad_files_are_refused)
{
    static char text[TEXT];
    char path[PATH], line[512];
    ad_choices *c;
    temporary(path);
    REQUIRE(fwm_threads_init(2));
    REQUIRE(ad_choices_create(&c, false));
    REQUIRE(ad_choices_read(c, "/tmp/fwm-there-is-no-such-file"));
    cr_expect_eq(ad_choices_read(c, "/tmp"), FWM_IO);
    write_text(path, "matmul [1,1]\tpanels\nconv2d and no more\n");
    cr_expect_eq(ad_choices_read(c, path), FWM_DATA);
    cr_expect(strstr(fwm_error_message(), ":2: expected an operator"), "%s", fwm_error_message());
    write_text(path, "conv2d [1,1]\tpanels\n");
    cr_expect_eq(ad_choices_read(c, path), FWM_DATA);
    cr_expect(strstr(fwm_error_message(), "has no kernel \"panels\""), "%s", fwm_error_message());
    write_text(path, "nosuch [1,1]\tlibrary\n");
    cr_expect_eq(ad_choices_read(c, path), FWM_DATA);
    /* A kernel that this operator has, but not for this shape. */
    (void)snprintf(line, sizeof line,
                   "conv2d [2,16,16,16] [3,3,16,16] (1,1,1,1,1,1,1,1,1,0,0,0,0,0,0,0) f32 level %d threads 2\tnarrow\n",
                   fwm_isa_level());
    write_text(path, line);
    REQUIRE(ad_choices_read(c, path));
    ad_choices_use(c);
    cr_expect_eq(describe(AD_F32, text), FWM_DATA);
    cr_expect(strstr(fwm_error_message(), "cannot run this shape by the kernel \"narrow\""), "%s", fwm_error_message());
    ad_choices_use(NULL);
    ad_choices_destroy(&c);
    (void)unlink(path);
}
