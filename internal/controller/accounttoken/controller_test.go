package accounttoken

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/garrison-project/garrison/internal/api/token"
)

// cluster is a controller at work on a fake API.
type cluster struct {
	t      *testing.T
	client *fake.Clientset
	issuer *token.Issuer
}

func inCluster(t *testing.T, do func(*cluster)) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := token.NewIssuer("https://issuer", key)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := fake.NewClientset()
		factory := informers.NewSharedInformerFactory(client, 0)
		c, err := New(Options{Client: client, Informers: factory, Issuer: issuer, RootCA: []byte("authority")})
		if err != nil {
			t.Fatal(err)
		}
		factory.Start(ctx.Done())
		ended := make(chan struct{})
		go func() { defer close(ended); c.Run(ctx) }()
		defer func() { cancel(); factory.Shutdown(); <-ended }()
		do(&cluster{t, client, issuer})
	})
}

func (c *cluster) account(uid string) {
	c.t.Helper()
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "agent", UID: types.UID(uid)}}
	if _, err := c.client.CoreV1().ServiceAccounts("ns").Create(c.t.Context(), a, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) deleteAccount() {
	c.t.Helper()
	if err := c.client.CoreV1().ServiceAccounts("ns").Delete(c.t.Context(), "agent", metav1.DeleteOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) secret(name string, change func(*corev1.Secret)) {
	c.t.Helper()
	s := &corev1.Secret{Type: corev1.SecretTypeServiceAccountToken, ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: "agent"}}}
	change(s)
	if _, err := c.client.CoreV1().Secrets("ns").Create(c.t.Context(), s, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// found is a Secret once nothing moves any more, nil if it is gone.
func (c *cluster) found(name string) *corev1.Secret {
	c.t.Helper()
	time.Sleep(time.Minute) // of the bubble's clock
	synctest.Wait()
	s, err := c.client.CoreV1().Secrets("ns").Get(c.t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func plain(*corev1.Secret) {}

func TestASecretGetsAToken(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.account("1")
		c.secret("s", plain)
		s := c.found("s")
		claims, err := c.issuer.ReadForSecret(string(s.Data["token"]))
		if err != nil || *claims != (token.SecretClaims{Namespace: "ns", Account: token.Ref{Name: "agent", UID: "1"}, Secret: "s"}) {
			t.Errorf("the token says %+v, %v", claims, err)
		}
		if string(s.Data["ca.crt"]) != "authority" || string(s.Data["namespace"]) != "ns" || s.Annotations[corev1.ServiceAccountUIDKey] != "1" {
			t.Errorf("got %+v", s)
		}
		before := string(s.Data["token"])
		s.Data["ca.crt"] = []byte("another")
		delete(s.Data, "namespace")
		if _, err := c.client.CoreV1().Secrets("ns").Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if s = c.found("s"); string(s.Data["ca.crt"]) != "authority" || string(s.Data["namespace"]) != "ns" || string(s.Data["token"]) != before {
			t.Errorf("what was changed is not put right: %+v", s)
		}
	})
}

func TestSecretsGoWithTheirAccount(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.account("1")
		c.secret("s", plain)
		c.secret("other", func(s *corev1.Secret) { s.Annotations[corev1.ServiceAccountNameKey] = "nobody" })
		c.secret("opaque", func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque })
		c.secret("stale", func(s *corev1.Secret) { s.Annotations[corev1.ServiceAccountUIDKey] = "0" })
		if c.found("s") == nil || c.found("other") != nil || c.found("stale") != nil {
			t.Error("a secret stays whose account does not exist, or one goes whose does")
		}
		c.deleteAccount()
		if c.found("s") != nil {
			t.Error("a secret outlives its account")
		}
		if s := c.found("opaque"); s == nil || len(s.Data) > 0 {
			t.Errorf("a secret of another type: %+v", s)
		}
	})
}

// An account that is deleted and made anew at once has another identity.
func TestSecretsOfAnAccountMadeAnew(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.account("1")
		c.secret("s", plain)
		if c.found("s") == nil {
			t.Fatal("it is gone")
		}
		c.deleteAccount()
		c.account("2")
		if s := c.found("s"); s != nil {
			t.Errorf("a token stays of another account: %+v", s)
		}
	})
}
