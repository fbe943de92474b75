#include "data/well_files.h"

#include "data/layout.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES_MAX = 65536 };

static const struct {
    const char *word;
    ds_split split;
} split_words[] = {{"train", DS_TRAIN},
                   {"valid", DS_VALIDATION},
                   {"validation", DS_VALIDATION},
                   {"val", DS_VALIDATION},
                   {"test", DS_TEST}};

static bool split_of_word(const char *word, size_t n, ds_split *split)
{
    for (size_t i = 0; i < sizeof split_words / sizeof *split_words; i++)
        if (strlen(split_words[i].word) == n && strncmp(split_words[i].word, word, n) == 0) {
            *split = split_words[i].split;
            return true;
        }
    return false;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The folder's name just above `end` (which points behind a component, at its slash): its start; *n its length. */
static const char *folder_above(const char *path, const char *end, size_t *n)
{
    const char *start = end;
    while (start > path && start[-1] != '/')
        start--;
    *n = (size_t)(end - start);
    return start;
}

ds_split ds_well_split_of(const char *path)
{
    const char *base = base_name(path);
    ds_split split = DS_TRAIN;
    size_t n = 0;
    if (base > path) {
        const char *folder = folder_above(path, base - 1, &n);
        if (split_of_word(folder, n, &split))
            return split;
    }
    for (const char *at = base; *at; at += n) {
        for (n = 0; isalpha((unsigned char)at[n]);)
            n++;
        if (n > 0 && split_of_word(at, n, &split))
            return split;
        n += n == 0;
    }
    return DS_TRAIN;
}

const char *ds_well_stats_path(const char *file, fwm_arena *arena)
{
    const char *base = base_name(file);
    size_t n = 0;
    ds_split split;
    int keep = (int)(base - file); /* with its slash */
    if (base > file) {
        const char *folder = folder_above(file, base - 1, &n);
        if (split_of_word(folder, n, &split) && folder > file) {
            const char *data = folder_above(file, folder - 1, &n);
            if (n == 4 && strncmp(data, "data", 4) == 0)
                keep = (int)(data - file);
        }
    }
    return ds_format(arena, "%.*sstats.yaml", keep, file);
}

static bool is_folder(const char *path)
{
    struct stat st;
    return path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_data(const char *name)
{
    const char *dot = strrchr(name, '.');
    return name[0] != '.' && dot && (strcmp(dot, ".h5") == 0 || strcmp(dot, ".hdf5") == 0);
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const ds_well_file *)a)->path, ((const ds_well_file *)b)->path);
}

/* Adds the data files of one folder, by name. */
static fwm_status add_folder(const char *folder, fwm_arena *arena, ds_well_file *files, int64_t *count)
{
    DIR *dir = opendir(folder);
    FWM_CHECK(dir, FWM_IO, "%s: cannot be listed: %s", folder, strerror(errno));
    int64_t first = *count;
    fwm_status status = FWM_OK;
    for (struct dirent *entry; status == FWM_OK && (entry = readdir(dir)) != NULL;) {
        if (!is_data(entry->d_name))
            continue;
        if (*count == FILES_MAX)
            status = fwm_fail(FWM_DATA, "%s: expected at most %d files", folder, FILES_MAX);
        else if (!(files[*count].path = ds_format(arena, "%s/%s", folder, entry->d_name)))
            status = fwm_fail(FWM_MEMORY, "%s: out of memory", folder);
        else
            (*count)++;
    }
    closedir(dir);
    qsort(files + first, (size_t)(*count - first), sizeof *files, compare_files);
    return status;
}

static fwm_status add_all(const char *folder, fwm_arena *arena, ds_well_file *files, int64_t *count,
                          bool *split_folders)
{
    const char *inner = ds_format(arena, "%s/data", folder), *root = is_folder(inner) ? inner : folder;
    *split_folders = false;
    for (size_t i = 0; i < sizeof split_words / sizeof *split_words; i++) {
        const char *sub = ds_format(arena, "%s/%s", root, split_words[i].word);
        FWM_CHECK(inner && sub, FWM_MEMORY, "%s: out of memory", folder);
        if (is_folder(sub)) {
            *split_folders = true;
            FWM_TRY(add_folder(sub, arena, files, count));
        }
    }
    return *split_folders ? FWM_OK : add_folder(root, arena, files, count);
}

fwm_status ds_well_list_files(const char *folder, fwm_arena *arena, int64_t *count, ds_well_file **files,
                              bool *split_folders)
{
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/')
        n--;
    const char *root = ds_format(arena, "%.*s", (int)n, folder);
    *files = fwm_arena_alloc(arena, FILES_MAX * sizeof **files);
    *count = 0;
    FWM_CHECK(root && *files, FWM_MEMORY, "%s: out of memory", folder);
    FWM_TRY(add_all(root, arena, *files, count, split_folders));
    FWM_CHECK(*count > 0, FWM_DATA,
              "%s: expected files *.hdf5 or *.h5 in it, or in its data/, train/, valid/, test/; "
              "found none",
              folder);
    for (int64_t i = 0; i < *count; i++)
        (*files)[i].split = ds_well_split_of((*files)[i].path);
    return FWM_OK;
}
