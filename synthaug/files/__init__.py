"""Rows out: formats on disk, cards, larger data sets, the hub."""
