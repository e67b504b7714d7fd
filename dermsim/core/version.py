"""The version of dermsim, where every package can read it."""

__version__ = "0.2.0"
"""Major, minor and patch number, as semantic versions have them.

Examples:
    >>> from dermsim import __version__
    >>> len(__version__.split("."))
    3
"""
