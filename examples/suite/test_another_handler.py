"""Another implementation of `BaseDB`, held to the contract of its nine methods."""

from logging import Logger
from uuid import UUID

import pytest
from cryptography import x509

from certledger import CertType, Ledger, SyncDBHandler, testing


class Announcing(SyncDBHandler):
    """Keeps a list of what was registered. Yours may have nothing to do with certledger."""

    def register_cert_in_db(
        self,
        cert: x509.Certificate,
        uuid: str | UUID | None,
        key_type: CertType = CertType.DEVICE,
    ) -> bool:
        """Record a certificate and announce it."""
        done = super().register_cert_in_db(cert, uuid, key_type)
        if done:
            self.announced = [*getattr(self, "announced", []), cert.serial_number]
        return done


class AnotherHandler(testing.SqliteFile):
    """Opens the handler on SQLite files."""

    name = "another handler"
    of_certledger = False

    def open(
        self,
        url: str,
        flavour: testing.Flavour,
        *,
        clock: testing.FakeClock,
        logger: Logger,
        raise_errors: bool = False,
        retry_seconds: float = 30,
    ) -> testing.Opened:
        """Open a handler; `Opened` says what closes it, and its idle connections."""
        ledger = Ledger(url, clock=clock, logger=logger, retry_seconds=retry_seconds)
        handler = Announcing.over(ledger, logger, raise_errors=raise_errors)
        return testing.Opened(handler, None, handler.close, ledger.close)


@pytest.fixture
def backend() -> testing.Backend:
    return AnotherHandler()


class TestContract(testing.Contract):
    """The rules of the contract, for a handler that is not asynchronous."""

    @pytest.fixture
    def flavour(self) -> testing.Flavour:
        return "sync"


class TestLifecycle(testing.Lifecycle):
    """Long histories, for a handler that is not asynchronous."""

    @pytest.fixture
    def flavour(self) -> testing.Flavour:
        return "sync"
