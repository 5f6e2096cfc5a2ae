"""The error tree: docstrings are default messages, codes are stable, facts are attributes."""

from __future__ import annotations

from typing import ClassVar


class RegistryError(Exception):
    """The registry could not do what was asked."""

    code: ClassVar[str] = "registry_error"

    def __init__(self, message: str | None = None, **facts: object) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))
        self.facts = facts

    def __getattr__(self, name: str) -> object:
        facts: dict[str, object] = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(name)


# ---------------------------------------------------------------- names


class BadName(RegistryError):
    """A name of a tenant, task, alias or file has 1 to 64 lower-case letters, digits, '.', '_' and
    '-', with a letter or digit first and last.
    """

    code = "bad_name"


class NotFound(RegistryError):
    """Nothing of that name exists."""

    code = "not_found"


class UnknownTask(NotFound):
    """No such task exists."""

    code = "unknown_task"


class UnknownVersion(NotFound):
    """The task has no such version."""

    code = "unknown_version"


class UnknownAlias(NotFound):
    """The task has no such alias."""

    code = "unknown_alias"


# ---------------------------------------------------------------- conflicts


class Conflict(RegistryError):
    """The registry's state does not allow this."""

    code = "conflict"


class AliasMoved(Conflict):
    """The alias no longer names the expected version."""

    code = "alias_moved"


class NothingToRollBack(Conflict):
    """The alias has no earlier version to go back to."""

    code = "nothing_to_roll_back"


class VersionInUse(Conflict):
    """An alias still names the version."""

    code = "version_in_use"


class FenceSpent(Conflict):
    """This publication already happened, and its version has since been deleted."""

    code = "fence_spent"


class NotEmpty(Conflict):
    """There is something already where a backup was to be restored."""

    code = "not_empty"


# ---------------------------------------------------------------- foreign files


class BadArtifact(RegistryError):
    """The adapter's files are refused."""

    code = "bad_artifact"


class BadFileName(BadArtifact):
    """A file name must be one plain name: letters, digits, dot, underscore and dash."""

    code = "bad_file_name"


class BadArchive(BadArtifact):
    """The archive is broken, or an entry of it is refused; nothing of it was unpacked."""

    code = "bad_archive"


class HubRefused(BadArtifact):
    """The hub does not have the adapter, or sends another than its commit names."""

    code = "hub_refused"


class HubUnavailable(RegistryError):
    """The hub that adapters are imported from does not answer."""

    code = "hub_unavailable"


class ForbiddenFile(BadArtifact):
    """A file of this name has no place in an adapter directory."""

    code = "forbidden_file"


class MissingFile(BadArtifact):
    """A file that every adapter directory needs is not there."""

    code = "missing_file"


class PickledWeights(BadArtifact):
    """The weights are pickled; only safetensors are read."""

    code = "pickled_weights"


class TooManyBytes(BadArtifact):
    """The adapter's files are larger than allowed."""

    code = "too_many_bytes"


class BadHeader(BadArtifact):
    """The safetensors header cannot be trusted."""

    code = "bad_header"


class BadTensor(BadArtifact):
    """A tensor's dtype, shape or place in the file is refused."""

    code = "bad_tensor"


class NonFiniteTensor(BadArtifact):
    """A tensor holds NaN or infinite values."""

    code = "non_finite_tensor"


class BadConfig(BadArtifact):
    """The adapter's configuration is refused."""

    code = "bad_config"


class RemoteCode(BadConfig):
    """The configuration asks for code of its own to be run."""

    code = "remote_code"


class WrongRank(BadConfig):
    """The rank of a tensor is not the rank that the configuration declares."""

    code = "wrong_rank"


class RankTooLarge(BadConfig):
    """The adapter's largest rank is above the limit."""

    code = "rank_too_large"


class BadManifest(RegistryError):
    """The manifest is not valid."""

    code = "bad_manifest"


# ---------------------------------------------------------------- storage


class StorageError(RegistryError):
    """The registry's storage failed."""

    code = "storage_failed"


class StorageFull(StorageError):
    """The registry's storage is full."""

    code = "storage_full"


class StorageReadOnly(StorageError):
    """The registry's data directory cannot be written."""

    code = "storage_read_only"


class StorageBusy(StorageError):
    """Another writer held the database for too long; try again."""

    code = "storage_busy"


class OutOfFiles(StorageError):
    """The server has as many files and connections open as it may; try again later."""

    code = "out_of_files"


class StorageUnavailable(StorageError):
    """The database or the object store cannot be reached; changes are refused until it is back."""

    code = "storage_unavailable"


class WrongSchema(StorageError):
    """The schema of the database is that of another release."""

    code = "wrong_schema"


class ObjectExists(StorageError):
    """There is a stored object of this name, and none is ever replaced."""

    code = "object_exists"


class BlobMissing(StorageError):
    """A stored file is gone."""

    code = "blob_missing"


class BlobCorrupt(StorageError):
    """A stored file no longer has the content it is named for."""

    code = "blob_corrupt"


class BackupUnusable(StorageError):
    """The backup is incomplete, or its content is not what its manifest records."""

    code = "backup_unusable"
