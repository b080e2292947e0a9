package server

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/api/token"
)

// requestToken asks for a token of the account default.
func requestToken(t *testing.T, s *Server, namespace string, spec authenticationv1.TokenRequestSpec) *authenticationv1.TokenRequest {
	t.Helper()
	got, err := s.Client().CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func withToken(s *Server, token string) *rest.Config {
	return &rest.Config{Host: s.URL(), BearerToken: token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: s.CABundle()}}
}

// A service account may do what a role gives it, as long as it exists.
func TestServiceAccount(t *testing.T) {
	ctx, ns, admin := t.Context(), namespace(t), shared.Client()
	own := kubernetes.NewForConfigOrDie(withToken(shared, requestToken(t, shared, ns, authenticationv1.TokenRequestSpec{}).Status.Token))
	list := func() error {
		_, err := own.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		return err
	}
	wantForbidden(t, list(), `pods is forbidden: User "system:serviceaccount:`+ns+`:default" cannot list resource "pods" in API group "" in the namespace "`+ns+`"`)

	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"pods"}}}}
	if _, err := admin.RbacV1().Roles(ns).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "default", Namespace: ns}}}
	if _, err := admin.RbacV1().RoleBindings(ns).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the role to be heeded", func() bool { return list() == nil })
	_, err := own.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
	wantForbidden(t, err, `cannot list resource "pods" in API group "" in the namespace "default"`)

	if err := admin.CoreV1().ServiceAccounts(ns).Delete(ctx, "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the token to be refused", func() bool { return apierrors.IsUnauthorized(list()) })
}

// Everyone may ask who they are and what they may do, as kubectl auth does.
func TestQuestionsAboutOneself(t *testing.T) {
	ctx, ns := t.Context(), namespace(t)
	own := kubernetes.NewForConfigOrDie(withToken(shared, requestToken(t, shared, ns, authenticationv1.TokenRequestSpec{}).Status.Token))
	who, err := own.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := who.Status.UserInfo.Groups, []string{"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"}; !slices.Equal(got, want) {
		t.Errorf("groups %v, want %v", got, want)
	}
	for resource, want := range map[string]bool{"selfsubjectreviews": true, "tokenreviews": false} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: "create", Group: "authentication.k8s.io", Resource: resource}}}
		may, err := own.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil || may.Status.Allowed != want {
			t.Errorf("%s: %v, %v", resource, may, err)
		}
	}
	rules := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: ns}}
	if rules, err = own.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, rules, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(rules.Status.ResourceRules, func(r authorizationv1.ResourceRule) bool {
		return slices.Contains(r.Resources, "selfsubjectaccessreviews")
	}) {
		t.Errorf("rules %v", rules.Status)
	}
}

// A token that is bound to a pod ends with it, and tells which it is.
func TestTokenOfAPod(t *testing.T) {
	ctx, ns, admin := t.Context(), namespace(t), shared.Client()
	pod, err := admin.CoreV1().Pods(ns).Create(ctx, newPod(ns, "p"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := requestToken(t, shared, ns, authenticationv1.TokenRequestSpec{
		ExpirationSeconds: ptr.To[int64](3607),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "p", UID: pod.UID},
	})
	if left := time.Until(got.Status.ExpirationTimestamp.Time); left > 3607*time.Second || left < 3500*time.Second {
		t.Errorf("said to expire in %v", left)
	}
	claims, err := shared.tokens.Read(got.Status.Token, time.Now())
	if err != nil || claims.Expires.Sub(claims.Issued) != 365*24*time.Hour || claims.WarnAfter.Sub(claims.Issued) != 3607*time.Second {
		t.Errorf("claims %+v, %v", claims, err)
	}
	review := func(spec authenticationv1.TokenReviewSpec) authenticationv1.TokenReviewStatus {
		t.Helper()
		r, err := admin.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: spec}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Status
	}
	status := review(authenticationv1.TokenReviewSpec{Token: got.Status.Token})
	if name := status.User.Extra["authentication.kubernetes.io/pod-name"]; !status.Authenticated || len(name) != 1 || name[0] != "p" {
		t.Errorf("review %v", status)
	}
	if status := review(authenticationv1.TokenReviewSpec{Token: got.Status.Token, Audiences: []string{"vault"}}); status.Authenticated {
		t.Errorf("good for another audience: %v", status)
	}
	// The review is asked by this very process, which needs no token.
	if status := review(authenticationv1.TokenReviewSpec{Token: "guessed"}); status.Authenticated {
		t.Errorf("a guess is good: %v", status)
	}
	if err := admin.CoreV1().Pods(ns).Delete(ctx, "p", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the token", func() bool {
		return !review(authenticationv1.TokenReviewSpec{Token: got.Status.Token}).Authenticated
	})
}

func TestTokensOutliveARestart(t *testing.T) {
	cfg := Config{DataDir: t.TempDir(), ServiceAccountIssuer: "https://tokens.example.org"}
	first, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := first.Client().CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got := requestToken(t, first, "default", authenticationv1.TokenRequestSpec{})
	if !slices.Equal(got.Spec.Audiences, []string{"https://tokens.example.org"}) {
		t.Errorf("audiences %v", got.Spec.Audiences)
	}
	if err := first.Shutdown(); err != nil {
		t.Fatal(err)
	}
	second := start(t, cfg)
	if name := whoami(t, withToken(second, got.Status.Token)); name != "system:serviceaccount:default:default" {
		t.Errorf("is %s", name)
	}
}

// Service accounts may see by what their tokens are known; strangers may not.
func TestTokenDiscovery(t *testing.T) {
	own := withToken(shared, requestToken(t, shared, namespace(t), authenticationv1.TokenRequestSpec{}).Status.Token)
	stranger := &rest.Config{Host: shared.URL(), TLSClientConfig: rest.TLSClientConfig{CAData: shared.CABundle()}}
	var provider struct {
		Issuer string
		Keys   string `json:"jwks_uri"`
	}
	for path, contentType := range map[string]string{
		"/.well-known/openid-configuration": "application/json",
		"/openid/v1/jwks":                   "application/jwk-set+json",
	} {
		a := call{path: path}.do(t, own)
		if a.code != 200 || a.header.Get("Content-Type") != contentType {
			t.Errorf("%s: %d, %s", path, a.code, a.header)
		}
		if strings.HasSuffix(path, "configuration") {
			if err := json.Unmarshal([]byte(a.body), &provider); err != nil {
				t.Fatal(err)
			}
		}
		if a := (call{path: path}).do(t, stranger); a.code != 401 {
			t.Errorf("a stranger at %s: %d", path, a.code)
		}
		if a := (call{path: path, method: "DELETE"}).do(t, adminConfig(t, shared)); a.code != 405 {
			t.Errorf("DELETE %s: %d", path, a.code)
		}
	}
	if provider.Issuer != DefaultServiceAccountIssuer || provider.Keys != shared.URL()+"/openid/v1/jwks" {
		t.Errorf("provider %+v", provider)
	}
}

// A token that says the right things but is signed by another is refused.
func TestTokenOfAnotherServer(t *testing.T) {
	other := start(t, Config{DataDir: t.TempDir()})
	text, err := other.tokens.Issue(token.Claims{Namespace: "default", Account: token.Ref{Name: "default"},
		Audiences: []string{DefaultServiceAccountIssuer}, Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if a := (call{path: "/api"}).do(t, withToken(shared, text)); a.code != 401 {
		t.Errorf("%d %s", a.code, a.body)
	}
}
