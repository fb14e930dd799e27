"""The ledger's statements hold over drawn cases, and each deliberately wrong variant of them is caught.

A wrong variant (an exponent changed, a factor dropped, a sign swapped, a printed form that the ledger refutes) that is caught proves
that the property can fail.
"""

import pytest

from tests.statements import batchnorm, closed_forms, diagonal, flattest, neighbours, probability

MODULES = (closed_forms, batchnorm, diagonal, flattest, neighbours, probability)
PROPERTIES = {name: entry for module in MODULES for name, entry in module.PROPERTIES.items()}


def test_no_property_hides_another() -> None:
    assert len(PROPERTIES) == sum(len(module.PROPERTIES) for module in MODULES)


@pytest.mark.parametrize("name", PROPERTIES)
def test_the_statement_holds(name: str) -> None:
    assert PROPERTIES[name].violation(PROPERTIES[name].statement) is None


@pytest.mark.parametrize(("name", "variant"), [(name, variant) for name, entry in PROPERTIES.items() for variant in entry.wrong])
def test_a_wrong_variant_is_caught(name: str, variant: str) -> None:
    assert PROPERTIES[name].violation(PROPERTIES[name].wrong[variant]) is not None
