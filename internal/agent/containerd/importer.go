package containerd

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/agent/pause"
)

const (
	// rescan is how often the folder is looked at without being told of a change.
	rescan = time.Minute
	// calm is the least time between two looks: a file that is being written tells
	// of every piece.
	calm = 100 * time.Millisecond
)

// ImporterConfig says what to import, and to where.
type ImporterConfig struct {
	// Dir is the folder with the archives. It is made if need be.
	Dir string
	// Endpoint is containerd's socket, with or without unix:// before it.
	Endpoint string
	// Memory is a file that keeps what was imported.
	Memory string
}

// Importer brings the images of a folder of archives into a containerd, those
// that are there and those that appear. Archives are docker's and OCI's, also
// compressed.
type Importer struct {
	config ImporterConfig
	loader loader
	// own are images that are imported in another way, and stay too.
	own []string
	// imported is called after an import, if set.
	imported func()

	ready      chan struct{}
	closeReady func() // may be called again

	mu    sync.Mutex
	shelf shelf
}

// NewImporter makes an importer for a containerd that others run.
func NewImporter(config ImporterConfig) (*Importer, error) {
	ctr := lookUp("ctr")
	if ctr == "" {
		missing := &MissingError{}
		missing.add("ctr", "containerd")
		return nil, fmt.Errorf("import image archives: %w", missing)
	}
	socket := strings.TrimPrefix(config.Endpoint, "unix://")
	return newImporter(config, loader{ctr: ctr, socket: socket}), nil
}

// Importer makes an importer for this containerd, which knows what was imported
// for as long as its images last.
func (c *Containerd) Importer(dir string) *Importer {
	i := newImporter(ImporterConfig{Dir: dir, Memory: filepath.Join(filepath.Dir(c.layout.root), "imported.json")}, c.loader())
	i.own = []string{pause.Image} // containerd 1.6 does not protect it by itself
	return i
}

func newImporter(config ImporterConfig, l loader) *Importer {
	ready := make(chan struct{})
	return &Importer{
		config: config, loader: l, shelf: shelf{},
		ready: ready, closeReady: sync.OnceFunc(func() { close(ready) }),
	}
}

// Ready is closed once all archives that were there when Run began have been
// imported or have failed once, and when Run ends. Pods that start earlier may
// miss their images.
func (i *Importer) Ready() <-chan struct{} { return i.ready }

// OnImport has a function called whenever an archive has been imported. Call it
// before Run.
func (i *Importer) OnImport(imported func()) { i.imported = imported }

// Failures tells why archives could not be imported, by file name.
func (i *Importer) Failures() map[string]error {
	i.mu.Lock()
	defer i.mu.Unlock()
	failures := map[string]error{}
	for name, a := range i.shelf {
		if a.failure != nil {
			failures[name] = a.failure
		}
	}
	return failures
}

// Images are the names of all images that the archives brought, and of the pause
// image where it is ours, in full and sorted. Nobody could pull them again, so
// they must not be collected.
func (i *Importer) Images() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	names := map[string]bool{}
	for _, image := range i.own {
		names[image] = true
	}
	for _, a := range i.shelf {
		for _, image := range a.images {
			names[image] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Run imports until ctx is done. It returns early only if there is no use in
// going on: the runtime cannot import, or the folder cannot be watched.
func (i *Importer) Run(ctx context.Context) error {
	defer i.closeReady()
	if err := os.MkdirAll(i.config.Dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of image archives: %w", err)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch for image archives: %w", err)
	}
	defer watcher.Close()
	if err := watcher.Add(i.config.Dir); err != nil {
		return fmt.Errorf("watch for image archives in %s: %w", i.config.Dir, err)
	}
	connection, err := dial(i.loader.socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := i.begin(ctx, connection); err != nil {
		return err
	}
	for {
		wake := time.After(i.pass(ctx, connection))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(calm):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
		case <-watcher.Errors: // a change may have been missed
		case <-wake:
		}
	}
}

// begin makes sure that the runtime can import, and recalls what it was given.
func (i *Importer) begin(ctx context.Context, connection *grpc.ClientConn) error {
	version, err := runtimeapi.NewRuntimeServiceClient(connection).Version(ctx, &runtimeapi.VersionRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("ask the container runtime for its name: %w", err)
	}
	if version.RuntimeName != "containerd" {
		return fmt.Errorf("import image archives from %s: %s offers no way to import images; load them into its storage with its own tools", i.config.Dir, version.RuntimeName)
	}
	answer, err := runtimeapi.NewImageServiceClient(connection).ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	present := map[string]bool{}
	for _, image := range answer.Images {
		for _, tag := range slices.Concat(image.RepoTags, image.RepoDigests) {
			present[tag] = true
		}
	}
	known, err := loadShelf(i.config.Memory, func(image string) bool { return present[image] })
	if err != nil {
		klog.FromContext(ctx).Error(err, "All image archives are imported again")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.shelf = known
	return nil
}

// pass looks at the folder once and imports what is due. It returns after how
// long to look again.
func (i *Importer) pass(ctx context.Context, connection *grpc.ClientConn) time.Duration {
	logger := klog.FromContext(ctx)
	files, err := list(i.config.Dir)
	if err != nil {
		logger.Error(err, "Cannot import images")
		return rescan
	}
	names, wake := i.look(files)
	for _, name := range names {
		if i.importOne(ctx, connection, name) && i.imported != nil {
			i.imported()
		}
	}
	if len(names) > 0 {
		return 0 // time has passed
	}
	i.noteReady()
	if wake.IsZero() {
		return rescan
	}
	return min(time.Until(wake), rescan)
}

func (i *Importer) look(files map[string]stamp) ([]string, time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	i.shelf.observe(now, files)
	return i.shelf.due(now)
}

// noteReady closes ready once every archive was tried.
func (i *Importer) noteReady() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, a := range i.shelf {
		if !a.imported && a.failure == nil {
			return
		}
	}
	i.closeReady()
}

// importOne imports one archive and notes how that went. It returns whether there
// is something new.
func (i *Importer) importOne(ctx context.Context, connection *grpc.ClientConn, name string) bool {
	logger := klog.FromContext(ctx).WithValues("archive", name)
	i.mu.Lock()
	state := i.shelf[name]
	i.mu.Unlock()
	images, err := i.loader.bring(ctx, connection, filepath.Join(i.config.Dir, name))
	if ctx.Err() != nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.shelf.record(name, state, result{at: time.Now(), images: images, err: err})
	if err != nil {
		logger.Error(err, "Cannot import images", "retry", state.wait)
		return false
	}
	logger.Info("Imported images", "images", images)
	if err := i.shelf.save(i.config.Memory); err != nil {
		logger.Error(err, "The archive will be imported again when the agent starts")
	}
	return true
}
