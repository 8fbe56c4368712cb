"""The pure part of each stage: tables and arrays in, tables and arrays out."""
