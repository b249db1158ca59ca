package crdt

import (
	"bytes"
	"slices"
)

// PathEdit is an edit at one path of several that belong together.
type PathEdit struct {
	Path Path
	Edit
}

// Element is an element of a list with all that is live of it: what stands at its id, and what it
// left and leaves where it was moved to.
//
// Every write to an element writes all of it anew, and kills what it saw of it: a removal that did
// not see the write then leaves the whole of it. The dots of what is added follow each other from
// the one that is given, in the order of the edits.
type Element struct {
	leaf   Path
	id     Position
	live   []Entry              // at the id
	guests map[Position][]Entry // at each of its places
}

// LoadElement gathers an element of the list at leaf; at returns what is live at a path. The
// errors are its.
func LoadElement(leaf Path, id Position, at func(Path) ([]Entry, error)) (Element, error) {
	e := Element{leaf: leaf, id: id, guests: map[Position][]Entry{}}
	var err error
	if e.live, err = at(leaf.Member(string(id))); err != nil {
		return e, err
	}
	for _, p := range e.live {
		if p.Kind != KindPlace {
			continue
		}
		q := Position(p.Value)
		if e.guests[q], err = at(leaf.Member(string(q))); err != nil {
			return e, err
		}
	}
	return e, nil
}

// Exists reports whether the element is in the list.
func (e Element) Exists() bool { return Visible(List, e.live) }

// Place returns where the element stands, or stood before it was removed.
func (e Element) Place() Position {
	if p, ok := newestPlace(e.live, nil); ok {
		return Position(p.Value)
	}
	return e.id
}

// Insert makes an element at path, whose member is its id: a position from Between.
func Insert(path Path, at Dot, t Timestamp, value []byte) Edit {
	return Edit{Add: []Entry{{Dot: at, Path: path, Kind: KindElement, Time: t, Value: ElementValue{JSON: value}.Encode()}}}
}

// Update gives the element a value in place of those that seen covers; nil stands for all. It
// returns ErrNoElement when the element is not in the list; other errors wrap ErrDamaged.
func (e Element) Update(at Dot, t Timestamp, value []byte, seen func(Dot) bool) ([]PathEdit, error) {
	if !e.Exists() {
		return nil, ErrNoElement
	}
	replaces, err := e.replaces(seen)
	if err != nil {
		return nil, err
	}
	w := e.write(at)
	w.add(e.id, Entry{Kind: KindElement, Time: t, Value: ElementValue{Replaces: replaces, JSON: value}.Encode()})
	if p, ok := newestPlace(e.live, seen); ok {
		p.Expires = 0 // as the value, whatever deadline the old one had
		w.place(p)
	}
	w.kill(seen)
	return w.edits, nil
}

// replaces returns what a write takes the place of that has seen this much.
func (e Element) replaces(seen func(Dot) bool) ([]Dot, error) {
	var held []heldValue
	for _, x := range e.live {
		if x.Kind != KindElement || seen != nil && !seen(x.Dot) {
			continue
		}
		v, err := elementValues([]Entry{x})
		if err != nil {
			return nil, err
		}
		held = append(held, v...)
	}
	slices.SortFunc(held, func(a, b heldValue) int { return Newer(a.Entry, b.Entry) })
	var dots []Dot
	for _, v := range held {
		dots = later(dots, v.Written)
	}
	for _, v := range held {
		for _, d := range v.Replaces {
			dots = later(dots, d)
		}
	}
	return dots[:min(len(dots), maxReplaces)], nil
}

// later adds d to dots, of which each replica has one.
func later(dots []Dot, d Dot) []Dot {
	i := slices.IndexFunc(dots, func(o Dot) bool { return o.Replica == d.Replica })
	if i < 0 {
		return append(dots, d)
	}
	dots[i].Seq = max(dots[i].Seq, d.Seq)
	return dots
}

// Move lets the element stand at another position, a new one from Between with the seq of at. Its
// values stay what they are. It returns ErrNoElement when the element is not in the list; other
// errors wrap ErrDamaged.
func (e Element) Move(to Position, at Dot, t Timestamp) ([]PathEdit, error) {
	values, err := elementValues(e.live)
	if err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, ErrNoElement
	}
	w := e.write(at)
	for _, v := range values {
		w.add(e.id, Entry{Kind: KindElement, Time: v.Time, Expires: v.Expires, Value: v.Encode()})
	}
	w.place(Entry{Time: t, Value: []byte(to)})
	w.kill(nil)
	return w.edits, nil
}

// Remove takes away what seen covers of the element; nil stands for all.
func (e Element) Remove(seen func(Dot) bool) []PathEdit {
	w := e.write(Dot{})
	w.kill(seen)
	return w.edits
}

// elementWrite gathers the edits of one write.
type elementWrite struct {
	Element
	next  Dot
	edits []PathEdit
}

func (e Element) write(at Dot) *elementWrite { return &elementWrite{Element: e, next: at} }

// at returns the edit at a position of the list.
func (w *elementWrite) at(p Position) *Edit {
	path := w.leaf.Member(string(p))
	i := slices.IndexFunc(w.edits, func(e PathEdit) bool { return e.Path == path })
	if i < 0 {
		i = len(w.edits)
		w.edits = append(w.edits, PathEdit{Path: path})
	}
	return &w.edits[i].Edit
}

func (w *elementWrite) add(p Position, e Entry) {
	edit := w.at(p)
	e.Dot, e.Path = w.next, w.leaf.Member(string(p))
	edit.Add = append(edit.Add, e)
	w.next.Seq++
}

// place writes a place with the time and the position of like, and the guest there.
func (w *elementWrite) place(like Entry) {
	w.add(w.id, Entry{Kind: KindPlace, Time: like.Time, Value: like.Value})
	w.add(Position(like.Value), Entry{Kind: KindGuest, Time: like.Time, Value: []byte(w.id)})
}

// kill kills what seen covers, at the id and at the places.
func (w *elementWrite) kill(seen func(Dot) bool) {
	dots := func(live []Entry, mine func(Entry) bool) (dead []Dot) {
		for _, x := range live {
			if !x.Kind.NamedOnly() && (seen == nil || seen(x.Dot)) && mine(x) {
				dead = append(dead, x.Dot)
			}
		}
		slices.SortFunc(dead, Dot.Compare)
		return dead
	}
	if dead := dots(w.live, func(Entry) bool { return true }); len(dead) > 0 {
		w.at(w.id).Kill = dead
	}
	for _, x := range w.live {
		if x.Kind != KindPlace {
			continue
		}
		q := Position(x.Value)
		dead := dots(w.guests[q], func(g Entry) bool { return g.Kind == KindGuest && bytes.Equal(g.Value, []byte(w.id)) })
		if len(dead) > 0 {
			w.at(q).Kill = dead
		}
	}
}
