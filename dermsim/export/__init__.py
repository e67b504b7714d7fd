"""A checkpoint's encoder in the formats of other runtimes, each with a report on its parity."""
