"""Protocol buffers' text format, as far as TensorFlow Serving's model configuration uses it.

The official reader comes with TensorFlow or with generated code; a config of ten lines is worth neither.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
      | (?P<word>[\w.+-]+)
      | (?P<sign>[{}<>\[\]:,;])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}
_CLOSING = {"{": "}", "<": ">"}


class TextprotoError(ValueError):
    """The text is not what it should be; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string, or a bare word such as a number or an enum's value."""

    text: str
    line: int
    quoted: bool


@dataclass(frozen=True, slots=True)
class Block:
    """A message: its fields in order of appearance, each with all its values."""

    line: int
    fields: dict[str, list[Block | Scalar]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def parse_textproto(text: str) -> Block:
    """Read a whole message; raises TextprotoError."""
    tokens = _tokens(text)
    tokens.reverse()
    try:
        return _block(tokens, Block(line=1), closing="")
    except RecursionError as error:
        raise TextprotoError(tokens[-1].line, "blocks are nested too deeply") from error


def _tokens(text: str) -> list[_Token]:
    tokens, position, line = [], 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            what = "a string that does not end on its line" if text[position] in "\"'" else f"{text[position]!r}"
            raise TextprotoError(line, f"unexpected {what}")
        if match.lastgroup and match.lastgroup != "space":
            tokens.append(_Token(match.lastgroup, match.group(), line))
        line += match.group().count("\n")
        position = match.end()
    tokens.append(_Token("end", "", line))
    return tokens


def _block(tokens: list[_Token], block: Block, *, closing: str) -> Block:
    """Read fields up to `closing`; tokens are taken from the end of the list."""
    while True:
        name = tokens.pop()
        if name.text == closing and name.kind in ("sign", "end"):
            return block
        if name.kind == "end":
            raise TextprotoError(name.line, f"the block opened in line {block.line} is not closed")
        if name.kind != "word":
            raise TextprotoError(name.line, f"expected a field's name, found {name.text}")
        block.fields.setdefault(name.text, []).extend(_values(tokens, name))
        if tokens[-1].text in (",", ";"):
            tokens.pop()


def _values(tokens: list[_Token], name: _Token) -> list[Block | Scalar]:
    if tokens[-1].text in _CLOSING:
        return [_value(tokens, name)]
    if tokens.pop().text != ":":
        raise TextprotoError(name.line, f"expected ':' or '{{' after {name.text}")
    if tokens[-1].text != "[":
        return [_value(tokens, name)]
    tokens.pop()
    values: list[Block | Scalar] = []
    while tokens[-1].text != "]":
        values.append(_value(tokens, name))
        if tokens[-1].text == ",":
            tokens.pop()
        elif tokens[-1].text != "]":
            raise TextprotoError(tokens[-1].line, f"expected ',' or ']' in the list of {name.text}")
    tokens.pop()
    return values


def _value(tokens: list[_Token], name: _Token) -> Block | Scalar:
    token = tokens.pop()
    if token.text in _CLOSING:
        return _block(tokens, Block(line=token.line), closing=_CLOSING[token.text])
    if token.kind == "word":
        return Scalar(token.text, token.line, quoted=False)
    if token.kind != "string":
        raise TextprotoError(token.line, f"expected a value for {name.text}, found {token.text or 'the end'}")
    text = _unquoted(token)
    while tokens[-1].kind == "string":
        text += _unquoted(tokens.pop())
    return Scalar(text, token.line, quoted=True)


def _unquoted(token: _Token) -> str:
    def character(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            raise TextprotoError(token.line, f"unknown escape \\{match[1]} in a string")
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", character, token.text[1:-1])
