package cluster

import (
	"fmt"
	"slices"
	"strings"
)

// Selection says which parts a process runs. The zero value selects all.
type Selection struct{ choices []string }

// ParseSelection reads what Kubernetes takes for --controllers: "*" selects all
// parts, a name one, and a name behind a "-" none of that name; the first choice
// that names a part decides. A name may lack its "-controller". None at all is
// the same as "*".
func ParseSelection(choices []string) (Selection, error) {
	var s Selection
	for _, choice := range choices {
		name, without := strings.CutPrefix(choice, "-")
		if name != "*" {
			full := fullName(name)
			if full == "" {
				return Selection{}, fmt.Errorf("%q is not one of %s", name, strings.Join(PartNames(), ", "))
			}
			name = full
		}
		switch {
		case !without:
			s.choices = append(s.choices, name)
		case name == "*":
			return Selection{}, fmt.Errorf("%q selects nothing", choice)
		default:
			s.choices = append(s.choices, "-"+name)
		}
	}
	return s, nil
}

// PartNames lists the parts of which a Selection can be made, sorted.
func PartNames() []string {
	var names []string
	for _, m := range makers {
		names = append(names, m.name)
	}
	slices.Sort(names)
	return names
}

// fullName returns the name of a part that may lack its "-controller", empty if
// there is no such part.
func fullName(name string) string {
	for _, m := range makers {
		if m.name == name || m.name == name+"-controller" {
			return m.name
		}
	}
	return ""
}

// wants reports whether a part is selected.
func (s Selection) wants(name string) bool {
	for _, choice := range s.choices {
		if choice == name || choice == "-"+name {
			return choice == name
		}
	}
	return len(s.choices) == 0 || slices.Contains(s.choices, "*")
}
