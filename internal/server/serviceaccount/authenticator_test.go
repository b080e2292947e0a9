package serviceaccount

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/garrison-project/garrison/internal/api/token"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newIssuer(t *testing.T) *token.Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i, err := token.NewIssuer("https://issuer", key)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func meta(name, uid string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(uid)}
}

func leaving(m metav1.ObjectMeta, ago time.Duration) metav1.ObjectMeta {
	at := metav1.NewTime(now.Add(-ago))
	m.DeletionTimestamp, m.Finalizers = &at, []string{"a/b"}
	return m
}

// newAuthenticator has an informer that knows cached, and a server that knows
// live.
func newAuthenticator(t *testing.T, i *token.Issuer, cached, live []runtime.Object) *Authenticator {
	t.Helper()
	f := informers.NewSharedInformerFactory(fake.NewClientset(cached...), 0)
	a := New(Options{Issuer: i, Client: fake.NewClientset(live...), Informers: f, Clock: clocktesting.NewFakePassiveClock(now)})
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); f.Shutdown() })
	f.Start(ctx.Done())
	f.WaitForCacheSync(ctx.Done())
	return a
}

func TestAuthenticateToken(t *testing.T) {
	account := &corev1.ServiceAccount{ObjectMeta: meta("agent", "uid-account")}
	pod := &corev1.Pod{ObjectMeta: meta("p", "uid-pod")}
	secret := &corev1.Secret{ObjectMeta: meta("s", "uid-secret")}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "uid-node"}}
	all := []runtime.Object{account, pod, secret, node}
	toPod := func(c *token.Claims) { c.Pod = &token.Ref{Name: "p", UID: "uid-pod"} }
	toSecret := func(c *token.Claims) { c.Secret = &token.Ref{Name: "s", UID: "uid-secret"} }
	toNode := func(c *token.Claims) { c.Node = &token.Ref{Name: "n", UID: "uid-node"} }
	plain := func(*token.Claims) {}
	renewed := func(o runtime.Object) runtime.Object {
		o = o.DeepCopyObject()
		o.(metav1.Object).SetUID("uid-new")
		return o
	}
	replace := func(o runtime.Object) []runtime.Object {
		var objects []runtime.Object
		for _, old := range all {
			if reflect.TypeOf(old) == reflect.TypeOf(o) {
				old = o
			}
			objects = append(objects, old)
		}
		return objects
	}
	issuer := newIssuer(t)
	for name, c := range map[string]struct {
		change       func(*token.Claims)
		cached, live []runtime.Object
		audiences    authenticator.Audiences // of the request
		want         string                  // in the error, "" if the token is good
	}{
		"plain":                      {plain, all, all, nil, ""},
		"unknown to the cache":       {plain, nil, all, nil, ""},
		"of an account that is gone": {plain, nil, nil, nil, `"agent" not found`},
		"of an account made anew":    {plain, replace(renewed(account)), replace(renewed(account)), nil, "service account UID (uid-new) does not match claim (uid-account)"},
		"known anew to the cache":    {plain, replace(renewed(account)), all, nil, ""},
		"of an account that leaves":  {plain, replace(&corev1.ServiceAccount{ObjectMeta: leaving(account.ObjectMeta, 2*time.Minute)}), all, nil, "service account ns/agent has been deleted"},
		"bound to a pod":             {toPod, all, all, nil, ""},
		"to a pod the cache lacks":   {toPod, []runtime.Object{account}, all, nil, ""},
		"to a pod that is gone":      {toPod, []runtime.Object{account}, []runtime.Object{account}, nil, "service account token has been invalidated"},
		"to a pod made anew":         {toPod, replace(renewed(pod)), replace(renewed(pod)), nil, "pod UID (uid-new) does not match service account pod ref claim (uid-pod)"},
		"to a pod in its grace":      {toPod, replace(&corev1.Pod{ObjectMeta: leaving(pod.ObjectMeta, -time.Minute)}), all, nil, ""},
		"to a pod just after it":     {toPod, replace(&corev1.Pod{ObjectMeta: leaving(pod.ObjectMeta, 59*time.Second)}), all, nil, ""},
		"to a pod long after it":     {toPod, replace(&corev1.Pod{ObjectMeta: leaving(pod.ObjectMeta, 2*time.Minute)}), all, nil, "service account token has been invalidated"},
		"bound to a secret":          {toSecret, all, all, nil, ""},
		"to a secret that is gone":   {toSecret, all, []runtime.Object{account}, nil, "service account token has been invalidated"},
		"to a secret made anew":      {toSecret, all, replace(renewed(secret)), nil, "secret UID (uid-new) does not match service account secret ref claim (uid-secret)"},
		"bound to a node":            {toNode, all, all, nil, ""},
		"to a node that is gone":     {toNode, []runtime.Object{account}, []runtime.Object{account}, nil, "service account token has been invalidated"},
		"to a pod of a node gone":    {func(c *token.Claims) { toPod(c); toNode(c) }, []runtime.Object{account, pod}, all, nil, ""},
		"for another server":         {func(c *token.Claims) { c.Audiences = []string{"vault"} }, all, all, nil, `token audiences ["vault"] is invalid for the target audiences ["https://issuer"]`},
		"for the server that asks":   {func(c *token.Claims) { c.Audiences = []string{"vault"} }, all, all, authenticator.Audiences{"vault"}, ""},
		"for ours, asked by another": {plain, all, all, authenticator.Audiences{"vault"}, `is invalid for the target audiences ["vault"]`},
		"expired":                    {func(c *token.Claims) { c.Expires = now.Add(-time.Hour) }, all, all, nil, "service account token has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			claims := token.Claims{Namespace: "ns", Account: token.Ref{Name: "agent", UID: "uid-account"},
				Audiences: []string{"https://issuer"}, Issued: now, Expires: now.Add(time.Hour)}
			c.change(&claims)
			text, err := issuer.Issue(claims)
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if c.audiences != nil {
				ctx = authenticator.WithAudiences(ctx, c.audiences)
			}
			response, ok, err := newAuthenticator(t, issuer, c.cached, c.live).AuthenticateToken(ctx, text)
			if ok != (c.want == "") || (err == nil) != ok || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, %t, %v; want %q", response, ok, err, c.want)
			}
			if ok && (response.User.GetName() != "system:serviceaccount:ns:agent" || len(response.Audiences) != 1) {
				t.Errorf("%v", response)
			}
		})
	}
}

func TestWhoItIs(t *testing.T) {
	got := info(&token.Claims{
		Namespace: "ns", Account: token.Ref{Name: "agent", UID: "1"},
		Pod: &token.Ref{Name: "p", UID: "2"}, Node: &token.Ref{Name: "n", UID: "3"}, ID: "4",
	}).UserInfo()
	if want := []string{"system:serviceaccounts", "system:serviceaccounts:ns"}; got.GetUID() != "1" || !reflect.DeepEqual(got.GetGroups(), want) {
		t.Errorf("UID %s, groups %v", got.GetUID(), got.GetGroups())
	}
	want := map[string][]string{
		"authentication.kubernetes.io/pod-name":      {"p"},
		"authentication.kubernetes.io/pod-uid":       {"2"},
		"authentication.kubernetes.io/node-name":     {"n"},
		"authentication.kubernetes.io/node-uid":      {"3"},
		"authentication.kubernetes.io/credential-id": {"JTI=4"},
	}
	if !reflect.DeepEqual(got.GetExtra(), want) {
		t.Errorf("got %v, want %v", got.GetExtra(), want)
	}
}

func TestForeignTokens(t *testing.T) {
	a := newAuthenticator(t, newIssuer(t), nil, nil)
	if response, ok, err := a.AuthenticateToken(t.Context(), "secret"); response != nil || ok || err != nil {
		t.Errorf("%v, %t, %v", response, ok, err)
	}
}

func TestTokensOfSecrets(t *testing.T) {
	account := &corev1.ServiceAccount{ObjectMeta: meta("agent", "uid-account")}
	issuer, other := newIssuer(t), newIssuer(t)
	issue := func(i *token.Issuer, uid types.UID) string {
		text, err := i.IssueForSecret(token.SecretClaims{Namespace: "ns", Account: token.Ref{Name: "agent", UID: uid}, Secret: "s"})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := issue(issuer, "uid-account")
	secret := func(change func(*corev1.Secret)) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: meta("s", "uid-secret"), Type: corev1.SecretTypeServiceAccountToken, Data: map[string][]byte{"token": []byte(good)}}
		change(s)
		return s
	}
	same := func(*corev1.Secret) {}
	for name, c := range map[string]struct {
		token     string
		live      []runtime.Object
		audiences authenticator.Audiences
		want      string
	}{
		"as it lies in its secret":      {good, []runtime.Object{account, secret(same)}, nil, ""},
		"for another server":            {good, []runtime.Object{account, secret(same)}, authenticator.Audiences{"vault"}, `is invalid for the target audiences ["vault"]`},
		"whose secret is gone":          {good, []runtime.Object{account}, nil, `secrets "s" not found`},
		"whose secret leaves":           {good, []runtime.Object{account, secret(func(s *corev1.Secret) { s.ObjectMeta = leaving(s.ObjectMeta, time.Hour) })}, nil, "has been invalidated"},
		"whose secret has another":      {good, []runtime.Object{account, secret(func(s *corev1.Secret) { s.Data["token"] = []byte("new") })}, nil, "token does not match server's copy"},
		"whose secret is of its own":    {good, []runtime.Object{account, secret(func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque })}, nil, "has been invalidated"},
		"of an account that is gone":    {good, []runtime.Object{secret(same)}, nil, `"agent" not found`},
		"of an account made anew":       {issue(issuer, "uid-old"), []runtime.Object{account, secret(same)}, nil, "service account UID (uid-account) does not match claim (uid-old)"},
		"signed by somebody else's key": {issue(other, "uid-account"), []runtime.Object{account, secret(same)}, nil, "could not be validated"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if c.audiences != nil {
				ctx = authenticator.WithAudiences(ctx, c.audiences)
			}
			response, ok, err := newAuthenticator(t, issuer, nil, c.live).AuthenticateToken(ctx, c.token)
			if ok != (c.want == "") || (err == nil) != ok || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, %t, %v; want %q", response, ok, err, c.want)
			}
			if ok && (response.User.GetName() != "system:serviceaccount:ns:agent" || response.User.GetUID() != "uid-account") {
				t.Errorf("%v", response)
			}
		})
	}
}
