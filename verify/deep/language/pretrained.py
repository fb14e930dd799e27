"""Owns pretrained encoders: a published folder (config.json, vocab.txt, model.safetensors) as a network of ours."""

import json
import re
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor

from flatproof.verify.deep.language.bert import Bert, Classifier, Pooling, Shape
from flatproof.verify.realdata.samples import Content, Damaged
from flatproof.verify.realdata.tensor_files import read_safetensors

ELSEWHERE = r"(cls\.|classifier\.|.*position_ids$)"  # published beside the encoder: heads of its own training, and counts


def shape_of(folder: Path) -> Shape:
    """The sizes in config.json. Raises Damaged for a file that is no configuration of a BERT of ours."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
        known = {field.name: config[field.name] for field in fields(Shape) if field.name in config}
        shape = Shape(**known)
    except (ValueError, TypeError) as error:
        raise Damaged(f"{path} is no configuration of a BERT: {error}") from None
    for name, only in (("hidden_act", "gelu"), ("position_embedding_type", "absolute"), ("model_type", "bert")):
        if config.get(name, only) != only:
            raise Damaged(f"{path}: {name} is {config[name]!r}, expected {only!r}")
    return shape


def weights_of(folder: Path) -> dict[str, Tensor]:
    """The weights of model.safetensors under the names that `Bert` and `Classifier` have: the encoder's, and "pooler.…" if there."""
    path = folder / "model.safetensors"
    weights = {}
    for name, values in read_safetensors(Content(str(path), path.read_bytes())).items():
        ours = name.removeprefix("bert.")
        if re.match(ELSEWHERE, ours):
            continue
        ours = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", ours))
        weights[ours] = torch.tensor(values).float()
    return weights


def _load(network: torch.nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    """Put weights into a network. Raises Damaged for the first that lacks, is of another shape, or is not known."""
    path, own = folder / "model.safetensors", network.state_dict()
    for name, values in own.items():
        if name not in weights:
            raise Damaged(f"{path} lacks {name}")
        if weights[name].shape != values.shape:
            raise Damaged(f"{path}: {name} is {tuple(weights[name].shape)}, expected {tuple(values.shape)} by config.json")
    unknown = sorted(set(weights) - set(own))
    if unknown:
        raise Damaged(f"{path} holds {unknown[0]}, which a BERT of that config.json has not")
    network.load_state_dict(weights)


def pretrained(folder: Path) -> Bert:
    """The encoder of a folder, in evaluation mode. Raises Damaged."""
    encoder = Bert(shape_of(folder))
    _load(encoder, {name: values for name, values in weights_of(folder).items() if not name.startswith("pooler.")}, folder)
    return encoder.eval()


def pretrained_classifier(folder: Path, classes: int, seed: int, pooling: Pooling = "first") -> Classifier:
    """A classifier on the encoder of a folder; its last layer, and a pooler that the folder lacks, are random.

    Args:
        folder: of the published files.
        classes: of its outcome.
        seed: of the random weights.
        pooling: as `Classifier` takes it.

    Raises:
        Damaged: for files that do not fit.
    """
    encoder = pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(encoder, classes, pooling)
    pooler = {name: values for name, values in weights_of(folder).items() if name.startswith("pooler.")}
    if pooling == "first" and pooler:
        _load(network.pooler, {name.removeprefix("pooler."): values for name, values in pooler.items()}, folder)
    return network
