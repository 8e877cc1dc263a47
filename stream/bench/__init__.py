"""The benchmark: what the service reaches, beside what this machine reaches at best, measured in the same run.

``children`` (processes that end with us) → ``town`` (Kafka, topics, settings files) → ``service``, ``gateway`` (the two
processes under watch) and ``load`` (what producers write) → ``storing``, ``calling``, ``waiting``, ``holding``,
``losing`` (the five parts) with the limits of ``bare_reading`` and ``bare_calls`` → ``figures``, ``plot`` (what is
shown). docs/performance.md says what each figure means.
"""
