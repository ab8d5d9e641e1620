/* placeholder until the first unit of this layer */ typedef int guard_store_layer;
