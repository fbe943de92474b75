/* The law's constant operators between nodes and pictures, made once, and what the camera of deformed bodies sees. */
#include "train/law_impl.h"

#include "model/base/arena.h"

#include <string.h>

static fwm_status pair_difference(const fem_mesh *mesh, fem_csr *out)
{
    *out = (fem_csr){.rows = mesh->n_pairs, .cols = mesh->n_cells, .nnz = 2 * mesh->n_pairs};
    out->row_start = fwm_malloc((size_t)mesh->n_pairs + 1, sizeof *out->row_start);
    out->column = fwm_malloc((size_t)out->nnz + 1, sizeof *out->column);
    out->weight = fwm_malloc((size_t)out->nnz + 1, sizeof *out->weight);
    FWM_CHECK(out->row_start && out->column && out->weight, FWM_MEMORY, "law: out of memory");
    for (int64_t e = 0; e < mesh->n_pairs; e++) {
        bool swap = mesh->pair[2 * e] > mesh->pair[2 * e + 1]; /* columns rise within a row */
        for (int k = 0; k < 2; k++) {
            out->column[2 * e + k] = mesh->pair[2 * e + (k ^ (int)swap)];
            out->weight[2 * e + k] = (k == 0 ? 1.0 : -1.0) * mesh->pair_length[e];
        }
        out->row_start[e] = 2 * e;
    }
    out->row_start[mesh->n_pairs] = out->nnz;
    return FWM_OK;
}

/* A state without a place: a picture has its value everywhere, and it takes a picture's mean. */
static fwm_status placeless(const cached_operator *o, fem_csr *out)
{
    const int64_t pixels = o->kh * o->kw;
    const bool renders = o->kind == RENDER;
    FWM_CHECK(renders || o->kind == SAMPLE, FWM_INTERNAL, "law: a state without a mesh has no such operator");
    *out = (fem_csr){.rows = renders ? pixels : 1, .cols = renders ? 1 : pixels, .nnz = pixels};
    out->row_start = fwm_calloc((size_t)out->rows + 1, sizeof *out->row_start);
    out->column = fwm_calloc((size_t)pixels, sizeof *out->column);
    out->weight = fwm_malloc((size_t)pixels, sizeof *out->weight);
    FWM_CHECK(out->row_start && out->column && out->weight, FWM_MEMORY, "law: out of memory");
    for (int64_t p = 0; p < pixels; p++) {
        out->weight[p] = renders ? 1.0 : 1.0 / (double)pixels;
        out->column[p] = renders ? 0 : (int32_t)p;
    }
    for (int64_t r = 0; r <= out->rows; r++)
        out->row_start[r] = renders ? r : r * pixels;
    return FWM_OK;
}

static fwm_status make_view(const tr_law *law, cached_operator *o, const fem_mesh *mesh, fem_csr **csr)
{
    const fem_view view = fem_view_around(mesh, law->margin);
    if (o->kind == SAMPLE)
        return fem_view_sample(csr, mesh, &view, o->kh, o->kw);
    o->mask = fwm_malloc((size_t)(o->kh * o->kw), sizeof *o->mask);
    FWM_CHECK(o->mask, FWM_MEMORY, "law: out of memory");
    const int axis = o->kind == GRADIENT_X ? 0 : o->kind == GRADIENT_Y ? 1 : -1;
    return fem_view_render(csr, mesh, &view, o->kh, o->kw, axis, o->mask);
}

/* Values or derivatives of the mesh's box; in space of the plane that frames show. */
static fwm_status draw(const tr_law *law, fem_csr **csr, const fem_mesh *mesh, const cached_operator *o, int axis)
{
    if (mesh->dim == 3)
        return fem_cut_render(csr, mesh, &law->cut, o->kh, o->kw, axis, NULL);
    return axis < 0 ? fem_render(csr, mesh, o->kh, o->kw, NULL) : fem_render_gradient(csr, mesh, o->kh, o->kw, axis);
}

static fwm_status make_operator(const tr_law *law, cached_operator *o)
{
    const fem_mesh *mesh = o->coarse ? law->coarse : law->mesh;
    fem_csr own = {0}, *csr = NULL;
    fwm_status status = FWM_OK;
    if (!mesh)
        status = placeless(o, &own);
    else if (o->view)
        status = make_view(law, o, mesh, &csr);
    switch (mesh && !o->view ? o->kind : OPERATOR_KINDS) {
    case OPERATOR_KINDS:
        break;
    case RENDER:
        status = draw(law, &csr, mesh, o, -1);
        break;
    case GRADIENT_X:
        status = draw(law, &csr, mesh, o, 0);
        break;
    case GRADIENT_Y:
        status = draw(law, &csr, mesh, o, 1);
        break;
    case SAMPLE:
        status =
            mesh->dim == 3 ? fem_cut_sample(&csr, mesh, &law->cut, o->kh, o->kw) : fem_sample(&csr, mesh, o->kh, o->kw);
        break;
    case PROLONG:
        status = fem_prolong(&csr, law->coarse, law->mesh);
        break;
    case PAIR_DIFFERENCE:
        status = pair_difference(mesh, &own);
        break;
    }
    const fem_csr *m = csr ? csr : &own;
    if (status == FWM_OK)
        status = ad_sparse_create(&o->matrix, m->rows, m->cols, m->row_start, m->column, m->weight);
    fem_csr_destroy(&csr);
    fwm_free(own.row_start);
    fwm_free(own.column);
    fwm_free(own.weight);
    return status;
}

static fwm_status find_operator(tr_law *law, cached_operator wanted, const cached_operator **found)
{
    for (int i = 0; i < law->n_cached; i++) {
        const cached_operator *o = &law->cache[i];
        if (o->kind == wanted.kind && o->coarse == wanted.coarse && o->view == wanted.view && o->kh == wanted.kh &&
            o->kw == wanted.kw) {
            *found = o;
            return FWM_OK;
        }
    }
    FWM_CHECK(law->n_cached < TR_LAW_OPERATORS, FWM_INTERNAL, "law: more than %d operators", TR_LAW_OPERATORS);
    FWM_CHECK(!wanted.coarse || law->coarse, FWM_DATA, "law: the dataset has no coarse mesh");
    cached_operator *o = &law->cache[law->n_cached];
    *o = wanted;
    const fwm_status status = make_operator(law, o);
    if (status != FWM_OK) {
        fwm_free(o->mask);
        return status;
    }
    law->n_cached++;
    *found = o;
    return FWM_OK;
}

fwm_status tr_law_render(tr_law *law, int64_t kh, int64_t kw, const ad_sparse **operator)
{
    const cached_operator *o;
    FWM_TRY(find_operator(law, (cached_operator){.kind = RENDER, .kh = kh, .kw = kw}, &o));
    *operator= o->matrix;
    return FWM_OK;
}

fwm_status tr_law_prolong(tr_law *law, const ad_sparse **operator)
{
    const cached_operator *o;
    FWM_TRY(find_operator(law, (cached_operator){.kind = PROLONG}, &o));
    *operator= o->matrix;
    return FWM_OK;
}

ad_value tr_law_keep_failure(ad_graph *g, fwm_status status)
{
    char text[FWM_ERROR_CAPACITY];
    fwm_error_get(text, sizeof text);
    return ad_graph_fail(g, status, "%s", text);
}

/* x through an operator, with the failure kept in the graph. */
static ad_value apply_operator(tr_law *law, ad_graph *g, ad_value x, cached_operator wanted)
{
    const cached_operator *o;
    fwm_status status = find_operator(law, wanted, &o);
    return status == FWM_OK ? ad_spmm(g, o->matrix, x) : tr_law_keep_failure(g, status);
}

static ad_value as_picture(ad_graph *g, ad_value x, int64_t kh, int64_t kw)
{
    return ad_reshape(g, x, ad_shape_make(4, ad_dim(g, x, 0), kh, kw, ad_dim(g, x, 2)));
}

static ad_value build_render(void *self, ad_graph *g, ad_value s, bool coarse, int64_t kh, int64_t kw)
{
    const cached_operator o = {.kind = RENDER, .coarse = coarse, .kh = kh, .kw = kw};
    return as_picture(g, apply_operator(self, g, s, o), kh, kw);
}

/* The size of a field's gradient at pixels [B,kh*kw,c]. The small number keeps the root's derivative finite where the
 * field is flat. */
static ad_value slope_of(tr_law *law, ad_graph *g, ad_value s, cached_operator o)
{
    o.kind = GRADIENT_X;
    ad_value dx = apply_operator(law, g, s, o);
    o.kind = GRADIENT_Y;
    ad_value dy = apply_operator(law, g, s, o);
    return ad_sqrt(g, ad_affine(g, ad_add(g, ad_square(g, dx), ad_square(g, dy)), 1.0, 1e-6));
}

static ad_value build_gradient(void *self, ad_graph *g, ad_value s, bool coarse, int64_t kh, int64_t kw)
{
    const cached_operator o = {.coarse = coarse, .kh = kh, .kw = kw};
    return as_picture(g, slope_of(self, g, s, o), kh, kw);
}

static ad_value sample_with(tr_law *law, ad_graph *g, ad_value picture, bool view)
{
    int64_t kh = ad_dim(g, picture, 1), kw = ad_dim(g, picture, 2);
    ad_value flat = ad_reshape(g, picture, ad_shape_make(3, ad_dim(g, picture, 0), kh * kw, ad_dim(g, picture, 3)));
    return apply_operator(law, g, flat, (cached_operator){.kind = SAMPLE, .view = view, .kh = kh, .kw = kw});
}

static ad_value build_sample(void *self, ad_graph *g, ad_value picture)
{
    return sample_with(self, g, picture, false);
}

static ad_value build_sample_seen(void *self, ad_graph *g, ad_value picture)
{
    return sample_with(self, g, picture, true);
}

static ad_value build_prolong(void *self, ad_graph *g, ad_value s_phy)
{
    return apply_operator(self, g, s_phy, (cached_operator){.kind = PROLONG});
}

/* ---- what the camera of deformed bodies sees ---- */

static fwm_status find_warp(tr_law *law, const fem_mesh *mesh, cached_warp wanted, const ad_custom **custom)
{
    for (int i = 0; i < law->n_warps; i++) {
        const cached_warp *w = &law->warp[i];
        if (w->kh == wanted.kh && w->kw == wanted.kw && w->channels == wanted.channels && w->batch == wanted.batch) {
            *custom = fem_warp_custom(w->warp);
            return FWM_OK;
        }
    }
    FWM_CHECK(law->n_warps < TR_LAW_WARPS, FWM_INTERNAL, "law: more than %d pictures of bodies", TR_LAW_WARPS);
    const fem_view view = fem_view_around(mesh, law->margin);
    const fem_warp_spec spec = {.height = wanted.kh,
                                .width = wanted.kw,
                                .channels = wanted.channels,
                                .lower = {view.lower[0], view.lower[1]},
                                .upper = {view.upper[0], view.upper[1]}};
    FWM_TRY(fem_warp_create(&wanted.warp, &spec, wanted.batch));
    law->warp[law->n_warps++] = wanted;
    *custom = fem_warp_custom(wanted.warp);
    return FWM_OK;
}

/* Drawn in the reference configuration, cut out along the body, and moved with it. */
static ad_value build_see(void *self, ad_graph *g, ad_value x, ad_value s, bool coarse, bool slope, int64_t kh,
                          int64_t kw)
{
    tr_law *law = self;
    if (ad_graph_status(g) != FWM_OK)
        return AD_NONE;
    const cached_operator o = {.kind = RENDER, .coarse = coarse, .view = true, .kh = kh, .kw = kw}, *render;
    fwm_status status = find_operator(law, o, &render);
    if (status != FWM_OK)
        return tr_law_keep_failure(g, status);
    const int64_t B = ad_dim(g, x, 0);
    ad_value body = ad_constant(g, ad_shape_make(3, 1, kh * kw, 1), render->mask);
    ad_value drawn = slope ? slope_of(law, g, x, o) : ad_spmm(g, render->matrix, x);
    ad_value part[2] = {ad_mul(g, drawn, body), ad_broadcast_to(g, body, ad_shape_make(3, B, kh * kw, 1))};
    ad_value in[2] = {as_picture(g, ad_concat(g, 2, part, 2), kh, kw),
                      as_picture(g, ad_spmm(g, render->matrix, ad_slice(g, s, 2, law->displacement, 2)), kh, kw)};
    const ad_custom *warp = NULL;
    if (ad_graph_status(g) != FWM_OK)
        return AD_NONE;
    status = find_warp(law, coarse ? law->coarse : law->mesh,
                       (cached_warp){.kh = kh, .kw = kw, .channels = ad_dim(g, in[0], 3), .batch = B}, &warp);
    return status == FWM_OK ? ad_custom_apply(g, warp, 2, in) : tr_law_keep_failure(g, status);
}

ad_value tr_law_jumps(tr_law *law, ad_graph *g, ad_value x)
{
    return apply_operator(law, g, x, (cached_operator){.kind = PAIR_DIFFERENCE});
}

void tr_law_add_pictures(tr_law *law, wm_physics *physics)
{
    physics->render = build_render;
    physics->gradient = law->mesh ? build_gradient : NULL;
    physics->sample = build_sample;
    physics->see = law->deformed ? build_see : NULL;
    physics->sample_seen = law->deformed ? build_sample_seen : NULL;
    physics->prolong = law->coarse ? build_prolong : NULL;
}

/* What frames show is the simulation's: its equation says where the displacement is. */
fwm_status tr_law_watch_body(tr_law *law, const tr_config *c, const ds_dataset *ds)
{
    const fem_equation *eq = fem_equation_at(c->simulate.equation);
    const ds_info *info = ds_get_info(ds);
    int count;
    law->deformed = c->simulate.deformed && info->fields[DS_FRAMES].channels > 0;
    if (!law->deformed)
        return FWM_OK;
    FWM_CHECK(law->mesh && law->mesh->dim == 2, FWM_DATA, "%s: /mesh: simulate.deformed needs a mesh of the plane",
              ds_path(ds));
    const int components = fem_equation_components(eq, law->mesh->dim);
    for (int f = DS_STATE; f <= DS_S_PHY; f++)
        FWM_CHECK(info->fields[f].channels == components || (f == DS_S_PHY && info->fields[f].channels == 0), FWM_DATA,
                  "%s: /%s: simulate.deformed: expected %d channels (the fields of %s), found %lld", ds_path(ds),
                  ds_field_name((ds_field)f), components, eq->name, (long long)info->fields[f].channels);
    memcpy(law->margin, c->simulate.margin, sizeof law->margin);
    return fem_equation_component(eq, law->mesh->dim, "displacement", &law->displacement, &count);
}

void tr_law_forget_pictures(tr_law *law)
{
    for (int i = 0; i < law->n_cached; i++) {
        ad_sparse_destroy(&law->cache[i].matrix);
        fwm_free(law->cache[i].mask);
    }
    for (int i = 0; i < law->n_warps; i++)
        fem_warp_destroy(&law->warp[i].warp);
}
