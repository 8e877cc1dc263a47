"""``unpush check``: the world looked at before the service meets it, as a list of verdicts.

Promised: nothing is changed, in no topic, group, registry, store or gateway. A verdict is a pure function of what was
found; what cannot be reached is a row of its own, within seconds. Begin with ``story.py``.
"""
