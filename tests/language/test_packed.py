"""Packed layers give what the plain ones give."""

import pytest
import torch
from lakerec.language.packed import PackedLinear, pack
from torch import nn
from transformers import BertConfig, BertModel

pytestmark = pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="oneDNN has no bf16 here")


def small(act: str) -> BertModel:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, hidden_act=act
    )
    return BertModel(config).bfloat16().eval()


@pytest.mark.parametrize("rows", [1, 7, 2_000])
@pytest.mark.parametrize("gelu", [False, True])
def test_a_packed_layer_multiplies_as_the_plain_one_for_any_number_of_rows(rows, gelu):
    torch.manual_seed(rows)
    linear, values = nn.Linear(48, 20).bfloat16(), torch.randn(rows, 48).bfloat16()
    with torch.inference_mode():
        expected = linear.float()(values.float())
        expected = nn.functional.gelu(expected) if gelu else expected
        found = PackedLinear(linear.bfloat16(), gelu)(values)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0.01)


@pytest.mark.parametrize("act", ["gelu", "relu", "gelu_new"])
def test_a_packed_model_gives_what_the_model_gave_whatever_its_activation(act):
    model, ids = small(act), torch.arange(40).view(2, 20)
    with torch.inference_mode():
        expected = model(ids).last_hidden_state.float()
        pack(model)
        found = model(ids).last_hidden_state.float()
    assert not any(isinstance(part, nn.Linear) for part in model.modules())
    fused = isinstance(model.encoder.layer[0].intermediate.intermediate_act_fn, nn.Identity)
    assert fused == (act == "gelu")
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.02)
