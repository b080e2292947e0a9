package admission

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// serviceAccount is ServiceAccount: it gives every pod an account that exists,
// and with it the account's pull secrets and, where the server issues tokens,
// a volume with one.
type serviceAccount struct {
	*admission.Handler
	client      kubernetes.Interface
	accounts    corelisters.ServiceAccountLister
	mountTokens bool
}

// awaitDefault paces the wait for the account named default, which a controller
// makes shortly after the namespace: ten looks, 100 to 200 ms apart.
var awaitDefault = wait.Backoff{Duration: 100 * time.Millisecond, Jitter: 1, Factor: 1, Steps: 10}

var (
	_ admission.MutationInterface   = (*serviceAccount)(nil)
	_ admission.ValidationInterface = (*serviceAccount)(nil)
)

func newServiceAccount(o Options) *serviceAccount {
	return &serviceAccount{
		Handler:     admission.NewHandler(admission.Create, admission.Update),
		client:      o.Client,
		accounts:    o.Informers.Core().V1().ServiceAccounts().Lister(),
		mountTokens: o.MountTokens,
	}
}

func (p *serviceAccount) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod, err := createdPod(a)
	if pod == nil || err != nil || isMirror(pod) {
		return err
	}
	nameAccount(pod)
	account, err := p.account(ctx, a.GetNamespace(), pod.Spec.ServiceAccountName)
	if err != nil {
		return forbid(a, lookupFailed(a.GetNamespace(), pod, err))
	}
	addPullSecrets(pod, account)
	if p.mountTokens && wantsToken(pod, account) {
		mountToken(pod, tokenVolumeName(account))
	}
	return nil
}

func (p *serviceAccount) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod, created, err := podWithSecrets(a)
	if pod == nil || err != nil {
		return err
	}
	if created && isMirror(pod) {
		return forbid(a, checkMirror(pod))
	}
	if pod.Spec.ServiceAccountName == "" {
		return forbid(a, fmt.Errorf("no service account specified for pod %s/%s", a.GetNamespace(), pod.Name))
	}
	account, err := p.account(ctx, a.GetNamespace(), pod.Spec.ServiceAccountName)
	if err != nil {
		return forbid(a, lookupFailed(a.GetNamespace(), pod, err))
	}
	if !enforcesSecrets(account) {
		return nil
	}
	if created {
		return forbid(a, checkSecrets(pod, account))
	}
	return forbid(a, checkEphemeralSecrets(pod, account))
}

// podWithSecrets returns the pod of a request that can bring new references to
// secrets: one that creates it, or one that adds ephemeral containers.
func podWithSecrets(a admission.Attributes) (pod *corev1.Pod, created bool, err error) {
	if a.GetOperation() == admission.Create {
		pod, err = createdPod(a)
		return pod, true, err
	}
	if a.GetResource().GroupResource() != pods || a.GetSubresource() != "ephemeralcontainers" {
		return nil, false, nil
	}
	pod, ok := a.GetObject().(*corev1.Pod)
	if !ok {
		return nil, false, apierrors.NewBadRequest(fmt.Sprintf("expected a Pod but got %T", a.GetObject()))
	}
	return pod, false, nil
}

func lookupFailed(namespace string, pod *corev1.Pod, err error) error {
	return fmt.Errorf("error looking up service account %s/%s: %w", namespace, pod.Spec.ServiceAccountName, err)
}

// account returns the named account. When the cache does not know it, the
// server is asked; the default account is waited for.
func (p *serviceAccount) account(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	account, err := p.accounts.ServiceAccounts(namespace).Get(name)
	if err == nil || !apierrors.IsNotFound(err) {
		return account, err
	}
	pace := wait.Backoff{Steps: 1}
	if name == defaultAccount {
		pace = awaitDefault
	}
	err = wait.ExponentialBackoffWithContext(ctx, pace, func(ctx context.Context) (bool, error) {
		account, err = p.client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return nil, apierrors.NewNotFound(corev1.Resource("serviceaccount"), name)
	}
	return account, err
}
