"""A small shop whose customers can be predicted: what tests of whole stages run on."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from lakerec.config import Config
from lakerec.loading import load_config

KINDS = ("tea", "lamp", "chair", "plant")
REVIEWS = "terrible, broken on arrival number {}", "I love it, wonderful quality number {}"
SAID = {"c0": "where is my tea", "c1": "a lamp please"}
CONFIG = """
name: shop
lake: {{root: {folder}/lake}}
tracking: {{uri: "sqlite:///{folder}/mlflow.db"}}
spark: {{master: "local[2]", conf: {{spark.sql.shuffle.partitions: 2}}}}
source:
  events:
    path: {folder}/raw/events
    columns: {{user_id: customer, item_id: product, event_time: at, value: quantity}}
    defaults: {{event_type: purchase}}
    options: {{header: true}}
  items:
    path: {folder}/raw/items.csv
    columns: {{item_id: id, title: name, categories: kind}}
    options: {{header: true}}
split: {{protocol: leave_last_out}}
encoder: {{precision: fp32}}
train: {{models: [popular, ease, content, sequence, blend], epochs: 2, dims: 16, blocks: 1, max_length: 8}}
evaluate: {{bootstrap: 100}}
promote: {{free_text: false}}
"""


def write(folder: Path, users: int = 40, seed: int = 1) -> Path:
    """Raw files and a config; gives the config's path. Three rows of events are bad, one is an exact repeat."""
    rng = random.Random(seed)
    (folder / "raw" / "events").mkdir(parents=True)
    names = [f"{kind} {number}" for kind in KINDS for number in range(8)]
    items = "".join(f"p{place},{name},{name.split()[0]}\n" for place, name in enumerate(names))
    (folder / "raw" / "items.csv").write_text("id,name,kind\n" + items)
    lines = [
        f"c{user},p{_next(rng, user, step)},2024-01-{1 + step:02d} 10:{user % 60:02d}:00,1"
        for user in range(users)
        for step in range(8)
    ]
    lines += [lines[0], "c1,,2024-01-01 10:00:00,1", "c1,p1,soon,1", "c1,p1"]
    text = "customer,product,at,quantity\n" + "\n".join(lines) + "\n"
    (folder / "raw" / "events" / "day-1.csv").write_text(text)
    conf = folder / "shop.yaml"
    conf.write_text(CONFIG.format(folder=folder))
    return conf


def talking(folder: Path) -> Path:
    """Write a shop whose customers wrote 60 reviews, bad and good ones in turn, and two of whom said what they look for."""
    conf = write(folder)
    day = folder / "raw" / "events" / "day-1.csv"
    header, *lines = [line for line in day.read_text().splitlines() if line.count(",") == 3]
    reviews = [f'"{REVIEWS[number % 2].format(number)}"' if number < 60 else "" for number in range(len(lines))]
    said = [SAID.get(line[: line.index(",")], "") for line in lines]
    rows = [",".join(parts) for parts in zip(lines, reviews, said, strict=True)]
    day.write_text("\n".join([f"{header},review,said", *rows]) + "\n")
    return conf


def copy(made: Path, folder: Path) -> Path:
    """What is in a shop's folder, tables and runs, in another one; gives the config's path there."""
    shutil.copytree(made, folder, dirs_exist_ok=True)
    conf = folder / "shop.yaml"
    conf.write_text(CONFIG.format(folder=folder))
    return conf


def _next(rng: random.Random, user: int, step: int) -> int:
    """Customers stay with their kind of goods and walk through it in order."""
    return (user % len(KINDS)) * 8 + (user // len(KINDS) + step + (rng.random() < 0.1)) % 8


def config(folder: Path, *overrides: str, **named: int) -> Config:
    """Write the shop and load its config."""
    return load(write(folder, **named), *overrides)


def load(conf: Path, *overrides: str) -> Config:
    """A config that was written, read without this machine's environment."""
    return load_config(conf, overrides, {})
