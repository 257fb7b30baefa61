"""Whose a session is, and who else may use it."""

from __future__ import annotations

import pytest

from plugin_host.control.claim import ClaimTable, Share

KEY = ("demo", "s1")
OTHER = ("demo", "s2")
TOKEN, WRONG = "t" * 32, "u" * 32


def claimed(share: Share = "user", *, keep: bool = True) -> ClaimTable:
    claims = ClaimTable(share)
    claims.make(KEY, 1, TOKEN, keep=keep)
    return claims


@pytest.mark.parametrize(
    ("share", "client", "token", "may"),
    [
        ("user", 2, WRONG, True),
        ("token", 1, WRONG, True),
        ("token", 2, WRONG, False),
        ("token", 2, TOKEN, True),
        ("owner", 1, WRONG, True),
        ("owner", 2, TOKEN, False),
        ("owner", 2, WRONG, False),
    ],
)
def test_who_may_use_a_session(share: Share, client: int, token: str, may: bool) -> None:
    assert claimed(share).may_use(KEY, client, token) is may


def test_who_comes_back_with_the_token_may_use_a_session_before_it_is_reclaimed() -> None:
    claims = claimed("owner")
    claims.left(1)
    assert claims.may_use(KEY, 2, TOKEN)
    assert not claims.may_use(KEY, 2, WRONG)
    assert claims.reclaim(KEY, 2, TOKEN)
    assert not claims.may_use(KEY, 3, TOKEN), "it has an owner again"


@pytest.mark.parametrize(("share", "may"), [("user", True), ("token", False), ("owner", False)])
def test_a_session_that_no_client_opened_is_shared_with_every_user_at_most(share: Share, may: bool) -> None:
    assert claimed(share).may_use(OTHER, 1, TOKEN) is may


def test_a_session_to_be_kept_outlives_its_owner() -> None:
    claims = claimed(keep=True)
    assert claims.left(1) == []
    claim = claims.get(KEY)
    assert claim is not None
    assert claim.owner is None


def test_a_session_not_to_be_kept_is_to_be_closed_with_its_owner() -> None:
    claims = claimed(keep=False)
    assert claims.left(2) == []
    assert claims.left(1) == [KEY]


def test_the_choice_can_be_made_anew() -> None:
    claims = claimed(keep=False)
    claims.keep(KEY, keep=True)
    claims.keep(OTHER, keep=True)  # nobody's: nothing happens
    assert claims.left(1) == []
    assert claims.get(OTHER) is None


def test_who_shows_the_token_reclaims_a_session_without_owner() -> None:
    claims = claimed()
    assert not claims.reclaim(KEY, 2, TOKEN), "it has an owner"
    claims.left(1)
    assert not claims.reclaim(KEY, 2, WRONG)
    assert not claims.reclaim(OTHER, 2, TOKEN)
    assert claims.reclaim(KEY, 2, TOKEN)
    assert claims.owns(KEY, 2)
    assert not claims.reclaim(KEY, 3, TOKEN)


def test_an_owner_may_show_its_token_again() -> None:
    assert claimed().reclaim(KEY, 1, TOKEN)


def test_what_is_forgotten_is_nobodys() -> None:
    claims = claimed("owner")
    claims.forget(KEY)
    claims.forget(KEY)
    assert not claims.owns(KEY, 1)
    assert len(claims) == 0


def test_a_token_that_is_no_text_of_this_world_is_wrong_and_no_error() -> None:
    assert not claimed("token").may_use(KEY, 2, "\udcff€")
