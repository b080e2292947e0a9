package revision_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/garrison-project/garrison/internal/core/revision"
)

// TestTranscripts runs the golden files in testdata/plan. A line is a stored
// revision: its name, number and template; the command's arguments are the
// present template and the rest of the input.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/plan", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			in := parse(t, d)
			before := fmt.Sprintf("%#v", in)
			out := render(revision.Plan(in))
			for range 20 {
				if again := render(revision.Plan(in)); again != out {
					d.Fatalf(t, "equal inputs gave two decisions:\n%s\n%s", out, again)
				}
			}
			if fmt.Sprintf("%#v", in) != before {
				d.Fatalf(t, "Plan changed its input")
			}
			return out
		})
	})
}

func parse(t *testing.T, d *datadriven.TestData) revision.Input {
	in := revision.Input{Set: "ds", Limit: 10}
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "template":
			in.Data, in.Hash = []byte(arg.Vals[0]), "hash"+arg.Vals[0]
		case "live":
			in.LiveHashes = arg.Vals
		case "limit":
			in.Limit = number(t, arg.Vals[0])
		default:
			d.Fatalf(t, "unknown argument %s", arg.Key)
		}
	}
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		r := revision.Revision{Name: words[0], Hash: strings.TrimPrefix(words[0], "ds-"), Created: start}
		for _, word := range words[1:] {
			switch key, value, _ := strings.Cut(word, "="); key {
			case "number":
				r.Number = int64(number(t, value))
			case "template":
				r.Data = []byte(value)
			case "age":
				r.Created = start.Add(-time.Duration(number(t, value)) * time.Second)
			case "unlabelled":
				r.Hash = ""
			case "hash":
				r.Hash = value
			default:
				d.Fatalf(t, "unknown word %s", word)
			}
		}
		in.Stored = append(in.Stored, r)
	}
	return in
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func render(d revision.Decision) string {
	var b strings.Builder
	for _, l := range d.Label {
		fmt.Fprintf(&b, "label %s with %s\n", l.Name, l.Hash)
	}
	if c := d.Create; c != nil {
		fmt.Fprintf(&b, "create %s with %s as number %d\n", c.Name, c.Hash, c.Number)
	}
	if d.Raise != 0 {
		fmt.Fprintf(&b, "raise %s to number %d\n", d.Current, d.Raise)
	}
	for _, dup := range d.Duplicates {
		fmt.Fprintf(&b, "label pods of %s with %s, then delete duplicate %s\n", dup.Hash, d.Hash, dup.Name)
	}
	for _, name := range d.Prune {
		fmt.Fprintf(&b, "prune %s\n", name)
	}
	fmt.Fprintf(&b, "current %s, hash %s\n", d.Current, d.Hash)
	return b.String()
}

func TestData(t *testing.T) {
	for _, c := range []struct{ name, template, want string }{
		{"sorts keys and replaces the template",
			`{"spec":{"b":1,"a":[{"z":true,"y":null}]},"metadata":{}}`,
			`{"spec":{"template":{"$patch":"replace","metadata":{},"spec":{"a":[{"y":null,"z":true}],"b":1}}}}`},
		{"escapes as encoding/json does",
			`{"metadata":{"annotations":{"a":"<&>"}}}`,
			`{"spec":{"template":{"$patch":"replace","metadata":{"annotations":{"a":"\u003c\u0026\u003e"}}}}}`},
		{"keeps whole numbers whole",
			`{"spec":{"n":1000000000000000}}`,
			`{"spec":{"template":{"$patch":"replace","spec":{"n":1000000000000000}}}}`},
		{"passes numbers through float64, as other clients do",
			`{"spec":{"n":9007199254740993}}`,
			`{"spec":{"template":{"$patch":"replace","spec":{"n":9007199254740992}}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := revision.Data([]byte(c.template))
			if err != nil || string(got) != c.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
	for _, bad := range []string{"", "null", "[]", "{"} {
		if got, err := revision.Data([]byte(bad)); err == nil {
			t.Errorf("Data(%q) = %s, want an error", bad, got)
		}
	}
}

func TestSafeEncode(t *testing.T) {
	if got, want := revision.SafeEncode("0123456789"), "456789bcdf"; got != want {
		t.Errorf("SafeEncode = %s, want %s", got, want)
	}
}

func TestHashCountsCollisions(t *testing.T) {
	zero, one := int32(0), int32(1)
	seen := map[string]*int32{}
	for _, count := range []*int32{nil, &zero, &one} {
		hash := revision.Hash([]byte("template"), count)
		if other, found := seen[hash]; found {
			t.Errorf("collision counts %v and %v give the same hash %s", count, other, hash)
		}
		seen[hash] = count
	}
}
