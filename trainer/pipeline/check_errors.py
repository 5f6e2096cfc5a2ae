"""What can go wrong with the check of files, beside the files: they take too much of something."""

from __future__ import annotations

from trainer.errors import BadDataset, TrainerError


class TooMuchMemory(BadDataset):
    """The files need more memory to be read than they may take."""

    code = "too_much_memory"


class TooMuchTime(BadDataset):
    """The files take longer to be read than they may."""

    code = "too_much_time"


class ReaderCrashed(BadDataset):
    """The process that read the files crashed over them; nothing else was harmed."""

    code = "reader_crashed"


class CheckCancelled(TrainerError):
    """Whoever asked for the check is gone."""

    code = "check_cancelled"


class CheckFailed(TrainerError):
    """The check was ended from outside before it was done; try again."""

    code = "check_failed"
    retry_after_s = 5.0
