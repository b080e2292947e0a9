package nodeipam

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPartsAreDealtInOrder(t *testing.T) {
	for _, c := range []struct {
		whole string
		bits  int
		want  string
	}{
		{"10.84.0.0/22", 24, "10.84.0.0/24 10.84.1.0/24 10.84.2.0/24 10.84.3.0/24"},
		{"10.84.8.0/23", 25, "10.84.8.0/25 10.84.8.128/25 10.84.9.0/25 10.84.9.128/25"},
		{"fd00:88::/62", 64, "fd00:88::/64 fd00:88:0:1::/64 fd00:88:0:2::/64 fd00:88:0:3::/64"},
		{"10.84.0.0/24", 24, "10.84.0.0/24"},
	} {
		r, err := newRanges(netip.MustParsePrefix(c.whole), c.bits)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := 0; ; i++ {
			part, found := r.take(fmt.Sprint(i))
			if !found {
				break
			}
			got = append(got, part.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.whole, got, c.want)
		}
	}
}

func TestClusterCIDR(t *testing.T) {
	for text, want := range map[string]string{
		"10.84.0.0/16": "",
		"10.0.0.0/8":   "",
		"fd00::/48":    "",
		"10.84.0.1/16": "10.84.0.1/16 is not a range of addresses such as 10.84.0.0/16",
		"10.84.0.0/25": "10.84.0.0/25 has no parts with a mask of 24 bits",
		"fd00::/32":    "fd00::/32 has more than 65536 parts with a mask of 64 bits",
	} {
		err := CheckClusterCIDR(netip.MustParsePrefix(text))
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if err := CheckClusterCIDR(netip.Prefix{}); err == nil {
		t.Error("no range at all is fine")
	}
}

// TestNobodySharesAddresses books what others have handed out beside what is
// taken, and compares with a search through all holders.
func TestNobodySharesAddresses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := netip.MustParsePrefix("10.84.0.0/20")
		r, err := newRanges(whole, 24)
		if err != nil {
			t.Fatal(err)
		}
		held := map[string][]netip.Prefix{}
		free := func(part netip.Prefix) bool {
			for _, prefixes := range held {
				for _, prefix := range prefixes {
					if prefix.Overlaps(part) {
						return false
					}
				}
			}
			return true
		}
		t.Repeat(map[string]func(*rapid.T){
			"book": func(t *rapid.T) {
				address := netip.AddrFrom4([4]byte{10, 84, byte(rapid.IntRange(0, 31).Draw(t, "third")), byte(rapid.IntRange(0, 255).Draw(t, "fourth"))})
				prefix := netip.PrefixFrom(address, rapid.IntRange(14, 32).Draw(t, "bits"))
				holder := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "holder")
				r.book(holder, []netip.Prefix{prefix})
				held[holder] = []netip.Prefix{prefix}
			},
			"release": func(t *rapid.T) {
				holder := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "holder")
				r.book(holder, nil)
				delete(held, holder)
			},
			"take": func(t *rapid.T) {
				holder := rapid.SampledFrom([]string{"d", "e", "f"}).Draw(t, "holder")
				r.book(holder, nil)
				delete(held, holder)
				part, found := r.take(holder)
				for i := range 16 {
					want := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 84, byte(i), 0}), 24)
					if !free(want) {
						continue
					}
					if !found || part != want {
						t.Fatalf("took %v, %v; the first that is free is %v", part, found, want)
					}
					held[holder] = []netip.Prefix{part}
					return
				}
				if found {
					t.Fatalf("took %v though nothing is free", part)
				}
			},
		})
	})
}
