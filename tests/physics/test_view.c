/* Cameras that look beyond the mesh's box: what they draw there, and how the simulator's camera shows moved bodies. */
#include "physics/view.h"

#include "boxes.h"
#include "model/base/colours.h"
#include "physics/simulate.h"

TestSuite(view, .fini = fem_finalize);

enum { H = 18, W = 22 };

/* Without a margin it is fem_render; with one, a linear field has the value of the nearest point of the box. */
Test(view, pixels_outside_take_the_nearest_point)
{
    static const fem_element elements[] = {FEM_P1, FEM_Q1, FEM_P2, FEM_Q2};
    for (int e = 0; e < 4; e++) {
        fem_mesh *m = crooked_box(elements[e], 4);
        const double none[2] = {0, 0}, margin[2] = {0.3, 0.2};
        const fem_view plain = fem_view_around(m, none), wide = fem_view_around(m, margin);
        fem_csr *same, *render, *far, *slope;
        double mask[H * W], mask_of_render[H * W], drawn[H * W], sloped[H * W];
        MUST(fem_render(&render, m, H, W, mask_of_render));
        MUST(fem_view_render(&same, m, &plain, H, W, -1, mask));
        cr_assert_arr_eq(mask, mask_of_render, sizeof mask);
        cr_assert_eq(same->nnz, render->nnz);
        cr_assert_arr_eq(same->weight, render->weight, (size_t)same->nnz * sizeof(double));
        MUST(fem_view_render(&far, m, &wide, H, W, -1, mask));
        MUST(fem_view_render(&slope, m, &wide, H, W, 1, NULL));
        double *f = malloc((size_t)m->n_nodes * sizeof *f);
        for (int64_t i = 0; i < m->n_nodes; i++)
            f[i] = 2 * m->nodes[2 * i] - 3 * m->nodes[2 * i + 1] + 1;
        fem_csr_apply(far, f, drawn);
        fem_csr_apply(slope, f, sloped);
        int outside = 0;
        for (int i = 0; i < H * W; i++) {
            const double x = -0.3 + (i % W + 0.5) * 1.8 / W, y = 1.1 - (i / W + 0.5) * 1.3 / H;
            const bool in = x > 0 && x < 1.2 && y > 0 && y < 0.9;
            cr_assert_eq(mask[i], in, "pixel %d at (%g, %g)", i, x, y);
            cr_assert_float_eq(drawn[i], 2 * fmin(fmax(x, 0), 1.2) - 3 * fmin(fmax(y, 0), 0.9) + 1, 1e-12);
            cr_assert_float_eq(sloped[i], -3, 1e-10);
            outside += !in;
        }
        cr_assert(outside > H * W / 4 && outside < 3 * H * W / 4);
        free(f);
        fem_csr_destroy(&same);
        fem_csr_destroy(&render);
        fem_csr_destroy(&far);
        fem_csr_destroy(&slope);
        fem_mesh_destroy(&m);
    }
}

/* Nodes read a picture of the view where they lie: exact for linear pictures. */
Test(view, nodes_read_linear_pictures_exactly)
{
    fem_mesh *m = crooked_box(FEM_P2, 4);
    const double margin[2] = {0.3, 0.2};
    const fem_view wide = fem_view_around(m, margin);
    fem_csr *sample;
    double picture[H * W];
    for (int i = 0; i < H * W; i++)
        picture[i] = 5 * (-0.3 + (i % W + 0.5) * 1.8 / W) + 2 * (1.1 - (i / W + 0.5) * 1.3 / H);
    MUST(fem_view_sample(&sample, m, &wide, H, W));
    double *f = malloc((size_t)m->n_nodes * sizeof *f);
    fem_csr_apply(sample, picture, f);
    for (int64_t i = 0; i < m->n_nodes; i++)
        cr_assert_float_eq(f[i], 5 * m->nodes[2 * i] + 2 * m->nodes[2 * i + 1], 1e-12);
    free(f);
    fem_csr_destroy(&sample);
    fem_mesh_destroy(&m);
}

Test(view, what_cannot_be_seen_is_named)
{
    fem_mesh *torus, *box = plain_box(FEM_TET_P1, 2);
    fem_mesh_spec spec = box_spec(FEM_P1, 4);
    spec.periodic[0] = spec.periodic[1] = true;
    MUST(fem_mesh_create(&torus, &spec));
    const double margin[2] = {0.3, 0.2};
    const fem_view around = fem_view_around(torus, margin);
    fem_csr *m;
    cr_assert_eq(fem_view_render(&m, torus, &around, H, W, -1, NULL), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "periodic") && !m);
    cr_assert_eq(fem_view_render(&m, box, &around, H, W, -1, NULL), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "plane") && !m);
    cr_assert_eq(fem_view_render(&m, torus, &around, 0, W, -1, NULL), FWM_INVALID);
    fem_mesh_destroy(&torus);
    fem_mesh_destroy(&box);
}

static fem_simulate_spec beam(void)
{
    fem_simulate_spec spec;
    fem_simulate_defaults(&spec);
    spec.equation = "elasticity";
    spec.mesh = (fem_mesh_spec){.element = FEM_Q1, .nx = 6, .ny = 3, .lx = 2, .ly = 1};
    spec.coarse = (fem_mesh_spec){.element = FEM_Q1, .nx = 2, .ny = 1, .lx = 2, .ly = 1};
    memset(spec.truth, 0, sizeof spec.truth);
    spec.truth[0] = spec.truth[2] = 1;
    memcpy(spec.nominal, spec.truth, sizeof spec.nominal);
    spec.n_inclusions = spec.n_sources = 0;
    spec.n_starts = 1;
    spec.start[0] =
        (fem_start){.field = "velocity", .correlation = {1, 1}, .blob_radius = {1, 1}}; /* all at rest, where it is */
    spec.shown_field = "velocity.x";
    spec.shown = (fem_range){0, 4};
    spec.vignetting = 0;
    spec.deformed = true;
    spec.margin[0] = 1; /* 4 x 2 lengths as 64 x 32 pixels: 16 a length */
    spec.margin[1] = 0.5;
    spec.width = 64;
    spec.height = 32;
    return spec;
}

/* Heat in a block, a plane of which is shown without noise; values from 0 to 1. */
static fem_simulate_spec block(fem_element element)
{
    fem_simulate_spec spec;
    fem_simulate_defaults(&spec);
    spec.mesh = (fem_mesh_spec){.element = element, .nx = 4, .ny = 3, .nz = 3, .lx = 1, .ly = 0.8, .lz = 0.7};
    spec.coarse = (fem_mesh_spec){.element = element, .nx = 2, .ny = 2, .nz = 1, .lx = 1, .ly = 0.8, .lz = 0.7};
    spec.n_sources = 0;
    spec.vignetting = 0;
    spec.shown = (fem_range){0, 1};
    spec.height = 16;
    spec.width = 24;
    spec.frames = 3;
    spec.dt = 0.1;
    return spec;
}

/* A body that moves by whole pixels is its picture, moved; one that is stretched covers as much more of it. */
Test(view, the_camera_shows_the_body_where_it_is)
{
    enum { WIDE = 64, HIGH = 32, SIZE = WIDE * HIGH };
    fem_simulate_spec spec = beam();
    fem_simulation *s;
    MUST(fwm_threads_init(2));
    MUST(fem_simulation_create(&s, &spec));
    const fem_mesh *mesh = fem_simulation_mesh(s);
    float *state = calloc((size_t)mesh->n_nodes * 4, sizeof *state);
    static uint8_t rest[SIZE * 3], moved[SIZE * 3], wide[SIZE * 3];
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        state[4 * i + 2] = (float)(1 + mesh->nodes[2 * i]);
    MUST(fem_simulation_picture(s, state, rest));
    for (int64_t i = 0; i < mesh->n_nodes; i++) {
        state[4 * i] = 3 / 16.0f;
        state[4 * i + 1] = -5 / 16.0f;
    }
    MUST(fem_simulation_picture(s, state, moved));
    for (int64_t i = 0; i < mesh->n_nodes; i++) {
        state[4 * i] = (float)(0.25 * (mesh->nodes[2 * i] - 1));
        state[4 * i + 1] = 0;
    }
    MUST(fem_simulation_picture(s, state, wide));
    int body = 0, wider = 0;
    for (int i = 0; i < HIGH; i++)
        for (int j = 0; j < WIDE; j++) {
            const uint8_t *old = rest + 3 * (i * WIDE + j), *new = moved + 3 * ((i + 5) * WIDE + j + 3);
            const bool in = i >= 8 && i < 24 && j >= 16 && j < 48;
            cr_assert_eq(old[0] + old[1] + old[2] > 0, in, "pixel (%d, %d)", i, j);
            cr_assert(!in || memcmp(old, new, 3) == 0, "pixel (%d, %d)", i, j);
            body += in;
            wider += wide[3 * (i * WIDE + j) + 2] > 0;
        }
    cr_assert_eq(body, 512);
    cr_assert(wider >= 5 * 512 / 4 - 32 && wider <= 5 * 512 / 4 + 64, "%d",
              wider); /* half covered pixels of two edges */
    free(state);
    fem_simulation_destroy(&s);
}

/* Frames of a block show its plane at `cut`; a field that is the place along the cut's axis has one colour there, and
 * the others rise to the right and upwards. */
Test(view, a_block_is_shown_where_it_is_cut)
{
    static const double shares[] = {0, 0.3, 1}, extent[] = {1, 0.8, 0.7};
    static uint8_t frame[16 * 24 * 3];
    for (int k = 0; k < 9; k++) {
        const int across = k % 3;
        const double share = shares[k / 3];
        fem_simulate_spec spec = block(FEM_TET_P1);
        fem_simulation *s;
        spec.cut = (fem_cut){across, share};
        MUST(fem_simulation_create(&s, &spec));
        const fem_mesh *mesh = fem_simulation_mesh(s);
        float *state = malloc((size_t)mesh->n_nodes * sizeof *state);
        for (int axis = 0; axis < 3; axis++) {
            for (int64_t i = 0; i < mesh->n_nodes; i++)
                state[i] = (float)(mesh->nodes[3 * i + axis] / extent[axis]);
            MUST(fem_simulation_picture(s, state, frame));
            for (int i = 0; i < 16 * 24; i++) {
                const double right = (i % 24 + 0.5) / 24, up = 1 - (i / 24 + 0.5) / 16;
                double rgb[3];
                fwm_colour(axis == across ? share : axis == (across == 0) ? right : up, rgb);
                for (int c = 0; c < 3; c++)
                    cr_assert_float_eq(frame[3 * i + c] / 255.0, rgb[c], 1.01 / 255, "across %d, axis %d, pixel %d",
                                       across, axis, i);
            }
        }
        free(state);
        fem_simulation_destroy(&s);
    }
}

/* Derivatives along the picture's axes, and nodes that read a picture: exact for linear fields on either element. */
Test(view, cuts_are_exact_for_linear_fields)
{
    static const fem_element elements[] = {FEM_TET_P1, FEM_HEX_Q1, FEM_TET_P2, FEM_HEX_Q2};
    for (int k = 0; k < 12; k++) {
        fem_mesh *m = crooked_box(elements[k / 3], 2);
        const fem_cut cut = {.axis = k % 3, .share = 0.4};
        const int right = cut.axis == 0, up = cut.axis == 2 ? 1 : 2;
        const double slope[3] = {2, -3, 5};
        fem_csr *along[2], *read;
        double *f = malloc((size_t)m->n_nodes * sizeof *f), picture[H * W], mask[H * W];
        for (int64_t i = 0; i < m->n_nodes; i++)
            f[i] = slope[0] * m->nodes[3 * i] + slope[1] * m->nodes[3 * i + 1] + slope[2] * m->nodes[3 * i + 2];
        for (int axis = 0; axis < 2; axis++) {
            MUST(fem_cut_render(&along[axis], m, &cut, H, W, axis, mask));
            fem_csr_apply(along[axis], f, picture);
            for (int i = 0; i < H * W; i++) {
                cr_assert_eq(mask[i], 1);
                cr_assert_float_eq(picture[i], slope[axis == 0 ? right : up], 1e-9);
            }
            fem_csr_destroy(&along[axis]);
        }
        for (int i = 0; i < H * W; i++)
            picture[i] =
                slope[right] * (i % W + 0.5) * m->upper[right] / W + slope[up] * (1 - (i / W + 0.5) / H) * m->upper[up];
        MUST(fem_cut_sample(&read, m, &cut, H, W));
        fem_csr_apply(read, picture, f);
        for (int64_t i = 0; i < m->n_nodes; i++) {
            const double *x = m->nodes + 3 * i;
            if (x[right] > 0.05 && x[right] < m->upper[right] - 0.05 && x[up] > 0.05 && x[up] < m->upper[up] - 0.05)
                cr_assert_float_eq(f[i], slope[right] * x[right] + slope[up] * x[up], 1e-12);
        }
        fem_csr_destroy(&read);
        free(f);
        fem_mesh_destroy(&m);
    }
}

static fwm_status keep_state(void *context, const fem_trajectory *t)
{
    const size_t bytes = (size_t)(t->frames * t->nodes * t->components) * sizeof *t->state;
    float **state = context;
    *state = malloc(bytes);
    memcpy(*state, t->state, bytes);
    return FWM_OK;
}

/* A start in space varies along z as it does along x, a load on a face moves a solid, and what is held stays. */
Test(view, blocks_start_and_move_in_space)
{
    for (int k = 0; k < 2; k++) {
        const bool solid = k == 1;
        fem_simulate_spec spec = block(k == 0 ? FEM_TET_P1 : FEM_HEX_Q1);
        fem_simulation *s;
        float *state, *again;
        if (solid) {
            spec.equation = "elasticity";
            memset(spec.truth, 0, sizeof spec.truth);
            spec.truth[0] = spec.truth[2] = 1;
            memcpy(spec.nominal, spec.truth, sizeof spec.nominal);
            spec.scheme = FEM_MIDPOINT;
            spec.shown_field = "displacement";
            spec.n_conditions = 1;
            spec.condition[0] = (fem_condition){.boundary = "front", .field = "displacement"};
            spec.n_sources = 1;
            spec.source[0] = (fem_source){.boundary = "back", .field = "velocity.z", .power = 1};
            spec.power = (fem_range){1, 1};
            spec.power_probability = 1;
            spec.n_starts = 1;
            spec.start[0] = (fem_start){.field = "velocity", .correlation = {1, 1}, .blob_radius = {1, 1}};
        }
        MUST(fem_simulation_create(&s, &spec));
        MUST(fem_simulate_some(s, FEM_TRAIN, 1, 1, keep_state, &state));
        MUST(fem_simulate_some(s, FEM_TRAIN, 1, 1, keep_state, &again));
        const fem_mesh *mesh = fem_simulation_mesh(s);
        const int64_t c = solid ? 6 : 1, size = mesh->n_nodes * c;
        cr_assert_arr_eq(state, again, (size_t)(spec.frames * size) * sizeof *state);
        double least = INFINITY, most = -INFINITY, held = 0, moved = 0;
        for (int64_t i = 0; i < mesh->n_nodes; i++) {
            const double *x = mesh->nodes + 3 * i;
            if (!solid && x[0] == 0 && x[1] == 0) { /* an edge along z */
                least = fmin(least, (double)state[i]);
                most = fmax(most, (double)state[i]);
            }
            const double z = solid ? (double)state[(spec.frames - 1) * size + i * c + 2] : 0;
            held = fmax(held, x[2] == 0 ? fabs(z) : 0);
            moved = fmax(moved, x[2] > 0.69 ? z : 0);
        }
        cr_assert(solid || most - least > 0.1, "%g", most - least);
        cr_assert(!solid || (held == 0 && moved > 1e-3), "%g at the front, %g at the back", held, moved);
        free(state);
        free(again);
        fem_simulation_destroy(&s);
    }
}

Test(view, squares_are_of_the_plane)
{
    fem_simulate_spec spec = block(FEM_TET_P1);
    fem_simulation *s;
    spec.n_sources = 1;
    spec.source[0] = (fem_source){.x = 0.5, .y = 0.5, .half_width = 0.1, .power = 1};
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "squares are of the plane"), "%s", fwm_error_message());
    spec.n_sources = 0;
    spec.cut.share = 1.5;
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "cut"), "%s", fwm_error_message());
}

Test(view, only_bodies_with_a_displacement_are_deformed)
{
    fem_simulate_spec spec = beam();
    fem_simulation *s;
    spec.deformed = false;
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "margin"), "%s", fwm_error_message());
    fem_simulate_defaults(&spec);
    spec.deformed = true;
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "displacement is a vector"), "%s", fwm_error_message());
    spec.equation = "wave"; /* its displacement is a number */
    spec.truth[1] = spec.nominal[1] = 0;
    spec.n_inclusions = 0;
    cr_assert_eq(fem_simulation_create(&s, &spec), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "displacement is a vector"), "%s", fwm_error_message());
}
