"""Uploads in the way that clients prefer where hf_xet is installed: chunks, xorbs and shards.

A client cuts files into chunks, packs chunks that are new into xorbs, and sends a shard that says
of which chunks each file is made. See https://huggingface.co/docs/xet/upload-protocol, /xorb and
/shard. Here nothing is deduplicated between uploads, and what a shard describes is put together at
once and kept under its SHA-256, as if it had come by git-lfs. The Hub names no Xet hash, so that
downloads are plain HTTP.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .exchange import HubError, Request, Response, reply
from .repositories import readable, writable
from .routing import REPO, route
from .storage import write

if TYPE_CHECKING:
    from .server import LoopbackHub

ENTRY = 48
"""Bytes of every header and entry in a shard."""

VERIFIED, DESCRIBED = 1 << 31, 1 << 30
"""Flags of a file in a shard: with one more entry for each segment; with one more at the end."""


@route("GET", f"/api/{REPO}/xet-write-token/([^/]+)")
def write_token(
    hub: LoopbackHub, request: Request, kind: str, name: str, revision: str
) -> Response:
    """Give a token for the storage, to who may write or opens a pull request."""
    (readable if request.flag("create_pr") else writable)(hub, request, kind, name)
    token, end = secrets.token_hex(8), int(time.time()) + 3600
    hub.xet_tokens.add(token)
    headers = {"Cas-Url": hub.storage_url, "Access-Token": token, "Token-Expiration": str(end)}
    values = {"casUrl": hub.storage_url, "accessToken": token, "exp": end}
    return reply(values, headers={f"X-Xet-{key}": value for key, value in headers.items()})


def check_token(hub: LoopbackHub, request: Request) -> None:
    """Refuse who has no token of `write_token`."""
    if request.headers.get("authorization", "").removeprefix("Bearer ") not in hub.xet_tokens:
        raise HubError(401, "Invalid Xet token.")


@route("GET", r"/v1/chunks/default(?:-merkledb)?/[0-9a-f]{64}", host="storage")
def known_chunk(hub: LoopbackHub, request: Request) -> Response:
    """Say that a chunk is not known."""
    return Response(404)


@route("POST", r"/v1/xorb-grants/default/([0-9a-f]{64})", host="storage")
def grant(hub: LoopbackHub, request: Request, name: str) -> Response:
    """Note what is to come, and say that it is to be sent here and nowhere else."""
    asked = request.json()
    hub.announced[name] = (asked["length"], int(asked["checksum"]["value"]))
    return Response(404)


@route("POST", r"/v1/telemetry", host="storage")
def telemetry(hub: LoopbackHub, request: Request) -> Response:
    """Take note of nothing."""
    return reply({})


@route("POST", r"/v1/xorbs/default/([0-9a-f]{64})", host="storage")
def xorb(hub: LoopbackHub, request: Request, name: str) -> Response:
    """Keep a xorb, if it is the one that was announced and its chunks can be read."""
    check_token(hub, request)
    if (len(request.body), crc64(request.body)) != hub.announced[name]:
        raise HubError(400, "The xorb is not the one that was announced.")
    try:
        chunks = list(unpack(request.body))
    except (ValueError, OSError, struct.error) as error:
        raise HubError(400, "The xorb is damaged.") from error
    path = _xorb_path(hub, name)
    fresh = not path.is_file()
    write(path, request.body)
    return reply({"was_inserted": fresh, "chunks": len(chunks)})


@route("POST", r"/v2/shards", host="storage")
def shard_with_progress(hub: LoopbackHub, request: Request) -> Response:
    """Say that only the first version of this is known."""
    return Response(404)


@route("POST", r"/v1/shards", host="storage")
def shard(hub: LoopbackHub, request: Request) -> Response:
    """Put the files of a shard together."""
    check_token(hub, request)
    try:
        files = list(files_of(request.body))
    except (ValueError, struct.error) as error:
        raise HubError(400, "The shard is damaged.") from error
    for segments in files:
        data = b""
        for name, start, stop in segments:
            path = _xorb_path(hub, name)
            if not path.is_file():
                raise HubError(400, f"There is no xorb {name}.")
            data += b"".join(list(unpack(path.read_bytes()))[start:stop])
        write(hub.storage.lfs_path(hashlib.sha256(data).hexdigest()), data)
    return reply({"result": 1})


def _xorb_path(hub: LoopbackHub, name: str) -> Path:
    return hub.storage.root / "xorbs" / name


def _crc64_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x9A6C9329AC4BC9B5 if value & 1 else 0)
        table.append(value)
    return table


CRC64 = _crc64_table()


def crc64(data: bytes) -> int:
    """Return the checksum CRC-64/NVME."""
    value = 2**64 - 1
    for byte in data:
        value = CRC64[(value ^ byte) & 255] ^ value >> 8
    return value ^ 2**64 - 1


def unpack(data: bytes) -> Iterator[bytes]:
    """Yield the chunks of a xorb."""
    place = 0
    while place < len(data):
        version, scheme = data[place], data[place + 4]
        size = int.from_bytes(data[place + 1 : place + 4], "little")
        whole = int.from_bytes(data[place + 5 : place + 8], "little")
        packed = data[place + 8 : place + 8 + size]
        if version != 0 or len(packed) != size:
            raise ValueError("this is no chunk")
        chunk = _decompress(packed, scheme, whole)
        if len(chunk) != whole:
            raise ValueError("a chunk has another size than it says")
        yield chunk
        place += 8 + size


def _decompress(packed: bytes, scheme: int, size: int) -> bytes:
    """Undo one of the three schemes: none, LZ4, and LZ4 of bytes grouped by place modulo 4."""
    if scheme == 0:
        return packed
    import pyarrow as pa

    data = bytes(pa.decompress(packed, decompressed_size=size, codec="lz4"))
    if scheme == 1:
        return data
    grouped, chunk, start = np.frombuffer(data, np.uint8), np.empty(size, np.uint8), 0
    for offset in range(4):
        width = len(range(offset, size, 4))
        chunk[offset::4] = grouped[start : start + width]
        start += width
    return chunk.tobytes()


def files_of(data: bytes) -> Iterator[list[tuple[str, int, int]]]:
    """Yield the segments of each file in a shard: a xorb, its first chunk, the one after the last.

    After a header come the files, each a header and its entries, until a hash of ones.
    """
    place = ENTRY
    while (head := data[place : place + ENTRY])[:32] != b"\xff" * 32:
        if len(head) < ENTRY:
            raise ValueError("the shard ends too soon")
        flags, count = struct.unpack_from("<II", head, 32)
        segments = []
        for number in range(count):
            entry = data[place + ENTRY * (number + 1) :][:ENTRY]
            *words, _, _, start, stop = struct.unpack("<4Q4I", entry)
            segments.append(("".join(f"{word:016x}" for word in words), start, stop))
        yield segments
        entries = 1 + count * (2 if flags & VERIFIED else 1) + bool(flags & DESCRIBED)
        place += ENTRY * entries
