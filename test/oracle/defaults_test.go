package oracle

import (
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/garrison-project/garrison/internal/api"
)

// TestDefaultsAgreeWithUpstream completes objects that say little and objects
// that say much.
func TestDefaultsAgreeWithUpstream(t *testing.T) {
	data, err := os.ReadFile("testdata/defaulted.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimPrefix(string(data), "---\n"), "---\n")
	objects := append(load(t, "testdata/bare"), load(t, "testdata/manifests")...)
	if len(want) != len(objects) {
		t.Fatalf("upstream completed %d objects of %d: run the oracle again", len(want), len(objects))
	}
	for i, object := range objects {
		manifest, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		decoded, _, err := api.Codecs.UniversalDeserializer().Decode(manifest, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		api.Scheme.Default(decoded)
		got, err := yaml.Marshal(decoded)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want[i] {
			t.Errorf("%s %s:\n%s", object.GetKind(), object.GetName(), difference(string(got), want[i]))
		}
	}
}

// difference shows the lines that only one of two texts has.
func difference(got, want string) string {
	var out strings.Builder
	missing := func(of, in, sign string) {
		known := map[string]int{}
		for _, line := range strings.Split(in, "\n") {
			known[line]++
		}
		for _, line := range strings.Split(of, "\n") {
			if known[line]--; known[line] < 0 {
				out.WriteString(sign + line + "\n")
			}
		}
	}
	missing(got, want, "got  ")
	missing(want, got, "want ")
	return out.String()
}
