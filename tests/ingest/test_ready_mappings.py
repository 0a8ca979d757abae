"""The mappings of conf/sources on files as each publisher writes them, a few lines each, shown in full."""

from pathlib import Path

import pytest
from lakerec.columns import Sources
from lakerec.ingest.contract import check_contract
from lakerec.ingest.mapping import map_events, map_items, map_users
from lakerec.ingest.read import read_source
from lakerec.loading import load_config

pytestmark = pytest.mark.spark
READY = Path(__file__).parents[2] / "conf" / "sources"
MAPS = {"events": map_events, "items": map_items, "users": map_users}
UNITED = "United Kingdom"


@pytest.fixture
def rows(spark, tmp_path):
    """A function: ready mapping, source and text of a file → bronze rows, none of them refused."""

    def read(name, source, text, encoding="utf-8"):
        table = getattr(load_config(READY / f"{name}.yaml", (), {}).source, source)
        path = tmp_path / "raw"
        path.write_text(text, encoding=encoding)
        where = f"source.{source}"
        check_contract(spark, table, where)
        raw = read_source(spark, table, [str(path)], where, Sources.NEEDED[source])
        found = MAPS[source](raw, table).orderBy("source_row").collect()
        assert [row["_reasons"] for row in found] == [[]] * len(found)
        return found

    return read


def events(found):
    return [(row.user_id, row.item_id, row.event_type, str(row.event_time), row.value) for row in found]


def items(found):
    return [(row.item_id, row.title, row.description, row.categories) for row in found]


def test_movielens_100k(rows):
    assert events(rows("movielens_100k", "events", "196\t242\t3\t881250949\n")) == [
        ("196", "242", "rating", "1997-12-04 15:55:49", 3.0)
    ]
    flags = "0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0"
    film = f"543|Misérables, Les (1995)|01-Jan-1995||http://us.imdb.com/M|{flags}\n"
    assert items(rows("movielens_100k", "items", film, "latin-1")) == [
        ("543", "Misérables, Les (1995)", None, ["Animation", "Children", "Comedy"])
    ]
    (user,) = rows("movielens_100k", "users", "1|24|M|technician|85711\n")
    assert (user.user_id, user.attributes) == ("1", {"age": "24", "gender": "M", "occupation": "technician"})


def test_movielens_1m(rows):
    assert events(rows("movielens_1m", "events", "1::1193::5::978300760\n")) == [
        ("1", "1193", "rating", "2000-12-31 22:12:40", 5.0)
    ]
    film = "73::Misérables, Les (1995)::Drama|Musical\n"
    assert items(rows("movielens_1m", "items", film, "latin-1")) == [
        ("73", "Misérables, Les (1995)", None, ["Drama", "Musical"])
    ]
    (user,) = rows("movielens_1m", "users", "1::F::1::10::48067\n")
    assert (user.user_id, user.attributes) == ("1", {"gender": "F", "age": "1", "occupation": "10"})


def test_movielens_latest(rows):
    text = "userId,movieId,rating,timestamp\n1,2,3.5,1112486027\n"
    assert events(rows("movielens_latest", "events", text)) == [("1", "2", "rating", "2005-04-02 23:53:47", 3.5)]
    text = 'movieId,title,genres\n11,"American President, The (1995)",Comedy|Drama\n'
    assert items(rows("movielens_latest", "items", text)) == [
        ("11", "American President, The (1995)", None, ["Comedy", "Drama"])
    ]


@pytest.mark.parametrize("name", ["amazon_2014", "amazon_2018"])
def test_amazon_reviews(rows, name):
    text = (
        '{"reviewerID": "A2", "asin": "0001", "reviewerName": "J. McDonald", "helpful": [2, 3], "reviewText": "I love it",'
        ' "overall": 5.0, "summary": "Heavenly", "unixReviewTime": 1252800000, "reviewTime": "09 13, 2009"}\n'
    )
    found = rows(name, "events", text)
    assert events(found) == [("A2", "0001", "rating", "2009-09-13 00:00:00", 5.0)]
    assert "McDonald" not in str(found)


def test_amazon_metadata(rows):
    # 2014 is written as Python writes it, with single quotes.
    text = "{'asin': '0001', 'title': 'Girls Ballet', 'price': 3.17, 'categories': [['Sports', 'Dance'], ['Sports']]}\n"
    assert items(rows("amazon_2014", "items", text)) == [("0001", "Girls Ballet", None, ["Sports", "Dance"])]
    text = '{"asin": "0001", "title": "Girls Ballet", "description": ["Pink.", "Tulle."], "category": ["Sports", "Dance"]}\n'
    assert items(rows("amazon_2018", "items", text)) == [("0001", "Girls Ballet", "Pink. Tulle.", ["Sports", "Dance"])]
    text = (
        '{"main_category": "All Beauty", "title": "Howard Polish", "features": [], "description": ["Wax.", "Oil."],'
        ' "price": null, "categories": ["Wood"], "details": {"Brand": "Howard"}, "parent_asin": "B01"}\n'
    )
    assert items(rows("amazon_2023", "items", text)) == [("B01", "Howard Polish", "Wax. Oil.", ["Wood"])]


def test_amazon_2023(rows):
    text = (
        '{"rating": 5.0, "title": "Such a lovely scent", "text": "Pure.", "asin": "B00Y", "parent_asin": "B00P",'
        ' "user_id": "AGK", "timestamp": 1588687728923, "helpful_vote": 0, "verified_purchase": true}\n'
    )
    (row,) = found = rows("amazon_2023", "events", text)
    assert events(found) == [("AGK", "B00P", "rating", "2020-05-05 14:08:48.923000", 5.0)]
    assert "title" not in row.context and row.context["review_heading"] == "Such a lovely scent"


def test_mind(rows):
    text = "1\tU13740\t11/11/2019 9:05:58 AM\tN55189 N42782\tN55689-1 N35729-0\n2\tU9\t11/12/2019 6:11:30 PM\t\tN2-0\n"
    found = rows("mind", "events", text)
    assert sorted(events(found)) == [
        ("U13740", "N35729", "impression", "2019-11-11 09:05:58", None),
        ("U13740", "N55689", "click", "2019-11-11 09:05:58", None),
        ("U9", "N2", "impression", "2019-11-12 18:11:30", None),
    ]
    text = 'N88753\tlifestyle\tlifestyleroyals\tThe "Brands" Queen Swears By\tShop them\thttps://x\t[]\t[]\n'
    assert items(rows("mind", "items", text)) == [
        ("N88753", 'The "Brands" Queen Swears By', "Shop them", ["lifestyle", "lifestyleroyals"])
    ]


def test_news_that_was_shown_and_not_clicked_is_not_learned_from():
    assert load_config(READY / "mind.yaml", (), {}).features.event_weights == {"impression": 0}


def test_online_retail(rows):
    text = (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        f"536365,85123A,WHITE HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,{UNITED}\n"
        f"C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,14527.0,{UNITED}\n"
        f"536414,22139,,56,2010-12-01 11:52:00,0.0,,{UNITED}\n"
    )
    found = rows("online_retail", "events", text)
    assert [row.tags for row in found] == [[], ["cancellation", "quantity_not_positive"], ["price_not_positive"]]
    assert events(found)[0] == ("17850.0", "85123A", "purchase", "2010-12-01 08:26:00", 6.0)
    assert found[0].context == {
        "InvoiceNo": "536365",
        "title": "WHITE HOLDER",
        "price": "2.55",
        "Country": UNITED,
    }


def test_clickstream(rows):
    text = (
        '{"messageId": "m1", "event": "view", "anonymousId": "a1", "userId": null, "timestamp": "2024-01-01T10:00:00.5Z",'
        ' "properties": {"product_id": "p1", "price": 9.5}}\n'
        '{"messageId": "m2", "event": "order", "userId": "u1", "timestamp": "2024-01-01T12:00:00+02:00",'
        ' "properties": {"product_id": "p1", "quantity": 2}}\n'
    )
    found = rows("clickstream", "events", text)
    assert [(row.event_id, *events([row])[0][:4]) for row in found] == [
        ("m1", "a1", "p1", "view", "2024-01-01 10:00:00.500000"),
        ("m2", "u1", "p1", "order", "2024-01-01 10:00:00"),
    ]
    assert found[0].context["properties"] == '{"price":"9.5","product_id":"p1"}'
