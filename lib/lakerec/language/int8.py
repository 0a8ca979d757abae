"""An encoder whose products are of 8-bit integers, as ONNX Runtime runs them on a processor.

    model of torch ─ export ─► ONNX ─ weights int8 a column, values uint8 a batch ─► file, kept by fingerprint ─► session

Weights are scaled a column at a time, beforehand; the values that they are multiplied with by the largest of their batch,
so a text's vector hangs on its batch a little, besides the rounding (dynamic quantization of ONNX Runtime).
"""

from __future__ import annotations

import logging
import os
import platform
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lakerec.errors import EnvironmentProblem
from lakerec.language.files import processor_has

PRODUCTS = ("avx512_vnni", "avx_vnni", "amx_int8")
"""Processor features without which x86's sums of 8-bit products overflow."""
OPSET = 17
SLOWER = "SkipLayerNormFusion"
"""Joins a sum and a normalization that are quicker apart on a processor: 12 % of the time of MiniLM, where they take 4."""


@dataclass(frozen=True)
class Output:
    """What a model of transformers gives."""

    last_hidden_state: Tensor
    pooler_output: Tensor | None


class Int8Model:
    """Stands in for the encoder `model`, whose outputs it gives.

    Args:
        model: encoder or decoder of transformers on the CPU, fp32.
        name: fingerprint, by which the quantized model is found again, on this machine.
        pooler: whether the pooler's output is wanted, too.

    Raises:
        EnvironmentProblem: ONNX Runtime is not installed, or this processor is not made for int8.
    """

    def __init__(self, model: Any, name: str, pooler: bool = False) -> None:
        runtime = _runtime()
        self.config, self.pooler = model.config, pooler
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1  # batches run side by side, each in a thread
        options.log_severity_level = 3
        file = _kept(name, runtime.__version__)
        if not file.is_file():
            _quantize(model, file, pooler)
        self.session = runtime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"], disabled_optimizers=[SLOWER]
        )  # fmt: skip

    def __call__(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Output:
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        found = self.session.run(None, {"input_ids": input_ids.numpy(), "attention_mask": mask.numpy()})
        hidden, *rest = map(torch.from_numpy, found)
        return Output(hidden, rest[0] if rest else None)


def adds_up() -> bool:
    """Whether this processor's sums of 8-bit products do not overflow."""
    return platform.machine() not in ("x86_64", "AMD64") or processor_has(PRODUCTS)


def _runtime() -> Any:
    if not adds_up():
        raise EnvironmentProblem(f"encoder.precision: int8 needs a processor with {' or '.join(PRODUCTS)}; take `auto`")
    try:
        import onnxruntime
    except ImportError:
        raise EnvironmentProblem("encoder.precision: int8 needs ONNX Runtime: pip install onnx onnxruntime") from None
    return onnxruntime


def _kept(name: str, version: str) -> Path:
    """Where the quantized model lies, in the user's own cache, where nobody else puts files."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "lakerec" / "int8" / f"{name}-onnxruntime-{version}-torch-{torch.__version__}.onnx"


class _Outputs(nn.Module):
    """The model as a function of two blocks, without the caches that a decoder has for writing."""

    def __init__(self, model: Any, pooler: bool) -> None:
        super().__init__()
        self.model, self.pooler = model, pooler

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        found = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        return (found.last_hidden_state, found.pooler_output) if self.pooler else (found.last_hidden_state,)


def _quantize(model: Any, file: Path, pooler: bool) -> None:
    """Export and quantize; the file appears at once and whole, whichever of several processes comes first."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    file.parent.mkdir(parents=True, exist_ok=True)
    names = ["hidden", "pooled"] if pooler else ["hidden"]
    axes = {
        "input_ids": {0: "rows", 1: "tokens"},
        "attention_mask": {0: "rows", 1: "tokens"},
        "hidden": {0: "rows", 1: "tokens"},
    }
    example = torch.ones((2, 8), dtype=torch.long)
    model.set_attn_implementation("eager")
    with tempfile.TemporaryDirectory(dir=file.parent) as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        torch.onnx.export(
            _Outputs(model, pooler).eval(), (example, example), str(plain), dynamo=False, opset_version=OPSET,
            input_names=["input_ids", "attention_mask"], output_names=names, dynamic_axes=axes,
        )  # fmt: skip
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)  # of a pre-processing that does nothing for dynamic quantization
        quantize_dynamic(
            plain, small, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"]
        )
        logging.disable(before)
        os.replace(small, file)
