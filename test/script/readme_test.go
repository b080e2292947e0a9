package script

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the real output into README.md")

// console finds the sessions of a page: blocks of commands, each behind "$ ",
// and what they print.
var console = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")

// exchange is one command of a session with what it prints.
type exchange struct{ command, output string }

func parseSession(block string) []exchange {
	var all []exchange
	for line := range strings.Lines(block) {
		if command, found := strings.CutPrefix(line, "$ "); found {
			all = append(all, exchange{command: strings.TrimSuffix(command, "\n")})
			continue
		}
		if len(all) > 0 {
			all[len(all)-1].output += line
		}
	}
	return all
}

// TestReadme runs every session of README.md, one after the other in one shell
// as a reader does, and compares what is printed with what the page says.
func TestReadme(t *testing.T) {
	page := filepath.Join(repository, "README.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := console.FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("README.md has no session")
	}
	sh := newShell(t)
	updated := string(text)
	for _, block := range blocks {
		var fresh strings.Builder
		for _, want := range parseSession(block[1]) {
			got := sh.run(want.command)
			if !*rewrite && !alike(want.output, got) {
				t.Errorf("$ %s\nREADME.md says:\n%s\nbut it prints:\n%s", want.command, want.output, got)
			}
			fmt.Fprintf(&fresh, "$ %s\n%s", want.command, presentable(got))
		}
		updated = strings.Replace(updated, block[1], fresh.String(), 1)
	}
	if *rewrite {
		if err := os.WriteFile(page, []byte(updated), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// presentable is the output as the reader gets it, with the default port and a
// home.
func presentable(output string) string {
	return readyLine.ReplaceAllString(output,
		"garrison is ready at https://127.0.0.1:6443, kubeconfig /home/ada/.local/share/garrison/admin.kubeconfig")
}

// varying is what differs from one run to the next, with what stands for it.
var varying = []struct {
	pattern *regexp.Regexp
	stand   string
}{
	{regexp.MustCompile(`https://127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\S+/admin\.kubeconfig`), "KUBECONFIG"},
	{regexp.MustCompile(`\b([a-z]+-[a-z]+)-[bcdfghjklmnpqrstvwxz2456789]{5,10}\b`), "$1-SUFFIX"},
	{regexp.MustCompile(`\b10\.\d+\.\d+\.\d+\b`), "ADDRESS"},
	{regexp.MustCompile(`\b(\d+m)?\d+s\b`), "AGE"},
	{regexp.MustCompile(`[ \t]+`), " "},
	{regexp.MustCompile(` \n`), "\n"},
	// How many of the intermediate states a waiting command gets to see.
	{regexp.MustCompile(`(?m)^Waiting for daemon set .*\n`), ""},
}

func alike(a, b string) bool {
	for _, v := range varying {
		a, b = v.pattern.ReplaceAllString(a, v.stand), v.pattern.ReplaceAllString(b, v.stand)
	}
	return a == b
}

// shell is one bash that is fed a command at a time.
type shell struct {
	t      *testing.T
	input  io.Writer
	output chan string // lines
}

// newShell starts a bash where the reader of README.md stands after make: at the
// root of the repository, with the binary built.
func newShell(t *testing.T) *shell {
	t.Helper()
	dir := t.TempDir()
	for link, target := range map[string]string{"bin/garrison": binary, "examples": filepath.Join(repository, "examples")} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	bash := exec.Command("bash", "--norc", "--noprofile")
	bash.Dir = dir
	bash.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "GARRISON_DATA_DIR=" + filepath.Join(dir, ".data"), "KUBECTL_KUBERC=false"}
	input, err := bash.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	bash.Stdout, bash.Stderr = writer, writer
	if err := bash.Start(); err != nil {
		t.Fatal(err)
	}
	s := &shell{t, input, make(chan string, 1000)}
	go func() {
		defer close(s.output)
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			s.output <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		fmt.Fprintln(input, "kill $(jobs -p) 2>/dev/null; wait; exit 0")
		if err := bash.Wait(); err != nil {
			t.Errorf("the shell ended badly: %v", err)
		}
		writer.Close()
	})
	return s
}

// endMark follows the output of each command.
const endMark = "-- end of output --"

// run has the shell run one command and returns what it printed. A command that
// ends in & goes on in the background: its output is what it prints until it is
// ready.
func (s *shell) run(command string) string {
	s.t.Helper()
	background := strings.HasSuffix(command, "&")
	if background {
		// The reader's port may be taken on this machine.
		command = strings.Replace(command, " up ", " up --port 0 ", 1)
		fmt.Fprintln(s.input, command)
	} else {
		fmt.Fprintf(s.input, "%s\necho '%s' $?\n", command, endMark)
	}
	var printed strings.Builder
	timeout := time.After(patience)
	for {
		select {
		case line, open := <-s.output:
			code, end := strings.CutPrefix(line, endMark+" ")
			switch {
			case !open:
				s.t.Fatalf("$ %s\nthe shell ended after:\n%s", command, printed.String())
			case end && code != "0":
				s.t.Fatalf("$ %s\nexit code %s:\n%s", command, code, printed.String())
			case end:
				return printed.String()
			}
			fmt.Fprintln(&printed, line)
			if background && readyLine.MatchString(line) {
				return printed.String()
			}
		case <-timeout:
			s.t.Fatalf("$ %s\nnot done after %v:\n%s", command, patience, printed.String())
		}
	}
}
