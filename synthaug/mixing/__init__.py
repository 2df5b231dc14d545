"""Synthetic rows mixed into the training a person already runs: one integer plan, thin adapters on it."""
