"""Hostile pictures and malformed requests against REST, and the memory that they cost.

`python -m fuzz` from the folder ``tests`` sends all of them to a tiny checkpoint; the fast tests
send a few. Every answer must be one that the OpenAPI document names, and none a fault of the
server.
"""
