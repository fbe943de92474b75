/* Linear elastodynamics: small strains, isotropic (solid.h has the balance of momentum):
 *
 *     P = lambda tr(H) I + mu (H + H^T),   H = grad u.
 *
 * Transpose with V: H: lambda tr(V) I + mu (V + V^T)   lambda: tr(H) tr(V)   mu: (H + H^T) : V. */
#define FEM_NAME elasticity
#include "physics/forms/solid.h"

FEM_INLINE void stress(int dim, real lambda, real mu, const vec h[][FEM_MAX_DIM], vec s[FEM_MAX_DIM][FEM_MAX_DIM])
{
    vec trace = h[0][0];
    for (int d = 1; d < dim; d++)
        trace += h[d][d];
    for (int c = 0; c < dim; c++)
        for (int d = 0; d < dim; d++) {
            s[c][d] = mu * (h[c][d] + h[d][c]);
            if (c == d)
                s[c][d] += lambda * trace;
        }
}

FEM_INLINE void stress_transposed(int dim, real lambda, real mu, const vec h[][FEM_MAX_DIM], const vec v[][FEM_MAX_DIM],
                                  vec h_bar[][FEM_MAX_DIM], vec *lambda_bar, vec *mu_bar)
{
    vec trace_h = h[0][0], trace_v = v[0][0];
    for (int d = 1; d < dim; d++) {
        trace_h += h[d][d];
        trace_v += v[d][d];
    }
    *lambda_bar = trace_h * trace_v;
    for (int c = 0; c < dim; c++)
        for (int d = 0; d < dim; d++) {
            *mu_bar += (h[c][d] + h[d][c]) * v[c][d];
            h_bar[c][d] = mu * (v[c][d] + v[d][c]);
            if (c == d)
                h_bar[c][d] += lambda * trace_v;
        }
}

SOLID_KERNELS(stress, stress_transposed)

#ifdef FWM_DEFINITION
static bool is_linear(const double *theta)
{
    (void)theta;
    return true;
}

extern const fem_equation fem_equation_elasticity;
const fem_equation fem_equation_elasticity = {
    .name = "elasticity",
    .about = "linear elastodynamics, displacement and velocity, plane strain in two dimensions",
    .n_fields = 2,
    .n_parameters = FEM_PARAMETERS,
    .field = SOLID_FIELDS,
    .field_unit = SOLID_UNITS,
    .field_kind = SOLID_KINDS,
    .parameter = SOLID_PARAMETERS,
    .is_linear = is_linear,
    .matrix = FEM_MATRIX_GENERAL,
    .riesz = solid_riesz,
    .event_rate = solid_event_rate,
    .event_about = FEM_ABOUT_RELATIVE("velocity"),
};
#endif
