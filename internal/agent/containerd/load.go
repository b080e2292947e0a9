package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// loader brings archives into a containerd. containerd's own client does it: it
// knows every form of archive and is of the same release as its daemon.
type loader struct {
	ctr, socket string
	// snapshotter unpacks the layers; empty leaves that to the first container,
	// since what a foreign containerd uses is not known.
	snapshotter string
}

func (c *Containerd) loader() loader {
	return loader{ctr: c.programs.Ctr, socket: c.layout.socket, snapshotter: c.machine.snapshotter}
}

// Import brings in the images of one archive, and returns once CRI knows them.
func (c *Containerd) Import(ctx context.Context, archive string) error {
	connection, err := dial(c.layout.socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = c.loader().bring(ctx, connection, archive)
	return err
}

// bring imports an archive and returns its images once CRI knows them.
func (l loader) bring(ctx context.Context, connection *grpc.ClientConn, archive string) ([]string, error) {
	names, err := imageNames(archive)
	if err != nil {
		return nil, err
	}
	if err := l.load(ctx, archive); err != nil {
		return nil, err
	}
	if err := awaitImages(ctx, connection, names); err != nil {
		return nil, err
	}
	return names, nil
}

// load imports the images of one archive, under the namespace that CRI uses.
func (l loader) load(ctx context.Context, archive string) error {
	args := []string{"--address", l.socket, "--namespace", "k8s.io", "images", "import"}
	if l.snapshotter == "" {
		args = append(args, "--no-unpack")
	} else {
		args = append(args, "--snapshotter", l.snapshotter)
	}
	file, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("import images: %w", err)
	}
	defer file.Close()
	content, err := decompress(file) // containerd 1.6 does not
	if err != nil {
		return fmt.Errorf("import %s: %w", archive, err)
	}
	defer content.Close()
	command := exec.CommandContext(ctx, l.ctr, append(args, "-")...)
	var output bytes.Buffer
	command.Stdin = content
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(output.String()), "\n")
		return fmt.Errorf("import %s: %w: %s", archive, err, lines[len(lines)-1])
	}
	return nil
}

// knownLimit is how long CRI may take to learn of an image that was imported.
const knownLimit = 10 * time.Second

// awaitImages waits until CRI knows images that were imported, since it learns
// of them from an event.
func awaitImages(ctx context.Context, connection *grpc.ClientConn, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, knownLimit)
	defer cancel()
	client := runtimeapi.NewImageServiceClient(connection)
	for _, name := range names {
		err := poll(ctx, func() error {
			answer, err := client.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: name}})
			if err == nil && answer.Image == nil {
				err = errors.New("it is not there")
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("find the imported image %s: %w", name, err)
		}
	}
	return nil
}
