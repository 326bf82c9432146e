"""Options of tables on the command line, and data sets whose folder holds byhand's own runs."""

import json

import byhand as bh
from byhand.cli.column_options import table_options
from byhand.cli.training_setup import find_as_trained
from tests.cli.run_cli import byhand, refuses
from tests.data.image_folders import COLORS, write_image_folder

QUICK = ("--model", "tiny", "--epochs", 1, "--lr", 0.02, "--batch-size", 3)


def write_table(folder):
    """Write images below folder/images, and beside them a table whose columns must be told."""
    write_image_folder(folder / "images", 4, size=(16, 16))
    rows = [f"{name}/{n}.png,{name},{n},{n % 2 + 1}" for name in COLORS for n in range(4)]
    (folder / "tables").mkdir()
    path = folder / "tables" / "set.csv"
    path.write_text("\n".join(["file,color,size,fold", *rows]))
    return path


def test_a_run_remembers_the_options_of_its_table(tmp_path):
    table = write_table(tmp_path)
    refuses(tmp_path, "--image-folder", "train", table, *QUICK)
    given = ("--image-folder", "images", "--label-column", "color", "--validation-fold", 2)
    done = byhand("train", "tables/set.csv", *given, *QUICK, "--output", "run", folder=tmp_path)
    assert done.code == 0, done.err
    assert "set.csv: column 'file' names the images, 'color' the classes, 'fold' the splits" in done.out
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    options = table_options(settings)
    assert options.label_column == "color" and options.validation_fold == "2"
    sets = find_as_trained(settings, bh.load(tmp_path / "run")).sets()
    assert len(sets.train) == len(sets.val) == 6 and sets.digest() == settings["data_sha256"]


def test_options_are_named_where_a_table_leaves_two_meanings(tmp_path):
    table = write_table(tmp_path)
    refuses(tmp_path, "no column of labels was recognized: its header is", "data", table, "--image-folder", "images")
    refuses(tmp_path, "there is no folder", "data", table, "--image-folder", "nowhere")
    refuses(tmp_path, "there is no fold 7", "data", table, "--image-folder", "images", "--validation-fold", 7)
    refuses(tmp_path, "--split-column is for tables", "data", tmp_path / "images", "--split-column", "fold")


def test_training_in_the_folder_of_the_data_leaves_the_data_as_it_is(tmp_path):
    write_image_folder(tmp_path, 4, size=(16, 16))
    for command in (("train", ".", *QUICK), ("data", ".")):
        assert byhand(*command, folder=tmp_path).code == 0
    told = json.loads(byhand("data", ".", "--json", "--output", "sheet.png", folder=tmp_path).out)
    assert told["counts"] == {"all": dict.fromkeys(COLORS, 4)}
    assert any("made by byhand, no data: left out: " in note and "runs/tiny-" in note for note in told["notes"])
