/* placeholder until the first unit of this layer */ typedef int guard_audit_layer;
