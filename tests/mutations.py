"""Small damage to files, drawn by seed: what disks, editors, converters and people do to them."""

import copy
import json
import random
import re

from safetensors.torch import save_file

from regard.tensors import open_tensors

TOKENS = [
    *(b"\0", b"\xff", b"\xc3", b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b" ", b'"', b"'", b",", b":", b";", b"\\", b"#"),
    *(b"-", b"_", b"=", b"{", b"}", b"[", b"]", b"@data", b"\\ud800", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x1f\x8b"),
    *(b"nan", b"NaN", b"Infinity", b"null", b"true", b"1e999", b"-1", b"0", b"1.5", b"0x10", b"9" * 5000, b"1_0"),
    *(b"PK\x03\x04", b"PAR1", b"[[", b"]]", b"{}", b"[]", b"[" * 3000, b'{"a":' * 3000, b"x" * 3000),
]
VALUES = [
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", "a", "\ud800", "\0", "[UNK]", "x" * 1000, [], {}, [[]], [None], ["a", "a"], {"a": 1}, [1, 2.5, "a"]),
]
DEEP = "[" * 100_000 + "]" * 100_000


def without_seals(run):
    """The run folder as earlier versions wrote it, without the digests by which every change is found."""
    weights = run / "model.safetensors"
    with open_tensors(weights) as file:
        metadata, tensors = file.metadata, file.read_all()
    save_file(tensors, weights, {name: metadata[name] for name in ("format", "sha256")})
    for name in ("model.json", "scores.json"):
        document = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps({key: value for key, value in document.items() if key != "sha256"}))
    return run


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with one to three pieces of damage."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = rng.choice(KINDS)(content, rng)
    return content


def flip(content, rng):
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut_off(content, rng):
    return content[: rng.randrange(len(content) + 1)]


def span(content, rng):
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 4, 40, 400)))


def leave_out(content, rng):
    start, stop = span(content, rng)
    return content[:start] + content[stop:]


def repeat(content, rng):
    start, stop = span(content, rng)
    return content[:stop] + content[start:stop] * rng.choice((1, 2, 50)) + content[stop:]


def insert(content, rng):
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.choice(TOKENS) + content[start:]


def overwrite(content, rng):
    start, stop = span(content, rng)
    return content[:start] + rng.choice(TOKENS) + content[stop:]


def change_number(content, rng):
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not numbers:
        return insert(content, rng)
    start, stop = rng.choice(numbers).span()
    other = rng.choice((b"0", b"-1", b"1", b"2", b"1.5", b"1e999", b"nan", b"9" * 5000, b"4294967296", b"", b'"1"'))
    return content[:start] + other + content[stop:]


def shuffle_lines(content, rng):
    lines = content.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def change_json(content, rng):
    """A node of a JSON document, or of one of its lines, takes another value, goes, or gets a neighbour."""
    lines = [content]
    try:
        value = json.loads(content)
        place = 0
    except (ValueError, RecursionError):
        lines = content.split(b"\n")
        place = rng.randrange(len(lines))
        try:
            value = json.loads(lines[place])
        except (ValueError, RecursionError):
            return flip(content, rng)
    lines[place] = json.dumps(changed_node(value, rng)).replace('"DEEP"', DEEP).encode()
    return b"\n".join(lines)


def changed_node(value, rng):
    value = copy.deepcopy(value)
    nodes, found = [value], []  # to be looked at; those that hold others
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict | list) and node:
            found.append(node)
            nodes += node.values() if isinstance(node, dict) else node[:50]
    if not found:
        return rng.choice(VALUES)
    node = rng.choice(found)
    key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
    action = rng.randrange(6)
    if action == 0:
        del node[key]
    elif action == 1 and isinstance(node, dict):
        node[rng.choice(("", "a", "type", "dim", "\ud800"))] = rng.choice(VALUES)
    elif action == 1:
        node.insert(key, rng.choice(VALUES))
    elif action == 2:
        other = rng.choice(found)
        node[key] = copy.deepcopy(rng.choice(list(other.values()) if isinstance(other, dict) else other))
    elif action == 3:
        node[key] = rng.choice(("DEEP", [node[key]], {"a": node[key]}))
    else:
        node[key] = rng.choice(VALUES)
    return value


KINDS = [flip, cut_off, leave_out, repeat, insert, overwrite, change_number, shuffle_lines, change_json, change_json]
