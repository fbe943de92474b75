/* The one oneDNN engine and stream of the process. Every oneDNN primitive of the library is made in this folder, so
 * that the shapes which the packaged version computes wrongly (the deny-table in conv.c) cannot be reached by another
 * way, and a move to version 3 stays local.
 *
 * The engine and stream are made at first use and live as long as the process. Never call oneDNN inside a parallel
 * region. */
#ifndef FWM_AUTODIFF_DNNL_ENGINE_H
#define FWM_AUTODIFF_DNNL_ENGINE_H

#include "model/base/status.h"

#include <oneapi/dnnl/dnnl.h>

/* Errors: FWM_LIBRARY. */
fwm_status ad_dnnl_engine(dnnl_engine_t *engine, dnnl_stream_t *stream) FWM_MUST_USE;

/* FWM_OK, or FWM_LIBRARY with oneDNN's code and what was tried. */
fwm_status ad_dnnl_check(dnnl_status_t code, const char *what) FWM_MUST_USE;

#endif
