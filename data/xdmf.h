/* Fields on a mesh over time as XDMF with HDF5 beside it: what ParaView, VisIt and meshio open.
 *
 * PATH.xdmf names for every step the mesh, the time and the fields; PATH.h5 holds the numbers (points [p,3] and cells
 * once, a field a step). Cells list their nodes in XDMF's order (VTK's): found from where the nodes lie, so that any
 * numbering within a cell will do. Cells of a periodic mesh have points of their own: they do not wrap around.
 * Plane meshes lie in z = 0; vectors of two components get a third, 0.
 *
 * Both files are written aside and renamed when finished. The HDF5 lock is taken inside.
 * Format: XDMF model and format, version 3. */
#ifndef FWM_DATA_XDMF_H
#define FWM_DATA_XDMF_H

#include "data/dataset.h"

typedef struct ds_xdmf ds_xdmf;

typedef struct ds_xdmf_field {
    const char *name;   /* unique */
    int64_t components; /* 1 scalar, 2 or 3 vector */
} ds_xdmf_field;

/* Begins PATH, which must end in ".xdmf". Errors: FWM_INVALID (the path's ending, a mesh or field that contradicts
 * itself), FWM_DATA (a cell without a node where its space expects one), FWM_IO. On error *out is NULL. */
fwm_status ds_xdmf_create(ds_xdmf **out, const char *path, const ds_mesh *mesh, int64_t n_fields,
                          const ds_xdmf_field *fields) FWM_MUST_USE;
/* One more time: values[f] [n, components] on the mesh's nodes. */
fwm_status ds_xdmf_step(ds_xdmf *x, double time, const float *const *values) FWM_MUST_USE;
/* Renames the files; *x is NULL afterwards, on error with its temporary files gone. */
fwm_status ds_xdmf_finish(ds_xdmf **x) FWM_MUST_USE;
/* Drops the files. NULL is allowed. */
void ds_xdmf_abort(ds_xdmf **x);

/* The state of one trajectory of a dataset, all its steps. Channels called NAME_x, NAME_y (, NAME_z) one after the
 * other become the vector NAME, other channels scalars. Errors: FWM_DATA where the dataset has no mesh or state. */
fwm_status ds_xdmf_trajectory(ds_dataset *ds, int64_t trajectory, const char *path) FWM_MUST_USE;

#endif
