"""Prose told from code, formulas and addresses in pieces of text."""

import pytest

from pipeline.models.prose import is_prose


@pytest.mark.parametrize(
    "piece",
    [
        "The quick brown fox was seen by the lazy dogs (all of them).",
        "“Yes,” he said: “it's ours – at 9.30, on 1.1.2024.” And so on.",
        "Es war einmal ein Mann, der hatte sieben Söhne & keine Töchter",
        "敏捷的棕色狐狸在山上被懒狗看见",
        "使用 Kubernetes Deployment 部署 TiDB 的方法",
        "若长度为 $1$，则中心对称数只有下面的几个数字",
        "быстрая бурая лиса была замечена ленивыми собаками",
        "الثعلب البني السريع يقفز فوق الكلب الكسول",
    ],
)
def test_prose(piece: str) -> None:
    assert is_prose(piece)


@pytest.mark.parametrize(
    "piece",
    [
        "class Solution { public: int findRadius(vector& houses, vect",
        "for item in items: total += item.price * rates[item.kind]",
        '"id": null, "_type": "Translation", "dtype": "string"',
        "https://example.com/a/page/of/a/site.html and then ?q=1",
        r"\\frac{\\partial L}{\\partial w} = \\sum_i x_i (y_i - t_i)",
        "mvn -q clean install -Dmaven.test.skip=true && java -jar a.jar",
        "%E4%BA%8C%E5%8F%89%E6%A0%91%E8%8A%82%E7%82%B9%E7%B1%BB",
        "1234 5678 9012 3456", "Home", "", "\ud800" * 40,
    ],
)  # fmt: skip
def test_no_prose(piece: str) -> None:
    assert not is_prose(piece)
