// Package serviceaccount recognises service accounts by their tokens, and tells
// the world how to verify these. How a token looks is in package token; who gets
// one is decided where it is asked for, as for any other request.
package serviceaccount

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/api/token"
)

// deletedLeeway is for how long the token of what is being deleted is still good.
const deletedLeeway = time.Minute

// Options says what an Authenticator works with. All fields are required but
// Clock.
type Options struct {
	Issuer *token.Issuer
	Client kubernetes.Interface
	// Informers answer in most cases; what they do not know yet is looked up
	// through Client.
	Informers informers.SharedInformerFactory
	// Clock is the wall clock if it is nil.
	Clock clock.PassiveClock
}

// Authenticator knows the tokens of an issuer. Nothing is remembered: a token
// is refused as soon as what it is bound to is gone.
type Authenticator struct {
	issuer   *token.Issuer
	client   kubernetes.Interface
	accounts corelisters.ServiceAccountLister
	pods     corelisters.PodLister
	nodes    corelisters.NodeLister
	clock    clock.PassiveClock
}

var _ authenticator.Token = &Authenticator{}

// New returns an authenticator.
func New(o Options) *Authenticator {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	core := o.Informers.Core().V1()
	return &Authenticator{
		issuer:   o.Issuer,
		client:   o.Client,
		accounts: core.ServiceAccounts().Lister(),
		pods:     core.Pods().Lister(),
		nodes:    core.Nodes().Lister(),
		clock:    o.Clock,
	}
}

// AuthenticateToken tells whose token text is. It has no opinion on tokens of
// other issuers.
func (a *Authenticator) AuthenticateToken(ctx context.Context, text string) (*authenticator.Response, bool, error) {
	if token.IsForSecret(text) {
		return a.authenticateFromSecret(ctx, text)
	}
	if !a.issuer.Mine(text) {
		return nil, false, nil
	}
	claims, err := a.issuer.Read(text, a.clock.Now())
	if err != nil {
		return nil, false, err
	}
	audiences, err := a.audiences(ctx, claims.Audiences)
	if err != nil {
		return nil, false, err
	}
	if err := a.check(ctx, claims); err != nil {
		return nil, false, err
	}
	return &authenticator.Response{User: info(claims).UserInfo(), Audiences: audiences}, true, nil
}

// own is the audience that this server is itself.
func (a *Authenticator) own() authenticator.Audiences {
	return authenticator.Audiences{a.issuer.Name()}
}

// audiences are those of a token's that are wanted, by default this server. A token
// that has none of them is not for whoever asks.
func (a *Authenticator) audiences(ctx context.Context, of authenticator.Audiences) (authenticator.Audiences, error) {
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		wanted = a.own()
	}
	audiences := of.Intersect(wanted)
	if len(audiences) == 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", of, wanted)
	}
	return audiences, nil
}

func info(c *token.Claims) *serviceaccount.ServiceAccountInfo {
	i := &serviceaccount.ServiceAccountInfo{Namespace: c.Namespace, Name: c.Account.Name, UID: string(c.Account.UID)}
	if c.Pod != nil {
		i.PodName, i.PodUID = c.Pod.Name, string(c.Pod.UID)
	}
	if c.Node != nil {
		i.NodeName, i.NodeUID = c.Node.Name, string(c.Node.UID)
	}
	if c.ID != "" {
		i.CredentialID = "JTI=" + c.ID
	}
	return i
}

var errInvalidated = errors.New("service account token has been invalidated")

// check returns why a token is not good any more.
func (a *Authenticator) check(ctx context.Context, c *token.Claims) error {
	if err := a.checkAccount(ctx, c); err != nil {
		return err
	}
	switch {
	case c.Pod != nil:
		return a.checkBound("pod", *c.Pod, func(fresh bool) (metav1.Object, error) {
			if fresh {
				return a.client.CoreV1().Pods(c.Namespace).Get(ctx, c.Pod.Name, metav1.GetOptions{})
			}
			return a.pods.Pods(c.Namespace).Get(c.Pod.Name)
		})
	case c.Secret != nil:
		return a.checkBound("secret", *c.Secret, func(bool) (metav1.Object, error) {
			return a.client.CoreV1().Secrets(c.Namespace).Get(ctx, c.Secret.Name, metav1.GetOptions{})
		})
	case c.Node != nil:
		return a.checkBound("node", *c.Node, func(fresh bool) (metav1.Object, error) {
			if fresh {
				return a.client.CoreV1().Nodes().Get(ctx, c.Node.Name, metav1.GetOptions{})
			}
			return a.nodes.Get(c.Node.Name)
		})
	}
	return nil
}

func (a *Authenticator) checkAccount(ctx context.Context, c *token.Claims) error {
	found, err := look(c.Account, func(fresh bool) (metav1.Object, error) {
		if fresh {
			return a.client.CoreV1().ServiceAccounts(c.Namespace).Get(ctx, c.Account.Name, metav1.GetOptions{})
		}
		return a.accounts.ServiceAccounts(c.Namespace).Get(c.Account.Name)
	})
	switch {
	case err != nil:
		return err
	case found.GetUID() != c.Account.UID:
		return fmt.Errorf("service account UID (%s) does not match claim (%s)", found.GetUID(), c.Account.UID)
	case a.gone(found):
		return fmt.Errorf("service account %s/%s has been deleted", c.Namespace, c.Account.Name)
	}
	return nil
}

// getter gets an object from the cache, or fresh from the server.
type getter func(fresh bool) (metav1.Object, error)

// look asks the server only if the cache does not know the very object: it may
// lag behind.
func look(ref token.Ref, get getter) (metav1.Object, error) {
	found, err := get(false)
	if err == nil && found.GetUID() == ref.UID {
		return found, nil
	}
	return get(true)
}

func (a *Authenticator) checkBound(kind string, ref token.Ref, get getter) error {
	found, err := look(ref, get)
	switch {
	case apierrors.IsNotFound(err):
		return errInvalidated
	case err != nil:
		return fmt.Errorf("look up the %s that a token is bound to: %w", kind, err)
	case found.GetUID() != ref.UID:
		return fmt.Errorf("%s UID (%s) does not match service account %s ref claim (%s)", kind, found.GetUID(), kind, ref.UID)
	case a.gone(found):
		return errInvalidated
	}
	return nil
}

// gone tells whether something has been on its way out for longer than clocks
// may differ. For a pod this begins after its grace.
func (a *Authenticator) gone(o metav1.Object) bool {
	t := o.GetDeletionTimestamp()
	return t != nil && t.Time.Before(a.clock.Now().Add(-deletedLeeway))
}
