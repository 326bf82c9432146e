"""The texts of the page: both languages have the same ones, in their own letters, and the page uses each of them."""

import re
from importlib.resources import files

import pytest

WEB = {
    path.name: path.read_text(encoding="utf-8")
    for path in files("byhand.page").joinpath("web").iterdir()
    if path.name.endswith((".js", ".html"))
}
WORDS = {
    language: re.search(rf"^const {language} = {{\n(.*?)^}};", WEB["translations.js"], re.DOTALL | re.MULTILINE)[1]
    for language in ("en", "zh")
}
CHINESE = re.compile("[\u4e00-\u9fff]")
SAME = {"logit", "exp", "probability", "cam", "weightChanged", "kinds", "relu", "softmax"}  # names and formulas


def keys(text, indent):
    return re.findall(rf"^{' ' * indent}(\w+):", text, re.MULTILINE)


@pytest.mark.parametrize("indent", [2, 4], ids=["texts", "kinds"])
def test_both_languages_have_the_same_texts(indent):
    assert keys(WORDS["zh"], indent) == keys(WORDS["en"], indent) != []


def test_both_glossaries_are_as_long():
    entries = {language: len(re.findall(r"^    \['", text, re.MULTILINE)) for language, text in WORDS.items()}
    assert entries["zh"] == entries["en"] > 10


def test_both_languages_insert_the_same_values():
    arguments = {
        language: dict(re.findall(r"^  (\w+): (\w+|\([\w, ]+\)) =>", text, re.MULTILINE))
        for language, text in WORDS.items()
    }
    assert arguments["zh"] == arguments["en"] != {}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_text_is_in_its_language(language):
    texts = re.split(r"^ {2,4}(?=\w+:)", WORDS[language], flags=re.MULTILINE)
    found = {text.partition(":")[0]: CHINESE.search(text) is not None for text in texts if text.strip()}
    assert {key for key, is_chinese in found.items() if is_chinese != (language == "zh")} <= SAME


def test_every_text_is_used_and_every_use_has_a_text():
    page = "\n".join(text for name, text in WEB.items() if name != "translations.js")
    used = set(re.findall(r"\bwords\.(\w+)", page)) | set(re.findall(r'data-(?:word|label)="(\w+)"', page))
    known = set(keys(WORDS["en"], 2))
    assert used <= known
    assert all(re.search(rf"\b{key}\b", page) for key in known)  # some are looked up by a variable: words[name]
