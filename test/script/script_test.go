package script

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

const (
	// patience is how long a story waits for what must come.
	patience = 90 * time.Second
	// glance is the pause before looking again.
	glance = 100 * time.Millisecond
)

var (
	// binary is the garrison that the stories run.
	binary string
	// repository is the root of the source tree.
	repository string
)

// storiesAtOnce is how many stories are told at a time, whatever the number of
// processors: mostly they wait.
const storiesAtOnce = 6

func TestMain(m *testing.M) {
	flag.Parse()
	if atOnce := flag.Lookup("test.parallel"); atOnce.Value.String() == atOnce.DefValue {
		_ = atOnce.Value.Set(strconv.Itoa(storiesAtOnce)) // it is a number
	}
	os.Exit(runMain(m))
}

func runMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "garrison-stories")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build makes the binary exactly as a user does.
func build(dir string) error {
	var err error
	if repository, err = filepath.Abs("../.."); err != nil {
		return err
	}
	binary = filepath.Join(dir, "garrison")
	command := exec.Command("make", "--no-print-directory", "-C", repository, "build", "BINARY="+binary)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("make build: %w\n%s", err, out)
	}
	return nil
}

// TestSources looks at every file that the binary is made of, which tells the go
// command that the outcome of these tests depends on them: else a result from before a
// change would be taken from the cache. It is a test because what is looked at before
// the first one is not noted.
func TestSources(t *testing.T) {
	for _, root := range []string{"cmd", "internal", "examples", "go.mod", "go.sum", "Makefile", "README.md"} {
		err := filepath.WalkDir(filepath.Join(repository, root), func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			_, err = os.Stat(path)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up":         cmdUp,
			"down":       cmdDown,
			"kill9":      cmdKill9,
			"kubectl":    cmdKubectl,
			"eventually": cmdEventually,
		},
		RequireUniqueNames: true,
	})
}

// setup gives a story a home, a data directory and the binary on its path.
func setup(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, ".home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	env.Setenv("HOME", home)
	env.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
	env.Setenv("GARRISON_DATA_DIR", filepath.Join(env.WorkDir, ".data"))
	env.Setenv("EXAMPLES", filepath.Join(repository, "examples"))
	env.Setenv("KUBECTL_KUBERC", "false")
	return nil
}

// planes holds the control plane of each story that has one.
var planes sync.Map // *testscript.TestScript to *plane

// cmdUp starts a control plane without a node of its own: up [flags]. It returns
// when the ready line is there, with ADDRESS and PORT set.
func cmdUp(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("up cannot be negated: use ! exec garrison up")
	}
	plane, err := startPlane(planeConfig{
		args: append([]string{"up", "--no-agent", "--port", "0"}, args...),
		dir:  ts.MkAbs("."),
		env:  []string{"HOME=" + ts.Getenv("HOME"), "PATH=" + ts.Getenv("PATH"), "GARRISON_DATA_DIR=" + ts.Getenv("GARRISON_DATA_DIR")},
	})
	ts.Check(err)
	ts.Setenv("ADDRESS", plane.address)
	ts.Setenv("PORT", plane.address[strings.LastIndexByte(plane.address, ':')+1:])
	planes.Store(ts, plane)
	ts.Defer(func() {
		if log := plane.end(); log != "" {
			ts.Logf("[log of garrison up]\n%s", log)
		}
	})
}

// cmdDown stops the control plane with SIGTERM. It must end well, in time, and
// have had nothing to complain about.
func cmdDown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: down")
	}
	ts.Check(planeOf(ts).stop())
}

// cmdKill9 kills the control plane without warning.
func cmdKill9(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: kill9")
	}
	planeOf(ts).end()
}

func planeOf(ts *testscript.TestScript) *plane {
	p, ok := planes.Load(ts)
	if !ok {
		ts.Fatalf("no control plane is up")
	}
	return p.(*plane)
}

// cmdKubectl runs the kubectl that is built in: [!] kubectl args.
func cmdKubectl(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(binary, append([]string{"kubectl"}, args...)...)
	switch {
	case err != nil && !neg:
		ts.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	case err == nil && neg:
		ts.Fatalf("kubectl %s: unexpected success", strings.Join(args, " "))
	}
}

// cmdEventually repeats a kubectl command until it succeeds with an output that
// matches, or with ! does not: [!] eventually PATTERN args.
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] eventually PATTERN kubectl-arguments")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; {
		command := exec.Command(binary, append([]string{"kubectl"}, args[1:]...)...)
		command.Dir = ts.MkAbs(".")
		command.Env = []string{"HOME=" + ts.Getenv("HOME"), "GARRISON_DATA_DIR=" + ts.Getenv("GARRISON_DATA_DIR"), "KUBECONFIG=" + ts.Getenv("KUBECONFIG")}
		out, err := command.Output()
		if err == nil && pattern.Match(out) != neg {
			fmt.Fprintf(ts.Stdout(), "%s", out)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after %v kubectl %s still says (%v):\n%s", patience, strings.Join(args[1:], " "), err, out)
		}
		time.Sleep(glance)
	}
}
