package p2p

import "sync"

// group counts goroutines, so that Close can wait for all of them and none begins afterwards.
type group struct {
	wg sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// run starts f on a goroutine of its own. It reports false, and f never runs, after close.
func (g *group) run(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wg.Go(f)
	return true
}

// enter counts the calling goroutine until leave. It reports false after close.
func (g *group) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wg.Add(1)
	return true
}

func (g *group) leave() { g.wg.Done() }

// close refuses further goroutines. The channel is closed when those that run have ended.
func (g *group) close() <-chan struct{} {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	done := make(chan struct{})
	go func() {
		g.wg.Wait()
		close(done)
	}()
	return done
}

// queue is an unbounded queue between goroutines, for things whose number is bounded elsewhere.
type queue[T any] struct {
	ready chan struct{} // has an element whenever items is not empty

	mu    sync.Mutex
	items []T
}

func newQueue[T any]() *queue[T] { return &queue[T]{ready: make(chan struct{}, 1)} }

// push appends v.
func (q *queue[T]) push(v T) {
	q.mu.Lock()
	q.items = append(q.items, v)
	q.mu.Unlock()
	wake(q.ready)
}

// take returns everything that was pushed and not taken, in order.
func (q *queue[T]) take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}

// wake makes a receive from a channel of capacity one succeed.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// locked guards a value that is for one goroutine at a time.
type locked[T any] struct {
	mu sync.Mutex
	v  T
}

// with calls f with the value.
func (l *locked[T]) with(f func(T)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.v)
}
