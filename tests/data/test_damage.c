/* Files that are not what they should be: named errors, never a crash, never more memory than the file
 * could ask for. */
#include "data/dataset.h"
#include "data/h5.h"
#include "model/base/random.h"
#include "tests/data/folder.h"
#include "tests/data/sample.h"

#include <criterion/criterion.h>
#include <sys/resource.h>

static test_folder folder;

static void open_folder(void)
{
    cr_assert(test_folder_open(&folder));
}

static void close_folder(void)
{
    test_folder_close(&folder);
}

TestSuite(data_damage, .init = open_folder, .fini = close_folder);

static void write_bytes(const void *bytes, size_t size)
{
    FILE *file = fopen(folder.file, "wb");
    cr_assert(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static unsigned char *read_bytes(size_t *size)
{
    FILE *file = fopen(folder.file, "rb");
    cr_assert(file && fseek(file, 0, SEEK_END) == 0);
    long n = ftell(file);
    rewind(file);
    unsigned char *bytes = malloc((size_t)n);
    cr_assert(bytes && n > 0 && fread(bytes, 1, (size_t)n, file) == (size_t)n && fclose(file) == 0);
    *size = (size_t)n;
    return bytes;
}

/* Opens the file, which must fail with `code` and a message that holds the file's name and `part`. */
static void expect_failure(fwm_status code, const char *part)
{
    ds_dataset *ds = NULL;
    fwm_status status = ds_open(&ds, folder.file, "auto");
    cr_assert_eq(status, code, "expected '%s', found '%s': %s", fwm_status_text(code), fwm_status_text(status),
                 fwm_error_message());
    cr_assert_null(ds);
    cr_assert(strstr(fwm_error_message(), folder.file), "no file name in: %s", fwm_error_message());
    cr_assert(strstr(fwm_error_message(), part), "no '%s' in: %s", part, fwm_error_message());
}

Test(data_damage, what_is_not_hdf5_is_named_for_what_it_is)
{
    const struct {
        const char *bytes, *part;
        size_t size;
    } cases[] = {
        {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "git-lfs pointer", 64},
        {"<!DOCTYPE html><html><body>404</body></html>", "web page", 44},
        {"<html><head></head></html>", "web page", 26},
        {"PK\x03\x04rest", "zip archive", 8},
        {"\x1f\x8b\x08rest", "gzip archive", 7},
        {"0123456789", "something else", 10},
        {"\x89HDF\r\n\x1a\n", "HDF5", 8},
    };
    expect_failure(FWM_IO, "No such file");
    write_bytes("", 0);
    expect_failure(FWM_DATA, "empty");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_bytes(cases[i].bytes, cases[i].size);
        expect_failure(FWM_DATA, cases[i].part);
    }
    ds_dataset *ds = NULL;
    cr_assert_eq(ds_open(&ds, folder.path, "auto"), FWM_DATA, "a folder without a layout");
    cr_assert_eq(ds_open(&ds, folder.path, "fwm"), FWM_DATA, "a folder is no native dataset");
    cr_assert_eq(ds_open(&ds, "/dev/null", "auto"), FWM_IO);
}

Test(data_damage, an_unknown_layout_is_refused_and_the_known_ones_listed)
{
    ds_dataset *ds = NULL;
    cr_assert_eq(sample_write(folder.file, NULL), FWM_OK);
    cr_assert_eq(ds_open(&ds, folder.file, "fmw"), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "fwm") && strstr(fwm_error_message(), "'fmw'"), "%s", fwm_error_message());
}

/* ---- files that are HDF5, but not right ------------------------------------------------------------------------ */

static hid_t edit_sample(void)
{
    cr_assert_eq(sample_write(folder.file, NULL), FWM_OK, "%s", fwm_error_message());
    hid_t file = H5Fopen(folder.file, H5F_ACC_RDWR, H5P_DEFAULT);
    cr_assert(file >= 0);
    return file;
}

static void put_dataset(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims, const hsize_t *chunk)
{
    hid_t space = H5Screate_simple(rank, dims, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    if (chunk)
        cr_assert(H5Pset_chunk(create, rank, chunk) >= 0);
    hid_t id = H5Dcreate2(file, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    cr_assert(id >= 0, "%s", name);
    H5Dclose(id);
    H5Pclose(create);
    H5Sclose(space);
}

/* Replaces one dataset of the sample, or only deletes it where rank is 0, and expects an error with `part`. */
static void expect_replaced(const char *name, hid_t type, int rank, const hsize_t *dims, const hsize_t *chunk,
                            const char *part)
{
    hid_t file = edit_sample();
    cr_assert(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
    if (rank > 0)
        put_dataset(file, name, type, rank, dims, chunk);
    H5Fclose(file);
    expect_failure(FWM_DATA, part);
}

Test(data_damage, missing_misshaped_and_mistyped_parts_are_named)
{
    const hsize_t n[5] = {SAMPLE_N, SAMPLE_T, SAMPLE_NODES, SAMPLE_FIELDS, 1};
    expect_replaced("/split", H5T_STD_U8LE, 0, NULL, NULL, "/split: expected a dataset, found none");
    expect_replaced("/split", H5T_IEEE_F32LE, 1, n, NULL, "/split: expected integers");
    expect_replaced("/state", H5T_IEEE_F32LE, 3, n, NULL, "/state: expected 4 axes, found 3");
    expect_replaced("/state", H5T_C_S1, 4, n, NULL, "/state: expected numbers");
    expect_replaced("/state", H5T_IEEE_F32LE, 4, (hsize_t[]){SAMPLE_N - 1, SAMPLE_T, 6, 2}, NULL,
                    "/state: expected extent 12 on axis 0");
    expect_replaced("/state", H5T_IEEE_F32LE, 4, (hsize_t[]){SAMPLE_N, SAMPLE_T - 1, 6, 2}, NULL,
                    "/state: expected extent 11 on axis 1");
    expect_replaced("/state", H5T_IEEE_F32LE, 4, (hsize_t[]){SAMPLE_N, SAMPLE_T, 5, 2}, NULL,
                    "/state: expected the 6 nodes of /mesh, found 5");
    expect_replaced("/frames", H5T_STD_I32LE, 5, (hsize_t[]){SAMPLE_N, SAMPLE_T, 6, 5, 1}, NULL,
                    "/frames: expected bytes or floating");
    expect_replaced("/key_state", H5T_IEEE_F64LE, 2, n, NULL, "/key_state: expected 0 or 1");
    expect_replaced("/parameters", H5T_IEEE_F32LE, 2, (hsize_t[]){3, 2}, NULL, "/parameters: expected extent 12");
    expect_replaced("/mesh/cells", H5T_STD_I32LE, 0, NULL, NULL, "/mesh/cells: expected a dataset");
    expect_replaced("/mesh/cells", H5T_STD_I32LE, 2, (hsize_t[]){4, 4}, NULL, "/mesh: cells: a mesh of triangles");
    expect_replaced("/mesh/vertices", H5T_IEEE_F64LE, 2, (hsize_t[]){3, 2}, NULL,
                    "/mesh: cells: expected indices from 0 to 2");
    expect_replaced("/stats/state/std", H5T_IEEE_F64LE, 1, (hsize_t[]){3}, NULL,
                    "/stats/state/std: expected 2 channels, found 3");
    expect_replaced("/stats/state/mean", H5T_IEEE_F64LE, 0, NULL, NULL, "/stats/state/mean: expected a dataset");
}

Test(data_damage, absurd_extents_are_refused_before_anything_is_allocated)
{
#ifndef __SANITIZE_ADDRESS__ /* which reserves terabytes of addresses for itself */
    const struct rlimit limit = {1ULL << 33, 1ULL << 33};
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
#endif
    const char *part = "claim more than a file of";
    const hsize_t huge = 1ULL << 40, chunk[5] = {1, 1, 1, 1, 1};
    expect_replaced("/frames", H5T_STD_U8LE, 5, (hsize_t[]){SAMPLE_N, SAMPLE_T, huge, huge, 1}, chunk, part);
    expect_replaced("/frames", H5T_STD_U8LE, 5, (hsize_t[]){SAMPLE_N, SAMPLE_T, 6, huge, 3}, chunk, part);
    expect_replaced("/split", H5T_STD_U8LE, 1, (hsize_t[]){huge}, (hsize_t[]){1}, part);
    expect_replaced("/mesh/vertices", H5T_IEEE_F64LE, 2, (hsize_t[]){huge, 2}, (hsize_t[]){1, 1}, part);
}

Test(data_damage, a_chunk_that_was_never_written_is_an_error)
{
    static float state[SAMPLE_T * SAMPLE_NODES * SAMPLE_FIELDS];
    const hsize_t dims[4] = {SAMPLE_N, SAMPLE_T, SAMPLE_NODES, SAMPLE_FIELDS},
                  chunk[4] = {1, SAMPLE_T, SAMPLE_NODES, SAMPLE_FIELDS};
    ds_dataset *ds = NULL;
    hid_t file = edit_sample();
    cr_assert(H5Ldelete(file, "/state", H5P_DEFAULT) >= 0);
    put_dataset(file, "/state", H5T_IEEE_F32LE, 4, dims, chunk);
    H5Fclose(file);
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ds_read(ds, 2, 0, 3, &(ds_clip){.state = state}), FWM_DATA);
    cr_assert(strstr(fwm_error_message(), "/state: expected a chunk at member 2, step 0"), "%s", fwm_error_message());
    ds_close(&ds);
}

/* Replaces an attribute by an integer, or only deletes it, and expects an error with `part`. */
static void expect_attribute(const char *object, const char *name, bool replace, int64_t value, fwm_status code,
                             const char *part)
{
    hid_t file = edit_sample();
    cr_assert(H5Adelete_by_name(file, object, name, H5P_DEFAULT) >= 0);
    if (replace) {
        hid_t space = H5Screate(H5S_SCALAR);
        hid_t id = H5Acreate_by_name(file, object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        cr_assert(id >= 0 && H5Awrite(id, H5T_NATIVE_INT64, &value) >= 0);
        H5Aclose(id);
        H5Sclose(space);
    }
    H5Fclose(file);
    expect_failure(code, part);
}

Test(data_damage, attributes_are_checked)
{
    expect_attribute("/", "format", false, 0, FWM_DATA, "one of the layouts that are read (fwm");
    expect_attribute("/", "version", false, 0, FWM_DATA, "/@version: expected an attribute, found none");
    expect_attribute("/", "version", true, 3, FWM_UNSUPPORTED,
                     "/@version: this program reads versions 1 to 2, found 3");
    expect_attribute("/", "config", true, 2, FWM_DATA, "/@config: expected text");
    expect_attribute("/state", "names", true, 2, FWM_DATA, "/state@names: expected 2 texts");
    expect_attribute("/mesh", "cell", false, 0, FWM_DATA, "/mesh@cell: expected an attribute");
}

/* ---- cut and flipped ------------------------------------------------------------------------------------------- */

/* Reads everything there is; true when all of it could be. */
static bool read_all(void)
{
    static float frames[SAMPLE_T * SAMPLE_H * SAMPLE_W * SAMPLE_C], actions[SAMPLE_T * SAMPLE_A],
        state[SAMPLE_T * SAMPLE_NODES * SAMPLE_FIELDS], s_phy[SAMPLE_T * SAMPLE_COARSE], parameters[SAMPLE_P];
    static uint8_t key[SAMPLE_T];
    float *room[DS_FIELDS] = {frames, actions, state, s_phy};
    const int64_t capacity[DS_FIELDS] = {SAMPLE_H * SAMPLE_W * SAMPLE_C, SAMPLE_A, SAMPLE_NODES * SAMPLE_FIELDS,
                                         SAMPLE_COARSE};
    ds_dataset *ds = NULL;
    if (ds_open(&ds, folder.file, "auto") != FWM_OK)
        return false;
    const ds_info *info = ds_get_info(ds);
    bool ok = true;
    for (int64_t i = 0; i < info->trajectories; i++) {
        ds_clip clip = {.key_state = info->has_key_state ? key : NULL};
        int64_t length = info->lengths[i] < SAMPLE_T ? info->lengths[i] : SAMPLE_T;
        for (ds_field f = 0; f < DS_FIELDS; f++)
            if (info->fields[f].points > 0 && info->fields[f].points * info->fields[f].channels <= capacity[f])
                clip.field[f] = room[f];
        if (info->parameters > 0 && info->parameters <= SAMPLE_P)
            clip.parameters = parameters;
        ok = ds_read(ds, i, 0, length, &clip) == FWM_OK && ok;
    }
    for (int64_t i = 0; i < info->truths; i++) {
        int64_t count;
        const double *values;
        ok = ds_truth(ds, info->truth_names[i], &count, &values) == FWM_OK && ok;
    }
    ok = ds_ensure_stats(ds) == FWM_OK && ok;
    ds_close(&ds);
    return ok;
}

static void cut_everywhere(const ds_writer_options *options)
{
    size_t size;
    cr_assert_eq(sample_write(folder.file, options), FWM_OK);
    cr_assert(read_all(), "%s", fwm_error_message());
    unsigned char *bytes = read_bytes(&size);
    for (size_t n = 0; n < size; n += n < 256 || n + 64 > size ? 1 : 101) {
        write_bytes(bytes, n);
        cr_assert(!read_all(), "a file cut at byte %zu of %zu was read as if whole", n, size);
        cr_assert(strlen(fwm_error_message()) > 0);
    }
    free(bytes);
}

Test(data_damage, a_file_cut_at_any_byte_is_an_error)
{
    cut_everywhere(NULL);
}

Test(data_damage, a_compressed_file_cut_at_any_byte_is_an_error)
{
    cut_everywhere(&(ds_writer_options){.gzip = 1});
}

/* 400 cases of 1 to 8 flipped bytes: an error or data, never a crash. Metadata carries checksums, so
 * most are errors. */
static void flip_bytes(const ds_writer_options *options, uint64_t seed)
{
    size_t size;
    int errors = 0, cases = 400;
    cr_assert_eq(sample_write(folder.file, options), FWM_OK);
    unsigned char *bytes = read_bytes(&size), *copy = malloc(size);
    cr_assert_not_null(copy);
    for (int i = 0; i < cases; i++) {
        uint32_t word[4];
        memcpy(copy, bytes, size);
        fwm_random_words((fwm_key){seed, 1}, (uint64_t)i, 0, word);
        for (uint32_t k = 0, n = word[0] % 8 + 1; k < n; k++) {
            fwm_random_words((fwm_key){seed, 2}, (uint64_t)i, k, word);
            copy[(((uint64_t)word[1] << 32) | word[2]) % size] ^= (unsigned char)(word[3] % 255 + 1);
        }
        write_bytes(copy, size);
        errors += !read_all();
    }
    cr_assert(errors > 0 && errors <= cases, "%d of %d were noticed", errors, cases);
    free(copy);
    free(bytes);
}

Test(data_damage, flipped_bytes_never_crash)
{
    flip_bytes(NULL, 7);
}

Test(data_damage, flipped_bytes_never_crash_compressed)
{
    flip_bytes(&(ds_writer_options){.gzip = 1}, 8);
}
