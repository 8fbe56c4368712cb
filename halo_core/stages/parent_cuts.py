"""Cuts of a user's own: conditions over named columns, such as ``rmag - zmag > 0.5 and shape_r > 0.3``.

An expression is parsed as Python and then read as data: numbers, texts, names of columns, arithmetic, comparisons, ``and``, ``or``,
``not``, ``in`` and a few functions. Nothing else is accepted, and nothing of it is ever run as Python. What is unknown is NaN (a magnitude
of a flux that is not positive) and passes no comparison but ``!=``.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_core.errors import ConfigurationError

FUNCTIONS: Mapping[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs),
    "sqrt": (1, np.sqrt),
    "log10": (1, np.log10),
    "hypot": (2, np.hypot),
    "isfinite": (1, np.isfinite),
}
"""Functions by name: number of arguments, and what computes them."""

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_MEMBERSHIP = (ast.In, ast.NotIn)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MAX_CHARACTERS = 1000
_MAX_INTEGER = 2**62


@dataclass(frozen=True)
class UserCut:
    """One cut of a campaign file.

    Parameters
    ----------
    name : str
        Its name in the cut flow: lower-case letters, digits and underscores.
    expression : str
        The condition that a parent meets.

    Raises
    ------
    ConfigurationError
        The name or the expression is not of this form.
    """

    name: str
    expression: str
    columns: frozenset[str] = field(init=False, compare=False, repr=False)
    """Names of columns that the expression reads."""

    def __post_init__(self) -> None:
        """Read the expression."""
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(f"parent_cuts: {self.name!r} is no name of a cut; lower-case letters, digits and _ are")
        tree = self._tree()
        for node in ast.walk(tree):
            self._check(node)
        functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        names = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in functions)
        object.__setattr__(self, "columns", frozenset(names))

    def require(self, known: Mapping[str, object] | set[str], where: str) -> None:
        """Raise ConfigurationError where the expression reads a column that is not known."""
        unknown = sorted(self.columns - set(known))
        if unknown:
            raise ConfigurationError(
                f"parent_cuts: {self.name} = {self.expression!r} reads {', '.join(unknown)}, unknown in {where}; "
                f"known: {', '.join(sorted(known))}"
            )

    def passes(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Return which rows meet the condition.

        Parameters
        ----------
        columns : mapping of str to ndarray, shape (n,)
            At least the columns that the expression reads.

        Raises
        ------
        ConfigurationError
            The expression is no condition on single rows: it gives numbers, or mixes texts and numbers.
        """
        with np.errstate(all="ignore"):
            values = self._value(self._tree(), columns)
        return np.asarray(self._truth(values, self._tree()))

    def _tree(self) -> ast.expr:
        """Return the expression as parsed."""
        if len(self.expression) > _MAX_CHARACTERS:
            raise ConfigurationError(f"parent_cuts: {self.name} has {len(self.expression)} characters, above {_MAX_CHARACTERS}")
        try:
            return ast.parse(self.expression.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ConfigurationError(f"parent_cuts: {self.name} = {self.expression!r} is no expression: {error}") from error

    def _check(self, node: ast.AST) -> None:
        """Raise where a node is none of those that are read."""
        is_known = isinstance(node, (ast.BoolOp, ast.boolop, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Name, ast.Load, ast.Tuple))
        is_known |= type(node) in (*_ARITHMETIC, *_COMPARISONS, *_MEMBERSHIP, ast.Not, ast.USub, ast.UAdd)
        if isinstance(node, ast.Constant):
            is_known = type(node.value) in (float, str, bool) or (type(node.value) is int and abs(node.value) <= _MAX_INTEGER)
        if isinstance(node, ast.Call):
            is_known = isinstance(node.func, ast.Name) and not node.keywords and node.func.id in FUNCTIONS
            is_known = is_known and len(node.args) == FUNCTIONS[node.func.id][0]  # type: ignore[attr-defined]
        if isinstance(node, ast.Compare):
            is_known = all(
                isinstance(right, ast.Tuple) and all(isinstance(item, ast.Constant) for item in right.elts)
                for sign, right in zip(node.ops, node.comparators, strict=True)
                if isinstance(sign, _MEMBERSHIP)
            )
        if not is_known:
            part = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise ConfigurationError(
                f"parent_cuts: {self.name} = {self.expression!r}: {part} is not read; numbers, texts, columns, + - * / % ** &, "
                f"comparisons, and, or, not, in (a, b) and {', '.join(FUNCTIONS)} are"
            )

    def _value(self, node: ast.expr, columns: Mapping[str, NDArray[Any]]) -> Any:
        """Return what a part of the expression gives: one value per row, or one for all."""
        if isinstance(node, ast.Name):
            return columns[node.id]
        if isinstance(node, ast.Constant):
            return np.asarray(node.value)[()]
        if isinstance(node, ast.BoolOp):
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return reduce(join, (self._truth(self._value(part, columns), part) for part in node.values))
        if isinstance(node, ast.UnaryOp):
            return self._unary(node, columns)
        if isinstance(node, ast.BinOp):
            return self._arithmetic(node, columns)
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            return FUNCTIONS[node.func.id][1](*(self._number(part, columns) for part in node.args))
        if isinstance(node, ast.Compare):
            return self._comparison(node, columns)
        raise self._refused(node, "stands where a value is expected")

    def _unary(self, node: ast.UnaryOp, columns: Mapping[str, NDArray[Any]]) -> Any:
        """Return not, + or - of a part."""
        if isinstance(node.op, ast.Not):
            return np.logical_not(self._truth(self._value(node.operand, columns), node.operand))
        value = self._number(node.operand, columns)
        return -value if isinstance(node.op, ast.USub) else value

    def _arithmetic(self, node: ast.BinOp, columns: Mapping[str, NDArray[Any]]) -> Any:
        """Return the value of an operation between numbers; & is between whole numbers."""
        left, right = self._number(node.left, columns), self._number(node.right, columns)
        if isinstance(node.op, ast.BitAnd):
            if any(np.asarray(value).dtype.kind not in "iu" for value in (left, right)):
                raise self._refused(node, "joins bits of what are no whole numbers")
        elif not isinstance(node.op, ast.Mod):
            left, right = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
        return _ARITHMETIC[type(node.op)](left, right)

    def _comparison(self, node: ast.Compare, columns: Mapping[str, NDArray[Any]]) -> Any:
        """Return the truth of a chain of comparisons."""
        left, truths = self._value(node.left, columns), []
        for sign, part in zip(node.ops, node.comparators, strict=True):
            if isinstance(part, ast.Tuple):
                found = [self._compared(ast.Eq(), left, self._value(item, columns), node) for item in part.elts]
                is_member = reduce(np.logical_or, found, np.zeros(np.shape(left), dtype=np.bool_))
                truths.append(is_member if isinstance(sign, ast.In) else np.logical_not(is_member))
                continue
            right = self._value(part, columns)
            truths.append(self._compared(sign, left, right, node))
            left = right
        return reduce(np.logical_and, truths)

    def _compared(self, sign: ast.cmpop, left: Any, right: Any, node: ast.expr) -> Any:
        """Return the truth of one comparison, between texts or between numbers."""
        kinds = {np.asarray(value).dtype.kind in "US" for value in (left, right)}
        if len(kinds) > 1:
            raise self._refused(node, "compares a text with a number")
        return _COMPARISONS[type(sign)](left, right)

    def _number(self, node: ast.expr, columns: Mapping[str, NDArray[Any]]) -> Any:
        """Return the value of a part that must be a number."""
        value = self._value(node, columns)
        if np.asarray(value).dtype.kind not in "iuf":
            raise self._refused(node, "is no number")
        return value

    def _truth(self, value: Any, node: ast.expr) -> Any:
        """Return the value of a part that must be true or false, one per row."""
        if np.asarray(value).dtype != np.bool_ or np.ndim(value) != 1:
            raise self._refused(node, "is no condition with one answer per row")
        return value

    def _refused(self, node: ast.expr, reason: str) -> ConfigurationError:
        """Return the error that names the part."""
        return ConfigurationError(f"parent_cuts: {self.name} = {self.expression!r}: {ast.unparse(node)} {reason}")
