#include "model/base/arena.h"
#include "model/base/threads.h"
#include "tools/command.h"

#include <cblas.h>
#include <dnnl.h>
#include <gnu/libc-version.h>
#include <hdf5.h>
#include <link.h>
#include <mpi.h>
#include <petscsys.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <yaml.h>
#include <zlib.h>

const fwm_command fwm_command_doctor = {
    .name = "doctor",
    .summary = "look at the libraries, threads and processors that the program runs on",
    .arguments = "",
    .doc = "Shows the libraries in the process with their versions, how many threads it will use, the instruction set, "
           "and how MPI has "
           "bound it. Holds that there is one OpenMP runtime, one OpenBLAS (the OpenMP flavour) and one HDF5: two of a "
           "kind work "
           "against each other. Fails (exit status 1) where something is wrong.",
    .min_arguments = 0,
    .max_arguments = 0,
};

/* ---- shared objects in the process ---- */
enum kind { OPENMP, BLAS, HDF5, KINDS };

static const struct {
    const char *key, *what;
    const char *prefixes[4];
} kinds[KINDS] = {
    [OPENMP] = {"openmp", "OpenMP runtime", {"libgomp.", "libomp.", "libiomp5."}},
    [BLAS] = {"openblas", "BLAS with its own threads", {"libopenblas", "libmkl_rt.", "libblis.", "libatlas."}},
    [HDF5] = {"hdf5", "HDF5", {"libhdf5.", "libhdf5_serial.", "libhdf5_openmpi.", "libhdf5_mpich."}},
};

typedef struct objects {
    json_t *found[KINDS]; /* lists of paths */
    int count;
} objects;

static int visit(struct dl_phdr_info *info, size_t size, void *context)
{
    objects *o = context;
    (void)size;
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash != NULL ? slash + 1 : info->dlpi_name;
    o->count += name[0] != '\0';
    for (int k = 0; k < KINDS; k++)
        for (int i = 0; i < 4 && kinds[k].prefixes[i] != NULL; i++)
            if (strncmp(name, kinds[k].prefixes[i], strlen(kinds[k].prefixes[i])) == 0)
                (void)json_array_append_new(o->found[k], json_string(info->dlpi_name));
    return 0;
}

static void complain(json_t *problems, const char *fmt, ...) FWM_PRINTF(2, 3);

static void complain(json_t *problems, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)json_array_append_new(problems, json_string(text));
}

static void look_at_objects(json_t *report, json_t *problems)
{
    objects o = {.count = 0};
    for (int k = 0; k < KINDS; k++)
        o.found[k] = json_array();
    (void)dl_iterate_phdr(visit, &o);
    for (int k = 0; k < KINDS; k++) {
        const size_t n = json_array_size(o.found[k]);
        if (n != 1)
            complain(problems, "expected one %s in the process, found %zu", kinds[k].what, n);
        (void)json_object_set_new(report, kinds[k].key, o.found[k]);
    }
    (void)json_object_set_new(report, "shared_objects", json_integer(o.count));
}

/* ---- libraries ---- */
static void add_library(json_t *list, const char *name, const char *version)
{
    (void)json_array_append_new(list, json_pack("{s:s,s:s}", "name", name, "version", version));
}

static void look_at_libraries(json_t *report)
{
    char text[256], mpi[MPI_MAX_LIBRARY_VERSION_STRING];
    int length, major = 0, minor = 0, patch = 0;
    unsigned h5[3] = {0};
    json_t *list = json_array();
    const dnnl_version_t *dnn = dnnl_version();
    (void)snprintf(text, sizeof text, "%d.%d.%d", dnn->major, dnn->minor, dnn->patch);
    add_library(list, "oneDNN", text);
    const char *config = openblas_get_config(); /* "OpenBLAS 0.3.21 NO_AFFINITY USE_OPENMP ..." */
    (void)snprintf(text, sizeof text, "%.200s", config + (strncmp(config, "OpenBLAS ", 9) == 0 ? 9 : 0));
    add_library(list, "OpenBLAS", text);
    (void)H5get_libversion(&h5[0], &h5[1], &h5[2]);
    (void)snprintf(text, sizeof text, "%u.%u.%u", h5[0], h5[1], h5[2]);
    add_library(list, "HDF5", text);
    PetscInt numbers[4] = {0};
    (void)PetscGetVersionNumber(&numbers[0], &numbers[1], &numbers[2], &numbers[3]);
    (void)snprintf(text, sizeof text, "%d.%d.%d", (int)numbers[0], (int)numbers[1], (int)numbers[2]);
    add_library(list, "PETSc", text);
    if (MPI_Get_library_version(mpi, &length) == MPI_SUCCESS) {
        mpi[strcspn(mpi, ",\n")] = '\0';
        add_library(list, "MPI", mpi);
    }
    yaml_get_version(&major, &minor, &patch);
    (void)snprintf(text, sizeof text, "%d.%d.%d", major, minor, patch);
    add_library(list, "libyaml", text);
    add_library(list, "jansson", jansson_version_str());
    (void)snprintf(text, sizeof text, "%u.%u.%u", XXH_versionNumber() / 10000, XXH_versionNumber() / 100 % 100,
                   XXH_versionNumber() % 100);
    add_library(list, "xxHash", text);
    add_library(list, "libpng", png_get_libpng_ver(NULL));
    add_library(list, "zlib", zlibVersion());
    add_library(list, "glibc", gnu_get_libc_version());
    (void)json_object_set_new(report, "libraries", list);
}

/* ---- threads, processors, MPI ---- */
static const char *isa_name(int level)
{
    return level == 4 ? "avx512" : level == 3 ? "avx2" : "x86-64";
}

/* Processors that the control group grants, 0 where it sets no limit. */
static double processor_quota(void)
{
    double quota = 0, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (file == NULL)
        return 0;
    const bool limited = fscanf(file, "%lf %lf", &quota, &period) == 2 && period > 0;
    (void)fclose(file);
    return limited ? quota / period : 0;
}

static void look_at_threads(json_t *report, json_t *problems, json_t *notes)
{
    if (fwm_threads_init(0) != FWM_OK)
        complain(problems, "%s", fwm_error_message());
    const double quota = processor_quota();
    const int available = fwm_threads_available();
    if (quota > 0 && quota < available)
        complain(notes, "%d processors may be used but the control group grants %.2f: set trainer.threads to %d",
                 available, quota, quota < 2 ? 1 : (int)quota);
    (void)json_object_set_new(report, "threads",
                              json_pack("{s:i,s:i,s:i,s:o}", "used", fwm_threads_count(), "available", available,
                                        "online", (int)sysconf(_SC_NPROCESSORS_ONLN), "quota",
                                        quota > 0 ? json_real(quota) : json_null()));
    (void)json_object_set_new(report, "isa", json_string(isa_name(fwm_isa_level())));
}

static int environment_int(const char *const *names, int otherwise)
{
    for (int i = 0; names[i] != NULL; i++) {
        const char *text = getenv(names[i]);
        if (text != NULL && text[0] != '\0')
            return atoi(text);
    }
    return otherwise;
}

/* What the launcher says; MPI itself is not started, that would take longer than all the rest. */
static void look_at_mpi(json_t *report, json_t *notes)
{
    static const char *const size_names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS", NULL};
    static const char *const rank_names[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID", NULL};
    static const char *const local_names[] = {"OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE", NULL};
    const int size = environment_int(size_names, 1), local = environment_int(local_names, 1);
    const int available = fwm_threads_available();
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const bool narrow = size > 1 && available < online / (local > 0 ? local : 1);
    if (narrow)
        complain(notes,
                 "the launcher bound this process to %d of %ld processors with %d processes on the host: give mpirun "
                 "--bind-to "
                 "none or --map-by slot:PE=%ld",
                 available, online, local, online / local);
    (void)json_object_set_new(
        report, "mpi",
        json_pack("{s:b,s:i,s:i,s:i,s:b}", "launched", size > 1 || getenv("OMPI_COMM_WORLD_SIZE") != NULL, "size", size,
                  "rank", environment_int(rank_names, 0), "processors", available, "bound", available < online));
}

/* ---- the report ---- */
static void print_report(const json_t *report)
{
    size_t i;
    json_t *item;
    (void)printf("fwm %s\n\n", FWM_VERSION);
    json_array_foreach(json_object_get(report, "libraries"), i, item)(void)
        printf("%-10s %s\n", json_string_value(json_object_get(item, "name")),
               json_string_value(json_object_get(item, "version")));
    const json_t *threads = json_object_get(report, "threads"), *mpi = json_object_get(report, "mpi");
    (void)printf("\nthreads    %lld of %lld processors\n",
                 (long long)json_integer_value(json_object_get(threads, "used")),
                 (long long)json_integer_value(json_object_get(threads, "online")));
    (void)printf("kernels    %s\n", json_string_value(json_object_get(report, "isa")));
    (void)printf("MPI        %s, process %lld of %lld, %s\n",
                 json_is_true(json_object_get(mpi, "launched")) ? "launched" : "not launched",
                 (long long)json_integer_value(json_object_get(mpi, "rank")),
                 (long long)json_integer_value(json_object_get(mpi, "size")),
                 json_is_true(json_object_get(mpi, "bound")) ? "bound to some processors" : "not bound");
    for (int k = 0; k < KINDS; k++)
        json_array_foreach(json_object_get(report, kinds[k].key), i, item)(void)
            printf("%-10s %s\n", i == 0 ? kinds[k].key : "", json_string_value(item));
    (void)printf("\n%lld shared objects in the process\n",
                 (long long)json_integer_value(json_object_get(report, "shared_objects")));
    json_array_foreach(json_object_get(report, "notes"), i, item)(void)
        printf("note       %s\n", json_string_value(item));
    json_array_foreach(json_object_get(report, "problems"), i, item)(void)
        printf("PROBLEM    %s\n", json_string_value(item));
}

fwm_status fwm_run_doctor(fwm_call *call)
{
    json_t *report = json_object(), *problems = json_array(), *notes = json_array();
    (void)json_object_set_new(report, "version", json_string(FWM_VERSION));
    look_at_libraries(report);
    look_at_objects(report, problems);
    look_at_threads(report, problems, notes);
    look_at_mpi(report, notes);
    const size_t count = json_array_size(problems);
    fwm_status status =
        json_object_set(report, "problems", problems) == 0 && json_object_set_new(report, "notes", notes) == 0
            ? FWM_OK
            : fwm_fail(FWM_MEMORY, "no memory for the report");
    if (status == FWM_OK && call->json)
        status = fwm_print_json(json_incref(report));
    else if (status == FWM_OK)
        print_report(report);
    json_decref(problems);
    json_decref(report);
    if (status == FWM_OK && count > 0)
        status = fwm_fail(FWM_LIBRARY, "%zu problem%s found: see the report", count, count == 1 ? "" : "s");
    return status;
}
