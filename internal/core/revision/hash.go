package revision

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
)

// alphabet is what Kubernetes writes hashes in: no vowels, so no words, and
// nothing that is easily misread.
const alphabet = "bcdfghjklmnpqrstvwxz2456789"

// Hash is the hash of a template, as it stands in names and labels: FNV-32a over
// the template's dump and, once names have collided, over how often they did.
func Hash(dump []byte, collisions *int32) string {
	h := fnv.New32a()
	h.Write(dump) // never fails
	if collisions != nil {
		// Eight bytes, of which the count fills the first four: other clients
		// compute the same hash.
		var count [8]byte
		binary.LittleEndian.PutUint32(count[:], uint32(*collisions))
		h.Write(count[:])
	}
	return SafeEncode(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// SafeEncode replaces every byte by a letter or digit of the alphabet.
func SafeEncode(s string) string {
	encoded := make([]byte, len(s))
	for i := range len(s) {
		encoded[i] = alphabet[int(s[i])%len(alphabet)]
	}
	return string(encoded)
}

// Name is the name of the revision with the given hash.
func Name(set, hash string) string { return set + "-" + hash }

// Data turns a pod template in JSON into what a revision stores: a strategic
// merge patch that replaces a DaemonSet's template. Keys are sorted and numbers
// pass through float64, as clients that compare the bytes expect.
func Data(template []byte) ([]byte, error) {
	var fields map[string]any
	if err := json.Unmarshal(template, &fields); err != nil {
		return nil, fmt.Errorf("decode pod template: %w", err)
	}
	if fields == nil {
		return nil, fmt.Errorf("decode pod template: not an object")
	}
	fields["$patch"] = "replace"
	data, err := json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
	if err != nil {
		return nil, fmt.Errorf("encode revision data: %w", err)
	}
	return data, nil
}
