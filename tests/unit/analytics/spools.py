"""What the spool's tests share: reading all there is, looking at the files, a disk that is full."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from analytics.types import UsageRow


@contextmanager
def full_disk(*, after_bytes=0) -> Iterator[None]:
    """No file may grow beyond `after_bytes` meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def segments(folder):
    return sorted(int(path.stem) for path in folder.glob("*.jsonl"))


def size(folder):
    return sum(path.stat().st_size for path in folder.glob("*.jsonl"))


def read_all(reader):
    """Every line the reader has before it, accepted."""
    lines, unreadable = [], []
    while (batch := reader.next_batch()) is not None:
        lines += batch.lines
        unreadable += batch.unreadable
        reader.accept(batch)
    return lines, unreadable


def settled_ids(reader):
    return [line.id for line in read_all(reader)[0] if isinstance(line, UsageRow)]
