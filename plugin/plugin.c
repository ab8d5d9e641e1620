typedef int guard_plugin_layer;
