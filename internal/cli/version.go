package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// versionInfo is what `garrison version` prints.
type versionInfo struct {
	// Garrison is the module version that the Go toolchain stamped: a tag, or a
	// pseudo-version with date and commit.
	Garrison string `json:"garrison"`
	// Kubernetes is the version of the API served.
	Kubernetes string `json:"kubernetes"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
}

func newVersionCommand(in *invocation) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of Garrison and of the Kubernetes API it serves",
		Example: `  garrison version
  garrison version -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return printVersion(in.streams.Out, buildVersion(), output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "output format: json or yaml")
	return cmd
}

func buildVersion() versionInfo {
	v := versionInfo{
		Garrison:   "(devel)",
		Kubernetes: "unknown",
		Go:         runtime.Version(),
		Platform:   runtime.GOOS + "/" + runtime.GOARCH,
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if build.Main.Version != "" {
		v.Garrison = build.Main.Version
	}
	for _, dep := range build.Deps {
		// Kubernetes 1.N is published as the modules k8s.io/… v0.N.
		if minor, found := strings.CutPrefix(dep.Version, "v0."); found && dep.Path == "k8s.io/api" {
			v.Kubernetes = "v1." + minor
		}
	}
	return v
}

func printVersion(w io.Writer, v versionInfo, output string) error {
	switch output {
	case "":
		_, err := fmt.Fprintf(w, "Garrison %s\nKubernetes API %s\n%s %s\n", v.Garrison, v.Kubernetes, v.Go, v.Platform)
		return err
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	case "yaml":
		text, err := yaml.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode version: %w", err)
		}
		_, err = w.Write(text)
		return err
	default:
		return usagef("--output must be json or yaml, not %q", output)
	}
}
