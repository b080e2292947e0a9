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
)

// immortal lists the namespaces that cannot be deleted.
var immortal = sets.New(corev1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic)

// newAdmission returns the chain of admission plugins. NamespaceLifecycle comes
// first, so that nothing else looks at an object without a home; guard looks at
// roles, last.
func newAdmission(client kubernetes.Interface, f informers.SharedInformerFactory, served *kinds.Set, guard admission.Interface) (admission.Interface, error) {
	home, err := lifecycle.NewLifecycle(immortal)
	if err != nil {
		return nil, err
	}
	home.SetExternalKubeClientSet(client)
	home.SetExternalKubeInformerFactory(f)
	if err := home.ValidateInitialization(); err != nil {
		return nil, fmt.Errorf("set up %s: %w", lifecycle.PluginName, err)
	}
	ours, err := plugins.Plugins(plugins.Options{
		Client:    client,
		Informers: f,
		Serves:    func(gr schema.GroupResource) bool { return served.Store(gr) != nil },
	})
	if err != nil {
		return nil, err
	}
	chain := []admission.Interface{metrics.WithControllerMetrics(home, lifecycle.PluginName)}
	for _, p := range ours {
		chain = append(chain, metrics.WithControllerMetrics(p.Interface, p.Name))
	}
	chain = append(chain, metrics.WithControllerMetrics(guard, "RBAC"))
	return admission.NewChainHandler(chain...), nil
}
