package credentials

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// secretOf has one entry per registry, whose user is the registry itself.
func secretOf(name string, registries ...string) *corev1.Secret {
	var entries []string
	for _, r := range registries {
		entries = append(entries, fmt.Sprintf(`%q: {"username": %q, "password": "p"}`, r, r))
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths": {` + strings.Join(entries, ",") + `}}`)},
	}
}

func TestMatching(t *testing.T) {
	for _, c := range []struct {
		registries, image, want string
	}{
		{"https://index.docker.io/v1/", "busybox", "https://index.docker.io/v1/"},
		{"docker.io", "library/busybox:1", "docker.io"},
		{"registry-1.docker.io", "busybox@sha256:" + strings.Repeat("0", 64), "registry-1.docker.io"},
		{"quay.io", "busybox", ""},
		{"quay.io quay.io/team quay.io/tea", "quay.io/team/app:1", "quay.io/team quay.io"},
		{"example.com", "example.com:5000/app", ""},
		{"example.com:5000 example.com:5001", "example.com:5000/app", "example.com:5000"},
		{"*.example.com", "a.example.com/app", "*.example.com"},
		{"*.example.com", "a.b.example.com/app", ""},
		{"*.example.com/a r?.example.com", "r1.example.com/a/b", "*.example.com/a r?.example.com"},
		{"http://example.com/v2/", "example.com/app", "http://example.com/v2/"},
		{"[", "example.com/app", ""},
	} {
		found, err := For(c.image, []*corev1.Secret{secretOf("s", strings.Fields(c.registries)...)})
		if err != nil {
			t.Errorf("%s: %v", c.image, err)
		}
		var users []string
		for _, f := range found {
			users = append(users, f.Username)
		}
		if got := strings.Join(users, " "); got != c.want {
			t.Errorf("%s with %s: got %q, want %q", c.image, c.registries, got, c.want)
		}
	}
}

func TestForms(t *testing.T) {
	auth := base64.StdEncoding.EncodeToString([]byte("user:with:colon"))
	secret := func(kind corev1.SecretType, key, text string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Type: kind, Data: map[string][]byte{key: []byte(text)}}
	}
	for name, c := range map[string]struct {
		secret *corev1.Secret
		want   Credential
		err    bool
	}{
		"auth":           {secret(corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, `{"auths": {"a.io": {"auth": "`+auth+`"}}}`), Credential{"user", "with:colon", ""}, false},
		"without equals": {secret(corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, `{"auths": {"a.io": {"auth": "`+strings.TrimRight(auth, "=")+`"}}}`), Credential{"user", "with:colon", ""}, false},
		"token":          {secret(corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, `{"auths": {"a.io": {"identitytoken": "t"}}}`), Credential{"", "", "t"}, false},
		"old form":       {secret(corev1.SecretTypeDockercfg, corev1.DockerConfigKey, `{"a.io": {"username": "u", "password": "p"}}`), Credential{"u", "p", ""}, false},
		"no base64":      {secret(corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, `{"auths": {"a.io": {"auth": "?"}}}`), Credential{}, true},
		"no JSON":        {secret(corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, `s3cret`), Credential{}, true},
		"other type":     {secret(corev1.SecretTypeOpaque, corev1.DockerConfigJsonKey, `{}`), Credential{}, true},
	} {
		// One that cannot be read does not hide the others.
		found, err := For("a.io/app", []*corev1.Secret{c.secret, secretOf("other", "a.io")})
		if (err != nil) != c.err {
			t.Errorf("%s: error %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error tells the secret: %v", name, err)
		}
		want := []Credential{c.want, {"a.io", "p", ""}}
		if c.err {
			want = want[1:]
		}
		if fmt.Sprint(found) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", name, found, want)
		}
	}
}
