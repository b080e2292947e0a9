package containerd

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestShelf tells when archives are imported. Times are seconds since the start;
// a file is NAME=SIZE@MODIFIED.
func TestShelf(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	at := func(seconds string) time.Time {
		d, err := time.ParseDuration(seconds + "s")
		if err != nil {
			t.Fatal(err)
		}
		return start.Add(d)
	}
	memory := filepath.Join(t.TempDir(), "memory.json")
	s := shelf{}
	datadriven.RunTest(t, "testdata/shelf", func(t *testing.T, d *datadriven.TestData) string {
		var now string
		d.ScanArgs(t, "at", &now)
		switch d.Cmd {
		case "look":
			files := map[string]stamp{}
			for line := range strings.Lines(d.Input) {
				var name, modified string
				var size int64
				line = strings.NewReplacer("=", " ", "@", " ").Replace(line)
				if _, err := fmt.Sscan(line, &name, &size, &modified); err != nil {
					t.Fatal(err)
				}
				files[name] = stamp{Size: size, Modified: at(modified)}
			}
			s.observe(at(now), files)
		case "imported":
			s.record(d.CmdArgs[1].Key, s[d.CmdArgs[1].Key], result{at: at(now), images: d.CmdArgs[2].Vals})
		case "failed":
			s.record(d.CmdArgs[1].Key, s[d.CmdArgs[1].Key], result{at: at(now), err: errors.New("no archive")})
		case "restart":
			if err := s.save(memory); err != nil {
				t.Fatal(err)
			}
			var present []string
			if d.HasArg("present") {
				d.ScanArgs(t, "present", &present)
			}
			var err error
			if s, err = loadShelf(memory, func(image string) bool { return slices.Contains(present, image) }); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintln("remembers", slices.Sorted(maps.Keys(s)))
		}
		names, wake := s.due(at(now))
		out := fmt.Sprintln("due", names)
		if !wake.IsZero() {
			out += fmt.Sprintf("look again at %g\n", wake.Sub(start).Seconds())
		}
		return out
	})
}

func TestRecordOfAnotherState(t *testing.T) {
	s := shelf{}
	now := time.Unix(1_000_000, 0)
	s.observe(now, map[string]stamp{"a.tar": {Size: 1, Modified: now}})
	begun := s["a.tar"]
	s.observe(now, map[string]stamp{"a.tar": {Size: 2, Modified: now}})
	s.record("a.tar", begun, result{at: now})
	if s["a.tar"].imported {
		t.Error("a file that was replaced while it was imported counts as imported")
	}
}

func TestMemoryThatCannotBeRead(t *testing.T) {
	memory := filepath.Join(t.TempDir(), "memory.json")
	if err := os.WriteFile(memory, []byte("{half"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := loadShelf(memory, func(string) bool { return true })
	if err == nil || s == nil || len(s) != 0 {
		t.Errorf("got %v and error %v, want an empty shelf and an error", s, err)
	}
}

func TestIsArchive(t *testing.T) {
	for name, want := range map[string]bool{
		"a.tar": true, "a.tar.gz": true, "a.tgz": true, "a.tar.zst": true,
		".a.tar": false, "a.tar.part": false, "README": false,
	} {
		if got := isArchive(name); got != want {
			t.Errorf("isArchive(%q) = %v", name, got)
		}
	}
}
