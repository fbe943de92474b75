/* Formats of `fwm export`: one file each, tools/export/NAME.c, which exports `const fwm_export_format fwm_export_NAME`;
 * the build lists them. A format writes its file whole or not at all, reads it back, and holds it against the
 * checkpoint. */
#ifndef TOOLS_EXPORT_EXPORT_H
#define TOOLS_EXPORT_EXPORT_H

#include "train/checkpoint.h"

typedef struct fwm_export_request {
    const tr_checkpoint *checkpoint;
    const char *prefix; /* TR_EMA or TR_WEIGHTS: the tensors that are taken, without it in their names */
    const char *path;
} fwm_export_request;

typedef struct fwm_export_format {
    const char *name, *extension, *summary;
    /* Writes request->path; sets keys of `report` (a JSON object that has checkpoint, format, output already): at least
     * tensors, parameters, bytes. */
    fwm_status (*write)(const fwm_export_request *request, json_t *report);
} fwm_export_format;

#define X(name) extern const fwm_export_format fwm_export_##name;
#include "exports.def" /* made by the build */
#undef X

#endif
