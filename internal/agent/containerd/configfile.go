package containerd

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"text/template"

	"github.com/garrison-project/garrison/internal/agent/pause"
)

// settings are what goes into config.toml.
type settings struct {
	Root, State, Socket   string
	Snapshotter           string
	Platform              string
	Handlers              []handlerSettings
	CNIBinDir, CNIConfDir string
	SandboxImage          string
	RestrictOOMScore      bool
	OOMScore              int
}

func newSettings(l layout, programs Programs, handlers []Handler, m machine) settings {
	s := settings{
		Root: l.root, State: l.state, Socket: l.socket,
		Snapshotter: m.snapshotter,
		Platform:    "linux/" + m.arch,
		Handlers:    allHandlers(l, programs, handlers),
		CNIBinDir:   programs.CNI, CNIConfDir: l.cniConf,
		SandboxImage:     pause.Image,
		RestrictOOMScore: !m.sysResource,
	}
	if m.sysResource {
		s.OOMScore = -999 // as the kernel's last choice, like a kubelet
	}
	return s
}

//go:embed config-2.toml config-3.toml
var templates embed.FS

var configs = template.Must(template.New("").Funcs(template.FuncMap{"quote": strconv.Quote}).ParseFS(templates, "*.toml"))

// render gives the configuration for a release of containerd.
func (s settings) render(major int) ([]byte, error) {
	name := "config-2.toml"
	if major >= 2 {
		name = "config-3.toml"
	}
	var out bytes.Buffer
	if err := configs.ExecuteTemplate(&out, name, s); err != nil {
		return nil, fmt.Errorf("write containerd's configuration: %w", err)
	}
	return out.Bytes(), nil
}

var versionPattern = regexp.MustCompile(`^containerd \S+ v?(\d+)\.(\d+)`)

// majorVersion asks a containerd which release it is. Those before 1.6 speak
// another CRI.
func majorVersion(ctx context.Context, path string) (int, error) {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	return parseVersion(string(out))
}

func parseVersion(line string) (int, error) {
	match := versionPattern.FindStringSubmatch(line)
	if match == nil {
		return 0, fmt.Errorf("do not understand containerd's version %q", line)
	}
	major, _ := strconv.Atoi(match[1]) // the pattern has digits only
	minor, _ := strconv.Atoi(match[2])
	if major < 1 || major == 1 && minor < 6 {
		return 0, fmt.Errorf("containerd %d.%d is too old: 1.6 or later is needed", major, minor)
	}
	return major, nil
}

// writeFile replaces a file at once, so that nobody reads half of it, and leaves
// one with the same contents alone: containerd watches its CNI folder.
func writeFile(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	part := path + ".part"
	if err := os.WriteFile(part, content, 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}
