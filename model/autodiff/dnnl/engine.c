#include "model/autodiff/dnnl/engine.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t the_engine;
static dnnl_stream_t the_stream;
static dnnl_status_t made;

static void make(void)
{
    made = dnnl_engine_create(&the_engine, dnnl_cpu, 0);
    if (made == dnnl_success)
        made = dnnl_stream_create(&the_stream, the_engine, dnnl_stream_default_flags);
}

fwm_status ad_dnnl_engine(dnnl_engine_t *engine, dnnl_stream_t *stream)
{
    (void)pthread_once(&once, make);
    FWM_TRY(ad_dnnl_check(made, "creating the CPU engine"));
    *engine = the_engine;
    *stream = the_stream;
    return FWM_OK;
}

fwm_status ad_dnnl_check(dnnl_status_t code, const char *what)
{
    FWM_CHECK(code == dnnl_success, FWM_LIBRARY, "oneDNN: %s failed with code %d", what, (int)code);
    return FWM_OK;
}
