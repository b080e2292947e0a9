package tree

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/garrison-project/garrison"

	maxFunctionLines = 80
	maxFileLines     = 600
)

// goFile is one parsed file of the tree, with its path from the root.
type goFile struct {
	path      string
	syntax    *ast.File
	positions *token.FileSet
}

func (f goFile) dir() string { return path.Dir(f.path) }

func (f goFile) test() bool { return strings.HasSuffix(f.path, "_test.go") }

func (f goFile) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// parseTree parses every Go file of the repository, nested modules included.
func parseTree(t *testing.T) []goFile {
	t.Helper()
	var files []goFile
	positions := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		syntax, err := parser.ParseFile(positions, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		files = append(files, goFile{filepath.ToSlash(relative), syntax, positions})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d Go files found: not the root of the repository?", len(files))
	}
	return files
}

// rule forbids imports, with the reason. Paths are without the module's name.
type rule struct {
	in     []string // directories the rule is about, with all below them
	except []string // directories it does not reach
	forbid []string // import paths and all below them
	reason string
}

var edges = []string{"internal/controller", "internal/scheduler", "internal/agent", "internal/server"}

// rules are the layers of ARCHITECTURE.md. What core may import beside our own
// packages is kept by the tests in there.
var rules = append([]rule{
	{
		in: []string{"internal"}, except: []string{"internal/cluster", "internal/cli"},
		forbid: []string{"internal/cli", "internal/cluster"},
		reason: "nothing depends on the wiring but the command line",
	},
	{
		in: []string{"internal/core"},
		forbid: []string{
			"internal/agent", "internal/api", "internal/cacheindex", "internal/controller", "internal/loop",
			"internal/render", "internal/scheduler", "internal/server", "internal/store", "internal/view", "internal/writer",
		},
		reason: "core is handed what it decides on",
	},
	{
		in: []string{"."}, except: []string{"test/conformance"},
		forbid: []string{"k8s.io/kubernetes"},
		reason: "Kubernetes itself serves as an oracle in test/conformance only",
	},
}, edgesApart()...)

// edgesApart says that the edges meet at the API, never in Go.
func edgesApart() []rule {
	var apart []rule
	for _, edge := range edges {
		others := slices.DeleteFunc(slices.Clone(edges), func(other string) bool { return other == edge })
		apart = append(apart, rule{in: []string{edge}, forbid: others, reason: "edges meet at the API"})
	}
	return apart
}

func TestImports(t *testing.T) {
	for _, file := range parseTree(t) {
		for _, r := range rules {
			if file.test() || !within(file.dir(), r.in) || within(file.dir(), r.except) {
				continue
			}
			for _, imported := range file.imports() {
				if within(strings.TrimPrefix(imported, module+"/"), r.forbid) {
					t.Errorf("%s imports %s: %s", file.path, imported, r.reason)
				}
			}
		}
	}
}

// within tells whether a path is one of the others or lies below it.
func within(p string, others []string) bool {
	return slices.ContainsFunc(others, func(other string) bool {
		return other == "." || p == other || strings.HasPrefix(p, other+"/")
	})
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	files := parseTree(t)
	code := map[string]bool{} // directories with more than tests
	for _, file := range files {
		code[file.dir()] = code[file.dir()] || !file.test()
	}
	documented := map[string]int{}
	for _, file := range files {
		documented[file.dir()] += 0
		if doc := file.syntax.Doc; doc != nil && file.test() != code[file.dir()] {
			documented[file.dir()]++
			name := file.syntax.Name.Name
			if text := doc.Text(); !strings.HasPrefix(text, "Package "+name+" ") && !strings.HasPrefix(text, "Command ") {
				t.Errorf("%s: the package comment begins %.30q", file.path, text)
			}
		}
	}
	for dir, count := range documented {
		if count != 1 && !within(dir, []string{"test/conformance"}) {
			t.Errorf("%s has %d package comments, want one", dir, count)
		}
	}
}

func TestNothingIsTooLong(t *testing.T) {
	for _, file := range parseTree(t) {
		if ast.IsGenerated(file.syntax) {
			continue
		}
		lines := func(n ast.Node) int {
			return file.positions.Position(n.End()).Line - file.positions.Position(n.Pos()).Line + 1
		}
		if n := lines(file.syntax); n > maxFileLines {
			t.Errorf("%s has %d lines, more than %d", file.path, n, maxFileLines)
		}
		for _, declaration := range file.syntax.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && lines(f) > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, more than %d", file.path, f.Name.Name, lines(f), maxFunctionLines)
			}
		}
	}
}

// vague are package names that tell nobody what is inside.
var vague = []string{"util", "utils", "common", "helpers", "types", "misc", "structs"}

func TestPackagesHaveTellingNames(t *testing.T) {
	for _, file := range parseTree(t) {
		if slices.Contains(vague, file.syntax.Name.Name) {
			t.Errorf("%s: package %s says nothing about its content", file.path, file.syntax.Name.Name)
		}
	}
}

func TestModuleReplacesNothing(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod:%d: %s: whoever imports this module would not get it", i+1, line)
		}
	}
}

// TestDependenciesAreExplained compares go.mod with docs/dependencies.md.
func TestDependenciesAreExplained(t *testing.T) {
	ledger, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	imported := map[string]bool{}
	for _, file := range parseTree(t) {
		if within(file.dir(), []string{"test/conformance"}) {
			continue
		}
		for _, p := range file.imports() {
			imported[p] = true
		}
	}
	for _, required := range requirements(t) {
		used := false
		for p := range imported {
			used = used || within(p, []string{required})
		}
		if used && !strings.Contains(string(ledger), fmt.Sprintf("`%s`", required)) {
			t.Errorf("docs/dependencies.md does not say what %s is for", required)
		}
	}
}

// requirements lists the modules that go.mod requires.
func requirements(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && strings.Contains(fields[0], ".") && strings.HasPrefix(fields[1], "v") {
			modules = append(modules, fields[0])
		}
	}
	return modules
}
