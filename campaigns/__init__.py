"""Campaign files: the values of one campaign each, for LUIGI_CONFIG_PATH."""
