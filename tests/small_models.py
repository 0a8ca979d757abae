"""Small language models with random weights and MiniLM's tokenizer, as folders of Hugging Face."""

import torch
from lakerec.language.files import resolve_model
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model

SMALL = {"vocab_size": 30_522, "max_position_embeddings": 34, "hidden_size": 16, "num_attention_heads": 2}


def saved(model, folder, bare=False, learns=False):
    """A model's folder with MiniLM's tokenizer; `bare`: one that puts no mark before and behind a text.

    Weights are far from zero, so that each matters; `learns`: only those of tokens and layers, so that texts differ.
    """
    torch.manual_seed(3)
    for name, values in model.named_parameters():
        if not learns or (values.dim() == 2 and "position" not in name and "token_type" not in name):
            torch.nn.init.normal_(values, std=0.3)
    model.save_pretrained(folder)
    tokenizer = Tokenizer.from_file(str(resolve_model("minilm") / "tokenizer.json"))
    if bare:
        from tokenizers.processors import ByteLevel

        tokenizer.post_processor = ByteLevel()  # adds no token
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


def small_bert(folder, **changed):
    return saved(BertModel(BertConfig(**SMALL, num_hidden_layers=2, intermediate_size=32)), folder, **changed)


def small_gpt2(folder, **changed):
    config = GPT2Config(vocab_size=30_522, n_positions=34, n_embd=16, n_head=2, n_layer=2, eos_token_id=102)
    return saved(GPT2Model(config), folder, bare=True, **changed)
