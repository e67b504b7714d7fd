"""From any source of HAM10000 to checked tables, lesion-grouped splits and batches of pixels."""
