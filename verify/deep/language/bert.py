"""Owns BERT in torch: the encoder under its published parameter names, and a classifier on top of it."""

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Pooling = Literal["first", "mean"]
WIDTH_OF_START = 0.02  # standard deviation of new weights


@dataclass(frozen=True)
class Shape:
    """An encoder's sizes, under the names of its published configuration; `pad` is the number of the filling."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    pad_token_id: int = 0


class Embeddings(nn.Module):
    """Pieces, positions and segments, added and normalized."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.position_embeddings = nn.Embedding(shape.max_position_embeddings, shape.hidden_size)
        self.token_type_embeddings = nn.Embedding(shape.type_vocab_size, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, shape.layer_norm_eps)
        self.dropout = nn.Dropout(shape.hidden_dropout_prob)

    def forward(self, pieces: Tensor, segments: Tensor) -> Tensor:
        """(n, length, width) from numbers (n, length)."""
        places = self.position_embeddings.weight[: pieces.shape[1]]
        total = self.word_embeddings(pieces) + self.token_type_embeddings(segments) + places
        return self.dropout(self.LayerNorm(total))


class Attention(nn.Module):
    """Queries, keys and values of all heads."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.num_attention_heads
        self.query, self.key, self.value = (nn.Linear(shape.hidden_size, shape.hidden_size) for _ in range(3))
        self.dropout = nn.Dropout(shape.attention_probs_dropout_prob)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """The mix of values (n, length, width); `hidden` (n, 1, 1, length) is true at the filling."""
        query, key, value = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        weights = self.dropout(scores.masked_fill(hidden, -torch.inf).softmax(-1))
        return (weights @ value).transpose(1, 2).flatten(-2)


class Added(nn.Module):
    """A linear layer whose outcome is added to what went in before, then normalized."""

    def __init__(self, width: int, shape: Shape) -> None:
        super().__init__()
        self.dense = nn.Linear(width, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, shape.layer_norm_eps)
        self.dropout = nn.Dropout(shape.hidden_dropout_prob)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """(n, length, width)."""
        return self.LayerNorm(before + self.dropout(self.dense(x)))


class Layer(nn.Module):
    """Attention and two linear layers, each added to what came before and normalized after."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": Attention(shape), "output": Added(shape.hidden_size, shape)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(shape.hidden_size, shape.intermediate_size)})
        self.output = Added(shape.intermediate_size, shape)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """(n, length, width)."""
        x = self.attention["output"](self.attention["self"](x, hidden), x)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class Bert(nn.Module):
    """The encoder. Its parameters have their published names, but for the pooler, which is the classifier's."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embeddings = Embeddings(shape)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))})

    def forward(self, x: Tensor) -> Tensor:
        """A vector a word piece (n, length, width) from pieces and segments (n, 2, length)."""
        pieces, segments = x.unbind(1)
        hidden = (pieces == self.shape.pad_token_id)[:, None, None]
        states = self.embeddings(pieces, segments)
        for layer in cast("nn.ModuleList", self.encoder["layer"]):
            states = layer(states, hidden)
        return states

    def mean(self, x: Tensor) -> Tensor:
        """The mean over word pieces (n, width), the filling left out: what sentence encoders compare."""
        kept = (x[:, 0] != self.shape.pad_token_id)[..., None]
        return (self(x) * kept).sum(1) / kept.sum(1)


class Classifier(nn.Module):
    """An encoder, one vector of each sequence (of its first piece through a tanh layer, or the mean), and a linear layer.

    Args:
        encoder: that it stands on.
        classes: of its outcome.
        pooling: which vector.
    """

    def __init__(self, encoder: Bert, classes: int, pooling: Pooling = "first") -> None:
        super().__init__()
        width = encoder.shape.hidden_size
        self.bert, self.pooling = encoder, pooling
        self.pooler = nn.ModuleDict({"dense": nn.Linear(width, width)} if pooling == "first" else {})
        self.dropout = nn.Dropout(encoder.shape.hidden_dropout_prob)
        self.classifier = nn.Linear(width, classes)
        start_anew(self.pooler)
        start_anew(self.classifier)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) from pieces and segments (n, 2, length)."""
        vector = self.bert.mean(x) if self.pooling == "mean" else torch.tanh(self.pooler["dense"](self.bert(x)[:, 0]))
        return self.classifier(self.dropout(vector))


def start_anew(network: nn.Module) -> None:
    """Give its linear layers and embeddings the random weights with which BERT starts, biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=WIDTH_OF_START)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


def fresh(shape: Shape) -> Bert:
    """An encoder with random weights, as BERT starts its own training."""
    encoder = Bert(shape)
    start_anew(encoder)
    return encoder
