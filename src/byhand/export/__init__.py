"""A trained model as dependency-free C99: its steps, their text in float32 or int8, and what is lost on the way."""

from byhand.export.c import Exported, check_folder, to_c

__all__ = ["Exported", "check_folder", "to_c"]
