/* After an equation's own file: its transposed point functions with one member of what they write made 5 % too large.
 * MUTATE_BOUNDARY where the equation has natural conditions. */
#include "mutants.h"

enum { MEMBERS = sizeof(fem_point_bars) / sizeof(vec) };
static int chosen = -1;
static bool was_written[2 * MEMBERS];

FEM_INLINE void damage(fem_point_bars *b, int first)
{
    vec *member = (vec *)b;
    for (int k = 0; k < MEMBERS; k++)
        for (int l = 0; l < FEM_LANES; l++)
            was_written[first + k] = was_written[first + k] || member[k][l] != 0;
    if (chosen >= first && chosen < first + MEMBERS)
        member[chosen - first] *= 1.05;
}

FEM_INLINE void damaged_qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    memset(b, 0, sizeof *b); /* what lies beyond the dimension too, or it would seem written */
    qb(dim, p, v, b);
    damage(b, 0);
}

static void damaged_vjp(const fem_sweep *s)
{
    sweep_vjp(s, damaged_qb, FEM_SIZES_Q1);
}

#ifdef MUTATE_BOUNDARY
FEM_INLINE void damaged_bb(int dim, int kind, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    memset(b, 0, sizeof *b);
    bb(dim, kind, p, v, b);
    damage(b, MEMBERS);
}

static void damaged_face_vjp(const fem_sweep *s)
{
    sweep_face_vjp(s, damaged_bb, FEM_SIZES_Q1);
}
#endif

static const fem_form_kernels kernels = {
    .lanes = FEM_LANES,
    .strong = FEM_STRONG,
    .residual = {[FEM_Q1] = residual_Q1},
    .vjp = {[FEM_Q1] = damaged_vjp},
#ifdef MUTATE_BOUNDARY
    .face_residual = {[FEM_Q1] = face_residual_Q1},
    .face_vjp = {[FEM_Q1] = damaged_face_vjp},
#endif
};

static void choose(int member)
{
    chosen = member;
}

static bool written(int member)
{
    return was_written[member];
}

#define MUTANT_NAME_(name) #name
#define MUTANT_NAME(name) MUTANT_NAME_(name)
#define MUTANT_SYMBOL FWM_PASTE(fem_mutant, FEM_NAME)
extern const fem_mutant MUTANT_SYMBOL;
const fem_mutant MUTANT_SYMBOL = {MUTANT_NAME(FEM_NAME), &kernels, MEMBERS, choose, written};
