package script

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdRegistry serves images to one user until the story ends, at REGISTRY:
// registry USER PASSWORD.
func cmdRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: registry USER PASSWORD")
	}
	files := imageFiles(ts.MkAbs(".registry"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != args[0] || password != args[1] {
			w.Header().Set("WWW-Authenticate", `Basic realm="stories"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv("REGISTRY", strings.TrimPrefix(server.URL, "http://"))
}

// cmdPublish puts an image into the registry: publish [flags] NAME...
func cmdPublish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: publish [flags] NAME...")
	}
	command := exec.Command("go", append([]string{"run", "./test/images", "-files", ts.MkAbs(".registry")}, args...)...)
	command.Dir = repository
	if out, err := command.CombinedOutput(); err != nil {
		ts.Fatalf("publish %v: %v\n%s", args, err, out)
	}
}

// imageFiles is the folder of a registry.
type imageFiles string

// inRegistry takes the path of a manifest or of a blob apart.
var inRegistry = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs)/([^/]+)$`)

func (dir imageFiles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	match := inRegistry.FindStringSubmatch(r.URL.Path)
	if match == nil {
		return // only that there is a registry was asked
	}
	folder, reference := filepath.Join(string(dir), match[1], match[2]), match[3]
	if digest, err := os.ReadFile(filepath.Join(folder, reference)); err == nil {
		reference = string(digest) // it was a tag
	}
	algorithm, hex, ok := strings.Cut(reference, ":")
	if !ok || len(hex) < 2 {
		http.NotFound(w, r)
		return
	}
	file := filepath.Join(folder, algorithm, hex[:2], hex, "data")
	if match[2] == "manifests" {
		var manifest struct{ MediaType string }
		if content, err := os.ReadFile(file); err == nil && json.Unmarshal(content, &manifest) == nil {
			w.Header().Set("Content-Type", manifest.MediaType)
		}
	}
	w.Header().Set("Docker-Content-Digest", reference)
	http.ServeFile(w, r, file)
}
