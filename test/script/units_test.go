package script

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The units with which systemd starts Garrison give it commands and flags that it
// has, leave containers alone, and are such that systemd has nothing to remark.
func TestUnits(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(repository, "examples/systemd/*.service"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no units: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// systemd wants the program to be there.
			installed := strings.ReplaceAll(string(text), "/usr/local/bin/garrison", binary)
			unit := readUnit(t, installed)
			for key, want := range map[string]string{
				"KillMode": "process", // or the containers' shims end with the agent
				"Delegate": "yes",
				"Restart":  "always",
			} {
				if got := unit[key]; got != want {
					t.Errorf("%s=%s, not %s", key, got, want)
				}
			}
			command := append(strings.Fields(unit["ExecStart"]), "--help") // read after all flags
			if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", command, err, out)
			}
			verifyUnit(t, filepath.Base(file), installed)
		})
	}
}

// verifyUnit asks systemd what it thinks of a unit, where there is a systemd.
func verifyUnit(t *testing.T, name, text string) {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Logf("not verified: %v", err)
		return
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput()
	// What it says of others' units, which it reads along, is not our affair.
	if err != nil || strings.Contains(string(out), name) {
		t.Errorf("systemd-analyze verify %s: %v\n%s", name, err, out)
	}
}

// readUnit reads the settings of a unit in which none comes twice.
func readUnit(t *testing.T, text string) map[string]string {
	t.Helper()
	unit := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "[") {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if _, twice := unit[key]; !found || twice {
			t.Fatalf("cannot make sense of %q", line)
		}
		unit[key] = value
	}
	return unit
}
