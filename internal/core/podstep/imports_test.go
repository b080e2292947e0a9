package podstep_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// TestPurity keeps the package to the standard library, and out of all that
// knows time's passing, chance, cancellation, the machine, or other goroutines.
func TestPurity(t *testing.T) {
	banned := map[string]string{
		"context":      "a decision cannot be cancelled, only not be asked for",
		"log":          "reasons are returned, not logged",
		"log/slog":     "reasons are returned, not logged",
		"math/rand":    "equal inputs give equal bytes",
		"math/rand/v2": "equal inputs give equal bytes",
		"crypto/rand":  "equal inputs give equal bytes",
		"os":           "everything known is an argument",
		"sync":         "the core is single-threaded; the shell locks",
		"sync/atomic":  "the core is single-threaded; the shell locks",
	}
	clock := map[string]bool{"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "Tick": true}
	for name, file := range sources(t) {
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if why, ok := banned[path]; ok {
				t.Errorf("%s imports %s: %s", name, path, why)
			}
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") {
				t.Errorf("%s imports %s: only the standard library is allowed", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.ChanType, *ast.SendStmt, *ast.SelectStmt:
				t.Errorf("%s uses goroutines or channels: the core is single-threaded", name)
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && clock[n.Sel.Name] {
					t.Errorf("%s calls time.%s: time is an argument", name, n.Sel.Name)
				}
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
