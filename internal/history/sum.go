package history

import (
	"fmt"
	"math/big"
)

// mostSums bounds, by the distance of the least from the most, the sums that are told apart. Beyond it all between the two count as possible.
const mostSums = 1 << 14

// sums are those that a counter may have. Of the increments of a session some are there for sure, and of the others a first part, since with a write there is
// all that its session wrote before. So each session takes one of some steps, whatever the others do.
type sums struct {
	least, most int64
	sessions    []steps
}

// steps are what a session may have added beyond what is there for sure: nothing, or by one more write each.
type steps struct {
	by     []*write // the last one for each; nil for nothing
	amount []int64
	least  int64
}

// sums returns those of a state that has the increments that must says, and no others than may says. must is true of
// all earlier ones of a session, if it is of one.
func (obj *object) sums(must, may func(*write) bool) *sums {
	s := &sums{}
	at := map[int]int{} // of sessions
	var ended []bool
	for _, i := range obj.incs {
		switch {
		case i.by.Outcome == Refused:
			continue
		case must(i.by):
			s.least += i.amount
			continue
		}
		n, ok := at[i.by.session]
		if !ok {
			n = len(s.sessions)
			at[i.by.session] = n
			s.sessions = append(s.sessions, steps{by: []*write{nil}, amount: []int64{0}})
			ended = append(ended, false)
		}
		if ended[n] = ended[n] || !may(i.by); ended[n] {
			continue
		}
		of := &s.sessions[n]
		last := len(of.by) - 1
		if amount := of.amount[last] + i.amount; of.by[last] == i.by { // twice in a batch
			of.amount[last] = amount
		} else {
			of.by, of.amount = append(of.by, i.by), append(of.amount, amount)
		}
	}
	s.most = s.least
	for n := range s.sessions {
		of, most := &s.sessions[n], int64(0)
		for _, a := range of.amount {
			of.least, most = min(of.least, a), max(most, a)
		}
		s.least += of.least
		s.most += most
	}
	return s
}

// exact reports whether there is one sum alone.
func (s *sums) exact() bool { return s.least == s.most }

// many reports whether there are too many to be told apart.
func (s *sums) many() bool { return s.most-s.least > mostSums || s.most < s.least }

// reach returns the sums of the first sessions, for each number of them, as bits: how far they are above the least.
func (s *sums) reach() []*big.Int {
	all := []*big.Int{big.NewInt(1)}
	for _, of := range s.sessions {
		next, by := new(big.Int), new(big.Int)
		for _, a := range of.amount {
			next.Or(next, by.Lsh(all[len(all)-1], uint(a-of.least)))
		}
		all = append(all, next)
	}
	return all
}

// allow reports whether a sum is one of them.
func (s *sums) allow(sum int64) bool {
	if sum < s.least || sum > s.most {
		return false
	}
	if s.many() || len(s.sessions) == 0 {
		return true
	}
	return s.reach()[len(s.sessions)].Bit(int(sum-s.least)) == 1
}

// forced returns the writes without which the sum would not come about, the last one of each session.
func (s *sums) forced(sum int64) (all []*write) {
	if s.many() || s.exact() || sum < s.least || sum > s.most {
		return nil
	}
	before := s.reach()
	// after are the sums of the sessions up to here from which the others come to the sum.
	after := new(big.Int).Lsh(big.NewInt(1), uint(sum-s.least))
	for n := len(s.sessions) - 1; n >= 0; n-- {
		of, next, by := s.sessions[n], new(big.Int), new(big.Int)
		var first *write
		found := false
		for i, a := range of.amount {
			by.And(by.Rsh(after, uint(a-of.least)), before[n])
			next.Or(next, by)
			if !found && by.Sign() != 0 {
				first, found = of.by[i], true
			}
		}
		if first != nil {
			all = append(all, first)
		}
		after = next
	}
	return all
}

// sumsOf returns the sums that a counter may have in the answer to somebody who knows k.
func (a *answer) sumsOf(obj *object, k knowledge) *sums {
	return obj.sums(func(w *write) bool { return w.known(k) }, a.mayHave)
}

// learnSums adds the increments without which the sums would not be as they are shown. It reports whether there are any.
func (a *answer) learnSums(k *knowledge) (learned bool) {
	for _, obj := range a.objects {
		if !isSum(obj.name) {
			continue
		}
		for _, w := range a.sumsOf(obj, *k).forced(a.reads[obj].Sum) {
			k.learnWrite(w)
			learned = true
		}
	}
	return learned
}

func (a *answer) judgeSum(obj *object, k knowledge) {
	sum, s := a.reads[obj].Sum, a.sumsOf(obj, k)
	if isBounded(obj.name) && sum < 0 {
		a.c.add(BelowZero, fmt.Sprintf("%s is %d", obj.name, sum), a.op)
	}
	if !s.allow(sum) {
		a.c.add(Sum, fmt.Sprintf("%s is %d; what was known and what may have happened allow %v", obj.name, sum, s), a.op)
	}
}

// countSum counts a read of a counter by somebody who knew base.
func (a *answer) countSum(obj *object, base knowledge) {
	if a.op.Whole {
		return
	}
	a.c.SumsRead++
	if a.sumsOf(obj, base).exact() {
		a.c.ExactRead++
	}
}

// String tells what is allowed.
func (s *sums) String() string {
	if s.exact() {
		return fmt.Sprintf("%d alone", s.least)
	}
	return fmt.Sprintf("some of %d to %d", s.least, s.most)
}
