/* What is converted is what was there: value for value, name for name; nothing half-written stays. */
#include "data/convert.h"
#include "data/h5write.h"
#include "data/well_writer.h"
#include "tests/data/folder.h"
#include "tests/data/sample.h"

#include <criterion/criterion.h>
#include <math.h>
#include <sys/stat.h>

static test_folder folder;
static char native[768], well[768], again[768];

static void open_folder(void)
{
    cr_assert(test_folder_open(&folder));
    (void)snprintf(native, sizeof native, "%s/native.h5", folder.path);
    (void)snprintf(well, sizeof well, "%s/well", folder.path);
    (void)snprintf(again, sizeof again, "%s/again.h5", folder.path);
}

static void close_folder(void)
{
    ds_folder_remove(folder.path);
}

TestSuite(data_convert, .init = open_folder, .fini = close_folder);

static ds_dataset *open_path(const char *path)
{
    ds_dataset *ds = NULL;
    cr_assert_eq(ds_open(&ds, path, "auto"), FWM_OK, "%s", fwm_error_message());
    return ds;
}

static void convert(const char *from, const char *to, const char *target, ds_writer_options options)
{
    ds_dataset *ds = open_path(from);
    cr_assert_eq(ds_convert(ds, target, &(ds_convert_options){.to = to, .writer = options}), FWM_OK, "%s",
                 fwm_error_message());
    ds_close(&ds);
}

static float *read_field(ds_dataset *ds, ds_field f, int64_t i)
{
    const ds_info *info = ds_get_info(ds);
    float *x = malloc((size_t)(info->lengths[i] * info->fields[f].points * info->fields[f].channels) * sizeof *x);
    ds_clip clip = {0};
    clip.field[f] = x;
    cr_assert_eq(ds_read(ds, i, 0, info->lengths[i], &clip), FWM_OK, "%s", fwm_error_message());
    return x;
}

static void expect_close(const double *a, const double *b, int64_t n, double relative, const char *what)
{
    for (int64_t c = 0; c < n; c++)
        cr_assert(fabs(a[c] - b[c]) <= relative * (fabs(a[c]) + fabs(b[c])), "%s: %.17g and %.17g", what, a[c], b[c]);
}

/* All that both layouts hold of the fields `from` on. */
static void expect_equal(ds_dataset *a, ds_dataset *b, bool all)
{
    const ds_info *x = ds_get_info(a), *y = ds_get_info(b);
    cr_assert(x->trajectories == y->trajectories && x->steps == y->steps && x->parameters == y->parameters);
    for (ds_field f = 0; f < DS_FIELDS; f++) {
        const ds_field_info *p = &x->fields[f], *q = &y->fields[f];
        if (!all && (f == DS_FRAMES || f == DS_S_PHY))
            continue;
        cr_assert(p->points == q->points && p->channels == q->channels, "%s", ds_field_name(f));
        for (int64_t c = 0; c < p->channels; c++)
            cr_assert_str_eq(p->names[c], q->names[c]);
        if (p->points == 0)
            continue;
        cr_assert_eq(ds_ensure_stats(a), FWM_OK);
        cr_assert_eq(ds_ensure_stats(b), FWM_OK);
        expect_close(p->stats.mean, q->stats.mean, p->channels, 1e-8, "mean");
        expect_close(p->stats.std, q->stats.std, p->channels, 1e-8, "std");
        expect_close(p->stats.delta_std, q->stats.delta_std, p->channels, 1e-8, "delta_std");
        for (int64_t i = 0; i < x->trajectories; i++) {
            float *u = read_field(a, f, i), *v = read_field(b, f, i);
            cr_assert_eq(x->lengths[i], y->lengths[i]);
            cr_assert_arr_eq(u, v, (size_t)(x->lengths[i] * p->points * p->channels) * sizeof *u, "%s of %lld",
                             ds_field_name(f), (long long)i);
            free(u);
            free(v);
        }
    }
    for (int64_t i = 0; i < x->trajectories; i++) {
        float p[SAMPLE_P], q[SAMPLE_P];
        cr_assert_eq(x->splits[i], y->splits[i]);
        cr_assert_eq(ds_read(a, i, 0, 0, &(ds_clip){.parameters = p}), FWM_OK);
        cr_assert_eq(ds_read(b, i, 0, 0, &(ds_clip){.parameters = q}), FWM_OK);
        cr_assert_arr_eq(p, q, sizeof p);
    }
}

Test(data_convert, repacking_changes_nothing)
{
    cr_assert_eq(sample_write(folder.file, NULL), FWM_OK);
    convert(folder.file, "fwm", native, (ds_writer_options){.gzip = 3, .chunk_steps = 4});
    ds_dataset *a = open_path(folder.file), *b = open_path(native);
    expect_equal(a, b, true);
    const ds_info *x = ds_get_info(a), *y = ds_get_info(b);
    cr_assert_str_eq(x->config, y->config);
    cr_assert_str_eq(x->equation, y->equation);
    cr_assert(x->dt == y->dt && x->seed == y->seed && x->has_key_state == y->has_key_state && y->frames_are_bytes);
    cr_assert(y->mesh && y->coarse_mesh && y->mesh->nboundary == 2 && y->truths == 1);
    int64_t count;
    const double *values;
    cr_assert_eq(ds_truth(b, "conductivity", &count, &values), FWM_OK);
    cr_assert(count == 3 && values[1] == 5);
    ds_close(&a);
    ds_close(&b);
    cr_assert_eq(test_folder_count(&folder), 2, "something half-written was left");
}

Test(data_convert, the_well_and_back)
{
    cr_assert_eq(sample_write(folder.file, NULL), FWM_OK);
    convert(folder.file, "well", well, (ds_writer_options){.gzip = 1});
    convert(well, "fwm", again, (ds_writer_options){0});
    ds_dataset *b = open_path(again);
    const ds_info *y = ds_get_info(b);
    cr_assert(y->grid && y->grid->dims == 2 && y->grid->n[0] == 3 && y->grid->n[1] == 2, "the nodes are 3 x 2 points");
    cr_assert_eq(y->dt, SAMPLE_DT);
    /* The Well orders by split; the sample's nodes run along x first, a grid along y. */
    int64_t seen = 0;
    for (ds_split s = 0; s < DS_TEST_OOD; s++)
        for (int64_t i = 0; i < SAMPLE_N; i++) {
            if (sample_info()->splits[i] != s)
                continue;
            float *state = read_field(b, DS_STATE, seen), *actions = read_field(b, DS_ACTIONS, seen), p[SAMPLE_P];
            cr_assert_eq(y->splits[seen], s);
            for (int64_t t = 0; t < SAMPLE_T; t++) {
                for (int64_t ix = 0; ix < 3; ix++)
                    for (int64_t iy = 0; iy < 2; iy++)
                        for (int64_t c = 0; c < SAMPLE_FIELDS; c++)
                            cr_assert_eq(state[((t * 3 + ix) * 2 + iy) * SAMPLE_FIELDS + c],
                                         sample_state(i, t, iy * 3 + ix, c));
                for (int64_t c = 0; c < SAMPLE_A; c++)
                    cr_assert_eq(actions[t * SAMPLE_A + c], sample_action(i, t, c));
            }
            cr_assert_eq(ds_read(b, seen, 0, 0, &(ds_clip){.parameters = p}), FWM_OK);
            cr_assert_eq(p[1], (float)(1 + i + 10));
            free(state);
            free(actions);
            seen++;
        }
    ds_close(&b);
    ds_dataset *a = open_path(well);
    b = open_path(again);
    expect_equal(a, b, false);
    ds_close(&a);
    ds_close(&b);
}

/* Trajectories of different lengths, put in parts: what is read is what was put, and the statistics are those of the
 * whole. */
Test(data_convert, trajectories_of_different_lengths)
{
    enum { N = 5, T = 23, CHANNELS = 3 };
    static const char *const names[] = {"v_x", "v_y", "p"}, *const none[] = {"", "", ""};
    const int64_t lengths[N] = {23, 7, 1, 23, 12};
    static const double xs[] = {0, 1, 2, 4}, ys[] = {0, 0.5, 1};
    static float x[N][T][12 * CHANNELS];
    const ds_grid grid = {.dims = 2,
                          .n = {4, 3},
                          .names = {"x", "y"},
                          .coordinates = {xs, ys},
                          .edge = {{DS_EDGE_PERIODIC, DS_EDGE_PERIODIC}, {DS_EDGE_WALL, DS_EDGE_OPEN}}};
    ds_info info = {.name = "uneven", .trajectories = N, .steps = T, .lengths = lengths, .grid = &grid, .dt = 0.5};
    info.fields[DS_STATE] = (ds_field_info){.points = 12, .channels = CHANNELS, .names = names, .units = none};
    for (int i = 0; i < N; i++)
        for (int t = 0; t < T; t++)
            for (int k = 0; k < 12 * CHANNELS; k++)
                x[i][t][k] = (float)(i * 1000 + t * t) + 0.25F * (float)k;
    ds_writer *writer = NULL;
    cr_assert_eq(ds_writer_create(&writer, native, &info, NULL), FWM_OK, "%s", fwm_error_message());
    for (int64_t i = 0; i < N; i++)
        for (int64_t t = 0; t < lengths[i];) {
            const int64_t n = lengths[i] - t < 5 ? lengths[i] - t : 5, back = t > 0;
            cr_assert_eq(ds_writer_put_steps(writer, i, t, n, back, &(ds_trajectory){.state = &x[i][t - back][0]}),
                         FWM_OK, "%s", fwm_error_message());
            cr_assert_eq(ds_writer_put_steps(writer, i, t, n, back, &(ds_trajectory){.state = &x[i][t - back][0]}),
                         FWM_INVALID);
            t += n;
        }
    cr_assert_eq(ds_writer_finish(&writer), FWM_OK, "%s", fwm_error_message());
    convert(native, "well", well, (ds_writer_options){0});
    convert(well, "fwm", again, (ds_writer_options){.chunk_steps = 3});
    const char *paths[] = {native, again};
    const int64_t order[2][N] = {{0, 1, 2, 3, 4}, {2, 1, 4, 0, 3}}; /* files of The Well come by length */
    ds_moments sum[CHANNELS] = {{0}}, delta[CHANNELS] = {{0}};
    for (int i = 0; i < N; i++) {
        ds_moments_add_values(sum, &x[i][0][0], lengths[i], 12, CHANNELS);
        ds_moments_add_deltas(delta, &x[i][0][0], lengths[i], 12, CHANNELS);
    }
    for (int k = 0; k < 2; k++) {
        ds_dataset *ds = open_path(paths[k]);
        const ds_info *found = ds_get_info(ds);
        cr_assert(found->trajectories == N && found->steps == T && found->grid && found->grid->n[0] == 4);
        cr_assert(found->grid->edge[0][0] == DS_EDGE_PERIODIC && found->grid->edge[1][0] == DS_EDGE_WALL &&
                  found->grid->edge[1][1] == DS_EDGE_OPEN && found->grid->coordinates[0][3] == 4);
        for (int i = 0; i < N; i++) {
            const int64_t was = order[k][i];
            cr_assert_eq(found->lengths[i], lengths[was]);
            float *y = read_field(ds, DS_STATE, i);
            cr_assert_arr_eq(y, &x[was][0][0], (size_t)lengths[was] * 12 * CHANNELS * sizeof *y);
            free(y);
        }
        for (int c = 0; c < CHANNELS; c++) {
            static const char *const turned[] = {"p", "v_x", "v_y"}; /* scalars come first */
            cr_assert_str_eq(found->fields[DS_STATE].names[c], k ? turned[c] : names[c]);
            const int was = k ? (c + 2) % 3 : c;
            cr_assert_float_eq(found->fields[DS_STATE].stats.mean[c], sum[was].mean, 1e-6 * fabs(sum[was].mean));
            cr_assert_float_eq(found->fields[DS_STATE].stats.delta_std[c], ds_moments_std(&delta[was]),
                               1e-6 * ds_moments_std(&delta[was]));
        }
        ds_close(&ds);
        if (k == 0) /* the next file has the scalar first */
            for (int i = 0; i < N; i++)
                for (int t = 0; t < T; t++)
                    for (int p = 0; p < 12; p++) {
                        float *v = &x[i][t][p * CHANNELS];
                        const float last = v[2];
                        v[2] = v[1];
                        v[1] = v[0];
                        v[0] = last;
                    }
    }
}

Test(data_convert, what_cannot_be_is_refused)
{
    cr_assert_eq(sample_write(folder.file, NULL), FWM_OK);
    ds_dataset *ds = open_path(folder.file);
    const struct {
        const char *to, *target, *part;
        fwm_status code;
    } cases[] = {
        {"hdf5", native, "fwm or well", FWM_INVALID},
        {"fwm", folder.file, "is there already", FWM_INVALID},
        {"fwm", "/nowhere/at/all.h5", "cannot be created", FWM_IO},
        {"well", "/nowhere/at/all", "cannot be created", FWM_IO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(ds_convert(ds, cases[i].target, &(ds_convert_options){.to = cases[i].to}), cases[i].code, "%s",
                     fwm_error_message());
        cr_assert(strstr(fwm_error_message(), cases[i].part), "%s", fwm_error_message());
    }
    ds_close(&ds);
    /* A state that is a list of numbers has no grid. */
    ds_info info = {.name = "list", .trajectories = 1, .steps = 2};
    info.fields[DS_STATE] = (ds_field_info){.points = 1, .channels = 2};
    const float state[4] = {0};
    ds_writer *writer = NULL;
    cr_assert_eq(ds_writer_create(&writer, native, &info, NULL), FWM_OK);
    cr_assert_eq(ds_writer_put(writer, 0, &(ds_trajectory){.state = state}), FWM_OK);
    cr_assert_eq(ds_writer_finish(&writer), FWM_OK);
    ds = open_path(native);
    cr_assert_eq(ds_convert(ds, well, &(ds_convert_options){.to = "well"}), FWM_UNSUPPORTED);
    cr_assert(strstr(fwm_error_message(), "regular grid"), "%s", fwm_error_message());
    ds_close(&ds);
    cr_assert_eq(test_folder_count(&folder), 2, "something half-written was left");
}
