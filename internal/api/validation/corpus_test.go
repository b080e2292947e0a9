package validation_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// shared is the folder with manifests of other projects, whose licences keep
// them out of this repository. Without it there is nothing to test here.
func shared(t *testing.T, elem ...string) string {
	t.Helper()
	root := os.Getenv("GARRISON_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("manifests of other projects are not part of this repository, and GARRISON_SHARED does not lead to them: %v", err)
	}
	return path
}

// documents returns the YAML documents of a file that hold anything.
func documents(t *testing.T, path string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var docs [][]byte
	for r := yaml.NewYAMLReader(bufio(data)); ; {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if !isBlank(doc) {
			docs = append(docs, doc)
		}
	}
}

func isBlank(doc []byte) bool {
	for line := range bytes.Lines(doc) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}

// accept decodes, defaults and validates a document as the server does, with
// strict field validation.
func accept(t *testing.T, doc []byte) (obj runtime.Object, errs field.ErrorList, decodeErr error) {
	t.Helper()
	obj, err := decode(doc, true)
	if err != nil {
		return nil, nil, err
	}
	return obj, judge(obj), nil
}

func table(t *testing.T, path string) []map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, name := range rows[0] {
			if i < len(row) {
				m[name] = strings.ReplaceAll(row[i], `\"`, `"`)
			}
		}
		out = append(out, m)
	}
	return out
}

func TestCorpusAccepted(t *testing.T) {
	dir := shared(t, "corpus")
	daemonSets := 0
	for _, row := range table(t, filepath.Join(dir, "accept.tsv")) {
		t.Run(row["file"], func(t *testing.T) {
			for _, doc := range documents(t, filepath.Join(dir, "accept", row["file"])) {
				obj, errs, err := accept(t, doc)
				switch {
				case runtime.IsNotRegisteredError(err):
					continue // a kind that is not served
				case err != nil && bytes.Contains(doc, []byte("kind: Secret")) && strings.Contains(err.Error(), "illegal base64"):
					continue // a placeholder stands where the secret should
				case err != nil:
					t.Errorf("decode: %v", err)
					continue
				case len(errs) > 0:
					t.Errorf("%T %s: %v", obj, obj.(metav1.Object).GetName(), errs.ToAggregate())
				}
				if obj.GetObjectKind().GroupVersionKind().Kind == "DaemonSet" {
					daemonSets++
				}
			}
		})
	}
	if daemonSets < 44 {
		t.Errorf("found %d DaemonSets, want at least one in each of the 44 files", daemonSets)
	}
}

func TestCorpusRefused(t *testing.T) {
	dir := shared(t, "corpus")
	for _, row := range table(t, filepath.Join(dir, "reject.tsv")) {
		t.Run(row["file"], func(t *testing.T) {
			docs := documents(t, filepath.Join(dir, "reject", row["file"]))
			var refused []string
			undecodable := false
			for _, doc := range docs {
				_, errs, err := accept(t, doc)
				undecodable = undecodable || err != nil
				refused = append(refused, texts(errs)...)
			}
			if want := row["upstream_validation"]; want != "-" {
				if got := strings.Join(refused, " | "); got != want {
					t.Errorf("validation:\n got %s\nwant %s", got, want)
				}
			} else if !undecodable {
				t.Errorf("decoded, want %s", row["strict_decode"])
			}
			checkLenient(t, docs, row["lenient_decode_then_validation"])
		})
	}
}

// checkLenient decodes without strictness, as a server told to ignore unknown
// fields does. want is a list of "invalid: …", or "accepted", or "-".
func checkLenient(t *testing.T, docs [][]byte, want string) {
	t.Helper()
	if want == "" || want == "-" || strings.HasPrefix(want, "decode:") {
		return
	}
	var got []string
	for _, doc := range docs {
		obj, err := decode(doc, false)
		if err != nil {
			t.Fatalf("lenient decode: %v", err)
		}
		for _, text := range texts(judge(obj)) {
			got = append(got, "invalid: "+text)
		}
	}
	if len(got) == 0 {
		got = []string{"accepted"}
	}
	if strings.Join(got, " | ") != want {
		t.Errorf("lenient:\n got %s\nwant %s", strings.Join(got, " | "), want)
	}
}

func TestSeedsAccepted(t *testing.T) {
	var files []string
	for _, dir := range []string{"manifests", "scenario"} {
		found, err := filepath.Glob(filepath.Join(shared(t, "seeds", dir), "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 20 {
		t.Fatalf("found %d manifests, want at least 20", len(files))
	}
	slices.Sort(files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, doc := range documents(t, file) {
				obj, errs, err := accept(t, doc)
				if runtime.IsNotRegisteredError(err) {
					t.Logf("a kind that is not served: %v", err)
					continue
				}
				if err != nil || len(errs) > 0 {
					t.Errorf("%T: %v %v", obj, err, errs.ToAggregate())
				}
			}
		})
	}
}
