package simulated

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the order of taking, keeping and dropping, no two holders share an
// address and nobody's address changes while it is held.
func TestAddressPool(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := newAddressPool(netip.MustParsePrefix("10.0.0.0/28"))
		held := map[string]string{}
		holder := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("h", rapid.IntRange(0, 9).Draw(t, "holder")) })
		for range rapid.IntRange(1, 40).Draw(t, "moves") {
			who := holder.Draw(t, "who")
			switch rapid.SampledFrom([]string{"get", "keep", "drop"}).Draw(t, "move") {
			case "keep":
				pool.keep(who, fmt.Sprintf("10.0.0.%d", rapid.IntRange(0, 20).Draw(t, "address")))
				fallthrough
			case "get":
				address := pool.get(who)
				if before, ok := held[who]; ok && before != address {
					t.Fatalf("%s had %s, now %s", who, before, address)
				}
				held[who] = address
			case "drop":
				pool.drop(who)
				delete(held, who)
			}
			owner := map[string]string{}
			for who, address := range held {
				if other, taken := owner[address]; taken {
					t.Fatalf("%s and %s share %s", who, other, address)
				}
				owner[address] = who
			}
		}
	})
}

func TestNumbered(t *testing.T) {
	for number, want := range map[int]string{1: "10.0.0.1", 256: "10.0.1.0", 70000: "10.1.17.112"} {
		if got := numbered(number); got != want {
			t.Errorf("numbered(%d) = %s, want %s", number, got, want)
		}
	}
}
