"""Translates the content of a message, a string or a list of parts, into blocks.

Parts of a type that OpenAI's dialect does not have are Anthropic's own and pass as they are.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from providers.dialects.anthropic.reading import refusal, said, with_others, wrong_type
from providers.dialects.anthropic.unsupported import leave_out

Block = dict[str, Any]

_CACHE_HINT = "prompt_cache_breakpoint"
"""OpenAI's mark for its own cache, as silent as `prompt_cache_key`."""
_CACHE_CONTROL = "cache_control"
_UNMARKED = ("thinking", "redacted_thinking")
"""Blocks on which the vendor refuses the mark."""
_IN_TEXT = frozenset({"type", "text", _CACHE_HINT})
_IN_REFUSAL = frozenset({"type", "refusal", _CACHE_HINT})
_IN_IMAGE = frozenset({"type", "image_url", _CACHE_HINT})
_IN_IMAGE_URL = frozenset({"url", "detail"})
_IN_FILE = frozenset({"type", "file", _CACHE_HINT})
_IN_FILE_DATA = frozenset({"file_data", "file_id", "filename"})


def blocks_of(content: object, *, at: str, warnings: list[str]) -> list[Block]:
    """The blocks of a message's content; none for text without a word in it, which the vendor refuses."""
    if isinstance(content, str):
        return text_blocks(content)
    if not isinstance(content, list):
        raise wrong_type(at, f"{at} must be a string or a list of parts.", found=content)
    blocks: list[Block] = []
    for index, part in enumerate(content):
        made = _translated(part, at=f"{at}[{index}]", warnings=warnings)
        blocks += made
        if not made and part.get(_CACHE_CONTROL) is not None:
            _mark_last(blocks, part[_CACHE_CONTROL], warnings=warnings)
    return blocks


def _mark_last(blocks: list[Block], mark: object, *, warnings: list[str]) -> None:
    """What a text without a word in it was to end for the cache, the block before it ends."""
    if blocks and blocks[-1].get("type") not in _UNMARKED:
        blocks[-1] = {_CACHE_CONTROL: mark} | blocks[-1]
    else:
        leave_out(f"{_CACHE_CONTROL} of a blank text", warnings=warnings)


def text_blocks(text: str) -> list[Block]:
    return [{"type": "text", "text": text}] if text and not text.isspace() else []


def _translated(part: object, *, at: str, warnings: list[str]) -> list[Block]:
    if not isinstance(part, dict):
        raise wrong_type(at, f"{at} must be an object with a type.", found=part)
    kind = part.get("type")
    if not isinstance(kind, str):
        raise wrong_type(f"{at}.type", f"{at}.type is missing: say what the part is, such as text.", found=kind)
    translate = _TRANSLATIONS.get(kind)
    return translate(part, at=at, warnings=warnings) if translate else [part]


def _text(part: Mapping[str, Any], *, at: str, warnings: list[str]) -> list[Block]:
    return _spoken(part, part.get("text"), at=f"{at}.text", named=_IN_TEXT)


def _refused(part: Mapping[str, Any], *, at: str, warnings: list[str]) -> list[Block]:
    return _spoken(part, part.get("refusal"), at=f"{at}.refusal", named=_IN_REFUSAL)


def _spoken(part: Mapping[str, Any], text: object, *, at: str, named: frozenset[str]) -> list[Block]:
    if not isinstance(text, str):
        raise wrong_type(at, f"{at} must be a string.", found=text)
    return [with_others(block, part, named=named) for block in text_blocks(text)]


def _image(part: Mapping[str, Any], *, at: str, warnings: list[str]) -> list[Block]:
    image, at = part.get("image_url"), f"{at}.image_url"
    if not isinstance(image, dict):
        at = f"{at}.url"
        message = f"{at} is missing: send a data: or http(s) URL."
        # Some vendors take the URL alone.
        raise refusal(at, message) if isinstance(image, str) else wrong_type(at, message, found=image)
    if image.get("detail") not in (None, "auto"):
        leave_out("image_url.detail", warnings=warnings)
    url = said(image.get("url"), at=f"{at}.url")
    block = {"type": "image", "source": _linked(url) or _embedded(url, at=f"{at}.url")}
    return [with_others(with_others(block, part, named=_IN_IMAGE), image, named=_IN_IMAGE_URL)]


def _document(part: Mapping[str, Any], *, at: str, warnings: list[str]) -> list[Block]:
    file, at = part.get("file"), f"{at}.file"
    if not isinstance(file, dict):
        raise wrong_type(at, f"{at} must be an object with file_data or file_id.", found=file)
    block: Block = {"type": "document", "source": _file_source(file, at=at)}
    if file.get("filename") is not None:
        block["title"] = file["filename"]
    return [with_others(with_others(block, part, named=_IN_FILE), file, named=_IN_FILE_DATA)]


def _file_source(file: Mapping[str, Any], *, at: str) -> Block:
    if file.get("file_data") is None and file.get("file_id") is not None:
        return {"type": "file", "file_id": said(file["file_id"], at=f"{at}.file_id")}
    at = f"{at}.file_data"
    url = said(file.get("file_data"), at=at)
    if source := _linked(url):
        return source
    if url[:15].lower() == "data:text/plain":
        return {"type": "text", "media_type": "text/plain", "data": _decoded(url, at=at)}
    return _embedded(url, at=at)


def _audio(part: Mapping[str, Any], *, at: str, warnings: list[str]) -> list[Block]:
    raise refusal(f"{at}.input_audio", f"Anthropic's models cannot hear: leave {at} (input_audio) out.")


def _linked(url: str) -> Block | None:
    return {"type": "url", "url": url} if url[:8].lower().startswith(("http://", "https://")) else None


def _embedded(url: str, *, at: str) -> Block:
    media_type, is_base64, data = _split(url, at=at)
    if not is_base64 or "/" not in media_type:
        raise refusal(at, f"{at} must be a data: URL with a media type and base64, or an http(s) URL.")
    return {"type": "base64", "media_type": media_type, "data": data}


def _split(url: str, *, at: str) -> tuple[str, bool, str]:
    """A data URL's media type, whether it is in base64, and its data (RFC 2397)."""
    head, _, data = url.partition(",")
    scheme, _, kind = head.partition(":")
    if scheme.lower() != "data" or not data:
        raise refusal(at, f"{at} must be a data: URL that holds data, or an http(s) URL.")
    media_type, *parameters = kind.lower().split(";")
    return media_type, "base64" in parameters, data


def _decoded(url: str, *, at: str) -> str:
    _, is_base64, data = _split(url, at=at)
    try:
        return (base64.b64decode(data, validate=True) if is_base64 else unquote_to_bytes(data)).decode()
    except (binascii.Error, ValueError) as error:
        raise refusal(at, f"{at} must hold text in UTF-8.") from error


_TRANSLATIONS: Mapping[str, Callable[..., list[Block]]] = {
    "text": _text,
    "refusal": _refused,
    "image_url": _image,
    "file": _document,
    "input_audio": _audio,
}
