"""The contracts of what is told of people, entities and labels."""

from __future__ import annotations

from lakerec.columns import Columns as C
from lakerec.columns import Tables as T
from lakerec.lake.contract import ENCODER, KNOWN_USER, RANK, RUN_ID, Column, Contract
from lakerec.lake.contract import key as _key

SEGMENT = Column(C.SEGMENT, "int", "segment of gold/segments; null where users are not segmented, or have no vector")

PEOPLE = (
    Contract(
        T.ENTITY_VECTORS,
        "entities of the knowledge graph by their neighbourhoods",
        (_key(C.ENTITY_ID, "string", "entity of the graph"),
         _key(C.ENCODER, "string", "method, dimensions and seed"),
         Column(C.VECTOR, "array<float>", "unit length; vectors of two graphs do not compare")),
        keys=(C.ENTITY_ID,),
    ),
    Contract(
        T.USER_VECTORS,
        "each user by the vectors of what they met, the recent counting more",
        (KNOWN_USER, ENCODER, Column(C.VECTOR, "array<float>", "of their items, unit length; null where none has a vector"),
         Column(C.TEXT_VECTOR, "array<float>", "of their own texts (profile.user_text), unit length; null without any"),
         _key(C.KNOWABLE_AT, "timestamp", "last event that is in it, UTC")),
        keys=(C.USER_ID,),
    ),
    Contract(
        T.PORTRAITS,
        "what is told of each user, with the evidence",
        (KNOWN_USER, SEGMENT,
         Column(C.INTERESTS, "array<struct<name:string,share:double,items:array<string>>>",
                "categories by their share of the user's recent weight, each with the items that weigh most"),
         Column(C.LIKING, "array<struct<name:string,above:double,events:bigint>>",
                "categories by how far the user's values lie above the user's mean; null without values that differ"),
         Column(C.PRICE_BAND_MEAN, "double", "mean price band; null without features.price_bands"),
         Column(C.HOUR, "int", "most common hour of the day, UTC"),
         Column(C.WEEKEND_SHARE, "double", "share of events on Saturdays and Sundays"),
         Column(C.DAYS_BETWEEN, "double", "mean days from one day with events to the next; null where there is one day"),
         _key(C.EVENTS, "bigint", "interactions"),
         _key(C.SENTENCE, "string", "the same in words"),
         _key(C.KNOWABLE_AT, "timestamp", "last event that is in it, UTC")),
        keys=(C.USER_ID,),
    ),
    Contract(
        T.SEGMENTS,
        "groups of like users, at each run that told them anew",
        (RUN_ID, _key(C.SEGMENT, "int", "number, the same as in the run before where the group is the same"),
         _key("name", "string", "what distinguishes it: its terms"),
         _key(C.USERS, "bigint", "users in it"), _key("share", "double", "of all users with a vector"),
         Column("terms", "array<struct<name:string,share:double,lift:double>>",
                "interests by how much more they weigh here than with all users"),
         _key(C.VECTOR, "array<float>", "its centre, unit length"),
         Column("came_from", "map<int,bigint>", "segment of the run before (-1: new users) → users who were there"),
         Column(C.ENCODER, "string", "of the vectors that it is told by; null: of an older lakerec")),
        keys=(C.RUN_ID, C.SEGMENT),
    ),
    Contract(
        T.PSEUDO_LABELS,
        "labels of what nobody labelled, where the model is sure enough",
        (_key(C.TASK, "string", "name in profile.labels"),
         _key("id", "string", "item_id, or text_hash, as the task is of items or of texts"),
         _key(C.LABEL, "string", "label"), _key(C.CONFIDENCE, "double", "calibrated probability that it is right"),
         ENCODER, RUN_ID),
        keys=(C.TASK, "id"),
    ),
    Contract(
        T.ITEM_DESCRIPTIONS,
        "descriptions written for items, each with what it was made of",
        (_key(C.ITEM_ID, "string", "external item id"), _key(C.DESCRIPTION, "string", "the text that is to be shown"),
         _key("written_by", "string", "model, or template where the model's text said more than the row"),
         Column("written", "string", "the model's text, as it came"),
         Column("refused", "array<string>", "numbers, names and attributes in it that the row lacks"),
         _key(C.MODEL, "string", "fingerprint of the model, temperature, length and seed"),
         _key("prompt_hash", "string", "SHA-256 of the prompt's template"),
         _key("input_hash", "string", "SHA-256 of the item's prompt, template and row"), RUN_ID),
        keys=(C.ITEM_ID,),
    ),
    Contract(
        T.PSEUDO_SPANS,
        "words in texts that nobody labelled, where the model is sure enough what they name",
        (_key(C.TASK, "string", "name in profile.spans"),
         _key("id", "string", "item_id, or text_hash, as the task is of items or of texts"),
         _key(C.START, "int", "of the first word in the text, in characters (Unicode code points) from 0"),
         _key(C.END, "int", "behind the last word"), _key(C.TEXT, "string", "the words as they stand there"),
         _key(C.LABEL, "string", "what they name, such as brand"),
         _key(C.CONFIDENCE, "double", "calibrated probability of the word that is least sure, the one behind included"),
         ENCODER, RUN_ID),
        keys=(C.TASK, "id", C.START),
    ),
    Contract(
        T.LABEL_REQUESTS,
        "what a person should label next: unsure of, and unlike each other",
        (_key(C.TASK, "string", "name in profile.labels"), RANK, _key("id", "string", "item_id, or text_hash"),
         Column(C.TEXT, "string", "its text"), Column("guesses", "array<string>", "the two likeliest labels"),
         _key("margin", "double", "probability of the first less that of the second"), RUN_ID),
        keys=(C.TASK, C.RANK),
    ),
)  # fmt: skip
