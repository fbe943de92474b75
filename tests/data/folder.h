/* A folder for one test's files, removed with what is in it. */
#ifndef FWM_TESTS_DATA_FOLDER_H
#define FWM_TESTS_DATA_FOLDER_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct test_folder {
    char path[256], file[512];
} test_folder;

/* Makes the folder; file becomes FOLDER/data.h5. False when it cannot be made. */
static inline bool test_folder_open(test_folder *folder)
{
    const char *root = getenv("TMPDIR");
    (void)snprintf(folder->path, sizeof folder->path, "%s/fwm-data-XXXXXX", root && *root ? root : "/tmp");
    if (!mkdtemp(folder->path))
        return false;
    (void)snprintf(folder->file, sizeof folder->file, "%s/data.h5", folder->path);
    return true;
}

/* How many files there are in it. */
static inline int test_folder_count(const test_folder *folder)
{
    int n = 0;
    DIR *dir = opendir(folder->path);
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

static inline void test_folder_close(const test_folder *folder)
{
    DIR *dir = opendir(folder->path);
    char path[1024];
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)snprintf(path, sizeof path, "%s/%s", folder->path, entry->d_name);
            (void)unlink(path);
        }
    if (dir)
        closedir(dir);
    (void)rmdir(folder->path);
}

#endif
