"""Owns the table and the figure of fine-tuned models, made from stored models alone."""

from dataclasses import replace

from flatproof.verify.experiments.andriushchenko2023 import tuned_rules
from flatproof.verify.experiments.andriushchenko2023.published import ID, SHOWN
from flatproof.verify.experiments.andriushchenko2023.rules import Judgement, tau, words
from flatproof.verify.experiments.andriushchenko2023.show import Pairs, Sort, finished, frame, scatter_plots
from flatproof.verify.experiments.andriushchenko2023.show import correlations as correlation_table
from flatproof.verify.experiments.andriushchenko2023.tuned import (
    ALIKE,
    AUGMENTATIONS,
    DECAYS,
    MIXUP,
    NETWORK,
    SIZES,
    SMOOTHING,
    available,
)
from flatproof.verify.realdata.samples import UNAVAILABLE
from flatproof.verify.report.artifacts import NOT_YET, Figure, Table

TABLE, FIGURE = f"{ID}/correlations-fine-tuned", f"{ID}/figure-5"
NO_SCALE = "not run: no models are fine-tuned at this scale"


def setting(scale: str) -> str:
    """What was fine-tuned and measured, in words."""
    if scale not in SIZES:
        return f"Scale {scale}: {NO_SCALE}; the paper's are 72 CLIP ViT-B/32."
    size = SIZES[scale]
    pretrained, data = "weights" in size.net.settings, size.data
    network = (
        f"{NETWORK} from its published ImageNet weights, all layers trained" if pretrained else "a tiny ResNet without weights"
    )
    images = f"images of {data.name}" if pretrained else "synthetic images"
    side = f", enlarged to {data.settings['side']} × {data.settings['side']} (bilinear)" if pretrained else ""
    augmentations = " or ".join("+".join(augment) or "none" for augment in AUGMENTATIONS)
    return (
        f"Scale {scale}: {network}, on {data.train:,} training {images}{side}; test error on {data.test:,} test images, error "
        f"out of distribution on {size.corrupted:,} corrupted ones. A seed draws the learning rate (log-uniform, {size.rates[0]:g} to "
        f"{size.rates[1]:g}), weight decay (log-uniform, {DECAYS[0]:g} to {DECAYS[1]:g}), mixup (none for half of the models, else uniform "
        f"to {MIXUP:g}) and label smoothing (uniform to {SMOOTHING:g}); epochs {', '.join(map(str, size.epochs))} and augmentation "
        f"{augmentations} go round. Adam, batch {size.batch_size}, step size up over 0.4 of the steps and down to 0. "
        f"Sharpness in evaluation mode on {size.images} training images, m = {size.batch}."
    )


def sort(scale: str) -> Sort:
    """The fine-tuned models of a scale."""
    return Sort("EfficientNet-Lites", "fine-tuned on CIFAR-10", setting(scale), ALIKE, "epochs and augmentation")


def judged_tuned(pairs: Pairs, scale: str) -> list[Judgement]:
    """The parts of claims that are judged on fine-tuned models."""
    return tuned_rules.judge(finished(frame(pairs, ALIKE)), [str(cell) for cell in SIZES[scale].cells] if scale in SIZES else [])


def correlations(pairs: Pairs, scale: str) -> Table:
    """tau of every definition with every target over fine-tuned models."""
    absent = NO_SCALE if scale not in SIZES else NOT_YET if available(scale) else UNAVAILABLE
    table = correlation_table(TABLE, sort(scale), pairs, scale, absent)
    published = (
        "Published for 72 fine-tuned CLIP models, adaptive worst-case linf with test error on ImageNet: "
        f"{SHOWN['CLIP, ImageNet']:+.2f}."
    )
    models = finished(frame(pairs, ALIKE))
    rates = f"Learning rate and test error: τ = {words(tau(models, 'lr', 'test_error'))}, in groups "
    rates += f"{words(tau(models, 'lr', 'test_error', grouped=True))}."
    return replace(table, notes=(*table.notes[:2], rates, published, *table.notes[2:]))


def figure(pairs: Pairs, scale: str) -> Figure | None:
    """A point a fine-tuned model: each definition against each target, shaped by augmentation; None without any."""
    if not pairs:
        return None
    labels = {cell: f"{cell.law.replace('-', ', ')}, ρ = {cell.rho:g}\n{cell.scaling}" for cell in pairs[0][0].cells}
    title = "Sharpness against generalization: EfficientNet-Lites fine-tuned on CIFAR-10"
    note = "A point a fine-tuned model: each definition against each target."
    return scatter_plots(FIGURE, title, sort(scale), pairs, labels, "augmentation", note, scale)
