"""Expressions against a naive evaluation in Python's big integers, and hostile text."""

from collections.abc import Callable
from math import gcd

import pytest
import torch
from hypothesis import given, settings, strategies as st

from mechgrok.errors import TaskError
from mechgrok.tasks.polynomials import MAX_LENGTH, parse_polynomial

Value = int | None
Function = Callable[[int, int, int], Value]


def _operation(sign: str, left: Function, right: Function) -> Function:
    def value(a: int, b: int, p: int) -> Value:
        u, v = left(a, b, p), right(a, b, p)
        if u is None or v is None or (sign == "/" and gcd(v, p) != 1):
            return None
        return {"+": u + v, "-": u - v, "*": u * v, "/": u * pow(v, -1, p) if sign == "/" else 0}[sign]

    return value


def _power(base: Function, exponent: int) -> Function:
    def value(a: int, b: int, p: int) -> Value:
        u = base(a, b, p)
        return None if u is None else u**exponent

    return value


def _negative(inner: Function) -> Function:
    def value(a: int, b: int, p: int) -> Value:
        u = inner(a, b, p)
        return None if u is None else -u

    return value


Expression = tuple[str, Function]
LEAVES = st.one_of(
    st.just(("a", lambda a, b, p: a)),
    st.just(("b", lambda a, b, p: b)),
    st.integers(0, 10**6).map(lambda n: (str(n), lambda a, b, p: n)),
)


def _larger(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    binary = st.tuples(st.sampled_from("+-*/"), parts, parts).map(
        lambda t: (f"({t[1][0]}){t[0]} ({t[2][0]})", _operation(t[0], t[1][1], t[2][1]))
    )
    implicit = st.tuples(parts, parts).map(
        lambda t: (f"({t[0][0]})({t[1][0]})", _operation("*", t[0][1], t[1][1]))
    )
    powers = st.tuples(parts, st.integers(0, 5), st.sampled_from(["^", "**"])).map(
        lambda t: (f"({t[0][0]}){t[2]}{t[1]}", _power(t[0][1], t[1]))
    )
    negative = parts.map(lambda t: (f"-({t[0]})", _negative(t[1])))
    return st.one_of(binary, implicit, powers, negative)


EXPRESSIONS = st.recursive(LEAVES, _larger, max_leaves=6).filter(lambda t: len(t[0]) <= MAX_LENGTH)


def evaluate(text: str, p: int) -> list[Value]:
    """Over all pairs in grid order; None where there is no value."""
    a, b = torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)
    values, exists = parse_polynomial(text).evaluate(a, b, p)
    assert values.dtype == torch.int64
    return [v if e else None for v, e in zip(values.tolist(), exists.tolist(), strict=True)]


@settings(max_examples=150, deadline=None, database=None)
@given(expression=EXPRESSIONS, p=st.sampled_from([2, 3, 5, 6, 8, 9, 11, 12]))
def test_random_expressions_equal_big_integer_arithmetic(expression, p):
    text, function = expression
    naive = [function(a, b, p) for a in range(p) for b in range(p)]
    assert evaluate(text, p) == [None if value is None else value % p for value in naive]


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("x^2+x*y+y^2", lambda a, b: a * a + a * b + b * b),
        ("x²+y²".replace("²", "^2"), lambda a, b: a * a + b * b),
        ("2a+3b", lambda a, b: 2 * a + 3 * b),
        ("ab + b", lambda a, b: a * b + b),
        ("a b", lambda a, b: a * b),
        ("2ab", lambda a, b: 2 * a * b),
        ("(a-b)^3", lambda a, b: (a - b) ** 3),
        ("(a+b)(a-b)", lambda a, b: a * a - b * b),
        ("2(a+b)", lambda a, b: 2 * a + 2 * b),
        ("(a+b)2", lambda a, b: 2 * a + 2 * b),
        ("a(b+1)", lambda a, b: a * b + a),
        ("a^2b", lambda a, b: a * a * b),
        ("2a^2", lambda a, b: 2 * a * a),
        ("-a^2", lambda a, b: -(a * a)),
        ("a - -b", lambda a, b: a + b),
        ("a**3", lambda a, b: a**3),
        ("a^0", lambda a, b: 1),
        ("xyx", lambda a, b: a * b * a),
        ("\ta\n+ b ", lambda a, b: a + b),
        ("7", lambda a, b: 7),
        ("((((a))))", lambda a, b: a),
    ],
)
def test_written_forms(text, function):
    for p in (2, 7, 12):
        assert evaluate(text, p) == [function(a, b) % p for a in range(p) for b in range(p)]


@pytest.mark.parametrize("p", [7, 97])
def test_division_by_a_prime_undoes_multiplication(p):
    answers = evaluate("a/b", p)
    for a in range(p):
        assert answers[a * p] is None
        assert all(answers[a * p + b] * b % p == a for b in range(1, p))


@pytest.mark.parametrize("p", [4, 10, 12])
def test_division_mod_a_composite_exists_for_units_alone(p):
    answers = evaluate("a/b", p)
    for a in range(p):
        for b in range(p):
            answer = answers[a * p + b]
            assert (answer is not None) == (gcd(b, p) == 1)
            assert answer is None or answer * b % p == a


def test_no_value_spreads_to_the_whole_expression():
    assert evaluate("0*(a/b)+1", 3) == [None, 1, 1] * 3
    assert evaluate("(a/b)^0", 3) == [None, 1, 1] * 3
    assert set(evaluate("a/0", 5)) == {None}


@pytest.mark.parametrize("p", [2, 113])
def test_enormous_integers_are_reduced_exactly(p):
    big = int("9" * 150)
    assert evaluate(f"a*{big}", p)[p] == big % p
    exponent = int("7" * 150)
    assert evaluate(f"a^{exponent}", p) == [pow(a, exponent, p) for a in range(p) for _ in range(p)]


def test_operands_are_reduced_first():
    a, b = torch.tensor([10**12 + 5]), torch.tensor([-3])
    values, _ = parse_polynomial("a^3*b").evaluate(a, b, 97)
    assert values.tolist() == [(10**12 + 5) ** 3 * -3 % 97]


REFUSED = {
    "a + c": "unknown symbol 'c' in 'c'; the operands are a and b",
    "sin(a)": "unknown symbol 's' in 'sin'",
    "a2": "unknown symbol '2' in 'a2'",
    "aβ": "unknown symbol 'β'",
    "x²": "unknown symbol '²'",
    "a_b": "unknown symbol '_'",
    "__import__('os')": 'unexpected "\'"',
    "__import__(a)": "unknown symbol '_' in '__import__'",
    "a.__class__": "unexpected '.'; allowed are the operands a, b",
    "lambda: a": "unexpected ':'",
    "lambda a": "unknown symbol 'l' in 'lambda'",
    "[a for a in b]": "unexpected '['",
    "a if b else a": "unknown symbol 'i' in 'if'",
    "a and b": "unknown symbol 'n' in 'and'",
    "a, b": "unexpected ','",
    "a = b": "unexpected '='",
    "a; b": "unexpected ';'",
    "a # b": "unexpected '#'",
    "a % b": "unexpected '%'",
    "a $": "unexpected '$'",
    "a < b": "unexpected '<'",
    "~a": "unexpected '~'",
    "1.5a": "unexpected '.'",
    "'a'": 'unexpected "\'"',
    "a\0": r"unexpected '\x00'",
    "β": "unexpected 'β'",
    "٣a": "is no expression",
    "a + 1１": "is no expression",
    "007a": "is no expression",
    "": "is no expression",
    "   ": "is no expression",
    "(a": "is no expression",
    "a)": "is no expression",
    "a +": "is no expression",
    "* a": "is no expression",
    "a // b": "is no expression",
    "a * * b": "is no expression",
    "a *** 2": "is no expression",
    "()": "Tuple is not part of a polynomial",
    "a()": "Tuple is not part of a polynomial",
    "a^b": "an exponent must be a non-negative integer",
    "2**a": "an exponent must be a non-negative integer",
    "a^-1": "an exponent must be a non-negative integer",
    "a^(1+1)": "an exponent must be a non-negative integer",
    "a^2^2": "an exponent must be a non-negative integer",
    "a + x": "a and x are one operand, b and y the other",
    "ay": "a and x are one operand, b and y the other",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused_text_is_named_with_the_reason(text):
    with pytest.raises(TaskError) as caught:
        parse_polynomial(text)
    assert REFUSED[text] in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["a+" * MAX_LENGTH + "b", "(" * 10_000, "9" * 5000, "a" * (MAX_LENGTH + 1)])
def test_long_text_is_refused_before_it_is_parsed(text):
    with pytest.raises(TaskError, match=rf"may have {MAX_LENGTH} characters, this one has {len(text)}$"):
        parse_polynomial(text)


@pytest.mark.parametrize("text", ["(" * 99 + "a" + ")" * 99, "-" * 199 + "a", "a" + "*a" * 99, "a" * 200])
def test_deepest_nesting_that_the_length_allows(text):
    assert evaluate(text, 3)[8] is not None


@settings(max_examples=300, deadline=None, database=None)
@given(st.text(alphabet="abxy01２²+-*/^() _.,'[]:=\n\0", max_size=40))
def test_any_text_parses_or_is_refused_and_nothing_else(text):
    try:
        polynomial = parse_polynomial(text)
    except TaskError:
        return
    values, exists = polynomial.evaluate(torch.arange(5), torch.arange(5), 5)
    assert ((values >= 0) & (values < 5))[exists].all()
