package agent

import (
	"errors"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
)

// Settings are what an administrator decides about the pods of a node.
type Settings struct {
	NodeName string // of the Node object
	Hostname string // of the machine
	// ClusterDNS are the servers that pods with dnsPolicy ClusterFirst ask; with
	// none, they ask those of the machine. ClusterDomain is searched, if there is
	// one: cluster.local is usual.
	ClusterDNS    []string
	ClusterDomain string
	// ResolvConf is the machine's own; default /etc/resolv.conf, or what is behind
	// it if that is a resolver on loopback.
	ResolvConf string
	// PodLogs is the folder of the containers' output; default /var/log/pods.
	PodLogs string
	// AllowedUnsafeSysctls may be set by pods beside the safe ones; CheckSysctls
	// knows their form.
	AllowedUnsafeSysctls []string
	// Memory is the machine's, in bytes.
	Memory int64
	// Runtime is how containers' IDs are prefixed: containerd, cri-o. Empty: as
	// the runtime calls itself.
	Runtime string
}

// Options are what an Agent works with. All but Objects, Static and Clock are
// required.
type Options struct {
	Settings Settings
	// Pods has the pods that are bound to the node, and no others. Who made it
	// runs it.
	Pods cache.SharedIndexInformer
	// Node gives the Node as last seen, nil if it was not seen.
	Node        func() *corev1.Node
	Runtime     Runtime
	Volumes     Volumes
	Environment Environment
	Prober      Prober
	Hooks       Hooks
	Writer      Writer
	// Recorder takes events about ObjectReferences.
	Recorder record.EventRecorder
	Objects  Objects    // nil: pods name none
	Static   StaticPods // nil: there are none
	Clock    clock.WithTicker
}

// complete checks the options and fills in defaults.
func (o *Options) complete() error {
	switch {
	case o.Settings.NodeName == "":
		return errors.New("the agent needs the name of its node")
	case o.Pods == nil, o.Node == nil, o.Runtime == nil, o.Volumes == nil, o.Environment == nil,
		o.Prober == nil, o.Hooks == nil, o.Writer == nil, o.Recorder == nil:
		return errors.New("the agent lacks one of the parts it works with")
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Settings.Hostname == "" {
		o.Settings.Hostname = o.Settings.NodeName
	}
	if o.Settings.PodLogs == "" {
		o.Settings.PodLogs = filepath.FromSlash("/var/log/pods")
	}
	return nil
}
