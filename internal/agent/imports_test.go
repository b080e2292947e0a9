package agent

import (
	"go/build"
	"slices"
	"strings"
	"testing"
)

// TestImports keeps the agent apart from the control plane: they meet at the API.
func TestImports(t *testing.T) {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	const internal = "github.com/garrison-project/garrison/internal/"
	for _, path := range pkg.Imports {
		ours, found := strings.CutPrefix(path, internal)
		if found && !slices.Contains([]string{"agent/credentials", "core/place", "core/podstep", "loop", "prepull", "view"}, ours) {
			t.Errorf("imports %s", path)
		}
	}
}
