"""Bundled worlds: one small generator file per dataset, with the hub's row schema and plain prose."""
