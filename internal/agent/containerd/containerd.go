package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

const (
	// startLimit is how long a start may take. One that finds many containers
	// whose shims died takes its time.
	startLimit = 2 * time.Minute
	// stopGrace is what containerd gets to end when the agent ends.
	stopGrace = 2 * time.Second
	// A containerd that dies is started anew after restartMin, which doubles up
	// to restartMax and falls back once one has lived for steady.
	restartMin, restartMax = 100 * time.Millisecond, 10 * time.Second
	steady                 = time.Minute
	// trimPeriod is how often the length of the log is looked at.
	trimPeriod = time.Minute
)

// Containerd is a private containerd that is kept running until Stop.
type Containerd struct {
	layout   layout
	config   Config
	programs Programs
	machine  machine
	lock     *os.File

	stop    context.CancelFunc
	stopped chan struct{} // closed when keep has ended

	mu      sync.Mutex
	process *process
	failure error // why it is down, nil when it is up
}

// Start starts the containerd of a data folder and returns once it runs pods:
// CRI answers and the pause image is there. One that was left by an agent that
// was killed is replaced; its containers go on. ctx bounds the start only; Stop
// must be called in the end. Programs that the machine lacks are told by a
// *MissingError.
func Start(ctx context.Context, config Config) (*Containerd, error) {
	programs, err := Find(config.needs())
	if err != nil {
		return nil, err
	}
	l, err := config.layout()
	if err != nil {
		return nil, err
	}
	if err := l.make(); err != nil {
		return nil, err
	}
	c := &Containerd{layout: l, config: config, programs: programs, stopped: make(chan struct{})}
	if c.lock, err = takeLock(l.lock); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.lock.Close())
	}
	keeping, stop := context.WithCancel(klog.NewContext(context.Background(), klog.FromContext(ctx)))
	c.stop = stop
	go c.keep(keeping)
	return c, nil
}

// start does all that precedes a running containerd, and starts it.
func (c *Containerd) start(ctx context.Context) error {
	logger, l := klog.FromContext(ctx), c.layout
	if err := endLeftover(l); err != nil {
		return fmt.Errorf("end the containerd of an agent that was killed: %w", err)
	}
	var err error
	if c.machine, err = lookAtMachine(l.root); err != nil {
		return err
	}
	major, err := majorVersion(ctx, c.programs.Containerd)
	if err != nil {
		return err
	}
	content, err := newSettings(l, c.programs, c.config.Handlers, c.machine).render(major)
	if err != nil {
		return err
	}
	if err := writeFile(l.config, content); err != nil {
		return fmt.Errorf("write containerd's configuration: %w", err)
	}
	if !strings.HasPrefix(l.root, l.runtime) {
		logger.Info("The path of the data folder is too long for sockets, which go elsewhere", "folder", l.runtime)
	}
	logger.V(2).Info("Starting containerd", "program", c.programs.Containerd, "config", l.config, "socket", l.socket, "snapshotter", c.machine.snapshotter)
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	p, err := launch(l, c.programs)
	if err != nil {
		return err
	}
	if err = awaitReady(ctx, l, p); err == nil {
		err = c.providePause(ctx)
	}
	if err != nil {
		expired, cancel := context.WithTimeout(context.Background(), stopGrace)
		defer cancel()
		return errors.Join(err, p.end(expired))
	}
	c.process = p
	return nil
}

// takeLock claims a data folder for this process. The kernel gives it back when
// the process ends, however that happens.
func takeLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("claim the data folder: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("claim the data folder: another agent that runs has %s: %w", path, err)
	}
	return file, nil
}

// Socket is the path of the unix socket that speaks CRI.
func (c *Containerd) Socket() string { return c.layout.socket }

// Endpoint is the socket in the form that clients of CRI take.
func (c *Containerd) Endpoint() string { return "unix://" + c.layout.socket }

// Failure tells why containerd is down at the moment; nil is well.
func (c *Containerd) Failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// Stop ends containerd. Containers go on under their shims, and the next Start
// finds them. Calling it again does nothing.
func (c *Containerd) Stop() error {
	c.stop()
	<-c.stopped
	if err := c.lock.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("give back the data folder: %w", err)
	}
	return nil
}

// keep starts containerd anew whenever it dies, until ctx is done, and then ends
// it.
func (c *Containerd) keep(ctx context.Context) {
	defer close(c.stopped)
	logger := klog.FromContext(ctx)
	wait := restartMin
	for {
		since := time.Now()
		if p := c.process; p != nil {
			if !c.attend(ctx, p) {
				c.endNow(logger, p)
				return
			}
			c.setProcess(nil, fmt.Errorf("containerd ended: %w", describeExit(p.err, c.layout.log)))
		}
		if time.Since(since) > steady {
			wait = restartMin
		}
		logger.Error(c.Failure(), "The container runtime is down, and is started anew", "in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, restartMax)
		c.restart(ctx)
	}
}

// attend returns true once the process has ended, and false once ctx is done.
func (c *Containerd) attend(ctx context.Context, p *process) bool {
	ticker := time.NewTicker(trimPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-p.exited:
			return true
		case <-ticker.C:
			if err := trimLog(c.layout.log); err != nil {
				klog.FromContext(ctx).Error(err, "The log may get long")
			}
		}
	}
}

func (c *Containerd) endNow(logger klog.Logger, p *process) {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	if err := p.end(ctx); err != nil {
		logger.Error(err, "Cannot end containerd")
	}
	c.setProcess(nil, errors.New("containerd was stopped"))
}

func (c *Containerd) setProcess(p *process, failure error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.process, c.failure = p, failure
}

// restart starts containerd once more. If that fails the failure is kept.
func (c *Containerd) restart(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	p, err := launch(c.layout, c.programs)
	if err == nil {
		if err = awaitReady(ctx, c.layout, p); err != nil {
			c.endNow(klog.FromContext(ctx), p)
		}
	}
	if err != nil {
		c.setProcess(nil, err)
		return
	}
	c.setProcess(p, nil)
	klog.FromContext(ctx).Info("The container runtime is back")
}
