package cluster

import (
	"slices"
	"strings"
	"testing"
)

func TestSelection(t *testing.T) {
	all := strings.Join(PartNames(), " ")
	without := func(names ...string) string {
		return strings.Join(slices.DeleteFunc(PartNames(), func(n string) bool { return slices.Contains(names, n) }), " ")
	}
	for choices, want := range map[string]string{
		"":                               all,
		"*":                              all,
		"*,-daemonset":                   without(DaemonSetController),
		"-daemonset-controller,*":        without(DaemonSetController),
		"*,-daemonset,-scheduler":        without(DaemonSetController, Scheduler),
		"scheduler":                      Scheduler,
		"daemonset,scheduler":            DaemonSetController + " " + Scheduler,
		"-scheduler":                     "",
		"scheduler,-scheduler":           Scheduler, // the first decides
		"*,-pod-garbage-collector,bogus": `error: "bogus" is not one of ` + strings.Join(PartNames(), ", "),
		"-*":                             `error: "-*" selects nothing`,
	} {
		if got := selected(choices); got != want {
			t.Errorf("%q selects %s, want %s", choices, got, want)
		}
	}
}

func selected(choices string) string {
	s, err := ParseSelection(strings.FieldsFunc(choices, func(r rune) bool { return r == ',' }))
	if err != nil {
		return "error: " + err.Error()
	}
	var names []string
	for _, name := range PartNames() {
		if s.wants(name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}
