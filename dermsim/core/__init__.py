"""Words, arrays and files: what everything else stands on."""
