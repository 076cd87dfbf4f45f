"""The comparison works: systems start and carry, tables say what happened. No test here asserts a time."""
