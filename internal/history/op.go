package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
)

// Outcome is what came of a call.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"
	Refused Outcome = "refused" // nothing happened
	Unknown Outcome = "unknown" // it may have happened, or may still happen; at most once
)

// Kind is what an op stands for.
type Kind string

// The kinds.
const (
	Call   Kind = ""       // of a client
	Feed   Kind = "feed"   // a reader of the feed was told the latest state of an object; Session is the reader
	Final  Kind = "final"  // all that a daemon holds, after the end; Token and Digest are of its state
	Held   Kind = "held"   // Peers, which were asked after Start and told before End, hold what Daemon held at Start
	Backup Kind = "backup" // the directory of Daemon was copied; it was stopped from Start to End
	Lost   Kind = "lost"   // the directory of Daemon was taken away; Epoch is the one that begins
)

// Op is one call, or something else that happened. Times are microseconds since the history began.
type Op struct {
	ID      int     `json:"id"`
	Kind    Kind    `json:"kind,omitempty"`
	Name    string  `json:"name,omitempty"` // for people
	Session string  `json:"session,omitempty"`
	Daemon  string  `json:"daemon"`
	Epoch   int     `json:"epoch,omitempty"`
	Start   int64   `json:"start"`
	End     int64   `json:"end"`
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why,omitempty"`   // of what is not OK
	Tries   int     `json:"tries,omitempty"` // how often it was sent, if more than once
	Acks    int     `json:"acks,omitempty"`  // peers that told that they hold it
	Writes  []Write `json:"writes,omitempty"`
	// Reads are of one state, which has the op's own writes.
	Reads []Read `json:"reads,omitempty"`
	// Whole says that Reads are one state of everything: an object that is not there is absent.
	Whole bool `json:"whole,omitempty"`
	// ETag is the condition that the op had on the object that it wrote first. A register has then nothing but what the op removes of it.
	ETag   string   `json:"etag,omitempty"`
	Token  string   `json:"token,omitempty"`
	Digest string   `json:"digest,omitempty"`
	Peers  []string `json:"peers,omitempty"`
	Kept   bool     `json:"kept,omitempty"` // Lost: the last backup was put in its place
}

// Write is what an op does to one object, together with its other writes. Objects are named TYPE/KEY:
// counter/ and bounded/ have a sum, all others elements, those of list/ in order.
type Write struct {
	Object string   `json:"object"`
	Add    []string `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
	Inc    int64    `json:"inc,omitempty"`
}

// Read is what an op showed of one object.
type Read struct {
	Object   string   `json:"object"`
	Elements []string `json:"elements,omitempty"`
	Sum      int64    `json:"sum,omitempty"`
	// Partial says that there may be more elements.
	Partial bool `json:"partial,omitempty"`
	// Later says, of a Feed, that the object was read when it was told, and may be newer than that.
	Later bool `json:"later,omitempty"`
}

func isSum(object string) bool {
	return strings.HasPrefix(object, "counter/") || isBounded(object)
}
func isBounded(object string) bool  { return strings.HasPrefix(object, "bounded/") }
func isList(object string) bool     { return strings.HasPrefix(object, "list/") }
func isRegister(object string) bool { return strings.HasPrefix(object, "register/") }

// String tells the op in a line.
func (o Op) String() string {
	text, err := json.Marshal(o)
	if err != nil {
		return err.Error()
	}
	const most = 700
	if len(text) > most {
		return fmt.Sprintf("%s… (op %d)", text[:most], o.ID)
	}
	return string(text)
}

// maxLineBytes bounds an op in a file.
const maxLineBytes = 64 << 20

// ReadAll reads a history, a line of JSON for each op.
func ReadAll(r io.Reader) ([]Op, error) {
	var ops []Op
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		var o Op
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(ops)+1, err)
		}
		ops = append(ops, o)
	}
	return ops, lines.Err()
}

// Writer writes a history. It is safe for concurrent use.
type Writer struct {
	mu  sync.Mutex
	w   *bufio.Writer
	err error
}

// NewWriter returns a writer; Flush is to be called at the end.
func NewWriter(w io.Writer) *Writer { return &Writer{w: bufio.NewWriterSize(w, 1<<16)} }

// Write adds an op.
func (w *Writer) Write(o Op) {
	text, err := json.Marshal(o)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		_, err = w.w.Write(append(text, '\n'))
	}
	if w.err == nil {
		w.err = err
	}
}

// Flush returns the first error of all.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.w.Flush(); w.err == nil {
		w.err = err
	}
	return w.err
}
