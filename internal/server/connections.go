package server

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericfilters "k8s.io/apiserver/pkg/server/filters"

	"github.com/garrison-project/garrison/internal/api/kinds"
	"github.com/garrison-project/garrison/internal/server/nodeproxy"
)

// longRunning tells which requests may take as long as they like.
var longRunning request.LongRunningRequestCheck = genericfilters.BasicLongRunningRequestCheck(
	sets.NewString("watch", "proxy"), sets.NewString("attach", "exec", "proxy", "log", "portforward"))

// serveConnections serves what needs the machines of nodes.
func (s *Server) serveConnections(authz authorizer.UnconditionalAuthorizer) error {
	resource := corev1.SchemeGroupVersion.WithResource("nodes").GroupResource()
	nodes := s.served.Store(resource)
	var err error
	s.agents, err = nodeproxy.New(nodeproxy.Options{
		Node: func(ctx context.Context, name string) (*corev1.Node, error) {
			obj, err := nodes.Get(ctx, name, &metav1.GetOptions{})
			if apierrors.IsNotFound(err) { // the store takes it for what was asked for
				err = apierrors.NewNotFound(resource, name)
			}
			if err != nil {
				return nil, err
			}
			return obj.(*corev1.Node), nil
		},
		Authority: s.keys.Authority,
		CertFile:  s.keys.CallerFile,
	})
	if err != nil {
		return err
	}
	s.served.ServeConnections(kinds.Connections{Agents: s.agents, Transport: s.agents.Pods(), Authorizer: authz})
	return nil
}

// SetAgentAddress has the server reach the agent of a node at an address, host and
// port, instead of at the addresses of its node: one that runs on the same machine
// may listen for the server alone.
func (s *Server) SetAgentAddress(node, address string) { s.agents.SetAddress(node, address) }
