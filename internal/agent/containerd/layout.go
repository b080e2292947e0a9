package containerd

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// DefaultDir is the Dir of a machine's usual agent.
const DefaultDir = "/var/lib/garrison/agent"

// Config says where a containerd lives and whose its pod network is.
type Config struct {
	// Dir is the agent's folder; its subfolders containerd and cni are used.
	Dir string
	// ContainerdPath is the program; empty looks for one.
	ContainerdPath string
	// CNIBinDir has the CNI plugins; empty looks for them.
	CNIBinDir string
	// CNIConfDir has the configuration of a pod network that others made, which
	// is left untouched. Empty means a bridge of our own.
	CNIConfDir string
	// Handlers are what runtime classes can name besides runc.
	Handlers []Handler
}

func (c Config) needs() Needs {
	return Needs{ContainerdPath: c.ContainerdPath, CNIBinDir: c.CNIBinDir, ForeignNetwork: c.CNIConfDir != ""}
}

// layout is where things are. All paths are absolute.
type layout struct {
	root, config, log, lock, pause string // files that last
	runtime, state, socket         string // of one boot of the machine
	cniConf, cniData               string
	// network and bridge are the names of our pod network and its device, which
	// no other agent on this machine has.
	network, bridge string
}

// maxSocketPath is what the kernel allows for the name of a unix socket, less
// the longest suffix that containerd adds to its own.
const maxSocketPath = 107 - len(".ttrpc")

func (c Config) layout() (layout, error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return layout{}, fmt.Errorf("find the agent's folder: %w", err)
	}
	sum := sha256.Sum256([]byte(dir))
	hash := hex.EncodeToString(sum[:])[:8]
	own := filepath.Join(dir, "containerd")
	l := layout{
		root:    filepath.Join(own, "root"),
		config:  filepath.Join(own, "config.toml"),
		log:     filepath.Join(own, "containerd.log"),
		lock:    filepath.Join(own, "lock"),
		pause:   filepath.Join(own, "pause.tar"),
		runtime: own,
		cniConf: c.CNIConfDir,
		cniData: filepath.Join(dir, "cni", "networks"),
		network: "garrison-" + hash,
		bridge:  "garr" + hash,
	}
	if dir == DefaultDir {
		l.network, l.bridge = "garrison", "garrison0"
	}
	if l.cniConf == "" {
		l.cniConf = filepath.Join(dir, "cni", "net.d")
	}
	if len(filepath.Join(l.runtime, "containerd.sock")) > maxSocketPath {
		l.runtime = filepath.Join("/run/garrison", hash)
	}
	l.socket = filepath.Join(l.runtime, "containerd.sock")
	l.state = filepath.Join(l.runtime, "state")
	return l, nil
}

// make creates the folders, and empties state if it is from before the machine
// was booted: containerd expects it to be gone then, as /run is.
func (l layout) make() error {
	for _, dir := range []string{l.root, l.runtime, l.cniData, l.cniConf} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return fmt.Errorf("make a folder for containerd: %w", err)
		}
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return fmt.Errorf("read the ID of this boot: %w", err)
	}
	mark := filepath.Join(l.runtime, "boot-id")
	last, err := os.ReadFile(mark)
	if err == nil && string(last) == string(boot) {
		return nil
	}
	// Without a mark it is not known, and there may be mounts with data beneath.
	if err == nil {
		if err := os.RemoveAll(l.state); err != nil {
			return fmt.Errorf("remove what is left from before the machine was booted: %w", err)
		}
	}
	if err := os.WriteFile(mark, boot, 0o644); err != nil {
		return fmt.Errorf("note the ID of this boot: %w", err)
	}
	return nil
}
