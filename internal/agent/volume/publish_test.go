package volume

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// seen is what a reader finds: paths, with modes and contents.
func seen(t rapid.TB, dir string) string {
	var out []string
	visible, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, top := range visible {
		if strings.HasPrefix(top.Name(), hidden) {
			continue
		}
		// A reader follows the links without looking at them.
		resolved, err := filepath.EvalSymlinks(filepath.Join(dir, top.Name()))
		if err != nil {
			t.Fatalf("a link leads nowhere: %v", err)
		}
		err = filepath.WalkDir(resolved, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			name := top.Name() + strings.TrimPrefix(path, resolved)
			out = append(out, fmt.Sprintf("%s %v %s", name, info.Mode(), data))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func wantSeen(p payload) string {
	var out []string
	for _, name := range p.names() {
		out = append(out, fmt.Sprintf("%s %v %s", name, p[name].mode, p[name].data))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// payloads draws contents in which no path is both a file and a folder.
func payloads() *rapid.Generator[payload] {
	names := []string{"a", "b", "ab", ".hidden", "d/x", "d/y", "d/e/z", "f/x", "f/..y"}
	return rapid.Custom(func(t *rapid.T) payload {
		out := payload{}
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "names") {
			out[name] = file{
				data: []byte(rapid.StringMatching("[a-c]{0,3}").Draw(t, "data")),
				mode: rapid.SampledFrom([]fs.FileMode{0o644, 0o400, 0o600, 0o777}).Draw(t, "mode"),
			}
		}
		return out
	})
}

// After each publishing a reader finds exactly what was wanted, whatever was there
// before and wherever an earlier attempt was cut short; and nothing is left over.
func TestPublishedIsWhatWasWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "publish-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			want := payloads().Draw(t, "payload")
			if rapid.Bool().Draw(t, "debris") {
				mess(t, dir)
			}
			for range 2 {
				if err := publish(dir, want, "v", nil); err != nil {
					t.Fatal(err)
				}
				if got := seen(t, dir); got != wantSeen(want) {
					t.Fatalf("readers find\n%s\nand not\n%s", got, wantSeen(want))
				}
			}
			left, err := filepath.Glob(filepath.Join(dir, hidden+"*"))
			if err != nil || len(left) != 2 {
				t.Fatalf("left over: %v", left)
			}
		}
	})
}

// mess is what a writer leaves that dies before it switches, and after.
func mess(t *rapid.T, dir string) {
	half, err := os.MkdirTemp(dir, "..v.half")
	if err == nil {
		err = os.WriteFile(filepath.Join(half, "a"), nil, 0o600)
	}
	if err == nil {
		err = os.Symlink(filepath.Base(half), filepath.Join(dir, newDataLink))
	}
	if err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "switched") {
		if err := os.Rename(filepath.Join(dir, newDataLink), filepath.Join(dir, dataLink)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPublishingTheSameChangesNothing(t *testing.T) {
	dir := t.TempDir()
	want := payload{"a": {data: []byte("1"), mode: 0o644}, "d/b": {data: []byte("2"), mode: 0o400}}
	current := func() string {
		if err := publish(dir, want, "v", nil); err != nil {
			t.Fatal(err)
		}
		link, err := os.Readlink(filepath.Join(dir, dataLink))
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
	first := current()
	if again := current(); again != first {
		t.Errorf("the version went from %s to %s", first, again)
	}
	for _, change := range []payload{
		{"a": {data: []byte("1"), mode: 0o600}, "d/b": {data: []byte("2"), mode: 0o400}},
		{"a": {data: []byte("3"), mode: 0o600}, "d/b": {data: []byte("2"), mode: 0o400}},
		{"a": {data: []byte("3"), mode: 0o600}},
		{"a": {data: []byte("3"), mode: 0o600}, "c": {}},
	} {
		want = change
		if again := current(); again == first {
			t.Errorf("the version stayed %s for %v", first, change)
		} else {
			first = again
		}
	}
}

// A reader who opens the data folder once never sees parts of two versions.
func TestReadersNeverSeeAMix(t *testing.T) {
	dir := t.TempDir()
	names := []string{"a", "d/b", "d/e/c"}
	version := func(n int) payload {
		out := payload{}
		for _, name := range names {
			out[name] = file{data: fmt.Appendf(nil, "%06d", n), mode: 0o644}
		}
		return out
	}
	if err := publish(dir, version(0), "v", nil); err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	var whole atomic.Int64
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for !done.Load() {
				root, err := os.OpenRoot(filepath.Join(dir, dataLink))
				if err != nil {
					continue // gone between the link and its end
				}
				found := map[string]bool{}
				complete := true
				for _, name := range names {
					data, err := root.ReadFile(name)
					complete = complete && err == nil // it may be swept away while it is read
					if err == nil {
						found[string(data)] = true
					}
				}
				if len(found) > 1 {
					t.Errorf("one reader saw %v", slices.Sorted(maps.Keys(found)))
				}
				if complete {
					whole.Add(1)
				}
				root.Close()
			}
		})
	}
	for n := 1; n <= 300 || (whole.Load() < 100 && n < 100_000); n++ {
		if err := publish(dir, version(n), "v", nil); err != nil {
			t.Error(err)
			break
		}
	}
	done.Store(true)
	readers.Wait()
	if whole.Load() == 0 {
		t.Error("nobody read anything")
	}
}

func TestPathsThatLeadOutAreRefused(t *testing.T) {
	for _, name := range []string{"../a", "/a", "a/../../b", "..", "..a", ".", ""} {
		dir := t.TempDir()
		if err := publish(dir, payload{name: {}}, "v", nil); err == nil {
			t.Errorf("%q was accepted", name)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("%q left %v, %v", name, entries, err)
		}
	}
}
