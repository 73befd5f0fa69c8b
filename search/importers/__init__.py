"""Readers of the official benchmark files, one module per kind; ``conf/importer`` names them."""
