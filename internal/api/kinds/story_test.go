package kinds_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestStories sends the requests of each file to a new server and holds its
// answers. A request is a method and a path:
//
//	post api/v1/namespaces/default/pods show=(status.phase)
//	<object, as YAML>
//
// show picks the fields of the answer to print; fields and labels select, query
// adds other parameters, and type is the kind of a patch. In the object, $uid and $version stand for those
// of the last object answered. Times, UIDs
// and versions are not printed.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		c := startCluster(t)
		s := &story{cluster: c}
		datadriven.RunTest(t, path, s.request)
	})
}

type story struct {
	cluster *cluster
	last    unstructured.Unstructured
}

var patchTypes = map[string]string{
	"json":      "application/json-patch+json",
	"merge":     "application/merge-patch+json",
	"strategic": "application/strategic-merge-patch+json",
	"apply":     "application/apply-patch+yaml",
}

func (s *story) request(t *testing.T, d *datadriven.TestData) string {
	if len(d.CmdArgs) == 0 {
		d.Fatalf(t, "no path")
	}
	body := strings.NewReplacer("$uid", string(s.last.GetUID()), "$version", s.last.GetResourceVersion()).Replace(d.Input)
	address := s.cluster.config.Host + "/" + d.CmdArgs[0].Key + "?" + query(d)
	content, err := yaml.YAMLToJSON([]byte(body))
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	if d.Input == "" {
		content = nil
	}
	r, err := http.NewRequestWithContext(t.Context(), strings.ToUpper(d.Cmd), address, strings.NewReader(string(content)))
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	r.Header.Set("Content-Type", "application/json")
	if p := values(d, "type"); len(p) > 0 {
		r.Header.Set("Content-Type", patchTypes[p[0]])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return s.answer(t, d, response, answer)
}

func query(d *datadriven.TestData) string {
	q := url.Values{}
	for _, v := range values(d, "query") {
		name, value, _ := strings.Cut(v, "=")
		q.Set(name, value)
	}
	for arg, parameter := range map[string]string{"fields": "fieldSelector", "labels": "labelSelector"} {
		if v := values(d, arg); v != nil {
			q.Set(parameter, strings.Join(v, ","))
		}
	}
	return q.Encode()
}

func (s *story) answer(t *testing.T, d *datadriven.TestData, r *http.Response, body []byte) string {
	var b strings.Builder
	fmt.Fprintln(&b, r.StatusCode)
	for _, w := range r.Header.Values("Warning") {
		fmt.Fprintln(&b, "warning:", w)
	}
	var obj unstructured.Unstructured
	if err := json.Unmarshal(body, &obj.Object); err != nil {
		d.Fatalf(t, "%v: %s", err, body)
	}
	if obj.GetKind() == "Status" {
		b.WriteString(failure(t, d, body))
		return b.String()
	}
	if !obj.IsList() {
		s.last = obj
	}
	b.WriteString(clean(show(d, obj.Object)))
	return b.String()
}

// failure prints a Status: its reason, message and causes.
func failure(t *testing.T, d *datadriven.TestData, body []byte) string {
	var s metav1.Status
	if err := json.Unmarshal(body, &s); err != nil {
		d.Fatalf(t, "%v", err)
	}
	if s.Status == metav1.StatusSuccess {
		return "success\n"
	}
	out := fmt.Sprintf("%s: %s\n", s.Reason, s.Message)
	if s.Details == nil {
		return clean(out)
	}
	for _, c := range s.Details.Causes {
		out += fmt.Sprintf("- %s %s: %s\n", c.Type, c.Field, c.Message)
	}
	if s.Details.RetryAfterSeconds > 0 {
		out += fmt.Sprintf("retry after %d s\n", s.Details.RetryAfterSeconds)
	}
	return clean(out)
}

// show prints the chosen fields of an object, or of each item of a list.
func show(d *datadriven.TestData, obj map[string]any) string {
	if items, ok := obj["items"].([]any); ok {
		var b strings.Builder
		for _, i := range items {
			fmt.Fprintf(&b, "- %s\n", strings.TrimSpace(strings.ReplaceAll(show(d, i.(map[string]any)), "\n", "\n  ")))
		}
		return b.String()
	}
	var b strings.Builder
	for _, path := range values(d, "show") {
		v, ok, _ := unstructured.NestedFieldNoCopy(obj, strings.Split(path, "/")...)
		if !ok {
			fmt.Fprintf(&b, "%s absent\n", path)
			continue
		}
		text, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		fmt.Fprintf(&b, "%s %s\n", path, text)
	}
	return b.String()
}

var (
	uids  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	// versions are the revisions of etcd that messages name.
	versions = regexp.MustCompile(`(ResourceVersion in object meta: )\d+`)
)

func clean(s string) string {
	s = uids.ReplaceAllString(s, "<uid>")
	s = times.ReplaceAllString(s, "<time>")
	return versions.ReplaceAllString(s, "$1<version>")
}

func values(d *datadriven.TestData, key string) []string {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			return a.Vals
		}
	}
	return nil
}
