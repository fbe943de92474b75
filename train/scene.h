/* What acts on a simulated field: from the configuration's sources, loads and conditions to what physics/ takes. The
 * simulator and the law that a model knows have the same scene. */
#ifndef TRAIN_SCENE_H
#define TRAIN_SCENE_H

#include "physics/span.h"
#include "train/config.h"

typedef struct tr_scene { /* texts are the configuration's */
    int n_sources, n_conditions, n_driven;
    fem_source source[FEM_MAX_ACTIONS];
    const char *source_name[FEM_MAX_ACTIONS]; /* NULL: no name of its own */
    fem_condition condition[FEM_MAX_CONDITIONS];
    bool parabolic[FEM_MAX_CONDITIONS];
    const char *condition_name[FEM_MAX_CONDITIONS]; /* of the action, NULL where none drives it */
} tr_scene;

/* Errors: FWM_CONFIG where there are too many actions. */
fwm_status tr_scene_fill(tr_scene *scene, const tr_config *config, const fem_equation *equation) FWM_MUST_USE;

/* The scheme of a key such as simulate.scheme. */
fem_scheme tr_scheme_of(int scheme);

#endif
