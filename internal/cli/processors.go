package cli

import "runtime"

// spareProcessor lets one more goroutine run than there are processors, in a server
// that has etcd within. etcd waits for the disk with every write, in a system call, and
// Go keeps the processor that it was made on for a while, in case the call returns
// soon. With two processors a server stored an eighth more once there was one to spare
// (docs/design/performance.md).
//
// A process that may use less than the machine has is left alone: to run more at once
// than its quota allows is to be stopped when that is used up.
func spareProcessor() {
	if n := runtime.NumCPU(); runtime.GOMAXPROCS(0) == n {
		runtime.GOMAXPROCS(n + 1)
	}
}
