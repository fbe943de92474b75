/* Arrays of every storage, read without HDF5, hold what HDF5 itself reads. */
#include "data/array.h"
#include "model/base/random.h"
#include "tests/data/folder.h"

#include <criterion/criterion.h>
#include <math.h>

enum { RANK = 3, BOXES = 12, VALUES_MAX = 1 << 16 };

static test_folder folder;

static void open_folder(void)
{
    cr_assert(test_folder_open(&folder));
}

static void close_folder(void)
{
    test_folder_close(&folder);
}

TestSuite(data_array, .init = open_folder, .fini = close_folder);

/* One way to store an array. */
typedef struct storage {
    hid_t type;
    hsize_t dims[RANK], most[RANK], chunk[RANK]; /* most 0: as dims; chunk 0: contiguous */
    bool shuffle, deflate, fletcher, early, old;
    hsize_t userblock;
    ds_storage expected;
} storage;

static float value_at(int64_t i)
{
    return (float)((i * 37 + i / 11) % 251);
}

static void write_array(const storage *s)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), create = H5Pcreate(H5P_FILE_CREATE), how = H5Pcreate(H5P_DATASET_CREATE);
    if (!s->old)
        cr_assert(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0);
    cr_assert(H5Pset_userblock(create, s->userblock) >= 0);
    hid_t file = H5Fcreate(folder.file, H5F_ACC_TRUNC, create, access);
    hid_t space = H5Screate_simple(RANK, s->dims, s->most[0] ? s->most : NULL);
    if (s->chunk[0])
        cr_assert(H5Pset_chunk(how, RANK, s->chunk) >= 0);
    if (s->shuffle)
        cr_assert(H5Pset_shuffle(how) >= 0);
    if (s->deflate)
        cr_assert(H5Pset_deflate(how, 4) >= 0);
    if (s->fletcher)
        cr_assert(H5Pset_fletcher32(how) >= 0);
    if (s->early)
        cr_assert(H5Pset_alloc_time(how, H5D_ALLOC_TIME_EARLY) >= 0);
    hid_t id = H5Dcreate2(file, "/x", s->type, space, H5P_DEFAULT, how, H5P_DEFAULT);
    static float x[VALUES_MAX];
    int64_t n = (int64_t)(s->dims[0] * s->dims[1] * s->dims[2]);
    cr_assert(n <= VALUES_MAX && id >= 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = value_at(i);
    cr_assert(H5Dwrite(id, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
    H5Dclose(id);
    H5Sclose(space);
    H5Pclose(how);
    H5Pclose(create);
    H5Pclose(access);
    cr_assert(H5Fclose(file) >= 0);
}

static int64_t draw(uint64_t step, uint32_t i, int64_t n)
{
    uint32_t w[4];
    fwm_random_words((fwm_key){5, 1}, step, i, w);
    return (int64_t)(w[0] % (uint64_t)n);
}

/* Random boxes, the whole, and single values: as floats, and as bytes where they are. */
static void read_back(const storage *s, const char *what)
{
    static float found[VALUES_MAX];
    static uint8_t bytes[VALUES_MAX];
    ds_h5 *file = NULL;
    ds_array a;
    ds_h5_lock();
    cr_assert_eq(ds_h5_open(&file, folder.file), FWM_OK, "%s: %s", what, fwm_error_message());
    cr_assert_eq(ds_array_open(&a, file, "/x", RANK, 1), FWM_OK, "%s: %s", what, fwm_error_message());
    ds_h5_unlock();
    cr_assert_eq(a.storage, s->expected, "%s: stored as %d, expected %d", what, (int)a.storage, (int)s->expected);
    for (uint64_t b = 0; b < BOXES; b++) {
        int64_t at[RANK], count[RANK], n = 1, i = 0;
        for (uint32_t d = 0; d < RANK; d++) {
            at[d] = b == 0 ? 0 : draw(b, d, (int64_t)s->dims[d]);
            count[d] = b == 0 ? (int64_t)s->dims[d] : b == 1 ? 1 : 1 + draw(b, d + RANK, (int64_t)s->dims[d] - at[d]);
            n *= count[d];
        }
        cr_assert_eq(ds_array_read_box(&a, at, count, DS_AS_FLOATS, found), FWM_OK, "%s: %s", what,
                     fwm_error_message());
        if (a.number == DS_U8)
            cr_assert_eq(ds_array_read_box(&a, at, count, DS_AS_BYTES, bytes), FWM_OK, "%s", fwm_error_message());
        for (int64_t x = 0; x < count[0]; x++)
            for (int64_t y = 0; y < count[1]; y++)
                for (int64_t z = 0; z < count[2]; z++, i++) {
                    float expected =
                        value_at(((at[0] + x) * (int64_t)s->dims[1] + at[1] + y) * (int64_t)s->dims[2] + at[2] + z);
                    cr_assert_eq(found[i], expected, "%s: box %d: %g, expected %g", what, (int)b, (double)found[i],
                                 (double)expected);
                    cr_assert(a.number != DS_U8 || bytes[i] == (uint8_t)expected);
                }
        cr_assert_eq(i, n);
    }
    ds_array_close(&a);
    ds_h5_lock();
    ds_h5_close(&file);
    ds_h5_unlock();
}

static void check(storage s, const char *what)
{
    char name[128];
    for (int old = 0; old < 2; old++) {
        s.old = old;
        (void)snprintf(name, sizeof name, "%s, %s format", what, old ? "old" : "new");
        write_array(&s);
        read_back(&s, name);
    }
}

Test(data_array, every_number_type_is_converted)
{
    const hid_t types[] = {H5T_STD_U8LE,   H5T_STD_I8LE,   H5T_STD_U16LE, H5T_STD_U16BE, H5T_STD_I16LE,
                           H5T_STD_I16BE,  H5T_STD_U32LE,  H5T_STD_U32BE, H5T_STD_I32LE, H5T_STD_I32BE,
                           H5T_STD_U64LE,  H5T_STD_U64BE,  H5T_STD_I64LE, H5T_STD_I64BE, H5T_IEEE_F32LE,
                           H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_IEEE_F64BE};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i] == H5T_STD_I8LE)
            continue; /* the values go up to 250 */
        storage s = {.type = types[i], .dims = {3, 17, 200}, .expected = DS_CONTIGUOUS};
        check(s, "contiguous");
        s.expected = DS_CHUNKED;
        memcpy(s.chunk, (hsize_t[]){1, 4, 200}, sizeof s.chunk);
        check(s, "chunks of whole rows");
        s.shuffle = s.deflate = true;
        check(s, "compressed");
    }
}

Test(data_array, halves_and_signed_bytes_are_what_they_are)
{
    /* binary16: 0, the least subnormal, the least normal, 1, -2.5, the largest, infinity, NaN. */
    const uint16_t half[] = {0x0000, 0x0001, 0x0400, 0x3C00, 0xC100, 0x7BFF, 0x7C00, 0x7E00};
    const float expected[] = {0, 0x1p-24F, 0x1p-14F, 1, -2.5F, 65504, INFINITY, NAN};
    float out[8];
    ds_numbers_to_floats(out, half, 8, (ds_stored){DS_FLOATING, 2, false}, 1);
    for (int i = 0; i < 8; i++)
        cr_assert(out[i] == expected[i] || (isnan(out[i]) && isnan(expected[i])), "%d: %g", i, (double)out[i]);
    ds_numbers_to_floats(out, (int8_t[]){-128, -1, 0, 127}, 4, (ds_stored){DS_SIGNED, 1, false}, 2);
    cr_assert(out[0] == -64 && out[1] == -0.5F && out[2] == 0 && out[3] == 63.5F);
    uint8_t bytes[256];
    float all[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    ds_bytes_to_floats(all, bytes, 256, DS_BRIGHTEST);
    for (int i = 0; i < 256; i++)
        cr_assert_eq(all[i], (float)i / 255.0F);
}

Test(data_array, every_index_of_chunks_is_read)
{
    storage s = {.type = H5T_IEEE_F32LE, .dims = {5, 33, 47}, .expected = DS_CHUNKED};
    const hsize_t chunks[][RANK] = {{1, 8, 47}, {5, 33, 47}, {2, 5, 7}, {1, 1, 13}, {1, 1, 1}, {5, 1, 47}};
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++)
        for (int filters = 0; filters < 8; filters++) {
            if (filters > 1 && c == 4)
                continue; /* 7755 chunks: once with a filter, once without */
            memcpy(s.chunk, chunks[c], sizeof s.chunk);
            s.deflate = filters & 1;
            s.shuffle = filters & 2;
            s.fletcher = filters & 4;
            check(s, "chunks");
        }
    s.shuffle = s.fletcher = s.deflate = false;
    s.early = true;
    check(s, "allocated early");
    s.early = false;
    memcpy(s.chunk, chunks[2], sizeof s.chunk);
    memcpy(s.most, (hsize_t[]){9, 40, 47}, sizeof s.most);
    check(s, "can grow to a limit");
    memcpy(s.most, (hsize_t[]){H5S_UNLIMITED, 33, 47}, sizeof s.most);
    check(s, "can grow along one axis");
    memcpy(s.most, (hsize_t[]){H5S_UNLIMITED, H5S_UNLIMITED, 47}, sizeof s.most);
    check(s, "can grow along two axes");
    memset(s.most, 0, sizeof s.most);
    s.userblock = 512;
    check(s, "behind a user block");
    memset(s.chunk, 0, sizeof s.chunk);
    s.expected = DS_CONTIGUOUS;
    check(s, "contiguous behind a user block");
}

/* The table of an array with more chunks than could be looked up one by one: a quarter of a million. */
Test(data_array, many_chunks_are_found_at_once, .timeout = 60)
{
    enum { N = 1 << 18 };
    for (int old = 0; old < 2; old++) {
        hid_t access = H5Pcreate(H5P_FILE_ACCESS), how = H5Pcreate(H5P_DATASET_CREATE);
        if (!old)
            cr_assert(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0);
        const hsize_t dims[] = {N}, chunk[] = {1};
        hid_t file = H5Fcreate(folder.file, H5F_ACC_TRUNC, H5P_DEFAULT, access),
              space = H5Screate_simple(1, dims, NULL);
        cr_assert(H5Pset_chunk(how, 1, chunk) >= 0 && H5Pset_alloc_time(how, H5D_ALLOC_TIME_EARLY) >= 0);
        cr_assert(old || (H5Pset_deflate(how, 1) >= 0)); /* with a filter there is an index to read */
        hid_t id = H5Dcreate2(file, "/x", H5T_STD_U8LE, space, H5P_DEFAULT, how, H5P_DEFAULT);
        cr_assert(id >= 0);
        uint8_t *values = malloc(N);
        float *found = malloc(N * sizeof *found);
        for (int i = 0; i < N; i++)
            values[i] = (uint8_t)(i * 7);
        cr_assert(H5Dwrite(id, H5T_NATIVE_UCHAR, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
        H5Dclose(id);
        H5Sclose(space);
        H5Pclose(how);
        H5Pclose(access);
        H5Fclose(file);
        ds_h5 *h5 = NULL;
        ds_array a;
        ds_h5_lock();
        cr_assert_eq(ds_h5_open(&h5, folder.file), FWM_OK, "%s", fwm_error_message());
        cr_assert_eq(ds_array_open(&a, h5, "/x", 1, 0), FWM_OK, "%s", fwm_error_message());
        ds_h5_unlock();
        cr_assert_eq(a.storage, DS_CHUNKED);
        cr_assert_eq(ds_array_read_steps(&a, 0, 0, N, DS_AS_FLOATS, found), FWM_OK, "%s", fwm_error_message());
        for (int i = 0; i < N; i++)
            cr_assert_eq(found[i], (float)(uint8_t)(i * 7));
        ds_array_close(&a);
        ds_h5_lock();
        ds_h5_close(&h5);
        ds_h5_unlock();
        free(values);
        free(found);
    }
}

/* A checksum that does not fit, a stream that ends early: an error that names file and array. */
Test(data_array, damaged_chunks_are_errors)
{
    storage s = {.type = H5T_IEEE_F32LE, .dims = {4, 16, 64}, .chunk = {1, 16, 64}, .expected = DS_CHUNKED};
    for (int kind = 0; kind < 2; kind++) {
        s.fletcher = kind == 0;
        s.deflate = kind == 1;
        write_array(&s);
        FILE *file = fopen(folder.file, "r+b");
        cr_assert(file && fseek(file, -600, SEEK_END) == 0);
        const char junk[64] = "this is no part of a chunk";
        cr_assert(fwrite(junk, 1, sizeof junk, file) == sizeof junk && fclose(file) == 0);
        ds_h5 *h5 = NULL;
        ds_array a;
        static float found[4 * 16 * 64];
        ds_h5_lock();
        cr_assert_eq(ds_h5_open(&h5, folder.file), FWM_OK, "%s", fwm_error_message());
        cr_assert_eq(ds_array_open(&a, h5, "/x", RANK, 1), FWM_OK, "%s", fwm_error_message());
        ds_h5_unlock();
        int failures = 0;
        for (int64_t i = 0; i < 4; i++)
            if (ds_array_read_steps(&a, i, 0, 16, DS_AS_FLOATS, found) != FWM_OK) {
                failures++;
                cr_assert(strstr(fwm_error_message(), folder.file) && strstr(fwm_error_message(), "/x") &&
                              strstr(fwm_error_message(), "damaged"),
                          "%s", fwm_error_message());
            }
        cr_assert_eq(failures, 1, "%d chunks of 4 are damaged", failures);
        ds_array_close(&a);
        ds_h5_lock();
        ds_h5_close(&h5);
        ds_h5_unlock();
    }
}
