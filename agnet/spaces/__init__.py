"""Cell spaces: their architectures, how these are written and drawn, and which of them are equal."""
