package crdt

// Add puts the member at path into its set. The add always gets an entry with a fresh dot, also
// when the member is present: only so does it win against a concurrent remove. It supersedes
// whatever is live at the member.
func Add(live []Entry, path Path, at Dot, t Timestamp) Edit {
	e := Entry{Dot: at, Path: path, Kind: KindMember, Time: t}
	return Edit{Add: []Entry{e}, Kill: superseded(live, nil)}
}
