// Command bench measures a built garrison the way its users meet it: how long it
// takes to be ready, what it weighs, how fast a thousand and five thousand nodes
// get, change and lose their agent, how fast pods are scheduled, how soon daemons
// follow workloads, and what an agent takes that runs real containers. It prints a
// table, and exits with 1 where a figure misses its target.
//
// It runs on whatever machine it is started on; the targets are for two cores
// that do nothing else. Clients run on the same two.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is one line of the table.
type figure struct {
	name   string
	value  float64
	unit   string
	target target
}

// target is a bound that a figure is to keep. The zero value is none.
type target struct {
	bound   float64
	atLeast bool // the bound is the least, not the most
}

func atMost(bound float64) target  { return target{bound: bound} }
func atLeast(bound float64) target { return target{bound: bound, atLeast: true} }

func (f figure) missed() bool {
	switch {
	case f.target == target{}:
		return false
	case f.target.atLeast:
		return f.value < f.target.bound
	default:
		return f.value > f.target.bound
	}
}

// options say what to measure.
type options struct {
	binary   string
	profiles string // directory for profiles, empty: none
}

// section is a part of the measurements that can be had alone.
type section struct {
	name    string
	measure func(context.Context, options) ([]figure, error)
}

var sections = []section{
	{"size", measureSize},
	{"idle", measureIdle},
	{"fleet", measureFleet},
	{"large", measureLarge},
	{"scheduling", measureScheduling},
	{"following", measureFollowing},
	{"machine", measureMachine},
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/garrison", "the garrison to measure")
	flag.StringVar(&o.profiles, "profiles", "", "directory to write processor and heap profiles to (profiling costs time)")
	only := flag.String("only", "", "sections to measure, by default all: "+strings.Join(names(), ","))
	flag.Parse()
	figures, err := measure(context.Background(), o, *only)
	printTable(os.Stdout, figures)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	if slices.ContainsFunc(figures, figure.missed) {
		os.Exit(1)
	}
}

func names() []string {
	var all []string
	for _, s := range sections {
		all = append(all, s.name)
	}
	return all
}

// measure returns the figures of the named sections, with an error those that
// were had before it.
func measure(ctx context.Context, o options, only string) ([]figure, error) {
	wanted := names()
	if only != "" {
		wanted = strings.Split(only, ",")
	}
	for _, name := range wanted {
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("no section is called %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	var all []figure
	for _, s := range sections {
		if !slices.Contains(wanted, s.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s ...\n", s.name)
		figures, err := s.measure(ctx, o)
		all = append(all, figures...)
		if err != nil {
			return all, fmt.Errorf("measure %s: %w", s.name, err)
		}
	}
	return all, nil
}

func printTable(w io.Writer, figures []figure) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FIGURE\tVALUE\tTARGET\t")
	for _, f := range figures {
		bound, verdict := "", ""
		switch {
		case f.target.atLeast:
			bound = fmt.Sprintf("≥ %g %s", f.target.bound, f.unit)
		case f.target.bound > 0:
			bound = fmt.Sprintf("≤ %g %s", f.target.bound, f.unit)
		}
		if f.missed() {
			verdict = "missed"
		}
		fmt.Fprintf(table, "%s\t%s %s\t%s\t%s\n", f.name, number(f.value), f.unit, bound, verdict)
	}
	table.Flush()
}

// number renders three digits, or all before the point.
func number(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// seconds is a duration as a figure has it.
func seconds(d time.Duration) float64 { return d.Seconds() }

// milliseconds is a short duration as a figure has it.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
