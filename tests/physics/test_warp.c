/* Pictures of deformed bodies: exact for affine fields, background where there is no body, gradients by differences. */
#include "physics/warp.h"

#include "boxes.h"

TestSuite(warp, .fini = fem_finalize);

enum { B = 2, H = 11, W = 13, C = 2, PIXELS = H * W };
static const fem_warp_spec spec = {
    .height = H, .width = W, .channels = C, .lower = {0, 0}, .upper = {1.3, 1.1}, .background = -7};

static fem_warp *make(void)
{
    fem_warp *w;
    MUST(fwm_threads_init(2));
    MUST(fem_warp_create(&w, &spec, B));
    return w;
}

static double pixel_x(int i)
{
    return (i % W + 0.5) * 1.3 / W;
}

static double pixel_y(int i)
{
    return 1.1 - (i % PIXELS / W + 0.5) * 1.1 / H;
}

/* f(X) = 2 X - 3 Y + c is bilinear, so is an affine u: a pixel at x shows f(A^-1 (x - b)) to rounding; where that lies
 * more than half a pixel inside the picture (no clamping). */
Test(warp, affine_motions_of_linear_pictures_are_exact)
{
    fem_warp *w = make();
    static const double a[4] = {1.1, 0.2, -0.15, 0.9}, b[2] = {0.05, 0.08};
    double picture[B * PIXELS * C], u[B * PIXELS * 2], out[B * PIXELS * C];
    for (int i = 0; i < B * PIXELS; i++) {
        double x = pixel_x(i), y = pixel_y(i);
        for (int c = 0; c < C; c++)
            picture[i * C + c] = 2 * x - 3 * y + c;
        u[2 * i] = a[0] * x + a[1] * y + b[0] - x;
        u[2 * i + 1] = a[2] * x + a[3] * y + b[1] - y;
    }
    MUST(fem_warp_apply(w, AD_F64, out, picture, u));
    int inside = 0, outside = 0;
    for (int i = 0; i < B * PIXELS; i++) {
        double p = pixel_x(i) - b[0], q = pixel_y(i) - b[1], det = a[0] * a[3] - a[1] * a[2];
        double x = (a[3] * p - a[1] * q) / det, y = (a[0] * q - a[2] * p) / det;
        if (x > 0.05 && x < 1.25 && y > 0.05 && y < 1.05) {
            cr_assert_float_eq(out[i * C + 1], 2 * x - 3 * y + 1, 1e-9);
            inside++;
        } else if (x < -0.08 || x > 1.38 || y < -0.08 || y > 1.18) {
            cr_assert_eq(out[i * C], -7);
            outside++;
        }
    }
    cr_assert(inside > 100 && outside > 0, "%d %d", inside, outside);
    fem_warp_destroy(&w);
}

Test(warp, no_motion_is_the_picture_itself_and_whole_pixels_shift_it)
{
    fem_warp *w = make();
    double *picture = noise(41, B * PIXELS * C, -1, 1), u[B * PIXELS * 2] = {0}, out[B * PIXELS * C];
    float small[B * PIXELS * C], u32[B * PIXELS * 2] = {0}, out32[B * PIXELS * C];
    MUST(fem_warp_apply(w, AD_F64, out, picture, u));
    for (int i = 0; i < B * PIXELS * C; i++) {
        cr_assert_float_eq(out[i], picture[i], 1e-13);
        small[i] = (float)picture[i];
    }
    for (int i = 0; i < B * PIXELS; i++) {
        u[2 * i] = 2 * 1.3 / W;
        u[2 * i + 1] = -1.1 / H;
        u32[2 * i] = (float)u[2 * i];
        u32[2 * i + 1] = (float)u[2 * i + 1];
    }
    MUST(fem_warp_apply(w, AD_F64, out, picture, u));
    MUST(fem_warp_apply(w, AD_F32, out32, small, u32));
    for (int i = 0; i < B * PIXELS; i++) {
        bool shown = i % W >= 2 && i % PIXELS / W >= 1;
        for (int c = 0; c < C; c++) {
            double expected = shown ? picture[(i - W - 2) * C + c] : -7;
            cr_assert_float_eq(out[i * C + c], expected, 1e-9);
            cr_assert_float_eq(out32[i * C + c], expected, 1e-5);
        }
    }
    free(picture);
    fem_warp_destroy(&w);
}

/* Central differences of a random functional; the functions are smooth but for lines of pixel centres, which a step of
 * 1e-6 rarely meets: the same keys are drawn always, so the test is one fixed set of points. */
Test(warp, gradients_agree_with_differences)
{
    fem_warp *w = make();
    double *picture = noise(42, B * PIXELS * C, -1, 1), *u = malloc(B * PIXELS * 2 * sizeof *u);
    double *bar = noise(43, B * PIXELS * C, -1, 1), *dp = noise(44, B * PIXELS * C, -1, 1),
           *du = noise(45, B * PIXELS * 2, -1, 1);
    double picture_bar[B * PIXELS * C], u_bar[B * PIXELS * 2], plus[B * PIXELS * C], minus[B * PIXELS * C];
    for (int i = 0; i < B * PIXELS; i++) {
        double x = pixel_x(i), y = pixel_y(i), s = i < PIXELS ? 0.11 : 0.07;
        u[2 * i] = s * sin(2 * x + 3 * y);
        u[2 * i + 1] = s * cos(3 * x - 2 * y);
    }
    MUST(fem_warp_vjp(w, AD_F64, picture_bar, u_bar, bar, picture, u));
    for (int which = 0; which < 2; which++) {
        double *x = which ? u : picture, *dx = which ? du : dp, step = 1e-6;
        int64_t n = which ? B * PIXELS * 2 : B * PIXELS * C;
        double *moved = malloc((size_t)n * sizeof *moved);
        for (int sign = 0; sign < 2; sign++) {
            for (int64_t i = 0; i < n; i++)
                moved[i] = x[i] + (sign ? -step : step) * dx[i];
            MUST(fem_warp_apply(w, AD_F64, sign ? minus : plus, which ? picture : moved, which ? moved : u));
        }
        double numeric = 0;
        for (int64_t i = 0; i < B * PIXELS * C; i++)
            numeric += bar[i] * (plus[i] - minus[i]) / (2 * step);
        double exact = dot(which ? u_bar : picture_bar, dx, n);
        cr_assert_float_eq(exact, numeric, 2e-7 * (1 + fabs(exact)), "%s: %.12g %.12g", which ? "u" : "picture", exact,
                           numeric);
        cr_assert_gt(fabs(exact), 0.1);
        free(moved);
    }
    free(picture);
    free(u);
    free(bar);
    free(dp);
    free(du);
    fem_warp_destroy(&w);
}

/* A folded body: u turns the picture inside out around its middle. Nothing diverges; folded pixels are background and
 * pass nothing. */
Test(warp, folded_bodies_show_the_background)
{
    fem_warp *w = make();
    double *picture = noise(46, B * PIXELS * C, -1, 1), u[B * PIXELS * 2], out[B * PIXELS * C], u_bar[B * PIXELS * 2];
    for (int i = 0; i < B * PIXELS; i++) {
        u[2 * i] = 2 * (0.65 - pixel_x(i)); /* x -> 1.3 - x: mirrored */
        u[2 * i + 1] = 0;
    }
    MUST(fem_warp_apply(w, AD_F64, out, picture, u));
    MUST(fem_warp_vjp(w, AD_F64, NULL, u_bar, picture, picture, u));
    for (int i = 0; i < B * PIXELS * C; i++)
        cr_assert_eq(out[i], -7);
    for (int i = 0; i < B * PIXELS * 2; i++)
        cr_assert_eq(u_bar[i], 0);
    free(picture);
    fem_warp_destroy(&w);
    fem_warp_spec bad = spec;
    bad.upper[0] = 0;
    cr_assert_eq(fem_warp_create(&w, &bad, B), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "positive extent") && !w);
}

/* The whole way: nodes -> picture and displacement -> moved picture, for a disc of temperature on a plate that is
 * stretched: the same as drawing the moved mesh, to the pixel's size. */
Test(warp, drawing_then_warping_is_drawing_the_moved_mesh)
{
    enum { N = 64 };
    fem_mesh *m, *moved;
    fem_csr *draw, *direct;
    fem_warp *w;
    MUST(fwm_threads_init(2));
    MUST(fem_mesh_create(&m, &(fem_mesh_spec){.element = FEM_P1, .nx = 16, .ny = 16, .lx = 1, .ly = 1}));
    double *xs = malloc((size_t)m->n_vertices * 2 * sizeof *xs), *u = malloc((size_t)m->n_nodes * sizeof *u);
    double *d[2] = {malloc((size_t)m->n_nodes * sizeof *xs), malloc((size_t)m->n_nodes * sizeof *xs)};
    for (int64_t i = 0; i < m->n_nodes; i++) {
        const double *x = m->nodes + 2 * i;
        double bump = sin(M_PI * x[0]) * sin(M_PI * x[1]); /* the sides stay */
        u[i] = sin(3 * x[0]) * cos(2 * x[1]);
        d[0][i] = 0.08 * bump;
        d[1][i] = -0.05 * bump;
        xs[2 * i] = x[0] + d[0][i];
        xs[2 * i + 1] = x[1] + d[1][i];
    }
    MUST(fem_mesh_from_arrays(&moved, FEM_P1, m->n_vertices, xs, m->n_cells, m->cells));
    MUST(fem_render(&draw, m, N, N, NULL));
    MUST(fem_render(&direct, moved, N, N, NULL));
    static double picture[N * N], ux[N * N], uy[N * N], displacement[N * N * 2], out[N * N], exact[N * N];
    fem_csr_apply(draw, u, picture);
    fem_csr_apply(draw, d[0], ux);
    fem_csr_apply(draw, d[1], uy);
    for (int i = 0; i < N * N; i++) {
        displacement[2 * i] = ux[i];
        displacement[2 * i + 1] = uy[i];
    }
    fem_csr_apply(direct, u, exact);
    MUST(fem_warp_create(&w, &(fem_warp_spec){.height = N, .width = N, .channels = 1, .upper = {1, 1}}, 1));
    MUST(fem_warp_apply(w, AD_F64, out, picture, displacement));
    double worst = 0;
    for (int i = 0; i < N * N; i++)
        worst = fmax(worst, fabs(out[i] - exact[i]));
    cr_assert_lt(worst, 0.02, "%g", worst); /* clamping at the edge: half a pixel times the slope of 2.6 */
    free(xs);
    free(u);
    free(d[0]);
    free(d[1]);
    fem_warp_destroy(&w);
    fem_csr_destroy(&draw);
    fem_csr_destroy(&direct);
    fem_mesh_destroy(&m);
    fem_mesh_destroy(&moved);
}
