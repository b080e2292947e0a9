package cli

import (
	"runtime"
	"testing"
)

func TestSpareProcessor(t *testing.T) {
	n := runtime.NumCPU()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, c := range []struct{ set, want int }{
		{n, n + 1},
		{n + 1, n + 1}, // once
		{n + 3, n + 3}, // somebody chose it
		{n - 1, n - 1}, // a quota
	} {
		if c.set == 0 {
			continue // there is one processor only
		}
		runtime.GOMAXPROCS(c.set)
		spareProcessor()
		if got := runtime.GOMAXPROCS(0); got != c.want {
			t.Errorf("%d processors, %d in use: became %d, want %d", n, c.set, got, c.want)
		}
	}
}
