/* What a camera sees that looks beyond the mesh's box: pictures of a body with room around it, and of a body where its
 * displacement has taken it (warp.h).
 *
 * A pixel outside the mesh takes the value of the nearest point of its boundary, so that a displacement drawn so goes
 * on beyond the body without a jump: a picture in the reference configuration, with a mask of the body beside its
 * channels, can be moved as a whole, and what moves into a pixel from outside the body has mask 0. */
#ifndef FWM_PHYSICS_VIEW_H
#define FWM_PHYSICS_VIEW_H

#include "physics/mesh.h"

typedef struct fem_view {
    double lower[2], upper[2]; /* of the picture [L] */
} fem_view;

/* The mesh's box and `margin` beyond it on both sides along x and y [L]. */
fem_view fem_view_around(const fem_mesh *mesh, const double margin[2]);

/* nodes -> pixels [kh*kw] of the view, as fem_render numbers them: values (axis -1) or derivatives along axis 0 or 1
 * [1/L], at the nearest point of the mesh. `mask` [kh*kw], 1 inside the mesh and 0 outside, may be NULL. Cost: pixels
 * outside times boundary faces. Errors: FWM_INVALID for a mesh in space, one without a boundary where pixels lie
 * outside, and those of fem_render. */
fwm_status fem_view_render(fem_csr **out, const fem_mesh *mesh, const fem_view *view, int64_t kh, int64_t kw, int axis,
                           double *mask) FWM_MUST_USE;

/* pixels of the view -> nodes, as fem_sample. */
fwm_status fem_view_sample(fem_csr **out, const fem_mesh *mesh, const fem_view *view, int64_t kh,
                           int64_t kw) FWM_MUST_USE;

/* ---- planes of bodies in space ---- */

/* The plane across `axis` at a share of the mesh's extent along it. Pictures show the two other axes, the first to the
 * right and the second upwards. */
typedef struct fem_cut {
    int axis;     /* 0, 1, 2: x, y, z */
    double share; /* 0 to 1 */
} fem_cut;

/* nodes -> pixels [kh*kw] of the plane within the mesh's box: values (axis -1) or derivatives along the picture's axis
 * 0 (to the right) or 1 (upwards) [1/L]. Zero rows outside the mesh; `mask` as above. Errors: FWM_INVALID for a mesh in
 * the plane, an axis or a share out of range. */
fwm_status fem_cut_render(fem_csr **out, const fem_mesh *mesh, const fem_cut *cut, int64_t kh, int64_t kw, int axis,
                          double *mask) FWM_MUST_USE;
/* pixels -> nodes, as fem_sample: along the cut's axis every node takes the same picture. */
fwm_status fem_cut_sample(fem_csr **out, const fem_mesh *mesh, const fem_cut *cut, int64_t kh, int64_t kw) FWM_MUST_USE;

#endif
