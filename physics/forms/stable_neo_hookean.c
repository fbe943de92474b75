/* Neo-Hookean elastodynamics with an energy that stays finite when an element inverts (Smith, de Goes & Kim 2018,
 * without their logarithm), for losses on predictions that need not be admissible:
 *
 *     W = mu/2 (|F|^2 - dim) - mu (J-1) + (lambda+mu)/2 (J-1)^2,
 *     P = mu F + ((lambda+mu)(J-1) - mu) C.
 *
 * At rest it is linear elasticity with the same lambda and mu. */
#define FEM_NAME stable_neo_hookean
#include "physics/forms/hyperelastic.h"

FEM_INLINE hyper_volume volume(real lambda, real mu, vec j)
{
    return (hyper_volume){
        .s = (lambda + mu) * (j - 1) - mu, .j = vec_zero() + (lambda + mu), .lambda = j - 1, .mu = j - 2};
}

HYPERELASTIC_KERNELS(volume)

#ifdef FWM_DEFINITION
static bool is_linear(const double *theta)
{
    (void)theta;
    return false;
}

extern const fem_equation fem_equation_stable_neo_hookean;
const fem_equation fem_equation_stable_neo_hookean = {
    .name = "stable_neo_hookean",
    .about = "neo-Hookean elastodynamics with an energy that stays finite for inverted elements",
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
