package script

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestAnywhere tells the same stories twice: of a control plane that has
// controller and scheduler inside, and of one whose controller and scheduler are
// processes of their own.
func TestAnywhere(t *testing.T) {
	for name, apart := range map[string]bool{"inside": false, "apart": true} {
		t.Run(name, func(t *testing.T) {
			runRemote(t, "testdata/anywhere", func(ts *testscript.TestScript, flags []string) {
				if !apart {
					startServer(ts, flags)
					return
				}
				startServer(ts, append(flags, "--controllers=*,-daemonset,-scheduler"))
				for _, part := range []string{"controller", "scheduler"} {
					w := startWorker(ts, part, []string{part})
					ts.Check(w.awaitOutput(part))
				}
			})
		})
	}
}

// TestElection tells stories of several processes of which one works.
func TestElection(t *testing.T) {
	runRemote(t, "testdata/election", startServer)
}

// runRemote tells the stories of a directory; server says what their command of
// that name does.
func runRemote(t *testing.T, dir string, server func(ts *testscript.TestScript, flags []string)) {
	testscript.Run(t, testscript.Params{
		Dir:   dir,
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": func(ts *testscript.TestScript, neg bool, args []string) {
				refuse(ts, neg, false, "server [flags]")
				server(ts, args)
			},
			"down":       cmdDownAll,
			"start":      cmdStart,
			"works":      cmdWorks,
			"loses":      cmdLoses,
			"end":        cmdEnd,
			"kill9":      cmdKillWorker,
			"kubectl":    cmdKubectl,
			"eventually": cmdEventually,
		},
		RequireUniqueNames: true,
	})
}

func refuse(ts *testscript.TestScript, neg, wrong bool, usage string) {
	if neg || wrong {
		ts.Fatalf("usage: %s", usage)
	}
}

func startServer(ts *testscript.TestScript, flags []string) {
	p, err := startPlane(planeConfig{
		args: append([]string{"server", "--port", "0"}, flags...),
		dir:  ts.MkAbs("."),
		env:  storyEnv(ts),
	})
	ts.Check(err)
	planes.Store(ts, p)
	ts.Defer(func() {
		if log := p.end(); log != "" {
			ts.Logf("[log of garrison server]\n%s", log)
		}
	})
}

func storyEnv(ts *testscript.TestScript) []string {
	return []string{"HOME=" + ts.Getenv("HOME"), "PATH=" + ts.Getenv("PATH"), "GARRISON_DATA_DIR=" + ts.Getenv("GARRISON_DATA_DIR")}
}

// worker is a garrison that works on the API server of another process.
type worker struct {
	name, part  string
	command     *exec.Cmd
	output, log *lockedBuffer
	done        chan struct{}
	err         error // of Wait, once done is closed
	stopped     bool  // the story has ended it and looked how it went
}

// workers holds the workers of each story in the order of their start.
var workers sync.Map // *testscript.TestScript to []*worker

func workersOf(ts *testscript.TestScript) []*worker {
	all, _ := workers.Load(ts)
	list, _ := all.([]*worker)
	return list
}

func workerOf(ts *testscript.TestScript, name string) *worker {
	for _, w := range workersOf(ts) {
		if w.name == name {
			return w
		}
	}
	ts.Fatalf("no %s was started", name)
	return nil
}

func startWorker(ts *testscript.TestScript, name string, args []string) *worker {
	w := &worker{name: name, part: args[0], command: exec.Command(binary, args...), output: &lockedBuffer{}, log: &lockedBuffer{}, done: make(chan struct{})}
	w.command.Dir, w.command.Env = ts.MkAbs("."), storyEnv(ts)
	w.command.Stdout, w.command.Stderr = w.output, w.log
	ts.Check(w.command.Start())
	go func() {
		defer close(w.done)
		w.err = w.command.Wait()
	}()
	workers.Store(ts, append(workersOf(ts), w))
	ts.Defer(func() {
		w.kill()
		if log := w.log.String(); log != "" {
			ts.Logf("[log of %s]\n%s", name, log)
		}
	})
	return w
}

// worksLine is the one line that a worker prints, once it works.
var worksLine = regexp.MustCompile(`^garrison (controller|scheduler) works on https://\S+\n$`)

// awaitOutput waits until the worker says that it works.
func (w *worker) awaitOutput(part string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(glance) {
		if match := worksLine.FindStringSubmatch(w.output.String()); match != nil && match[1] == part {
			return nil
		}
		select {
		case <-w.done:
			return fmt.Errorf("%s ended: %v, log:\n%s", w.name, w.err, w.log)
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not work after %v: output %q, log:\n%s", w.name, patience, w.output, w.log)
		}
	}
}

// stop ends the worker with SIGTERM and complains about whatever was not in
// order.
func (w *worker) stop() error {
	w.stopped = true
	begin := time.Now()
	if err := w.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", w.name, err)
	}
	select {
	case <-w.done:
	case <-time.After(stopLimit + slack):
		return fmt.Errorf("%s still runs %v after SIGTERM, log:\n%s", w.name, time.Since(begin), w.log)
	}
	if w.err != nil {
		return fmt.Errorf("%s after SIGTERM: %w, log:\n%s", w.name, w.err, w.log)
	}
	if log := w.log.String(); log != "" {
		return fmt.Errorf("all was well and yet %s logged:\n%s", w.name, log)
	}
	return nil
}

func (w *worker) kill() {
	w.stopped = true
	_ = w.command.Process.Kill() // it may have ended
	<-w.done
}

// cmdStart starts a worker without waiting for it: start NAME controller|scheduler [flags].
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg, len(args) < 2, "start NAME controller|scheduler [flags]")
	startWorker(ts, args[0], args[1:])
}

// cmdWorks waits until a worker works; with ! it must not work now.
func cmdWorks(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, false, len(args) != 1, "[!] works NAME")
	w := workerOf(ts, args[0])
	if !neg {
		ts.Check(w.awaitOutput(w.part))
	} else if output := w.output.String(); output != "" {
		ts.Fatalf("%s says %q", w.name, output)
	}
}

// cmdLoses waits until a worker has ended because its lease was lost.
func cmdLoses(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg, len(args) != 1, "loses NAME")
	w := workerOf(ts, args[0])
	w.stopped = true
	select {
	case <-w.done:
	case <-time.After(patience):
		ts.Fatalf("%s still runs, log:\n%s", w.name, w.log)
	}
	var exit *exec.ExitError
	if !errors.As(w.err, &exit) || exit.ExitCode() != 1 || !strings.Contains(w.log.String(), "error: lost the lease kube-system/garrison-"+w.part+":") {
		ts.Fatalf("%s: %v, log:\n%s", w.name, w.err, w.log)
	}
}

// cmdEnd stops a worker with SIGTERM. It must end well and in time.
func cmdEnd(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg, len(args) != 1, "end NAME")
	ts.Check(workerOf(ts, args[0]).stop())
}

// cmdKillWorker kills a worker without warning.
func cmdKillWorker(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg, len(args) != 1, "kill9 NAME")
	workerOf(ts, args[0]).kill()
}

// cmdDownAll stops the workers, then the server. All must end well and in time.
func cmdDownAll(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg, len(args) != 0, "down")
	for _, w := range workersOf(ts) {
		if !w.stopped {
			ts.Check(w.stop())
		}
	}
	ts.Check(planeOf(ts).stop())
}
