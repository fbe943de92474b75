/* program_fuzz_dataset FILE LAYOUT SEED CASES [FIRST]: damages a copy of FILE in CASES ways that SEED decides, opens
 * and reads each. With SEED "cuts" case k is FILE cut after k KiB, as far as it goes. Every one must be read, or
 * refused with a message that names the file, within a bound of memory. Prints how many there were of each; exit status
 * 1 at the first that is refused without a name. A crash shows as one: the case is the last line of standard error (to
 * be repeated with FIRST and CASES 1). */
#include "data/dataset.h"
#include "model/base/arena.h"
#include "model/base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { HEAD_BYTES = 4096, FLIPS_MAX = 8, CUT_BYTES = 1024, ROOM_VALUES = 1 << 22 };

static unsigned char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0)
        return NULL;
    const long n = ftell(f);
    rewind(f);
    unsigned char *bytes = n > 0 ? malloc((size_t)n) : NULL;
    *size = (size_t)n;
    if (bytes && fread(bytes, 1, *size, f) != *size)
        bytes = NULL;
    (void)fclose(f);
    return bytes;
}

static uint64_t draw(uint64_t seed, uint64_t k, uint32_t i, uint64_t below)
{
    uint32_t w[4];
    fwm_random_words((fwm_key){seed, 11}, k, i, w);
    return (((uint64_t)w[0] << 32) | w[1]) % below;
}

/* One in four is cut, at a multiple of 512 or anywhere; the others have 1 to 8 bytes changed, half of them within the
 * first pages, where most of the metadata stands. Some get all bits set: the longest lengths and addresses there are.
 */
static size_t damage(unsigned char *bytes, size_t size, uint64_t seed, uint64_t k)
{
    if (draw(seed, k, 0, 4) == 0) {
        const size_t n = (size_t)draw(seed, k, 1, size);
        return draw(seed, k, 2, 2) ? n : n / 512 * 512;
    }
    const uint64_t flips = 1 + draw(seed, k, 3, FLIPS_MAX);
    const bool early = draw(seed, k, 4, 2) != 0;
    for (uint32_t i = 0; i < flips; i++) {
        const size_t range = early && size > HEAD_BYTES ? HEAD_BYTES : size,
                     at = (size_t)draw(seed, k, 8 + 2 * i, range);
        const uint64_t how = draw(seed, k, 9 + 2 * i, 1024);
        for (size_t j = at; j < size && j < at + (how < 64 ? 8 : 1); j++)
            bytes[j] = how < 64 ? 0xFF : (unsigned char)(bytes[j] ^ (how % 255 + 1));
    }
    return size;
}

/* Everything that the dataset holds, as far as it fits the room. */
static bool read_all(ds_dataset *ds, float *room)
{
    const ds_info *info = ds_get_info(ds);
    bool ok = true;
    for (int64_t i = 0; i < info->trajectories; i++)
        for (ds_field f = 0; f < DS_FIELDS; f++) {
            const int64_t width = info->fields[f].points * info->fields[f].channels;
            int64_t n = width > 0 ? ROOM_VALUES / width : 0;
            ds_clip clip = {0};
            clip.field[f] = room;
            n = n < info->lengths[i] ? n : info->lengths[i];
            ok = (n == 0 || ds_read(ds, i, 0, n, &clip) == FWM_OK) && ok;
        }
    return ok;
}

int main(int argc, char **argv)
{
    size_t size = 0;
    unsigned char *bytes = argc >= 5 ? read_file(argv[1], &size) : NULL, *copy = bytes ? malloc(size) : NULL;
    float *room = malloc(ROOM_VALUES * sizeof *room);
    char path[4096];
    if (!copy || !room) {
        (void)fprintf(stderr, "usage: %s FILE LAYOUT SEED CASES [FIRST]\n", argv[0]);
        return 2;
    }
#ifndef __SANITIZE_ADDRESS__
    const rlim_t most = (rlim_t)16 << 30;
    (void)setrlimit(RLIMIT_AS, &(struct rlimit){most, most});
#endif
    const bool cuts = strcmp(argv[3], "cuts") == 0;
    const uint64_t seed = strtoull(argv[3], NULL, 10), wanted = strtoull(argv[4], NULL, 10);
    const uint64_t cases =
        cuts && wanted > (size + CUT_BYTES - 1) / CUT_BYTES ? (size + CUT_BYTES - 1) / CUT_BYTES : wanted;
    const uint64_t first = argc > 5 ? strtoull(argv[5], NULL, 10) : 0;
    uint64_t whole = 0, partly = 0, refused = 0;
    (void)snprintf(path, sizeof path, "%s.damaged", argv[1]);
    for (uint64_t k = first; k < first + cases; k++) {
        (void)fprintf(stderr, "seed %llu case %llu\n", (unsigned long long)seed, (unsigned long long)k);
        memcpy(copy, bytes, size);
        const size_t n =
            cuts ? (size_t)k * CUT_BYTES < size ? (size_t)k * CUT_BYTES : size : damage(copy, size, seed, k);
        FILE *f = fopen(path, "wb");
        if (!f || fwrite(copy, 1, n, f) != n || fclose(f) != 0)
            return 2;
        ds_dataset *ds = NULL;
        const bool opened = ds_open(&ds, path, argv[2]) == FWM_OK, read = opened && read_all(ds, room);
        if (!read && !strstr(fwm_error_message(), path)) {
            (void)printf("case %llu: no file is named in: %s\n", (unsigned long long)k, fwm_error_message());
            return 1;
        }
        whole += read;
        partly += opened && !read;
        refused += !opened;
        ds_close(&ds);
    }
    (void)unlink(path);
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf("%llu cases: %llu read, %llu opened and then refused, %llu refused; at most %ld MB\n",
                 (unsigned long long)cases, (unsigned long long)whole, (unsigned long long)partly,
                 (unsigned long long)refused, usage.ru_maxrss / 1024);
    free(room);
    free(copy);
    free(bytes);
    return 0;
}
