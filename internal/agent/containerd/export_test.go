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

// Bridge and Network are the names of the pod network's device and of itself.
func (c *Containerd) Bridge() string  { return c.layout.bridge }
func (c *Containerd) Network() string { return c.layout.network }
