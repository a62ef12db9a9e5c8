"""Where everything is opened, written and locked: on disk, and in object stores."""

from infra.storage.errors import StoreError, StoreRefusal, disk_errors, writing
from infra.storage.files import (
    TEMPORARY,
    commit_file,
    copy_file,
    move_file,
    new_file,
    new_folder,
    read_json,
    read_range,
    readable,
    remove_folder,
    remove_temporaries,
    sizes_in,
    sync_file,
    sync_files,
    sync_folder,
    temporary_name,
    write_bytes,
)
from infra.storage.lock import check_locked, is_locked, lock, token_of, write_last
from infra.storage.objects import MAGIC, ObjectPath, ObjectRanges, Place, check_bucket_named, place
from infra.storage.scratch import scratch_folder
from infra.storage.shards import commit_shard, written_for

__all__ = [
    "MAGIC",
    "TEMPORARY",
    "ObjectPath",
    "ObjectRanges",
    "Place",
    "StoreError",
    "StoreRefusal",
    "check_bucket_named",
    "check_locked",
    "commit_file",
    "commit_shard",
    "copy_file",
    "disk_errors",
    "is_locked",
    "lock",
    "move_file",
    "new_file",
    "new_folder",
    "place",
    "read_json",
    "read_range",
    "readable",
    "remove_folder",
    "remove_temporaries",
    "scratch_folder",
    "sizes_in",
    "sync_file",
    "sync_files",
    "sync_folder",
    "temporary_name",
    "token_of",
    "write_bytes",
    "write_last",
    "writing",
    "written_for",
]
