#include "physics/view.h"

#include "model/base/arena.h"
#include "physics/mesh_impl.h"

#include <math.h>

fem_view fem_view_around(const fem_mesh *mesh, const double margin[2])
{
    fem_view view;
    for (int d = 0; d < 2; d++) {
        view.lower[d] = mesh->lower[d] - margin[d];
        view.upper[d] = mesh->upper[d] + margin[d];
    }
    return view;
}

/* The point of the segment a b nearest to x; returns the square of the distance. */
static double nearest_on(const double *a, const double *b, const double *x, double *point)
{
    const double e[2] = {b[0] - a[0], b[1] - a[1]};
    const double t = ((x[0] - a[0]) * e[0] + (x[1] - a[1]) * e[1]) / (e[0] * e[0] + e[1] * e[1]);
    const double s = fmin(fmax(t, 0), 1);
    for (int d = 0; d < 2; d++)
        point[d] = a[d] + s * e[d];
    return (x[0] - point[0]) * (x[0] - point[0]) + (x[1] - point[1]) * (x[1] - point[1]);
}

/* Moves x to the nearest point of the mesh's boundary, the first of several. */
static void move_to_boundary(const fem_mesh *mesh, double *x)
{
    double best = INFINITY, at[2] = {x[0], x[1]};
    for (int64_t f = 0; f < mesh->n_faces; f++) {
        double point[2];
        const double distance = nearest_on(mesh->vertices + 2 * (int64_t)mesh->faces[2 * f],
                                           mesh->vertices + 2 * (int64_t)mesh->faces[2 * f + 1], x, point);
        if (distance < best) {
            best = distance;
            at[0] = point[0];
            at[1] = point[1];
        }
    }
    x[0] = at[0];
    x[1] = at[1];
}

/* Which of the points the mesh holds. */
static fwm_status find(const fem_mesh *mesh, int64_t n, const double *points, bool *found)
{
    fem_csr *values;
    FWM_TRY(fem_evaluate(&values, mesh, n, points, -1, found));
    fem_csr_destroy(&values);
    return FWM_OK;
}

/* The points that the pixels show: their centres, or what is nearest on the boundary. */
static fwm_status place_pixels(const fem_mesh *mesh, const fem_view *v, int64_t kh, int64_t kw, double *points,
                               bool *found, double *mask)
{
    for (int64_t i = 0; i < kh * kw; i++) {
        points[2 * i] = v->lower[0] + ((double)(i % kw) + 0.5) * (v->upper[0] - v->lower[0]) / (double)kw;
        points[2 * i + 1] = v->upper[1] - ((double)(i / kw) + 0.5) * (v->upper[1] - v->lower[1]) / (double)kh;
    }
    FWM_TRY(find(mesh, kh * kw, points, found));
    for (int64_t i = 0; i < kh * kw; i++) {
        if (mask)
            mask[i] = found[i] ? 1 : 0;
        if (found[i])
            continue;
        FWM_CHECK(mesh->n_faces > 0, FWM_INVALID,
                  "view: expected a mesh with a boundary, for pixels outside it, found none (it is periodic)");
        move_to_boundary(mesh, points + 2 * i);
    }
    return FWM_OK;
}

fwm_status fem_view_render(fem_csr **out, const fem_mesh *mesh, const fem_view *view, int64_t kh, int64_t kw, int axis,
                           double *mask)
{
    *out = NULL;
    FWM_CHECK(mesh->dim == 2, FWM_INVALID, "view: expected a mesh in the plane");
    FWM_TRY(fem_check_picture(kh, kw));
    double *points = fwm_malloc((size_t)(2 * kh * kw), sizeof *points);
    bool *found = fwm_malloc((size_t)(kh * kw), sizeof *found);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, points && found, FWM_MEMORY, "out of memory for %lldx%lld pixels", (long long)kh,
                   (long long)kw);
    FWM_TRY_GOTO(status, place_pixels(mesh, view, kh, kw, points, found, mask));
    FWM_TRY_GOTO(status, fem_evaluate(out, mesh, kh * kw, points, axis, found));
    for (int64_t i = 0; i < kh * kw && status == FWM_OK; i++)
        if (!found[i])
            status = fwm_fail(FWM_INTERNAL, "view: the point (%g,%g) of the boundary lies in no cell", points[2 * i],
                              points[2 * i + 1]);
    if (status != FWM_OK)
        fem_csr_destroy(out);
done:
    fwm_free(points);
    fwm_free(found);
    return status;
}

fwm_status fem_view_sample(fem_csr **out, const fem_mesh *mesh, const fem_view *view, int64_t kh, int64_t kw)
{
    static const int axes[2] = {0, 1};
    return fem_sample_box(out, mesh, axes, view->lower, view->upper, kh, kw);
}

/* ---- planes of bodies in space ---- */

static fwm_status check_cut(const fem_mesh *mesh, const fem_cut *cut)
{
    FWM_CHECK(mesh->dim == 3, FWM_INVALID, "cut: expected a mesh in space, found one in the plane");
    FWM_CHECK(cut->axis >= 0 && cut->axis < 3 && cut->share >= 0 && cut->share <= 1, FWM_INVALID,
              "cut: expected axis 0 to 2 and a share from 0 to 1, found %d and %g", cut->axis, cut->share);
    return FWM_OK;
}

/* The axes to the right and upwards. */
static void axes_of(const fem_cut *cut, int axes[2])
{
    axes[0] = cut->axis == 0 ? 1 : 0;
    axes[1] = cut->axis == 2 ? 1 : 2;
}

fwm_status fem_cut_render(fem_csr **out, const fem_mesh *mesh, const fem_cut *cut, int64_t kh, int64_t kw, int axis,
                          double *mask)
{
    *out = NULL;
    FWM_TRY(check_cut(mesh, cut));
    FWM_TRY(fem_check_picture(kh, kw));
    FWM_CHECK(axis >= -1 && axis < 2, FWM_INVALID, "cut: expected the picture's axis 0 or 1, or -1, found %d", axis);
    int axes[2];
    axes_of(cut, axes);
    const double *lo = mesh->lower, *hi = mesh->upper;
    double *points = fwm_malloc((size_t)(3 * kh * kw), sizeof *points);
    bool *found = fwm_malloc((size_t)(kh * kw), sizeof *found);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, points && found, FWM_MEMORY, "out of memory for %lldx%lld pixels", (long long)kh,
                   (long long)kw);
    for (int64_t i = 0; i < kh * kw; i++) {
        const double right = ((double)(i % kw) + 0.5) / (double)kw, down = ((double)(i / kw) + 0.5) / (double)kh;
        points[3 * i + axes[0]] = lo[axes[0]] + right * (hi[axes[0]] - lo[axes[0]]);
        points[3 * i + axes[1]] = hi[axes[1]] - down * (hi[axes[1]] - lo[axes[1]]);
        points[3 * i + cut->axis] = lo[cut->axis] + cut->share * (hi[cut->axis] - lo[cut->axis]);
    }
    FWM_TRY_GOTO(status, fem_evaluate(out, mesh, kh * kw, points, axis < 0 ? -1 : axes[axis], found));
    for (int64_t i = 0; mask && i < kh * kw; i++)
        mask[i] = found[i] ? 1 : 0;
done:
    fwm_free(points);
    fwm_free(found);
    return status;
}

fwm_status fem_cut_sample(fem_csr **out, const fem_mesh *mesh, const fem_cut *cut, int64_t kh, int64_t kw)
{
    *out = NULL;
    FWM_TRY(check_cut(mesh, cut));
    int axes[2];
    axes_of(cut, axes);
    const double lower[2] = {mesh->lower[axes[0]], mesh->lower[axes[1]]},
                 upper[2] = {mesh->upper[axes[0]], mesh->upper[axes[1]]};
    return fem_sample_box(out, mesh, axes, lower, upper, kh, kw);
}
