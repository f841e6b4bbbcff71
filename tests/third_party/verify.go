// Verifies what certledger makes with the libraries of Go's checksum database, which know nothing
// of certledger: golang.org/x/mod/sumdb/note and .../tlog.
//
//	verify proof VKEY FILE.tlog-proof ENTRY
//	verify tiles VKEY FOLDER
//	verify consistency VKEY OLD_CHECKPOINT PROOF
//
// It prints one line that begins with "ok", or fails.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 4 && args[0] == "proof":
		return verifyProof(args[1], args[2], args[3])
	case len(args) == 3 && args[0] == "tiles":
		return verifyTiles(args[1], args[2])
	case len(args) == 4 && args[0] == "consistency":
		return verifyConsistency(args[1], args[2], args[3])
	}
	return errors.New("usage: proof VKEY FILE ENTRY, tiles VKEY FOLDER, consistency VKEY OLD PROOF")
}

// openCheckpoint verifies a signed checkpoint (C2SP tlog-checkpoint).
func openCheckpoint(vkey string, data []byte) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// splitProof divides a file at its first empty line, into lines and a checkpoint.
func splitProof(file string) ([]string, []byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	head, checkpoint, found := bytes.Cut(data, []byte("\n\n"))
	if !found {
		return nil, nil, errors.New("no empty line in " + file)
	}
	return strings.Split(string(head), "\n"), checkpoint, nil
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		data, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(data) != tlog.HashSize {
			return nil, fmt.Errorf("not a hash: %q", line)
		}
		var hash tlog.Hash
		copy(hash[:], data)
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// verifyProof checks a C2SP tlog-proof against the bytes of its entry.
func verifyProof(vkey, file, entryFile string) error {
	lines, checkpoint, err := splitProof(file)
	if err != nil {
		return err
	}
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	hashes, err := parseHashes(lines[2:])
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(vkey, checkpoint)
	if err != nil {
		return err
	}
	entry, err := os.ReadFile(entryFile)
	if err != nil {
		return err
	}
	leaf := tlog.RecordHash(entry)
	if err := tlog.CheckRecord(hashes, tree.N, tree.Hash, index, leaf); err != nil {
		return err
	}
	fmt.Printf("ok: entry %d of %d\n", index, tree.N)
	return nil
}

// verifyConsistency checks a proof in the form of C2SP tlog-witness from an old checkpoint on.
func verifyConsistency(vkey, oldFile, file string) error {
	data, err := os.ReadFile(oldFile)
	if err != nil {
		return err
	}
	old, err := openCheckpoint(vkey, data)
	if err != nil {
		return err
	}
	lines, checkpoint, err := splitProof(file)
	if err != nil {
		return err
	}
	if lines[0] != fmt.Sprintf("old %d", old.N) {
		return fmt.Errorf("%q is not from size %d on", lines[0], old.N)
	}
	hashes, err := parseHashes(lines[1:])
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(vkey, checkpoint)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(hashes, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return err
	}
	fmt.Printf("ok: %d begins with %d\n", tree.N, old.N)
	return nil
}

// folder reads tiles where C2SP tlog-tiles puts them: as Go does, without the height in the path.
type folder string

func (f folder) Height() int { return 8 }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// verifyTiles checks an export: its checkpoint, every tile against it, every entry against them.
func verifyTiles(vkey, dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(vkey, data)
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, folder(dir))
	for first := int64(0); first < tree.N; first += 256 {
		width := tree.N - first
		if width > 256 {
			width = 256
		}
		if err := verifyBundle(dir, reader, first, int(width)); err != nil {
			return err
		}
	}
	fmt.Printf("ok: %d entries\n", tree.N)
	return nil
}

func verifyBundle(dir string, reader tlog.HashReader, first int64, width int) error {
	tile := tlog.Tile{H: 8, L: 0, N: first / 256, W: width}
	path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
	bundle, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		return err
	}
	var places []int64
	for i := 0; i < width; i++ {
		places = append(places, tlog.StoredHashIndex(0, first+int64(i)))
	}
	leaves, err := reader.ReadHashes(places)
	if err != nil {
		return err
	}
	for i := 0; i < width; i++ {
		if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
			return fmt.Errorf("%s is cut off", path)
		}
		size := int(binary.BigEndian.Uint16(bundle))
		if tlog.RecordHash(bundle[2:2+size]) != leaves[i] {
			return fmt.Errorf("entry %d is not in the tree", first+int64(i))
		}
		bundle = bundle[2+size:]
	}
	if len(bundle) != 0 {
		return fmt.Errorf("%s has more than %d entries", path, width)
	}
	return nil
}
