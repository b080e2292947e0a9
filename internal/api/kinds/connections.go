package kinds

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
)

// Connections lead from the API server to pods and nodes. None may be nil.
type Connections struct {
	Agents Agents
	// Transport carries requests to pods, and to ports of nodes that are not their
	// agents'. It does not verify who answers: nobody says how.
	Transport http.RoundTripper
	// Authorizer is asked whether those who open a WebSocket, which is done with a
	// GET, may do what takes a POST.
	Authorizer authorizer.UnconditionalAuthorizer
}

// Agents knows how to reach the agents of nodes.
type Agents interface {
	// Agent tells how the agent of a node is reached. Its errors are those of the
	// API.
	Agent(ctx context.Context, node string) (*Agent, error)
}

// Agent is how the agent of one node is reached.
type Agent struct {
	// URL has a scheme and a host.
	URL url.URL
	// Transport verifies that the agent is that of the node, Unverified does not.
	Transport, Unverified http.RoundTripper
	// Address is the node's, and Port that of its agent.
	Address, Port string
}

// at is the URL of a path of the agent.
func (a *Agent) at(query url.Values, path ...string) *url.URL {
	u := a.URL.JoinPath(path...)
	u.RawQuery = query.Encode()
	return u
}

// ServeConnections serves what needs the machine of a pod or node: logs, commands,
// streams and proxies. It comes after Build.
func (s *Set) ServeConnections(c Connections) {
	pods := podFinder{s.Store(podsResource)}
	s.add(coreV1, "pods/log", &logREST{pods, c.Agents})
	s.add(coreV1, "pods/exec", &streamREST[*corev1.PodExecOptions]{pods, c, execStreams{}})
	s.add(coreV1, "pods/attach", &streamREST[*corev1.PodAttachOptions]{pods, c, attachStreams{}})
	s.add(coreV1, "pods/portforward", &streamREST[*corev1.PodPortForwardOptions]{pods, c, forwardStreams{}})
	s.add(coreV1, "pods/proxy", &podProxyREST{pods, c.Transport})
	s.add(coreV1, "nodes/proxy", &nodeProxyREST{c.Agents, c.Transport})
}

// podFinder finds the pods that connections lead to.
type podFinder struct{ store *genericregistry.Store }

func (f podFinder) get(ctx context.Context, name string) (*corev1.Pod, error) {
	obj, err := f.store.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.Pod), nil
}

// containerOf is the container that a request means: the one it names, or the only
// one.
func containerOf(pod *corev1.Pod, name string) (string, error) {
	names := containerNames(pod)
	if name != "" {
		if slices.Contains(names, name) {
			return name, nil
		}
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, pod.Name))
	}
	if len(pod.Spec.Containers) == 1 {
		return pod.Spec.Containers[0].Name, nil
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %s", pod.Name, names))
}

// containerNames are those of all containers, in the order they start.
func containerNames(pod *corev1.Pod) []string {
	var names []string
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		names = append(names, c.Name)
	}
	return names
}

// authorizeCreate makes sure that who asks may create what is asked for, by
// whatever method.
func authorizeCreate(ctx context.Context, a authorizer.UnconditionalAuthorizer) error {
	info, ok := genericapirequest.RequestInfoFrom(ctx)
	if !ok {
		return apierrors.NewInternalError(errors.New("the request has no info"))
	}
	if info.Verb == "create" {
		return nil // that was asked already
	}
	attributes, err := filters.GetAuthorizerAttributes(ctx)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	decision, reason, err := a.Authorize(ctx, creation{attributes})
	switch {
	case decision == authorizer.DecisionAllow:
		return nil
	case err != nil:
		return apierrors.NewInternalError(err)
	}
	return responsewriters.ForbiddenStatusError(creation{attributes}, reason)
}

// creation is a request as if it created something.
type creation struct{ authorizer.Attributes }

func (creation) GetVerb() string { return "create" }
