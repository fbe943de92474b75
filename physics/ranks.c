#include "physics/ranks.h"

#include "physics/petsc.h"

fwm_status fem_ranks(int *rank, int *count)
{
    *rank = 0;
    *count = 1;
    FWM_TRY(fem_init());
    FWM_CHECK(MPI_Comm_rank(MPI_COMM_WORLD, rank) == MPI_SUCCESS && MPI_Comm_size(MPI_COMM_WORLD, count) == MPI_SUCCESS,
              FWM_LIBRARY, "MPI does not answer which rank this is");
    return FWM_OK;
}

fwm_status fem_ranks_least(int64_t mine, int64_t *least)
{
    FWM_CHECK(MPI_Allreduce(&mine, least, 1, MPI_INT64_T, MPI_MIN, MPI_COMM_WORLD) == MPI_SUCCESS, FWM_LIBRARY,
              "MPI: the ranks could not be compared");
    return FWM_OK;
}

fwm_status fem_ranks_agree(fwm_status mine)
{
    int own = (int)mine, worst = 0;
    FWM_CHECK(MPI_Allreduce(&own, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD) == MPI_SUCCESS, FWM_LIBRARY,
              "MPI: the ranks could not be compared");
    if (mine != FWM_OK || worst == 0)
        return mine;
    return fwm_fail((fwm_status)worst, "another rank failed; its message says why");
}
