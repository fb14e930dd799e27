"""Owns the mathematics in plain texts: finds what is written as on a terminal (`||grad f(x_i)||^2 >= 2 eps`) and says it in TeX.

A formula is what a small grammar reads whole, from the start of a word to the end of one, and what has some sign of being one: a relation,
an index, a power, a norm, a Greek letter, a function. All else stays text, so that prose, ids and file names are never touched.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

GREEK = (
    *(
        "alpha",
        "beta",
        "gamma",
        "delta",
        "zeta",
        "eta",
        "theta",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "pi",
        "rho",
        "sigma",
        "tau",
    ),
    *("phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Sigma", "Phi", "Psi", "Omega"),
)
LETTERS = {name: rf"\{name}" for name in GREEK} | {"eps": r"\varepsilon", "epsilon": r"\varepsilon"}
GLYPHS = dict(zip("αβγδεζηθκλμνξπρστφχψωΓΔΘΛΣΦΨΩ", (*GREEK[:4], "varepsilon", *GREEK[4:]), strict=True))
FUNCTIONS = {
    name: rf"\{name}" for name in ("log", "ln", "exp", "min", "max", "inf", "sup", "cosh", "sin", "cos", "det", "Pr")
} | {name: rf"\mathrm{{{name}}}" for name in ("relu", "sign", "rank", "span", "conv", "Tr", "Hess", "VC", "tr")}
LARGE = {"sum": r"\sum", "grad": r"\nabla"} | {f"log{base}": rf"\log_{{{base}}}" for base in (2, 10)}
RELATIONS = {
    "=": "=",
    "<": "<",
    ">": ">",
    "<=": r"\le",
    ">=": r"\ge",
    "!=": r"\ne",
    "=>": r"\Rightarrow",
    "->": r"\to",
    ":=": ":=",
    "≤": r"\le",
    "≥": r"\ge",
    "≠": r"\ne",
    "∈": r"\in",
    "→": r"\to",
    "≈": r"\approx",
}
SIGNS = {"+": "+", "-": "-", "−": "-", "±": r"\pm"}
PRODUCTS = {"/": "/", "*": r"\ast ", "·": r"\cdot ", "×": r"\times "}
POWERS = dict(zip("²³⁴", "234", strict=True))
CLOSING = {"(": ")", "[": "]", "{": "}"}
SHORT_WORDS = frozenset(
    ("an", "as", "at", "be", "by", "do", "he", "if", "in", "is", "it", "me", "no", "of", "on", "or", "so", "to", "up", "us", "we")
)
# Where no formula starts: "i.e.", a figure's panel, "3x faster", a commit, Kendall's coefficient, and a measure's name.
PROSE = re.compile(
    r"(?:i\.e|e\.g|w\.p|a\.s|a\.e)\b|\(?\d[\d.]*(?:[ab]|[ ]?x)\b(?!\[|[ ]?[=<>|*/^(_]|'(?!s\b))|\d+x\d|[0-9a-f]{8,}\b|τ-[abc]\b|lambda-max"
)
CODE = re.compile(
    r"(?![A-Z]_)(?!(?:lambda|rho|eps|delta)(?:_|$))[A-Za-z0-9.-]+(?:_[A-Za-z0-9.]+)*(?<!^.)"
)  # a text of one word of ASCII: a name
OPENING = ("<=", ">=", "!=", "=>", "≤", "≥", "≠")  # relations that a formula may begin with: "probability >= 1 - delta"

_TOKEN = re.compile(
    r"(?P<space>[ ]+)|(?P<number>\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+(?![\w.]))?)"
    r"|(?P<name>(?:[WbUVC][12]|log10|log2)(?![A-Za-z0-9])|[A-Za-z]+|[α-ωΑ-Ω])"
    r"|(?P<sign>\|\||‖|\.\.\.|\*\*|<=|>=|=>|!=|->|:=|.)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Part:
    """A piece of a text, and how TeX says it; None for prose."""

    text: str
    tex: str | None = None


@dataclass(frozen=True)
class _Read:
    """What was read of a formula: the token after it, its TeX, how much it looks like one, and whether there is a letter in it."""

    end: int
    tex: str
    weight: int = 0
    letters: bool = False

    def then(self, other: "_Read", between: str = "", weight: int = 0) -> "_Read":
        joined = (
            self.tex + between + (" " if self.tex[-1:].isalpha() and other.tex[:1].isalpha() and not between else "") + other.tex
        )
        return _Read(other.end, joined, self.weight + other.weight + weight, self.letters or other.letters)


@lru_cache(maxsize=4096)
def parts(text: str) -> tuple[Part, ...]:
    """A text in pieces of prose and of mathematics, which make it up again when they are joined."""
    if CODE.fullmatch(text):
        return (Part(text),)
    pieces = tuple(_joined(_Reader(text).pieces()))
    named = "".join(sorted({*"BCDFGHJKLMNPRSTUVXYZ"} & {*re.findall(r"(?<![A-Za-z\\])[A-Z](?![A-Za-z])", _tex(pieces))}))
    return tuple(_joined(piece for part in pieces for piece in _letters(part, named))) if named else pieces


def _tex(pieces: tuple[Part, ...]) -> str:
    return " ".join(piece.tex for piece in pieces if piece.tex)


def _letters(part: Part, named: str) -> Iterator[Part]:
    """A piece of prose with each capital that stands alone, and in a formula of the same text, as mathematics."""
    if part.tex is not None:
        yield part
        return
    for i, piece in enumerate(re.split(rf"(?<![^ (])([{named}])(?![^ ,.;:)])", part.text)):
        yield Part(piece, piece if i % 2 else None)


def _joined(pieces: Iterator[Part]) -> Iterator[Part]:
    prose = ""
    for piece in pieces:
        if piece.tex is None:
            prose += piece.text
            continue
        if prose:
            yield Part(prose)
        prose = ""
        yield piece
    if prose:
        yield Part(prose)


class _Reader:
    """Reads formulas by recursive descent; every method returns None where there is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [(match.lastgroup or "", match.group(), match.start()) for match in _TOKEN.finditer(text)]
        self.depth = 0

    def pieces(self) -> Iterator[Part]:
        at = 0
        while at < len(self.tokens):
            prose = PROSE.match(self.text, self.place(at)) if self.starts(at) else None
            read = self.formula(at) if self.starts(at) and not prose else None
            if prose:
                end = next((i for i in range(at + 1, len(self.tokens)) if self.place(i) >= prose.end()), len(self.tokens))
                yield Part(self.text[self.place(at) : self.place(end)])
                at = end
            elif read and read.letters and read.weight >= 2 and self.ends(read.end):
                yield Part(self.text[self.place(at) : self.place(read.end)], read.tex)
                at = read.end
            else:
                yield Part(self.token(at))
                at += 1

    # ------------------------------------------------------------------------------------------------------------ tokens

    def kind(self, at: int) -> str:
        return self.tokens[at][0] if at < len(self.tokens) else ""

    def token(self, at: int) -> str:
        return self.tokens[at][1] if at < len(self.tokens) else ""

    def place(self, at: int) -> int:
        return self.tokens[at][2] if at < len(self.tokens) else len(self.text)

    def past_space(self, at: int) -> int:
        return at + (self.kind(at) == "space")

    def starts(self, at: int) -> bool:
        """Whether a word starts here."""
        place = self.place(at)
        return place == 0 or self.text[place - 1] in ' ([{"“;,:'

    def ends(self, at: int) -> bool:
        """Whether a word ends before this token."""
        rest = self.text[self.place(at) :]
        return bool(re.match(r"$|[ ,;:)\]}!?\"”]|\.(?:$|[ )\]])|'s\b|-[a-z]{3}", rest)) and not re.match(r"[:]\S", rest)

    # ----------------------------------------------------------------------------------------------------------- grammar

    def formula(self, at: int) -> _Read | None:
        """Sums with relations between them; what follows the last that can be read is left."""
        if self.token(at) in OPENING and self.kind(at + 1) == "space" and not self.depth:
            right = self.formula(at + 2)
            return right and _Read(right.end, f"{RELATIONS[self.token(at)]} {right.tex}", right.weight + 2, True)
        read = self.sum(at)
        while read:
            after = self.past_space(read.end)
            spaced = " " if after > read.end else ""
            relation = RELATIONS.get(self.token(after))
            if relation is None and self.token(after) == "in" and spaced and self.is_set(self.past_space(after + 1)):
                relation = r"\in"
            even = bool(spaced) == (self.kind(after + 1) == "space")  # "<u, v>" is an inner product
            right = self.sum(self.past_space(after + 1)) if relation and even else None
            if right is None:
                return read
            read = read.then(right, f" {relation} ", 2)
        return None

    def is_set(self, at: int) -> bool:
        return self.token(at) in CLOSING or (self.kind(at) == "name" and len(self.token(at)) == 1 and self.token(at).isupper())

    def sum(self, at: int) -> _Read | None:
        sign = SIGNS.get(self.token(at))
        read = self.term(at + 1 if sign else at)
        if read and sign:
            read = _Read(read.end, sign + read.tex, read.weight, read.letters)
        while read:
            after = self.past_space(read.end)
            sign = SIGNS.get(self.token(after))
            both = (after > read.end) == (self.kind(after + 1) == "space")  # "a - b" or "a-b", but "a -b" are two
            right = self.term(self.past_space(after + 1)) if sign and both else None
            if right is None:
                return read
            read = read.then(right, f" {sign} ", 1)
        return None

    def term(self, at: int) -> _Read | None:
        read = self.factor(at)
        while read:
            after = self.past_space(read.end)
            product = PRODUCTS.get(self.token(after))
            if product and self.token(after + 1) != "*":
                right = self.factor(self.past_space(after + 1))
                read_on = right and read.then(right, product, 1)
            elif self.token(after) == "." and after == read.end and read.tex[-1:] != "." and self.kind(after + 1) == "name":
                right = self.factor(after + 1) if len(self.token(after + 1)) == 1 else None  # w.x, the inner product
                read_on = right and read.then(right, r"\cdot ", 1)
            else:
                number = self.kind(after) == "number" and not (self.token(after) == "1" and self.token(after + 1) in ("[", "("))
                right = None if number else self.factor(after)
                read_on = right and self.beside(read, right, after)
            if not read_on:
                return read
            read = read_on
        return None

    def beside(self, left: _Read, right: _Read, at: int) -> _Read | None:
        """Two factors with nothing between them: a product, unless they may well be words."""
        if (
            at > left.end
            and (
                (self.token(at) in ("a", "A", "I") and right.end == at + 1)
                or (self.token(at) == "(" and re.search(r"=|<|>|\\l?g?en?\b", right.tex))  # "width n (n = 3)"
                or (self.token(at) == "Pr" and left.tex[-1:].isdigit())
                or re.fullmatch(r"\(\d+\)", left.tex)  # of a list
                or re.match(r"-[a-z]{3}", self.text[self.place(right.end) :])  # "x sigma-subgaussian"
            )
        ):
            return None
        return left.then(right, r"\," if at > left.end else "")

    def factor(self, at: int) -> _Read | None:
        read = self.base(at)
        while read:
            mark = self.token(read.end)
            on: _Read | None = None
            if mark in POWERS:
                on = _Read(read.end + 1, f"^{POWERS[mark]}", 2)
            elif mark in ("^", "**"):
                inner = self.exponent(read.end + 1)
                on = inner and _Read(inner.end, f"^{{{inner.tex}}}", inner.weight + 2, inner.letters)
            elif mark == "_":
                on = self.index(read.end + 1)
            elif mark == "'" and not re.match(r"s\b", self.text[self.place(read.end + 1) :]):
                on = _Read(read.end + 1, "'", 1)
            elif mark == "∞" and read.tex.endswith(r"\rVert "):
                on = _Read(read.end + 1, r"_{\infty}", 1)
            elif mark == "~" and read.tex == "O":
                read = _Read(read.end + 1, r"\tilde{O}", 1, True)
                continue
            elif mark in ("(", "[") and (read.letters or self.token(read.end - 1) == "1"):
                arguments = self.bracket(read.end)
                on = arguments and _Read(arguments.end, arguments.tex, arguments.weight + 1, arguments.letters)
            if on is None:
                return read
            if on.tex == "'" and "^" in read.tex[-4:]:
                return read
            read = _Read(on.end, read.tex + on.tex, read.weight + on.weight, read.letters or on.letters)
        return None

    def exponent(self, at: int) -> _Read | None:
        if self.token(at) in ("-", "−") and self.kind(at + 1) in ("number", "name"):
            inner = self.base(at + 1)
            return inner and _Read(inner.end, "-" + inner.tex, inner.weight, inner.letters)
        inner = self.base(at)
        if inner and self.token(at) in ("(", "{"):  # its brackets are TeX's
            return _Read(inner.end, re.sub(r"^\\?[({](.*?)\\?[)}]$", r"\1", inner.tex), inner.weight, inner.letters)
        return inner

    def index(self, at: int) -> _Read | None:
        """What stands below: a letter, a number, a word, or brackets."""
        kind, token = self.kind(at), self.token(at)
        if token in ("(", "{"):
            inner = self.bracket(at)
            return inner and _Read(inner.end, f"_{{{inner.tex[1:-1] if token == '(' else inner.tex[2:-2]}}}", 2, True)
        if kind == "number":
            return _Read(at + 1, f"_{{{token}}}", 2) if self.kind(at + 1) != "name" else None
        if kind != "name" or self.token(at + 1) == "_" or (len(token) > 3 and token not in LETTERS):  # a name, such as a_file
            return None
        if token in ("max", "min", "inf"):
            return _Read(at + 1, rf"_{{\{token + 'ty' * (token == 'inf')}}}", 2, True)
        below = LETTERS.get(token, token if re.fullmatch(r".|[ijkst]{2}", token) else rf"\mathrm{{{token}}}")
        below = rf"\{GLYPHS[token]}" if token in GLYPHS else below
        return _Read(at + 1, f"_{{{below}}}", 2, True)

    def base(self, at: int) -> _Read | None:
        kind, token = self.kind(at), self.token(at)
        if kind == "number":
            return _Read(at + 1, token.replace(",", "{,}"))
        if kind == "name":
            return self.name(at, token)
        if token in ("||", "‖", "|"):
            return self.norm(at, token)
        if token in CLOSING:
            return self.bracket(at)
        if token == "∞":
            return _Read(at + 1, r"\infty", 1, True)
        if token == "...":
            return _Read(at + 1, r"\dots") if self.depth else None
        return None

    def name(self, at: int, token: str) -> _Read | None:
        if token in GLYPHS:
            return _Read(at + 1, rf"\{GLYPHS[token]}", 2, True)
        if token in LETTERS:
            return _Read(at + 1, LETTERS[token], 2, True)
        if token in LARGE:
            return self.applied(at, LARGE[token])
        if token == "sqrt" and self.token(at + 1) == "(":
            inner = self.bracket(at + 1)
            return inner and _Read(inner.end, rf"\sqrt{{{inner.tex[1:-1]}}}", inner.weight + 2, True)
        if token in FUNCTIONS:
            return self.applied(at, FUNCTIONS[token])
        if re.fullmatch(r"C[12]", token):
            return _Read(at + 1, f"C_{{{token[1]}}}", 0, True)
        if re.fullmatch(r"[WbUV][12]", token):
            return _Read(at + 1, f"{token[0]}_{{{token[1]}}}" if self.token(at + 1) != "_" else self.layered(token), 2, True)
        if len(token) == 1:
            number = self.token(at + 1)
            if re.fullmatch(r"[b-z]", token) and re.fullmatch(r"\d\d?", number) and not self.token(at + 2)[:1].isalnum():
                return _Read(at + 2, f"{token}_{{{number}}}", 2, True)  # x1, a coordinate
            return _Read(at + 1, token, 2 * (token in "bcdfghijklmnpqrtuvwxyz"), True)
        if self.depth and len(token) == 2 and token.islower() and token not in SHORT_WORDS:
            return _Read(at + 1, token, 0, True)  # a product of two letters, as in e^(ba)
        return None

    @staticmethod
    def layered(name: str) -> str:
        """W1 where an index follows: the layer goes above."""
        return f"{name[0]}^{{({name[1]})}}"

    def applied(self, at: int, tex: str) -> _Read | None:
        """A function with what it is applied to, or with an index; its name alone may be a word."""
        if self.token(at + 1) == "_" and len(self.token(at + 2)) > 3:  # a name, such as log_softmax
            return None
        if self.token(at + 1) in ("(", "_", "'", "^", "²"):
            return _Read(at + 1, tex, 0, True)
        after = self.past_space(at + 1)
        word = self.token(at) in ("conv", "rank", "sign", "span")
        operand = self.factor(after) if (after > at + 1 and not word) or self.token(after) in ("|", "||") else None
        if operand is None or self.token(after) in ("a", "A", "I"):
            return None
        return _Read(operand.end, f"{tex} {operand.tex}", operand.weight + 1, True)

    def norm(self, at: int, bar: str) -> _Read | None:
        if bar != "|" and self.token(at + 1) == "·" and self.token(at + 2) == bar:
            return _Read(at + 3, r"\|\cdot\|", 2, True)
        inner = self.nested(at + 1)
        if inner is None or self.token(self.past_space(inner.end)) != bar or self.kind(at + 1) == "space":
            return None
        left, right = (r"\lvert ", r"\rvert ") if bar == "|" else (r"\lVert ", r"\rVert ")
        return _Read(self.past_space(inner.end) + 1, f"{left}{inner.tex}{right}", inner.weight + 2, inner.letters)

    def nested(self, at: int) -> _Read | None:
        self.depth += 1
        try:
            return self.formula(at)
        finally:
            self.depth -= 1

    def bracket(self, at: int) -> _Read | None:
        """Formulas in brackets, with commas, semicolons, bars or colons between them."""
        opening = self.token(at)
        closing = CLOSING[opening]
        left, right = (rf"\{opening}", rf"\{closing}") if opening == "{" else (opening, closing)
        read = self.nested(self.past_space(at + 1))
        while read:
            after = self.past_space(read.end)
            mark = self.token(after)
            if mark == closing:
                return _Read(after + 1, left + read.tex + right, read.weight, read.letters)
            if mark not in (",", ";", ":", "|"):
                return None
            item = self.nested(self.past_space(after + 1))
            if item is None and mark == ",":
                return None
            between = {",": r",\,", ";": r";\,", ":": ":" if opening == "[" else r"\colon ", "|": r"\mid "}[mark]
            read = item and read.then(item, between, 0)
        return None
