// Package conformance runs the end-to-end suite of Kubernetes, unchanged,
// against garrisons that it starts: on simulated nodes, and with this machine
// as a node where a spec needs containers that run. It decides which specs are
// asked for and which are left out; what they check is upstream's.
//
// It is a module of its own because k8s.io/kubernetes must be built with its
// staging modules replaced, which the module of Garrison itself must not need.
// Nothing outside this folder imports k8s.io/kubernetes.
//
//	make conformance
//
// builds and runs it: the specs in several shards at once, each against a
// garrison of its own, and in as many processes as bear company. It lists the
// specs that it leaves out, with the reasons; one that neither runs nor has a
// reason fails a test. Every flag of upstream's e2e.test works as well; with
// -shard only one shard runs, with -ginkgo.focus other specs are tried, and
// with -kubeconfig another cluster.
package conformance
