package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

func TestMountPointsAreListedDeepestFirst(t *testing.T) {
	info := `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:30 / /pods/u1 rw shared:5 master:1 - tmpfs tmpfs rw
31 30 0:31 / /pods/u1/with\040space\134x rw - tmpfs tmpfs rw
32 31 0:32 / /pods/u1/with\040space\134x/deep/er rw - tmpfs tmpfs rw
33 27 0:33 / /pods/u10 rw - tmpfs tmpfs rw
34 31 0:34 / /pods/u1/a rw - tmpfs first rw
35 34 0:35 / /pods/u1/a rw - tmpfs second rw
`
	got, err := mountPointsIn(strings.NewReader(info), "/pods/u1")
	if err != nil {
		t.Fatal(err)
	}
	want := `/pods/u1/with space\x/deep/er|/pods/u1/a|/pods/u1/a|/pods/u1/with space\x|/pods/u1`
	if strings.Join(got, "|") != want {
		t.Errorf("got %q", got)
	}
}

// onMachine mounts a tmpfs that stands for a file system of the machine. As on
// most machines, it is shared.
func onMachine(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	must(t, unix.Mount("", dir, "", unix.MS_SHARED, ""))
}

// A container may leave anything in an emptyDir, and, with mount propagation, have
// anything mounted there. None of what that leads to may be deleted.
func TestTearDownTouchesNothingElse(t *testing.T) {
	b := newBench(t)
	machine := filepath.Join(b.dir, "machine")
	write1(t, filepath.Join(machine, "data/keep"), "precious")
	pod := podWith(
		emptyDir(corev1.EmptyDirVolumeSource{}),
		named("memory", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "Memory"}}),
		hostPath(machine, corev1.HostPathDirectory),
	)
	b.setUp(pod)
	for i := range 2 {
		dir := b.volumePath(pod.UID, &pod.Spec.Volumes[i])
		must(t, os.Symlink(machine, filepath.Join(dir, "link")))
		must(t, os.Symlink(filepath.Join(machine, "data/keep"), filepath.Join(dir, "file-link")))
		must(t, os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o000))
		bound := filepath.Join(dir, "bound")
		must(t, os.Mkdir(bound, 0o755))
		for range 2 {
			must(t, unix.Mount(machine, bound, "", unix.MS_BIND|unix.MS_REC, ""))
		}
		must(t, unix.Mount(filepath.Join(machine, "data/keep"), filepath.Join(bound, "data/keep"), "", unix.MS_BIND, ""))
	}
	b.restart() // as after a crash
	b.tearDown()
	if got := read1(t, filepath.Join(machine, "data/keep")); got != "precious" {
		t.Errorf("the machine's file has %q", got)
	}
}

// What is still mounted is not crossed, even if nobody has noticed the mount.
func TestRemovingStopsAtMounts(t *testing.T) {
	b := newBench(t)
	machine, doomed := filepath.Join(b.dir, "machine"), filepath.Join(b.dir, "doomed")
	write1(t, filepath.Join(machine, "keep"), "precious")
	write1(t, filepath.Join(doomed, "d/file"), "")
	must(t, os.Mkdir(filepath.Join(doomed, "bound"), 0o755))
	must(t, unix.Mount(machine, filepath.Join(doomed, "bound"), "", unix.MS_BIND, "")) // of the same device
	parent, err := unix.Open(b.dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(parent)
	if err := removeTree(parent, "doomed"); err == nil || !strings.Contains(err.Error(), "something is mounted there") {
		t.Errorf("error %v", err)
	}
	if got := read1(t, filepath.Join(machine, "keep")); got != "precious" {
		t.Errorf("the machine's file has %q", got)
	}
	if _, err := os.Stat(filepath.Join(doomed, "d")); !os.IsNotExist(err) {
		t.Errorf("the rest is still there: %v", err)
	}
	must(t, detachAll(doomed))
	must(t, removeTree(parent, "doomed"))
}

// A shared mount of the machine is seen in a pod's folder, too; unmounting it there
// must not unmount it on the machine.
func TestTearDownLeavesMountsOfTheMachine(t *testing.T) {
	for _, propagation := range []corev1.MountPropagationMode{
		corev1.MountPropagationNone, corev1.MountPropagationHostToContainer, corev1.MountPropagationBidirectional,
	} {
		t.Run(string(propagation), func(t *testing.T) {
			b := newBench(t)
			machine := filepath.Join(b.dir, "machine")
			onMachine(t, machine)
			must(t, os.MkdirAll(filepath.Join(machine, "part"), 0o755))
			pod := podWith(hostPath(machine, corev1.HostPathDirectory))
			pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{
				{Name: "host", MountPath: "/m", SubPath: "part", MountPropagation: &propagation}}
			b.setUp(pod)
			mounts := b.mounts(pod)
			// Something is mounted later, and comes to be seen in the pod's folder.
			onMachine(t, filepath.Join(machine, "part/disk"))
			write1(t, filepath.Join(machine, "part/disk/keep"), "precious")
			if got := read1(t, filepath.Join(mounts[0].HostPath, "disk/keep")); got != "precious" {
				t.Errorf("in the pod's folder it has %q", got)
			}
			// Only with Bidirectional does the machine see what is mounted there.
			must(t, os.Mkdir(filepath.Join(machine, "part/back"), 0o755))
			must(t, unix.Mount("tmpfs", filepath.Join(mounts[0].HostPath, "back"), "tmpfs", 0, ""))
			back, err := isMounted(filepath.Join(machine, "part/back"))
			must(t, err)
			if back != (propagation == corev1.MountPropagationBidirectional) {
				t.Errorf("the machine sees the pod's mount: %v", back)
			}
			b.tearDown()
			if got := read1(t, filepath.Join(machine, "part/disk/keep")); got != "precious" {
				t.Errorf("on the machine it has %q", got)
			}
		})
	}
}

// With Bidirectional propagation a container can mount what the machine shares with
// it, with all that is mounted there, also twice at one place.
func TestTearDownUnmountsLayerByLayer(t *testing.T) {
	b := newBench(t)
	machine := filepath.Join(b.dir, "machine")
	onMachine(t, machine)
	onMachine(t, filepath.Join(machine, "disk"))
	write1(t, filepath.Join(machine, "disk/keep"), "precious")
	pod := podWith(emptyDir(corev1.EmptyDirVolumeSource{}))
	b.setUp(pod)
	must(t, os.Mkdir(filepath.Join(b.path(pod), "bound"), 0o755))
	for range 3 {
		must(t, unix.Mount(machine, filepath.Join(b.path(pod), "bound"), "", unix.MS_BIND|unix.MS_REC, ""))
	}
	b.tearDown()
	if got := read1(t, filepath.Join(machine, "disk/keep")); got != "precious" {
		t.Errorf("on the machine it has %q", got)
	}
}

func (b *bench) mounts(pod *corev1.Pod) (out []mountSeen) {
	b.t.Helper()
	mounts, err := b.Mounts(b.t.Context(), requestFor(pod))
	must(b.t, err)
	for _, m := range mounts {
		out = append(out, mountSeen{m.HostPath, fmt.Sprintf("%s %v %v %s", m.ContainerPath, m.ReadOnly, m.RecursiveReadOnly, m.Propagation)})
	}
	return out
}

// mountSeen is a mount in short: container path, read only, recursively so, and
// propagation.
type mountSeen struct{ HostPath, Rest string }
