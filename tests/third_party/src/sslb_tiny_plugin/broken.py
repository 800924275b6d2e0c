"""A plugin that cannot be imported: it must be named and must not stop the other one."""

raise RuntimeError("this plugin is broken on purpose")
