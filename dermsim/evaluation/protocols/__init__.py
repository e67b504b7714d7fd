"""Public protocols: how well an encoder serves for what it was not trained for, each with a table.

A protocol takes a checkpoint folder and a data source, and gives
`dermsim.evaluation.protocols.protocol_tables.Table`. What the encoder was trained without is read
from the checkpoint: the diagnoses that its gallery lacks.
"""
