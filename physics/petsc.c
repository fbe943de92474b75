/* Starting and ending PETSc, its errors as ours, and its orderings. */
#include "physics/petsc.h"

#include "model/base/arena.h"

#include <stdlib.h>

static bool started, started_mpi;

fwm_status fem_petsc_fail(PetscErrorCode code, const char *call)
{
    const char *text = NULL;
    char *specific = NULL;
    (void)PetscErrorMessage(code, &text, &specific);
    return fwm_fail(FWM_LIBRARY, "PETSc: %.120s: error %d (%s)%s%s", call, (int)code, text ? text : "no text",
                    specific && specific[0] ? ": " : "", specific ? specific : "");
}

/* Without a launcher, Open MPI looks for one for 0.3 to 0.5 s unless it is told that this process is alone. */
static void prepare_singleton(void)
{
    static const char *const launched[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE", "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof launched / sizeof *launched; i++)
        if (getenv(launched[i]))
            return;
    (void)setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
    (void)setenv("OMPI_MCA_pml", "ob1", 0);
    (void)setenv("OMPI_MCA_btl", "self,vader", 0);
}

fwm_status fem_init(void)
{
    if (started)
        return FWM_OK;
    int running = 0, ended = 0;
    FWM_CHECK(MPI_Initialized(&running) == MPI_SUCCESS && MPI_Finalized(&ended) == MPI_SUCCESS, FWM_LIBRARY,
              "MPI does not answer whether it runs");
    FWM_CHECK(!ended, FWM_LIBRARY,
              "MPI was ended in this process and cannot start again: make meshes before fem_finalize");
    if (!running) {
        int provided;
        prepare_singleton();
        FWM_CHECK(MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided) == MPI_SUCCESS, FWM_LIBRARY,
                  "MPI did not start; check the launcher and the OMPI_MCA_ variables");
        started_mpi = true;
    }
    char name[] = "fwm", no_rc[] = "-skip_petscrc", no_signals[] = "-no_signal_handler", quiet[] = "-options_left",
         zero[] = "0";
    char *list[] = {name, no_rc, no_signals, quiet, zero, NULL}, **args = list;
    int count = 5;
    FEM_PETSC(PetscInitialize(&count, &args, NULL, NULL));
    FEM_PETSC(PetscPushErrorHandler(PetscReturnErrorHandler, NULL));
    started = true;
    return FWM_OK;
}

void fem_finalize(void)
{
    if (!started)
        return;
    started = false;
    (void)PetscPopErrorHandler();
    (void)PetscFinalize();
    if (started_mpi)
        (void)MPI_Finalize();
    started_mpi = false;
}

fwm_status fem_order(int64_t n, const int64_t *row_start, const int32_t *column, int32_t *order)
{
    fwm_status status = FWM_OK;
    Mat pattern = NULL;
    IS rows = NULL, columns = NULL;
    const PetscInt *index;
    int64_t nnz = row_start[n];
    PetscInt *start = fwm_malloc((size_t)n + 1, sizeof *start), *entry = fwm_malloc((size_t)nnz, sizeof *entry);
    PetscScalar *one = fwm_malloc((size_t)nnz, sizeof *one);
    FWM_CHECK_GOTO(status, start && entry && one, FWM_MEMORY, "out of memory for the order of %lld unknowns",
                   (long long)n);
    for (int64_t i = 0; i <= n; i++)
        start[i] = (PetscInt)row_start[i];
    for (int64_t e = 0; e < nnz; e++) {
        entry[e] = column[e];
        one[e] = 1;
    }
    FEM_PETSC_GOTO(status,
                   MatCreateSeqAIJWithArrays(PETSC_COMM_SELF, (PetscInt)n, (PetscInt)n, start, entry, one, &pattern));
    FEM_PETSC_GOTO(status, MatGetOrdering(pattern, MATORDERINGND, &rows, &columns));
    FEM_PETSC_GOTO(status, ISGetIndices(rows, &index));
    for (int64_t i = 0; i < n; i++)
        order[i] = index[i];
    FEM_PETSC_GOTO(status, ISRestoreIndices(rows, &index));
done:
    (void)ISDestroy(&rows);
    (void)ISDestroy(&columns);
    (void)MatDestroy(&pattern);
    fwm_free(start);
    fwm_free(entry);
    fwm_free(one);
    return status;
}
