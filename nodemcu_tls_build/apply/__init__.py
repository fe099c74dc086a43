"""Put a profile and CA certificates into a user's own NodeMCU firmware tree, and take them out."""

from nodemcu_tls_build.apply.perform import apply_plan
from nodemcu_tls_build.apply.plan import Plan, make_plan
from nodemcu_tls_build.apply.revert import Reverted, revert_tree

__all__ = ["Plan", "Reverted", "apply_plan", "make_plan", "revert_tree"]
