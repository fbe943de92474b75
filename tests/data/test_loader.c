/* The loader's promises: each clip once an epoch; batch k a function of (seed, k) alone; errors passed on; bounded
 * memory. */
#include "data/loader.h"
#include "model/base/arena.h"
#include "tests/data/folder.h"
#include "tests/data/sample.h"

#include <criterion/criterion.h>
#include <math.h>
#include <time.h>

enum { CLIP = 4, BATCH = 5, STARTS = SAMPLE_T - CLIP + 1, TRAIN = 9, CLIPS = STARTS * TRAIN };

static test_folder folder;
static ds_dataset *ds;

static void open_folder(void)
{
    cr_assert(test_folder_open(&folder));
    cr_assert_eq(sample_write(folder.file, NULL), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK, "%s", fwm_error_message());
}

static void close_folder(void)
{
    ds_close(&ds);
    test_folder_close(&folder);
}

TestSuite(data_loader, .init = open_folder, .fini = close_folder);

static ds_loader *open_loader(ds_loader_options options)
{
    ds_loader *loader = NULL;
    if (options.clip == 0)
        options.clip = CLIP;
    if (options.batch == 0)
        options.batch = BATCH;
    cr_assert_eq(ds_loader_create(&loader, ds, &options), FWM_OK, "%s", fwm_error_message());
    return loader;
}

static ds_batch next(ds_loader *loader)
{
    ds_batch batch;
    cr_assert_eq(ds_loader_next(loader, &batch), FWM_OK, "%s", fwm_error_message());
    return batch;
}

Test(data_loader, batches_hold_the_clips_that_they_name)
{
    ds_loader *loader = open_loader((ds_loader_options){.seed = 3});
    for (int64_t k = 0; k < 20; k++) {
        ds_batch b = next(loader);
        cr_assert(b.step == k && b.count == BATCH && b.length == CLIP);
        for (int64_t r = 0; r < BATCH; r++) {
            int64_t i = b.trajectory[r];
            cr_assert(i % 4 != 3 && i >= 0 && i < SAMPLE_N && b.start[r] >= 0 && b.start[r] < STARTS);
            for (int64_t s = 0; s < CLIP; s++) {
                int64_t t = b.start[r] + s, row = r * CLIP + s;
                cr_assert_eq(b.clip.frames[((row * SAMPLE_H + 2) * SAMPLE_W + 1) * SAMPLE_C + 2],
                             (float)sample_frame(i, t, 2, 1, 2) / 255.0F);
                cr_assert_eq(b.clip.actions[row * SAMPLE_A + 1], sample_action(i, t, 1));
                cr_assert_eq(b.clip.state[(row * SAMPLE_NODES + 5) * SAMPLE_FIELDS + 1], sample_state(i, t, 5, 1));
                cr_assert_eq(b.clip.s_phy[row * SAMPLE_COARSE + 3], sample_s_phy(i, t, 3));
                cr_assert_eq(b.clip.key_state[row], (i + t) % 3 == 0);
            }
            cr_assert_eq(b.clip.parameters[r * SAMPLE_P + 1], (float)(1 + i + 10));
        }
    }
    ds_loader_destroy(&loader);
    cr_assert_null(loader);
}

/* Counts how often each clip comes in `epochs` epochs from step `first` on. BATCH does not divide CLIPS: batches
 * straddle epochs. */
Test(data_loader, every_clip_comes_once_an_epoch)
{
    int seen[SAMPLE_N][STARTS], before[CLIPS] = {0}, differs = 0;
    ds_loader *loader = open_loader((ds_loader_options){.seed = 1});
    cr_assert_eq(ds_loader_clips(loader), CLIPS);
    cr_assert(CLIPS % BATCH != 0);
    int64_t position = 0;
    ds_batch b = {0};
    for (int epoch = 0; epoch < 6; epoch++) {
        memset(seen, 0, sizeof seen);
        for (int j = 0; j < CLIPS; j++, position++) {
            if (position % BATCH == 0)
                b = next(loader);
            int64_t r = position % BATCH;
            cr_assert_eq(seen[b.trajectory[r]][b.start[r]]++, 0, "clip drawn twice in epoch %d", epoch);
            int clip = (int)(b.trajectory[r] * STARTS + b.start[r]);
            differs += clip != before[j];
            before[j] = clip;
        }
    }
    cr_assert(differs > 5 * CLIPS / 2, "epochs are not shuffled anew");
    ds_loader_destroy(&loader);
}

typedef struct record {
    int64_t trajectory[BATCH], start[BATCH];
    float state[BATCH * CLIP * SAMPLE_NODES * SAMPLE_FIELDS];
} record;

static void take(ds_loader *loader, record *out)
{
    ds_batch b = next(loader);
    memcpy(out->trajectory, b.trajectory, sizeof out->trajectory);
    memcpy(out->start, b.start, sizeof out->start);
    memcpy(out->state, b.clip.state, sizeof out->state);
}

enum { STEPS = 60 };
static record reference[STEPS];

static void take_reference(ds_loader_options options)
{
    ds_loader *loader = open_loader(options);
    for (int k = 0; k < STEPS; k++)
        take(loader, &reference[k]);
    ds_loader_destroy(&loader);
}

Test(data_loader, a_batch_depends_on_seed_and_step_alone)
{
    const ds_loader_options options = {.seed = 9, .state_noise = 0.1};
    record found;
    take_reference(options);
    for (int depth = 1; depth <= 8; depth++) {
        ds_loader_options other = options;
        other.depth = depth;
        ds_loader *loader = open_loader(other);
        for (int k = 0; k < STEPS; k++) {
            take(loader, &found);
            cr_assert_arr_eq(&found, &reference[k], sizeof found, "depth %d, step %d", depth, k);
        }
        /* Seeks at once, after some batches, backwards, to the same place, and twice in a row. */
        const int64_t seeks[] = {0, 37, 5, 5, 59, 1};
        for (size_t s = 0; s < sizeof seeks / sizeof *seeks; s++) {
            cr_assert_eq(ds_loader_seek(loader, 1000000), FWM_OK);
            cr_assert_eq(ds_loader_seek(loader, seeks[s]), FWM_OK);
            for (int64_t k = seeks[s]; k < STEPS && k < seeks[s] + 3; k++) {
                take(loader, &found);
                cr_assert_arr_eq(&found, &reference[k], sizeof found, "depth %d, seek %zu, step %lld", depth, s,
                                 (long long)k);
            }
        }
        ds_loader_destroy(&loader);
    }
    ds_loader *loader = open_loader((ds_loader_options){.seed = 10});
    take(loader, &found);
    cr_assert(memcmp(&found, &reference[0], sizeof found) != 0, "another seed gives another order");
    cr_assert_eq(ds_loader_seek(loader, -1), FWM_INVALID);
    cr_assert_eq(ds_loader_seek(loader, INT64_MAX), FWM_INVALID);
    ds_loader_destroy(&loader);
}

Test(data_loader, ranks_share_each_step_between_them)
{
    enum { RANKS = 5 };
    ds_loader *parts[RANKS], *whole = open_loader((ds_loader_options){.seed = 4, .batch = RANKS * BATCH});
    for (int r = 0; r < RANKS; r++)
        parts[r] = open_loader((ds_loader_options){.seed = 4, .rank = r, .ranks = RANKS});
    for (int k = 0; k < 10; k++) {
        ds_batch all = next(whole);
        for (int r = 0; r < RANKS; r++) {
            ds_batch part = next(parts[r]);
            cr_assert_arr_eq(part.trajectory, all.trajectory + r * BATCH, BATCH * sizeof *part.trajectory);
            cr_assert_arr_eq(part.start, all.start + r * BATCH, BATCH * sizeof *part.start);
        }
    }
    for (int r = 0; r < RANKS; r++)
        ds_loader_destroy(&parts[r]);
    ds_loader_destroy(&whole);
}

/* Noise belongs to the data: the same (trajectory, step) always carries the same, of the deviation that was asked
 * for. */
Test(data_loader, state_noise_is_part_of_the_data)
{
    static float noise[SAMPLE_N][SAMPLE_T][SAMPLE_NODES][SAMPLE_FIELDS];
    static bool known[SAMPLE_N][SAMPLE_T];
    const double level = 0.25;
    double sum = 0, squares = 0;
    int64_t n = 0;
    const double *std = ds_get_info(ds)->fields[DS_STATE].stats.std;
    ds_loader *loader = open_loader((ds_loader_options){.seed = 2, .state_noise = level});
    for (int k = 0; k < 3 * CLIPS / BATCH; k++) {
        ds_batch b = next(loader);
        for (int64_t r = 0; r < BATCH * CLIP; r++) {
            int64_t i = b.trajectory[r / CLIP], t = b.start[r / CLIP] + r % CLIP;
            for (int p = 0; p < SAMPLE_NODES; p++)
                for (int c = 0; c < SAMPLE_FIELDS; c++) {
                    float x = b.clip.state[(r * SAMPLE_NODES + p) * SAMPLE_FIELDS + c];
                    float e = (x - sample_state(i, t, p, c)) / (float)(level * std[c]);
                    if (known[i][t])
                        cr_assert_eq(noise[i][t][p][c], e);
                    noise[i][t][p][c] = e;
                    sum += known[i][t] ? 0 : (double)e;
                    squares += known[i][t] ? 0 : (double)(e * e);
                    n += known[i][t] ? 0 : 1;
                }
            known[i][t] = true;
        }
    }
    /* n = 9 x 11 x 12 standard normals: mean within 4 / sqrt(n) = 0.116, mean square within 4 sqrt(2 / n) = 0.164. */
    cr_assert_eq(n, TRAIN * SAMPLE_T * SAMPLE_NODES * SAMPLE_FIELDS);
    cr_assert(fabs(sum / (double)n) < 4 / sqrt((double)n) && fabs(squares / (double)n - 1) < 4 * sqrt(2 / (double)n),
              "%g %g", sum / (double)n, squares / (double)n);
    ds_loader_destroy(&loader);
}

Test(data_loader, limit_split_and_skipped_fields_are_kept_to)
{
    ds_loader *loader = open_loader((ds_loader_options){.limit = 2, .skip = {[DS_FRAMES] = true, [DS_S_PHY] = true}});
    cr_assert_eq(ds_loader_clips(loader), 2 * STARTS);
    for (int k = 0; k < 10; k++) {
        ds_batch b = next(loader);
        cr_assert(b.clip.frames == NULL && b.clip.s_phy == NULL && b.clip.state && b.clip.actions);
        for (int r = 0; r < BATCH; r++)
            cr_assert_leq(b.trajectory[r], 1);
    }
    ds_loader_destroy(&loader);
    loader = open_loader((ds_loader_options){.split = DS_TEST, .clip = SAMPLE_T});
    cr_assert_eq(ds_loader_clips(loader), 1);
    ds_batch b = next(loader);
    for (int r = 0; r < BATCH; r++)
        cr_assert(b.trajectory[r] == 7 && b.start[r] == 0);
    ds_loader_destroy(&loader);
}

Test(data_loader, unusable_options_are_refused)
{
    ds_loader *loader = NULL;
    const struct {
        ds_loader_options options;
        fwm_status code;
    } cases[] = {
        {{.clip = 0, .batch = 1}, FWM_INVALID},
        {{.clip = 1, .batch = 0}, FWM_INVALID},
        {{.clip = 1, .batch = 1, .depth = 65}, FWM_INVALID},
        {{.clip = 1, .batch = 1, .depth = -1}, FWM_INVALID},
        {{.clip = 1, .batch = 1, .rank = 2, .ranks = 2}, FWM_INVALID},
        {{.clip = 1, .batch = 1, .state_noise = -1}, FWM_INVALID},
        {{.clip = 1, .batch = 1, .state_noise = NAN}, FWM_INVALID},
        {{.clip = 1, .batch = 1, .state_noise = 1, .skip = {[DS_STATE] = true}}, FWM_INVALID},
        {{.clip = SAMPLE_T + 1, .batch = 1}, FWM_DATA},
        {{.clip = SAMPLE_T, .batch = INT32_MAX, .depth = 64}, FWM_MEMORY},
        {{.clip = INT64_MAX, .batch = 2}, FWM_DATA},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(ds_loader_create(&loader, ds, &cases[i].options), cases[i].code, "case %zu: %s", i,
                     fwm_error_message());
        cr_assert_null(loader);
    }
}

Test(data_loader, nothing_is_allocated_after_creation)
{
    ds_loader *loader = open_loader((ds_loader_options){.seed = 1, .state_noise = 0.1});
    const size_t floats = SAMPLE_H * SAMPLE_W * SAMPLE_C + SAMPLE_A + SAMPLE_NODES * SAMPLE_FIELDS + SAMPLE_COARSE;
    /* Three batches by default; each array is rounded up to 64 bytes. */
    size_t least = 3 * BATCH * (CLIP * (floats * sizeof(float) + 1) + SAMPLE_P * sizeof(float) + 2 * sizeof(int64_t));
    cr_assert(ds_loader_memory(loader) >= least && ds_loader_memory(loader) <= least + 3 * 8 * 64, "%zu %zu",
              ds_loader_memory(loader), least);
    (void)next(loader);
    size_t before = fwm_allocation_count();
    for (int k = 0; k < 100; k++)
        (void)next(loader);
    cr_assert_eq(fwm_allocation_count(), before);
    cr_assert_eq(ds_loader_delivered(loader), (int64_t)(101 * ds_loader_memory(loader) / 3));
    cr_assert(ds_loader_waited(loader) >= 0);
    ds_loader_destroy(&loader);
}

Test(data_loader, an_error_of_the_thread_reaches_the_consumer)
{
    /* After an epoch every place in the file is known; then it is cut, and reads beyond its new end fail. What was
     * read ahead is still delivered: at most `depth` batches. */
    enum { DEPTH = 3 };
    ds_batch batch;
    ds_loader *loader = open_loader((ds_loader_options){.seed = 1, .depth = DEPTH});
    fwm_status status = FWM_OK;
    for (int k = 0; k <= CLIPS / BATCH; k++)
        (void)next(loader);
    cr_assert_eq(truncate(folder.file, 4096), 0);
    for (int k = 0; k <= DEPTH && status == FWM_OK; k++)
        status = ds_loader_next(loader, &batch);
    cr_assert_eq(status, FWM_IO, "%s", fwm_error_message());
    cr_assert(strstr(fwm_error_message(), folder.file) && strstr(fwm_error_message(), "truncated"), "%s",
              fwm_error_message());
    ds_loader_destroy(&loader);
}

Test(data_loader, two_loaders_and_a_reader_share_a_dataset)
{
    static float state[SAMPLE_T][SAMPLE_NODES][SAMPLE_FIELDS];
    ds_loader *a = open_loader((ds_loader_options){.seed = 9, .depth = 2}),
              *b = open_loader((ds_loader_options){.seed = 9, .depth = 5});
    for (int k = 0; k < STEPS; k++) {
        record x, y;
        take(a, &x);
        take(b, &y);
        cr_assert_arr_eq(&x, &y, sizeof x);
        cr_assert_eq(ds_read(ds, k % SAMPLE_N, 0, SAMPLE_T, &(ds_clip){.state = &state[0][0][0]}), FWM_OK);
        cr_assert_eq(state[3][4][1], sample_state(k % SAMPLE_N, 3, 4, 1));
    }
    ds_loader_destroy(&a);
    ds_loader_destroy(&b);
}

Test(data_loader, sequence_gives_whole_trajectories_in_order)
{
    ds_sequence *sequence = NULL;
    ds_batch b;
    int64_t seen = 0;
    cr_assert_eq(ds_sequence_create(&sequence, ds, DS_TRAIN, 4, 0, NULL), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ds_sequence_count(sequence), TRAIN);
    const int64_t sizes[] = {4, 4, 1, 0, 0};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        cr_assert_eq(ds_sequence_next(sequence, &b), FWM_OK, "%s", fwm_error_message());
        cr_assert_eq(b.count, sizes[k]);
        for (int64_t r = 0; r < b.count; r++, seen++) {
            int64_t i = seen + seen / 3; /* 3, 7 and 11 are held out */
            cr_assert(b.trajectory[r] == i && b.start[r] == 0 && b.length == SAMPLE_T);
            for (int64_t t = 0; t < SAMPLE_T; t++)
                cr_assert_eq(b.clip.state[((r * SAMPLE_T + t) * SAMPLE_NODES + 1) * SAMPLE_FIELDS],
                             sample_state(i, t, 1, 0));
            cr_assert_eq(b.clip.parameters[r * SAMPLE_P], (float)(1 + i));
        }
    }
    ds_sequence_destroy(&sequence);
    cr_assert_eq(ds_sequence_create(&sequence, ds, DS_TRAIN, 2, 3, (bool[]){true, true, true, false}), FWM_OK);
    cr_assert_eq(ds_sequence_count(sequence), 3);
    cr_assert_eq(ds_sequence_next(sequence, &b), FWM_OK);
    cr_assert(b.clip.state == NULL && b.clip.s_phy != NULL);
    ds_sequence_destroy(&sequence);
    cr_assert_eq(ds_sequence_create(&sequence, ds, DS_TRAIN, 0, 0, NULL), FWM_INVALID);
}

Test(data_loader, threads_and_bytes_change_nothing)
{
    ds_loader *plain = open_loader((ds_loader_options){.seed = 9, .state_noise = 0.1, .threads = 1, .depth = 2});
    enum { KINDS = 4, FRAMES = BATCH * CLIP * SAMPLE_H * SAMPLE_W * SAMPLE_C };
    ds_loader *others[KINDS];
    for (int i = 0; i < KINDS; i++)
        others[i] = open_loader((ds_loader_options){
            .seed = 9, .state_noise = 0.1, .threads = 1 + 5 * (i / 2), .depth = 2 + i, .bytes = i % 2});
    for (int k = 0; k < STEPS; k++) {
        const ds_batch a = next(plain);
        for (int i = 0; i < KINDS; i++) {
            const ds_batch b = next(others[i]);
            cr_assert_arr_eq(a.trajectory, b.trajectory, BATCH * sizeof *a.trajectory);
            cr_assert_arr_eq(a.start, b.start, BATCH * sizeof *a.start);
            cr_assert_arr_eq(a.clip.state, b.clip.state,
                             BATCH * CLIP * SAMPLE_NODES * SAMPLE_FIELDS * sizeof *a.clip.state);
            cr_assert_eq(b.clip.frames == NULL, i % 2 == 1);
            for (int j = 0; j < FRAMES; j++)
                cr_assert_eq(a.clip.frames[j], i % 2 ? (float)b.clip.frame_bytes[j] / 255.0F : b.clip.frames[j]);
        }
    }
    for (int i = 0; i < KINDS; i++)
        ds_loader_destroy(&others[i]);
    ds_loader_destroy(&plain);
}

static bool has_key_state(int64_t trajectory, int64_t start)
{
    for (int64_t t = start; t < start + CLIP; t++)
        if ((trajectory + t) % 3 == 0)
            return true;
    return false;
}

/* Any function of a clip has the same weighted mean over batches as it has over all clips; of what is drawn more often,
 * more comes. The mean of n draws is off by less than 5 deviations / sqrt(n). */
static void check_unbiased(ds_loader *loader, const double *scores, double factor)
{
    enum { DRAWS = 4000 };
    double mean = 0, all = 0, square = 0, weights = 0, rates[CLIPS], sum = 0;
    int64_t seen[SAMPLE_N][STARTS] = {{0}};
    for (int k = 0; k < DRAWS; k++) {
        const ds_batch b = next(loader);
        for (int r = 0; r < BATCH; r++) {
            const double f = (double)b.weight[r] * (double)(b.trajectory[r] * b.trajectory[r] + 3 * b.start[r]);
            mean += f / (DRAWS * BATCH);
            square += f * f / (DRAWS * BATCH);
            weights += (double)b.weight[r] / (DRAWS * BATCH);
            seen[b.trajectory[r]][b.start[r]]++;
        }
    }
    for (int64_t i = 0; i < CLIPS; i++) {
        int64_t trajectory, start;
        ds_loader_clip(loader, i, &trajectory, &start);
        rates[i] = (scores ? scores[i] : 1) * (has_key_state(trajectory, start) ? factor : 1);
        sum += rates[i];
        all += (double)(trajectory * trajectory + 3 * start) / CLIPS;
    }
    cr_assert_lt(fabs(mean - all), 5 * sqrt(square / (DRAWS * BATCH)), "%g, expected %g", mean, all);
    cr_assert_lt(fabs(weights - 1), 0.05);
    for (int64_t i = 0; i < CLIPS; i++) {
        int64_t trajectory, start;
        ds_loader_clip(loader, i, &trajectory, &start);
        const double expected = rates[i] / sum * DRAWS * BATCH, found = (double)seen[trajectory][start];
        cr_assert_lt(fabs(found - expected), 6 * sqrt(expected) + 1, "clip %d: %g, expected %g", (int)i, found,
                     expected);
    }
}

Test(data_loader, key_states_come_more_often_and_weigh_less)
{
    ds_loader *loader = open_loader((ds_loader_options){.seed = 6, .key_state_weight = 4, .clip = CLIP});
    /* Every window of four steps has a key state in the sample: none is rarer than the others. */
    check_unbiased(loader, NULL, 4);
    double scores[CLIPS];
    for (int i = 0; i < CLIPS; i++)
        scores[i] = i % 7 == 0 ? 9 : 1 + i % 2;
    cr_assert_eq(ds_loader_set_scores(loader, scores), FWM_OK, "%s", fwm_error_message());
    check_unbiased(loader, scores, 4);
    ds_loader_destroy(&loader);
    loader = open_loader((ds_loader_options){.seed = 6, .key_state_weight = 5, .clip = 1});
    int64_t keys = 0, n = 0;
    for (int k = 0; k < 2000; k++) {
        const ds_batch b = next(loader);
        for (int r = 0; r < BATCH; r++, n++) {
            const bool key = (b.trajectory[r] + b.start[r]) % 3 == 0;
            keys += key;
            cr_assert_eq(b.clip.key_state[r], key);
        }
    }
    /* A third of the steps is a key state: 5/3 of 5/3 + 2/3 of the draws. */
    cr_assert_lt(fabs((double)keys / (double)n - 5.0 / 7.0), 0.02, "%g", (double)keys / (double)n);
    ds_loader_destroy(&loader);
}

Test(data_loader, scores_act_from_the_next_batch_and_resume)
{
    double scores[CLIPS] = {0};
    record found, again;
    scores[5] = 1;
    scores[CLIPS - 1] = 3;
    ds_loader *loader = open_loader((ds_loader_options){.seed = 8, .depth = 4}), *other = NULL;
    for (int k = 0; k < 7; k++)
        (void)next(loader);
    cr_assert_eq(ds_loader_set_scores(loader, scores), FWM_OK);
    other = open_loader((ds_loader_options){.seed = 8, .depth = 2, .threads = 1});
    cr_assert_eq(ds_loader_set_scores(other, scores), FWM_OK);
    cr_assert_eq(ds_loader_seek(other, 7), FWM_OK);
    for (int k = 7; k < 30; k++) {
        const ds_batch b = next(loader);
        cr_assert_eq(b.step, k);
        for (int r = 0; r < BATCH; r++) {
            int64_t i[2], start[2];
            ds_loader_clip(loader, 5, &i[0], &start[0]);
            ds_loader_clip(loader, CLIPS - 1, &i[1], &start[1]);
            const int which = b.trajectory[r] == i[1];
            cr_assert(b.trajectory[r] == i[which] && b.start[r] == start[which]);
            cr_assert_float_eq(b.weight[r], which ? 4.0F / (3 * CLIPS) : 4.0F / CLIPS, 1e-6F);
        }
        memcpy(found.trajectory, b.trajectory, sizeof found.trajectory);
        take(other, &again);
        cr_assert_arr_eq(found.trajectory, again.trajectory, sizeof found.trajectory);
    }
    cr_assert_eq(ds_loader_set_scores(loader, NULL), FWM_OK);
    cr_assert_eq(ds_loader_seek(loader, 3), FWM_OK);
    take(loader, &found);
    ds_loader_destroy(&other);
    other = open_loader((ds_loader_options){.seed = 8});
    cr_assert_eq(ds_loader_seek(other, 3), FWM_OK);
    take(other, &again);
    cr_assert_arr_eq(&found, &again, sizeof found);
    scores[2] = -1;
    cr_assert_eq(ds_loader_set_scores(loader, scores), FWM_INVALID);
    scores[2] = NAN;
    cr_assert_eq(ds_loader_set_scores(loader, scores), FWM_INVALID);
    memset(scores, 0, sizeof scores);
    cr_assert_eq(ds_loader_set_scores(loader, scores), FWM_INVALID);
    ds_loader_destroy(&other);
    ds_loader_destroy(&loader);
}
