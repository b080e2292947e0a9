package rollout

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
)

const (
	// suffixAlphabet is the alphabet of generated names in Kubernetes: no
	// vowels, so no words, and nothing that is easily misread.
	suffixAlphabet = "bcdfghjklmnpqrstvwxz2456789"
	suffixLength   = 10
	// maxNameLength keeps a pod's name usable as a host name.
	maxNameLength = 63
)

// namer gives names to the pods of one DaemonSet and revision.
type namer struct {
	set   Set
	taken []string
}

// name is the name of the pod that follows the given predecessor on a node.
// Names that others hold are passed over.
func (n namer) name(node, predecessorUID string) string {
	for attempt := 0; ; attempt++ {
		name := n.candidate(node, predecessorUID, attempt)
		if _, held := slices.BinarySearch(n.taken, name); !held {
			return name
		}
	}
}

func (n namer) candidate(node, predecessorUID string, attempt int) string {
	key := strings.Join([]string{n.set.UID, node, n.set.Hash, predecessorUID}, "\x00")
	sum := sha256.Sum256(binary.LittleEndian.AppendUint32([]byte(key), uint32(attempt)))
	bits := binary.LittleEndian.Uint64(sum[:])
	suffix := make([]byte, suffixLength)
	for i := range suffix {
		suffix[i] = suffixAlphabet[bits%uint64(len(suffixAlphabet))]
		bits /= uint64(len(suffixAlphabet))
	}
	base := n.set.Name + "-"
	if room := maxNameLength - suffixLength; len(base) > room {
		base = base[:room]
	}
	return base + string(suffix)
}

// observe returns the youngest pod that is known of the node. Creation times
// have a resolution of a second; where they tie, the chain of names tells which
// pod followed which.
func (l predecessor) observe(names namer, n *Node) predecessor {
	tie := false
	for i := range n.Pods {
		p := &n.Pods[i]
		switch {
		case p.UID == l.uid:
		case p.Created.Equal(l.created):
			tie = true
		case p.Created.After(l.created):
			l, tie = predecessor{uid: p.UID, created: p.Created}, false
		}
	}
	if tie {
		return l.follow(names, n)
	}
	return l
}

// follow walks from pod to successor by name as far as the pods of the node go.
func (l predecessor) follow(names namer, n *Node) predecessor {
	for range n.Pods {
		next := names.name(n.Name, l.uid)
		i := slices.IndexFunc(n.Pods, func(p Pod) bool { return p.Name == next })
		if i < 0 {
			break
		}
		l = predecessor{uid: n.Pods[i].UID, created: n.Pods[i].Created}
	}
	return l
}
