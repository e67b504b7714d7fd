"""Text-image encoders of others, made encoders of this house: `dermsim convert`.

A source is a folder or a repository on the Hub in the layout of open_clip or of transformers.
Nothing of it is run: its code is never loaded, and a pickle is read for its tensors alone. Each
tensor is used, dropped by name, or refused.
"""

from dermsim.models.conversion.convert import Converted, convert

__all__ = ["Converted", "convert"]
