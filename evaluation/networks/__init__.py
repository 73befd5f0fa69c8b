"""Networks of architectures, and the same networks rearranged to run faster."""
