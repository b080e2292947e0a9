// Command bench measures a built garrison the way its users meet it: how long it
// takes to be ready, what it weighs, and how fast a thousand nodes get their
// agent. It prints a table, and exits with 1 where a figure misses its target.
//
// It runs on whatever machine it is started on; the targets are for two cores.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// figure is one line of the table.
type figure struct {
	name   string
	value  float64
	unit   string
	target float64 // not to be exceeded; 0: none
}

func (f figure) missed() bool { return f.target > 0 && f.value > f.target }

func main() {
	binary := flag.String("binary", "bin/garrison", "the garrison to measure")
	nodes := flag.Int("nodes", 1000, "simulated nodes of the fleet")
	joins := flag.Int("joins", 20, "nodes that join it, one after the other")
	flag.Parse()
	figures, err := measure(context.Background(), plan{binary: *binary, nodes: *nodes, joins: *joins})
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	if printTable(os.Stdout, figures); slices.ContainsFunc(figures, figure.missed) {
		os.Exit(1)
	}
}

// plan says what to measure.
type plan struct {
	binary       string
	nodes, joins int
}

func measure(ctx context.Context, p plan) ([]figure, error) {
	info, err := os.Stat(p.binary)
	if err != nil {
		return nil, err
	}
	figures := []figure{{"stripped binary", float64(info.Size()) / 1e6, "MB", 110}}
	idle, err := measureIdle(p)
	if err != nil {
		return nil, fmt.Errorf("measure the idle control plane: %w", err)
	}
	fleet, err := measureFleet(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("measure the fleet: %w", err)
	}
	return slices.Concat(figures, idle, fleet), nil
}

func printTable(w io.Writer, figures []figure) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FIGURE\tVALUE\tTARGET\t")
	for _, f := range figures {
		target, verdict := "", ""
		if f.target > 0 {
			target = fmt.Sprintf("%g %s", f.target, f.unit)
		}
		if f.missed() {
			verdict = "missed"
		}
		fmt.Fprintf(table, "%s\t%.3g %s\t%s\t%s\n", f.name, f.value, f.unit, target, verdict)
	}
	table.Flush()
}

// seconds is a duration as a figure has it.
func seconds(d time.Duration) float64 { return d.Seconds() }

// milliseconds is a short duration as a figure has it.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
