"""What was learned: generators, their samples, and generators as folders."""
