"""Networks that transformers and timm build, small, with random weights; left out where these are not installed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.unit.curvature.cases.case import Case, Cell
from tests.unit.curvature.cases.networks import images

SMALL: dict[str, Any] = {
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
    "d_model": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def hugging(kind: str, config: str, batch: Callable[[], dict[str, Tensor]], twice: bool = True, **settings: Any) -> Case:
    """A model of transformers, its loss its own."""

    def make() -> Cell:
        import transformers

        transformers.utils.logging.set_verbosity_error()
        made = getattr(transformers, config)(**{"attn_implementation": "eager", **settings})
        model = getattr(transformers, kind)(made).double()
        for p in model.parameters():  # layers that start as zeros or ones move too
            torch.nn.init.normal_(p, std=0.2)
        data = batch()
        return Cell(model, None, data, whole=lambda m: m(**data).loss, close=1e-5 if twice else 1e-2, twice=twice)

    return Case(f"transformers: {kind}", make, needs="transformers")


def sentences(labels: Callable[[Tensor], Tensor]) -> Callable[[], dict[str, Tensor]]:
    def make() -> dict[str, Tensor]:
        words = torch.randint(3, 11, (2, 5))
        mask = torch.ones_like(words)
        mask[1, 3:] = 0
        return {"input_ids": words, "attention_mask": mask, "labels": labels(words)}

    return make


def _ignored(words: Tensor) -> Tensor:
    return words.masked_fill(torch.rand(words.shape) < 0.3, -100)


CLASS, WORDS = sentences(lambda w: torch.randint(2, (len(w),))), sentences(_ignored)


def pictures(size: int = 8, classes: int = 2) -> Callable[[], dict[str, Tensor]]:
    return lambda: {"pixel_values": torch.randn(2, 3, size, size, dtype=torch.float64), "labels": torch.randint(classes, (2,))}


def pairs() -> dict[str, Tensor]:
    return {
        "input_ids": torch.randint(3, 11, (2, 5)),
        "pixel_values": torch.randn(2, 3, 8, 8, dtype=torch.float64),
        "return_loss": True,
    }  # type: ignore[dict-item]


def sounds() -> dict[str, Tensor]:
    return {"input_values": torch.randn(2, 60, dtype=torch.float64), "labels": torch.tensor([[3, 4], [5, -100]])}


_LM = SMALL | {"num_key_value_heads": 1, "head_dim": 4}
_VIT: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "image_size": 8,
    "patch_size": 4,
    "num_labels": 2,
}
TRANSFORMERS = [
    hugging("BertForSequenceClassification", "BertConfig", CLASS, **SMALL),
    hugging("BertForMaskedLM", "BertConfig", WORDS, **SMALL),
    hugging("RobertaForTokenClassification", "RobertaConfig", sentences(lambda w: torch.randint(2, w.shape)), **SMALL),
    hugging(
        "DistilBertForSequenceClassification",
        "DistilBertConfig",
        CLASS,
        vocab_size=11,
        dim=8,
        hidden_dim=12,
        n_layers=1,
        n_heads=2,
        max_position_embeddings=16,
    ),
    hugging("AlbertForSequenceClassification", "AlbertConfig", CLASS, **SMALL, embedding_size=6),
    hugging("ElectraForSequenceClassification", "ElectraConfig", CLASS, **SMALL, embedding_size=6),
    hugging(
        "DebertaV2ForSequenceClassification",
        "DebertaV2Config",
        CLASS,
        **SMALL,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
    ),
    hugging(
        "GPT2LMHeadModel",
        "GPT2Config",
        WORDS,
        vocab_size=11,
        n_embd=8,
        n_layer=1,
        n_head=2,
        n_positions=16,
        bos_token_id=1,
        eos_token_id=2,
    ),
    hugging("GPTNeoXForCausalLM", "GPTNeoXConfig", WORDS, **SMALL),
    hugging("OPTForCausalLM", "OPTConfig", WORDS, **SMALL, ffn_dim=12, word_embed_proj_dim=8),
    hugging("LlamaForCausalLM", "LlamaConfig", WORDS, **_LM),
    hugging("MistralForCausalLM", "MistralConfig", WORDS, **_LM, sliding_window=3),
    hugging("Qwen2ForCausalLM", "Qwen2Config", WORDS, **_LM),
    hugging("GemmaForCausalLM", "GemmaConfig", WORDS, **_LM),
    hugging(
        "MixtralForCausalLM",
        "MixtralConfig",
        WORDS,
        **_LM,
        num_local_experts=2,
        num_experts_per_tok=1,
        experts_implementation="eager",
    ),
    hugging("MambaForCausalLM", "MambaConfig", WORDS, **SMALL, state_size=3),
    hugging(
        "T5ForConditionalGeneration",
        "T5Config",
        WORDS,
        vocab_size=11,
        d_model=8,
        d_kv=4,
        d_ff=12,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
    ),
    hugging(
        "BartForConditionalGeneration",
        "BartConfig",
        WORDS,
        **SMALL,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=12,
        decoder_ffn_dim=12,
        decoder_start_token_id=2,
    ),
    hugging("ViTForImageClassification", "ViTConfig", pictures(), **_VIT),
    hugging("DeiTForImageClassification", "DeiTConfig", pictures(), **_VIT),
    hugging(
        "SwinForImageClassification",
        "SwinConfig",
        pictures(),
        image_size=8,
        patch_size=2,
        embed_dim=4,
        depths=[1],
        num_heads=[2],
        window_size=2,
        num_labels=2,
    ),
    hugging(
        "ConvNextForImageClassification",
        "ConvNextConfig",
        pictures(),
        hidden_sizes=[4, 6],
        depths=[1, 1],
        num_stages=2,
        patch_size=2,
        num_labels=2,
    ),
    hugging(
        "ResNetForImageClassification",
        "ResNetConfig",
        pictures(),
        embedding_size=4,
        hidden_sizes=[4, 6],
        depths=[1, 1],
        layer_type="basic",
        num_labels=2,
    ),
    hugging("CLIPModel", "CLIPConfig", pairs, text_config=SMALL, vision_config=_VIT, projection_dim=4),
    hugging(
        "Wav2Vec2ForCTC",
        "Wav2Vec2Config",
        sounds,
        **SMALL,
        conv_dim=[4],
        conv_kernel=[6],
        conv_stride=[4],
        num_conv_pos_embeddings=2,
        num_conv_pos_embedding_groups=2,
        ctc_loss_reduction="mean",
        twice=False,
    ),
]


def timm_net(name: str, size: int = 32) -> Case:
    """A network of timm; in the reference hard sigmoids are written out, whose derivative torch does not differentiate."""

    def make(written: bool = False) -> Cell:
        import timm

        model = timm.create_model(name, num_classes=3).double()
        for module in [*model.modules()] if written else []:
            for key, inner in module.named_children():
                if isinstance(inner, nn.Hardsigmoid):
                    setattr(module, key, HardSigmoid())
        cell = Cell(model, F.cross_entropy, images(3, size)(), twice=True)
        cell.same_as = None if written else lambda: make(True)
        return cell

    return Case(f"timm: {name}", make, needs="timm")


class HardSigmoid(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(x + 3) / 6


TIMM = [
    timm_net("test_resnet"),
    timm_net("test_efficientnet"),
    timm_net("test_vit", 160),
    timm_net("test_convnext"),
    timm_net("test_mambaout"),
    timm_net("mobilenetv3_small_050"),
]
