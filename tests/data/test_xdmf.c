/* XDMF: what is written of a dataset's trajectory, and what is refused. tests/interop reads the files as meshio does.
 */
#include "data/h5.h"
#include "data/xdmf.h"
#include "tests/data/folder.h"
#include "tests/data/sample.h"

#include <criterion/criterion.h>
#include <math.h>

static test_folder folder;
static char target[768];

static void open_folder(void)
{
    cr_assert(test_folder_open(&folder));
    (void)snprintf(target, sizeof target, "%s/states.xdmf", folder.path);
}

static void close_folder(void)
{
    test_folder_close(&folder);
}

TestSuite(xdmf, .init = open_folder, .fini = close_folder);

static const double vertices[] = {0, 0, 1, 0, 0, 1};
static const int32_t cells[] = {0, 1, 2};
static const ds_mesh triangle = {.dim = 2,
                                 .nv = 3,
                                 .ncell = 1,
                                 .k = 3,
                                 .cell = "triangle",
                                 .space = "P1",
                                 .vertices = vertices,
                                 .cells = cells,
                                 .n = 3,
                                 .kn = 3};

/* The text of a file. */
static const char *text_of(const char *path)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "r");
    cr_assert(f, "%s", path);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

/* Reads one array of the numbers beside the target. */
static void read_numbers(const char *place, int64_t n, float *out)
{
    char path[768];
    (void)snprintf(path, sizeof path, "%s/states.h5", folder.path);
    ds_h5_lock();
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), array = H5Dopen2(file, place, H5P_DEFAULT);
    cr_assert_gt(array, 0, "%s", place);
    hid_t space = H5Dget_space(array);
    cr_assert_eq(H5Sget_simple_extent_npoints(space), n);
    cr_assert_geq(H5Dread(array, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, out), 0);
    H5Sclose(space);
    H5Dclose(array);
    H5Fclose(file);
    ds_h5_unlock();
}

Test(xdmf, a_trajectory_has_its_channels_at_its_times)
{
    ds_dataset *ds;
    float u[SAMPLE_NODES];
    cr_assert_eq(sample_write(folder.file, NULL), FWM_OK);
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK);
    cr_assert_eq(ds_xdmf_trajectory(ds, 5, target), FWM_OK, "%s", fwm_error_message());
    read_numbers("/field1/7", SAMPLE_NODES, u);
    for (int64_t n = 0; n < SAMPLE_NODES; n++)
        cr_assert_eq(u[n], sample_state(5, 7, n, 1));
    const char *text = text_of(target);
    cr_assert(strstr(text, "<Time Value=\"0.875\"/>") && strstr(text, "Attribute Name=\"phase\""));
    cr_assert(strstr(text, "states.h5:/field1/7") && !strstr(text, folder.path));
    cr_assert_eq(test_folder_count(&folder), 3);
    cr_assert_eq(ds_xdmf_trajectory(ds, 5, target), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "is there already"));
    (void)snprintf(target, sizeof target, "%s/data.xdmf", folder.path);
    cr_assert_eq(ds_xdmf_trajectory(ds, 0, target), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "data.h5 is there already"), "%s", fwm_error_message());
    (void)snprintf(target, sizeof target, "%s/other.xdmf", folder.path);
    cr_assert_eq(ds_xdmf_trajectory(ds, SAMPLE_N, target), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "a trajectory from 0 to 11"));
    ds_close(&ds);
}

/* v_x, v_y are one vector with a third component of 0; p alone stays a scalar. */
Test(xdmf, channels_that_belong_together_are_a_vector)
{
    const char *names[] = {"p", "v_x", "v_y"};
    ds_info info = {.trajectories = 1, .steps = 1, .mesh = &triangle};
    info.fields[DS_STATE] = (ds_field_info){.points = 3, .channels = 3, .names = names};
    const float state[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    float v[9];
    ds_writer *w;
    ds_dataset *ds;
    cr_assert_eq(ds_writer_create(&w, folder.file, &info, NULL), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ds_writer_put(w, 0, &(ds_trajectory){.state = state}), FWM_OK);
    cr_assert_eq(ds_writer_finish(&w), FWM_OK);
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK);
    cr_assert_eq(ds_xdmf_trajectory(ds, 0, target), FWM_OK, "%s", fwm_error_message());
    ds_close(&ds);
    read_numbers("/field1/0", 9, v);
    cr_assert_arr_eq(v, ((float[]){2, 3, 0, 5, 6, 0, 8, 9, 0}), sizeof v);
    cr_assert(strstr(text_of(target), "Name=\"v\" AttributeType=\"Vector\""));
    cr_assert(strstr(text_of(target), "Name=\"p\" AttributeType=\"Scalar\""));
}

Test(xdmf, what_contradicts_itself_is_refused_and_leaves_nothing)
{
    ds_xdmf *x = NULL;
    ds_xdmf_field fields[] = {{"u", 1}, {"u", 2}};
    cr_assert_eq(ds_xdmf_create(&x, "states.vtk", &triangle, 1, fields), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), ".xdmf"));
    cr_assert_eq(ds_xdmf_create(&x, target, &triangle, 2, fields), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "two fields are called 'u'"));
    fields[1] = (ds_xdmf_field){"v<&\"", 4};
    cr_assert_eq(ds_xdmf_create(&x, target, &triangle, 2, fields), FWM_INVALID);
    ds_mesh bad = triangle;
    const int32_t beyond[] = {0, 1, 3};
    bad.cells = beyond;
    cr_assert_eq(ds_xdmf_create(&x, target, &bad, 1, fields), FWM_INVALID);
    /* Nodes of degree 2 that lie nowhere near where they belong. */
    static const double nodes[] = {0, 0, 1, 0, 0, 1, 5, 5, 6, 6, 7, 7};
    static const int32_t six[] = {0, 1, 2, 3, 4, 5};
    bad = triangle;
    bad.space = "P2";
    bad.nodes = nodes;
    bad.cell_nodes = six;
    bad.n = bad.kn = 6;
    cr_assert_eq(ds_xdmf_create(&x, target, &bad, 1, fields), FWM_DATA);
    cr_assert(strstr(fwm_error_message(), "cell 0 has no node where a cell of space P2 has one"));
    cr_assert_eq(ds_xdmf_create(&x, "/no/such/folder/x.xdmf", &triangle, 1, fields), FWM_IO);
    cr_assert_null(x);
    fields[1].components = 3;
    cr_assert_eq(ds_xdmf_create(&x, target, &triangle, 2, fields), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ds_xdmf_step(x, NAN, NULL), FWM_INVALID);
    ds_xdmf_abort(&x);
    cr_assert_eq(test_folder_count(&folder), 0);
}
