package script

import (
	"bufio"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// placement is one line of the scenario's expected.tsv.
type placement struct {
	manifest, namespace, daemonSet string
	nodes                          []string
}

// TestSeedScenario applies a small cluster and every manifest of the documents
// that the project began from, and looks where the pods run. The documents are
// no part of this repository: $GARRISON_SHARED says where they are.
func TestSeedScenario(t *testing.T) {
	shared := cmp.Or(os.Getenv("GARRISON_SHARED"), filepath.Join(repository, "..", "shared"))
	seeds := filepath.Join(shared, "seeds")
	if _, err := os.Stat(filepath.Join(seeds, "scenario")); err != nil {
		t.Skipf("the seed documents are not here: set GARRISON_SHARED to the folder that holds seeds/ (%v)", err)
	}
	k := newSession(t)
	for _, what := range []string{"scenario/namespaces.yaml", "scenario/nodes.yaml", "scenario/workloads.yaml"} {
		k.quiet("apply", "-f", filepath.Join(seeds, what))
	}
	manifests, err := filepath.Glob(filepath.Join(seeds, "manifests", "*.yaml"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no manifests in %s (%v)", seeds, err)
	}
	for _, manifest := range manifests {
		k.quiet("apply", "-f", manifest)
	}
	for _, want := range placements(t, filepath.Join(seeds, "scenario", "expected.tsv")) {
		t.Run(want.namespace+"/"+want.daemonSet, func(t *testing.T) { k.expectOn(t, want) })
	}
	if pending, stderr, err := k.kubectl("get", "pods", "-A", "-o", "name", "--field-selector", "status.phase=Pending"); pending != "" || err != nil {
		t.Errorf("pending: %s (%v)\n%s", pending, err, stderr)
	}
}

func placements(t *testing.T, file string) []placement {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []placement
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if columns := strings.Split(lines.Text(), "\t"); columns[0] != "manifest" {
			all = append(all, placement{columns[0], columns[1], columns[2], strings.Fields(columns[3])})
		}
	}
	if err := lines.Err(); err != nil || len(all) == 0 {
		t.Fatalf("%s: %d placements, %v", file, len(all), err)
	}
	return all
}

// session is a control plane with a kubectl.
type session struct {
	t   *testing.T
	env []string
}

func newSession(t *testing.T, flags ...string) *session {
	t.Helper()
	dir := t.TempDir()
	env := []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "GARRISON_DATA_DIR=" + filepath.Join(dir, "data"), "KUBECTL_KUBERC=false"}
	p, err := startPlane(planeConfig{args: append([]string{"up", "--no-agent", "--port", "0"}, flags...), dir: dir, env: env})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
			p.end()
		}
	})
	return &session{t, env}
}

// quiet runs kubectl, which must succeed and write nothing to standard error.
func (s *session) quiet(args ...string) {
	s.t.Helper()
	stdout, stderr, err := s.kubectl(args...)
	if err != nil || stderr != "" {
		s.t.Errorf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, stdout, stderr)
	}
}

func (s *session) kubectl(args ...string) (stdout, stderr string, err error) {
	var out, errs strings.Builder
	command := exec.Command(binary, append([]string{"kubectl"}, args...)...)
	command.Env, command.Stdout, command.Stderr = s.env, &out, &errs
	err = command.Run()
	return out.String(), errs.String(), err
}

// expectOn waits until the DaemonSet says that all its pods are ready, and no
// longer, then compares the nodes they run on.
func (s *session) expectOn(t *testing.T, want placement) {
	var got []string
	for deadline := time.Now().Add(patience); ; time.Sleep(glance) {
		out, stderr, err := s.kubectl("get", "pods", "-n", want.namespace, "--no-headers", "-o",
			`custom-columns=:.metadata.ownerReferences[0].name,:.spec.nodeName,:.status.conditions[?(@.type=="Ready")].status`)
		if err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		got = nil
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == want.daemonSet && f[2] == "True" {
				got = append(got, f[1])
			}
		}
		slices.Sort(got)
		if slices.Equal(got, want.nodes) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("ready on %q, want %q", got, want.nodes)
		}
	}
	out, _, err := s.kubectl("get", "daemonset", "-n", want.namespace, want.daemonSet, "-o", "jsonpath={.status.desiredNumberScheduled}")
	if err != nil || out != strconv.Itoa(len(want.nodes)) {
		t.Errorf("desired %s (%v), want %d", out, err, len(want.nodes))
	}
}
