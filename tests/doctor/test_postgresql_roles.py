"""What roles of PostgreSQL may do beyond what they need, and no longer when that was taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import make_url

from certledger import Ledger
from certledger.doctor.postgresql_roles import Powers, Role, symptoms_of_role
from certledger.doctor.postgresql_server import symptoms_of_server
from certledger.eventstore.durability.postgresql import Identity, Setting, symptoms_of_settings
from certledger.eventstore.urls import with_schema
from certledger.testing.certificates import make_certificate
from tests.support.doctor import kinds, mend, only, symptoms, weak
from tests.support.postgresql import database, named, role, with_options
from tests.support.servers import Place, random_name

PLAIN = Role("app", False, False, False, 150_000, "db", "s", "s_app")
WHO = Identity("app", "db")


class Roles:
    """Roles of a test on one registry, which an administrator owns."""

    def __init__(self, place: Place, stack: ExitStack) -> None:
        self.place = place
        self._stack = stack
        Ledger(place.url).close()

    def run(self, *texts: str) -> None:
        with self.place.administrator() as sql:
            sql.exec_driver_sql(f"SET search_path = {self.place.name}")
            for text in texts:
                sql.exec_driver_sql(text)

    def login(self) -> str:
        """The URL of a role that may read the registry and nothing more."""
        url = self._stack.enter_context(role(self.place.server))
        name = named(url)
        self.run(
            f"GRANT USAGE ON SCHEMA {self.place.name} TO {name}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {self.place.name} TO {name}",
        )
        return with_options(url, f"-csearch_path={self.place.name}")

    def group(self) -> str:
        """The name of a role that nobody logs in as."""
        return self._stack.enter_context(self._group())

    @contextmanager
    def _group(self) -> Iterator[str]:
        name = random_name()
        self.run(f"CREATE ROLE {name}")
        try:
            yield name
        finally:
            self.run(f"REASSIGN OWNED BY {name} TO CURRENT_USER", f"DROP OWNED BY {name}")
            self.run(f"DROP ROLE {name}")

    def mended(self, url: str) -> list[str]:
        """What is weak after the one symptom was mended by an administrator."""
        mend(only(symptoms(url), "privileges"), self.administrators(url))
        return weak(url)

    def administrators(self, url: str) -> str:
        server = make_url(self.place.server)
        made = make_url(url).set(username=server.username, password=server.password)
        return made.render_as_string(hide_password=False)


@pytest.fixture
def roles(postgresql: Place) -> Iterator[Roles]:
    with ExitStack() as stack:
        yield Roles(postgresql, stack)


def test_a_role_that_may_only_read_has_nothing_weak(roles: Roles) -> None:
    assert symptoms(roles.login()) == []


@pytest.mark.parametrize(
    "wide",
    [
        "UPDATE ON log_entry",
        "DELETE ON log_entry",
        "TRUNCATE ON log_entry",
        "TRIGGER ON log_entry",
        "UPDATE (actor) ON log_entry",
        "ALL ON log_entry",
        "DELETE ON log_head",
        "TRUNCATE ON log_head",
        "UPDATE ON log_checkpoint",
        "INSERT ON log_entry WITH GRANT OPTION",
        "ALL ON log_entry, log_head, log_checkpoint WITH GRANT OPTION",
    ],
)
def test_a_privilege_that_nobody_needs_is_weak_until_it_is_revoked(roles: Roles, wide: str) -> None:
    url = roles.login()
    privileges, _, option = wide.partition(" WITH ")
    roles.run(f"GRANT {privileges} TO {named(url)}{f' WITH {option}' if option else ''}")
    found = [each for each in symptoms(url) if each.kind == "privileges"]
    assert found
    assert bool(option) == any("GRANT OPTION" in each.message for each in found)
    for each in found:
        mend(each, roles.administrators(url))
    assert weak(url) == []


@pytest.mark.parametrize("needed", ["INSERT ON log_entry", "UPDATE ON log_head", "ALL ON retired"])
def test_a_privilege_that_an_application_needs_is_no_symptom(roles: Roles, needed: str) -> None:
    url = roles.login()
    roles.run(f"GRANT {needed} TO {named(url)}")
    assert weak(url) == []


def test_a_privilege_of_everybody_is_weak_until_it_is_revoked_from_public(roles: Roles) -> None:
    url = roles.login()
    roles.run("GRANT DELETE ON log_entry TO PUBLIC")
    assert "by what PUBLIC is granted" in only(symptoms(url), "privileges").message
    assert roles.mended(url) == []


def test_a_privilege_by_a_group_is_weak_until_it_is_revoked_from_the_group(roles: Roles) -> None:
    url, outer, inner = roles.login(), roles.group(), roles.group()
    roles.run(
        f"GRANT {outer} TO {named(url)}",
        f"GRANT {inner} TO {outer}",
        f"GRANT UPDATE ON log_entry TO {inner}",
    )
    assert inner in only(symptoms(url), "privileges").message
    assert roles.mended(url) == []


@pytest.mark.parametrize("predefined", ["pg_write_all_data", "pg_execute_server_program"])
def test_a_member_of_a_mighty_role_is_weak_until_it_is_none(roles: Roles, predefined: str) -> None:
    url = roles.login()
    roles.run(f"GRANT {predefined} TO {named(url)}")
    assert predefined in only(symptoms(url), "privileges").message
    assert roles.mended(url) == []


def test_a_member_of_a_role_that_is_a_superuser_is_weak_until_it_is_none(roles: Roles) -> None:
    url, outer = roles.login(), roles.group()
    superuser = roles.group()
    roles.run(f"ALTER ROLE {superuser} SUPERUSER", f"GRANT {superuser} TO {outer}")
    roles.run(f"GRANT {outer} TO {named(url)}")
    message = only(symptoms(url), "privileges").message
    assert f"a member of {outer}" in message
    assert f"{superuser} is a superuser" in message
    assert roles.mended(url) == []


OWNS: list[Callable[[str, str], str]] = [
    lambda schema, owner: f"ALTER SCHEMA {schema} OWNER TO {owner}",
    lambda _, owner: f"ALTER TABLE log_head OWNER TO {owner}",
    lambda _, owner: f"ALTER FUNCTION log_entry_no_delete() OWNER TO {owner}",
]


@pytest.mark.parametrize("own", OWNS, ids=["schema", "table", "function"])
def test_an_owner_is_weak_and_a_role_of_its_own_is_not(
    roles: Roles, own: Callable[[str, str], str]
) -> None:
    url = roles.login()
    roles.run(own(roles.place.name, named(url)))
    found = only(symptoms(url), "privileges")
    assert f"{named(url)} owns the" in found.message
    mend(found, roles.administrators(url))
    name = f"{roles.place.name}_app"
    try:
        roles.run(f"ALTER ROLE {name} PASSWORD 'secret'")
        application = make_url(url).set(username=name, password="secret")
        with Ledger(application.render_as_string(hide_password=False)) as ledger:
            ledger.issue(make_certificate())
        assert weak(application.render_as_string(hide_password=False)) == []
    finally:
        roles.run(own(roles.place.name, "CURRENT_USER"), f"DROP OWNED BY {name}")
        roles.run(f"DROP ROLE {name}")


def test_who_owns_the_database_alone_is_weak(postgresql_server: str) -> None:
    with (
        role(postgresql_server) as login,
        database(postgresql_server, f"OWNER {named(login)}") as url,
    ):
        Ledger(url).close()
        own = make_url(login).set(database=make_url(url).database)
        found = only(symptoms(own.render_as_string(hide_password=False)), "privileges")
        assert f"owns the database {own.database}, so" in found.message


def test_the_names_of_an_odd_schema_are_quoted(roles: Roles) -> None:
    quoted = '"An odd ""schema"""'
    roles.run(f"CREATE SCHEMA {quoted}")
    try:
        url = with_schema(make_url(roles.place.url), 'An odd "schema"')
        administrator = url.render_as_string(hide_password=False)
        Ledger(administrator).close()
        login = make_url(roles.login()).update_query_dict(url.query)
        name = login.username
        roles.run(
            f"GRANT USAGE ON SCHEMA {quoted} TO {name}",
            f"GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA {quoted} TO {name}",
        )
        app = login.render_as_string(hide_password=False)
        mend(only(symptoms(app), "privileges"), administrator)
        assert weak(app) == []
    finally:
        roles.run(f"DROP SCHEMA {quoted} CASCADE")


def test_a_member_of_the_owner_is_weak_until_it_is_none(roles: Roles) -> None:
    url, owner = roles.login(), roles.group()
    roles.run(f"ALTER TABLE log_entry OWNER TO {owner}", f"GRANT {owner} TO {named(url)}")
    assert "owns the log" in only(symptoms(url), "privileges").message
    assert roles.mended(url) == []
    with Ledger(url) as ledger:
        ledger.issue(make_certificate())


@pytest.mark.parametrize("attribute", ["REPLICATION", "CREATEROLE"])
def test_an_attribute_of_power_is_weak_until_it_is_taken_away(roles: Roles, attribute: str) -> None:
    url = roles.login()
    roles.run(f"ALTER ROLE {named(url)} {attribute}")
    found = symptoms(url)
    if attribute == "CREATEROLE" and "privileges" not in kinds(found):
        pytest.skip("from PostgreSQL 16 on, CREATEROLE lets nobody into other roles")
    assert attribute in only(found, "privileges").message
    assert roles.mended(url) == []


def test_a_role_that_may_switch_triggers_off_is_weak_until_it_may_not(roles: Roles) -> None:
    with roles.place.administrator() as sql:
        version = sql.exec_driver_sql("SHOW server_version_num").scalar_one()
    if int(version) < 150_000:
        pytest.skip("before PostgreSQL 15 settings could not be granted")
    url = roles.login()
    roles.run(f"GRANT SET ON PARAMETER session_replication_role TO {named(url)}")
    assert "past the triggers" in only(symptoms(url), "privileges").message
    assert roles.mended(url) == []


def test_odd_names_are_quoted(roles: Roles) -> None:
    url = roles.login()
    quoted = '"an ""odd"" role"'
    roles.run(f"CREATE ROLE {quoted}")
    try:
        roles.run(f"GRANT {quoted} TO {named(url)}", f"GRANT DELETE ON log_entry TO {quoted}")
        assert quoted in only(symptoms(url), "privileges").message
        assert roles.mended(url) == []
    finally:
        roles.run(f"DROP OWNED BY {quoted}", f"DROP ROLE {quoted}")


# The decisions alone


def test_of_a_superuser_nothing_more_is_told() -> None:
    superuser = Role("root", True, True, True, 150_000, "db", "s", "s_app")
    (found,) = symptoms_of_role(superuser, Powers(owned=["the database db"]))
    assert "root is a superuser" in found.message
    assert found.mending[0].command == "CREATE ROLE s_app LOGIN;"


def test_from_version_16_on_a_role_that_makes_roles_is_no_symptom() -> None:
    maker = Role("app", False, False, True, 160_000, "db", "s", "s_app")
    assert list(symptoms_of_role(maker, Powers())) == []
    assert list(symptoms_of_role(PLAIN, Powers())) == []


SETTINGS = {
    "default_transaction_read_only": "off",
    "session_replication_role": "origin",
    "synchronous_commit": "on",
    "synchronous_standby_names": "",
    "wal_level": "replica",
    "fsync": "on",
    "full_page_writes": "on",
}


def settings(**changed: str) -> dict[str, Setting]:
    return {
        name: Setting(value, "default", value) for name, value in {**SETTINGS, **changed}.items()
    }


def test_the_settings_of_a_new_server_are_no_symptom() -> None:
    assert list(symptoms_of_server(settings(), WHO, standby=False)) == []
    assert list(symptoms_of_settings(settings(), WHO)) == []


@pytest.mark.parametrize(
    ("changed", "standby", "expected"),
    [
        ({"wal_level": "minimal"}, False, ["no-standby"]),
        ({"session_replication_role": "replica"}, False, ["triggers-off"]),
        ({"default_transaction_read_only": "on"}, False, ["read-only"]),
        ({"default_transaction_read_only": "on"}, True, ["read-only"]),
        ({}, True, ["read-only"]),
        ({"synchronous_commit": "local"}, False, []),
        (
            {"synchronous_commit": "local", "synchronous_standby_names": "*"},
            False,
            ["standby-behind"],
        ),
        ({"synchronous_commit": "remote_apply", "synchronous_standby_names": "*"}, False, []),
    ],
)
def test_what_a_setting_of_the_server_means(
    changed: dict[str, str], standby: bool, expected: list[str]
) -> None:
    assert kinds(symptoms_of_server(settings(**changed), WHO, standby=standby)) == expected


def test_a_setting_of_the_command_line_is_mended_there() -> None:
    found = settings() | {"fsync": Setting("off", "command line", "off")}
    (symptom,) = symptoms_of_settings(found, WHO)
    assert [step.language for step in symptom.mending] == ["shell"]
    assert symptom.mending[0].command == "pg_ctl restart -o '-c fsync=on'"
