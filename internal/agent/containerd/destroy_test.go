package containerd

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What is mounted in a folder is unmounted before that is removed, by whatever path
// the folder is called, and what the mount leads to stays.
func TestRemoveUnmounted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	real, elsewhere, link := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "link")
	point, precious := filepath.Join(real, "agent", "mounted here"), filepath.Join(elsewhere, "precious")
	if err := os.MkdirAll(point, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(precious, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	for range 2 { // one over the other
		if err := unix.Mount(elsewhere, point, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for unix.Unmount(point, unix.MNT_DETACH) == nil {
		}
	})
	for range 2 {
		if err := removeUnmounted(filepath.Join(link, "agent")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("what was mounted was removed: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(real, "agent")); err == nil {
		t.Error("the folder is there still")
	}
}
