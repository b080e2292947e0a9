package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/rest"
)

func TestCRUD(t *testing.T) {
	ns, ctx := namespace(t), t.Context()
	maps := adminClient(t, shared).CoreV1().ConfigMaps(ns)
	created, err := maps.Create(ctx, configMap("a"), metav1.CreateOptions{})
	if err != nil || created.UID == "" || created.CreationTimestamp.IsZero() {
		t.Fatalf("create: %v, %v", created, err)
	}
	if _, err := maps.Create(ctx, configMap("a"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("create again: %v", err)
	}
	if _, err := maps.Get(ctx, "b", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get what is not there: %v", err)
	}
	stale := created.DeepCopy()
	created.Data["key"] = "changed"
	updated, err := maps.Update(ctx, created, metav1.UpdateOptions{})
	if err != nil || updated.Data["key"] != "changed" || updated.ResourceVersion == stale.ResourceVersion {
		t.Errorf("update: %v, %v", updated, err)
	}
	if _, err := maps.Update(ctx, stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("update of an old version: %v", err)
	}
	wrong := types.UID("wrong")
	if err := maps.Delete(ctx, "a", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &wrong}}); !apierrors.IsConflict(err) {
		t.Errorf("delete of another with the name: %v", err)
	}
	if err := maps.Delete(ctx, "a", metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := maps.Get(ctx, "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get after delete: %v", err)
	}
}

func TestDeleteCollection(t *testing.T) {
	ns, ctx := namespace(t), t.Context()
	maps := adminClient(t, shared).CoreV1().ConfigMaps(ns)
	for _, name := range []string{"a", "b", "c"} {
		m := configMap(name)
		m.Labels = map[string]string{"keep": fmt.Sprint(name == "c")}
		if _, err := maps.Create(ctx, m, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "keep=false"}); err != nil {
		t.Fatal(err)
	}
	left, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil || len(left.Items) != 1 || left.Items[0].Name != "c" {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestPatch(t *testing.T) {
	ns, ctx := namespace(t), t.Context()
	pods := adminClient(t, shared).CoreV1().Pods(ns)
	if _, err := pods.Create(ctx, newPod(ns, "a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind  types.PatchType
		patch string
		check func(*corev1.Pod) bool
	}{
		{types.JSONPatchType, `[{"op":"add","path":"/metadata/labels","value":{"json":"yes"}}]`,
			func(p *corev1.Pod) bool { return p.Labels["json"] == "yes" }},
		{types.MergePatchType, `{"metadata":{"labels":{"merge":"yes","json":null}}}`,
			func(p *corev1.Pod) bool { return len(p.Labels) == 1 && p.Labels["merge"] == "yes" }},
		// Containers merge by name, so the other fields stay.
		{types.StrategicMergePatchType, `{"spec":{"containers":[{"name":"agent","image":"example.org/agent:2"}]}}`,
			func(p *corev1.Pod) bool {
				c := p.Spec.Containers
				return len(c) == 1 && c[0].Image == "example.org/agent:2" && c[0].TerminationMessagePath != ""
			}},
		{types.ApplyPatchType, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","annotations":{"apply":"yes"}}}`,
			func(p *corev1.Pod) bool { return p.Annotations["apply"] == "yes" && p.Labels["merge"] == "yes" }},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			got, err := pods.Patch(ctx, "a", c.kind, []byte(c.patch), metav1.PatchOptions{FieldManager: "test"})
			if err != nil || !c.check(got) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestServerSideApply(t *testing.T) {
	ns, ctx := namespace(t), t.Context()
	maps := adminClient(t, shared).CoreV1().ConfigMaps(ns)
	want := corev1apply.ConfigMap("a", ns).WithData(map[string]string{"key": "one", "mine": "yes"})
	if _, err := maps.Apply(ctx, want, metav1.ApplyOptions{FieldManager: "first"}); err != nil {
		t.Fatalf("create by apply: %v", err)
	}
	other := corev1apply.ConfigMap("a", ns).WithData(map[string]string{"key": "two"})
	_, err := maps.Apply(ctx, other, metav1.ApplyOptions{FieldManager: "second"})
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "first"`) {
		t.Errorf("apply of another's field: %v", err)
	}
	got, err := maps.Apply(ctx, other, metav1.ApplyOptions{FieldManager: "second", Force: true})
	if err != nil || got.Data["key"] != "two" || got.Data["mine"] != "yes" {
		t.Errorf("forced: %v, %v", got, err)
	}
	got, err = maps.Apply(ctx, corev1apply.ConfigMap("a", ns), metav1.ApplyOptions{FieldManager: "first"})
	if err != nil || len(got.Data) != 1 {
		t.Errorf("a field that its owner no longer applies stays: %v, %v", got, err)
	}
}

func TestDryRun(t *testing.T) {
	ns, ctx := namespace(t), t.Context()
	maps := adminClient(t, shared).CoreV1().ConfigMaps(ns)
	all := []string{metav1.DryRunAll}
	if got, err := maps.Create(ctx, configMap("a"), metav1.CreateOptions{DryRun: all}); err != nil || got.UID == "" {
		t.Errorf("create: %v, %v", got, err)
	}
	if _, err := maps.Get(ctx, "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after a dry create: %v", err)
	}
	created, err := maps.Create(ctx, configMap("a"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := maps.Patch(ctx, "a", types.MergePatchType, []byte(`{"data":{"key":"changed"}}`), metav1.PatchOptions{DryRun: all}); err != nil || got.Data["key"] != "changed" {
		t.Errorf("patch: %v, %v", got, err)
	}
	if err := maps.Delete(ctx, "a", metav1.DeleteOptions{DryRun: all}); err != nil {
		t.Errorf("delete: %v", err)
	}
	if got, err := maps.Get(ctx, "a", metav1.GetOptions{}); err != nil || got.ResourceVersion != created.ResourceVersion {
		t.Errorf("after dry patch and delete: %v, %v", got, err)
	}
}

func TestWatchFromAnOldVersion(t *testing.T) {
	ns, ctx := namespace(t), t.Context()
	maps := adminClient(t, shared).CoreV1().ConfigMaps(ns)
	before, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := maps.Create(ctx, configMap("a"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m.Data["key"] = "changed"
	if _, err := maps.Update(ctx, m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(ctx, "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: before.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for _, want := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted} {
		if e := <-w.ResultChan(); e.Type != want {
			t.Fatalf("got %s of %v, want %s", e.Type, e.Object, want)
		}
	}
}

func TestWatchList(t *testing.T) {
	ns, ctx := namespace(t), t.Context()
	maps := adminClient(t, shared).CoreV1().ConfigMaps(ns)
	last, err := maps.Create(ctx, configMap("a"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	w, err := maps.Watch(ctx, metav1.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if e := <-w.ResultChan(); e.Type != watch.Added || e.Object.(*corev1.ConfigMap).UID != last.UID {
		t.Errorf("first: %s of %v", e.Type, e.Object)
	}
	e := <-w.ResultChan()
	mark, ok := e.Object.(*corev1.ConfigMap)
	if e.Type != watch.Bookmark || !ok || mark.Annotations[metav1.InitialEventsAnnotationKey] != "true" || len(mark.ResourceVersion) < len(last.ResourceVersion) {
		t.Errorf("second: %s of %v", e.Type, e.Object)
	}
}

func TestChunks(t *testing.T) {
	ns, ctx := namespace(t), t.Context()
	maps := adminClient(t, shared).CoreV1().ConfigMaps(ns)
	for i := range 5 {
		if _, err := maps.Create(ctx, configMap(fmt.Sprint("a", i)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var names, left []string
	options := metav1.ListOptions{Limit: 2}
	for {
		list, err := maps.List(ctx, options)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list.Items {
			names = append(names, m.Name)
		}
		if list.RemainingItemCount != nil {
			left = append(left, fmt.Sprint(*list.RemainingItemCount))
		}
		if options.Continue = list.Continue; options.Continue == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "a0 a1 a2 a3 a4" {
		t.Errorf("listed %s", got)
	}
	if got := strings.Join(left, " "); got != "3 1" {
		t.Errorf("remaining %s", got)
	}
}

func TestTable(t *testing.T) {
	ns := namespace(t)
	if _, err := shared.Client().CoreV1().Pods(ns).Create(t.Context(), newPod(ns, "a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	a := call{
		path:   "/api/v1/namespaces/" + ns + "/pods",
		header: map[string]string{"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
	}.do(t, adminConfig(t, shared))
	var table metav1.Table
	if err := json.Unmarshal([]byte(a.body), &table); err != nil || table.Kind != "Table" {
		t.Fatalf("%d %s: %v", a.code, a.body, err)
	}
	if len(table.Rows) != 1 || len(table.Rows[0].Cells) != len(table.ColumnDefinitions) || table.Rows[0].Cells[0] != "a" {
		t.Errorf("rows %v, columns %v", table.Rows, table.ColumnDefinitions)
	}
}

func TestEncodings(t *testing.T) {
	for accept, want := range map[string]string{
		"application/vnd.kubernetes.protobuf": "application/vnd.kubernetes.protobuf",
		"application/json":                    "application/json",
		"application/yaml":                    "application/yaml",
		"":                                    "application/json",
	} {
		a := call{path: "/api/v1/namespaces/default", header: map[string]string{"Accept": accept}}.do(t, adminConfig(t, shared))
		if got := a.header.Get("Content-Type"); a.code != http.StatusOK || got != want {
			t.Errorf("accept %q: %d, %s", accept, a.code, got)
		}
	}
	config := adminConfig(t, shared)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	ns := namespace(t)
	client := adminClientOf(t, config)
	if got, err := client.CoreV1().ConfigMaps(ns).Create(t.Context(), configMap("a"), metav1.CreateOptions{}); err != nil || got.Data["key"] != "value" {
		t.Errorf("create in protobuf: %v, %v", got, err)
	}
}

func TestFieldValidation(t *testing.T) {
	ns := namespace(t)
	const body = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"stray":1,"data":{"key":"a","key":"b"}}`
	for level, want := range map[string]struct {
		code    int
		warning string
		body    string
	}{
		"Strict": {400, "", `unknown field \"stray\"`},
		"Warn":   {201, `unknown field "stray"`, ""},
		"Ignore": {201, "", ""},
		"":       {201, `unknown field "stray"`, ""},
	} {
		t.Run("level"+level, func(t *testing.T) {
			a := call{
				method: http.MethodPost,
				path:   "/api/v1/namespaces/" + ns + "/configmaps?fieldValidation=" + level,
				body:   fmt.Sprintf(body, "a"+strings.ToLower(level)),
				header: map[string]string{"Content-Type": "application/json"},
			}.do(t, adminConfig(t, shared))
			warnings := strings.ReplaceAll(strings.Join(a.header.Values("Warning"), "\n"), `\"`, `"`)
			if a.code != want.code || !strings.Contains(a.body, want.body) || !strings.Contains(warnings, want.warning) || want.warning == "" && warnings != "" {
				t.Errorf("%d %s, warnings %q", a.code, a.body, warnings)
			}
			if a.code == http.StatusCreated && strings.Contains(a.body, "stray") {
				t.Errorf("the stray field was kept: %s", a.body)
			}
		})
	}
}

func TestUndecodableIsBadRequest(t *testing.T) {
	a := call{
		method: http.MethodPost,
		path:   "/api/v1/namespaces/default/configmaps",
		body:   `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":["a"]}}`,
		header: map[string]string{"Content-Type": "application/json"},
	}.do(t, adminConfig(t, shared))
	if a.code != http.StatusBadRequest || !strings.Contains(a.body, `"reason":"BadRequest"`) {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestNamespaceLifecycle(t *testing.T) {
	ns, ctx := namespace(t), t.Context()
	client := adminClient(t, shared)
	if _, err := client.CoreV1().ConfigMaps("nowhere").Create(ctx, configMap("a"), metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("create in a namespace that does not exist: %v", err)
	}
	if err := client.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := client.CoreV1().ConfigMaps(ns).Create(ctx, configMap("a"), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("create in a namespace that ends: %v", err)
	}
	if err := client.CoreV1().Namespaces().Delete(ctx, "default", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("delete namespace default: %v", err)
	}
}

func TestDocuments(t *testing.T) {
	const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	for _, c := range []struct{ path, accept, says string }{
		{"/api", "", `"versions":["v1"]`},
		{"/apis", "", `"name":"apps"`},
		{"/api", aggregated, `"resource":"pods"`},
		{"/apis", aggregated, `"resource":"daemonsets"`},
		{"/apis/apps/v1", "", `"shortNames":["ds"]`},
		{"/version", "", `"major": "1"`},
		{"/openapi/v2", "", `"io.k8s.api.apps.v1.DaemonSetUpdateStrategy"`},
		{"/openapi/v3", "", `"apis/apps/v1"`},
		{"/openapi/v3/apis/apps/v1", "", `"io.k8s.api.apps.v1.DaemonSetUpdateStrategy"`},
		{"/metrics", "", "apiserver_request_total{"},
		{"/livez?verbose", "", "[+]etcd ok"},
		{"/readyz?verbose", "", "[+]bootstrap ok"},
	} {
		header := map[string]string{}
		if c.accept != "" {
			header["Accept"] = c.accept
		}
		a := call{path: c.path, header: header}.do(t, adminConfig(t, shared))
		if a.code != http.StatusOK || !strings.Contains(a.body, c.says) {
			t.Errorf("%s: %d, does not say %s: %.200s", c.path, a.code, c.says, a.body)
		}
		if strings.Contains(a.body, "__internal") {
			t.Errorf("%s shows internal versions", c.path)
		}
	}
}

func TestConsistentListsComeFromTheCache(t *testing.T) {
	ns := namespace(t)
	config := adminConfig(t, shared)
	served := func() string {
		return metric(t, config, `apiserver_watch_cache_consistent_read_total{fallback="false",group="",resource="configmaps",success="true"}`)
	}
	eventually(t, "etcd says that it reports the progress of watches", func() bool {
		before := served()
		if _, err := shared.Client().CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		return served() != before
	})
}

// metric returns the value of a metric, "" if it has none yet.
func metric(t *testing.T, config *rest.Config, name string) string {
	t.Helper()
	for line := range strings.Lines(call{path: "/metrics"}.do(t, config).body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return value
		}
	}
	return ""
}
