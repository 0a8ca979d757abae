"""What adaptation has to know of a model's tokens, and whether they are of the kind that its objectives need; no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lakerec.errors import ConfigError
from lakerec.language.files import is_decoder, read_config
from lakerec.language.tokens import load_tokenizer

MASKED, CAUSAL = "masked_lm", "causal_lm"
MASKS = ("[MASK]", "<mask>")
"""Tokens that hide another, by their names in the tokenizers of BERT's and RoBERTa's kin."""


def vocabulary(name: str, folder: Path, objectives: dict[Any, float]) -> dict[str, Any]:
    """What masking needs to know.

    Raises:
        ConfigError: an objective is for the other kind of model, or there is no token that hides another, or tokens are
            told by other weights than those that they are read by.
    """
    tokenizer = load_tokenizer(folder, 8)
    known = tokenizer.get_vocab(with_added_tokens=True)
    mask = next((known[token] for token in MASKS if token in known), None)
    decoder = is_decoder(folder)
    if MASKED in objectives and (decoder or mask is None):
        raise ConfigError(
            f"adapt.objectives: masked_lm needs a token that hides another, and `{name}` has none: take causal_lm"
        )
    if CAUSAL in objectives and not decoder:
        raise ConfigError(f"adapt.objectives: causal_lm needs a decoder, and `{name}` is none: take masked_lm")
    if {MASKED, CAUSAL} & set(objectives) and not _ties(folder):
        raise ConfigError(
            f"adapt.objectives: {MASKED} and {CAUSAL} need a model that tells tokens by the weights that it reads them by, "
            f"and `{name}` has others: take pairs or views"
        )
    special = [number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    return {"size": tokenizer.get_vocab_size(), "mask": mask or 0, "special": special}


def _ties(folder: Path) -> bool:
    """Whether the model's last layer is its table of tokens; what is adapted has no other one."""
    return bool(getattr(read_config(folder), "tie_word_embeddings", True))
