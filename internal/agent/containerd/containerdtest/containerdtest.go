// Package containerdtest gives tests a containerd of their own with an image to
// run, and removes every trace of both when the test ends, however it ends.
package containerdtest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	cri "k8s.io/cri-client/pkg"

	"github.com/garrison-project/garrison/internal/agent/containerd"
)

// Image is the name of the image that Start imports. It has /bin/busybox and
// links to it under the names of a shell's usual commands, and runs sh.
const Image = "garrison.dev/busybox:1"

// busybox is where Debian's busybox-static has it.
const busybox = "/bin/busybox"

// cleanupLimit bounds the removal of everything.
const cleanupLimit = 2 * time.Minute

var applets = []string{
	"sh", "cat", "echo", "env", "false", "grep", "head", "hostname", "httpd", "id", "ip", "kill", "ls", "mkdir", "mount",
	"nc", "nslookup", "ping", "printf", "ps", "pwd", "readlink", "rm", "sed", "seq", "sleep", "stat", "sync", "sysctl",
	"tail", "test", "touch", "trap", "true", "umask", "wc", "wget", "yes",
}

// Require skips the test where containers cannot be run, and says why.
func Require(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("running containers needs root")
	}
	if _, err := containerd.Find(containerd.Needs{}); err != nil {
		t.Skip(err)
	}
	if _, err := os.Stat(busybox); err != nil {
		t.Skipf("there is nothing to make an image of: %v: apt-get install busybox-static", err)
	}
}

// NewConfig is a configuration that nobody else on this machine uses, with a
// short folder, since sockets have short names. What is started with it is
// destroyed when the test ends.
func NewConfig(t testing.TB) containerd.Config {
	t.Helper()
	Require(t)
	dir, err := os.MkdirTemp("", "ctd")
	if err != nil {
		t.Fatal(err)
	}
	config := containerd.Config{Dir: dir}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupLimit)
		defer cancel()
		if err := containerd.Destroy(ctx, config); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return config
}

// PodCIDR is a range of addresses that tests with another folder hardly have.
func PodCIDR(dir string) netip.Prefix {
	hash := fnv.New32a()
	io.WriteString(hash, dir)
	sum := hash.Sum32()
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 64 + byte(sum>>8)%128, byte(sum), 0}), 24)
}

// Start starts a containerd that has Image and a pod network.
func Start(t testing.TB) *containerd.Containerd {
	t.Helper()
	return StartWith(t, NewConfig(t))
}

// StartWith does the same with a configuration that NewConfig made, for tests
// that start it again.
func StartWith(t testing.TB, config containerd.Config) *containerd.Containerd {
	t.Helper()
	c, err := containerd.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	// Cleanups run last first: by then the folder is not claimed any more.
	t.Cleanup(func() { c.Stop() })
	if err := c.SetPodCIDRs([]netip.Prefix{PodCIDR(config.Dir)}); err != nil {
		t.Fatal(err)
	}
	awaitNetwork(t, c)
	archive := filepath.Join(config.Dir, "busybox.tar")
	if err := WriteArchive(archive, Image); err != nil {
		t.Fatal(err)
	}
	if err := c.Import(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	return c
}

// awaitNetwork waits until the runtime has read the configuration of its network.
func awaitNetwork(t testing.TB, c *containerd.Containerd) {
	t.Helper()
	client, err := cri.NewRemoteRuntimeServiceBuilder().WithEndpoint(c.Endpoint()).WithConnectionTimeout(time.Minute).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(t.Context())
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		status, err := client.Status(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		for _, condition := range status.GetStatus().GetConditions() {
			if condition.Type == runtimeapi.NetworkReady && condition.Status {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("the network does not get ready: %v", status)
		}
	}
}

// WriteArchive writes the image under the names given, as docker save would, in
// one move.
func WriteArchive(path string, names ...string) error {
	image, err := build()
	if err != nil {
		return fmt.Errorf("make an image of busybox: %w", err)
	}
	tagged := map[name.Tag]v1.Image{}
	for _, n := range names {
		tag, err := name.NewTag(n)
		if err != nil {
			return err
		}
		tagged[tag] = image
	}
	part := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".part")
	return errors.Join(tarball.MultiWriteToFile(part, tagged), os.Rename(part, path))
}

func build() (v1.Image, error) {
	program, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	files := []tar.Header{
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
	}
	for _, applet := range applets {
		files = append(files, tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777})
	}
	files = append(files, tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))})
	for _, file := range files {
		if err := w.WriteHeader(&file); err != nil {
			return nil, err
		}
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}}
	return mutate.ConfigFile(image, file)
}
