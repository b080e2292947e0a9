package place

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/garrison-project/garrison/"
	core   = module + "internal/core/"
)

// TestPurity keeps the rules of the core: nothing of ours from outside it, and
// nothing that knows time, chance, cancellation or other goroutines.
func TestPurity(t *testing.T) {
	banned := map[string]string{
		"context":            "a decision cannot be cancelled, only not be asked for",
		"log":                "reasons are returned, not logged",
		"log/slog":           "reasons are returned, not logged",
		"math/rand":          "equal inputs give equal bytes",
		"math/rand/v2":       "equal inputs give equal bytes",
		"crypto/rand":        "equal inputs give equal bytes",
		"os":                 "everything known is an argument",
		"sync":               "the core is single-threaded; the shell locks",
		"sync/atomic":        "the core is single-threaded; the shell locks",
		"time":               "time is an argument",
		"k8s.io/utils/clock": "time is an argument",
	}
	for name, file := range sources(t) {
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if why, ok := banned[path]; ok {
				t.Errorf("%s imports %s: %s", name, path, why)
			}
			if strings.HasPrefix(path, module) && !strings.HasPrefix(path, core) {
				t.Errorf("%s imports %s: the core imports nothing of ours from outside it", name, path)
			}
			// The toleration matcher of the API demands a logger.
			if path == "k8s.io/klog/v2" && name != "toleration.go" {
				t.Errorf("%s imports %s: reasons are returned, not logged", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.GoStmt, *ast.ChanType, *ast.SendStmt, *ast.SelectStmt:
				t.Errorf("%s uses goroutines or channels: the core is single-threaded", name)
			}
			return true
		})
	}
}

// sources parses the package's own files, without its tests.
func sources(t *testing.T) map[string]*ast.File {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(pkg.GoFiles) == 0 {
		t.Fatal("no source files found")
	}
	files := map[string]*ast.File{}
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = f
	}
	return files
}
