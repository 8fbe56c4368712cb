"""Parameter grids, one TOML file each: data that a user can add to."""
