"""The `dermsim` command: `main` and a module for each of its commands."""
