"""A causal model that goes on with prompts: each prompt's text is its own, whatever the batch; and one made from nothing."""

import pytest
import torch
from lakerec.errors import EnvironmentProblem
from lakerec.language.fresh import END, POSITIONS, fresh_model, tokens
from lakerec.language.writer import Writer, writer_fingerprint
from lakerec.language_config import DescriptionConfig
from tokenizers import Tokenizer
from transformers import GPT2LMHeadModel

from tests.small_models import small_bert

TEXTS = [f"Title: lamp {number}\nDescription: a lamp of the number {number}" for number in range(30)]
PROMPTS = ["Title: lamp 3\nDescription:", "Title:", "lamp", "Title: lamp 12, of brass and green glass\nDescription:"]


def config(**changed):
    return DescriptionConfig(model="catalogue", **{"max_tokens": 12, **changed})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("writer") / "model"
    fresh_model(place, TEXTS, width=32, layers=2, seed=1)
    return place


def test_the_likeliest_tokens_are_those_that_transformers_chooses_for_each_prompt_alone(folder):
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    expected = []
    for prompt in PROMPTS:
        ids = torch.tensor([tokenizer.encode(prompt).ids])
        found = model.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=0)[0, ids.shape[1] :].tolist()
        expected.append(tokenizer.decode(found).split("\n")[0].strip())
    assert Writer(folder, config(temperature=0), "cpu").write(PROMPTS) == expected


def test_chance_hangs_on_seed_and_prompt_not_on_the_batch(folder):
    writer = Writer(folder, config(temperature=1.5), "cpu")
    together = writer.write(PROMPTS)
    assert [writer.write([prompt])[0] for prompt in PROMPTS] == together
    assert Writer(folder, config(temperature=1.5, seed=2), "cpu").write(PROMPTS) != together
    assert len(set(writer.write([*PROMPTS, PROMPTS[0]]))) == len(set(together))


def test_one_batch_after_another_gives_each_prompt_its_text(folder):
    writer = Writer(folder, config(temperature=0), "cpu")
    whole = writer.write(PROMPTS)
    writer.budget = 1
    assert writer.write(PROMPTS) == whole


def test_memory_that_does_not_suffice_halves_the_batch(folder, monkeypatch):
    writer = Writer(folder, config(temperature=0), "cpu")
    whole, batch = writer.write(PROMPTS), writer._batch

    def small(ids, prompts):
        if len(ids) > 1:
            raise torch.OutOfMemoryError
        return batch(ids, prompts)

    monkeypatch.setattr(writer, "_batch", small)
    assert writer.write(PROMPTS) == whole


def test_a_prompt_that_is_too_long_loses_its_beginning(folder):
    writer = Writer(folder, config(temperature=0), "cpu")
    long = "x " * POSITIONS + PROMPTS[0]
    assert writer.write([long])[0] == writer.write([writer.tokenizer.decode(writer._tokens(long)[-(POSITIONS - 12) :])])[0]


def test_texts_end_with_the_mark_of_their_end_and_lose_their_beginning_where_they_are_too_long(folder):
    end = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(END)
    short, long = tokens(folder, ["a lamp", "lamp " * 1000])
    assert short[-1] == long[-1] == end
    assert len(long) == POSITIONS


def test_a_model_made_twice_is_the_same(folder, tmp_path):
    fresh_model(tmp_path / "model", TEXTS, width=32, layers=2, seed=1)
    assert writer_fingerprint(tmp_path / "model", config()) == writer_fingerprint(folder, config())
    prints = {
        writer_fingerprint(folder, config(**each)) for each in ({}, {"seed": 2}, {"temperature": 0}, {"max_tokens": 8})
    }
    assert len(prints) == 4


def test_an_encoder_cannot_write(tmp_path):
    small_bert(tmp_path)
    with pytest.raises(EnvironmentProblem, match="is no causal model"):
        Writer(tmp_path, config(), "cpu")
