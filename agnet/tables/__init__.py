"""Table files: their content, how to read them, and objectives made of their columns."""
