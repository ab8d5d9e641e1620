#include "audit/ocsf.h"
bool audit_ocsf_map(const char *line, size_t length, struct audit_out *out)
{
    audit_put(out, line, length);
    return true;
}
