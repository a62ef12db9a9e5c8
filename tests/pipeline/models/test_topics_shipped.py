"""The shipped topic tables on passages written for this test: the domain of each, in both languages."""

import shutil
from pathlib import Path

import pytest

from infra.dataset.reader import Dataset
from pipeline.document import Document
from pipeline.models import topics
from pipeline.models.scorer import Measure
from pipeline.models.topics import load_topics, topic_domain
from tests.files import write_rows
from tests.pipeline.command import refinery
from tests.pipeline.recipe_texts import recipe, stage, step

SHIPPED = Path(topics.__file__).with_name("shipped")
# Passages, each after its language and domain; the last is traditional Chinese.
TEXTS = """
en mathematics
Suppose that the sequence converges. By the lemma above every bounded subset of the space has a finite cover, so
the integral of the continuous function over the interval exists, and the theorem follows by induction on the
dimension.

en code
Call the function with a list of strings and it returns a dictionary. If the argument is null an exception is
raised. Install the package with pip, import the module in your script, and run the tests before you commit the
branch to the repository.

en science
The telescope observed a star whose planet orbits every four days. Its atmosphere holds hydrogen and carbon, and
the temperature of the surface, measured by infrared radiation, is higher than theory predicts for a body of
this mass.

en engineering
The electric motor drives the rear wheels through a gear, and the battery pack is cooled by a pump. Engineers
tested the new turbine and its sensors, and the manufacturing plant will assemble the vehicle with welding
robots next year.

en reasoning
Kant holds that an action has moral worth only if it is done from duty. The utilitarian objects that
consequences alone decide whether an act is good. If the premises of the argument are true, does the conclusion
about free will and moral knowledge follow?

en society
The parliament voted on Tuesday to reject the law. The prime minister said that the government would respect the
decision of the court, while thousands of protesters gathered before the presidential palace and police arrested
several opposition leaders.

en literature
She turned from the window and looked at the old man. 'You will not go,' he whispered. The candle had burned
low, and the wind moved in the dark trees beyond the garden wall as though someone walked there. She said
nothing, and her lips trembled.

en emotion
I feel so lonely since the breakup and I cannot stop crying. It is normal to feel sad and anxious after a loss.
Talking with a therapist about your feelings helped me to cope with the grief, and be kind to yourself when the
fear comes.

en arts
The director's new film opens with a long shot of the stage on which the band plays the song from the first
album. The actress gives her best performance, the soundtrack is gentle jazz, and critics praised the
photography at the festival.

en general
Preheat the oven, mix the flour with butter, sugar and eggs, and bake the cake until golden. Serve warm with
cream. The recipe makes eight slices, and the leftovers keep in the fridge for three days if you cover them.

en dialogue
USER: I would like a large latte with oat milk, please.
ASSISTANT: One large oat latte. Would you like a cake with it?
USER: No, thank you, that is all.
ASSISTANT: It will be ready at the bar in five minutes.

zh dialogue
客人：请问这附近有好吃的餐厅吗？
店员：前面街口有一家面馆，牛肉面很好吃。
客人：几点关门？
店员：晚上九点关门，您现在去还来得及。

zh mathematics
设函数在闭区间上连续，则由引理可知它在该区间上一致连续。对任意正整数，矩阵的行列式不为零，因此方程组有唯一解
。由数学归纳法，定理得证，级数收敛于该极限。

zh code
调用这个函数时传入一个字符串数组，返回值是对象的列表。如果参数为空，程序会抛出异常。先安装依赖，再在终端里运
行脚本，测试通过以后把代码提交到仓库的分支。

zh society
议会星期二投票否决了这项法律。总理表示政府尊重法院的判决，数千名抗议者聚集在总统府前，警方逮捕了几名反对派领
导人，外交部发言人拒绝评论。

zh literature
她从窗前转过身来，望着那老人，低声说道：你不要去了。烛火将尽，夜风吹动院墙外的树影，仿佛有人在月光里走着。老
人叹息一声，眼泪落在手里。

zh arts
这部电影的导演说，片中的歌曲出自乐队的第一张专辑。女主角的表演得到影评人的称赞，配乐温柔，摄影精美，影片在电
影节首映以后票房很好，演员们和观众见面。

zh general
酒店房间很干净，早餐也不错，服务员态度好，离海滩很近，下次旅游还会入住。餐厅的菜很好吃，牛肉和汤都很新鲜，就
是价格有点贵，停车也不方便。

zh arts
電影導演說，這張專輯的歌曲和樂隊的演出得到觀眾稱讚，女主角的表演很好。
"""
PASSAGES = [passage.split("\n", 1) for passage in TEXTS.strip().split("\n\n")]


@pytest.fixture(scope="module")
def tables() -> dict[str, Measure]:
    return {language: load_topics(SHIPPED / f"topics-{language}.tsv") for language in ("en", "zh")}


@pytest.mark.parametrize(("label", "text"), PASSAGES, ids=[label for label, _ in PASSAGES])
def test_the_domain_of_a_plain_passage(tables: dict[str, Measure], label: str, text: str) -> None:
    language, domain = label.split()
    assert topic_domain(tables[language](Document(text, language=language))) == domain


@pytest.mark.parametrize("command", ["mix", "filter"])
def test_both_tables_in_a_stage(command: str, tmp_path: Path) -> None:
    """One after the other: neither undoes what the other says."""
    labels = [step("label", name=each, what="domain", model=f"topics-{each}.tsv") for each in ("en", "zh")]
    models = tmp_path / "models"
    models.mkdir()
    for each in ("topics-en.tsv", "topics-zh.tsv"):
        shutil.copy(SHIPPED / each, models)
    (tmp_path / "topics.toml").write_text(recipe("topics", stage("topics", command, *labels)))
    rows = [
        {"id": str(number), "text": text, "language": label.split()[0]} for number, (label, text) in enumerate(PASSAGES)
    ]
    write_rows(tmp_path / "passages.jsonl", rows)
    words = ("--recipe", tmp_path / "topics.toml", "--input", tmp_path / "passages.jsonl", "--models", models)
    refinery(command, *words, "--out", tmp_path / "out")
    found = {row["id"]: row["domain"] for row in Dataset(tmp_path / "out").to_arrow(["id", "domain"]).to_pylist()}
    assert found == {str(number): label.split()[1] for number, (label, _) in enumerate(PASSAGES)}
