package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/objects"
)

// bench is a manager with a folder of its own. Whatever is mounted in the folder
// is unmounted at the end of the test.
type bench struct {
	*Manager
	t *testing.T
	*world
	dir string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("volumes are mounted, which only root may do")
	}
	b := &bench{t: t, world: newWorld(), dir: t.TempDir()}
	t.Cleanup(func() {
		if err := detachAll(b.dir); err != nil {
			t.Error(err)
		}
	})
	b.restart()
	return b
}

// restart begins with a manager that knows nothing.
func (b *bench) restart() {
	node := &corev1.Node{Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}}}
	m, err := New(Options{
		Directory: filepath.Join(b.dir, "pods"), Objects: b.world,
		Node:  func() *corev1.Node { return node },
		Clock: clocktesting.NewFakePassiveClock(start),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.Manager = m
}

func podWith(volumes ...corev1.Volume) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: "u1"},
		Spec:       corev1.PodSpec{Volumes: volumes, Containers: []corev1.Container{{Name: "main"}}},
	}
}

func named(name string, source corev1.VolumeSource) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: source}
}

func emptyDir(source corev1.EmptyDirVolumeSource) corev1.Volume {
	return named("scratch", corev1.VolumeSource{EmptyDir: &source})
}

func hostPath(path string, kind corev1.HostPathType) corev1.Volume {
	return named("host", corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &kind}})
}

func (b *bench) setUp(pod *corev1.Pod) {
	b.t.Helper()
	if _, err := b.SetUp(b.t.Context(), pod); err != nil {
		b.t.Fatal(err)
	}
}

// path is where the first volume is.
func (b *bench) path(pod *corev1.Pod) string { return b.volumePath(pod.UID, &pod.Spec.Volumes[0]) }

func (b *bench) tearDown() {
	b.t.Helper()
	for range 2 {
		if err := b.TearDown(b.t.Context(), "u1", true); err != nil {
			b.t.Fatal(err)
		}
	}
	if left, err := b.List(); err != nil || len(left) > 0 {
		b.t.Fatalf("left over: %v, %v", left, err)
	}
}

func write1(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read1(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// access is mode, owner and group, as ls has them.
func access(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	uid, gid := owners(info)
	return fmt.Sprintf("%v %d %d", info.Mode(), uid, gid)
}

func TestEmptyDirs(t *testing.T) {
	group := int64(2000)
	limit := resource.MustParse("8Mi")
	tests := []struct {
		name   string
		source corev1.EmptyDirVolumeSource
		group  *int64
		access string
		size   int64 // of memory; 0 is on disk
	}{
		{"disk", corev1.EmptyDirVolumeSource{SizeLimit: &limit}, nil, "drwxrwxrwx 0 0", 0},
		{"disk with group", corev1.EmptyDirVolumeSource{}, &group, "dgrwxrwxrwx 0 2000", 0},
		{"memory", corev1.EmptyDirVolumeSource{Medium: "Memory", SizeLimit: &limit}, nil, "dtrwxrwxrwx 0 0", 8 << 20},
		{"memory with group", corev1.EmptyDirVolumeSource{Medium: "Memory"}, &group, "dgtrwxrwxrwx 0 2000", 1 << 30},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			pod := podWith(emptyDir(test.source))
			pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: test.group}
			b.setUp(pod)
			if got := access(t, b.path(pod)); got != test.access {
				t.Errorf("it is %s, want %s", got, test.access)
			}
			var stat unix.Statfs_t
			must(t, unix.Statfs(b.path(pod), &stat))
			var size int64
			if stat.Type == unix.TMPFS_MAGIC {
				size = int64(stat.Blocks) * stat.Bsize
			}
			if size != test.size {
				t.Errorf("memory of %d, want %d", size, test.size)
			}
			// It is the containers' from now on, also for an agent that starts anew.
			write1(t, filepath.Join(b.path(pod), "file"), "mine")
			must(t, os.Chmod(b.path(pod), 0o700))
			b.restart()
			b.setUp(pod)
			if got := read1(t, filepath.Join(b.path(pod), "file")) + access(t, b.path(pod))[:10]; got != "minedrwx------" {
				t.Errorf("now it is %s", got)
			}
			if points, err := mountPoints(b.dir); err != nil || len(points) > 1 {
				t.Errorf("mounts: %v, %v", points, err)
			}
			b.tearDown()
		})
	}
}

func TestSizeOfMemory(t *testing.T) {
	list := func(memory string) corev1.ResourceList {
		if memory == "" {
			return nil
		}
		return corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}
	}
	tests := []struct{ node, a, b, pod, limit, want string }{
		{"", "", "", "", "", "0"},
		{"", "", "", "", "5Mi", "5Mi"},
		{"1Gi", "", "", "", "", "1Gi"},
		{"1Gi", "", "", "", "2Gi", "1Gi"},
		{"1Gi", "10Mi", "", "", "", "1Gi"},
		{"1Gi", "10Mi", "20Mi", "", "", "30Mi"},
		{"1Gi", "10Mi", "20Mi", "", "40Mi", "30Mi"},
		{"1Gi", "10Mi", "20Mi", "", "5Mi", "5Mi"},
		{"1Gi", "10Mi", "", "50Mi", "", "50Mi"},
		{"1Gi", "10Mi", "20Mi", "", "0", "30Mi"},
	}
	for _, test := range tests {
		pod := podWith()
		pod.Spec.Containers = []corev1.Container{
			{Resources: corev1.ResourceRequirements{Limits: list(test.a)}},
			{Resources: corev1.ResourceRequirements{Limits: list(test.b)}},
		}
		if test.pod != "" {
			pod.Spec.Resources = &corev1.ResourceRequirements{Limits: list(test.pod)}
		}
		var limit *resource.Quantity
		if test.limit != "" {
			q := resource.MustParse(test.limit)
			limit = &q
		}
		want := resource.MustParse(test.want)
		if got := memorySize(pod, limit, list(test.node)); got != want.Value() {
			t.Errorf("%+v: %d", test, got)
		}
	}
}

func TestSizeOfHugePages(t *testing.T) {
	const none = "medium %s: hugePages storage requested, but there is no resource request for huge pages"
	tests := []struct{ medium, a, b, want string }{
		{"HugePages", "", "", fmt.Sprintf(none, "HugePages")},
		{"HugePages", "2Mi", "", "2097152"},
		{"HugePages", "2Mi", "2Mi", "2097152"},
		{"HugePages", "2Mi", "1Gi", "medium: HugePages can't be used if container requests multiple huge page sizes"},
		{"HugePages-1Gi", "2Mi", "1Gi", "1073741824"},
		{"HugePages-1Gi", "2Mi", "", fmt.Sprintf(none, "HugePages-1Gi")},
	}
	for _, test := range tests {
		pod := podWith()
		pod.Spec.Containers = nil
		for _, size := range []string{test.a, test.b} {
			requests := corev1.ResourceList{}
			if size != "" {
				requests[corev1.ResourceName("hugepages-"+size)] = resource.MustParse("1Gi")
			}
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Resources: corev1.ResourceRequirements{Requests: requests}})
		}
		got := ""
		if size, err := pageSize(pod, corev1.StorageMedium(test.medium)); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(size)
		}
		if got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

func TestHugePagesAreMounted(t *testing.T) {
	b := newBench(t)
	if _, err := os.Stat("/sys/kernel/mm/hugepages/hugepages-2048kB"); err != nil {
		t.Skip("the kernel has no huge pages of 2 MiB")
	}
	pod := podWith(emptyDir(corev1.EmptyDirVolumeSource{Medium: "HugePages-2Mi"}))
	pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"hugepages-2Mi": resource.MustParse("2Mi")}
	b.setUp(pod)
	b.setUp(pod)
	var stat unix.Statfs_t
	must(t, unix.Statfs(b.path(pod), &stat))
	if stat.Type != unix.HUGETLBFS_MAGIC || stat.Bsize != 2<<20 {
		t.Errorf("type %x with pages of %d", stat.Type, stat.Bsize)
	}
	if got := access(t, b.path(pod)); got != "drwxrwxrwx 0 0" {
		t.Errorf("it is %s", got)
	}
	b.tearDown()
}

func secretVolume(name string) corev1.Volume {
	return named("secret", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}})
}

func configMapVolume(name string) corev1.Volume {
	return named("conf", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}}})
}

func TestContentsAreBroughtUpToDate(t *testing.T) {
	b := newBench(t)
	b.secrets["key"] = &corev1.Secret{Data: map[string][]byte{"a": []byte("1")}}
	b.maps["conf"] = &corev1.ConfigMap{Data: map[string]string{"a": "1", "b": "1"}}
	pod := podWith(configMapVolume("conf"), secretVolume("key"))
	secrets := b.volumePath(pod.UID, &pod.Spec.Volumes[1])
	b.setUp(pod)
	var stat unix.Statfs_t
	must(t, unix.Statfs(secrets, &stat))
	if stat.Type != unix.TMPFS_MAGIC {
		t.Error("a secret is written to disk")
	}
	b.restart()
	b.secrets["key"] = &corev1.Secret{Data: map[string][]byte{"a": []byte("2")}}
	b.maps["conf"] = &corev1.ConfigMap{Data: map[string]string{"b": "2"}}
	b.setUp(pod)
	if got := seen(t, secrets) + ", " + seen(t, b.path(pod)); got != "a -rw-r--r-- 2, b -rw-r--r-- 2" {
		t.Errorf("readers find %s", got)
	}
	// An object that is gone takes nothing away.
	delete(b.maps, "conf")
	_, err := b.SetUp(t.Context(), pod)
	if want := `MountVolume.SetUp failed for volume "conf" : configmap "conf" not found`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if got := seen(t, b.path(pod)); got != "b -rw-r--r-- 2" {
		t.Errorf("readers find %s", got)
	}
	b.tearDown()
}

func TestGroupsAndUsersOfContents(t *testing.T) {
	b := newBench(t)
	group, user, mode := int64(2000), int64(1000), int32(0o400)
	b.secrets["key"] = &corev1.Secret{Data: map[string][]byte{"a": nil}}
	pod := podWith(named("all", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: &mode,
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
			{Secret: &corev1.SecretProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "key"},
				Items:                []corev1.KeyToPath{{Key: "a", Path: "d/a"}},
			}},
		},
	}}))
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group, RunAsUser: &user}
	b.setUp(pod)
	for path, want := range map[string]string{
		"":       "dgtrwxrwxrwx 0 2000",
		"..data": "dgrwxr-xr-x 0 2000",
		"d":      "dgrwxr-xr-x 0 2000",
		"d/a":    "-r--r----- 0 2000",
		"token":  "-rw-r----- 1000 2000",
	} {
		if got := access(t, filepath.Join(b.path(pod), path)); got != want {
			t.Errorf("%q is %s, want %s", path, got, want)
		}
	}
	before, err := os.Readlink(filepath.Join(b.path(pod), dataLink))
	must(t, err)
	b.setUp(pod)
	after, err := os.Readlink(filepath.Join(b.path(pod), dataLink))
	must(t, err)
	if before != after {
		t.Error("what had not changed was written again")
	}
	b.tearDown()
}

func TestSetUpAsksToBeCalledForTokens(t *testing.T) {
	b := newBench(t)
	renew := start.Add(48 * 60e9)
	b.token = objects.Token{Value: "t", Renew: renew}
	pod := podWith(emptyDir(corev1.EmptyDirVolumeSource{}), named("token", corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}}}}))
	if next, err := b.SetUp(t.Context(), pod); err != nil || !next.Equal(renew) {
		t.Errorf("next at %v, %v", next, err)
	}
	if next, err := b.SetUp(t.Context(), podWith(emptyDir(corev1.EmptyDirVolumeSource{}))); err != nil || !next.IsZero() {
		t.Errorf("without tokens next at %v, %v", next, err)
	}
}

// Each volume that cannot be had is named, the others are made.
func TestVolumesThatCannotBeHad(t *testing.T) {
	b := newBench(t)
	pod := podWith(
		named("claim", corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}),
		named("csi", corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "d"}}),
		named("nfs", corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "s"}}),
		named("eph", corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}),
		named("image", corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "r"}}),
		named("nothing", corev1.VolumeSource{}),
		hostPath("/dev/null", corev1.HostPathDirectory),
		secretVolume("absent"),
		emptyDir(corev1.EmptyDirVolumeSource{}),
	)
	_, err := b.SetUp(t.Context(), pod)
	const failed = "MountVolume.SetUp failed for volume "
	want := strings.Join([]string{
		failed + `"claim" : volumes of kind persistentVolumeClaim are not supported on this node`,
		failed + `"csi" : volumes of kind csi are not supported on this node`,
		failed + `"nfs" : volumes of kind nfs are not supported on this node`,
		failed + `"eph" : volumes of kind ephemeral are not supported on this node`,
		failed + `"image" : volumes of kind image are not supported on this node`,
		failed + `"nothing" : volumes of kind unknown are not supported on this node`,
		failed + `"host" : hostPath type check failed: /dev/null is not a directory`,
		failed + `"secret" : secret "absent" not found`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	var one *SetUpError
	if !errors.As(err, &one) || one.Volume != "claim" {
		t.Errorf("no volume is named by %v", err)
	}
	if _, err := os.Stat(b.volumePath(pod.UID, &pod.Spec.Volumes[8])); err != nil {
		t.Error(err)
	}
	b.tearDown()
}

func TestHostPathTypes(t *testing.T) {
	b := newBench(t)
	dir := filepath.Join(b.dir, "host")
	write1(t, filepath.Join(dir, "file"), "text")
	must(t, os.Mkdir(filepath.Join(dir, "dir"), 0o700))
	must(t, os.Symlink("dir", filepath.Join(dir, "link")))
	must(t, unix.Mknod(filepath.Join(dir, "char"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	must(t, unix.Mknod(filepath.Join(dir, "block"), unix.S_IFBLK|0o600, int(unix.Mkdev(7, 250))))
	must(t, unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o600, 0))
	kinds := []struct {
		kind  corev1.HostPathType
		what  string
		holds []string
	}{
		{corev1.HostPathUnset, "", []string{"file", "dir", "link", "char", "block", "socket", "absent"}},
		{corev1.HostPathDirectory, "a directory", []string{"dir", "link"}},
		{corev1.HostPathDirectoryOrCreate, "a directory", []string{"dir", "link"}},
		{corev1.HostPathFile, "a file", []string{"file"}},
		{corev1.HostPathFileOrCreate, "a file", []string{"file"}},
		{corev1.HostPathSocket, "a socket file", []string{"socket"}},
		{corev1.HostPathCharDev, "a character device", []string{"char"}},
		{corev1.HostPathBlockDev, "a block device", []string{"block"}},
	}
	for _, k := range kinds {
		for _, name := range []string{"file", "dir", "link", "char", "block", "socket", "absent"} {
			if name == "absent" && strings.HasSuffix(string(k.kind), "OrCreate") {
				continue
			}
			path := filepath.Join(dir, name)
			want := ""
			if !slices.Contains(k.holds, name) {
				want = fmt.Sprintf("MountVolume.SetUp failed for volume %q : hostPath type check failed: %s is not %s", "host", path, k.what)
			}
			got := ""
			b.restart()
			if _, err := b.SetUp(t.Context(), podWith(hostPath(path, k.kind))); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%s as %q: %q, want %q", name, k.kind, got, want)
			}
		}
	}
	b.restart()
	made := filepath.Join(dir, "made/deep")
	b.setUp(podWith(hostPath(made, corev1.HostPathDirectoryOrCreate)))
	b.restart()
	b.setUp(podWith(hostPath(made+"/file", corev1.HostPathFileOrCreate)))
	if got := access(t, made) + ", " + access(t, made+"/file"); got != "drwxr-xr-x 0 0, -rw-r--r-- 0 0" {
		t.Errorf("made: %s", got)
	}
	b.restart()
	_, err := b.SetUp(t.Context(), podWith(hostPath(dir+"/../host/dir", corev1.HostPathUnset)))
	if err == nil || !strings.Contains(err.Error(), "must not contain '..'") {
		t.Errorf("back-steps: %v", err)
	}
	b.tearDown()
	if got := read1(t, filepath.Join(dir, "file")); got != "text" {
		t.Errorf("the file has %q", got)
	}
}

// A pod that runs is not told again and again that its host path has gone; one that
// starts is.
func TestHostPathsAreCheckedBeforeAPodStarts(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(b.dir, "host")
	pod := podWith(hostPath(path, corev1.HostPathFile))
	fails := func() bool {
		_, err := b.SetUp(t.Context(), pod)
		return err != nil
	}
	if !fails() {
		t.Error("a missing file was not noticed")
	}
	write1(t, path, "")
	if fails() {
		t.Error("the file was not noticed")
	}
	must(t, os.Remove(path))
	if fails() {
		t.Error("the file was checked again")
	}
	b.tearDown()
	if !fails() {
		t.Error("the file was not checked for a pod that starts")
	}
}

func TestUIDsThatLeadElsewhereAreRefused(t *testing.T) {
	b := newBench(t)
	write1(t, filepath.Join(b.dir, "other/file"), "keep")
	for _, uid := range []string{"", ".", "..", "../other", "a/b"} {
		pod := podWith()
		pod.UID = types.UID(uid)
		if _, err := b.SetUp(t.Context(), pod); err == nil {
			t.Errorf("set up %q", uid)
		}
		if err := b.TearDown(t.Context(), pod.UID, false); err == nil {
			t.Errorf("tore down %q", uid)
		}
	}
	read1(t, filepath.Join(b.dir, "other/file"))
}

// Termination messages are read as long as the pod is in the API.
func TestWhatContainersLeaveStaysUntilItIsForGood(t *testing.T) {
	b := newBench(t)
	must(t, b.TearDown(t.Context(), "u1", false))
	b.secrets["key"] = &corev1.Secret{}
	pod := podWith(secretVolume("key"))
	pod.Spec.HostNetwork = true
	b.setUp(pod)
	b.mounts(pod)
	message := filepath.Join(b.dir, "pods/u1/containers/main/0")
	write1(t, message, "done")
	for range 2 {
		must(t, b.TearDown(t.Context(), "u1", false))
	}
	entries, err := os.ReadDir(filepath.Join(b.dir, "pods/u1"))
	if err != nil || len(entries) != 1 || read1(t, message) != "done" {
		t.Errorf("left over: %v, %v", entries, err)
	}
	b.tearDown()
}

func TestFilesForVariables(t *testing.T) {
	b := newBench(t)
	pod := podWith(emptyDir(corev1.EmptyDirVolumeSource{}))
	b.setUp(pod)
	write1(t, filepath.Join(b.path(pod), "d/env"), "A='1'\n")
	must(t, os.Symlink("/etc/passwd", filepath.Join(b.path(pod), "out")))
	must(t, unix.Mkfifo(filepath.Join(b.path(pod), "pipe"), 0o600))
	write1(t, filepath.Join(b.path(pod), "large"), strings.Repeat("x", maxFile+1))
	if data, err := b.File(pod, "scratch", "d/env"); err != nil || string(data) != "A='1'\n" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := b.File(pod, "scratch", "absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	for _, path := range []string{"out", "pipe", "d", "../../../../../../../etc/passwd", "large"} {
		if data, err := b.File(pod, "scratch", path); err == nil {
			t.Errorf("%s gave %d bytes", path, len(data))
		}
	}
	if _, err := b.File(pod, "nobody", "a"); err == nil {
		t.Error("read a volume that is not there")
	}
}

var _ agent.Volumes = (*bench)(nil)
