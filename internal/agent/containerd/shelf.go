package containerd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

const (
	// settle is how long an archive must not have changed to count as complete.
	settle = time.Second
	// An import that failed is tried again after retryMin, doubling up to retryMax.
	retryMin, retryMax = time.Second, 5 * time.Minute
)

// stamp tells one state of a file from another.
type stamp struct {
	Size     int64     `json:"size"` // bytes
	Modified time.Time `json:"modified"`
}

// archive is what is known of one file.
type archive struct {
	stamp
	// seen is when it was first found like this.
	seen time.Time
	// imported says that its images were brought in; images are their names.
	imported bool
	images   []string
	// failure is why the last try failed; the next one is not before retry.
	failure error
	retry   time.Time
	wait    time.Duration
}

// shelf is what is known of the archives of a folder, by file name.
type shelf map[string]*archive

// observe takes in what the folder holds now.
func (s shelf) observe(now time.Time, files map[string]stamp) {
	for name := range s {
		if _, ok := files[name]; !ok {
			delete(s, name)
		}
	}
	for name, found := range files {
		if known, ok := s[name]; !ok || known.Size != found.Size || !known.Modified.Equal(found.Modified) {
			s[name] = &archive{stamp: found, seen: now}
		}
	}
}

// due lists the archives to import now, sorted, and when the next one may be;
// zero if only a change can make one.
func (s shelf) due(now time.Time) (names []string, wake time.Time) {
	for name, a := range s {
		if a.imported {
			continue
		}
		// A clock may have been set back since it was written, so that it lies in
		// the future: then it counts from when it was found.
		at := a.Modified.Add(settle)
		if at.After(a.seen.Add(settle)) {
			at = a.seen.Add(settle)
		}
		if a.retry.After(at) {
			at = a.retry
		}
		if !at.After(now) {
			names = append(names, name)
		} else if wake.IsZero() || at.Before(wake) {
			wake = at
		}
	}
	slices.Sort(names)
	return names, wake
}

// record notes how an import of a state of a file ended. If the file is another
// by now it says nothing about that.
func (s shelf) record(name string, of *archive, result result) {
	if s[name] != of {
		return
	}
	if result.err == nil {
		of.imported, of.images, of.failure = true, result.images, nil
		return
	}
	of.failure = result.err
	of.wait = min(max(2*of.wait, retryMin), retryMax)
	of.retry = result.at.Add(of.wait)
}

// result is how an import ended.
type result struct {
	at     time.Time
	images []string
	err    error
}

// remembered is the form of an imported archive in the file that outlives the
// agent.
type remembered struct {
	stamp
	Images []string `json:"images,omitempty"`
}

func (s shelf) save(path string) error {
	memory := map[string]remembered{}
	for name, a := range s {
		if a.imported {
			memory[name] = remembered{stamp: a.stamp, Images: a.images}
		}
	}
	content, err := json.MarshalIndent(memory, "", "  ")
	if err == nil {
		err = writeFile(path, content)
	}
	if err != nil {
		return fmt.Errorf("remember what was imported: %w", err)
	}
	return nil
}

// loadShelf reads what an earlier agent imported, except archives of which an
// image is not present any more. Without a readable memory all is imported again,
// which does no harm.
func loadShelf(path string, present func(image string) bool) (shelf, error) {
	s := shelf{}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	memory := map[string]remembered{}
	if err == nil {
		err = json.Unmarshal(content, &memory)
	}
	if err != nil {
		return s, fmt.Errorf("recall what was imported: %w", err)
	}
	for name, m := range memory {
		if !slices.ContainsFunc(m.Images, func(image string) bool { return !present(image) }) {
			s[name] = &archive{stamp: m.stamp, imported: true, images: m.Images}
		}
	}
	return s, nil
}

// list finds the archives in a folder.
func list(dir string) (map[string]stamp, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for image archives: %w", err)
	}
	files := map[string]stamp{}
	for _, entry := range entries {
		if !isArchive(entry.Name()) {
			continue
		}
		// Through links, which may lead to nothing.
		info, err := os.Stat(dir + "/" + entry.Name())
		if err == nil && info.Mode().IsRegular() {
			files[entry.Name()] = stamp{Size: info.Size(), Modified: info.ModTime()}
		}
	}
	return files, nil
}
