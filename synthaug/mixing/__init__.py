"""Into a training: the plan of what is synthetic, and thin adapters for the frameworks."""
