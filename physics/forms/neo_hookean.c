/* Compressible neo-Hookean elastodynamics (solid.h has the balance of momentum, hyperelastic.h the transpose):
 *
 *     W = mu/2 (|F|^2 - dim) - mu log J + lambda/2 (J-1)^2,
 *     P = mu (F - F^-T) + lambda (J-1) J F^-T = mu F + (lambda (J-1) - mu/J) C.
 *
 * W is infinite at J = 0: a state with an inverted element has no meaning here; stable_neo_hookean takes such states.
 */
#define FEM_NAME neo_hookean
#include "physics/forms/hyperelastic.h"

FEM_INLINE hyper_volume volume(real lambda, real mu, vec j)
{
    const vec inverse = 1 / j;
    return (hyper_volume){
        .s = lambda * (j - 1) - mu * inverse, .j = lambda + mu * inverse * inverse, .lambda = j - 1, .mu = -inverse};
}

HYPERELASTIC_KERNELS(volume)

#ifdef FWM_DEFINITION
static bool is_linear(const double *theta)
{
    (void)theta;
    return false;
}

extern const fem_equation fem_equation_neo_hookean;
const fem_equation fem_equation_neo_hookean = {
    .name = "neo_hookean",
    .about = "compressible neo-Hookean elastodynamics, plane strain in two dimensions",
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
