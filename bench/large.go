package main

import (
	"context"
	"time"
)

const (
	// largeSize is the large fleet's. What a pod costs there is compared with
	// what it costs in a fleet of smallSize.
	largeSize, smallSize = 5000, 500
	// costRatio is how many times as much it may be.
	costRatio = 1.3
)

// measureLarge measures a large fleet, and how the cost of a pod grows with the
// size of the fleet.
func measureLarge(ctx context.Context, o options) ([]figure, error) {
	small, figures, err := largeLife(ctx, o, smallSize)
	if err != nil {
		return figures, err
	}
	large, more, err := largeLife(ctx, o, largeSize)
	figures = append(figures, more...)
	if err != nil {
		return figures, err
	}
	ratio := float64(large) / float64(small)
	return append(figures, figure{"processor for a pod, 5000 nodes : 500", ratio, "", atMost(costRatio)}), nil
}

// largeLife takes a fleet of n nodes through a DaemonSet's life. It returns how
// much processor time its rollout took for each pod, without what the nodes
// take at rest for their heartbeats.
func largeLife(ctx context.Context, o options, n int) (perPod time.Duration, figures []figure, err error) {
	figures, err = withFleet(o, n, func(f *fleet) ([]figure, error) {
		idle, err := f.atRest()
		if err != nil {
			return nil, err
		}
		life, err := f.life(ctx, o, "large")
		if err != nil {
			return nil, err
		}
		heartbeats := time.Duration(idle.load * float64(life.rollout))
		perPod = (life.rolloutCPU - heartbeats) / time.Duration(f.size)
		shared := []figure{
			f.figure("processor at rest", 100*idle.load, "% of a core", target{}),
			f.figure("processor for a pod of the rollout", milliseconds(perPod), "ms", target{}),
		}
		if n < largeSize {
			return shared, nil
		}
		return append(shared,
			f.figure("start to ready", seconds(f.ready), "s", target{}),
			f.figure("apply to all ready", seconds(life.rollout), "s", atMost(12)),
			f.figure("new image to all ready, 10 % at a time", seconds(life.update), "s", target{}),
			f.figure("node joins to pod ready, median", milliseconds(life.joins[len(life.joins)/2]), "ms", target{}),
			f.figure("delete to all pods gone", seconds(life.deletion), "s", target{}),
			f.figure("memory at rest", idle.memory, "MB", target{}),
			f.figure("most memory", life.peak, "MB", atMost(900)),
		), nil
	})
	return perPod, figures, err
}
