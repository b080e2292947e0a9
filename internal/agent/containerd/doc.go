// Package containerd owns a private containerd for the agent: it finds the
// programs a node needs, writes containerd's configuration and that of a pod
// network, starts containerd, starts it anew when it dies, and imports images
// from archives. Containers outlive containerd and the agent; who comes back
// finds them again.
//
// It leaves running pods to agent/cri, which speaks to the socket, and choosing
// between this containerd and one that is there already to who wires the agent.
// docs/design/container-runtime.md tells the life of it.
package containerd
