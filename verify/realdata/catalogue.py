"""Owns what is known of each data set: its files with their checksums, its classes, and facts that its content must show.

Checksums: of CIFAR's Python files, and of Fashion-MNIST, those that torchvision and others publish (md5 of the content). Of MNIST
and CIFAR-10's binary files sha256, of contents whose md5 are the published ones; of CIFAR-100's binary files the sha256 that
torchvision's port to Ruby publishes, whose list for CIFAR-10 agrees with ours. What `flatproof data fetch` makes has checksums
of our own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from flatproof.verify.realdata import cifar, idx, imagenet
from flatproof.verify.realdata.files import File
from flatproof.verify.realdata.samples import Content, Part, Split

Reader = Callable[[Sequence[Content], tuple[int, ...]], Part]


@dataclass(frozen=True)
class Batch:
    """Files that are read together, and how many samples they hold."""

    files: tuple[File, ...]
    samples: int


@dataclass(frozen=True)
class Facts:
    """What everyone who knows the split can look up: the first labels, samples a class, and (training) mean and deviation.

    `mean` and `std` a channel, in units of [0, 1], to four decimals; empty where none are published.
    """

    first_labels: tuple[int, ...]
    counts: tuple[int, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True)
class Edition:
    """One form in which a data set is handed on: the folder below the root, and how its files are read."""

    label: str
    folder: str
    read: Mapping[Split, Reader]
    batches: Mapping[Split, tuple[Batch, ...]]
    facts: Mapping[Split, Facts] = field(default_factory=dict)

    def files(self) -> tuple[File, ...]:
        """Every file of every split."""
        return tuple(file for batches in self.batches.values() for batch in batches for file in batch.files)


@dataclass(frozen=True)
class Dataset:
    """A data set: classes in the official order, shape (c, h, w) of a sample, what normalizes it, and its editions, best first.

    `how`: how to get it, for the one line that says that it is not there. `resized`: images have many sizes and get a common one.
    """

    classes: tuple[str, ...]
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    editions: tuple[Edition, ...]
    how: str
    resized: bool = False


def _files(names: Sequence[str], digests: Sequence[str], sizes: Sequence[int | None]) -> tuple[File, ...]:
    return tuple(File(*given) for given in zip(names, digests, sizes, strict=True))


# --- MNIST and Fashion-MNIST -------------------------------------------------------------------------------------------------

_IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_IDX_SIZES = (47_040_016, 60_008, 7_840_016, 10_008)


def _idx_edition(label: str, folder: str, digests: Sequence[str], facts: Mapping[Split, Facts]) -> Edition:
    files = _files(_IDX_NAMES, digests, _IDX_SIZES)
    batches: Mapping[Split, tuple[Batch, ...]] = {"train": (Batch(files[:2], 60_000),), "test": (Batch(files[2:], 10_000),)}
    return Edition(label, folder, {"train": idx.read, "test": idx.read}, batches, facts)


_MNIST = Dataset(
    classes=tuple("0123456789"),
    shape=(1, 28, 28),
    mean=(0.1307,),
    std=(0.3081,),
    editions=(
        _idx_edition(
            "official IDX files",
            "MNIST/raw",
            (
                "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
            {
                "train": Facts(
                    (5, 0, 4, 1, 9), (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949), (0.1307,), (0.3081,)
                ),
                "test": Facts((7, 2, 1, 0, 4), (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)),
            },
        ),
    ),
    how="'flatproof data fetch mnist' fetches it",
)

EARLY_FASHION = _idx_edition(
    "unofficial: apparently the release before September 2017 (54 images occur twice), split of ours",
    "fashion-mnist-early",
    (
        "sha256:d45201055853f641787127250522fd0e709a5fbdf1bda5e255590c8602a6cac4",
        "sha256:42d8a31792fb59dcec85b8e5b62bd03598c1a96f4edffe6f6a3e95daac9319ef",
        "sha256:21e06708235d8f5e791002b2e171b4cee05386bce2557e7f5eee8810af7e68cc",
        "sha256:2a4fb3eec0877aa3d4ab80d8f59374733af9b2b2966e8be0e50efe715f443a4d",
    ),
    {"train": Facts((0, 1, 2, 3, 4), (6000,) * 10), "test": Facts((0, 1, 2, 3, 4), (1000,) * 10)},
)

_FASHION = Dataset(
    classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    shape=(1, 28, 28),
    mean=(0.2860,),
    std=(0.3530,),
    editions=(
        _idx_edition(
            "official IDX files",
            "FashionMNIST/raw",
            (
                "md5:f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "md5:9018921c3c673c538a1fc5bad174d6f9",
                "md5:8181f5470baa50b63fa0f6fddb340f0a",
                "md5:15d484375f8d13e6eb1aabb0c3f46965",
            ),
            {
                "train": Facts((9, 0, 0, 3, 0), (6000,) * 10, (0.2860,), (0.3530,)),
                "test": Facts((9, 2, 1, 1, 6), (1000,) * 10),
            },
        ),
        EARLY_FASHION,
    ),
    how="'flatproof data fetch fashion-mnist' fetches an early release with a split of ours; put the official files in FashionMNIST/raw",
)

# --- CIFAR-10 and CIFAR-100 --------------------------------------------------------------------------------------------------


def _cifar_edition(
    label: str, folder: str, batches: Mapping[Split, tuple[Batch, ...]], facts: Mapping[Split, Facts], labels: int, python: bool
) -> Edition:
    def reader(split: Split) -> Reader:
        if python:
            return partial(cifar.read_python, labels=labels, split=split)
        return partial(cifar.read_binary, labels=labels)

    return Edition(label, folder, {"train": reader("train"), "test": reader("test")}, batches, facts)


def _batches(samples: int, names: Sequence[str], digests: Sequence[str], sizes: Sequence[int | None]) -> tuple[Batch, ...]:
    return tuple(Batch((file,), samples) for file in _files(names, digests, sizes))


_FACTS_10: Mapping[Split, Facts] = {
    "train": Facts((6, 9, 9, 4, 1, 1, 2, 7, 8, 3), (5000,) * 10, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "test": Facts((3, 8, 8, 0, 6, 6, 1, 6, 3, 1), (1000,) * 10),
}
CIFAR10_BINARY = _cifar_edition(
    "official binary files",
    "cifar-10-batches-bin",
    {
        "train": _batches(
            10_000,
            [f"data_batch_{i}.bin" for i in range(1, 6)],
            (
                "sha256:cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                "sha256:a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                "sha256:bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                "sha256:014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                "sha256:755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            ),
            [30_730_000] * 5,
        ),
        "test": _batches(
            10_000,
            ["test_batch.bin"],
            ["sha256:8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"],
            [30_730_000],
        ),
    },
    _FACTS_10,
    labels=1,
    python=False,
)
_CIFAR10_PYTHON = _cifar_edition(
    "official Python files",
    "cifar-10-batches-py",
    {
        "train": _batches(
            10_000,
            [f"data_batch_{i}" for i in range(1, 6)],
            (
                "md5:c99cafc152244af753f735de768cd75f",
                "md5:d4bba439e000b95fd0a9bffe97cbabec",
                "md5:54ebc095f3ab1f0389bbae665268c751",
                "md5:634d18415352ddfa80567beed471001a",
                "md5:482c414d41f54cd18b22e5b47cb7c3cb",
            ),
            (31_035_704, 31_035_320, 31_035_999, 31_035_696, 31_035_623),
        ),
        "test": _batches(10_000, ["test_batch"], ["md5:40351d587109b95175f43aff81a1287e"], [31_035_526]),
    },
    _FACTS_10,
    labels=1,
    python=True,
)

_CIFAR10 = Dataset(
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    shape=(3, 32, 32),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    editions=(CIFAR10_BINARY, _CIFAR10_PYTHON),
    how="'flatproof data fetch cifar10' fetches it",
)

_FACTS_100: Mapping[Split, Facts] = {
    "train": Facts((), (500,) * 100, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "test": Facts((49, 33, 72, 51, 71), (100,) * 100),
}
# fmt: off
_CLASSES_100 = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy", "bridge",
    "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach",
    "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster",
    "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree",
    "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck",
    "pine_tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea",
    "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower",
    "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
    "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
)
# fmt: on
_CIFAR100 = Dataset(
    classes=_CLASSES_100,
    shape=(3, 32, 32),
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    editions=(
        _cifar_edition(
            "official binary files",
            "cifar-100-binary",
            {
                "train": _batches(
                    50_000,
                    ["train.bin"],
                    ["sha256:f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"],
                    [153_700_000],
                ),
                "test": _batches(
                    10_000,
                    ["test.bin"],
                    ["sha256:d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"],
                    [30_740_000],
                ),
            },
            _FACTS_100,
            labels=2,
            python=False,
        ),
        _cifar_edition(
            "official Python files",
            "cifar-100-python",
            {
                "train": _batches(50_000, ["train"], ["md5:16019d7e3df5f24257cddd939b257f8d"], [155_249_918]),
                "test": _batches(10_000, ["test"], ["md5:f0ef6b0ae62326f3e7ffdfab6717acfc"], [None]),
            },
            _FACTS_100,
            labels=2,
            python=True,
        ),
    ),
    how="unpack cifar-100-python.tar.gz or cifar-100-binary.tar.gz there, or name another place with --root",
)

# --- twenty images of ImageNet's classes, and pretrained networks ------------------------------------------------------------

SAMPLE_LABELS = (243, 559, 438, 990, 949, 853, 609, 609, 915, 455, 541, 630, 741, 471, 129, 99, 251, 22, 317, 305)
_SAMPLE_DIGESTS = (
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
_SAMPLE_SIZES = (
    *(86_225, 60_981, 38_174, 91_433, 64_224, 82_330, 91_478, 93_555, 92_322, 130_424),
    *(99_497, 27_498, 112_576, 72_748, 18_186, 111_008, 73_665, 30_745, 35_421, 38_110),
)
IMAGENET_SAMPLE = Edition(
    "twenty images, labelled by the package that carries them",
    "imagenet-sample",
    {"test": imagenet.read_sample},
    {
        "test": _batches(
            1, [f"imagenet_{i:02d}_{label}.jpg" for i, label in enumerate(SAMPLE_LABELS)], _SAMPLE_DIGESTS, _SAMPLE_SIZES
        )
    },
    {"test": Facts(SAMPLE_LABELS, tuple(SAMPLE_LABELS.count(i) for i in range(imagenet.CLASSES)))},
)
_SAMPLE = Dataset(
    classes=tuple(f"class {i}" for i in range(imagenet.CLASSES)),
    shape=(3, 224, 224),
    mean=imagenet.MEAN,
    std=imagenet.STD,
    editions=(IMAGENET_SAMPLE,),
    how="'flatproof data fetch imagenet-sample' fetches it",
    resized=True,
)

CATALOGUE: Mapping[str, Dataset] = {
    "mnist": _MNIST,
    "fashion-mnist": _FASHION,
    "cifar10": _CIFAR10,
    "cifar100": _CIFAR100,
    "imagenet-sample": _SAMPLE,
}

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
