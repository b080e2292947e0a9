package daemonset

import (
	"go/build"
	"slices"
	"strings"
	"testing"
)

// TestImports keeps the parts of the control plane apart: they meet at the API.
func TestImports(t *testing.T) {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	const internal = "github.com/garrison-project/garrison/internal/"
	allowed := []string{"core/", "view", "cacheindex", "loop", "prepull"}
	for _, path := range pkg.Imports {
		ours, found := strings.CutPrefix(path, internal)
		if found && !slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(ours, a) }) {
			t.Errorf("imports %s", path)
		}
	}
}
