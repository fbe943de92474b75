/* Before an equation's own file, which is then compiled once more: float64, baseline instruction set, plane elements,
 * under names of its own. */
#define FWM_REAL double
#define FWM_REAL_BITS 64
#define FWM_ISA_LEVEL 1
#define FWM_VARIANT mutant
#define FEM_PLANE 1
#pragma GCC optimize("O2")
