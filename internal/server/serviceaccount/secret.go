package serviceaccount

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/api/token"
)

// authenticateFromSecret tells whose token text is, which claims to lie in a Secret:
// it is good for this server alone, as long as it lies there.
func (a *Authenticator) authenticateFromSecret(ctx context.Context, text string) (*authenticator.Response, bool, error) {
	claims, err := a.issuer.ReadForSecret(text)
	if err != nil {
		return nil, false, err
	}
	audiences, err := a.audiences(ctx, a.own())
	if err != nil {
		return nil, false, err
	}
	if err := a.checkSecret(ctx, claims, text); err != nil {
		klog.FromContext(ctx).V(4).Info("Refused the token of a secret", "secret", klog.KRef(claims.Namespace, claims.Secret), "reason", err)
		return nil, false, err
	}
	info := serviceaccount.ServiceAccountInfo{Namespace: claims.Namespace, Name: claims.Account.Name, UID: string(claims.Account.UID)}
	return &authenticator.Response{User: info.UserInfo(), Audiences: audiences}, true, nil
}

// checkSecret returns why a token is not good any more.
func (a *Authenticator) checkSecret(ctx context.Context, c *token.SecretClaims, text string) error {
	if err := a.checkAccount(ctx, &token.Claims{Namespace: c.Namespace, Account: c.Account}); err != nil {
		return err
	}
	secret, err := a.client.CoreV1().Secrets(c.Namespace).Get(ctx, c.Secret, metav1.GetOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("could not retrieve token %s/%s: %w", c.Namespace, c.Secret, err)
	case secret.Type != corev1.SecretTypeServiceAccountToken, a.gone(secret):
		return errInvalidated
	case subtle.ConstantTimeCompare(secret.Data[corev1.ServiceAccountTokenKey], []byte(text)) != 1:
		return errors.New("token does not match server's copy")
	}
	return nil
}
