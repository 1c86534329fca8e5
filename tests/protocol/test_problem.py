"""What a caller is told when a request is refused."""

from __future__ import annotations

from protocol.problem import Problem, RequestRefused

PROBLEM = Problem(status=400, code="invalid_field", message="cost: too much", field="cost", remedy="ask for less")


def test_a_problem_is_told_under_the_names_that_clients_read() -> None:
    assert PROBLEM.wire() == {"error": "invalid_field", "error_msg": "cost: too much", "field": "cost", "remedy": "ask for less"}


def test_what_does_not_apply_is_left_out() -> None:
    assert Problem(status=503, code="busy", message="later").wire() == {"error": "busy", "error_msg": "later"}


def test_a_refusal_carries_its_problem() -> None:
    refused = RequestRefused(PROBLEM)

    assert (str(refused), refused.problem) == ("cost: too much", PROBLEM)
