package static

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/agent"
)

const (
	// readInterval is how often the folder is read though nothing was told.
	readInterval = 20 * time.Second
	// settling is how long a folder that changes is left alone.
	settling = 100 * time.Millisecond
)

// Options are what a Folder works with. Directory and NodeName are required.
type Options struct {
	Directory string
	NodeName  string
	Clock     clock.Clock // default: the system's
}

// Folder has the pods of a folder of manifests.
type Folder struct {
	options Options

	mu   sync.Mutex
	read bool
	// files are the contents of the folder by path, as they were last readable.
	files map[string]manifest
	pods  []*corev1.Pod
}

// manifest is one file.
type manifest struct {
	text string
	pods []*corev1.Pod
	// problem is why the text cannot be used; the pods are then older than it.
	problem string
}

var _ agent.StaticPods = (*Folder)(nil)

// New returns a folder that waits for Watch, and makes it on the disk.
func New(options Options) (*Folder, error) {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if err := os.MkdirAll(options.Directory, 0o750); err != nil {
		return nil, fmt.Errorf("make the folder of static pods: %w", err)
	}
	return &Folder{options: options, files: map[string]manifest{}}, nil
}

// Pods implements agent.StaticPods.
func (f *Folder) Pods() ([]*corev1.Pod, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.pods), f.read
}

// Watch implements agent.StaticPods.
func (f *Folder) Watch(ctx context.Context, changed func()) {
	log := klog.FromContext(ctx)
	events := make(chan fsnotify.Event)
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		err = watcher.Add(f.options.Directory)
		events = watcher.Events
	}
	if err != nil {
		log.Error(err, "Static pods are only looked for from time to time", "folder", f.options.Directory)
	}
	for {
		different, err := f.scan(ctx)
		if err != nil {
			log.Error(err, "Static pods cannot be read", "folder", f.options.Directory)
		}
		if different {
			changed()
		}
		pause := f.options.Clock.NewTimer(readInterval)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C():
		case <-events:
			pause.Stop()
			f.settle(ctx, events)
		}
	}
}

// settle returns when nothing has changed for a while.
func (f *Folder) settle(ctx context.Context, events <-chan fsnotify.Event) {
	for {
		pause := f.options.Clock.NewTimer(settling)
		select {
		case <-events:
			pause.Stop()
			continue
		case <-pause.C():
		case <-ctx.Done():
			pause.Stop()
		}
		return
	}
}

// scan reads the folder. It reports whether the pods are others than before, or
// have been read for the first time.
func (f *Folder) scan(ctx context.Context) (bool, error) {
	texts, err := readAll(f.options.Directory)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	different := !f.read
	f.read = true
	for path := range f.files {
		if _, still := texts[path]; !still {
			delete(f.files, path)
			different = true
		}
	}
	for path, text := range texts {
		before, known := f.files[path]
		if known && before.text == text {
			continue
		}
		pods, err := Parse(text, Origin{Path: path, NodeName: f.options.NodeName})
		next := manifest{text: text, pods: pods}
		if err != nil {
			// What may be half written must not end what runs.
			next.pods, next.problem = before.pods, err.Error()
			klog.FromContext(ctx).Error(err, "A manifest of static pods is of no use", "file", path)
		}
		f.files[path] = next
		different = true
	}
	if different {
		f.pods = f.gather(ctx)
	}
	return different, nil
}

// gather lists the pods of all files by name. Of those with one name the first by
// path counts.
func (f *Folder) gather(ctx context.Context) []*corev1.Pod {
	paths := make([]string, 0, len(f.files))
	for path := range f.files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	var out []*corev1.Pod
	for _, path := range paths {
		for _, pod := range f.files[path].pods {
			taken := slices.ContainsFunc(out, func(other *corev1.Pod) bool {
				return other.Namespace == pod.Namespace && other.Name == pod.Name
			})
			if taken {
				klog.FromContext(ctx).Info("Two manifests describe a static pod of one name", "pod", klog.KObj(pod), "unused", path)
				continue
			}
			out = append(out, pod)
		}
	}
	slices.SortFunc(out, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// readAll gives the text of each file of a folder, by path. Hidden files and
// folders are passed over.
func readAll(folder string) (map[string]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read folder of static pods: %w", err)
	}
	out := map[string]string{}
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		info, err := os.Stat(path) // through symlinks
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		out[path] = string(text)
	}
	return out, nil
}
