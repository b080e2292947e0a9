// Package accounttoken puts tokens into Secrets of type
// kubernetes.io/service-account-token, for programs outside of the cluster and those
// that read no other, and deletes such Secrets with their service account.
//
// Tokens of pods do not lie in Secrets: their agents ask for them. How a token looks
// is left to package token, and whom it identifies to the server.
package accounttoken

import (
	"bytes"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/garrison-project/garrison/internal/api/token"
	"github.com/garrison-project/garrison/internal/loop"
)

// Options are what a Controller needs. All are required.
type Options struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Issuer    *token.Issuer
	// RootCA is what the holder of a token verifies the API server with, in PEM.
	RootCA []byte
}

const workers = 2

// Controller keeps the Secrets of service accounts.
type Controller struct {
	Options
	secrets  corelisters.SecretLister
	accounts corelisters.ServiceAccountLister
	loop     *loop.Loop[types.NamespacedName]
	synced   []cache.InformerSynced
}

// New prepares a controller; the informers may be started afterwards.
func New(o Options) (*Controller, error) {
	if o.Issuer == nil {
		return nil, fmt.Errorf("make tokens for secrets: there is no issuer")
	}
	core := o.Informers.Core().V1()
	c := &Controller{Options: o, secrets: core.Secrets().Lister(), accounts: core.ServiceAccounts().Lister()}
	c.loop = loop.New(loop.Options[types.NamespacedName]{Name: "tokens of secrets", Workers: workers, Step: c.Step})
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		core.Secrets().Informer(): cache.ResourceEventHandlerFuncs{
			AddFunc:    c.secretChanged,
			UpdateFunc: func(_, object any) { c.secretChanged(object) },
		},
		core.ServiceAccounts().Informer(): cache.ResourceEventHandlerFuncs{
			AddFunc:    c.accountChanged,
			DeleteFunc: c.accountChanged,
		},
	} {
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return nil, fmt.Errorf("watch secrets and their accounts: %w", err)
		}
		c.synced = append(c.synced, registration.HasSynced)
	}
	return c, nil
}

// Run works until ctx is done.
func (c *Controller) Run(ctx context.Context) {
	if cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		c.loop.Run(ctx)
	}
}

func (c *Controller) secretChanged(object any) {
	if s, ok := object.(*corev1.Secret); ok && s.Type == corev1.SecretTypeServiceAccountToken {
		c.loop.Add(types.NamespacedName{Namespace: s.Namespace, Name: s.Name})
	}
}

// accountChanged looks at all Secrets of an account that has come or gone.
func (c *Controller) accountChanged(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	account, ok := object.(*corev1.ServiceAccount)
	if !ok {
		return
	}
	all, err := c.secrets.Secrets(account.Namespace).List(labels.Everything())
	if err != nil {
		return // a lister of a cache does not fail
	}
	for _, s := range all {
		if s.Annotations[corev1.ServiceAccountNameKey] == account.Name {
			c.secretChanged(s)
		}
	}
}

// Step brings one Secret in line with its account. It waits for nothing.
func (c *Controller) Step(ctx context.Context, key types.NamespacedName) (time.Time, error) {
	secret, err := c.secrets.Secrets(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("look up secret %s: %w", key, err)
	}
	name := secret.Annotations[corev1.ServiceAccountNameKey]
	if secret.Type != corev1.SecretTypeServiceAccountToken || secret.DeletionTimestamp != nil || name == "" {
		return time.Time{}, nil
	}
	account, err := c.account(ctx, key.Namespace, token.Ref{Name: name, UID: types.UID(secret.Annotations[corev1.ServiceAccountUIDKey])})
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("look up the service account of secret %s: %w", key, err)
	case account == nil:
		return time.Time{}, c.remove(ctx, secret)
	}
	return time.Time{}, c.fill(ctx, secret, account)
}

// account is the one that is meant, with the UID if there is one. It is nil if it is
// gone, which only the server can tell for sure.
func (c *Controller) account(ctx context.Context, namespace string, ref token.Ref) (*corev1.ServiceAccount, error) {
	meant := func(a *corev1.ServiceAccount) bool { return ref.UID == "" || a.UID == ref.UID }
	if found, err := c.accounts.ServiceAccounts(namespace).Get(ref.Name); err == nil && meant(found) {
		return found, nil
	}
	found, err := c.Client.CoreV1().ServiceAccounts(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && !meant(found):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return found, nil
}

func (c *Controller) remove(ctx context.Context, secret *corev1.Secret) error {
	err := c.Client.CoreV1().Secrets(secret.Namespace).Delete(ctx, secret.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete secret %s/%s, whose service account is gone: %w", secret.Namespace, secret.Name, err)
	}
	return nil
}

// fill puts in what the Secret lacks. A token that is there stays, whoever made it.
func (c *Controller) fill(ctx context.Context, secret *corev1.Secret, account *corev1.ServiceAccount) error {
	filled := secret.DeepCopy()
	if filled.Data == nil {
		filled.Data = map[string][]byte{}
	}
	if len(filled.Data[corev1.ServiceAccountTokenKey]) == 0 {
		text, err := c.Issuer.IssueForSecret(token.SecretClaims{
			Namespace: secret.Namespace, Account: token.Ref{Name: account.Name, UID: account.UID}, Secret: secret.Name,
		})
		if err != nil {
			return fmt.Errorf("make a token for secret %s/%s: %w", secret.Namespace, secret.Name, err)
		}
		filled.Data[corev1.ServiceAccountTokenKey] = []byte(text)
	}
	filled.Data[corev1.ServiceAccountRootCAKey] = c.RootCA
	filled.Data[corev1.ServiceAccountNamespaceKey] = []byte(secret.Namespace)
	filled.Annotations[corev1.ServiceAccountUIDKey] = string(account.UID)
	if same(secret, filled) {
		return nil
	}
	if _, err := c.Client.CoreV1().Secrets(secret.Namespace).Update(ctx, filled, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("put a token into secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return nil
}

// same tells whether two states of a Secret are the same as far as they are written
// here.
func same(a, b *corev1.Secret) bool {
	for _, key := range []string{corev1.ServiceAccountTokenKey, corev1.ServiceAccountRootCAKey, corev1.ServiceAccountNamespaceKey} {
		if !bytes.Equal(a.Data[key], b.Data[key]) {
			return false
		}
	}
	return a.Annotations[corev1.ServiceAccountUIDKey] == b.Annotations[corev1.ServiceAccountUIDKey]
}
