package main

import (
	"context"
	"os"
	"time"
)

// settle is how long a control plane is left alone before it counts as idle.
const settle = 10 * time.Second

// measureSize measures the binary.
func measureSize(_ context.Context, o options) ([]figure, error) {
	info, err := os.Stat(o.binary)
	if err != nil {
		return nil, err
	}
	return []figure{{"stripped binary", float64(info.Size()) / 1e6, "MB", atMost(110)}}, nil
}

// measureIdle measures a control plane with nothing to do: a new one, and the
// same again on what the first has stored.
func measureIdle(ctx context.Context, o options) ([]figure, error) {
	dir, err := os.MkdirTemp("", "garrison-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	figures, err := idleRun(ctx, o, dir, "first start: ")
	if err != nil {
		return nil, err
	}
	again, err := idleRun(ctx, o, dir, "second start: ")
	return append(figures, again...), err
}

func idleRun(ctx context.Context, o options, dir, label string) ([]figure, error) {
	p, err := start(o, dir)
	if err != nil {
		return nil, err
	}
	idle, err := p.atRest()
	if err != nil {
		return nil, err
	}
	if err := p.heap(ctx, o, "idle"); err != nil {
		return nil, err
	}
	stopping, err := p.stop()
	return []figure{
		{label + "ready after", seconds(p.ready), "s", atMost(2)},
		{label + "idle memory", idle.memory, "MB", atMost(150)},
		{label + "idle processor", 100 * idle.load, "% of a core", target{}},
		{label + "SIGTERM to end", seconds(stopping), "s", atMost(5)},
	}, err
}
