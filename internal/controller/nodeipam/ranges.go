package nodeipam

import (
	"fmt"
	"net/netip"
)

// ranges deals out the equal parts of one range of addresses. The zero value is
// of no use: see newRanges.
type ranges struct {
	whole netip.Prefix
	bits  int // of a part
	// holders counts, for each part in order, who holds addresses of it; more than
	// one if somebody else handed them out.
	holders []int
	held    map[string][]netip.Prefix
}

// maxParts bounds what a whole may be cut into.
const maxParts = 1 << 16

// newRanges cuts whole into parts with so many leading bits.
func newRanges(whole netip.Prefix, bits int) (*ranges, error) {
	switch {
	case !whole.IsValid() || whole != whole.Masked():
		return nil, fmt.Errorf("%v is not a range of addresses such as 10.84.0.0/16", whole)
	case bits < whole.Bits() || bits > whole.Addr().BitLen():
		return nil, fmt.Errorf("%v has no parts with a mask of %d bits", whole, bits)
	case bits-whole.Bits() > 16:
		return nil, fmt.Errorf("%v has more than %d parts with a mask of %d bits", whole, maxParts, bits)
	}
	return &ranges{
		whole: whole, bits: bits,
		holders: make([]int, 1<<(bits-whole.Bits())),
		held:    map[string][]netip.Prefix{},
	}, nil
}

// book notes what a holder has, which may be anything, in place of what it had.
func (r *ranges) book(holder string, prefixes []netip.Prefix) {
	r.count(r.held[holder], -1)
	r.count(prefixes, 1)
	if len(prefixes) == 0 {
		delete(r.held, holder)
		return
	}
	r.held[holder] = prefixes
}

// take gives a holder the first part that nobody has any address of.
func (r *ranges) take(holder string) (netip.Prefix, bool) {
	for i, n := range r.holders {
		if n == 0 {
			part := r.part(i)
			r.book(holder, []netip.Prefix{part})
			return part, true
		}
	}
	return netip.Prefix{}, false
}

// count adds change to all parts that overlap any of the prefixes.
func (r *ranges) count(prefixes []netip.Prefix, change int) {
	for _, prefix := range prefixes {
		if !prefix.Overlaps(r.whole) {
			continue
		}
		first, parts := 0, len(r.holders)
		if prefix.Bits() > r.whole.Bits() {
			first = r.index(prefix.Masked().Addr())
			parts = max(1, parts>>(prefix.Bits()-r.whole.Bits()))
		}
		for i := first; i < first+parts; i++ {
			r.holders[i] += change
		}
	}
}

// index is the number of the part that an address of the whole lies in.
func (r *ranges) index(address netip.Addr) int {
	bytes, n := address.AsSlice(), 0
	for bit := r.whole.Bits(); bit < r.bits; bit++ {
		n = n<<1 | int(bytes[bit/8]>>(7-bit%8))&1
	}
	return n
}

// part is the part of a number.
func (r *ranges) part(n int) netip.Prefix {
	bytes := r.whole.Addr().AsSlice()
	for bit := r.bits - 1; bit >= r.whole.Bits(); bit-- {
		bytes[bit/8] |= byte(n&1) << (7 - bit%8)
		n >>= 1
	}
	address, _ := netip.AddrFromSlice(bytes)
	return netip.PrefixFrom(address, r.bits)
}
