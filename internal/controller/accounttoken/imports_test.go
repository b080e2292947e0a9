package accounttoken

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
	for _, path := range pkg.Imports {
		ours, found := strings.CutPrefix(path, internal)
		if found && !slices.Contains([]string{"loop", "api/token"}, ours) {
			t.Errorf("imports %s", path)
		}
	}
}
