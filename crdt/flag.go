package crdt

// Enable turns the flag at path on. It always gets an entry with a fresh dot, also when the flag
// is on: only so does it win against a concurrent disable, which is a Remove. It supersedes
// whatever is live at the flag.
func Enable(live []Entry, path Path, at Dot, t Timestamp) Edit {
	e := Entry{Dot: at, Path: path, Kind: KindFlag, Time: t}
	return Edit{Add: []Entry{e}, Kill: superseded(live, nil)}
}
