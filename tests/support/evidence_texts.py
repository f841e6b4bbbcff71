"""An evidence archive whose every byte is known, and the texts for people in it.

`python -m tests.support.evidence_texts` writes them into `tests/exporters/golden`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from certledger.eventstore.event import Event
from certledger.eventstore.proving import EntryProof
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.note import Note, NoteSigner
from certledger.eventstore.tlog.proofs import inclusion_proof
from certledger.eventstore.tlog.tlog_proof import TlogProof
from certledger.exporters.bundle import Bundle
from certledger.exporters.pages import to_html, to_text
from certledger.exporters.readme import readme_of
from certledger.exporters.stored_zip import pack
from certledger.exporters.summary import summary_of, title_of
from tests.support.given import START, deleted, event, issued, revoked
from tests.support.log import ORIGIN
from tests.support.signed import LOG_KEY, VKEY, cosigned
from tests.support.sparse_tree import SparseTree

GOLDEN = Path(__file__).resolve().parent.parent / "exporters" / "golden"
SIZE = 1_000
EVIL = (
    "Bob <script>alert('x')</script>\nwho (asserted)  carol\N{RIGHT-TO-LEFT OVERRIDE}\x1b[2J&amp;"
)
"""A comment with markup, with a line that looks like one of ours, with invisible controls."""


def signed_proofs(entries: Mapping[int, bytes], size: int = SIZE) -> tuple[bytes, list[EntryProof]]:
    """A checkpoint of a log with these entries, all others alike, and their proofs."""
    tree = SparseTree(entries)
    text = Checkpoint(ORIGIN, size, tree.root(size)).to_text()
    note = cosigned(Note(text).signed(NoteSigner(LOG_KEY)).to_bytes())
    proofs = [
        EntryProof(seq, entry, TlogProof(seq, tuple(inclusion_proof(seq, size, tree)), note))
        for seq, entry in entries.items()
    ]
    return note, proofs


def bundle_of(*events: Event, size: int = SIZE) -> Bundle:
    """The archive's parts for these events."""
    note, proofs = signed_proofs({one.seq: one.to_entry() for one in events}, size)
    return Bundle.of(LOG_KEY.verifier_key, note, proofs)


def archive_of(entries: Mapping[int, bytes], vkey: str = VKEY) -> bytes:
    """An archive as a registry would sign it that lies: whatever the entries are."""
    note, proofs = signed_proofs(entries)
    members = {"checkpoint": note, "log-key.vkey": f"{vkey}\n".encode()}
    for proof in proofs:
        members[f"events/{proof.seq}.leaf"] = proof.entry
        members[f"events/{proof.seq}.tlog-proof"] = proof.proof.to_bytes()
    return pack(members)


def known_bundle() -> Bundle:
    """A certificate that was registered, revoked by somebody with evil intentions, and deleted."""
    history = (
        issued(common_name="<b>device</b>.example.org", comment="TICKET-1"),
        revoked(comment=EVIL, requested_at=START + timedelta(hours=5)),
        deleted(),
    )
    return bundle_of(
        *(
            event(data, version=version, seq=seq, recorded=START + timedelta(days=version + 1))
            for version, (seq, data) in enumerate(zip((7, 512, 999), history, strict=True))
        )
    )


def texts_of(bundle: Bundle) -> dict[str, str]:
    title, sections = title_of(bundle), summary_of(bundle)
    return {
        "README.txt": readme_of(bundle),
        "summary.txt": to_text(title, sections),
        "summary.html": to_html(title, sections),
    }


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, text in texts_of(known_bundle()).items():
        (GOLDEN / name).write_text(text, encoding="utf-8")
