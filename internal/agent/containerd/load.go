package containerd

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
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

// load imports the images of one archive, under the namespace that CRI uses.
func (l loader) load(ctx context.Context, archive string) error {
	args := []string{"--address", l.socket, "--namespace", "k8s.io", "images", "import"}
	if l.snapshotter == "" {
		args = append(args, "--no-unpack")
	} else {
		args = append(args, "--snapshotter", l.snapshotter)
	}
	command := exec.CommandContext(ctx, l.ctr, append(args, archive)...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(output.String()), "\n")
		return fmt.Errorf("import %s: %w: %s", archive, err, lines[len(lines)-1])
	}
	return nil
}
