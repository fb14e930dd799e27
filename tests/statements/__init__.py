"""Properties of the ledger's statements, each beside wrong variants; tests/property/test_statements.py runs them all."""

import pytest

pytest.register_assert_rewrite(
    *(f"tests.statements.{name}" for name in ("batchnorm", "closed_forms", "diagonal", "neighbours", "probability"))
)
