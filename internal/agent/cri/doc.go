// Package cri runs pods through a container runtime that speaks CRI v1, such as
// containerd (1.6 and later) or CRI-O. What a pod asks for is translated by pure
// functions (sandbox.go, container.go, security.go, resources.go); the rest lists,
// watches and calls.
//
// Sandboxes and containers bear the labels and annotations that kubelets give
// them, so that crictl and others find what they expect.
//
// It leaves the runtime's own life and its network to agent/containerd, volumes
// and environment to agent/volume and agent/environ, and all decisions to
// core/podstep.
package cri
