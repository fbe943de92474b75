/* Source files in the variant folders (see the Makefile's VARIANT_DIRS) are compiled several times: for float and
 * double, and for each instruction-set level. The build defines for each compilation
 *
 *     FWM_REAL        float or double                 (here: `real`)
 *     FWM_VARIANT     f32_v1, f32_v3, f32_v4, f64_v1, ...
 *     FWM_REAL_BITS   32 or 64
 *     FWM_ISA_LEVEL   1, 3 or 4
 *     FWM_DEFINITION  in exactly one of them: what must exist once stands under #ifdef FWM_DEFINITION
 *
 * FWM_V(name) is the symbol of this compilation, e.g. name_f32_v3. */
#ifndef FWM_BASE_VARIANT_H
#define FWM_BASE_VARIANT_H

#ifndef FWM_REAL
#error "this file is compiled by variant: see the Makefile's VARIANT_DIRS"
#endif

typedef FWM_REAL real;

#define FWM_PASTE_(a, b) a##_##b
#define FWM_PASTE(a, b) FWM_PASTE_(a, b)
#define FWM_V(name) FWM_PASTE(name, FWM_VARIANT)

#if FWM_REAL_BITS == 64
#define REAL_FN(name) name
#define REAL_EPS 2.220446049250313e-16
#else
#define REAL_FN(name) name##f
#define REAL_EPS 1.1920929e-7f
#endif

#endif
