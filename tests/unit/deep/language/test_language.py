"""Word pieces by hand, BERT against an independent computation, published folders, and one encoder as another runtime computes it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatproof.verify.deep.language.bert import Bert, Classifier, Shape, fresh
from flatproof.verify.deep.language.pretrained import pretrained, pretrained_classifier
from flatproof.verify.deep.language.wordpiece import WordPieces, words
from flatproof.verify.realdata import available
from flatproof.verify.realdata.encoders import MINILM, encoder_folder
from flatproof.verify.realdata.files import put
from flatproof.verify.realdata.samples import UNAVAILABLE, Damaged
from flatproof.verify.realdata.tensor_files import write_safetensors

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "##ed", "##s", "a", "man", ",", "un", "##play"]
SHAPE = Shape(len(VOCABULARY), 8, 2, 2, 16, 20)


def test_words_as_bert_splits_them() -> None:
    assert words("Café  NAÏVE,\twon't\x00 x=y 日本") == ["cafe", "naive", ",", "won", "'", "t", "x", "=", "y", "日", "本"]


def test_the_longest_piece_comes_first() -> None:
    pieces = WordPieces(VOCABULARY)
    assert pieces.pieces("Playing, unplayed plays") == ["play", "##ing", ",", "un", "##play", "##ed", "play", "##s"]
    assert pieces.pieces("man playx zebra " + "a" * 101) == ["man", "[UNK]", "[UNK]", "[UNK]"]


def test_pairs_become_sequences() -> None:
    pieces = WordPieces(VOCABULARY)
    x = pieces.encode([("a man", "playing"), ("man", "")], 20)
    assert x[0].tolist() == [[2, 8, 9, 3, 4, 5, 3], [0, 0, 0, 0, 1, 1, 1]]
    assert x[1].tolist() == [[2, 9, 3, 0, 0, 0, 0], [0] * 7]
    cut = pieces.encode([("a man a man a", "playing")], 7)
    assert cut[0, 0].tolist() == [2, 8, 9, 3, 4, 5, 3]
    with pytest.raises(ValueError, match="length must be at least 5"):
        pieces.encode([("a", "a")], 4)


@pytest.mark.parametrize(
    ("vocabulary", "fault"),
    [(VOCABULARY[1:], r"has no \[PAD\]"), ([*VOCABULARY, "man"], "holds 14 pieces, 13 of them different")],
)
def test_a_wrong_vocabulary_is_refused(vocabulary: list[str], fault: str) -> None:
    with pytest.raises(Damaged, match=fault):
        WordPieces(vocabulary)


def encoder() -> Bert:
    torch.manual_seed(0)
    network = fresh(SHAPE).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network


X = torch.from_numpy(WordPieces(VOCABULARY).encode([("a man", "playing"), ("man", "")], 20))


def test_a_layer_is_torchs_own() -> None:
    """The same weights in torch's encoder layer, which is written apart from ours."""
    network = encoder()
    states = network.embeddings(*X.unbind(1))
    expected = states
    for ours in network.encoder["layer"]:  # type: ignore[union-attr]
        own = ours.state_dict()
        theirs = nn.TransformerEncoderLayer(8, 2, 16, 0.0, F.gelu, 1e-12, batch_first=True).eval()
        parts = [[own[f"attention.self.{p}.{kind}"] for p in ("query", "key", "value")] for kind in ("weight", "bias")]
        names = {
            "self_attn.out_proj": "attention.output.dense",
            "norm1": "attention.output.LayerNorm",
            "linear1": "intermediate.dense",
            "linear2": "output.dense",
            "norm2": "output.LayerNorm",
        }
        weights = {f"{a}.{kind}": own[f"{b}.{kind}"] for a, b in names.items() for kind in ("weight", "bias")}
        theirs.load_state_dict(
            weights | {f"self_attn.in_proj_{k}": torch.cat(p) for k, p in zip(("weight", "bias"), parts, strict=True)}
        )
        expected = theirs(expected, src_key_padding_mask=X[:, 0] == 0)
    kept = X[:, 0] != 0
    torch.testing.assert_close(network(X)[kept], expected[kept], rtol=1e-4, atol=1e-5)


def test_filling_changes_nothing() -> None:
    network = encoder()
    torch.testing.assert_close(network.mean(X[1:, :, :3]), network.mean(X[1:]))


def folder(root: Path, network: Bert, prefix: str = "", **changes: object) -> Path:
    names = (
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
    )
    config = {name: getattr(SHAPE, name) for name in names} | {"model_type": "bert"} | changes
    put(root / "config.json", json.dumps(config).encode())
    put(root / "vocab.txt", "\n".join(VOCABULARY).encode())
    weights = {prefix + name: values.numpy() for name, values in network.state_dict().items()}
    put(root / "model.safetensors", write_safetensors(weights))
    return root


def test_a_published_folder_is_read_under_old_names_too(tmp_path: Path) -> None:
    network = encoder()
    place = folder(tmp_path, network)
    weights = {}
    for name, values in network.state_dict().items():
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        weights[f"bert.{old}"] = values.numpy()
    pooler = {"bert.pooler.dense.weight": np.full((8, 8), 0.5), "bert.pooler.dense.bias": np.zeros(8)}
    put(place / "model.safetensors", write_safetensors(weights | pooler | {"cls.predictions.bias": np.zeros(3)}))
    torch.testing.assert_close(pretrained(place)(X), network(X), rtol=0, atol=0)
    classifier = pretrained_classifier(place, 3, seed=1)
    assert (classifier.pooler["dense"].weight == 0.5).all()  # type: ignore[union-attr]
    assert classifier.eval()(X).shape == (2, 3)
    again, other = (pretrained_classifier(place, 3, seed=seed).classifier.weight for seed in (1, 2))
    assert torch.equal(classifier.classifier.weight, again)
    assert not torch.equal(again, other)


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for name, changes, fault in (
        ("act", {"hidden_act": "relu"}, "hidden_act is 'relu', expected 'gelu'"),
        ("layers", {"num_hidden_layers": 3}, r"lacks encoder.layer.2.attention.self.query.weight"),
        ("fewer", {"num_hidden_layers": 1}, r"holds encoder.layer.1.*which a BERT of that config.json has not"),
        ("width", {"intermediate_size": 4}, r"intermediate.dense.weight is \(16, 8\), expected \(4, 8\)"),
    ):
        with pytest.raises(Damaged, match=fault):
            pretrained(folder(tmp_path / name, encoder(), **changes))
    put(tmp_path / "act/config.json", b"{")
    with pytest.raises(Damaged, match="is no configuration of a BERT"):
        pretrained(tmp_path / "act")


def test_poolings() -> None:
    torch.manual_seed(0)
    network = encoder()
    first, mean = (Classifier(network, 3, pooling).eval() for pooling in ("first", "mean"))
    dense = first.pooler["dense"]
    torch.testing.assert_close(first(X), first.classifier(torch.tanh(dense(network(X)[:, 0]))))
    torch.testing.assert_close(mean(X), mean.classifier(network.mean(X)))


def test_the_packaged_encoder_gives_what_another_runtime_gives() -> None:
    """Correlations of three sentences' vectors by the package's own ONNX file in onnxruntime 1.31, which ours match to 1e-6 a component."""
    if not available(MINILM, split="test"):
        pytest.skip(UNAVAILABLE)
    place = encoder_folder(MINILM)
    texts = ("That is a happy person", "That is a happy dog", "Today is a sunny day")
    x = torch.from_numpy(WordPieces.read(place / "vocab.txt").encode([(text, "") for text in texts], 64))
    with torch.no_grad():
        vectors = pretrained(place).mean(x)
    cosines = F.normalize(vectors) @ F.normalize(vectors).T
    assert cosines[torch.triu_indices(3, 3, 1).unbind()].tolist() == pytest.approx(ONNX_COSINES, abs=1e-4)


ONNX_COSINES = [0.53467, 0.2551, 0.14883]
