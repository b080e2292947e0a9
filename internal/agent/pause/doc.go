// Package pause makes the image of the container that holds a pod's namespaces:
// a static program of some three hundred bytes that waits, reaps the orphans of
// a shared process namespace, and ends when it is asked to. It is made here so
// that no registry is needed to run a pod.
//
// It leaves importing the image to agent/containerd.
package pause
