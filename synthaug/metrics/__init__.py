"""What can be measured: scores, fidelity, statistics."""
