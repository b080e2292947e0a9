package objects

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// A token is renewed after four fifths of its life, and after a day at most; if
// that fails, it is tried again soon, and the token serves while it is valid.
const (
	maxTokenAge = 24 * time.Hour
	tokenRetry  = 30 * time.Second
)

// Token lets a pod act as its service account.
type Token struct {
	Value string
	// Renew is when to ask for it again.
	Renew   time.Time
	expires time.Time
}

// TokenWish says what a token is to be like.
type TokenWish struct {
	// Audience is the API server's own if it is empty.
	Audience string
	// ExpirationSeconds is how long it is to live; nil leaves it to the server.
	ExpirationSeconds *int64
}

type tokenKey struct {
	pod      types.UID
	account  string
	audience string
	seconds  int64
}

// Token gives a token of the pod's service account that is bound to the pod: one
// asked for before, as long as it need not be renewed.
func (m *Manager) Token(ctx context.Context, pod *corev1.Pod, wish TokenWish) (Token, error) {
	key := tokenKey{pod: pod.UID, account: pod.Spec.ServiceAccountName, audience: wish.Audience}
	if wish.ExpirationSeconds != nil {
		key.seconds = *wish.ExpirationSeconds
	}
	m.mu.Lock()
	known, found := m.tokens[key]
	m.mu.Unlock()
	now := m.options.Clock.Now()
	if found && now.Before(known.Renew) {
		return known, nil
	}
	token, err := m.request(ctx, pod, wish)
	if err != nil {
		if !found || !now.Before(known.expires) {
			return Token{}, fmt.Errorf("failed to fetch token: %w", err)
		}
		klog.FromContext(ctx).Error(err, "Failed to renew a service account token", "pod", klog.KObj(pod))
		token = known
		token.Renew = now.Add(tokenRetry)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, held := m.held[pod.UID]; held {
		m.tokens[key] = token
	}
	return token, nil
}

func (m *Manager) request(ctx context.Context, pod *corev1.Pod, wish TokenWish) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	spec := authenticationv1.TokenRequestSpec{
		ExpirationSeconds: wish.ExpirationSeconds,
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
		},
	}
	if wish.Audience != "" {
		spec.Audiences = []string{wish.Audience}
	}
	asked := m.options.Clock.Now()
	var got *authenticationv1.TokenRequest
	err := patiently(func() (err error) {
		got, err = m.options.Client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx,
			pod.Spec.ServiceAccountName, &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return Token{}, err
	}
	// The life is counted from here by our clock, as the server's may differ.
	life := time.Hour
	if seconds := got.Spec.ExpirationSeconds; seconds != nil {
		life = time.Duration(*seconds) * time.Second
	}
	return Token{
		Value:   got.Status.Token,
		Renew:   asked.Add(min(life*4/5, maxTokenAge)),
		expires: asked.Add(life),
	}, nil
}
