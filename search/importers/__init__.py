"""Importers of official benchmark files, one module per kind; ``conf/importer`` lists them."""
