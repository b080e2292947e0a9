package nodelife

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Over any history of nodes that come, go and change: the zones count what
// there is, nobody has a turn who needs none or during a blackout, and turns in
// a zone keep their distance.
func TestZones(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z, members, now := newZones(), map[string]member{}, epoch
		lastTurn, had := map[string]time.Time{}, map[string]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 15).Draw(t, "seconds")) * time.Second)
			name := fmt.Sprint("n", rapid.IntRange(0, 8).Draw(t, "node"))
			if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
				z.forget(name)
				delete(members, name)
				delete(had, name)
			} else {
				m := member{
					Name: name, Zone: rapid.SampledFrom([]string{"y", "z"}).Draw(t, "zone"),
					Ready: rapid.Bool().Draw(t, "ready"), Excluded: rapid.IntRange(0, 5).Draw(t, "excluded") == 0,
				}
				m.Evicting = !m.Ready && rapid.IntRange(0, 3).Draw(t, "evicting") == 0
				if old, ok := members[name]; !ok || old.Zone != m.Zone || m.Ready || m.Evicting {
					delete(had, name)
				}
				z.place(m, now)
				members[name] = m
			}
			checkCounts(t, z, members)
			turn, wake := z.turn(name, now)
			m, exists := members[name]
			if turn && (!exists || m.Ready || m.Evicting || blackoutAmong(members)) {
				t.Fatalf("a turn for %+v, blackout %v", m, blackoutAmong(members))
			}
			if !wake.IsZero() && !wake.After(now) {
				t.Fatalf("asked to come again at once")
			}
			if turn && !had[name] {
				if last, ok := lastTurn[m.Zone]; ok && now.Sub(last) < normalInterval && zoneLived(z, m.Zone) {
					t.Fatalf("two turns in zone %s within %v", m.Zone, now.Sub(last))
				}
				lastTurn[m.Zone], had[name] = now, true
			}
			for zone := range lastTurn {
				if z.zones[zone] == nil { // an abandoned zone begins anew
					delete(lastTurn, zone)
				}
			}
		}
	})
}

func zoneLived(z *zones, name string) bool { return z.zones[name] != nil }

func blackoutAmong(members map[string]member) bool {
	ready, unready := 0, 0
	for _, m := range members {
		switch {
		case m.Excluded:
		case m.Ready:
			ready++
		default:
			unready++
		}
	}
	return ready == 0 && unready > 0
}

func checkCounts(t *rapid.T, z *zones, members map[string]member) {
	type counts struct{ members, ready, unready, waiting int }
	want := map[string]counts{}
	for _, m := range members {
		c := want[m.Zone]
		c.members++
		if !m.Ready && !m.Evicting {
			c.waiting++
		}
		if !m.Excluded {
			if m.Ready {
				c.ready++
			} else {
				c.unready++
			}
		}
		want[m.Zone] = c
	}
	if len(want) != len(z.zones) {
		t.Fatalf("%d zones, want %d", len(z.zones), len(want))
	}
	for name, c := range want {
		home := z.zones[name]
		if got := (counts{home.members, home.ready, home.unready, len(home.waiting)}); got != c {
			t.Fatalf("zone %s counts %+v, want %+v", name, got, c)
		}
		for i := 1; i < len(home.waiting); i++ {
			if home.waiting[i].since.Before(home.waiting[i-1].since) {
				t.Fatalf("zone %s does not wait in order: %v", name, home.waiting)
			}
		}
	}
	if z.blackout() != blackoutAmong(members) {
		t.Fatalf("blackout %v, want %v", z.blackout(), blackoutAmong(members))
	}
}

func TestZoneStates(t *testing.T) {
	for _, c := range []struct {
		ready, unready int
		state          zoneState
		interval       time.Duration
	}{
		{10, 0, zoneNormal, 10 * time.Second},
		{1, 2, zoneNormal, 10 * time.Second}, // two are too few to be a disruption
		{2, 3, zonePartial, 0},
		{9, 11, zonePartial, 0}, // exactly the share
		{10, 11, zoneNormal, 10 * time.Second},
		{20, 30, zonePartial, 0},
		{20, 31, zonePartial, 100 * time.Second},
		{0, 1, zoneFull, 10 * time.Second},
	} {
		home := &zone{ready: c.ready, unready: c.unready}
		home.state = home.assess()
		if home.state != c.state || home.interval() != c.interval {
			t.Errorf("%d ready, %d not: state %v, a turn every %v; want %v, %v", c.ready, c.unready, home.state, home.interval(), c.state, c.interval)
		}
	}
}
