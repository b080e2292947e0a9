package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestUsage(t *testing.T) {
	b := newBench(t)
	limit := resource.MustParse("64Mi")
	b.secrets["key"] = &corev1.Secret{}
	pod := podWith(
		emptyDir(corev1.EmptyDirVolumeSource{SizeLimit: &limit}),
		named("memory", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "Memory", SizeLimit: &limit}}),
		secretVolume("key"),
		hostPath(b.dir, corev1.HostPathDirectory),
	)
	if got, err := b.Usage(t.Context(), pod); err != nil || len(got) != 0 {
		t.Errorf("before it was set up: %v, %v", got, err)
	}
	b.setUp(pod)
	empty, err := b.Usage(t.Context(), pod)
	if err != nil || len(empty) != 3 {
		t.Fatalf("%v, %v", empty, err)
	}
	for i := range 2 {
		dir := b.volumePath(pod.UID, &pod.Spec.Volumes[i])
		write1(t, filepath.Join(dir, "d/file"), strings.Repeat("x", 1<<20))
		must(t, os.Link(filepath.Join(dir, "d/file"), filepath.Join(dir, "again")))
		must(t, os.Symlink("/", filepath.Join(dir, "everything")))
		must(t, os.Truncate(filepath.Join(dir, "d/file"), 1<<30)) // with a hole
		must(t, os.Mkdir(filepath.Join(dir, "mounted"), 0o755))
		must(t, unix.Mount("tmpfs", filepath.Join(dir, "mounted"), "tmpfs", 0, ""))
		write1(t, filepath.Join(dir, "mounted/file"), strings.Repeat("x", 1<<20))
	}
	got, err := b.Usage(t.Context(), pod)
	must(t, err)
	for i, u := range got[:2] {
		more, inodes := u.Used-empty[i].Used, u.InodesUsed-empty[i].InodesUsed
		// d, file and everything; folders and links take a block or none.
		if more < 1<<20 || more > 1<<20+4*4096 || inodes != 3 {
			t.Errorf("%s takes %d in %d more files", u.Name, more, inodes)
		}
		if u.Limit != 64<<20 || u.Memory != (i == 1) || u.Available > u.Capacity || u.InodesFree > u.Inodes {
			t.Errorf("%+v", u)
		}
	}
	if got[1].Capacity != 64<<20 || got[2].Limit != 0 || got[2].Name != "secret" {
		t.Errorf("%+v", got[1:])
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Usage(ctx, pod); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancelling: %v", err)
	}
	b.tearDown()
}
