"""README.txt of an evidence archive: how to check it without certledger.

Its indented lines are a program for any POSIX shell; the tests run it as it stands. What comes
from a certificate or a comment is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import Template
from typing import Final

from certledger.eventstore.merkle import leaf_hash
from certledger.eventstore.proving import EntryProof
from certledger.eventstore.tlog.encoding import to_base64
from certledger.eventstore.tlog.proofs import inclusion_path
from certledger.exporters.bundle import CERTIFICATE, Bundle
from certledger.text import counted, serial_text

FORM: Final = "certledger evidence 1"
"""How an archive begins to speak of itself. Another wording of any text for people is another form,
so that `check` can tell an edited summary from one that another version wrote.
"""

_README: Final = Template("""\
$form
certificate $serial in the log $origin

This folder shows what the log of a certificate registry holds about one certificate, and that the
registry has signed this log. It can be checked without certledger, with a POSIX shell, openssl
(version 3 or later), sha256sum, base64, cmp, cut, sed and tail.

Lines that begin with four blanks are commands. Run them in this folder, one after the other, or all
at once: they are what `sed -n 's/^    //p' README.txt` prints, for `sh -e`. Each must end without
an error; what it should print stands beside it.


1. THE KEY

log-key.vkey is the registry's key line: its name, the key's id, and in base64 the byte 1 and the 32
bytes of an Ed25519 public key, joined by `+`. log-key.pem is the same key for openssl, as these two
lines show by printing the same:

    cut -d+ -f3- log-key.vkey | base64 -d | tail -c 32 | base64
    openssl pkey -pubin -in log-key.pem -outform DER | tail -c 32 | base64

Anybody can make a key and put it here. Get the key line from the registry in another way (its
documents, its contract, an earlier audit) and compare it with

    cat log-key.vkey


2. THE SIGNATURE

`checkpoint` is what the registry signed, a C2SP signed note: three lines (the name of the log, its
number of entries, the root hash of its tree in base64), an empty line, and a line for each
signature (a dash, the name of the key, and in base64 4 bytes of the key's id and 64 bytes of the
signature). checkpoint.signed are the bytes that were signed, checkpoint.signature is the signature.
They are taken from the checkpoint so; both commands print nothing:

    sed '/^$$/,$$d' checkpoint | cmp - checkpoint.signed
    sed -n '${line}p' checkpoint | cut -d' ' -f3 | base64 -d | tail -c +5 |
    cmp - checkpoint.signature

The signature is right; this prints `Signature Verified Successfully`:

    openssl pkeyutl -verify -rawin -pubin -inkey log-key.pem \\
    -in checkpoint.signed -sigfile checkpoint.signature

So the registry says that its log has $size and this root:

    size=$$(sed -n 2p checkpoint.signed)
    root=$$(sed -n 3p checkpoint.signed)


3. THE ENTRIES

events/N.leaf holds the exact bytes of entry N of the log (the first one is 0). Each entry is an
event in JSON (CloudEvents 1.0). `type` and `data` tell what happened, `data.comment` why, `authid`
who is said to have done it, `time` when it happened, `recordedtime` when it was recorded,
`sequence` is N, and `streamversion` counts the events of this certificate from 0 on. The actor is
asserted by the registry, nothing here authenticates it; summary.txt says what else is not shown.

The log is the list of leaves of a hash tree (RFC 9162 section 2.1). The hash of a leaf is the
SHA-256 of a byte 0 and the entry. These are the leaf hashes:

$leaf_commands

4. THE PLACES IN THE TREE

The hash of an inner node is the SHA-256 of a byte 1, the hash on its left and the hash on its
right. events/N.tlog-proof (C2SP tlog-proof) proves that entry N is in the tree: behind its line
`index N` it has, in base64, the hashes that one needs on the way from the leaf up to the root; then
the checkpoint once more. With the hashes in base64 the two kinds of nodes are

    leaf() { { printf '\\000'; cat "$$1"; } | openssl dgst -sha256 -binary | base64; }
    node() { { printf '\\001'; printf %s "$$1" | base64 -d; printf %s "$$2" | base64 -d; } |
    openssl dgst -sha256 -binary | base64; }

As an example, entry $example goes up to the root so, a node at a time:

$example_commands
    echo "$$h"

This is the root in the checkpoint: $root

    test "$$h" = "$$root"

Which side a hash belongs to follows from the index of the leaf and from the size of the tree
(RFC 9162 section 2.1.3.2). Going up, a node with an odd number stands to the right of its
neighbour, one with an even number to the left. The last node of a level, where its number is even,
has no neighbour there: it goes up as it is until it has an odd number, and is then the one on the
right. At the end no level may be left. In the shell, for every entry and its proof:

    in_log() {
    index=$$(sed -n 's/^index //p' "$$1.tlog-proof")
    last=$$((size - 1))
    test "events/$$index" = "$$1" && test "$$index" -le "$$last" || return 1
    sed '1,/^$$/d' "$$1.tlog-proof" | cmp - checkpoint || return 1
    h=$$(leaf "$$1.leaf")
    for p in $$(sed -n '/^index /,/^$$/p' "$$1.tlog-proof" | sed 1d); do
    test "$$last" -gt 0 || return 1
    if test $$((index % 2)) = 1 || test "$$index" = "$$last"; then
    h=$$(node "$$p" "$$h")
    while test $$((index % 2)) = 0 && test "$$index" != 0; do
    index=$$((index / 2)) last=$$((last / 2))
    done
    else h=$$(node "$$h" "$$p")
    fi
    index=$$((index / 2)) last=$$((last / 2))
    done
    test "$$last" = 0 && test "$$h" = "$$root"
    }

It prints `in the log` for each of the $events:

    for leaf in events/*.leaf; do
    if in_log "$${leaf%.leaf}"; then echo "$$leaf: in the log"
    else echo "$$leaf: NOT IN THE LOG"; exit 1
    fi
    done
$certificates
""")
_CERTIFICATES: Final = Template("""

5. THE CERTIFICATE

$certificate is the certificate as it was registered; `openssl x509 -in $certificate -noout -text`
shows what is in it. Its entry holds the SHA-256 of its DER encoding; both commands print the same:

$commands
""")


def readme_of(bundle: Bundle) -> str:
    """Return the text of README.txt."""
    return _README.substitute(
        form=FORM,
        serial=serial_text(bundle.serial),
        origin=bundle.checkpoint.origin,
        line=_line_of_signature(bundle),
        size=counted(bundle.checkpoint.size, "entry", "entries"),
        leaf_commands="".join(map(_leaf_command, bundle.proofs)),
        example=bundle.proofs[-1].seq,
        example_commands="\n".join(_example(bundle.proofs[-1], bundle.checkpoint.size)),
        root=to_base64(bundle.checkpoint.root),
        events=counted(len(bundle.proofs), "entry", "entries"),
        certificates=_certificates(bundle),
    )


def _line_of_signature(bundle: Bundle) -> int:
    # From 1, behind the text and the empty line.
    return bundle.note.text.count("\n") + 2 + bundle.note.signatures.index(bundle.signature)


def _leaf_command(proof: EntryProof) -> str:
    return (
        f"    {{ printf '\\000'; cat events/{proof.seq}.leaf; }} | sha256sum\n"
        f"  {leaf_hash(proof.entry).hex()}\n"
    )


def _example(proof: EntryProof, size: int) -> Iterator[str]:
    yield f"    h=$(leaf events/{proof.seq}.leaf)"
    path = inclusion_path(proof.seq, size)
    for covered, found in zip(path, proof.proof.hashes, strict=True):
        sides = ('"$h"', f'"{to_base64(found)}"')
        left, right = sides if covered.start > proof.seq else sides[::-1]
        yield f"    h=$(node {left} {right})"


def _certificates(bundle: Bundle) -> str:
    names = {pem: name for name, pem in bundle.certificates().items()}
    if not names:
        return ""
    commands = "".join(
        f"    sed '/^-/d' {names[data.certificate_pem]} | base64 -d | sha256sum | cut -c 1-64\n"
        f'    grep -o \'"sha256":"[0-9a-f]*"\' events/{seq}.leaf | cut -d\'"\' -f4\n'
        for seq, data in bundle.registrations
    )
    return _CERTIFICATES.substitute(certificate=CERTIFICATE, commands=commands.rstrip("\n"))
