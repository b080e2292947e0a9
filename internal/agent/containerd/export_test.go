package containerd

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
)

// PID is the number of containerd's process; 0 while it is down.
func (c *Containerd) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return 0
	}
	return c.process.command.Process.Pid
}

// Network is the name of the pod network.
func (c *Containerd) Network() string { return c.layout.network }

// PowerOff does to what is in a folder what switching off the machine does.
func PowerOff(config Config) error {
	l, err := config.layout()
	if err != nil {
		return err
	}
	ours := func(args []string) bool {
		return len(args) == 3 && slices.Equal(args[1:], arguments(l)) || l.isShim(args)
	}
	errs := []error{killChildren(l.isShim), endAll(ours), unmountBelow(l.runtime)}
	errs = append(errs, os.WriteFile(filepath.Join(l.runtime, "boot-id"), []byte("another"), 0o644))
	return errors.Join(errs...)
}
