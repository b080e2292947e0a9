package server

import (
	"go/build"
	"strings"
	"testing"
)

// The server and the parts that use it meet at the API. This test is in the
// package that it guards, so that its result is never cached while an import
// changes.
func TestImports(t *testing.T) {
	const ours = "github.com/garrison-project/garrison/internal/"
	for _, dir := range []string{".", "pki", "admission", "../store", "../writer"} {
		pkg, err := build.ImportDir(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range pkg.Imports {
			for _, part := range []string{"controller", "scheduler", "agent", "cluster", "cli", "sim"} {
				if path == ours+part || strings.HasPrefix(path, ours+part+"/") {
					t.Errorf("%s imports %s", dir, path)
				}
			}
			if strings.HasPrefix(path, "k8s.io/kubernetes") {
				t.Errorf("%s imports %s", dir, path)
			}
		}
	}
}
