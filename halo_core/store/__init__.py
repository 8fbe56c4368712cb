"""The record of what was asked and what came out, in SQLite or Postgres: an index of the objects that can be rebuilt from them."""
