/* `fwm simulate` under mpirun, killed, and with damaged parts: the same dataset, byte by byte. */
#include "tests/train/small.h"

#include <dirent.h>

#define SPARSE                                                                                                         \
    SMALL_CONFIG " --set simulate.train=20 --set simulate.validation=3 --set simulate.test=9 --set "                   \
                 "simulate.test_ood=1 --set simulate.steps=9"

static void simulate_as(const char *folder, const char *before, const char *name)
{
    cr_assert_eq(small_shell("%s %s simulate " SPARSE " --out %s/%s >/dev/null 2>%s/err", before, small_program(),
                             folder, name, folder),
                 0, "%s", small_text(folder, "err"));
}

static void expect_same(const char *folder, const char *a, const char *b)
{
    cr_expect_eq(small_shell("cmp %s/%s %s/%s >%s/err 2>&1", folder, a, folder, b, folder), 0, "%s",
                 small_text(folder, "err"));
    cr_expect_neq(small_shell("test -e %s/%s.parts", folder, b), 0, "the parts are left");
}

static int count_parts(const char *folder, const char *name)
{
    char path[SMALL_PATH + 32];
    int n = 0;
    (void)snprintf(path, sizeof path, "%s/%s.parts", folder, name);
    DIR *d = opendir(path);
    for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        n += strchr(e->d_name, '.') == NULL;
    if (d)
        (void)closedir(d);
    return n;
}

Test(simulation, the_number_of_ranks_does_not_show, .timeout = 120)
{
    char folder[SMALL_PATH];
    small_folder(folder);
    simulate_as(folder, "", "one.h5");
    simulate_as(folder, "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -n 2",
                "two.h5");
    simulate_as(folder, "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -n 3",
                "three.h5");
    expect_same(folder, "one.h5", "two.h5");
    expect_same(folder, "one.h5", "three.h5");
    small_remove(folder);
}

/* Killed as soon as a part is there; then one part is damaged and a stranger's put in another's place. */
Test(simulation, a_killed_run_goes_on, .timeout = 120)
{
    char folder[SMALL_PATH], out[SMALL_PATH + 16];
    small_folder(folder);
    simulate_as(folder, "", "one.h5");
    (void)snprintf(out, sizeof out, "%s/two.h5", folder);
    const char *const arguments[] = {"simulate", SMALL_CONFIG,
                                     "--set",    "simulate.train=20",
                                     "--set",    "simulate.validation=3",
                                     "--set",    "simulate.test=9",
                                     "--set",    "simulate.test_ood=1",
                                     "--set",    "simulate.steps=9",
                                     "--out",    out,
                                     NULL};
    pid_t child = small_spawn(folder, arguments);
    for (int k = 0; k < 100000 && count_parts(folder, "two.h5") < 2 && kill(child, 0) == 0 && access(out, F_OK) != 0;
         k++)
        small_pause();
    (void)kill(child, SIGKILL);
    (void)small_wait(child);
    if (count_parts(folder, "two.h5") > 1) { /* else it was faster than we: nothing to damage */
        cr_expect_eq(small_shell("cd %s/two.h5.parts && f=$(ls | grep -v '[.]' | head -1) && printf x | dd of=$f bs=1 "
                                 "seek=5000 conv=notrunc 2>/dev/null && cp $f validation-00000000",
                                 folder),
                     0);
    }
    simulate_as(folder, "", "two.h5");
    expect_same(folder, "one.h5", "two.h5");
    small_remove(folder);
}

/* A failure of one rank is everybody's, with its reason. */
Test(simulation, failures_are_named, .timeout = 60)
{
    char folder[SMALL_PATH];
    small_folder(folder);
    cr_expect_eq(small_shell("touch %s/x.h5.parts; %s simulate " SPARSE " --out %s/x.h5 >/dev/null 2>%s/err", folder,
                             small_program(), folder, folder),
                 1);
    cr_expect(strstr(small_text(folder, "err"), "x.h5.parts"), "%s", small_text(folder, "err"));
    cr_expect_eq(small_shell("%s simulate " SPARSE " --set simulate.heaters=[] --out %s/y.h5 >/dev/null 2>%s/err",
                             small_program(), folder, folder),
                 1);
    cr_expect(strstr(small_text(folder, "err"), "heaters"), "%s", small_text(folder, "err"));
    small_remove(folder);
}
