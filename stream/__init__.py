"""Unpush takes back pushed notifications: sends ⋈ violations − results = revoke calls.

The house, in the order in which a record meets its rooms; `docs/architecture.md` has every file::

    __main__.py      the console command ``unpush``: its first moments, then ``command_line.py``
    model.py         the nouns, and the tree of exceptions
    block.py         a send's tokens as one piece of memory
    settings/        every key, checked before anything starts; secrets masked
    kafka/           the broker's edge: the group member, the live reader, the reader of the past
    wire/            bytes become records, records become bytes
    state/           what is remembered on this disk: a cache of three topics
    work/            the pure middle: what is open, what travels together, who goes first, how it ended
    pushkit/         the gateway's edge: key and JWT, one call, its reply; and ``simulator/``, a strict Push Kit
    operate/         what people see: log, metrics, health, HTTP
    service/         the rooms wired, and the story told: begin with ``service/story.py``
    brokers/         brokers that come with the package: Apache Kafka itself, and librdkafka's imitation
    demo/            the whole story on one machine, with a judge
    check/           the world looked at before the service meets it
    bench/           the figures, beside limits measured in the same run
    commands/        one file a command

Imports point one way: commands → demo, bench, check → service → kafka, state, pushkit, operate, brokers → work,
wire → settings → model. import-linter holds it.
"""
