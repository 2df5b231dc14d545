"""Does it help: arms, their trainings, the choice among them, and the final test."""
