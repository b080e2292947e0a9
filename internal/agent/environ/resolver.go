package environ

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

// sourceAnnotation is on pods, and says file on those that were not read from the API.
const sourceAnnotation = "kubernetes.io/config.source"

// Resolver finds the inputs of a container's environment. It is an
// [agent.Environment].
type Resolver struct {
	// Node gives the node as last seen, nil if it was not seen.
	Node func() *corev1.Node
	// Services lists services of the cluster, and ServicesSynced tells whether it
	// knows them all yet. Without them pods are told of none.
	Services       corelisters.ServiceLister
	ServicesSynced func() bool
	Objects        Objects
	Files          Files
}

// Resolve implements agent.Environment.
func (r *Resolver) Resolve(ctx context.Context, request agent.ContainerRequest) (agent.Process, error) {
	services, err := r.services(request.Pod)
	if err != nil {
		return agent.Process{}, err
	}
	in := Input{
		Pod: request.Pod, Container: request.Spec, PodIPs: request.PodIPs, HostIPs: request.HostIPs,
		Services: services, Objects: r.Objects, Files: r.Files,
	}
	if node := r.Node(); node != nil {
		in.Allocatable = node.Status.Allocatable
	}
	env, err := Env(ctx, in)
	if err != nil {
		return agent.Process{}, err
	}
	command, args := Command(request.Spec, env)
	return agent.Process{Env: env, Command: command, Args: args}, nil
}

// services are those that the pod may be told of. A pod of the API waits for them
// to be known, as it may be unable to find the API otherwise.
func (r *Resolver) services(pod *corev1.Pod) ([]*corev1.Service, error) {
	if r.Services == nil {
		return nil, nil
	}
	if source := pod.Annotations[sourceAnnotation]; (source == "" || source == "api") && !r.ServicesSynced() {
		return nil, errors.New("services have not yet been read at least once, cannot construct envvars")
	}
	var out []*corev1.Service
	for _, namespace := range []string{metav1.NamespaceDefault, pod.Namespace} {
		found, err := r.Services.Services(namespace).List(labels.Everything())
		if err != nil {
			return nil, fmt.Errorf("list services: %w", err)
		}
		out = append(out, found...)
	}
	return out, nil
}

var _ agent.Environment = (*Resolver)(nil)
