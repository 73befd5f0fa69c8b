"""Table files: what they hold, how they are read, and the objectives made of their columns."""
