"""`CertificateRecord` in the hands of a caller, apart from any database."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect

from certledger.db import CertificateRecord, SyncDBHandler
from certledger.testing.issue import Issue
from certledger.testing.rules import covers


@covers("record.unknown_keyword")
def test_an_unknown_keyword_is_a_type_error() -> None:
    keywords: dict[str, Any] = {"serial": "5"}
    with pytest.raises(TypeError):
        CertificateRecord(**keywords)


def test_a_record_is_detached_and_unchanged_until_a_session_takes_it_in(
    handler: SyncDBHandler, issue: Issue
) -> None:
    handler.register_cert_in_db(issue(), None)
    (record,) = handler.list_all()

    state = inspect(record)
    assert (state.detached, state.modified, state.unloaded) == (True, False, set())

    with handler._db.session() as session:
        session.add(record)
        assert not session.dirty
        assert session.get(CertificateRecord, record.id) is record
