package http

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/store"
)

// Sent again with its key, a bulk goes on where it stopped.
func TestBulkResume(t *testing.T) {
	d := newDaemon(t)
	first := strings.Join([]string{`{"counter":"c","inc":9223372036854775807}`, ``, `{"counter":"c","inc":1}`, `nonsense`, `{"set":"s","add":["a"]}`}, "\n")
	got, last := d.bulk(first, key)
	problem := func(line int, kind string) string { return fmt.Sprintf(problemMember, line, kind) }
	wantLines(t, got, `{"line":1,"status":200,"value":"9223372036854775807"}`, problem(3, "overflow"), problem(4, "bad-request"), `{"line":5,"status":200,"added":1,"removed":0}`)
	// What was refused stays so, though it would be done by now.
	d.do("POST", ns+"/batch", `{"ops":[{"counter":"c","reset":true},{"set":"s","delete":true}]}`).ok(200)
	again := []string{`{"line":1,"status":200,"replayed":true}`, problem(3, "overflow"), problem(4, "bad-request"), `{"line":5,"status":200,"replayed":true}`}
	got, replayed := d.bulk(first, key)
	wantLines(t, got, again...)
	if *replayed.Lines != 5 || *replayed.Failed != 2 || replayed.Context != last.Context {
		t.Errorf("%+v, first %+v", replayed, last)
	}
	got, last = d.bulk(first+"\n\n"+`{"counter":"c","inc":5}`, key)
	wantLines(t, got, append(again, `{"line":7,"status":200,"value":5}`)...)
	if last.Context != d.do("GET", ns+"/keys", "").token() {
		t.Errorf("%+v", last)
	}
	d.do("GET", ns+"/sets/s", "").problem(kindNotFound)

	// Another bulk: from the first line on, later, or too short.
	bulk := func(body string, headers ...string) result {
		return d.do("POST", ns+"/bulk", body, append(headers, ndjson, key)...)
	}
	bulk(" " + first).problem(kindKeyReused)
	if r := bulk(strings.Replace(first, `"a"`, `"b"`, 1) + "\n\n" + `{"counter":"c","inc":5}`).ok(200); !strings.Contains(r.body, problem(6, "idempotency-key-reused")) || strings.Contains(r.body, `"lines"`) {
		t.Error(r.body)
	}
	if r := bulk(first).ok(200); !strings.HasSuffix(strings.TrimSuffix(r.body, "\n"), "}}") || !strings.Contains(r.body, problem(6, "idempotency-key-reused")) {
		t.Error(r.body)
	}
	d.do("POST", ns+"/counters/c", `{"inc":1}`, key).problem(kindKeyReused)
	d.do("POST", ns+"/counters/c", `{"inc":1}`, "Idempotency-Key: single").ok(200)
	d.do("POST", ns+"/bulk", `{}`, ndjson, "Idempotency-Key: single").problem(kindKeyReused)
	d.do("GET", ns+"/counters/c", "").want(200, `{"type":"counter","key":"c","value":6}`)

	x := d.duplex(key)
	x.send(`{"counter":"c","inc":9223372036854775807}` + "\n")
	if got := x.line(); got != again[0] {
		t.Error(got)
	}
	bulk(first).problem(kindInProgress)
}

// A bulk with a key remembers so many refused lines, and ends at the next.
func TestBulkRefused(t *testing.T) {
	d := newDaemon(t)
	d.do("POST", ns+"/counters/c", `{"inc":9223372036854775807}`).ok(200)
	body := strings.Repeat(`{"counter":"c","inc":1}`+"\n", maxRefused+1)
	r := d.do("POST", ns+"/bulk", body, ndjson, key).ok(200)
	lines := strings.Split(r.body, "\n")
	if len(lines) != maxRefused+1 || !strings.HasPrefix(lines[maxRefused], fmt.Sprintf(problemMember, maxRefused+1, "too-large")) {
		t.Errorf("%d lines, %s", len(lines), lines[len(lines)-1])
	}
	if r := d.do("POST", ns+"/bulk", body, ndjson).ok(200); !strings.Contains(r.body, fmt.Sprintf(`"lines":%d,"failed":%d`, maxRefused+1, maxRefused+1)) {
		t.Error(r.body[len(r.body)-200:])
	}
}

// The datastore stops at each batch. However often the bulk is cut off, once it has come through each
// line is done once.
func TestBulkCut(t *testing.T) {
	var body []string
	sum, want := 0, []string{}
	for i := 1; i <= 20; i++ {
		body = append(body, fmt.Sprintf(`{"counter":"c","inc":%d}`, i))
		sum += i
		if i%10 == 0 { // a set whose delete is a large change
			members := make([]string, 100)
			for m := range members {
				members[m] = fmt.Sprintf("%q", fmt.Sprint("m", i, m))
			}
			body = append(body, `{"set":"s","delete":true}`, ``, `nonsense`, `{"set":"s","add":[`+strings.Join(members, ",")+`]}`)
			want = members
		}
	}
	slices.Sort(want)
	export := fmt.Sprintf(`{"counter":"c","inc":%d}`, sum) + "\n" + `{"set":"s","add":[` + strings.Join(want, ",") + "]}\n"
	resumed, step := 0, 1
	if testing.Short() {
		step = 5
	}
	for stop := 1; ; stop += step {
		for _, behind := range []bool{false, true} {
			c := &cut{Backend: store.NewMemoryBackend(), behind: behind}
			opts := c.options(t)
			whole := false
			for _, c.left = range []int{stop, stop, -1} {
				s, err := store.Open(opts)
				if err != nil {
					continue
				}
				h := New(Options{})
				h.Attach(Adapt(s), nil)
				reply := direct(h, "POST", ns+"/bulk", strings.Join(body, "\n"), ndjson, key).Body.String()
				if strings.Contains(reply, `"replayed"`) {
					resumed++
				}
				if whole = c.left > 0; strings.Contains(reply, `"lines":`) {
					if got := direct(h, "GET", ns+"/export", "").Body.String(); got != export {
						t.Fatalf("stopped at %d:\n%s\nwant\n%s", stop, got, export)
					}
				} else if c.left < 0 {
					t.Fatalf("stopped at %d: %s", stop, reply)
				}
				_ = s.Close()
				if whole {
					break
				}
			}
			_ = c.Backend.Close()
			if whole {
				if stop < 10 || resumed == 0 {
					t.Errorf("%d batches, %d resumed", stop, resumed)
				}
				return
			}
		}
	}
}

// Records of bulks of any content are read back, and anything else is refused.
func FuzzBulkRecord(f *testing.F) {
	s := &resume{once: &once{}, replica: 7, refused: []refusedLine{{2, "overflow"}, {5, "not-found"}}}
	f.Add(s.record(&bulkLine{n: 9}))
	f.Add([]byte{bulkVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &resume{once: &once{}}
		if !s.decode(b) {
			return
		}
		s.replica = s.by
		again := &resume{once: &once{}}
		if !again.decode(s.record(&bulkLine{n: s.lines, sum: s.sum})) || again.lines != s.lines || again.by != s.by || !slices.Equal(again.refused, s.refused) {
			t.Errorf("%+v, %+v", s, again)
		}
	})
}
