package server

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/garrison-project/garrison/internal/server/admission"
	"github.com/garrison-project/garrison/internal/server/rbac"
)

// serviceIP is the cluster address of the Service default/kubernetes.
const serviceIP = "10.96.0.1"

// bootstrap creates the objects that every cluster has, where they are missing.
func bootstrap(ctx context.Context, client kubernetes.Interface, port int) error {
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease} {
		namespaces := client.CoreV1().Namespaces()
		_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		}
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
	}
	if err := bootstrapService(ctx, client, kubernetesService(port)); err != nil {
		return fmt.Errorf("create service default/kubernetes: %w", err)
	}
	if err := rbac.Ensure(ctx, client); err != nil {
		return err
	}
	return admission.EnsureSystemPriorityClasses(ctx, client)
}

// bootstrapService creates a service, or leads the one that exists to the
// wanted ports: the server's may have changed.
func bootstrapService(ctx context.Context, client kubernetes.Interface, want *corev1.Service) error {
	services := client.CoreV1().Services(want.Namespace)
	have, err := services.Get(ctx, want.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = services.Create(ctx, want, metav1.CreateOptions{})
		return err
	}
	if err != nil || apiequality.Semantic.DeepEqual(have.Spec.Ports, want.Spec.Ports) {
		return err
	}
	have.Spec.Ports = want.Spec.Ports
	_, err = services.Update(ctx, have, metav1.UpdateOptions{})
	return err
}

func kubernetesService(port int) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name:      "kubernetes",
			Namespace: metav1.NamespaceDefault,
			Labels:    map[string]string{"component": "apiserver", "provider": "kubernetes"},
		},
		Spec: corev1.ServiceSpec{
			Type:       corev1.ServiceTypeClusterIP,
			ClusterIP:  serviceIP,
			ClusterIPs: []string{serviceIP},
			Ports: []corev1.ServicePort{{
				Name: "https", Protocol: corev1.ProtocolTCP, Port: 443, TargetPort: intstr.FromInt(port),
			}},
		},
	}
}
