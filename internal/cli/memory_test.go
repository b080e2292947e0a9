package cli

import (
	"reflect"
	"testing"
)

// What was written to, or can be, must stay: its file has something else.
func TestUnchanged(t *testing.T) {
	const smaps = `00400000-00500000 r-xp 00000000 fe:00 12 /usr/bin/garrison
Size:               1024 kB
Anonymous:             0 kB
00500000-00600000 r--p 00100000 fe:00 12 /usr/bin/garrison
Rss:                   4 kB
Anonymous:             4 kB
00600000-00700000 rw-p 00200000 fe:00 12 /usr/bin/garrison
Anonymous:             0 kB
00700000-00701000 r--p 00000000 fe:00 13 /usr/lib/other
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:             0 kB
00800000-00900000 r--p 00300000 fe:00 12 /usr/bin/garrison
Anonymous:             0 kB
VmFlags: rd mr mw me
`
	want := []mapping{{0x400000, 0x100000}, {0x800000, 0x100000}}
	if got := unchanged(smaps, "/usr/bin/garrison"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// The program goes on after it was trimmed.
func TestTrim(t *testing.T) {
	trim()
	TestUnchanged(t)
}
