package cli

import (
	"context"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settle is when what starting set off in the background has ended too.
const settle = 3 * time.Second

// trimLater gives back, once the process has settled, what only its start took.
func trimLater() { time.AfterFunc(settle, trim) }

// trimEvery is how often an agent gives back what it took for a time. A turn
// costs it some 10 ms.
const trimEvery = time.Minute

// keepTrim gives back what was taken for a time, again and again until ctx is
// done: an agent is to be small beside the pods it runs.
func keepTrim(ctx context.Context) {
	trimLater()
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			trim()
		case <-ctx.Done():
			return
		}
	}
}

// trim gives back memory that nobody needs any more: garbage, about a tenth of
// what a server holds, which an idle process would keep for long; and the parts
// of the program that ran once, at its start, most of what an agent holds. They
// are read from the file again should they be needed.
func trim() {
	debug.FreeOSMemory()
	program, err := os.Executable()
	if err != nil {
		return // the process stays as large as it is
	}
	mappings, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range unchanged(string(mappings), program) {
		// An error means that the pages stay.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.size, unix.MADV_DONTNEED)
	}
}

// mapping is a part of the address space.
type mapping struct{ start, size uintptr }

// unchanged reads /proc/PID/smaps, and finds the parts of a program that are the
// same in memory as in its file, and stay so: they cannot be written to, nor
// were they before.
func unchanged(smaps, program string) []mapping {
	var found []mapping
	var current mapping
	for line := range strings.Lines(smaps) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 3 && fields[0] == "Anonymous:":
			if current.size > 0 && fields[1] == "0" {
				found = append(found, current)
			}
		case len(fields) >= 5 && !strings.HasSuffix(fields[0], ":"):
			current = mapping{}
			if len(fields) == 6 && fields[5] == program && !strings.Contains(fields[1], "w") {
				current = readRange(fields[0])
			}
		}
	}
	return found
}

// readRange reads what is between two addresses, such as 400000-401000. What it
// cannot read is empty.
func readRange(text string) mapping {
	from, to, _ := strings.Cut(text, "-")
	start, err := strconv.ParseUint(from, 16, 64)
	if err != nil {
		return mapping{}
	}
	end, err := strconv.ParseUint(to, 16, 64)
	if err != nil || end < start {
		return mapping{}
	}
	return mapping{uintptr(start), uintptr(end - start)}
}
