"""The profile: what the firmware's TLS offers and what it may cost, declared and checked."""

from nodemcu_tls_build.profile.load import list_presets, load_profile
from nodemcu_tls_build.profile.mbedtls import Macro, Section, list_macros
from nodemcu_tls_build.profile.model import Profile

__all__ = ["Macro", "Profile", "Section", "list_macros", "list_presets", "load_profile"]
