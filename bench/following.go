package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
)

// A DaemonSet follows workload pods over a fleet. Every node has its turn once:
// the first followed pods come before the DaemonSet and set the stage, the rest
// come, and the oldest go, at so many a second.
const (
	followedPods = 2000
	churn        = 100 // a second
	workload     = "workload"
)

// measureFollowing measures how soon a daemon pod is created after a pod that it
// follows is bound to a node.
func measureFollowing(ctx context.Context, o options) ([]figure, error) {
	return withFleet(o, largeSize, func(f *fleet) ([]figure, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := createAll(ctx, followedPods, f.come); err != nil {
			return nil, fmt.Errorf("create what is followed: %w", err)
		}
		if _, err := f.sets().Create(ctx, follower(), metav1.CreateOptions{}); err != nil {
			return nil, err
		}
		time.Sleep(settle)
		written := f.profile(ctx, o, "following")
		before, err := f.cpu()
		if err != nil {
			return nil, err
		}
		lags, err := f.observe(ctx)
		if err != nil {
			return nil, err
		}
		after, err := f.cpu()
		if err != nil {
			return nil, err
		}
		load := seconds(after-before) * churn / float64(len(lags))
		at := func(q float64) float64 { return milliseconds(lags[int(math.Ceil(q*float64(len(lags))))-1]) }
		label := fmt.Sprintf("%d pods followed, %d a second come and go: ", followedPods, churn)
		return []figure{
			{label + "bound to daemon pod created, median", at(0.5), "ms", target{}},
			{label + "bound to daemon pod created, p99", at(0.99), "ms", atMost(1000)},
			{label + "processor", 100 * load, "% of a core", target{}},
		}, written()
	})
}

// observe lets pods come and go until every node has had one, and returns, sorted,
// how long each took to get its daemon pod.
func (f *fleet) observe(ctx context.Context) ([]time.Duration, error) {
	list, err := f.client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	events, err := f.client.CoreV1().Pods(metav1.NamespaceDefault).Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return nil, err
	}
	defer events.Stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	moved := make(chan error, 1)
	go func() { moved <- f.move(ctx) }()
	lags, err := lags(events, f.size-followedPods)
	cancel()
	if failure := <-moved; failure != nil && !errors.Is(failure, context.Canceled) {
		err = errors.Join(failure, err)
	}
	slices.Sort(lags)
	return lags, err
}

// move makes one pod come and one go at every tick.
func (f *fleet) move(ctx context.Context) error {
	tick := time.NewTicker(time.Second / churn)
	defer tick.Stop()
	for i := followedPods; i < f.size; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := f.come(ctx, i); err != nil {
			return err
		}
		if err := f.client.CoreV1().Pods(metav1.NamespaceDefault).Delete(ctx, workloadName(i-followedPods), metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// come creates the i-th pod that is followed, for the i-th node.
func (f *fleet) come(ctx context.Context, i int) error {
	pod := pinnedPod(fmt.Sprintf("sim-%04d", i+1))
	pod.Name, pod.GenerateName = workloadName(i), ""
	pod.Labels = map[string]string{"app": workload}
	pod.Spec.TerminationGracePeriodSeconds = ptr.To[int64](1)
	_, err := f.client.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, pod, metav1.CreateOptions{})
	return err
}

func workloadName(i int) string { return fmt.Sprintf("%s-%04d", workload, i) }

// lags returns how long n nodes waited, from the binding of the pod that is
// followed to the creation of the daemon pod, as one watch tells of both.
func lags(events watch.Interface, n int) ([]time.Duration, error) {
	bound, followed := map[string]time.Time{}, map[string]bool{}
	var lags []time.Duration
	for event := range events.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			return lags, fmt.Errorf("watch pods: %v", event.Object)
		}
		now := time.Now()
		switch pod.Labels["app"] {
		case workload:
			if node := pod.Spec.NodeName; node != "" && bound[node].IsZero() && event.Type == watch.Modified {
				bound[node] = now
			}
		case agentName:
			node := wantedNode(pod)
			if at, ok := bound[node]; ok && !followed[node] && event.Type == watch.Added {
				followed[node] = true
				lags = append(lags, now.Sub(at))
			}
		}
		if len(lags) == n {
			return lags, nil
		}
	}
	return lags, fmt.Errorf("only %d of %d pods were followed", len(lags), n)
}

// wantedNode is the node that a daemon pod is pinned to.
func wantedNode(pod *corev1.Pod) string {
	return pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Values[0]
}
