#include "audit/sink.h"

int audit_sink_start(struct audit *audit, const struct audit_sink_config *config, struct audit_sink **out,
                     struct guard_error *err)
{
    (void)audit, (void)config, (void)out;
    return guard_fail(err, GUARD_ERR_UNSUPPORTED, "not yet");
}
void audit_sink_stop(struct audit_sink *sink)
{
    (void)sink;
}
void audit_sink_free(struct audit_sink **sink)
{
    (void)sink;
}
void audit_sink_read(const struct audit_sink *sink, struct audit_sink_metrics *out)
{
    (void)sink, (void)out;
}
