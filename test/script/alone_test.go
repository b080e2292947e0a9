package script

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMachinesAlone tells stories of machines that are set up in ways of their own.
func TestMachinesAlone(t *testing.T) {
	needMachine(t)
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/alone",
		Setup: func(env *testscript.Env) error { return setupAlone(t, env) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up":         cmdUpAlone,
			"down":       cmdDown,
			"reboot":     cmdReboot,
			"containerd": cmdContainerd,
			"kubectl":    cmdKubectl,
			"eventually": cmdEventually,
			"image":      cmdImage,
			"forward":    cmdForward,
		},
		RequireUniqueNames: true,
	})
}

// setupAlone gives a story a machine with the usual image, and ranges of addresses
// for its pods: PODS for the network of Garrison, OTHERS for another.
func setupAlone(t *testing.T, env *testscript.Env) error {
	if err := setup(env); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/tmp", "garrison-machine-")
	if err != nil {
		return err
	}
	env.Defer(func() {
		if err := leaveMachine(dir); err != nil {
			t.Errorf("%s: %v", filepath.Base(env.WorkDir), err)
		}
	})
	env.Setenv("GARRISON_DATA_DIR", dir)
	env.Setenv("PODS", podRange(dir))
	env.Setenv("OTHERS", podRange(env.WorkDir+dir))
	if err := os.Mkdir(filepath.Join(dir, "images"), 0o700); err != nil {
		return err
	}
	return makeImage(filepath.Join(dir, "images", "busybox.tar"), machineImages...)
}

// cmdUpAlone starts a control plane with the machine as its node: up [flags].
func cmdUpAlone(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg, false, "up [flags]")
	config := machineConfig(ts.Getenv("GARRISON_DATA_DIR"), args...)
	config.dir, config.enter = ts.MkAbs("."), booted(ts)
	plane, err := startPlane(config)
	ts.Check(err)
	planes.Store(ts, plane)
	ts.Defer(func() {
		if log := plane.end(); log != "" {
			ts.Logf("[log of garrison up]\n%s", log)
		}
	})
}

// cmdContainerd runs a containerd until the story ends, and with it the containers
// that garrison has there: containerd CONFIG SOCKET.
func cmdContainerd(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg, len(args) != 2, "containerd CONFIG SOCKET")
	var log lockedBuffer
	command := exec.Command("containerd", "--config", ts.MkAbs(args[0]))
	command.Stdout, command.Stderr = &log, &log
	ts.Check(command.Start())
	ts.Defer(func() {
		if err := resetMachine(ts.Getenv("GARRISON_DATA_DIR"), "--container-runtime-endpoint", "unix://"+args[1]); err != nil {
			ts.Logf("%v", err)
		}
		if err := command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			ts.Logf("stop containerd: %v", err)
		}
		_ = command.Wait() // it was told to end
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(glance) {
		out, err := exec.Command("ctr", "--address", args[1], "plugins", "list").Output()
		if err == nil && bytes.Contains(out, []byte("cri")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("containerd does not answer after %v (%v):\n%s", patience, err, log.String())
		}
	}
}
