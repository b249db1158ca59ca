package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/client"
)

// seats are what daemons tell of one bounded counter.
type seats struct{ Value, Rights int }

// stock posts to the bounded counter and returns the status and what it shows.
func stock(t *testing.T, c *client.Client, op string, wait time.Duration) (status int, s seats) {
	t.Helper()
	r, err := c.Do(t.Context(), client.Request{Method: "POST", Path: seatsPath, Body: []byte(op), Wait: wait})
	var refused *client.Problem
	var body []byte
	switch {
	case err == nil:
		status, body = r.Status, r.Body
	case errors.As(err, &refused):
		status, body = refused.Status, refused.Body
	default:
		t.Error(err)
		return 0, s
	}
	if err := json.Unmarshal(body, &s); err != nil {
		t.Errorf("%s: %v", body, err)
	}
	return status, s
}

var seatsPath = []string{"v1", "ns", "default", "bounded", "seats"}

// wantStock posts, and fails unless that is what comes back.
func wantStock(t *testing.T, c *client.Client, body string, wait time.Duration, status int, want seats) {
	t.Helper()
	if got, s := stock(t, c, body, wait); got != status || s != want {
		t.Fatalf("%s: %d %+v, want %d %+v", body, got, s, status, want)
	}
}

// TestRightsMoveBetweenDaemons: who lacks rights gets them from who has them, within the time that it
// gives.
func TestRightsMoveBetweenDaemons(t *testing.T) {
	_, _, a, b := startPair(t)
	wantStock(t, a, `{"inc":10}`, 0, http.StatusOK, seats{10, 10})
	wantStock(t, b, `{"ask":4}`, 30*time.Second, http.StatusOK, seats{10, 4})
	wantStock(t, b, `{"inc":-5}`, 0, http.StatusConflict, seats{10, 4})
	wantStock(t, b, `{"inc":-5}`, 30*time.Second, http.StatusOK, seats{5, 0})
	wantStock(t, b, `{"inc":-6}`, time.Second, http.StatusConflict, seats{5, 5})
	wantStock(t, a, `{"ask":6}`, time.Second, http.StatusAccepted, seats{5, 5})
	r, err := a.Do(t.Context(), client.Request{Method: "DELETE", Path: seatsPath, Wait: 30 * time.Second})
	if err != nil || r.Status != http.StatusNoContent {
		t.Fatal(r, err)
	}
	var absent *client.Problem
	if r, err = a.Do(t.Context(), client.Request{Method: "GET", Path: seatsPath}); !errors.As(err, &absent) || absent.Status != http.StatusNotFound {
		t.Fatal(r, err)
	}
}

// TestSeats sells at both daemons at once, until nobody gets any more: as many are sold as there were,
// and nothing is left of them.
func TestSeats(t *testing.T) {
	const all = 40
	na, nb, a, b := startPair(t)
	wantStock(t, a, fmt.Sprintf(`{"inc":%d}`, all), 0, http.StatusOK, seats{all, all})
	wantStock(t, b, `{"ask":1}`, 30*time.Second, http.StatusOK, seats{all, 1})
	var mu sync.Mutex
	sold := 0
	var wg sync.WaitGroup
	for _, c := range []*client.Client{a, b, a, b} {
		wg.Go(func() {
			for {
				status, s := stock(t, c, `{"inc":-1}`, 2*time.Second)
				if s.Value < 0 || s.Rights < 0 || status != http.StatusOK {
					if status != http.StatusConflict || s.Value < 0 || s.Rights < 0 {
						t.Errorf("%d %+v", status, s)
					}
					return
				}
				mu.Lock()
				sold++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if sold != all {
		t.Errorf("%d of %d were sold", sold, all)
	}
	for _, n := range []*App{na, nb} {
		ns, err := n.store.Namespace("default")
		if err != nil {
			t.Fatal(err)
		}
		deadline := time.After(30 * time.Second)
		tick := time.NewTicker(10 * time.Millisecond)
		for _, entries := ns.Counts(); entries > 0; _, entries = ns.Counts() {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("%d entries are left", entries)
			}
		}
		tick.Stop()
	}
}
