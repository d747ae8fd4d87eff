"""Small checkpoints of the families, as the tests of encoders have them."""

from tests.encoders.conftest import checkpoint

__all__ = ["checkpoint"]
