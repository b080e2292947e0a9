// Package tables shows API objects as rows of text: the columns that kubectl
// prints, for each kind. It is pure but for reading the clock, and leaves
// layout to the client.
package tables

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"
)

// Convertor turns objects of one resource, and lists of them, into tables.
type Convertor struct {
	layout layout
	now    func() time.Time
}

// For returns the convertor of a resource. Resources without columns of their
// own show when they were created.
func For(gr schema.GroupResource) *Convertor {
	l, ok := layouts[gr]
	if !ok {
		l = plain
	}
	return &Convertor{layout: l, now: time.Now}
}

// ConvertToTable shows an object or a list. The columns are left out if the
// options, a *metav1.TableOptions, ask for no headers.
func (c *Convertor) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	t := &metav1.Table{}
	if o, ok := options.(*metav1.TableOptions); !ok || !o.NoHeaders {
		t.ColumnDefinitions = c.layout.columns()
	}
	now := at(c.now())
	row := func(o runtime.Object) error {
		r, err := c.layout.row(o, now)
		t.Rows = append(t.Rows, r)
		return err
	}
	if !meta.IsListType(obj) {
		m, err := meta.Accessor(obj)
		if err != nil {
			return nil, fmt.Errorf("show %T as a table: %w", obj, err)
		}
		t.ResourceVersion = m.GetResourceVersion()
		return t, row(obj)
	}
	m, err := meta.ListAccessor(obj)
	if err != nil {
		return nil, fmt.Errorf("show %T as a table: %w", obj, err)
	}
	t.ResourceVersion = m.GetResourceVersion()
	t.Continue = m.GetContinue()
	t.RemainingItemCount = m.GetRemainingItemCount()
	return t, meta.EachListItem(obj, row)
}

// layout is how a kind is shown, whatever its type.
type layout interface {
	columns() []metav1.TableColumnDefinition
	row(runtime.Object, at) (metav1.TableRow, error)
}

// table is how objects of type T are shown.
type table[T runtime.Object] struct {
	head []metav1.TableColumnDefinition
	// cells has one value for each column: text, a number or a truth value.
	cells func(T, at) []any
	// conditions may mark a row, say as completed.
	conditions func(T) []metav1.TableRowCondition
}

func (t table[T]) columns() []metav1.TableColumnDefinition { return t.head }

func (t table[T]) row(obj runtime.Object, now at) (metav1.TableRow, error) {
	o, ok := obj.(T)
	if !ok {
		return metav1.TableRow{}, fmt.Errorf("show %T as a table: it is no %T", obj, o)
	}
	r := metav1.TableRow{Cells: t.cells(o, now), Object: runtime.RawExtension{Object: obj}}
	if t.conditions != nil {
		r.Conditions = t.conditions(o)
	}
	return r, nil
}

func head(columns ...metav1.TableColumnDefinition) []metav1.TableColumnDefinition { return columns }

// name is the column every table begins with; kubectl knows it by its format.
func name() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name", Description: doc["name"]}
}

func age() metav1.TableColumnDefinition { return text("Age", doc["creationTimestamp"]) }

func createdAt() metav1.TableColumnDefinition { return text("Created At", doc["creationTimestamp"]) }

func text(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Description: description}
}

func number(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "integer", Description: description}
}

func truth(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "boolean", Description: description}
}

// wide makes a column one that is shown on request only.
func wide(c metav1.TableColumnDefinition) metav1.TableColumnDefinition {
	c.Priority = 1
	return c
}

var doc = metav1.ObjectMeta{}.SwaggerDoc()

// at is the moment a table is made.
type at time.Time

// age says how long ago t was, as "5m" or "3d4h".
func (a at) age(t metav1.Time) string { return a.since(t.Time) }

func (a at) since(t time.Time) string {
	if t.IsZero() {
		return unknown
	}
	return duration.HumanDuration(time.Time(a).Sub(t))
}

const (
	none    = "<none>"
	unknown = "<unknown>"
	unset   = "<unset>"
)

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// plain is the table of a kind that has nothing special to show.
var plain = anyTable{}

type anyTable struct{}

func (anyTable) columns() []metav1.TableColumnDefinition { return head(name(), createdAt()) }

func (anyTable) row(obj runtime.Object, _ at) (metav1.TableRow, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return metav1.TableRow{}, fmt.Errorf("show %T as a table: %w", obj, err)
	}
	return metav1.TableRow{Cells: []any{m.GetName(), created(m.GetCreationTimestamp())}, Object: runtime.RawExtension{Object: obj}}, nil
}

func created(t metav1.Time) string { return t.UTC().Format(time.RFC3339) }
