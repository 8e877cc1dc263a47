"""What a query asks of metrics: their names, labels and values, read from its syntax tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

import promql_parser
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import AggModifierType, AggregateExpr, BinaryExpr, Expr, Matcher, MatchOp, VectorSelector

from stream.model import DeadReason, Outcome, Severity
from stream.operate.metrics import METRICS, Metrics
from stream.pushkit.reply import Verdict
from stream.settings import default_settings

Node = TypeVar("Node", bound=Expr)

OF_PROMETHEUS: Final = {"up": {"job", "instance"}, "ALERTS": {"job", "instance", "alertstate", "alertname", "urgency"}}
"""Series that Prometheus makes itself."""
OF_A_SCRAPE: Final = {"job", "instance"}
TOPICS: Final = default_settings().topics
VALUES: Final[Mapping[str, set[str]]] = {
    "severity": {each.name for each in Severity},
    "outcome": {each.name for each in Outcome},
    "answer": {each.value for each in Verdict},
    "ending": {"revoked", "rejected", "failed"},
    "reason": {each.value for each in DeadReason},
    "topic": {TOPICS.message_sent, TOPICS.violation_detected, TOPICS.revoke_result},
}
"""What the labels can be that are not free."""


def exposed() -> dict[str, set[str]]:
    """Every series that ``/metrics`` can show, with its labels: rendered and read back, as a scrape does."""
    metrics = Metrics(lambda: {each.name: {each.labels: 1.0} for each in METRICS})
    families = text_string_to_metric_families(metrics.render("")[0].decode())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def wrongs(query: str, known: Mapping[str, set[str]]) -> list[str]:
    """What the query asks for that is not there, a sentence each. Raises ValueError where it is no PromQL."""
    tree = promql_parser.parse(query)
    known = {**known, **OF_PROMETHEUS}
    return [*_wrong_selectors(tree, known), *_wrong_groups(tree, known)]


def metrics_in(query: str) -> set[str]:
    """The metrics that it asks for."""
    return _names(promql_parser.parse(query))


def _names(tree: Expr) -> set[str]:
    return {found.name or "(none)" for found in _all(tree, VectorSelector)}


def _all(tree: Expr, kind: type[Node]) -> list[Node]:
    found: list[Node] = []
    promql_parser.walk(tree, lambda node: found.append(node) if isinstance(node, kind) else None)
    return found


def _wrong_selectors(tree: Expr, known: Mapping[str, set[str]]) -> Iterator[str]:
    for selector in _all(tree, VectorSelector):
        labels = known.get(selector.name or "")
        if labels is None:
            yield f"no metric {selector.name}"
            continue
        for matcher in selector.matchers.matchers:
            if matcher.name not in labels | OF_A_SCRAPE:
                yield f"{selector.name} has no label {matcher.name}"
            yield from (f'{matcher.name} is never "{value}"' for value in _values(matcher) - _possible(matcher.name))


def _values(matcher: Matcher) -> set[str]:
    """The values that it names; none where the label is free."""
    if matcher.name not in VALUES:
        return set()
    plain = matcher.op in (MatchOp.Equal, MatchOp.NotEqual)
    return {matcher.value} if plain else set(matcher.value.split("|"))


def _possible(label: str) -> set[str]:
    return VALUES.get(label, set())


def _wrong_groups(tree: Expr, known: Mapping[str, set[str]]) -> Iterator[str]:
    """Labels grouped by, or matched on, that the metrics below do not have: they would be empty, and silently so."""
    for node in _all(tree, AggregateExpr):
        if node.modifier is not None and node.modifier.type == AggModifierType.By:
            yield from _lacking(node.expr, set(node.modifier.labels), known)
    for pair in _all(tree, BinaryExpr):
        if pair.modifier is not None and pair.modifier.matching is not None:
            yield from _lacking(pair, set(pair.modifier.matching.labels), known)


def _lacking(below: Expr, labels: set[str], known: Mapping[str, set[str]]) -> Iterator[str]:
    for name in sorted(_names(below)):
        for label in sorted(labels - known.get(name, set()) - OF_A_SCRAPE):
            yield f"{name} has no label {label} to group by"
