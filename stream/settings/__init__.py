"""Every setting, checked before anything starts; secrets masked.

Promised: ``load_settings`` returns settings that make sense or raises SettingsError with one line.
Not promised: that the world fits them; see ``stream.kafka.preflight``.
"""

from stream.settings.duration import duration_s, duration_text
from stream.settings.reading import default_settings, load_settings, settings_of
from stream.settings.secret import Secret
from stream.settings.sections import (
    Address,
    AppSettings,
    AvroSettings,
    DeadLetterSettings,
    GuardSettings,
    HttpSettings,
    JoinSettings,
    KafkaSettings,
    LogSettings,
    PushKitSettings,
    Settings,
    ShutdownSettings,
    StoreSettings,
    TopicSettings,
)

__all__ = [
    "Address",
    "AppSettings",
    "AvroSettings",
    "DeadLetterSettings",
    "GuardSettings",
    "HttpSettings",
    "JoinSettings",
    "KafkaSettings",
    "LogSettings",
    "PushKitSettings",
    "Secret",
    "Settings",
    "ShutdownSettings",
    "StoreSettings",
    "TopicSettings",
    "default_settings",
    "duration_s",
    "duration_text",
    "load_settings",
    "settings_of",
]
