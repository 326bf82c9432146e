"""Image files and their classes from folders: a folder a class, below train/, val/ and test/ or not."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from byhand.data.class_names import case_twins_note, class_name
from byhand.data.discovered_files import DiscoveredFiles, count_of
from byhand.data.folder_tree import Folder, is_run_folder, read_folder_tree
from byhand.data.image_formats import ADVICE
from byhand.data.split_names import ORDER, purpose, splits_of
from byhand.errors import FileError
from byhand.text import abbreviate, printable

LAYOUT = "a folder a class (FOLDER/cat/1.jpg), or train/, val/ and test/ with such folders"
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".psv", ".txt", ".lst", ".list", ".jsonl", ".ndjson")
IMAGE_FOLDERS = {"image", "images", "img", "imgs", "jpegimages"}  # beside masks: the pictures of a segmentation set
MASK_FOLDERS = {"mask", "masks", "annotation", "annotations", "segmentation", "segmentations", "segmentationclass"}
MASK_FOLDERS |= {"ground_truth", "groundtruth", "labels", "label"}
MAX_LINK_NOTES = 3  # more links to known folders get one line
MAX_WRAPPERS = 8  # folders around a data set, each the only one in the one above


def discover_folders(root: Path) -> DiscoveredFiles:
    """Return the images below a folder: `root/cat/*`, or `root/train/cat/*`, `root/val/cat/*` and `root/test/cat/*`.

    Names of splits count where all folders that hold images are splits, one of them for training. An image deeper down
    belongs to the class at the top. A folder that holds all others alone is entered. Links are followed, never in a circle.
    Raises FileError where no image is in a class's folder, and where splits and classes can't be told apart.
    """
    tree = read_folder_tree(root)
    found = DiscoveredFiles(printable(root.resolve().name) or "images", root)
    found.bad += [(found.shown(path), reason) for path, reason in tree.bad]
    top = _unwrapped(tree.root)
    splits = _split_folders(top, found)
    class_first = None if splits else _splits_in_classes(top)
    if splits:
        _add_splits(splits, found)
        if top.images:
            found.notes.append(_loose_note(top))
        _add_other_folders_note(top, splits, found)
    elif class_first:
        _add_splits_in_classes(class_first, found)
    else:
        _refuse_masks(top, root)
        _add_classes(top, "all", found)
        found.notes.insert(0, f"each folder of {printable(top.name) or found.name} is a class")
    if top is not tree.root:
        found.notes[0] += f" ({found.shown(top.path)} is the only folder with images)"
        if tree.root.images:
            found.notes.append(_loose_note(tree.root))
    training = found.parts.get("train") or found.parts.get("all")
    if not training:
        raise FileError(_no_class_message(tree.root, top, root))
    if len({label for _, label in training}) < 2 and (hint := _table_hint(tree.root)):
        raise FileError(f"{root} has only the class {training[0][1]!r}; expected {LAYOUT}{hint}")
    found.notes += _link_notes([found.shown(link) for link in tree.links])
    if own := [found.shown(path) for folder in tree.root.walk() for path in folder.own]:
        found.notes.append(f"made by byhand, no data: left out: {abbreviate(own)}")
    if note := case_twins_note(found.labels):
        found.notes.append(note)
    return found


def image_files_below(folder: Path) -> list[Path]:
    """Return every image file below a folder, in natural order."""
    return read_folder_tree(folder).root.images_below()


def _unwrapped(folder: Folder) -> Folder:
    """Return the folder of the splits or classes: the one below, where it alone holds images and has several such folders."""
    inner = folder
    for _ in range(MAX_WRAPPERS):
        if (
            (inner.images and inner is not folder)
            or len(inner.filled) != 1
            or splits_of([inner.filled[0].name]) == ["train"]
        ):
            break
        inner = inner.filled[0]
    return inner if len(inner.filled) > 1 or splits_of([child.name for child in inner.filled]) == ["train"] else folder


def _inside(folder: Folder) -> Folder:
    """Return the folder of a split's classes: `train/train/cat` is as good as `train/cat`."""
    inner = folder.filled[0] if not folder.images and len(folder.filled) == 1 else folder
    if len(inner.filled) > 1 or inner.name == folder.name:
        return inner
    return folder


# splits ---------------------------------------------------------------------------------------------------------------


def _split_folders(top: Folder, found: DiscoveredFiles) -> list[tuple[str, Folder]]:
    """Return the folders that are splits, or none where they are classes."""
    folders = top.filled
    named = list(zip(splits_of([folder.name for folder in folders]), folders))
    splits = [(split, folder) for split, folder in named if split is not None]
    others = [folder for split, folder in named if split is None]
    training = [_inside(folder) for split, folder in splits if split == "train"]
    if not training:
        return []
    names = {child.name for folder in training for child in folder.filled}
    shared = {child.name for split, folder in splits if split != "train" for child in _inside(folder).filled} & names
    if not others or (len(splits) > len(training) and (len(names) > 1 or shared)):
        return splits
    shown, beside = _shown(training), _shown(others)
    nested = {child.name for folder in others for child in folder.filled}
    if len(names) > 1 and (names & nested or not nested):
        raise FileError(
            f"{found.root}: is {shown} a split (it holds the folders {abbreviate(sorted(names), 3)}) or a class, as "
            f"{beside} beside it? Give {training[0].path} alone as the data, or rename it if it is a class"
        )
    if not nested and None not in splits_of([folder.name for folder in others]):
        raise FileError(
            f"{found.root}: {shown}, {beside} are called as the splits of several data sets; expected {LAYOUT}, of one"
        )
    found.notes.append(f"{shown} is taken for a class: {beside} beside it {_are(others)} no split")
    return []


def _add_splits(splits: Sequence[tuple[str, Folder]], found: DiscoveredFiles) -> None:
    ordered = sorted(splits, key=lambda entry: ORDER.index(entry[0]))
    for split, folder in ordered:
        _add_classes(_inside(folder), split, found)
    told = [purpose(split, f"{printable(folder.name)}/") for split, folder in ordered]
    found.notes.insert(0, f"{', '.join(told)}: each folder in them is a class")


def _add_other_folders_note(top: Folder, splits: Sequence[tuple[str, Folder]], found: DiscoveredFiles) -> None:
    used = {folder.path for _, folder in splits}
    if others := [printable(folder.name) for folder in top.folders if folder.path not in used]:
        training = next(folder for split, folder in splits if split == "train")
        found.notes.append(f"beside {printable(training.name)}/ there is also {abbreviate(others)}: left out")


def _splits_in_classes(top: Folder) -> list[tuple[str, Folder, Folder]] | None:
    """Return (split, class, folder) where each class has splits, as in `cat/train` and `cat/test`; else None."""
    found = []
    for folder in top.filled:
        splits = splits_of([child.name for child in folder.filled])
        if folder.images or len(splits) < 2 or None in splits or "train" not in splits:
            return None
        found += [(split, folder, child) for split, child in zip(splits, folder.filled) if split is not None]
    return found or None


def _add_splits_in_classes(places: Sequence[tuple[str, Folder, Folder]], found: DiscoveredFiles) -> None:
    ordered = sorted(places, key=lambda place: ORDER.index(place[0]))
    for split, folder, child in ordered:
        label = class_name(folder.name)
        found.parts.setdefault(split, []).extend((path, label) for path in child.images_below())
    told = dict.fromkeys(purpose(split, f"{printable(child.name)}/") for split, _, child in ordered)
    found.notes.append(f"each folder is a class, and in it {', '.join(told)}")


# classes --------------------------------------------------------------------------------------------------------------


def _add_classes(top: Folder, split: str, found: DiscoveredFiles) -> None:
    """Add the images of each class's folder, and notes on what belongs to no class."""
    _refuse_repeated_folders(top, found)
    pairs, nested, empty = found.parts.setdefault(split, []), list[str](), list[Folder]()
    owners: dict[str, list[str]] = {}
    for folder in top.folders:
        label = class_name(folder.name)
        pairs += [(path, label) for path in folder.images_below()]
        if folder.total:
            owners.setdefault(label, []).append(found.shown(folder.path))
        nested += [found.shown(child.path) for child in folder.filled]
        if not folder.total and not any(child.own for child in folder.walk()):
            empty.append(folder)
    for label, names in owners.items():
        if len(names) > 1:
            found.notes.append(f"{len(names)} folders have the same name, written otherwise: one class, {label}")
    if nested:
        found.notes.append(f"folders inside a class belong to it: {abbreviate(nested, 3)}")
    if empty:
        told = [f"{found.shown(folder.path)}{_kinds(folder)}" for folder in empty]
        what = "the folder" if len(told) == 1 else f"{len(told):,} folders:"
        found.notes.append(f"{what} {abbreviate(told)} {'holds' if len(told) == 1 else 'hold'} no image: left out")
    others = sum((folder.kinds_below() for folder in top.filled), start=Counter[str]())
    if others:
        kinds = abbreviate([_count_of_kind(ending, count) for ending, count in others.most_common()])
        found.notes.append(f"files that are no images by their names are left out: {kinds}")
    if top.images:
        found.notes.append(_loose_note(top))


def _refuse_repeated_folders(top: Folder, found: DiscoveredFiles) -> None:
    """Raise a FileError where folders beside each other hold folders of the same names: folds or sites, perhaps, of classes."""
    inside = {folder.name: _names_inside(folder) for folder in top.filled if not folder.images}
    for name, names in inside.items():
        if len(twins := names & {folder.name for folder in top.filled if folder.name != name}) > 1:
            shown = abbreviate([f"{printable(twin)}/" for twin in sorted(twins)], 3)
            raise FileError(
                f"{found.root}: {printable(name)}/ holds folders of the same names as those beside it, {shown}: a copy? Remove "
                f"it, or give {top.path / name} alone as the data"
            )
    counted = Counter(name for names in inside.values() for name in names)
    repeated = {name for name, count in counted.items() if count > 1}
    holders = [folder for folder in top.filled if len(inside.get(folder.name, set()) & repeated) > 1]
    if len(holders) > 1:
        above, below = _shown(holders), abbreviate([printable(name) for name in sorted(repeated)], 3)
        raise FileError(
            f"{found.root}: {above} hold folders of the same names, {below}: which are the classes? If {below}, put the images "
            f"of each into one folder, or into a table of path, label and fold; if {above}, move the images up into them"
        )


def _names_inside(folder: Folder) -> set[str]:
    """Return the names of the folders inside a folder, or inside the one that it alone holds."""
    while not folder.images and len(folder.filled) == 1:
        folder = folder.filled[0]
    return {child.name for child in folder.filled}


def _refuse_masks(top: Folder, root: Path) -> None:
    names = {folder.name.lower(): folder for folder in top.filled}
    images, masks = names.keys() & IMAGE_FOLDERS, names.keys() & MASK_FOLDERS
    if images and masks:
        shown = " and ".join(f"{printable(names[name].name)}/" for name in (min(images), min(masks)))
        raise FileError(
            f"{root}: {shown} look like pictures and their masks, not like two classes; expected {LAYOUT}; "
            "rename the folders if they are classes"
        )


def _no_class_message(whole: Folder, top: Folder, root: Path) -> str:
    """Return why a folder can't be trained on, and the tables in it that may tell the classes."""
    flat = [folder for folder in (top, *top.filled) if folder.images]
    flat.sort(key=lambda folder: splits_of([folder.name]) != ["train"])
    held = "no image is in a class's folder"
    if flat:
        name = "it" if flat[0] is top else f"{printable(flat[0].name)}/"
        held = f"{name} holds {count_of(flat[0].images)}, but no folder of a class"
    if is_run_folder(root):
        held = "it is the folder of a training"
    kinds, advice = "", ""
    if not whole.total:
        kinds = _kinds(whole)
        endings = [ending for ending, _ in whole.kinds_below().most_common() if ending in ADVICE]
        advice = f"; {ADVICE[endings[0]]}" if endings else ""
    return f"{root} can't be trained on: {held}{kinds}{advice}; expected {LAYOUT}{_table_hint(whole)}"


def _table_hint(folder: Folder) -> str:
    """Return advice to give a table that lies in a folder or below it, where there is one; test.csv seldom has labels."""
    paths = [path for below in folder.walk() for path in below.others]
    tables = [path for path in paths if path.suffix.lower() in TABLE_SUFFIXES and path.suffix.lower() != ".txt"]
    if not tables:
        return ""
    table = min(tables, key=lambda path: (path.stem.lower().startswith(("test", "sample")), len(path.parts)))
    return f"; does {printable(table.name)} name the classes? Then give it: {printable(str(table))}"


def _link_notes(links: Sequence[str]) -> list[str]:
    """Return a note for each folder that links to one that was seen already; one for all where they are many."""
    if len(links) > MAX_LINK_NOTES:
        return [f"{len(links)} folders link to ones that were seen already: left out: {abbreviate(links)}"]
    return [f"the folder {link} links to one that was seen already: left out" for link in links]


def _loose_note(folder: Folder) -> str:
    verb = "belong to" if len(folder.images) > 1 else "belongs to"
    return f"{count_of(folder.images)} directly in {printable(folder.path.resolve().name)} {verb} no class: left out"


def _kinds(folder: Folder) -> str:
    """Return the kinds of the other files of a folder, in brackets."""
    kinds = [_count_of_kind(ending, count) for ending, count in folder.kinds_below().most_common()]
    return f" ({abbreviate(kinds, 3)})" if kinds else ""


def _shown(folders: Sequence[Folder]) -> str:
    return abbreviate([f"{printable(folder.name)}/" for folder in folders], 3)


def _are(folders: Sequence[Folder]) -> str:
    return "are" if len(folders) > 1 else "is"


def _count_of_kind(ending: str, count: int) -> str:
    return f"{count:,} {ending}" if ending else f"{count:,} without an ending"
