package cli

import (
	"os"
	"path/filepath"
)

const (
	// dataDirVariable names the environment variable that sets the data
	// directory where no flag does.
	dataDirVariable = "GARRISON_DATA_DIR"
	// adminKubeconfig is the admin's kubeconfig inside the data directory.
	adminKubeconfig = "admin.kubeconfig"
)

// defaultDataDir is the data directory where none is named: the system's for
// root, else below the user's data folder.
func defaultDataDir() string {
	if dir := os.Getenv(dataDirVariable); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/garrison"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "garrison")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "garrison-data"
	}
	return filepath.Join(home, ".local", "share", "garrison")
}
