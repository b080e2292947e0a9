package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/agent"
)

// Options are what a Manager works with.
type Options struct {
	// Directory has a folder for each pod, named by its UID.
	Directory string
	Objects   Objects
	// Node gives the node as last seen, nil if it was not seen.
	Node func() *corev1.Node
	// Clock is the real one if it is nil.
	Clock clock.PassiveClock
	// RecursiveReadOnly tells that the runtime can make mounts read only with all
	// that is mounted in them.
	RecursiveReadOnly bool
}

// Manager makes and removes the volumes of pods.
type Manager struct {
	options Options

	mu sync.Mutex
	// checked are the host paths of each pod that were found to be as they should
	// be. What becomes of them later is not the pod's failure to start. All other
	// state is in the files.
	checked map[types.UID]sets.Set[string]
}

var _ agent.Volumes = (*Manager)(nil)

// New makes a Manager and its folder.
func New(options Options) (*Manager, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("volumes are mounted, which only root may do")
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if err := os.MkdirAll(options.Directory, 0o750); err != nil {
		return nil, fmt.Errorf("make the folder of pods: %w", err)
	}
	// Mounts are listed by the path that has no symlinks.
	directory, err := filepath.EvalSymlinks(options.Directory)
	if err == nil {
		directory, err = filepath.Abs(directory)
	}
	if err != nil {
		return nil, fmt.Errorf("find the folder of pods: %w", err)
	}
	options.Directory = directory
	return &Manager{options: options, checked: map[types.UID]sets.Set[string]{}}, nil
}

// SetUpError tells which volume cannot be had.
type SetUpError struct {
	Volume string
	Err    error
}

// Error is the message of the event FailedMount.
func (e *SetUpError) Error() string {
	return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %v", e.Volume, e.Err)
}

// Unwrap gives what went wrong.
func (e *SetUpError) Unwrap() error { return e.Err }

// SetUp implements agent.Volumes. One volume that fails does not hold up others;
// the error is a *SetUpError for each, joined.
func (m *Manager) SetUp(ctx context.Context, pod *corev1.Pod) (time.Time, error) {
	folder, err := m.podFolder(pod.UID)
	if err != nil {
		return time.Time{}, err
	}
	if err := os.MkdirAll(filepath.Join(folder, volumesFolder), 0o750); err != nil {
		return time.Time{}, fmt.Errorf("make the folder of volumes: %w", err)
	}
	var next time.Time
	var failed []error
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		due, err := m.setUp(ctx, pod, v)
		next = earliest(next, due)
		if err != nil {
			failed = append(failed, &SetUpError{v.Name, err})
		}
	}
	return next, errors.Join(failed...)
}

func (m *Manager) setUp(ctx context.Context, pod *corev1.Pod, v *corev1.Volume) (next time.Time, err error) {
	switch {
	case v.HostPath != nil:
		return next, m.setUpHostPath(pod.UID, v)
	case pluginOf(v) == "":
		return next, fmt.Errorf("volumes of kind %s are not supported on this node", kindOf(v.VolumeSource))
	}
	dir := m.volumePath(pod.UID, v)
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return next, err
	}
	if v.EmptyDir != nil {
		return next, m.makeEmptyDir(pod, v.EmptyDir, dir)
	}
	return m.setUpContents(ctx, pod, v)
}

// setUpContents writes what the volume is to hold, of ConfigMaps on disk, of all
// else in memory.
func (m *Manager) setUpContents(ctx context.Context, pod *corev1.Pod, v *corev1.Volume) (time.Time, error) {
	contents, next, err := filler{m.options.Objects, pod, m.allocatable()}.fill(ctx, v)
	if err != nil {
		return next, err
	}
	dir, group := m.volumePath(pod.UID, v), fsGroup(pod)
	if v.ConfigMap != nil {
		err = makeDirectory(dir, group)
	} else {
		err = ensureTmpfs(dir, tmpfs{gid: group})
	}
	if err != nil {
		return next, err
	}
	for _, nested := range nestedMounts(pod, v.Name) {
		if err := os.MkdirAll(filepath.Join(dir, nested), 0o755); err != nil {
			return next, fmt.Errorf("unable to create nested volume mountpoints: %w", err)
		}
	}
	version := m.options.Clock.Now().UTC().Format("2006_01_02_15_04_05")
	return next, publish(dir, contents, version, group)
}

// TearDown implements agent.Volumes. What a mount leads to is not touched.
func (m *Manager) TearDown(_ context.Context, uid types.UID, forGood bool) error {
	folder, err := m.podFolder(uid)
	if err != nil {
		return err
	}
	m.mu.Lock()
	delete(m.checked, uid)
	m.mu.Unlock()
	if err := detachAll(folder); err != nil {
		return fmt.Errorf("unmount volumes of pod %s: %w", uid, err)
	}
	at, names := m.options.Directory, []string{string(uid)}
	if !forGood {
		at, names = folder, []string{volumesFolder, subPathsFolder, hostsFile}
	}
	parent, err := unix.Open(at, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", at, err)
	}
	defer unix.Close(parent)
	var failed []error
	for _, name := range names {
		failed = append(failed, removeTree(parent, name))
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("remove the volumes of pod %s: %w", uid, err)
	}
	return nil
}

// List implements agent.Volumes.
func (m *Manager) List() ([]types.UID, error) {
	entries, err := os.ReadDir(m.options.Directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the folders of pods: %w", err)
	}
	var out []types.UID
	for _, entry := range entries {
		if entry.IsDir() {
			out = append(out, types.UID(entry.Name()))
		}
	}
	return out, nil
}

// What is in a pod's folder. Others put files there, too: the termination messages
// of containers.
const (
	volumesFolder  = "volumes"
	subPathsFolder = "volume-subpaths"
	hostsFile      = "etc-hosts"
)

// podFolder is the folder of a pod. A UID that would lead elsewhere is an error.
func (m *Manager) podFolder(uid types.UID) (string, error) {
	if name := string(uid); name == "" || name == "." || name == ".." || strings.ContainsRune(name, '/') {
		return "", fmt.Errorf("invalid UID %q of a pod", uid)
	}
	return filepath.Join(m.options.Directory, string(uid)), nil
}

// volumePath is where the files of a volume are.
func (m *Manager) volumePath(uid types.UID, v *corev1.Volume) string {
	if v.HostPath != nil {
		return v.HostPath.Path
	}
	return filepath.Join(m.options.Directory, string(uid), volumesFolder, pluginOf(v), v.Name)
}

// pluginOf is the name of the folder for volumes of one kind, as other agents of
// Kubernetes name them; empty for what is not kept here.
func pluginOf(v *corev1.Volume) string {
	switch {
	case v.EmptyDir != nil:
		return "kubernetes.io~empty-dir"
	case v.ConfigMap != nil:
		return "kubernetes.io~configmap"
	case v.Secret != nil:
		return "kubernetes.io~secret"
	case v.DownwardAPI != nil:
		return "kubernetes.io~downward-api"
	case v.Projected != nil:
		return "kubernetes.io~projected"
	}
	return ""
}

// kindOf is the name of the field that is set, of a struct that has one of many.
func kindOf(source any) string {
	value := reflect.ValueOf(source)
	for i := range value.NumField() {
		if field := value.Field(i); field.Kind() == reflect.Pointer && !field.IsNil() {
			name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
			return name
		}
	}
	return "unknown"
}

func (m *Manager) allocatable() corev1.ResourceList {
	if node := m.options.Node(); node != nil {
		return node.Status.Allocatable
	}
	return nil
}

// owners are the owner and the group of a file.
func owners(info fs.FileInfo) (uid, gid uint32) {
	stat := info.Sys().(*syscall.Stat_t)
	return stat.Uid, stat.Gid
}
