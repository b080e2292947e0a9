package containerd

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Handler is a way to run pods that a runtime class can name.
type Handler struct {
	Name string
	// Type is the kind of shim, as containerd names it.
	Type string
	// Program is run by the shim in runc's place, and takes the same arguments;
	// empty with shims that do without.
	Program string
}

const (
	runc     = "runc"
	runcShim = "io.containerd.runc.v2"
)

var shimType = regexp.MustCompile(`^io\.containerd\.[a-z0-9-]+\.v[0-9]+$`)

// ParseHandlers reads handlers: by name, the path of a program to run in runc's
// place or the type of a shim, such as io.containerd.kata.v2.
func ParseHandlers(given map[string]string) ([]Handler, error) {
	var list []Handler
	for _, name := range slices.Sorted(maps.Keys(given)) {
		how := given[name]
		problems := validation.IsDNS1123Label(name)
		switch {
		case len(problems) > 0:
			return nil, fmt.Errorf("%q cannot be the name of a handler: %s", name, strings.Join(problems, "; "))
		case name == runc:
			return nil, fmt.Errorf("the handler %s is there already", runc)
		case shimType.MatchString(how):
			list = append(list, Handler{Name: name, Type: how})
		case !filepath.IsAbs(how):
			return nil, fmt.Errorf("handler %s: %q is neither the path of a program nor the type of a shim such as io.containerd.kata.v2", name, how)
		case executable(how) == "":
			return nil, fmt.Errorf("handler %s: %s is not a program", name, how)
		default:
			list = append(list, Handler{Name: name, Type: runcShim, Program: how})
		}
	}
	return list, nil
}

// handlerSettings are what containerd is told of a Handler.
type handlerSettings struct {
	Handler
	// Root is where the program keeps its state.
	Root string
}

// allHandlers are runc and the handlers, by name.
func allHandlers(l layout, programs Programs, handlers []Handler) []handlerSettings {
	var list []handlerSettings
	for _, h := range append(slices.Clone(handlers), Handler{Name: runc, Type: runcShim, Program: programs.Runc}) {
		list = append(list, handlerSettings{h, filepath.Join(l.state, h.Name)})
	}
	slices.SortFunc(list, func(a, b handlerSettings) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
