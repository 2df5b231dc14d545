"""Rows in: one view over every kind of labelled data set, its classes, counts and splits."""
