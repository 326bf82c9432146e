"""The Chinese of the command line: its catalogue agrees with the source, and a finished text finds its entry."""

import json
import re

import pytest
from rich.cells import cell_len

from byhand import translation
from byhand.bench import BENCHMARKS, table
from byhand.bench.comparison import compare, compare_line
from byhand.translation import SLOT, USE, catalogue, language, translate, unknown_language
from scripts import messages
from tests.cli.run_cli import ENVIRONMENT, byhand, small_mnist

# Files whose sentences all have an entry; what has none is told in English. hints, sklearn and the tutorial's layers are of the
# Python interface, which is English, as the ops' docstrings are.
COMPLETE = (
    "bench",
    "cli",
    "console.py",
    "data",
    "errors.py",
    "export",
    "files.py",
    "graph",
    "interrupt.py",
    "kernels",
    "loading.py",
    "models",
    "nn",
    "onnx",
    "ops/activation",
    "ops/conv",
    "ops/fused",
    "ops/loss",
    "ops/movement",
    "ops/norm",
    "ops/regularization",
    "page",
    "program/buffers.py",
    "program/formatting.py",
    "program/program.py",
    "report",
    "shapes.py",
    "tasks",
    "text.py",
    "train",
)
SENTENCE = re.compile(r"(?<![`\w./-])[A-Za-z]{2,}(?:[,:;]? [a-z]{2,}){2}")
# No sentences for a person: errors for programmers; markup; examples; comments of the exported C; a folder's name; why a line
# of the history is no row; an algorithm's name.
NO_SENTENCES = re.compile(
    r"(?:check|\{caller\}|draw_\w+|predictions_of|calibration): |<|byhand |system volume|pixels to |scores to |weights and "
    r"|the (?:network \{|probability of |output of |largest is |parallel loop)|\{__name__\}: the \{hand\} and "
    r"|kernels run as plain Python: there|fields are missing, or|a text is not printable|a ratio is no number|halving and "
)


@pytest.fixture
def chinese(monkeypatch):
    """Ask for Chinese."""
    monkeypatch.setenv("BYHAND_LANGUAGE", "zh")


@pytest.fixture
def entries(monkeypatch, chinese):
    """Replace the catalogue."""

    def use(found):
        monkeypatch.setattr(translation, "catalogue", lambda: found)
        for function in (translation._templates, translation._line):
            function.cache_clear()

    yield use
    monkeypatch.undo()
    for function in (translation._templates, translation._line):
        function.cache_clear()


# The language ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "BYHAND_LANGUAGE": "en"}, "en"),
        ({"LANG": "en_US.UTF-8", "BYHAND_LANGUAGE": "zh"}, "zh"),
        ({"BYHAND_LANGUAGE": "zh-Hans"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "BYHAND_LANGUAGE": "fr"}, "en"),
    ],
)
def test_language(monkeypatch, variables, expected):
    for name in ("BYHAND_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language() == expected


def test_console_without_chinese_letters(chinese, monkeypatch, tmp_path):
    with (tmp_path / "ascii").open("w", encoding="ascii") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        assert language() == "en"


def test_unknown_language(monkeypatch):
    monkeypatch.setenv("BYHAND_LANGUAGE", "fr")
    assert unknown_language() == "BYHAND_LANGUAGE is 'fr'; byhand knows en and zh, and goes on in English"


# Finding the entry ----------------------------------------------------------------------------------------------------

ENTRIES = {
    "{n:,} images": "{n} 张图片",
    "{name}: {n:,} images": "{name} 有 {n} 张图片",
    "{n:,} of {m:,} images, {why}": "{m} 张里的 {n} 张（{why}）",
    "too dark": "太暗",
    "loss": "损失",
    "{what} is missing": "缺少 {what!t}",
    "give one": "请给出一个",
    "expected {names}": "应为 {names!t}",
    "{file} is no table:": "{file} 不是表格：",
    "; by itself": "；单独",
    "{label} accuracy": "{label!t}准确率",
    "{what} of {whole}": "{whole}的 {what}",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,234 images", "1,234 张图片"),
        ("many images", "many images"),  # the slot is a number
        ("cats: 3 images", "cats 有 3 张图片"),  # the most literal text wins
        ("3 of 4 images, too dark", "4 张里的 3 张（太暗）"),  # another order; a slot of several words
        ("loss: 3 images", "loss 有 3 张图片"),  # a single word is a name ...
        ("loss is missing", "缺少损失"),  # ... but where the entry says otherwise; no space between Chinese letters
        ("too dark; mean of 3 images", "太暗；3 张图片的 mean"),
        ("too dark; the mean of the set", "too dark; the mean of the set"),  # few letters match by chance
        ("  3 images\nsomething else\n", "  3 张图片\nsomething else\n"),  # line by line, with its indent
        ("a.csv: too dark", "a.csv：太暗"),  # a message after the file that it is about
        ("loss is missing; give one", "缺少损失；请给出一个"),
        ("loss is missing; no entry", "loss is missing; no entry"),  # no half sentences
        ("expected a, b or c", "应为 a、b 或 c"),
        ("3 images; by itself", "3 张图片；单独"),  # an entry that begins with its separator
        ("a.csv: row 3: expected a or b; give one", "a.csv：row 3：应为 a 或 b；请给出一个"),
        ("a.csv is no table: Wire format was corrupt", "a.csv 不是表格：Wire format was corrupt"),  # another library's
        ("expected 2 or more", "expected 2 or more"),
        ("units of several sizes, too dark", "units of several sizes, too dark"),  # no Chinese among English words
        ("loss accuracy", "损失准确率"),
        ("some old accuracy", "some old accuracy"),
        ("expected a, b and 3 more", "应为 a、b 等，另有 3 个"),
        ("expected a, b, c; give one", "应为 a、b、c；请给出一个"),
        ("", ""),
    ],
)
def test_translate(entries, text, expected):
    entries(ENTRIES)
    assert translate(text) == expected


def test_english_reads_no_catalogue(monkeypatch):
    monkeypatch.setenv("BYHAND_LANGUAGE", "en")
    monkeypatch.setattr(translation, "_line", None)
    assert translate("3 images") == "3 images"


def test_hostile_texts_are_fast(entries):
    entries(ENTRIES | {"{a}, {b}, {c}, {d}, {e:,} of {f}": "{a}{b}{c}{d}{e}{f}"})
    for text in (", " * 900 + " of x" * 30, ": " * 900 + " of x" * 30, "; : " * 400, "x of " * 400, "x and y; " * 200):
        translate(text)


# The catalogue --------------------------------------------------------------------------------------------------------


def _file():
    return (messages.SOURCE / "messages" / "zh.po").read_text(encoding="utf-8")


def test_entries_are_in_the_source():
    known = {
        line
        for path in messages.source_files()
        for _, text in messages.templates(path)
        for line in messages.lines_of(text)
    }
    others = set(translation.parse_po("\n".join(re.findall(r"#: typer\n(.*\n.*)\n", _file()))))
    assert [entry for entry in catalogue() if entry not in known | others] == []


def test_entries_stand_once():
    found = re.findall(r'^msgid (".*")$', _file(), re.M)
    assert sorted({entry for entry in found if found.count(entry) > 1}) == []


@pytest.mark.parametrize("part", ["slots", "spaces"])
def test_entries_are_sound(part):
    for source, text in catalogue().items():
        slots, used = {name for name, _ in SLOT.findall(source)}, {name for name, _ in USE.findall(text)}
        if part == "slots":
            assert used <= slots, source
            assert all(re.fullmatch(r"s\d?|verb|others", name) for name in slots - used), source  # English plurals
        else:
            assert not re.search(r"[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]", text), text
            assert not re.search(r"[\u4e00-\u9fff][,;:!?]", text), text


def _example(slot):
    """Return a word or a number for a slot, which no entry translates."""
    name, spec = slot[1], slot[2] or ":s"
    return (
        "7%"
        if spec.endswith("%")
        else "7"
        if spec[-1] in ",dfge"
        else "s"
        if re.fullmatch(r"s\d?", name)
        else f"x{name}x"
    )


def test_a_finished_text_finds_its_own_entry(chinese):
    wrong = {}
    for source, text in catalogue().items():
        examples = {slot[1]: _example(slot) for slot in SLOT.finditer(source)}
        finished = SLOT.sub(_example, source)
        expected = USE.sub(lambda use, examples=examples: examples[use[1]], text)
        found = {translate(finished, part=part) for part in (False, True)}
        if expected not in found and not translation.template(source, text).is_vague:
            wrong[finished] = found, expected
    assert wrong == {}


@pytest.mark.parametrize("folder", COMPLETE)
def test_sentences_have_an_entry(folder):
    lacking = [
        f"{path.name}:{line}: {text}"
        for path, line, text in messages.missing(folder)
        if SENTENCE.search(re.sub(r"{[^}]*}", "", text)) and not NO_SENTENCES.match(text)
    ]
    assert lacking == []


# The doors ------------------------------------------------------------------------------------------------------------


def test_help(tmp_path):
    done = byhand("predict", "--help", BYHAND_LANGUAGE="zh", folder=tmp_path)
    assert done.code == 0 and "给图片分类" in done.out and "--top-k" in done.out
    assert not re.search(r"[a-z]+ [a-z]+ [a-z]+ [a-z]+ [a-z]+", done.out)
    assert "…" not in done.out.replace("]...", "")


@pytest.mark.parametrize("columns", [52, 75, 76])
@pytest.mark.parametrize("name", ["train", "export"])
def test_help_fits_the_terminal(chinese, monkeypatch, tmp_path, name, columns):
    monkeypatch.setitem(ENVIRONMENT, "COLUMNS", str(columns))
    text = byhand(name, "--help", folder=tmp_path).out.partition("例：")[0]  # commands stay whole, to be pasted
    lines = [line.strip("│ ") for line in text.split("\n")]
    assert not re.search("Usage|Options|Arguments|default|required", text)
    assert not [
        line for line in lines if line.startswith(tuple("，。；：、！？）》”")) or line.endswith(tuple("（《“"))
    ]
    wide = [line for line in text.split("\n") if cell_len(line) > columns]
    assert not [line for line in wide if re.search("[\u4e00-\u9fff] *[\u4e00-\u9fff]", line)]


def test_error_line(chinese, tmp_path):
    done = byhand("train", "nothere", folder=tmp_path)
    assert done.code == 2 and done.complaint.startswith("没有叫 'nothere' 的架构、数据集或文件夹；")
    assert (
        byhand("train", "--epochs", "x", folder=tmp_path).complaint
        == "--epochs 是 'x'；应为一个整数（见 byhand train --help）"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--precision", "half"), "没有精度 'half'；请写 bf16；CPU 有的是 bfloat16，不是 float16"),
        (("a", "b"), "多余的参数：a b（见 byhand show --help）"),
    ],
)
def test_usage_errors(chinese, words, said):
    assert byhand("show", "lenet5", *words).complaint == said


def test_unknown_language_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("BYHAND_LANGUAGE", "fr")
    done = byhand("--version", folder=tmp_path)
    assert done.code == 0 and done.complaint.startswith("BYHAND_LANGUAGE is 'fr'")


def test_tables_are_aligned(chinese, tmp_path):
    lines = byhand("show", "lenet5", folder=tmp_path).out.split("\n")
    assert lines[1].split() == ["层", "算子", "输出", "参数量", "FLOPs", "感受野"]
    columns = [cell_len(line) for line in lines[1:4]]
    assert len(set(columns)) == 1


@pytest.mark.parametrize("command", [("models",), ("show", "tiny"), ("env",)])
def test_output_has_no_english_sentence(chinese, tmp_path, command):
    done = byhand(*command, folder=tmp_path)
    assert done.code == 0 and not SENTENCE.search(done.out.replace("hard swish", ""))


def test_bench_tables(chinese):
    side = {"precision": "float32", "cores": 1.0, "error": 1e-6, "limit": None}
    values = {"byhand": 1.0, "PyTorch contiguous, 2 threads": 2.0, "JAX, 1 thread": 3.0}
    sides = {name: side | {"value": value} for name, value in values.items()}
    row = compare(BENCHMARKS["latency"], {"": compare_line(BENCHMARKS["latency"], sides, {}, 1.0)})
    row |= {"missing": {"onnxruntime, 1 thread": "onnxruntime is not installed"}, "spinning": 0}
    lines = table(row).splitlines()
    assert lines[0] == "LeNet-5，单张图，延迟" and lines[3].split()[:2] == ["PyTorch", "contiguous，2"]
    assert "  onnxruntime，1 线程: 没有安装 onnxruntime" in lines
    assert any(line.startswith("  byhand / 最好的框架，float32") for line in lines)
    assert len({cell_len(line) for line in lines[1:5]}) == 1


def test_json_is_english(monkeypatch, tmp_path):
    texts = []
    for name in ("en", "zh"):
        monkeypatch.setenv("BYHAND_LANGUAGE", name)
        texts.append(byhand("data", "mnist", "--json", folder=tmp_path).out)
    assert texts[0] == texts[1] and json.loads(texts[0])["name"] == "mnist"


def test_training_and_its_report(chinese, tmp_path):
    small_mnist(tmp_path / "digits", train=200, test=60)
    done = byhand("train", "digits", "--model", "tiny", "--epochs", "1", "--output", "run", folder=tmp_path)
    assert done.code == 0
    for words in ("训练：200 张图片，测试：60", "第 1/1 轮  损失", "测试准确率", "已写入 run", "接下来："):
        assert words in done.out
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert 'lang="zh"' in page and "训练诊断" in page
    visible = re.sub(r"<style>.*?</style>|<[^>]*>", "\n", page, flags=re.DOTALL)
    assert not SENTENCE.search(visible)
    assert "accuracy" in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8")  # programs read it
