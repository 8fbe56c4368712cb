"""Injection-recovery completeness of strong-lens searches: physics, stages, statistics, store and report."""
