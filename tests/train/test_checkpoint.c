#include "model/base/log.h"
#include "model/base/random.h"
#include "train/checkpoint.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct folder {
    char path[64], last[96], previous[112], fresh[112];
} folder;

static folder make_folder(void)
{
    folder f = {"/tmp/fwm_ckpt_XXXXXX", "", "", ""};
    cr_assert_not_null(mkdtemp(f.path));
    (void)snprintf(f.last, sizeof f.last, "%s/last.ckpt", f.path);
    (void)snprintf(f.previous, sizeof f.previous, "%s.prev", f.last);
    (void)snprintf(f.fresh, sizeof f.fresh, "%s.new", f.last);
    return f;
}

static void remove_folder(const folder *f)
{
    (void)unlink(f->last);
    (void)unlink(f->previous);
    cr_expect_eq(rmdir(f->path), 0, "something else was left in %s", f->path);
}

/* A small run's state: `value` goes into a weight. */
static fwm_status save(const char *path, int64_t step, float value, bool keep)
{
    const float w[6] = {value, 1, 2, 3, 4, 5}, ema[6] = {0, 1, 2, 3, 4, 5}, b[1] = {7};
    const int64_t n[2] = {1, 2};
    const tr_tensor tensors[] = {{.name = TR_WEIGHTS "w", .dtype = TR_F32, .rank = 2, .shape = {2, 3}, .data = w},
                                 {.name = TR_WEIGHTS "b", .dtype = TR_F32, .rank = 1, .shape = {1}, .data = b},
                                 {.name = TR_EMA "w", .dtype = TR_F32, .rank = 2, .shape = {2, 3}, .data = ema},
                                 {.name = "counts", .dtype = TR_I64, .rank = 1, .shape = {2}, .data = n}};
    json_t *position = json_pack("{s:I,s:I,s:i}", "step", (json_int_t)step, "seed", (json_int_t)42, "epoch", 1);
    json_t *about = json_pack("{s:{s:[f,f]},s:f}", "normalisation", "mean", 0.1, 1e-300, "elapsed", 1.5 * (double)step);
    const tr_checkpoint_content content = {
        .tensors = tensors, .count = 4, .position = position, .about = about, .config = "experiment: x\n"};
    const fwm_status status = tr_checkpoint_save(path, &content, keep);
    json_decref(position);
    json_decref(about);
    return status;
}

static int64_t load_step(const char *path)
{
    tr_checkpoint *c;
    int64_t step = -1;
    cr_assert_eq(tr_checkpoint_load(&c, path), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_checkpoint_int(c, "step", &step), FWM_OK);
    tr_checkpoint_destroy(c);
    return step;
}

static void flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    cr_assert_not_null(file);
    (void)fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
    const int c = fgetc(file);
    (void)fseek(file, -1, SEEK_CUR);
    (void)fputc(c ^ 1, file);
    (void)fclose(file);
}

Test(checkpoint, round_trip)
{
    const folder f = make_folder();
    tr_checkpoint *c;
    cr_assert_eq(save(f.last, 10, 0.25F, true), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_checkpoint_load(&c, f.last), FWM_OK, "%s", fwm_error_message());
    float w[6], b[1];
    cr_assert_eq(tr_checkpoint_copy(c, TR_WEIGHTS "w", TR_F32, 2, (int64_t[]){2, 3}, w), FWM_OK);
    cr_expect(w[0] == 0.25F && w[5] == 5);
    cr_expect_eq(tr_checkpoint_copy(c, TR_WEIGHTS "w", TR_F32, 2, (int64_t[]){3, 2}, w), FWM_SHAPE);
    cr_expect_not_null(strstr(fwm_error_message(), "tensor weights/w: expected F32 [3,2], found F32 [2,3]"));
    cr_expect_eq(tr_checkpoint_copy(c, "none", TR_F32, 1, (int64_t[]){1}, b), FWM_DATA);
    cr_expect_eq(tr_checkpoint_parameters(c), 7);
    cr_expect_str_eq(tr_checkpoint_config(c), "experiment: x\n");
    cr_expect_str_eq(tr_checkpoint_path(c), f.last);
    cr_expect_str_eq(json_string_value(json_object_get(tr_checkpoint_about(c), "version")), FWM_VERSION);
    const json_t *mean = json_object_get(json_object_get(tr_checkpoint_about(c), "normalisation"), "mean");
    cr_expect(json_real_value(json_array_get(mean, 0)) == 0.1 && json_real_value(json_array_get(mean, 1)) == 1e-300);
    int64_t value;
    cr_expect(tr_checkpoint_int(c, "epoch", &value) == FWM_OK && value == 1);
    cr_expect_eq(tr_checkpoint_int(c, "none", &value), FWM_DATA);
    /* XXH64 of the float 7.0, worked out from the algorithm's specification in another language. */
    for (int64_t i = 0; i < tr_checkpoint_count(c); i++)
        if (strcmp(tr_checkpoint_at(c, i)->name, TR_WEIGHTS "b") == 0)
            cr_expect_eq(tr_checkpoint_hash(c, i), UINT64_C(0xfd1d0c9c507b879a));
    tr_checkpoint_destroy(c);
    remove_folder(&f);
}

/* What decides the future changes the digest; what does not (time, the file's name) leaves it. */
Test(checkpoint, digest)
{
    const folder f = make_folder();
    char first[32], again[32], other[32], later[32];
    tr_checkpoint *c;
    char *const to[] = {first, again, other, later};
    static const struct {
        int64_t step;
        float value;
    } runs[] = {{1, 0}, {1, 0}, {1, 1e-45F}, {2, 0}};
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(save(f.last, runs[i].step, runs[i].value, false), FWM_OK);
        cr_assert_eq(tr_checkpoint_load(&c, f.last), FWM_OK);
        (void)strcpy(to[i], tr_checkpoint_digest(c));
        cr_expect_eq(strlen(to[i]), 16);
        tr_checkpoint_destroy(c);
    }
    cr_expect_str_eq(first, again);
    cr_expect_str_neq(first, other);
    cr_expect_str_neq(first, later);
    remove_folder(&f);
}

Test(checkpoint, keeps_the_one_before)
{
    const folder f = make_folder();
    fwm_log_set_level(FWM_LOG_ERROR);
    for (int64_t step = 1; step <= 3; step++)
        cr_assert_eq(save(f.last, step, 0, true), FWM_OK);
    cr_expect_eq(load_step(f.last), 3);
    cr_expect_eq(load_step(f.previous), 2);
    cr_expect_neq(access(f.fresh, F_OK), 0);
    flip(f.last, -1); /* a bit of the last tensor */
    cr_expect_eq(load_step(f.last), 2);
    cr_assert_eq(truncate(f.last, 100), 0);
    cr_expect_eq(load_step(f.last), 2);
    cr_assert_eq(unlink(f.last), 0); /* killed where a file system has no links */
    cr_expect_eq(load_step(f.last), 2);
    /* going on from there */
    cr_assert_eq(save(f.last, 3, 0, true), FWM_OK);
    cr_expect_eq(load_step(f.last), 3);
    cr_expect_eq(load_step(f.previous), 2);
    remove_folder(&f);
}

Test(checkpoint, both_damaged)
{
    const folder f = make_folder();
    tr_checkpoint *c = NULL;
    cr_assert_eq(save(f.last, 1, 0, true), FWM_OK);
    cr_assert_eq(save(f.last, 2, 0, true), FWM_OK);
    flip(f.last, -1);
    flip(f.previous, -1);
    cr_expect_eq(tr_checkpoint_load(&c, f.last), FWM_DATA);
    cr_expect_null(c);
    /* The message is about the file that was asked for. */
    cr_expect_not_null(strstr(fwm_error_message(), "last.ckpt: damaged: tensor"), "%s", fwm_error_message());
    remove_folder(&f);
}

/* Whatever single bit is wrong, the file does not load: header, padding apart (spaces are no content), text, data. */
Test(checkpoint, notices_every_bit, .timeout = 60)
{
    const folder f = make_folder();
    static unsigned char bytes[1 << 16];
    cr_assert_eq(save(f.last, 1, 0, false), FWM_OK);
    FILE *file = fopen(f.last, "rb");
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        tr_checkpoint *c = NULL;
        const unsigned char before = bytes[bit / 8];
        bytes[bit / 8] = (unsigned char)(before ^ 1U << (bit % 8));
        /* A space of the padding that becomes another white space is the same JSON. */
        const bool blank = before == ' ' && strchr("\t\n\r", bytes[bit / 8]) != NULL && bytes[bit / 8] != 0;
        const fwm_status status = tr_checkpoint_read(&c, bytes, size, "m");
        if (!blank)
            cr_expect_neq(status, FWM_OK, "bit %zu", bit);
        tr_checkpoint_destroy(c);
        bytes[bit / 8] = before;
    }
    remove_folder(&f);
}

Test(checkpoint, mutations, .timeout = 60)
{
    enum { ROUNDS = 8000 };
    const folder f = make_folder();
    static unsigned char base[1 << 16];
    cr_assert_eq(save(f.last, 1, 0, false), FWM_OK);
    FILE *file = fopen(f.last, "rb");
    const size_t size = fread(base, 1, sizeof base, file);
    (void)fclose(file);
    const fwm_key key = {11, 5};
    unsigned accepted = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint32_t w[4];
        fwm_random_words(key, round, 0, w);
        const size_t length = w[0] % 4 == 0 ? w[1] % size : size;
        unsigned char *bytes = malloc(length > 0 ? length : 1);
        memcpy(bytes, base, length);
        for (uint32_t e = 0; e < 1 + w[2] % 6 && length > 0; e++) {
            uint32_t v[4];
            fwm_random_words(key, round, 1 + e, v);
            bytes[v[0] % length] = (unsigned char)v[1];
        }
        tr_checkpoint *c = NULL;
        accepted += tr_checkpoint_read(&c, bytes, length, "m") == FWM_OK;
        tr_checkpoint_destroy(c);
        free(bytes);
    }
    cr_expect_lt(accepted, ROUNDS / 50); /* edits that write what stood there, or in the padding */
    remove_folder(&f);
}

Test(checkpoint, content_is_checked)
{
    const folder f = make_folder();
    json_t *position = json_pack("{s:i}", "step", 1),
           *real = json_pack("{s:i,s:i,s:f}", "step", 1, "seed", 1, "x", 0.5);
    tr_checkpoint_content content = {.position = position, .config = ""};
    cr_expect_eq(tr_checkpoint_save(f.last, &content, true), FWM_INVALID);
    cr_expect_str_eq(fwm_error_message(), "checkpoint: expected step and seed in position");
    content.position = real;
    cr_expect_eq(tr_checkpoint_save(f.last, &content, true), FWM_INVALID);
    cr_expect_str_eq(fwm_error_message(), "checkpoint: position: expected an integer for x");
    json_decref(position);
    json_decref(real);
    /* another safetensors file is not a checkpoint */
    cr_assert_eq(tr_safetensors_write(f.last, NULL, 0, NULL), FWM_OK);
    tr_checkpoint *c = NULL;
    cr_expect_eq(tr_checkpoint_load(&c, f.last), FWM_DATA);
    cr_expect_not_null(strstr(fwm_error_message(), "found another safetensors file"));
    remove_folder(&f);
}

/* A process that saves without pause is killed at some instant, again and again: what it leaves always loads, whole,
 * and the next goes on from there. */
Test(checkpoint, killed_while_saving, .timeout = 120)
{
    enum { KILLS = 25 };
    const folder f = make_folder();
    const char *build = getenv("FWM_BUILD");
    char program[512], text[32], aside[128];
    int64_t step = 0;
    (void)snprintf(program, sizeof program, "%s/tests/train/program_save", build != NULL ? build : "build");
    fwm_log_set_level(FWM_LOG_ERROR);
    for (int kills = 0; kills < KILLS; kills++) {
        char *argv[] = {program, (char *)f.last, text, NULL};
        pid_t child;
        int status;
        (void)snprintf(text, sizeof text, "%lld", (long long)step + 1);
        cr_assert_eq(posix_spawn(&child, program, NULL, NULL, argv, environ), 0, "%s: build it first", program);
        for (int i = 0; kills == 0 && i < 2000 && access(f.last, F_OK) != 0; i++) /* the first lives to see one saved */
            (void)usleep(5000);
        (void)usleep(1000U + (useconds_t)fwm_random_permute((fwm_key){3, 1}, 0, 60000, (uint64_t)kills));
        cr_assert_eq(kill(child, SIGKILL), 0);
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFSIGNALED(status), "it ended by itself with status %d", WEXITSTATUS(status));
        tr_checkpoint *c;
        int64_t found;
        cr_assert_eq(tr_checkpoint_load(&c, f.last), FWM_OK, "%s", fwm_error_message());
        cr_assert_eq(tr_checkpoint_int(c, "step", &found), FWM_OK);
        cr_assert_geq(found, step);
        cr_expect_eq(((const float *)tr_checkpoint_at(c, 0)->data)[1], (float)found);
        tr_checkpoint_destroy(c);
        step = found;
    }
    cr_expect_gt(step, KILLS / 8); /* some of them came to save */
    (void)unlink(f.fresh);
    (void)snprintf(aside, sizeof aside, "%s.tmp", f.fresh);
    (void)unlink(aside);
    (void)snprintf(aside, sizeof aside, "%s.tmp", f.previous);
    (void)unlink(aside);
    remove_folder(&f);
}

/* ---- the lock ---- */
Test(checkpoint, lock)
{
    const folder f = make_folder();
    tr_lock *lock = NULL, *second = NULL;
    char expected[64];
    cr_assert_eq(tr_lock_acquire(&lock, f.path), FWM_OK, "%s", fwm_error_message());
    cr_expect_eq(tr_lock_acquire(&second, f.path), FWM_IO);
    cr_expect_null(second);
    (void)snprintf(expected, sizeof expected, "found it held by process %ld on ", (long)getpid());
    cr_expect_not_null(strstr(fwm_error_message(), expected), "%s", fwm_error_message());
    tr_lock_release(lock);
    cr_assert_eq(tr_lock_acquire(&lock, f.path), FWM_OK);
    tr_lock_release(lock);
    cr_expect_eq(tr_lock_acquire(&lock, "/nowhere/at/all"), FWM_IO);
    remove_folder(&f); /* no file is left in it */
}

/* A holder that is killed holds nothing: flock(1) takes the same lock and gets SIGKILL. */
Test(checkpoint, lock_of_a_killed_process, .timeout = 20)
{
    const folder f = make_folder();
    char file[96];
    (void)snprintf(file, sizeof file, "%s/lock", f.path);
    char *argv[] = {"flock", "--no-fork", file, "sleep", "60", NULL};
    pid_t child;
    if (posix_spawnp(&child, "flock", NULL, NULL, argv, environ) != 0)
        cr_skip_test("no flock(1) here");
    tr_lock *lock = NULL;
    bool taken = false;
    for (int i = 0; i < 1000 && !taken; i++) { /* until the child has it; opening alone takes nothing away */
        const int fd = open(file, O_RDONLY | O_CLOEXEC);
        taken = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
        if (fd >= 0)
            (void)close(fd);
        (void)usleep(5000);
    }
    cr_assert(taken);
    cr_assert_eq(tr_lock_acquire(&lock, f.path), FWM_IO);
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_eq(tr_lock_acquire(&lock, f.path), FWM_OK, "%s", fwm_error_message());
    tr_lock_release(lock);
    remove_folder(&f);
}
