"""Zero-shot cross-lingual transfer on XGLUE for any Hugging Face encoder, as an lm-evaluation-harness plug-in.

This module imports nothing on purpose: it is imported at every start of the interpreter (see ``hook.py``).
"""

__version__: str

TYPE_CHECKING = False
if not TYPE_CHECKING:  # type checkers would take any name for an attribute

    def __getattr__(name: str) -> str:
        """``__version__``, looked up when it is asked for."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version

        return version("xglue-harness")
