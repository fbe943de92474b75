#include "model/base/random.h"
#include "train/safetensors.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CAPACITY = 1 << 16 };

/* A file of these bytes: header `json`, then `size` bytes 0, 1, 2, ... */
typedef struct blob {
    unsigned char bytes[CAPACITY];
    size_t size;
} blob;

static blob make_blob(const char *json, size_t size)
{
    blob b = {.size = 8 + strlen(json) + size};
    cr_assert(b.size <= CAPACITY);
    for (int i = 0; i < 8; i++)
        b.bytes[i] = (unsigned char)(strlen(json) >> (8 * i));
    memcpy(b.bytes + 8, json, strlen(json));
    for (size_t i = 0; i < size; i++)
        b.bytes[8 + strlen(json) + i] = (unsigned char)i;
    return b;
}

static void refuses(fwm_status expected, const blob *b, const char *message)
{
    tr_safetensors *f = NULL;
    cr_expect_eq(tr_safetensors_read(&f, b->bytes, b->size, "f"), expected, "%s", message);
    cr_expect_null(f);
    cr_expect_str_eq(fwm_error_message(), message);
}

static void refuses_json(fwm_status expected, const char *json, size_t size, const char *message)
{
    const blob b = make_blob(json, size);
    refuses(expected, &b, message);
}

Test(safetensors, reads_a_plain_file)
{
    const blob b =
        make_blob("{\"__metadata__\":{\"k\":\"v\"},\"b\":{\"dtype\":\"U8\",\"shape\":[2,3],\"data_offsets\":[8,14]},"
                  "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                  "\"e\":{\"dtype\":\"F64\",\"shape\":[0,4],\"data_offsets\":[14,14]},"
                  "\"s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[14,15]}}  ",
                  15);
    tr_safetensors *f;
    cr_assert_eq(tr_safetensors_read(&f, b.bytes, b.size, "f"), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_safetensors_count(f), 4);
    cr_expect_str_eq(tr_safetensors_at(f, 0)->name, "a");
    cr_expect_str_eq(tr_safetensors_at(f, 1)->name, "b");
    const tr_tensor *t = tr_safetensors_find(f, "b");
    cr_expect(t->dtype == TR_U8 && t->rank == 2 && t->shape[0] == 2 && t->shape[1] == 3);
    cr_expect_eq(((const unsigned char *)t->data)[5], 13);
    cr_expect_eq(tr_safetensors_find(f, "s")->rank, 0);
    cr_expect_eq(*(const unsigned char *)tr_safetensors_find(f, "s")->data, 14);
    cr_expect_null(tr_safetensors_find(f, "none"));
    cr_expect_null(tr_safetensors_at(f, 4));
    cr_expect_str_eq(tr_safetensors_text(f, "k"), "v");
    cr_expect_null(tr_safetensors_text(f, "none"));
    tr_safetensors_close(f);
}

Test(safetensors, refuses_a_wrong_length)
{
    blob b = make_blob("{}", 0);
    b.size = 7;
    refuses(FWM_DATA, &b, "f: expected a safetensors file of at least 8 bytes, found 7");
    b.size = 0;
    refuses(FWM_DATA, &b, "f: expected a safetensors file of at least 8 bytes, found 0");
    b = make_blob("{}", 0);
    b.bytes[0] = 3;
    refuses(FWM_DATA, &b,
            "f: expected a safetensors header of 2 to 100000000 bytes within a file of 10, found a length of 3");
    memset(b.bytes, 0xFF, 8);
    refuses(FWM_DATA, &b,
            "f: expected a safetensors header of 2 to 100000000 bytes within a file of 10, found a length of "
            "18446744073709551615");
}

Test(safetensors, refuses_a_wrong_header)
{
    refuses_json(FWM_DATA, " {}", 0, "f: expected the header to begin with '{'");
    refuses_json(FWM_DATA, "{]", 0,
                 "f: expected a header of JSON, found at byte 2 of it: string or '}' expected near ']'");
    refuses_json(FWM_DATA, "{} x", 0,
                 "f: expected a header of JSON, found at byte 4 of it: end of file expected near 'x'");
    refuses_json(FWM_DATA, "{\"a\":1,\"a\":2}", 0,
                 "f: expected a header of JSON, found at byte 10 of it: duplicate object key near '\"a\"'");
    refuses_json(FWM_DATA, "{\"\xC0\":1}", 0,
                 "f: expected a header of JSON, found at byte 2 of it: unable to decode byte 0xc0 near '\"'");
    refuses_json(FWM_DATA, "{\"__metadata__\":3}", 0, "f: expected __metadata__ to be an object");
    refuses_json(FWM_DATA, "{\"__metadata__\":{\"a\":3}}", 0,
                 "f: __metadata__: expected strings, found another value for a");
}

#define TENSOR(dtype, shape, offsets) "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

Test(safetensors, refuses_a_wrong_tensor)
{
    refuses_json(FWM_DATA, "{\"t\":3}", 0, "f: t: expected an object of dtype, shape and data_offsets");
    refuses_json(FWM_DATA, "{\"t\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"x\":1}}", 1,
                 "f: t: expected an object of dtype, shape and data_offsets");
    refuses_json(FWM_DATA, TENSOR("8", "[1]", "[0,1]"), 1, "f: t: expected a dtype as a string");
    refuses_json(FWM_UNSUPPORTED, TENSOR("\"BF16\"", "[1]", "[0,2]"), 2,
                 "f: t: expected dtype F32, F64, I64, I32 or U8, found BF16");
    refuses_json(FWM_DATA, TENSOR("\"U8\"", "1", "[0,1]"), 1, "f: t: expected a shape, a list of at most 8 sizes");
    refuses_json(FWM_DATA, TENSOR("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1,
                 "f: t: expected a shape, a list of at most 8 sizes");
    refuses_json(FWM_DATA, TENSOR("\"U8\"", "[-1]", "[0,1]"), 1,
                 "f: t: expected sizes that are integers of at least 0");
    refuses_json(FWM_DATA, TENSOR("\"U8\"", "[1.0]", "[0,1]"), 1,
                 "f: t: expected sizes that are integers of at least 0");
    refuses_json(FWM_DATA, TENSOR("\"U8\"", "[4294967296,4294967296]", "[0,1]"), 1,
                 "f: t: the product of its sizes overflows");
    refuses_json(FWM_DATA, TENSOR("\"F64\"", "[4611686018427387904]", "[0,1]"), 1, "f: t: its bytes overflow");
    refuses_json(FWM_DATA, TENSOR("\"U8\"", "[2]", "[0,1]"), 1, "f: t: expected 2 bytes for its shape, found 1");
    refuses_json(FWM_DATA, TENSOR("\"U8\"", "[1]", "[0]"), 1, "f: t: expected data_offsets as two integers");
    refuses_json(FWM_DATA, TENSOR("\"U8\"", "[1]", "[1,0]"), 1,
                 "f: t: expected data_offsets within 1 bytes of data, found [1, 0]");
    refuses_json(FWM_DATA, TENSOR("\"U8\"", "[2]", "[0,2]"), 1,
                 "f: t: expected data_offsets within 1 bytes of data, found [0, 2]");
}

Test(safetensors, refuses_holes_and_overlaps)
{
#define TWO(a, b)                                                                                                      \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":" a "},\"b\":{\"dtype\":\"U8\",\"shape\":[2],"            \
    "\"data_offsets\":" b "}}"
    refuses_json(FWM_DATA, TWO("[0,2]", "[3,5]"), 5,
                 "f: b: expected its data at byte 2, without hole or overlap, found 3");
    refuses_json(FWM_DATA, TWO("[0,2]", "[1,3]"), 3,
                 "f: b: expected its data at byte 2, without hole or overlap, found 1");
    refuses_json(FWM_DATA, TWO("[1,3]", "[3,5]"), 5,
                 "f: a: expected its data at byte 0, without hole or overlap, found 1");
    refuses_json(FWM_DATA, TWO("[0,2]", "[2,4]"), 5, "f: expected the data to end at byte 4, found 5 bytes");
}

/* ---- writing ---- */
static const float f32[6] = {1, -2, 0.5F, 3e38F, -0.0F, 1e-45F};
static const double f64[2] = {0.1, -1e300};
static const int64_t i64[3] = {INT64_MIN, 0, INT64_MAX};
static const unsigned char u8[5] = {0, 1, 127, 128, 255};

static void write_sample(const char *path)
{
    const tr_tensor tensors[] = {
        {.name = "u8", .dtype = TR_U8, .rank = 1, .shape = {5}, .data = u8},
        {.name = "z", .dtype = TR_F32, .rank = 2, .shape = {2, 3}, .data = f32},
        {.name = "i64", .dtype = TR_I64, .rank = 1, .shape = {3}, .data = i64},
        {.name = "f64 \xC3\xA9\"", .dtype = TR_F64, .rank = 2, .shape = {1, 2}, .data = f64},
        {.name = "a", .dtype = TR_F32, .rank = 0, .data = f32},
        {.name = "empty", .dtype = TR_F32, .rank = 2, .shape = {0, 7}},
    };
    json_t *metadata = json_pack("{s:s,s:s}", "k", "v\n\"", "empty", "");
    cr_assert_eq(tr_safetensors_write(path, tensors, 6, metadata), FWM_OK, "%s", fwm_error_message());
    json_decref(metadata);
}

static void make_path(char path[64])
{
    (void)strcpy(path, "/tmp/fwm_st_XXXXXX");
    const int fd = mkstemp(path);
    cr_assert(fd >= 0);
    (void)close(fd);
}

Test(safetensors, round_trip)
{
    char path[64];
    tr_safetensors *f;
    make_path(path);
    write_sample(path);
    cr_assert_eq(tr_safetensors_open(&f, path), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_safetensors_count(f), 6);
    /* widest first, then by name (an empty tensor shares its place with the next and stands before it) */
    static const char *const order[] = {"f64 \xC3\xA9\"", "i64", "a", "empty", "z", "u8"};
    for (int i = 0; i < 6; i++)
        cr_expect_str_eq(tr_safetensors_at(f, i)->name, order[i]);
    const tr_tensor *first = tr_safetensors_at(f, 0);
    cr_expect_eq((uintptr_t)first->data % 64, 0); /* the mapping begins at a page */
    for (int i = 0; i < 6; i++)
        cr_expect_eq((uintptr_t)tr_safetensors_at(f, i)->data % tr_dtype_size(tr_safetensors_at(f, i)->dtype), 0);
    cr_expect_arr_eq(tr_safetensors_find(f, "z")->data, f32, sizeof f32);
    cr_expect_arr_eq(tr_safetensors_find(f, "i64")->data, i64, sizeof i64);
    cr_expect_arr_eq(tr_safetensors_find(f, "u8")->data, u8, sizeof u8);
    cr_expect_arr_eq(first->data, f64, sizeof f64);
    cr_expect_str_eq(tr_safetensors_text(f, "k"), "v\n\"");
    tr_safetensors_close(f);
    (void)unlink(path);
}

Test(safetensors, failed_write_leaves_the_old_file)
{
    char path[64], aside[80];
    struct stat before, after;
    make_path(path);
    write_sample(path);
    cr_assert_eq(stat(path, &before), 0);
    const tr_tensor twice[] = {{.name = "a", .dtype = TR_U8, .rank = 1, .shape = {5}, .data = u8},
                               {.name = "a", .dtype = TR_U8, .rank = 1, .shape = {5}, .data = u8}};
    cr_expect_eq(tr_safetensors_write(path, twice, 2, NULL), FWM_INVALID);
    const tr_tensor reserved = {.name = "__metadata__", .dtype = TR_U8, .rank = 1, .shape = {5}, .data = u8};
    cr_expect_eq(tr_safetensors_write(path, &reserved, 1, NULL), FWM_INVALID);
    const tr_tensor negative = {.name = "n", .dtype = TR_U8, .rank = 1, .shape = {-5}, .data = u8};
    cr_expect_eq(tr_safetensors_write(path, &negative, 1, NULL), FWM_INVALID);
    json_t *metadata = json_pack("{s:i}", "k", 3);
    cr_expect_eq(tr_safetensors_write(path, twice, 1, metadata), FWM_INVALID);
    json_decref(metadata);
    cr_expect_eq(tr_safetensors_write("/nowhere/at/all", twice, 1, NULL), FWM_IO);
    cr_assert_eq(stat(path, &after), 0);
    cr_expect(before.st_ino == after.st_ino && before.st_size == after.st_size);
    (void)snprintf(aside, sizeof aside, "%s.tmp", path);
    cr_expect_neq(access(aside, F_OK), 0);
    (void)unlink(path);
}

Test(safetensors, open_errors)
{
    tr_safetensors *f = NULL;
    cr_expect_eq(tr_safetensors_open(&f, "/nowhere/at/all"), FWM_IO);
    cr_expect_eq(tr_safetensors_open(&f, "/tmp"), FWM_IO);
    char path[64];
    make_path(path); /* an empty file */
    cr_expect_eq(tr_safetensors_open(&f, path), FWM_DATA);
    cr_expect_null(f);
    (void)unlink(path);
}

/* ---- mutations ---- */
/* Every accepted mutation must describe memory inside the buffer: all bytes of all tensors are read. */
Test(safetensors, mutations, .timeout = 60)
{
    enum { ROUNDS = 40000 };
    char path[64];
    make_path(path);
    write_sample(path);
    static unsigned char base[CAPACITY];
    FILE *file = fopen(path, "rb");
    const size_t size = fread(base, 1, sizeof base, file);
    (void)fclose(file);
    (void)unlink(path);
    const fwm_key key = {2025, 3};
    const size_t header = 8 + base[0] + 256U * base[1];
    static const char digits[] = "0123456789-.,[]{}\":eFIU8 ";
    unsigned accepted = 0, sum = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint32_t w[4];
        fwm_random_words(key, round, 0, w);
        const size_t length = w[0] % 4 == 0 ? w[1] % (size + 1) : size;
        unsigned char *bytes = malloc(length > 0 ? length : 1); /* exact, so that a sanitizer sees one byte too far */
        memcpy(bytes, base, length);
        const uint32_t edits = w[2] % 4;
        for (uint32_t e = 1; e <= edits && length > 0; e++) {
            fwm_random_words(key, round, e, w);
            const size_t at = (w[3] % 8 == 0 ? w[0] : w[0] % header) % length;
            bytes[at] = w[1] % 2 == 0 ? (unsigned char)w[2] : (unsigned char)digits[w[2] % (sizeof digits - 1)];
        }
        tr_safetensors *f = NULL;
        if (tr_safetensors_read(&f, bytes, length, "m") == FWM_OK) {
            accepted++;
            for (int64_t i = 0; i < tr_safetensors_count(f); i++) {
                const tr_tensor *t = tr_safetensors_at(f, i);
                int64_t elements;
                size_t n;
                cr_assert_eq(tr_tensor_size(t, &elements, &n), FWM_OK);
                const unsigned char *data = t->data;
                cr_assert(data >= bytes && data + n <= bytes + length);
                for (size_t k = 0; k < n; k++)
                    sum += data[k];
            }
        }
        tr_safetensors_close(f);
        free(bytes);
    }
    cr_assert(accepted > ROUNDS / 20 && accepted < ROUNDS / 2 && sum > 0, "%u accepted", accepted);
}
