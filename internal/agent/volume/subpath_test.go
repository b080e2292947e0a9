package volume

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

func requestFor(pod *corev1.Pod) agent.MountRequest {
	return agent.MountRequest{
		ContainerRequest: agent.ContainerRequest{Pod: pod, Spec: &pod.Spec.Containers[0]},
		Env:              []agent.EnvVar{{Name: "NAME", Value: "web-0"}, {Name: "UP", Value: ".."}, {Name: "EMPTY"}},
	}
}

// withMount is a pod with an emptyDir that its container mounts as told.
func withMount(mount corev1.VolumeMount) *corev1.Pod {
	pod := podWith(emptyDir(corev1.EmptyDirVolumeSource{}))
	mount.Name, mount.MountPath = "scratch", "/data"
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{mount}
	return pod
}

func TestMountsOfVolumes(t *testing.T) {
	b := newBench(t)
	both, enabled, ifPossible := corev1.MountPropagationBidirectional, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible
	b.maps["conf"] = &corev1.ConfigMap{}
	for _, test := range []struct {
		mount corev1.VolumeMount
		want  string
	}{
		{corev1.VolumeMount{Name: "scratch", MountPath: "/data"}, "/data false false None"},
		{corev1.VolumeMount{Name: "scratch", MountPath: "data/", ReadOnly: true}, "/data true false None"},
		{corev1.VolumeMount{Name: "conf", MountPath: "/data"}, "/data true false None"},
		{corev1.VolumeMount{Name: "host", MountPath: "/data", MountPropagation: &both}, "/data false false Bidirectional"},
		{corev1.VolumeMount{Name: "none", MountPath: "/data"}, `cannot find volume "none" to mount into container "main"`},
		{corev1.VolumeMount{Name: "scratch", MountPath: "/data", ReadOnly: true, RecursiveReadOnly: &ifPossible}, "/data true false None"},
		{corev1.VolumeMount{Name: "scratch", MountPath: "/data", ReadOnly: true, RecursiveReadOnly: &enabled},
			`failed to resolve recursive read-only mode: volume "scratch" requested recursive read-only mode, but it is not supported by the runtime`},
		{corev1.VolumeMount{Name: "scratch", MountPath: "/data", RecursiveReadOnly: &enabled},
			`failed to resolve recursive read-only mode: volume "scratch" requested recursive read-only mode, but it is not read-only`},
		{corev1.VolumeMount{Name: "scratch", MountPath: "/data", ReadOnly: true, RecursiveReadOnly: &enabled, MountPropagation: &both},
			`failed to resolve recursive read-only mode: volume "scratch" requested recursive read-only mode, but it is not compatible with propagation "Bidirectional"`},
	} {
		pod := podWith(emptyDir(corev1.EmptyDirVolumeSource{}), configMapVolume("conf"), hostPath(b.dir, corev1.HostPathDirectory))
		pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{test.mount}
		b.setUp(pod)
		got := ""
		if _, err := b.Mounts(t.Context(), requestFor(pod)); err != nil {
			got = err.Error()
		} else {
			got = b.mounts(pod)[0].Rest
		}
		if got != test.want {
			t.Errorf("%+v:\n%s, want\n%s", test.mount, got, test.want)
		}
	}
	pod := withMount(corev1.VolumeMount{ReadOnly: true, RecursiveReadOnly: &enabled})
	b.options.RecursiveReadOnly = true
	if got := b.mounts(pod)[0].Rest; got != "/data true true None" {
		t.Errorf("with a runtime that can: %s", got)
	}
}

func TestHostsFileIsMounted(t *testing.T) {
	b := newBench(t)
	pod := withMount(corev1.VolumeMount{})
	b.setUp(pod)
	if got := b.mounts(pod); len(got) != 1 {
		t.Errorf("without addresses: %v", got)
	}
	request := requestFor(pod)
	request.PodIPs, request.Hostname = []string{"10.1.0.7"}, "web-0"
	mounts, err := b.Mounts(t.Context(), request)
	must(t, err)
	hosts := mounts[1]
	if hosts.ContainerPath != "/etc/hosts" || hosts.ReadOnly || !strings.HasSuffix(read1(t, hosts.HostPath), "\n10.1.0.7\tweb-0\n") {
		t.Errorf("mount %v", hosts)
	}
	if got := access(t, hosts.HostPath); got != "-rw-r--r-- 0 0" {
		t.Errorf("it is %s", got)
	}
	// The sandbox has another address now; who has the file mounted sees that.
	f, err := os.Open(hosts.HostPath)
	must(t, err)
	defer f.Close()
	request.PodIPs = []string{"10.1.0.8"}
	_, err = b.Mounts(t.Context(), request)
	must(t, err)
	text := make([]byte, 4096)
	n, _ := f.Read(text)
	if !strings.Contains(string(text[:n]), "10.1.0.8") {
		t.Errorf("the mounted file has %s", text[:n])
	}
	// A pod on the machine's network has the machine's own, and more.
	pod.Spec.HostNetwork = true
	pod.Spec.HostAliases = []corev1.HostAlias{{IP: "192.0.2.1", Hostnames: []string{"x"}}}
	mounts, err = b.Mounts(t.Context(), requestFor(pod))
	must(t, err)
	want := "# Kubernetes-managed hosts file (host network).\n" + read1(t, "/etc/hosts") + "\n# Entries added by HostAliases.\n192.0.2.1\tx\n"
	if got := read1(t, mounts[1].HostPath); got != want {
		t.Errorf("it has\n%s\nwant\n%s", got, want)
	}
	// A container's own mount goes before it.
	pod.Spec.Containers[0].VolumeMounts[0].MountPath = "/etc/hosts"
	if got := b.mounts(pod); len(got) != 1 {
		t.Errorf("with a mount of its own: %v", got)
	}
	b.tearDown()
}

func TestSubPaths(t *testing.T) {
	b := newBench(t)
	outside := filepath.Join(b.dir, "outside")
	write1(t, filepath.Join(outside, "secret"), "hidden")
	const fails, cannotMake = `failed to prepare subPath for volumeMount "scratch" of container "main"`,
		`failed to create subPath directory for volumeMount "scratch" of container "main"`
	tests := []struct {
		name  string
		mount corev1.VolumeMount
		want  string // file "f" in it, the file itself, or the error
	}{
		{"a folder", corev1.VolumeMount{SubPath: "dir/in"}, "in"},
		{"a file", corev1.VolumeMount{SubPath: "dir/in/f"}, "in"},
		{"a link inside", corev1.VolumeMount{SubPath: "inner/in"}, "in"},
		{"a link inside that goes back", corev1.VolumeMount{SubPath: "dir/back/dir/in"}, "in"},
		{"an absolute link inside", corev1.VolumeMount{SubPath: "absolute"}, "in"},
		{"an expression", corev1.VolumeMount{SubPathExpr: "$(NAME)/x"}, "expr"},
		{"a missing variable", corev1.VolumeMount{SubPathExpr: "$(NONE)$(EMPTY)"}, "missing value for EMPTY, NONE"},
		{"an expression that goes back", corev1.VolumeMount{SubPathExpr: "$(UP)/x"}, "unable to provision SubPath `../x`: must not contain '..'"},
		{"back-steps", corev1.VolumeMount{SubPath: "dir/../../x"}, "unable to provision SubPath `dir/../../x`: must not contain '..'"},
		{"an absolute path", corev1.VolumeMount{SubPath: "/etc"}, "error SubPath `/etc` must not be an absolute path"},
		{"a link out", corev1.VolumeMount{SubPath: "out"}, fails},
		{"a link out, and on", corev1.VolumeMount{SubPath: "out/secret"}, fails},
		{"a relative link out", corev1.VolumeMount{SubPath: "above"}, fails},
		{"a link to nowhere", corev1.VolumeMount{SubPath: "dangling"}, fails},
		{"below a link to nowhere", corev1.VolumeMount{SubPath: "dangling/x"}, cannotMake},
		{"a link to nowhere outside", corev1.VolumeMount{SubPath: "dangling-out/x"}, fails},
		{"below a file", corev1.VolumeMount{SubPath: "dir/in/f/x"}, fails},
		{"a magic link", corev1.VolumeMount{SubPath: "magic"}, fails},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b.t = t
			pod := withMount(test.mount)
			b.setUp(pod)
			root := b.path(pod)
			write1(t, filepath.Join(root, "dir/in/f"), "in")
			write1(t, filepath.Join(root, "web-0/x/f"), "expr")
			for name, target := range map[string]string{
				"inner": "dir", "dir/back": "..", "absolute": filepath.Join(root, "dir/in"), "out": outside, "above": "../../../../outside",
				"dangling": "none", "dangling-out": "/none", "magic": "/proc/self/fd/0",
			} {
				must(t, os.Symlink(target, filepath.Join(root, name)))
			}
			got := ""
			if mounts, err := b.Mounts(t.Context(), requestFor(pod)); err != nil {
				got = err.Error()
			} else if info, err := os.Stat(mounts[0].HostPath); err == nil && info.IsDir() {
				got = read1(t, filepath.Join(mounts[0].HostPath, "f"))
			} else {
				got = read1(t, mounts[0].HostPath)
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			b.tearDown()
		})
	}
}

func TestMissingSubPathsAreMade(t *testing.T) {
	b := newBench(t)
	group := int64(2000)
	pod := withMount(corev1.VolumeMount{SubPath: "a/b"})
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
	b.setUp(pod)
	path := b.mounts(pod)[0].HostPath
	write1(t, filepath.Join(path, "f"), "text")
	if got := read1(t, filepath.Join(b.path(pod), "a/b/f")); got != "text" {
		t.Errorf("the volume has %q", got)
	}
	for _, made := range []string{"a", "a/b"} {
		if got := access(t, filepath.Join(b.path(pod), made)); got != "dgrwxrwxrwx 0 2000" {
			t.Errorf("%s is %s", made, got)
		}
	}
	b.tearDown()
}

// A container that restarts has what the path means by then, mounted once.
func TestSubPathsOfLaterContainers(t *testing.T) {
	b := newBench(t)
	b.maps["conf"] = &corev1.ConfigMap{Data: map[string]string{"a": "1"}}
	pod := podWith(configMapVolume("conf"))
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "conf", MountPath: "/a", SubPath: "a"}}
	b.setUp(pod)
	first := b.mounts(pod)[0].HostPath
	again := b.mounts(pod)[0].HostPath
	if points, err := mountPoints(b.dir); err != nil || len(points) != 1 || first != again {
		t.Errorf("mounted %v, at %s and %s, %v", points, first, again, err)
	}
	running, err := os.Open(first)
	must(t, err)
	defer running.Close()
	b.maps["conf"] = &corev1.ConfigMap{Data: map[string]string{"a": "2"}}
	b.setUp(pod)
	if got := read1(t, b.mounts(pod)[0].HostPath); got != "2" {
		t.Errorf("the next container reads %q", got)
	}
	if points, err := mountPoints(b.dir); err != nil || len(points) != 1 {
		t.Errorf("mounted %v, %v", points, err)
	}
	// Where there was a file there may be a folder.
	b.maps["conf"] = &corev1.ConfigMap{Data: map[string]string{"b": "3"}}
	pod.Spec.Volumes[0].ConfigMap.Items = []corev1.KeyToPath{{Key: "b", Path: "a/b"}}
	b.setUp(pod)
	if got := read1(t, filepath.Join(b.mounts(pod)[0].HostPath, "b")); got != "3" {
		t.Errorf("in the folder is %q", got)
	}
	b.tearDown()
}

// While a container keeps exchanging a folder for a link that leads out, what is
// mounted is always inside.
func TestSubPathsAreNotFooledByRaces(t *testing.T) {
	b := newBench(t)
	outside := filepath.Join(b.dir, "outside")
	write1(t, filepath.Join(outside, "f"), "hidden")
	pod := withMount(corev1.VolumeMount{SubPath: "x"})
	b.setUp(pod)
	root := b.path(pod)
	write1(t, filepath.Join(root, "x/f"), "mine")
	must(t, os.Symlink(outside, filepath.Join(root, "y")))

	var done atomic.Bool
	var attacker sync.WaitGroup
	attacker.Go(func() {
		for !done.Load() {
			err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(root, "x"), unix.AT_FDCWD, filepath.Join(root, "y"), unix.RENAME_EXCHANGE)
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	inside, refused := 0, 0
	for i := 0; i < 200 || (i < 20_000 && (inside == 0 || refused == 0)); i++ {
		mounts, err := b.Mounts(t.Context(), requestFor(pod))
		if err != nil {
			refused++
			continue
		}
		inside++
		if got := read1(t, filepath.Join(mounts[0].HostPath, "f")); got != "mine" {
			t.Errorf("the container sees %q", got)
			break
		}
		must(t, detachAll(mounts[0].HostPath))
	}
	done.Store(true)
	attacker.Wait()
	if inside == 0 || refused == 0 {
		t.Errorf("mounted %d times, refused %d times: there was no race", inside, refused)
	}
	b.tearDown()
}

// A mount inside a volume that is read only needs a place.
func TestPlacesForNestedMounts(t *testing.T) {
	b := newBench(t)
	b.secrets["key"] = &corev1.Secret{Data: map[string][]byte{"a": []byte("1")}}
	pod := podWith(secretVolume("key"), emptyDir(corev1.EmptyDirVolumeSource{}))
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{
		{Name: "scratch", MountPath: "/etc/key/deep/scratch"},
		{Name: "secret", MountPath: "/etc/key"},
		{Name: "scratch", MountPath: "/etc/other"},
	}
	b.setUp(pod)
	b.setUp(pod)
	if info, err := os.Stat(filepath.Join(b.path(pod), "deep/scratch")); err != nil || !info.IsDir() {
		t.Error(err)
	}
	if got := read1(t, filepath.Join(b.path(pod), "a")); got != "1" {
		t.Errorf("the secret is %q", got)
	}
	b.tearDown()
}
