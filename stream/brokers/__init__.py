"""Brokers that come with the package: ``apache`` is Kafka itself, ``mock`` is librdkafka's imitation of it.

Promised: each starts on loopback at free ports, needs no system install, and leaves nothing behind.
Not promised: anything beyond one machine; a deployment brings its own Kafka.
"""
