/* The equations and their kernels, as the build found them in forms/. */
#include "physics/sparse.h"

#include "model/base/threads.h"

#include <stdio.h>
#include <string.h>

#define X(name) extern const fem_equation fem_equation_##name;
#include "forms.def"
#undef X

static const fem_equation *const equations[] = {
#define X(name) &fem_equation_##name,
#include "forms.def"
#undef X
};
enum { EQUATION_COUNT = sizeof equations / sizeof *equations };

#define X(name)                                                                                                        \
    extern const fem_form_kernels fem_form_kernels_##name##_f32_v1, fem_form_kernels_##name##_f32_v3,                  \
        fem_form_kernels_##name##_f32_v4, fem_form_kernels_##name##_f64_v1, fem_form_kernels_##name##_f64_v3,          \
        fem_form_kernels_##name##_f64_v4;
#include "forms.def"
#undef X

/* Rows as above: float levels 1, 3, 4, then double. */
static const fem_form_kernels *const form_kernels[][6] = {
#define X(name)                                                                                                        \
    {&fem_form_kernels_##name##_f32_v1, &fem_form_kernels_##name##_f32_v3, &fem_form_kernels_##name##_f32_v4,          \
     &fem_form_kernels_##name##_f64_v1, &fem_form_kernels_##name##_f64_v3, &fem_form_kernels_##name##_f64_v4},
#include "forms.def"
#undef X
};

extern const fem_lane_kernels fem_lane_kernels_f32_v1, fem_lane_kernels_f32_v3, fem_lane_kernels_f32_v4,
    fem_lane_kernels_f64_v1, fem_lane_kernels_f64_v3, fem_lane_kernels_f64_v4;

static const fem_lane_kernels *const lane_kernels[6] = {&fem_lane_kernels_f32_v1, &fem_lane_kernels_f32_v3,
                                                        &fem_lane_kernels_f32_v4, &fem_lane_kernels_f64_v1,
                                                        &fem_lane_kernels_f64_v3, &fem_lane_kernels_f64_v4};

extern const fem_lane_direct fem_lane_direct_f32_v1, fem_lane_direct_f32_v3, fem_lane_direct_f32_v4,
    fem_lane_direct_f64_v1, fem_lane_direct_f64_v3, fem_lane_direct_f64_v4;

static const fem_lane_direct *const lane_direct[6] = {&fem_lane_direct_f32_v1, &fem_lane_direct_f32_v3,
                                                      &fem_lane_direct_f32_v4, &fem_lane_direct_f64_v1,
                                                      &fem_lane_direct_f64_v3, &fem_lane_direct_f64_v4};

extern const fem_sparse_kernels fem_sparse_kernels_f32_v1, fem_sparse_kernels_f32_v3, fem_sparse_kernels_f32_v4,
    fem_sparse_kernels_f64_v1, fem_sparse_kernels_f64_v3, fem_sparse_kernels_f64_v4;

static const fem_sparse_kernels *const sparse_kernels[6] = {&fem_sparse_kernels_f32_v1, &fem_sparse_kernels_f32_v3,
                                                            &fem_sparse_kernels_f32_v4, &fem_sparse_kernels_f64_v1,
                                                            &fem_sparse_kernels_f64_v3, &fem_sparse_kernels_f64_v4};

static int variant(ad_dtype dtype)
{
    int level = fwm_isa_level();
    return (dtype == AD_F64 ? 3 : 0) + (level >= 4 ? 2 : level >= 3 ? 1 : 0);
}

const fem_lane_kernels *fem_lane_kernels_find(ad_dtype dtype)
{
    return lane_kernels[variant(dtype)];
}

const fem_lane_direct *fem_lane_direct_find(ad_dtype dtype)
{
    return lane_direct[variant(dtype)];
}

const fem_sparse_kernels *fem_sparse_kernels_find(ad_dtype dtype)
{
    return sparse_kernels[variant(dtype)];
}

const fem_form_kernels *fem_form_kernels_find(const fem_equation *equation, ad_dtype dtype)
{
    for (int k = 0; k < EQUATION_COUNT; k++)
        if (equations[k] == equation)
            return form_kernels[k][variant(dtype)];
    return NULL;
}

const fem_equation *fem_equation_at(int k)
{
    return k >= 0 && k < EQUATION_COUNT ? equations[k] : NULL;
}

fwm_status fem_equation_find(const char *name, const fem_equation **equation)
{
    char known[512] = "";
    size_t used = 0;
    for (int k = 0; k < EQUATION_COUNT; k++) {
        if (name && strcmp(name, equations[k]->name) == 0) {
            *equation = equations[k];
            return FWM_OK;
        }
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", k > 0 ? ", " : "", equations[k]->name);
    }
    *equation = NULL;
    return fwm_fail(FWM_INVALID, "equation: expected one of %s, found '%s'", known, name ? name : "nothing");
}

fwm_status fem_parameter_find(const fem_equation *equation, const char *name, int *index)
{
    char known[512] = "";
    size_t used = 0;
    for (int k = 0; k < equation->n_parameters; k++) {
        if (name && strcmp(name, equation->parameter[k].name) == 0) {
            *index = k;
            return FWM_OK;
        }
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", k > 0 ? ", " : "",
                                     equation->parameter[k].name);
    }
    *index = -1;
    return fwm_fail(FWM_INVALID, "%s: expected a parameter among %s, found '%s'", equation->name, known,
                    name ? name : "nothing");
}

int fem_equation_components(const fem_equation *equation, int dim)
{
    int n = 0;
    for (int k = 0; k < equation->n_fields; k++)
        n += equation->field_kind[k] & FEM_FIELD_VECTOR ? dim : 1;
    return n;
}

fwm_status fem_equation_component(const fem_equation *equation, int dim, const char *name, int *first, int *count)
{
    char known[512] = "";
    size_t used = 0;
    *first = *count = 0;
    for (int k = 0, at = 0; k < equation->n_fields; k++) {
        const char *field = equation->field[k];
        const size_t length = strlen(field);
        const int width = equation->field_kind[k] & FEM_FIELD_VECTOR ? dim : 1;
        if (name && strncmp(name, field, length) == 0) {
            const char *rest = name + length;
            bool axis = width > 1 && rest[0] == '.' && rest[1] >= 'x' && rest[1] < 'x' + width && rest[2] == '\0';
            if (rest[0] == '\0' || axis) {
                *first = at + (rest[0] ? (int)(rest[1] - 'x') : 0);
                *count = rest[0] ? 1 : width;
                return FWM_OK;
            }
        }
        at += width;
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s%s", k > 0 ? ", " : "", field,
                                     width == 1   ? ""
                                     : width == 2 ? " (.x, .y)"
                                                  : " (.x, .y, .z)");
    }
    return fwm_fail(FWM_INVALID, "%s: expected a field among %s, found '%s'", equation->name, known,
                    name ? name : "nothing");
}
