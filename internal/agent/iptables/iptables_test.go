package iptables_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/garrison-project/garrison/internal/agent/iptables"
)

// inside tells this binary that it runs in a network namespace of its own, where
// nothing of the machine can be changed.
const inside = "GARRISON_TEST_INSIDE"

func inNamespace(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if os.Getenv(inside) != "" {
		test(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("the kernel's packet filter needs root")
	}
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skipf("%v: apt-get install iptables", err)
	}
	command := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	command.Env = append(os.Environ(), inside+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("inside: %v\n%s", err, out)
	}
}

func rules(t *testing.T, program string) string {
	t.Helper()
	out, err := exec.Command(program + "-save").Output()
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "-") || strings.HasPrefix(line, ":OURS") {
			kept = append(kept, strings.Replace(line, " [0:0]", "", 1))
		}
	}
	return strings.Join(kept, "")
}

func run(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}

// chains for packets of either family.
var chains = []iptables.Chain{
	{Table: "nat", Name: "OURS-OUT", Rules: []string{"-o eth9 -j MASQUERADE"}, Hooks: []iptables.Hook{{From: "POSTROUTING"}}},
	{Table: "filter", Name: "OURS-IN", Rules: []string{"-i eth8 -j ACCEPT", "-i eth9 -j DROP"}, Hooks: []iptables.Hook{{From: "FORWARD"}, {From: "INPUT", In: "eth7"}}},
}

const wanted = `:OURS-IN -
-A INPUT -i eth7 -j OURS-IN
-A FORWARD -j OURS-IN
-A OURS-IN -i eth8 -j ACCEPT
-A OURS-IN -i eth9 -j DROP
:OURS-OUT -
-A POSTROUTING -j OURS-OUT
-A OURS-OUT -o eth9 -j MASQUERADE
`

func sorted(tables string) string {
	filter, nat := "", ""
	for line := range strings.Lines(tables) {
		if strings.Contains(line, "OURS-IN") {
			filter += line
		} else {
			nat += line
		}
	}
	return filter + nat
}

func TestEnsure(t *testing.T) {
	for _, program := range []string{"iptables", "ip6tables"} {
		t.Run(program, func(t *testing.T) {
			inNamespace(t, func(t *testing.T) {
				tables := iptables.Tables{Program: program}
				for _, harm := range []string{
					"", "", // again, without any
					program + " -t nat -F", // as a service of rules does when it starts
					program + " -F FORWARD",
					program + " -D OURS-IN 1",
					program + " -A OURS-IN -i eth6 -j DROP",
				} {
					if harm != "" {
						run(t, harm)
					}
					if err := tables.Ensure(t.Context(), chains...); err != nil {
						t.Fatal(err)
					}
					if got := sorted(rules(t, program)); got != wanted {
						t.Fatalf("after %q got\n%swant\n%s", harm, got, wanted)
					}
				}
			})
		})
	}
}

// Rules of others stay, and ours come first.
func TestOthers(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		run(t, "iptables -N THEIRS")
		run(t, "iptables -A FORWARD -i eth1 -j THEIRS")
		before := rules(t, "iptables")
		tables := iptables.Tables{Program: "iptables"}
		if err := tables.Ensure(t.Context(), chains...); err != nil {
			t.Fatal(err)
		}
		if got := rules(t, "iptables"); !strings.Contains(got, "-A FORWARD -j OURS-IN\n-A FORWARD -i eth1 -j THEIRS\n") {
			t.Errorf("got\n%s", got)
		}
		for range 2 {
			if err := tables.Remove(t.Context(), chains...); err != nil {
				t.Fatal(err)
			}
			if got := rules(t, "iptables"); got != before {
				t.Errorf("after removal got\n%swant\n%s", got, before)
			}
		}
	})
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		err := iptables.Tables{Program: "iptables"}.Ensure(t.Context(), iptables.Chain{Table: "nat", Name: "OURS", Rules: []string{"-j NONSENSE"}})
		if err == nil || !strings.HasPrefix(err.Error(), "iptables-restore -w 5 --noflush: exit status") || !strings.Contains(err.Error(), "NONSENSE") {
			t.Errorf("got %v", err)
		}
	})
}
