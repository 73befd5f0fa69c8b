"""The algorithm as published: its optimizer, its surrogates, and how a batch is selected."""
