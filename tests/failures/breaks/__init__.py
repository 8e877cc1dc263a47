"""Five ways to spoil the code on purpose, each of which the harness must tell of.

Each module has one function, ``spoil()``, which the launcher calls before the service starts. They wrap functions
rather than change files, so that they go on fitting while the code around them changes. ``schedules`` has the short
schedule that each must fail; the same without the break has no breach.
"""
