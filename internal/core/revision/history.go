package revision

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"
)

// Revision is one stored revision that the DaemonSet owns.
type Revision struct {
	Name    string
	Number  int64
	Created time.Time
	// Hash is the value of its hash label; empty if it has none.
	Hash string
	Data []byte
}

// Input is everything that Plan may know. Plan never changes it.
type Input struct {
	// Set is the name of the DaemonSet.
	Set string
	// Data and Hash are those of its present template.
	Data []byte
	Hash string
	// Stored are its revisions, in any order.
	Stored []Revision
	// LiveHashes are the hash labels of its pods, those on their way out too.
	LiveHashes []string
	// Limit is how many revisions other than the current one are kept.
	Limit int
}

// Decision is what Plan proposes. Carry it out in the order of the fields;
// stopping anywhere is safe, for the next Plan goes on.
type Decision struct {
	// Label are revisions without a hash label, with the hash they should have.
	Label []Labelling
	// Create is the revision to create; nil if one is current already.
	Create *Creation
	// Raise is the number that the current revision must get; zero if it has the
	// highest. Its name and hash stay, and so do the pods made from it.
	Raise int64
	// Duplicates are further revisions with the present template. Before one is
	// deleted, the pods that carry its hash must get the current one, or pods
	// that are up to date would look outdated. The pods of other revisions keep
	// theirs, or pods that are outdated would look up to date.
	Duplicates []Labelling
	// Prune are revisions beyond the limit, the oldest first.
	Prune []string

	// Current and Hash are the name and the hash of the current revision, which
	// exists once Create is carried out.
	Current, Hash string
}

// Labelling is a revision and its hash.
type Labelling struct{ Name, Hash string }

// Creation is a revision to create from the present template.
type Creation struct {
	Name, Hash string
	Number     int64
}

// Plan decides what to do about the history. Equal inputs give equal bytes.
func Plan(in Input) Decision {
	current, others := match(in)
	next := int64(1)
	if n := len(others); n > 0 {
		next = others[n-1].Number + 1
	}
	d := Decision{Label: label(in)}
	if len(current) == 0 {
		d.Create = &Creation{Name: Name(in.Set, in.Hash), Hash: in.Hash, Number: next}
		d.Current, d.Hash = d.Create.Name, d.Create.Hash
	} else {
		kept := current[len(current)-1]
		d.Current, d.Hash = kept.Name, kept.hash(in.Set)
		if kept.Number < next {
			d.Raise = next
		}
		for _, r := range current[:len(current)-1] {
			d.Duplicates = append(d.Duplicates, Labelling{Name: r.Name, Hash: r.hash(in.Set)})
		}
	}
	d.Prune = prune(in, others)
	return d
}

// match splits the stored revisions into those whose bytes are the present
// template, and the others; both in order of history. Hashes do not decide, for
// they collide.
func match(in Input) (current, others []Revision) {
	for _, r := range slices.SortedFunc(slices.Values(in.Stored), older) {
		if bytes.Equal(r.Data, in.Data) {
			current = append(current, r)
		} else {
			others = append(others, r)
		}
	}
	return current, others
}

// older orders revisions by number; where numbers tie, the younger comes first,
// so that the one that pods are likelier to know counts as the latest.
func older(a, b Revision) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), b.Created.Compare(a.Created), cmp.Compare(b.Name, a.Name))
}

// hash is the revision's label or, if that was lost, what it must have been.
func (r Revision) hash(set string) string {
	if r.Hash != "" {
		return r.Hash
	}
	return strings.TrimPrefix(r.Name, set+"-")
}

func label(in Input) []Labelling {
	var list []Labelling
	for _, r := range slices.SortedFunc(slices.Values(in.Stored), older) {
		if r.Hash == "" {
			list = append(list, Labelling{Name: r.Name, Hash: r.hash(in.Set)})
		}
	}
	return list
}

// prune picks the oldest of the others beyond the limit, but none that a pod
// was made from.
func prune(in Input, others []Revision) []string {
	var list []string
	for _, r := range others {
		if len(others)-len(list) <= in.Limit {
			break
		}
		if !slices.Contains(in.LiveHashes, r.hash(in.Set)) {
			list = append(list, r.Name)
		}
	}
	return list
}
