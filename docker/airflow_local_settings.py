"""Imports what tasks need once, in the process that they are forked from."""

from backfill.dag_parts.preload import preload

preload()
