package containerd

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
