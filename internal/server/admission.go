package server

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/metrics"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"github.com/garrison-project/garrison/internal/api/kinds"
	plugins "github.com/garrison-project/garrison/internal/server/admission"
	"github.com/garrison-project/garrison/internal/server/rbac"
)

// immortal lists the namespaces that cannot be deleted.
var immortal = sets.New(corev1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic)

// admissionOptions is what the chain of admission plugins works with.
type admissionOptions struct {
	client    kubernetes.Interface
	informers informers.SharedInformerFactory
	served    *kinds.Set
	guard     *rbac.Guard
}

// newAdmission returns the chain of admission plugins. NamespaceLifecycle comes
// first, so that nothing else looks at an object without a home.
func newAdmission(o admissionOptions) (admission.Interface, error) {
	home, err := lifecycle.NewLifecycle(immortal)
	if err != nil {
		return nil, err
	}
	home.SetExternalKubeClientSet(o.client)
	home.SetExternalKubeInformerFactory(o.informers)
	if err := home.ValidateInitialization(); err != nil {
		return nil, fmt.Errorf("set up %s: %w", lifecycle.PluginName, err)
	}
	ours, err := plugins.Plugins(plugins.Options{
		Client:      o.client,
		Informers:   o.informers,
		Serves:      func(gr schema.GroupResource) bool { return o.served.Store(gr) != nil },
		MountTokens: true,
	})
	if err != nil {
		return nil, err
	}
	chain := []admission.Interface{metrics.WithControllerMetrics(home, lifecycle.PluginName)}
	for _, p := range ours {
		chain = append(chain, metrics.WithControllerMetrics(p.Interface, p.Name))
	}
	chain = append(chain, metrics.WithControllerMetrics(o.guard, "RBAC"))
	return admission.NewChainHandler(chain...), nil
}
