/* Stresses of the form P = mu F + s(J) C of compressible neo-Hookean solids, F = I + grad u, J = det F, C = J F^-T the
 * cofactors, which are polynomials of F: nothing is inverted.
 *
 * Transpose with V, where C'[V] is the derivative of the cofactors along V (symmetric in the sense that A : C'[V] =
 * V : C'[A]):
 *     H: mu V + s' (C : V) C + s C'[V]     lambda: ds/dlambda (C : V)     mu: F : V + ds/dmu (C : V). */
#ifndef FWM_PHYSICS_FORMS_HYPERELASTIC_H
#define FWM_PHYSICS_FORMS_HYPERELASTIC_H

#include "physics/forms/solid.h"

/* s(J) with its derivatives. */
typedef struct hyper_volume {
    vec s, j, lambda, mu;
} hyper_volume;
typedef hyper_volume (*hyper_volume_of)(real lambda, real mu, vec j);

typedef vec hyper_matrix[FEM_MAX_DIM][FEM_MAX_DIM];

/* C'[V] at F times 1, and C itself as C'[F]/2 in three dimensions; in two dimensions C is linear in F. */
FEM_INLINE void cofactor_derivative(int dim, const hyper_matrix f, const vec v[][FEM_MAX_DIM], hyper_matrix c)
{
    if (dim == 2) {
        c[0][0] = v[1][1];
        c[0][1] = -v[1][0];
        c[1][0] = -v[0][1];
        c[1][1] = v[0][0];
        return;
    }
    for (int i = 0; i < 3; i++) {
        const int a = (i + 1) % 3, b = (i + 2) % 3;
        for (int k = 0; k < 3; k++) {
            const int l = (k + 1) % 3, m = (k + 2) % 3;
            c[i][k] = v[a][l] * f[b][m] - v[a][m] * f[b][l] + f[a][l] * v[b][m] - f[a][m] * v[b][l];
        }
    }
}

/* F, C and J of H = grad u. */
FEM_INLINE vec deformation(int dim, const vec h[][FEM_MAX_DIM], hyper_matrix f, hyper_matrix c)
{
    for (int i = 0; i < dim; i++)
        for (int k = 0; k < dim; k++)
            f[i][k] = i == k ? h[i][k] + 1 : h[i][k];
    cofactor_derivative(dim, f, f, c);
    if (dim == 3)
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 3; k++)
                c[i][k] = c[i][k] / 2;
    vec j = f[0][0] * c[0][0];
    for (int k = 1; k < dim; k++)
        j += f[0][k] * c[0][k];
    return j;
}

FEM_INLINE void hyper_stress(int dim, real lambda, real mu, const vec h[][FEM_MAX_DIM], hyper_matrix stress,
                             hyper_volume_of volume)
{
    hyper_matrix f, c;
    const vec j = deformation(dim, h, f, c);
    const hyper_volume w = volume(lambda, mu, j);
    for (int i = 0; i < dim; i++)
        for (int k = 0; k < dim; k++)
            stress[i][k] = mu * f[i][k] + w.s * c[i][k];
}

FEM_INLINE void hyper_stress_transposed(int dim, real lambda, real mu, const vec h[][FEM_MAX_DIM],
                                        const vec v[][FEM_MAX_DIM], vec h_bar[][FEM_MAX_DIM], vec *lambda_bar,
                                        vec *mu_bar, hyper_volume_of volume)
{
    hyper_matrix f, c, turned;
    const vec j = deformation(dim, h, f, c);
    const hyper_volume w = volume(lambda, mu, j);
    cofactor_derivative(dim, f, v, turned);
    vec along_c = vec_zero(), along_f = vec_zero();
    for (int i = 0; i < dim; i++)
        for (int k = 0; k < dim; k++) {
            along_c += c[i][k] * v[i][k];
            along_f += f[i][k] * v[i][k];
        }
    *lambda_bar = w.lambda * along_c;
    *mu_bar = along_f + w.mu * along_c;
    for (int i = 0; i < dim; i++)
        for (int k = 0; k < dim; k++)
            h_bar[i][k] = mu * v[i][k] + w.j * along_c * c[i][k] + w.s * turned[i][k];
}

#define HYPERELASTIC_KERNELS(volume)                                                                                   \
    FEM_INLINE void stress(int dim, real lambda, real mu, const vec h[][FEM_MAX_DIM], vec s[FEM_MAX_DIM][FEM_MAX_DIM]) \
    {                                                                                                                  \
        hyper_stress(dim, lambda, mu, h, s, volume);                                                                   \
    }                                                                                                                  \
    FEM_INLINE void stress_transposed(int dim, real lambda, real mu, const vec h[][FEM_MAX_DIM],                       \
                                      const vec v[][FEM_MAX_DIM], vec h_bar[][FEM_MAX_DIM], vec *lambda_bar,           \
                                      vec *mu_bar)                                                                     \
    {                                                                                                                  \
        hyper_stress_transposed(dim, lambda, mu, h, v, h_bar, lambda_bar, mu_bar, volume);                             \
    }                                                                                                                  \
    SOLID_KERNELS(stress, stress_transposed)

#endif
