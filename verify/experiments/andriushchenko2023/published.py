"""Owns what andriushchenko2023 prints: its claims, the radii of its measures, the correlations that could be verified."""

from typing import Literal

ID = "andriushchenko2023"

CLAIMS = {  # by name; "andriushchenko2023/claim-1" is the statement's id in the ledger
    "claim-1": "Sharpness, in no definition, correlates strongly and consistently with generalization in these settings.",
    "claim-2": "Sharpness correlates with training parameters such as the learning rate, whose sign relative to generalization depends on "
    "the setting.",
    "claim-3": "With out-of-distribution error the correlation is in several cases consistently negative: sharper generalizes better.",
    "claim-4": "For BERT on MNLI the correlation with error on MNLI and HANS is near zero.",
    "claim-5": "On a diagonal linear network, which sharpness definition tracks generalization depends on the data (isotropic or not; "
    "sparse or dense target).",
}

Kind = Literal["ResNet", "ViT", "EfficientNet-Lite"]
Law = Literal["average-l2", "average-linf", "worst-l2", "worst-linf"]
Scaling = Literal["c = 1", "c = |w|", "c = |w|, logits normalized"]
KINDS: tuple[Kind, ...] = ("ResNet", "ViT")  # trained from scratch
TUNED: Kind = "EfficientNet-Lite"  # fine-tuned
LAWS: tuple[Law, ...] = ("average-l2", "average-linf", "worst-l2", "worst-linf")
SCALINGS: tuple[Scaling, ...] = ("c = 1", "c = |w|", "c = |w|, logits normalized")

_ADAPTIVE_RESNET = {
    "average-l2": (0.05, 0.1, 0.2, 0.4),
    "average-linf": (0.1, 0.2, 0.4, 0.8),
    "worst-l2": (0.25, 0.5, 1.0, 2.0),
    "worst-linf": (0.001, 0.002, 0.004, 0.008),
}
_ADAPTIVE_VIT = {
    "average-l2": (0.1, 0.2, 0.4, 0.8),
    "average-linf": (0.1, 0.2, 0.4, 0.8),
    "worst-l2": (0.5, 1.0, 2.0, 4.0),
    "worst-linf": (0.0005, 0.001, 0.002, 0.004),
}
# The paper's four radii of each law, by network and scaling; with normalized logits they are those of c = |w|.
RADII: dict[Kind, dict[Scaling, dict[str, tuple[float, float, float, float]]]] = {
    "ResNet": {
        "c = 1": _ADAPTIVE_RESNET | {"worst-linf": (0.0005, 0.001, 0.002, 0.004)},
        "c = |w|": _ADAPTIVE_RESNET,
        "c = |w|, logits normalized": _ADAPTIVE_RESNET,
    },
    "ViT": {
        "c = 1": {
            "average-l2": (0.005, 0.01, 0.02, 0.04),
            "average-linf": (0.01, 0.02, 0.04, 0.08),
            "worst-l2": (0.025, 0.05, 0.1, 0.2),
            "worst-linf": (1e-5, 2e-5, 4e-5, 8e-5),
        },
        "c = |w|": _ADAPTIVE_VIT,
        "c = |w|, logits normalized": _ADAPTIVE_VIT,
    },
}
DRAWS, STEPS, BATCH = 20, 20, 128  # of the average case, of Auto-PGD, of m-sharpness
SHOWN = {  # Kendall's tau with test error on the authors' summary picture, all for adaptive worst-case linf
    "ViT from scratch, ImageNet": 0.08,
    "CLIP, ImageNet": 0.04,
    "BERT, HANS lexical": -0.09,
}
