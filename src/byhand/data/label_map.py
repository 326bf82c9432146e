"""Class names as other programs write them: text files, JSON, CSV, and the literals of other exporters.

    one name per line                       the order is that of the lines
    0 cat, 0: cat, 0. cat, 0,cat            numbered lines, from 0 or 1, in any order
    cat,0                                   the number behind the name
    cat, dog, owl                           one line, separated by commas
    n01440764 tench, n01440764 1 tench      WordNet's numbers, as ImageNet's lists have them
    - cat                                   a YAML list
    id,name and rows                        a CSV with a header, the columns by their names
    ["cat", "dog"], {"0": "cat"}            JSON: a list, index -> name, or name -> index (Keras' class_indices)
    [{"id": 0, "name": "cat"}]              a list of objects, by their numbers if they have any (COCO's categories)
    {"0": ["n01440764", "tench"]}           WordNet's number and the name (Keras' imagenet_class_index.json)
    {0: 'cat', 1: 'dog'}                    the same as a Python literal (ultralytics)
    names: and a list or 0: cat below       the block of a YAML file (ultralytics' data.yaml)

text_files.py reads the text. Nothing in it is executed.
"""

import ast
import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from byhand.data.text_files import read_text
from byhand.errors import FileError

MAX_BYTES = 2**24  # of a file of names, or of a metadata entry
NUMBERED = re.compile(r"(\d{1,7})(?:\s*[:,;\t)]\s*|\s+-\s+|\.\s+|\s+)(\S.*)", re.ASCII)
NAME_NUMBER = re.compile(r"(\S.*?)\s*[,;\t]\s*(\d{1,7})", re.ASCII)
MARKED = re.compile(r"\d{1,7}(?:\s*[:,;\t)]|\s+-\s|\.\s)", re.ASCII)
MAX_NUMBER_PER_LINE = 2  # a larger number, without a sign behind it, belongs to the name: 101 dalmatians
WORDNET = re.compile(r"n\d{8}\s+(?:(\d{1,4})(?:\s+|$))?(.*)", re.ASCII)
# Headers of a CSV's columns.
NAME_COLUMNS = (
    "name",
    "class_name",
    "classname",
    "label_name",
    "class",
    "label",
    "category",
    "title",
    "names",
    "labels",
)
NUMBER_COLUMNS = ("id", "index", "idx", "class_id", "classid", "label_id", "number", "class_index", "")
# Keys of a JSON object, or of a model's metadata, that hold names.
NAME_KEYS = ("id2label", "names", "class_names", "classes", "labels", "label_names", "class_indices", "label2id")
STRING = r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\""""
YAML_NAMES = re.compile(r"^names:[ \t]*", re.MULTILINE)
YAML_ITEM = re.compile(r"\s*(?:-|(\d{1,7}):)\s+(\S.*)", re.ASCII)
LITERAL_ITEM = re.compile(rf"\s*(?:({STRING}|\d{{1,7}})\s*:\s*)?({STRING}|\d{{1,7}})\s*(?:,|$)")


def read_class_names(path: Path, notes: list[str]) -> tuple[str, ...]:
    """Return the class names in a file; what had to be assumed is added to the notes.

    Raises FileError where it can't be read, is no text, or leaves out a number.
    """
    text, note = read_text(path, "class names", MAX_BYTES)
    notes += [note] if note else []
    try:
        return names_from_text(text, is_csv=path.suffix.lower() in (".csv", ".tsv"))
    except ValueError as error:
        raise FileError(f"can't read the class names in {path}: {error}") from None


def names_from_text(text: str, *, is_csv: bool = False) -> tuple[str, ...]:
    """Return the class names in a text; raises ValueError where there are none, or some are missing.

    >>> names_from_text("1: dog\\r\\n0: cat\\r\\n\\r\\n"), names_from_text("{0: 'cat', 1: 'dog'}")
    (('cat', 'dog'), ('cat', 'dog'))
    >>> names_from_text("id,name\\n0,cat\\n1,dog\\n"), names_from_text("tench, Tinca tinca\\ngoldfish")
    (('cat', 'dog'), ('tench, Tinca tinca', 'goldfish'))
    """
    text = text.strip().removeprefix("\ufeff")
    if text.startswith("(") and text.endswith(")") and "\n" not in text:  # a Python tuple
        text = f"[{text[1:-1]}]"
    if text.startswith(("[", "{")):
        objects = [line.strip() for line in text.splitlines() if line.strip()]
        is_json_lines = len(objects) > 1 and all(line[0] == "{" and line[-1] == "}" for line in objects)
        return names_from_json([_parsed(line) for line in objects] if is_json_lines else _parsed(text))
    if (block := YAML_NAMES.search(text)) is not None:
        return _from_yaml(text[block.end() :])
    lines = [line.strip() for line in text.splitlines()]
    empty = next((number for number, line in enumerate(lines, 1) if not line), None)
    if empty is not None:
        raise ValueError(f"line {empty} is empty; expected a name in each line")
    if not lines:
        raise ValueError("it is empty; expected a name in each line")
    if (table := _from_table(lines, is_csv)) is not None:
        return table
    for pattern, number, name in ((NUMBERED, 1, 2), (NAME_NUMBER, 2, 1)):
        found = [match for line in lines if (match := pattern.fullmatch(line)) is not None]
        pairs = [(int(match[number]), _unquoted(match[name])) for match in found]
        is_marked = all(MARKED.match(line) for line in lines)
        if len(pairs) == len(lines) and (is_marked or max(pairs)[0] <= MAX_NUMBER_PER_LINE * len(lines)):
            problem = (
                "the numbers of its lines are not 0, 1, 2, ...; expected each once; put a name with a number in quotes"
            )
            return _checked_order(pairs, problem)
    return _from_wordnet(lines) or _from_plain(lines)


def names_from_json(value: Any) -> tuple[str, ...]:
    """Return the class names in a parsed JSON value; raises ValueError where it holds none.

    >>> names_from_json({"cat": 0, "dog": 1}), names_from_json({"id2label": {"1": "dog", "0": "cat"}})
    (('cat', 'dog'), ('cat', 'dog'))
    """
    if isinstance(value, Mapping):
        inner = next((value[key] for key in NAME_KEYS if isinstance(value.get(key), (Mapping, list))), None)
        if inner is not None:
            return names_from_json(inner)
        pairs = [(key, _second(name)) for key, name in value.items()]
        if pairs and all(isinstance(number, int) and not isinstance(number, bool) for _, number in pairs):
            pairs = [(number, name) for name, number in pairs]  # name -> index
        if pairs and all(
            str(number).isascii() and str(number).isdecimal() and _is_name(name) for number, name in pairs
        ):
            return _checked_order([(int(str(number)[:8]), str(name)) for number, name in pairs])
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        if all(map(_is_name, value)):
            return tuple(map(str, value))
        if all(isinstance(item, Mapping) and _is_name(item.get("name")) for item in value):
            names = [str(item["name"]) for item in value]
            for key in NUMBER_COLUMNS:
                numbers = [str(item.get(key)) for item in value]
                if all(number.isascii() and number.isdecimal() for number in numbers):
                    return _checked_order([(int(number[:8]), name) for number, name in zip(numbers, names)])
            return tuple(names)
        if all(_is_name(_second(item)) for item in value):
            return tuple(str(_second(item)) for item in value)
    raise ValueError("it holds no class names; expected a list of names, or a name for each number")


def _second(value: Any) -> Any:
    """Return the name of a pair of WordNet's number and a name, anything else as it is."""
    is_pair = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and _is_name(value[1])
    return value[1] if is_pair else value


def _from_yaml(text: str) -> tuple[str, ...]:
    """Return the names in the value of `names:`, one an indented line or a list in brackets."""
    if text[:1] in ("[", "{"):
        inside, closed, _ = text.partition("]" if text[0] == "[" else "}")
        if text[0] == "[" and not {"'", '"'} & set(inside):
            return names_from_json([name.strip() for name in inside[1:].split(",")])
        return names_from_json(_parsed(inside + closed))
    found = []
    for line in text.splitlines()[1:]:
        if line[:1] not in ("", " ", "-", "#"):  # the next key
            break
        if line.strip() and not line.lstrip().startswith("#"):
            found.append(YAML_ITEM.fullmatch(line.rstrip()))
    items = [item for item in found if item is not None]
    if not items or len(items) < len(found) or len({item[1] is None for item in items}) > 1:
        raise ValueError("its block names: is no list; expected '- cat' or '0: cat' in each line below it")
    names = [item[2].strip("'") if item[2][0] == "'" else _unquoted(item[2]) for item in items]
    if items[0][1] is None:
        return tuple(names)
    return _checked_order([(int(item[1]), name) for item, name in zip(items, names)])


def _from_wordnet(lines: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names behind WordNet's numbers and, where they count the lines, the classes'; None for other lines."""
    found = [match for line in lines if (match := WORDNET.fullmatch(line)) is not None]
    if len(found) < len(lines):
        return None
    if all(match[1] for match in found):
        pairs = [(int(match[1]), match[2] or match[0].split()[0]) for match in found]
        if ordered := _ordered(pairs):
            return ordered
    names = [match[0].split(None, 1)[1:] for match in found]
    return tuple(name[0] for name in names) if all(names) else None


def _from_plain(lines: list[str]) -> tuple[str, ...]:
    """Return a name a line, without the marks of a YAML list; of one line, the names between commas."""
    if len(lines) > 1 and all(line.startswith("- ") for line in lines):
        lines = [line[2:].strip() for line in lines]
    if len(lines) == 1 and '"' not in lines[0]:
        lines = [name.strip() for name in lines[0].split(",")]
    return tuple(map(_unquoted, lines))


def _is_name(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _parsed(text: str) -> Any:
    """Return JSON, or a Python literal of strings and integers: a list, or a dict."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    except ValueError as error:
        if text[-1:] != {"[": "]", "{": "}"}[text[0]] or "[" in text[1:2] or "{" in text[1:2]:
            raise ValueError(f"it is no JSON: {error}") from None
    items, inside, at = list[tuple[str, str]](), text[1:-1].strip(), 0
    while at < len(inside):
        found = LITERAL_ITEM.match(inside, at)
        if found is None or (found[1] is None) != (text[0] == "["):
            raise ValueError(f"it is no list and no dict of names, at {inside[at : at + 20]!r}")
        items.append((found[1] or "", found[2]))
        at = found.end()
    if text[0] == "[":
        return [_literal(value) for _, value in items]
    return {_literal(key): _literal(value) for key, value in items}


def _literal(text: str) -> Any:
    """Return a string or an integer that stands in a Python literal."""
    if text[0] not in "'\"":
        return int(text)
    try:
        return ast.literal_eval(text)
    except SyntaxError as error:  # NUL, an escape such as '\x'
        raise ValueError(f"{text[:20]!r} is no string: {error.msg}") from None


def _ordered(pairs: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """Return names in the order of their numbers, which are 0 ... n - 1 or 1 ... n; () where they are not."""
    by_number = dict(pairs)
    for first in (0, 1):
        if len(by_number) == len(pairs) and by_number.keys() == {*range(first, first + len(pairs))}:
            return tuple(by_number[number] for number in sorted(by_number))
    return ()


def _checked_order(
    pairs: Sequence[tuple[int, str]],
    problem: str = "its numbers are not 0, 1, 2, ...; expected one name for each class",
) -> tuple[str, ...]:
    if ordered := _ordered(pairs):
        return ordered
    raise ValueError(problem)


def _unquoted(name: str) -> str:
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name


def _from_table(lines: Sequence[str], is_csv: bool) -> tuple[str, ...] | None:
    """Return the names in a CSV with a header, None for other lines."""
    delimiter = next((mark for mark in "\t;," if mark in lines[0]), ",")
    try:
        rows = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise ValueError(f"it is no table and no list of names: {error}") from None
    header = [cell.strip().lower() for cell in rows[0]]
    name = next((header.index(column) for column in NAME_COLUMNS if column in header), None)
    alone = header in ([column] for column in NAME_COLUMNS)
    if len(rows) < 2 or name is None or (alone and not is_csv) or any(len(row) != len(header) for row in rows):
        if is_csv and all(len(row) == 1 for row in rows):
            return tuple(row[0].strip() for row in rows)
        return None
    number = next((header.index(column) for column in NUMBER_COLUMNS if column in header), None)
    names = [row[name].strip() for row in rows[1:]]
    if number is None or number == name or not all(row[number].strip().isdecimal() for row in rows[1:]):
        return tuple(names) if alone or is_csv else None
    numbers = [int(row[number]) for row in rows[1:]]
    if not (ordered := _ordered(list(zip(numbers, names)))):
        raise ValueError(f"its column '{rows[0][number]}' does not count the classes from 0; expected each number once")
    return ordered
