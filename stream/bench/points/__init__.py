"""The ten points of calling as well as it can be done, in figures: ``unpush bench --calls``.

``stage`` (a place, its service, who writes and what came of it) → one file a point, named by what it shows → ``story``
(which there are, one after the other). A point that is added is a file with a ``measure(town, sizes)`` and a line in
``story.POINTS``. docs/performance.md says what each figure means.
"""
