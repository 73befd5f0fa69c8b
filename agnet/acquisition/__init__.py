"""How much a query is wanted, by what a surrogate predicts."""
