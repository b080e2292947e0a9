package tables

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/garrison-project/garrison/internal/api"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestTables prints objects, given as YAML, at noon on 1 March 2026. A star
// marks the columns that are shown on request only.
func TestTables(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			c := For(schema.ParseGroupResource(d.Cmd))
			c.now = func() time.Time { return noon }
			var b strings.Builder
			for i, doc := range strings.Split(d.Input, "\n--\n") {
				obj, _, err := api.Codecs.UniversalDeserializer().Decode([]byte(doc), nil, nil)
				if err != nil {
					d.Fatalf(t, "object %d: %v", i, err)
				}
				options := &metav1.TableOptions{NoHeaders: i > 0}
				table, err := c.ConvertToTable(t.Context(), obj, options)
				if err != nil {
					d.Fatalf(t, "object %d: %v", i, err)
				}
				write(&b, table)
			}
			return b.String()
		})
	})
}

func write(b *strings.Builder, t *metav1.Table) {
	if len(t.ColumnDefinitions) > 0 {
		names := make([]string, len(t.ColumnDefinitions))
		for i, c := range t.ColumnDefinitions {
			names[i] = c.Name + strings.Repeat("*", int(c.Priority))
			switch {
			case c.Format != "":
				names[i] += ":" + c.Format
			case c.Type != "string":
				names[i] += ":" + c.Type
			}
		}
		fmt.Fprintln(b, strings.Join(names, " | "))
	}
	for _, r := range t.Rows {
		cells := make([]string, len(r.Cells))
		for i, c := range r.Cells {
			cells[i] = fmt.Sprint(c)
		}
		fmt.Fprint(b, strings.Join(cells, " | "))
		for _, c := range r.Conditions {
			fmt.Fprintf(b, " [%s %s: %s]", c.Type, c.Reason, c.Message)
		}
		fmt.Fprintln(b)
	}
}

func TestListMetadata(t *testing.T) {
	remaining := int64(7)
	list := listOf(&metav1.ListMeta{ResourceVersion: "42", Continue: "more", RemainingItemCount: &remaining}, "a", "b")
	table, err := For(schema.GroupResource{Resource: "configmaps"}).ConvertToTable(t.Context(), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	if table.ResourceVersion != "42" || table.Continue != "more" || *table.RemainingItemCount != 7 {
		t.Errorf("list metadata is %+v", table.ListMeta)
	}
	if len(table.Rows) != 2 || table.Rows[1].Cells[0] != "b" || table.Rows[1].Object.Object == nil {
		t.Errorf("rows are %+v", table.Rows)
	}
	for i, c := range table.ColumnDefinitions {
		if c.Description == "" {
			t.Errorf("column %d (%s) has no description", i, c.Name)
		}
	}
}

func TestWrongKind(t *testing.T) {
	list := listOf(&metav1.ListMeta{}, "a")
	if table, err := For(schema.GroupResource{Resource: "pods"}).ConvertToTable(t.Context(), list, nil); err == nil {
		t.Errorf("config maps were shown as pods: %+v", table)
	}
}

// TestDescriptions wants each column of each kind described.
func TestDescriptions(t *testing.T) {
	for gr, l := range layouts {
		for _, c := range l.columns() {
			if c.Description == "" {
				t.Errorf("%s: column %q has no description", gr, c.Name)
			}
		}
	}
}

func listOf(m *metav1.ListMeta, names ...string) *corev1.ConfigMapList {
	l := &corev1.ConfigMapList{ListMeta: *m}
	for _, n := range names {
		l.Items = append(l.Items, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: n}})
	}
	return l
}
