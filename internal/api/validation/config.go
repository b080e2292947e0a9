package validation

import (
	"encoding/json"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ServiceAccount checks a new service account.
func ServiceAccount(sa *corev1.ServiceAccount) field.ErrorList {
	return namespaced(&sa.ObjectMeta, apivalidation.ValidateServiceAccountName)
}

// ServiceAccountUpdate checks a changed service account.
func ServiceAccountUpdate(sa, old *corev1.ServiceAccount) field.ErrorList {
	return append(metaUpdate(&sa.ObjectMeta, &old.ObjectMeta), ServiceAccount(sa)...)
}

// ConfigMap checks a new ConfigMap.
func ConfigMap(cm *corev1.ConfigMap) field.ErrorList {
	f := faults{list: namespaced(&cm.ObjectMeta, apivalidation.NameIsDNSSubdomain)}
	size := 0
	for _, key := range sortedKeys(cm.Data) {
		at := field.NewPath("data").Key(key)
		f.messages(at, key, validation.IsConfigMapKey(key))
		if _, twice := cm.BinaryData[key]; twice {
			f.invalid(at, key, "duplicate of key present in binaryData")
		}
		size += len(cm.Data[key])
	}
	for _, key := range sortedKeys(cm.BinaryData) {
		f.messages(field.NewPath("binaryData").Key(key), key, validation.IsConfigMapKey(key))
		size += len(cm.BinaryData[key])
	}
	if size > corev1.MaxSecretSize {
		f.add(field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize)) // the whole object
	}
	return f.list
}

// ConfigMapUpdate checks a changed ConfigMap.
func ConfigMapUpdate(cm, old *corev1.ConfigMap) field.ErrorList {
	f := faults{list: metaUpdate(&cm.ObjectMeta, &old.ObjectMeta)}
	if isTrue(old.Immutable) {
		f.frozen("immutable", isTrue(cm.Immutable))
		f.frozen("data", reflect.DeepEqual(cm.Data, old.Data))
		f.frozen("binaryData", reflect.DeepEqual(cm.BinaryData, old.BinaryData))
	}
	f.add(ConfigMap(cm)...)
	return f.list
}

// Secret checks a new secret: each of the known types has keys of its own.
func Secret(s *corev1.Secret) field.ErrorList {
	f := faults{list: namespaced(&s.ObjectMeta, apivalidation.NameIsDNSSubdomain)}
	at, size := field.NewPath("data"), 0
	for _, key := range sortedKeys(s.Data) {
		f.messages(at.Key(key), key, validation.IsConfigMapKey(key))
		size += len(s.Data[key])
	}
	if size > corev1.MaxSecretSize {
		f.add(field.TooLong(at, "", corev1.MaxSecretSize))
	}
	f.secretType(s, at)
	return f.list
}

func (f *faults) secretType(s *corev1.Secret, at *field.Path) {
	has := func(key string) bool { _, ok := s.Data[key]; return ok }
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		f.needs(metadataPath.Child("annotations").Key(corev1.ServiceAccountNameKey), s.Annotations[corev1.ServiceAccountNameKey])
	case corev1.SecretTypeDockercfg:
		f.jsonKey(s, corev1.DockerConfigKey, at)
	case corev1.SecretTypeDockerConfigJson:
		f.jsonKey(s, corev1.DockerConfigJsonKey, at)
	case corev1.SecretTypeBasicAuth:
		if !has(corev1.BasicAuthUsernameKey) && !has(corev1.BasicAuthPasswordKey) {
			f.required(at.Key(corev1.BasicAuthUsernameKey), "")
			f.required(at.Key(corev1.BasicAuthPasswordKey), "")
		}
	case corev1.SecretTypeSSHAuth:
		f.needs(at.Key(corev1.SSHAuthPrivateKey), string(s.Data[corev1.SSHAuthPrivateKey]))
	case corev1.SecretTypeTLS:
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
			if !has(key) {
				f.required(at.Key(key), "")
			}
		}
	}
}

// jsonKey wants a JSON object under a key, and keeps it out of the message.
func (f *faults) jsonKey(s *corev1.Secret, key string, at *field.Path) {
	data, ok := s.Data[key]
	if !ok {
		f.required(at.Key(key), "")
	} else if err := json.Unmarshal(data, &map[string]any{}); err != nil {
		f.invalid(at.Key(key), "<secret contents redacted>", err.Error())
	}
}

// SecretUpdate checks a changed secret.
func SecretUpdate(s, old *corev1.Secret) field.ErrorList {
	f := faults{list: metaUpdate(&s.ObjectMeta, &old.ObjectMeta)}
	f.add(unchanged(s.Type, old.Type, field.NewPath("type"))...)
	if isTrue(old.Immutable) {
		f.frozen("immutable", isTrue(s.Immutable))
		f.frozen("data", reflect.DeepEqual(s.Data, old.Data))
	}
	f.add(Secret(s)...)
	return f.list
}

// frozen reports a field of an immutable object that was not kept.
func (f *faults) frozen(name string, kept bool) {
	if !kept {
		f.forbidden(field.NewPath(name), "field is immutable when `immutable` is set")
	}
}
