"""How results are written: tables, figures, the page."""
