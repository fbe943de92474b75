/* The only headers of the room that see PETSc's types: included by set-up files and tests, never by kernels or callers.
 */
#ifndef FWM_PHYSICS_PETSC_H
#define FWM_PHYSICS_PETSC_H

#include "model/base/status.h"

#include <petscdmplex.h>
#include <petscds.h>
#include <petscfe.h>
#include <petscmat.h>
#undef I /* complex.h's, through petsc.h */

#include "physics/mesh_impl.h"

/* FWM_LIBRARY with PETSc's text of `code` and the call that failed. */
fwm_status fem_petsc_fail(PetscErrorCode code, const char *call);

#define FEM_PETSC(call)                                                                                                \
    do {                                                                                                               \
        PetscErrorCode fem_petsc_code_ = (call);                                                                       \
        if (fem_petsc_code_)                                                                                           \
            return fem_petsc_fail(fem_petsc_code_, #call);                                                             \
    } while (0)

#define FEM_PETSC_GOTO(status, call)                                                                                   \
    do {                                                                                                               \
        PetscErrorCode fem_petsc_code_ = (call);                                                                       \
        if (fem_petsc_code_) {                                                                                         \
            (status) = fem_petsc_fail(fem_petsc_code_, #call);                                                         \
            goto done;                                                                                                 \
        }                                                                                                              \
    } while (0)

/* What PETSc made of a mesh. */
struct fem_petsc_mesh {
    DM dm;
    PetscFE fe;
    PetscQuadrature quadrature;
};

#endif
