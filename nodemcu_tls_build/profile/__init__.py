"""The profile: what the firmware's TLS offers and what it may cost, declared and checked."""

from nodemcu_tls_build.profile.layers import list_presets
from nodemcu_tls_build.profile.left_out import FILE_NAMES
from nodemcu_tls_build.profile.load import load_profile
from nodemcu_tls_build.profile.macro import Macro, Section
from nodemcu_tls_build.profile.mbedtls import list_macros
from nodemcu_tls_build.profile.model import Profile
from nodemcu_tls_build.profile.options import list_left_out
from nodemcu_tls_build.profile.requirements import check_macros, find_refusals

__all__ = [
    "FILE_NAMES",
    "Macro",
    "Profile",
    "Section",
    "check_macros",
    "find_refusals",
    "list_left_out",
    "list_macros",
    "list_presets",
    "load_profile",
]
