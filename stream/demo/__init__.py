"""The whole story on one machine: a cast that sends and finds, the real pipeline, and a judge who asks the gateway.

``author`` writes the ``plan`` from a seed, ``cast`` plays it, ``audience`` watches what comes of it, ``judge`` compares
both with the simulator's book; ``stage`` is what they stand on and ``story`` tells it in order.
"""
