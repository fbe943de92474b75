/* Makers of the `object` attribute for the operator table test: one row for each operator whose samples need an object. A maker
 * gets the sample and returns what goes to attributes.object; it lives as long as the process. */
#ifndef FWM_TESTS_MODEL_OP_OBJECTS_H
#define FWM_TESTS_MODEL_OP_OBJECTS_H

#include "model/autodiff/op.h"

#include <string.h>

typedef struct op_object {
    const char *op;
    const void *(*make)(const ad_sample *sample);
} op_object;

static const op_object op_objects[] = {
    {NULL, NULL},
};

static inline const void *op_object_make(const char *op, const ad_sample *sample)
{
    for (const op_object *o = op_objects; o->op; o++)
        if (strcmp(o->op, op) == 0)
            return o->make(sample);
    return sample->attr.object;
}

#endif
