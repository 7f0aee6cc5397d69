"""How an error of the API has to look."""

from http import HTTPStatus


def problem_of(response, status: int, code: str) -> dict:
    """Give the problem that `response` is; fails when it is none, or another one."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"] == HTTPStatus(status).phrase
    assert problem["code"] == code
    assert problem["detail"]
    assert problem["type"] == "about:blank"
    return problem
