package conformance

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
)

// spec is a spec of upstream's: its file below test/e2e, a space and its text.
// Shards choose by it and exclusions name by it.
type spec string

func (s spec) text() string {
	_, text, _ := strings.Cut(string(s), " ")
	return text
}

// exclusion leaves out the specs that a pattern matches.
type exclusion struct{ specs, why string }

// covered are the folders and files of which no spec is forgotten: each of them
// runs, or is left out for a reason that is printed.
var covered = regexp.MustCompile(`^(common/(node|storage)/|node/|apps/(daemon_set|controller_revision)\.go|scheduling/(predicates|preemption|priorities|limit_range)\.go)`)

// allSpecs are the specs in this binary, in order.
func allSpecs() []spec {
	var all []spec
	for _, report := range ginkgo.PreviewSpecs("specs").SpecReports.WithLeafNodeType(types.NodeTypeIt) {
		_, file, _ := strings.Cut(report.LeafNodeLocation.FileName, "/test/e2e/")
		all = append(all, spec(file+" "+report.FullText()))
	}
	slices.Sort(all)
	return all
}

// division is what becomes of specs.
type division struct {
	runs      map[string][]spec // by shard
	leftOut   [][]spec          // by exclusion
	forgotten []spec            // covered, but neither run nor left out
}

// divide gives every spec to the first shard that asks for it, unless it is
// left out.
func divide(specs []spec, among []shard, without []exclusion) division {
	d := division{runs: map[string][]spec{}, leftOut: make([][]spec, len(without))}
	for _, s := range specs {
		taker := slices.IndexFunc(among, func(sh shard) bool { return matches(sh.focus, s) })
		reason := slices.IndexFunc(without, func(e exclusion) bool { return matches(e.specs, s) })
		switch {
		case taker < 0 && !covered.MatchString(string(s)):
		case reason >= 0:
			d.leftOut[reason] = append(d.leftOut[reason], s)
		case taker >= 0:
			name := among[taker].name
			d.runs[name] = append(d.runs[name], s)
		default:
			d.forgotten = append(d.forgotten, s)
		}
	}
	return d
}

func matches(pattern string, s spec) bool {
	return regexp.MustCompile(pattern).MatchString(string(s))
}

// deal shares specs between parts that run at once, so that all end at about
// the same time: the longest first, each to the part that has least to do.
func deal(specs []spec, parts int) [][]spec {
	dealt, load := make([][]spec, parts), make([]float64, parts)
	longestFirst := slices.SortedStableFunc(slices.Values(specs), func(a, b spec) int {
		return cmp.Compare(seconds(b), seconds(a))
	})
	for _, s := range longestFirst {
		least := slices.Index(load, slices.Min(load))
		dealt[least] = append(dealt[least], s)
		load[least] += seconds(s)
	}
	return dealt
}

// print lists the specs that are left out, and why.
func (d division) print() {
	run, left := 0, 0
	for _, specs := range d.runs {
		run += len(specs)
	}
	for i, specs := range d.leftOut {
		left += len(specs)
		fmt.Printf("left out because %s:\n", leftOut[i].why)
		for _, s := range specs {
			fmt.Printf("LEFT OUT           %s\n", s.text())
		}
	}
	fmt.Printf("%d specs are left out, and %d run\n", left, run)
}

// exactly is the pattern that ginkgo finds these specs by, and no others.
func exactly(specs []spec) string {
	texts := make([]string, 0, len(specs))
	for _, s := range specs {
		texts = append(texts, regexp.QuoteMeta(s.text()))
	}
	return "^" + suiteName + " (" + strings.Join(texts, "|") + ")$"
}

// TestNoSpecIsForgotten fails when a release of upstream brings a spec that
// nobody decided about, or has lost one.
func TestNoSpecIsForgotten(t *testing.T) {
	d := divide(allSpecs(), shards, leftOut)
	for _, s := range d.forgotten {
		t.Errorf("no shard runs %q, and no reason is given", s)
	}
	for i, specs := range d.leftOut {
		if len(specs) == 0 {
			t.Errorf("there is no spec %q to leave out", leftOut[i].specs)
		}
	}
	for _, s := range shards {
		if len(d.runs[s.name]) < max(s.parts, 1) {
			t.Errorf("shard %s has %d specs for %d parts", s.name, len(d.runs[s.name]), max(s.parts, 1))
		}
	}
}

func TestDivide(t *testing.T) {
	specs := []spec{"common/node/a.go fast", "common/node/a.go slow", "common/node/b.go odd", "common/node/c.go new", "other/d.go far"}
	d := divide(specs,
		[]shard{{name: "slow", focus: "slow"}, {name: "rest", focus: `^common/node/(a|b)\.go`}},
		[]exclusion{{specs: "odd", why: "it is odd"}})
	for what, pair := range map[string][2][]spec{
		"slow":      {d.runs["slow"], specs[1:2]},
		"rest":      {d.runs["rest"], specs[:1]},
		"left out":  {d.leftOut[0], specs[2:3]},
		"forgotten": {d.forgotten, specs[3:4]},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
		}
	}
}

func TestDeal(t *testing.T) {
	long, short := spec("a.go takes long [Slow]"), spec("a.go is short")
	dealt := deal([]spec{short, short, long, short, long}, 2)
	if len(dealt) != 2 || dealt[0][0] != long || dealt[1][0] != long || len(dealt[0])+len(dealt[1]) != 5 {
		t.Errorf("dealt %q", dealt)
	}
}
