"""Telling people: tables, charts, pages, and pictures of a generator's inside."""
