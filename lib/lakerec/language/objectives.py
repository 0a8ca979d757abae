"""What a language model is adapted by, without labels: losses over vectors and tokens.

pairs       items that the same people met lie together, other items of the batch apart
views       two damaged copies of one text lie together, and see the rest of the batch alike
masked_lm   tokens that were hidden are told from both sides (encoders)
causal_lm   the next token is told from those before it (decoders)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

PAIRS, VIEWS = "pairs", "views"
IGNORED = -100
"""Label of a token that is not asked for."""


def contrastive(left: Tensor, right: Tensor, texts: Tensor, others: Tensor, temperature: float) -> Tensor:
    """InfoNCE both ways with the batch as negatives; the same text elsewhere in the batch is no negative.

    Source: multiple negatives ranking, Henderson et al., Efficient natural language response suggestion, 2017; van den
    Oord et al., Representation learning with contrastive predictive coding, 2018.

    Args:
        left, right: unit vectors [n, d]; row i of one belongs to row i of the other.
        texts, others: int [n], which text each row of left and of right is.
    """
    scores = left @ right.T / temperature
    apart = torch.eye(len(left), dtype=torch.bool, device=left.device)
    alike = (texts[:, None] == others[None, :]) | (texts[:, None] == texts[None, :]) | (others[:, None] == others[None, :])
    scores = scores.masked_fill(alike & ~apart, float("-inf"))
    own = torch.arange(len(left), device=left.device)
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def consistency(left: Tensor, right: Tensor, temperature: float) -> Tensor:
    """How differently two views of the same texts see the rest of their batch: symmetric divergence of their softmaxes.

    Source: the regularisation of R-Drop, Liang et al., NeurIPS 2021, taken over in-batch neighbours in place of classes.
    """
    if len(left) < 3:
        return left.sum() * 0
    rest = ~torch.eye(len(left), dtype=torch.bool, device=left.device)
    first, second = (
        F.log_softmax((vectors @ vectors.T / temperature)[rest].view(len(vectors), -1), dim=1) for vectors in (left, right)
    )
    both = F.kl_div(first, second, log_target=True, reduction="batchmean")
    return (both + F.kl_div(second, first, log_target=True, reduction="batchmean")) / 2


@dataclass(frozen=True)
class Vocabulary:
    """What masking needs to know of a tokenizer."""

    size: int
    mask: int
    special: frozenset[int]
    """Tokens that are never hidden or dropped."""


def hide(
    block: Tensor, real: Tensor, vocabulary: Vocabulary, share: float, chance: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Inputs and labels of masked language modelling: hidden ones are masked (80 %), another token (10 %) or as they are.

    Source: Devlin et al., BERT, NAACL 2019.

    Args:
        block: token ids [n, T].
        real: bool [n, T].
        chance: a generator on the CPU, so that a seed means the same on every device.
    """
    special = torch.tensor(sorted(vocabulary.special))
    plain = real & ~torch.isin(block, special)
    draw = torch.rand(block.shape, generator=chance)
    hidden = plain & (draw < share)
    inputs = torch.where(hidden & (draw < 0.8 * share), vocabulary.mask, block)
    random = torch.randint(vocabulary.size, block.shape, generator=chance)
    inputs = torch.where(hidden & (draw >= 0.8 * share) & (draw < 0.9 * share), random, inputs)
    return inputs, torch.where(hidden, block, IGNORED)


def drop(ids: list[int], vocabulary: Vocabulary, share: float, chance: torch.Generator) -> list[int]:
    """A view of a text: each plain token left out by chance; at least one plain token stays where there is one."""
    plain = [token not in vocabulary.special for token in ids]
    gone = (torch.rand(len(ids), generator=chance) < share).tolist()
    kept = [token for token, is_plain, is_gone in zip(ids, plain, gone, strict=True) if not (is_plain and is_gone)]
    return kept if any(token not in vocabulary.special for token in kept) else ids


def told(hidden: Tensor, labels: Tensor, embeddings: Tensor, bias: Tensor) -> Tensor:
    """Cross-entropy of the tokens asked for, by the model's own input embeddings; 0 where none is.

    Source: tied embeddings, Press and Wolf, EACL 2017.

    Args:
        hidden: [n, T, d].
        labels: [n, T], `IGNORED` where nothing is asked.
        embeddings: [vocabulary, d].
    """
    asked = labels != IGNORED
    if not asked.any():
        return hidden.sum() * 0
    return F.cross_entropy(hidden[asked] @ embeddings.T + bias, labels[asked])
