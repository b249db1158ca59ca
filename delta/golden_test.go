package delta

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

var update = flag.Bool("update", false, "write the golden vectors and the seeds of the fuzzers")

// vector is a value whose encoding must never change.
type vector struct {
	name   string
	fuzzer string
	bytes  []byte
	again  func(b []byte) ([]byte, error) // decode and encode
}

func frameAgain(b []byte) ([]byte, error) {
	f, err := DecodeFrame(b)
	return AppendFrame(nil, f), err
}

func unitAgain(b []byte) ([]byte, error) {
	u, err := DecodeUnit(b)
	return AppendUnit(nil, u), err
}

const fuzzPath crdt.Path = "rk!r"

func entriesAgain(b []byte) ([]byte, error) {
	es, err := DecodeEntries(b, fuzzPath)
	return AppendEntries(nil, es), err
}

// The following return what is behind the value as well.

func entryAgain(b []byte) ([]byte, error) {
	e, rest, err := DecodeEntry(b)
	return append(AppendEntry(nil, e), rest...), err
}

func clockAgain(b []byte) ([]byte, error) {
	v, rest, err := DecodeClock(b)
	return append(AppendClock(nil, v), rest...), err
}

func runsAgain(b []byte) ([]byte, error) {
	rs, rest, err := DecodeRuns(b)
	return append(AppendRuns(nil, rs), rest...), err
}

func dotSetAgain(b []byte) ([]byte, error) {
	s, rest, err := DecodeDotSet(b)
	if err != nil {
		return nil, err
	}
	return append(AppendDotSet(nil, s), rest...), nil
}

func vectors() []vector {
	f := fullFrame()
	siblings := []crdt.Entry{
		{Dot: dot(idB, 7), Path: fuzzPath, Kind: crdt.KindValue, Time: sampleTime, Value: []byte(`{"a":1}`)},
		{Dot: dot(idB, 300), Path: fuzzPath, Kind: crdt.KindValue, Time: sampleTime, Value: []byte(`2`)},
		{Dot: dot(idA, 1), Path: fuzzPath, Kind: 0xfe, Time: 3, Extra: []byte{6, 0x81, 0xa1, 'k', 0xc3}},
	}
	timed := []crdt.Entry{
		{Dot: dot(idB, 9), Path: fuzzPath, Kind: crdt.KindValue, Time: sampleTime, Value: []byte(`1`), Expires: 1_767_225_600_000},
		{Dot: dot(idB, 8), Path: fuzzPath, Kind: crdt.KindValue, Time: sampleTime, Expires: crdt.MaxDeadline, Extra: []byte{7, 0xc0}},
	}
	timedUnit := Unit{Origin: idB, First: 9, Last: 10, Entries: []crdt.Entry{timed[0],
		{Dot: dot(idB, 10), Path: member("s", "m"), Kind: crdt.KindMember, Time: sampleTime, Expires: 1}}}
	bounded := crdt.Object(crdt.Bounded, "seats").Leaf(crdt.Bounded)
	cell := crdt.EscrowCell{Lineage: 7, P: crdt.Uint128{Lo: 300}, N: crdt.Uint128{Hi: 1}, Given: []crdt.Grant{{To: idB, Amount: crdt.Uint128{Lo: 5}}}}
	escrowEntry := crdt.Entry{Dot: dot(idA, 9), Path: bounded, Kind: crdt.KindEscrow, Time: sampleTime, Value: cell.Encode()}
	escrowRecord := crdt.Entry{Dot: dot(idB, 2), Path: bounded, Kind: crdt.KindEscrowReset, Time: sampleTime,
		Value: crdt.EscrowRecord{{Replica: idA, EscrowCell: cell}, {Replica: idC, EscrowCell: crdt.EscrowCell{Lineage: 1}}}.Encode()}
	frame := func(f Frame) []byte { return AppendFrame(nil, f) }
	return []vector{
		{"frame-empty", "FuzzDecodeFrame", frame(Frame{}), frameAgain},
		{"frame-full", "FuzzDecodeFrame", frame(f), frameAgain},
		{"frame-registers", "FuzzDecodeFrame", frame(Frame{Runs: f.Runs, Units: sampleUnits("register", 3)}), frameAgain},
		{"frame-sets", "FuzzDecodeFrame", frame(Frame{Units: sampleUnits("set", 17)}), frameAgain},
		{"unit-full", "FuzzDecodeUnit", AppendUnit(nil, f.Units[0]), unitAgain},
		{"unit-nothing", "FuzzDecodeUnit", AppendUnit(nil, f.Units[1]), unitAgain},
		{"unit-other", "FuzzDecodeUnit", AppendUnit(nil, f.Units[3]), unitAgain},
		{"entries-none", "FuzzDecodeEntries", AppendEntries(nil, nil), entriesAgain},
		{"entries-one", "FuzzDecodeEntries", AppendEntries(nil, siblings[:1]), entriesAgain},
		{"entries-siblings", "FuzzDecodeEntries", AppendEntries(nil, siblings), entriesAgain},
		{"entry", "FuzzDecodeEntry", AppendEntry(nil, siblings[0]), entryAgain},
		{"entry-escrow", "FuzzDecodeEntry", AppendEntry(nil, escrowEntry), entryAgain},
		{"entry-escrow-reset", "FuzzDecodeEntry", AppendEntry(nil, escrowRecord), entryAgain},
		{"entry-unknown", "FuzzDecodeEntry", AppendEntry(nil, siblings[2]), entryAgain},
		{"entry-presence", "FuzzDecodeEntry", AppendEntry(nil, crdt.Entry{Dot: dot(idB, 7), Path: crdt.Object(crdt.Presence, "p").Leaf(crdt.Presence).Member("w"),
			Kind: crdt.KindPresence, Time: sampleTime, Value: []byte(`{"port":80}`)}), entryAgain},
		{"entry-lease", "FuzzDecodeEntry", AppendEntry(nil, crdt.Entry{Dot: dot(idB, 8), Path: crdt.LeasePath(idB), Kind: crdt.KindLease, Time: sampleTime,
			Expires: 1_767_225_615_000}), entryAgain},
		{"entry-deadline", "FuzzDecodeEntry", AppendEntry(nil, timed[0]), entryAgain},
		{"entries-deadlines", "FuzzDecodeEntries", AppendEntries(nil, timed), entriesAgain},
		{"unit-deadlines", "FuzzDecodeUnit", AppendUnit(nil, timedUnit), unitAgain},
		{"frame-deadlines", "FuzzDecodeFrame", frame(Frame{Units: []Unit{timedUnit}}), frameAgain},
		{"clock", "FuzzDecodeClock", AppendClock(nil, crdt.VersionVector{idA: 1, idB: 128, idC: 1 << 40}), clockAgain},
		{"runs", "FuzzDecodeRuns", AppendRuns(nil, f.Runs), runsAgain},
		{"dots-none", "FuzzDecodeDotSet", AppendDotSet(nil, NewDotSet()), dotSetAgain},
		{"dots-forms", "FuzzDecodeDotSet", AppendDotSet(nil, setOfAllForms()), dotSetAgain},
	}
}

// setOfAllForms returns a set with chunks of every form.
func setOfAllForms() *DotSet {
	s := NewDotSet()
	s.AddRange(idA, 1, 3*chunkSeqs) // runs: a part, two full ones, a single dot
	for seq := uint64(1); seq < 400; seq += 3 {
		s.Add(dot(idB, 1<<40+seq)) // a list
	}
	for seq := uint64(0); seq < 20_000; seq += 2 {
		s.Add(dot(idB, 2<<40+seq)) // dense
	}
	return s
}

func TestGoldenVectors(t *testing.T) {
	names := map[string]bool{}
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			file := filepath.Join("testdata", "golden", v.name+".hex")
			names[filepath.Base(file)] = true
			if *update {
				writeFile(t, file, hexLines(v.bytes))
			}
			want := readHex(t, file)
			if !bytes.Equal(v.bytes, want) {
				t.Errorf("encoded:\n%swant:\n%s", hexLines(v.bytes), hexLines(want))
			}
			if got, err := v.again(want); err != nil || !bytes.Equal(got, want) {
				t.Errorf("decoded and encoded: %v\n%swant:\n%s", err, hexLines(got), hexLines(want))
			}
		})
	}
	files, err := os.ReadDir(filepath.Join("testdata", "golden"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden vectors: %v", err)
	}
	for _, f := range files {
		if !names[f.Name()] {
			t.Errorf("%s belongs to no vector", f.Name())
		}
	}
}

// Every fuzzer begins with the golden vectors, as committed files, with a byte flipped or cut
// off here and there.
func TestFuzzersHaveSeeds(t *testing.T) {
	for _, v := range vectors() {
		cut := v.bytes[:len(v.bytes)*2/3]
		flipped := slices.Clone(v.bytes)
		flipped[len(flipped)/2] ^= 0x41
		for suffix, b := range map[string][]byte{"": v.bytes, "-cut": cut, "-flipped": flipped} {
			for _, fuzzer := range fuzzersOf(v) {
				file := filepath.Join("testdata", "fuzz", fuzzer, v.name+suffix)
				if *update {
					writeFile(t, file, "go test fuzz v1\n[]byte("+strconv.Quote(string(b))+")\n")
				}
				if _, err := os.Stat(file); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func fuzzersOf(v vector) []string {
	if v.fuzzer == "FuzzDecodeFrame" {
		return []string{v.fuzzer, "FuzzApply"}
	}
	return []string{v.fuzzer}
}

func hexLines(b []byte) string {
	var s strings.Builder
	for line := range slices.Chunk(b, 32) {
		fmt.Fprintln(&s, hex.EncodeToString(line))
	}
	return s.String()
}

func readHex(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
