package credentials

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
)

// Credential opens a registry. It must not be logged.
type Credential struct {
	Username, Password, IdentityToken string
}

// entry is what a pull secret says of one registry. Registry is as written there:
// a host, perhaps with a port and a path, perhaps with asterisks in the host.
type entry struct {
	registry   string
	credential Credential
}

// For gives the credentials for an image, the most specific entries first, and
// among equals in the order of the secrets. The error names secrets that cannot be
// read; what the others say is given all the same.
func For(image string, secrets []*corev1.Secret) ([]Credential, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return nil, fmt.Errorf("parse the name of image %q: %w", image, err)
	}
	var entries []entry
	var unreadable []string
	for _, secret := range secrets {
		found, err := read(secret)
		if err != nil {
			unreadable = append(unreadable, secret.Name)
			continue
		}
		entries = append(entries, found...)
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Compare(len(address(b.registry)), len(address(a.registry)))
	})
	var out []Credential
	for _, e := range entries {
		if matches(address(e.registry), named.Name()) && !slices.Contains(out, e.credential) {
			out = append(out, e.credential)
		}
	}
	if len(unreadable) > 0 {
		return out, fmt.Errorf("no registry credentials in secrets %s", strings.Join(unreadable, ", "))
	}
	return out, nil
}

// login is one entry of a Docker configuration. Auth is username:password in
// base64, for who does not give these by themselves.
type login struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
}

// read gives what a secret says, by registry.
func read(secret *corev1.Secret) ([]entry, error) {
	logins := map[string]login{}
	var err error
	switch secret.Type {
	case corev1.SecretTypeDockerConfigJson:
		var config struct {
			Auths map[string]login `json:"auths"`
		}
		err = json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &config)
		logins = config.Auths
	case corev1.SecretTypeDockercfg:
		err = json.Unmarshal(secret.Data[corev1.DockerConfigKey], &logins)
	default:
		return nil, fmt.Errorf("secret %s is of type %q", secret.Name, secret.Type)
	}
	if err != nil {
		// The error of the decoder may quote the contents.
		return nil, fmt.Errorf("secret %s is not a Docker configuration", secret.Name)
	}
	var out []entry
	for registry, l := range logins {
		credential, err := l.credential()
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", secret.Name, err)
		}
		out = append(out, entry{registry, credential})
	}
	slices.SortFunc(out, func(a, b entry) int { return cmp.Compare(a.registry, b.registry) })
	return out, nil
}

func (l login) credential() (Credential, error) {
	c := Credential{Username: l.Username, Password: l.Password, IdentityToken: l.IdentityToken}
	if l.Auth == "" {
		return c, nil
	}
	text, err := base64.StdEncoding.DecodeString(l.Auth)
	if err != nil {
		text, err = base64.RawStdEncoding.DecodeString(l.Auth)
	}
	username, password, found := strings.Cut(string(text), ":")
	if err != nil || !found {
		return Credential{}, fmt.Errorf("auth is not username:password in base64")
	}
	c.Username, c.Password = username, strings.TrimRight(password, "\x00")
	return c, nil
}

// address is the host and the path of an entry, without what they are wrapped in:
// https://index.docker.io/v1/ is docker.io.
func address(registry string) string {
	for _, scheme := range []string{"https://", "http://"} {
		registry = strings.TrimPrefix(registry, scheme)
	}
	registry = strings.TrimSuffix(registry, "/")
	for _, version := range []string{"/v1", "/v2"} {
		registry = strings.TrimSuffix(registry, version)
	}
	host, rest, found := strings.Cut(registry, "/")
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = "docker.io"
	}
	if !found {
		return host
	}
	return host + "/" + rest
}

// matches tells whether an entry is for a repository, such as docker.io/library/a.
func matches(address, repository string) bool {
	host, prefix, _ := strings.Cut(address, "/")
	registry, name, _ := strings.Cut(repository, "/")
	return hostMatches(host, registry) &&
		(prefix == "" || name == prefix || strings.HasPrefix(name, prefix+"/"))
}

// hostMatches compares hosts part by part; an asterisk stands for characters of
// one part. Ports have to be equal.
func hostMatches(pattern, host string) bool {
	pattern, patternPort, _ := strings.Cut(pattern, ":")
	host, port, _ := strings.Cut(host, ":")
	want, have := strings.Split(pattern, "."), strings.Split(host, ".")
	if patternPort != port || len(want) != len(have) {
		return false
	}
	for i := range want {
		if matched, err := path.Match(want[i], have[i]); err != nil || !matched {
			return false
		}
	}
	return true
}
