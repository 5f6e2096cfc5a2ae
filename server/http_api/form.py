"""Requests whose forms and JSON are parsed strictly: anything but UTF-8 is refused.

The web framework decodes a form by any charset that the caller names, some of which take minutes
for a megabyte, and falls back to Latin-1, so that wrong text would be stored.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import aclosing
from typing import Any
from urllib.parse import unquote_to_bytes

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.types import Receive, Scope

from server.errors import BadCall, BadParameter, UnsupportedMedia
from server.http_api.json_body import read_json_text

#: transfer encodings of a part that leave its bytes unchanged
_PLAIN = (b"", b"7bit", b"8bit", b"binary")


class StrictRequest(Request):
    """The request that routes get. `fields` and `files` are the names in the route's form."""

    def __init__(
        self, scope: Scope, receive: Receive, fields: Collection[str], files: Collection[str]
    ) -> None:
        super().__init__(scope, receive)
        self._fields, self._files = fields, files

    async def json(self) -> Any:
        """Raises BadCall."""
        return read_json_text(await self.body())

    async def _get_form(
        self,
        *,
        max_files: int | float = 1000,
        max_fields: int | float = 1000,
        max_part_size: int = 1024 * 1024,
    ) -> FormData:
        """Raises BadCall, BadParameter or UnsupportedMedia."""
        if self._form is None:
            kind, _ = parse_options_header(self.headers.get("content-type"))
            limits: dict[str, Any] = {"max_fields": max_fields, "max_part_size": max_part_size}
            try:
                async with aclosing(self.stream()) as stream:
                    if kind == b"multipart/form-data":
                        limits["max_files"] = max_files
                        self._form = await _Parts(self.headers, stream, **limits).parse()
                    elif kind == b"application/x-www-form-urlencoded":
                        self._form = await _Fields(self.headers, stream, **limits).parse()
                    else:
                        self._form = _empty_form(kind)
            except (MultiPartException, FormParserError) as error:
                message = getattr(error, "message", "it is malformed")
                raise BadCall(f"The form cannot be read: {message}") from None
            try:
                self._check_names(self._form)
            except BadParameter:
                await self._form.close()
                raise
        return self._form

    def _check_names(self, form: FormData) -> None:
        """Otherwise a misspelt field, or a second one of a name, would be ignored silently."""
        known = [*self._fields, *self._files]
        seen: set[str] = set()
        for name, value in form.multi_items():
            if name.partition("[")[0] not in {field.partition("[")[0] for field in known}:
                raise BadParameter(
                    f"The form has a field {name[:40]!r}; its fields are {', '.join(known)}.",
                    param=name[:40],
                )
            if name in self._files:
                if isinstance(value, str):
                    raise BadParameter(
                        f"The field {name} came as a text and must be a file; curl sends one as "
                        f"-F {name}=@NAME.",
                        param=name,
                    )
            elif name in seen:
                raise BadParameter(f"The form has the field {name} twice.", param=name)
            seen.add(name)


def check_charset(content_type: str | bytes) -> None:
    """Raises UnsupportedMedia for text in another charset than UTF-8."""
    _, options = parse_options_header(content_type)
    charset = options.get(b"charset", b"utf-8").decode("latin-1").strip("\"' ").lower()
    if charset not in ("utf-8", "utf8"):
        raise UnsupportedMedia(f"The charset is {charset[:40]!r}; only UTF-8 is read here.")


def _empty_form(kind: bytes) -> FormData:
    """The form of a request without a body. Raises UnsupportedMedia for a body that is no form."""
    if kind:
        media_type = kind[:40].decode("latin-1")
        raise UnsupportedMedia(f"The body is {media_type!r}; send it as multipart/form-data.")
    return FormData()


class _Parts(MultiPartParser):
    """`multipart/form-data`."""

    _has_ended = False

    async def parse(self) -> FormData:
        form = await super().parse()
        if not self._has_ended:
            for file in self._files_to_close_on_error:
                file.close()
            raise BadCall("The form ends before its closing boundary, so it is not whole.")
        return form

    def on_end(self) -> None:
        self._has_ended = True
        super().on_end()

    def on_headers_finished(self) -> None:
        for name, value in self._current_part.item_headers:
            if name == b"content-type":
                check_charset(value)
            elif name == b"content-transfer-encoding" and value.strip().lower() not in _PLAIN:
                encoding = value[:40].decode("latin-1")
                raise UnsupportedMedia(f"A part of the form is encoded as {encoding!r}.")
        _, options = parse_options_header(self._current_part.content_disposition)
        for value in options.values():
            _check_text(value, "a name in the form")
        super().on_headers_finished()

    def on_part_end(self) -> None:
        if self._current_part.file is None:
            _check_text(self._current_part.data, f"the field {self._current_part.field_name[:40]}")
        super().on_part_end()


class _Fields(FormParser):
    """`application/x-www-form-urlencoded`."""

    def on_field_end(self) -> None:
        for raw in (self._field_name, self._field_value):
            _check_text(unquote_to_bytes(bytes(raw)), "a field of the form")
        super().on_field_end()


def _check_text(raw: bytes | bytearray, where: str) -> None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise BadCall(f"What {where} holds is not UTF-8.") from None
    if "\0" in text:
        raise BadCall(f"What {where} holds has a NUL in it, which is not text.")
