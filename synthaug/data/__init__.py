"""Stage 1, data in: one view over every kind of labelled image set, its splits and its codec."""
