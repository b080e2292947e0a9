package namespace

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What every namespace has.
const (
	accountName   = "default"
	configMapName = "kube-root-ca.crt"
)

// descriptionAnnotation tells people who find the ConfigMap what it is.
const (
	descriptionAnnotation = "kubernetes.io/description"
	description           = "The CA bundle that clients inside the cluster verify the API server with. It is kept up to date: changes are undone."
)

func (c *Controller) ensureAccount(ctx context.Context, namespace string) error {
	_, err := c.accounts.ServiceAccounts(namespace).Get(accountName)
	if !apierrors.IsNotFound(err) {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: accountName}}
	_, err = c.Client.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{})
	return err
}

func (c *Controller) ensureConfigMap(ctx context.Context, namespace string) error {
	data := map[string]string{"ca.crt": string(c.RootCA)}
	found, err := c.configMaps.ConfigMaps(namespace).Get(configMapName)
	switch {
	case apierrors.IsNotFound(err):
		_, err = c.Client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: configMapName,
				Annotations: map[string]string{descriptionAnnotation: description},
			},
			Data: data,
		}, metav1.CreateOptions{})
		return err
	case err != nil:
		return err
	case maps.Equal(found.Data, data) && len(found.BinaryData) == 0:
		return nil
	}
	restored := found.DeepCopy()
	restored.Data, restored.BinaryData = data, nil
	_, err = c.Client.CoreV1().ConfigMaps(namespace).Update(ctx, restored, metav1.UpdateOptions{})
	return err
}
