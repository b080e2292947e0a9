package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// keyFiles checks files made of the keys of a Secret or ConfigMap.
func (f *faults) keyFiles(items []corev1.KeyToPath, at *field.Path) {
	for i := range items {
		f.keyFile(&items[i], at.Index(i))
	}
}

func (f *faults) keyFile(item *corev1.KeyToPath, at *field.Path) {
	f.needs(at.Child("key"), item.Key)
	f.needs(at.Child("path"), item.Path)
	f.unreserved(at.Child("path"), item.Path)
	f.fileMode(at.Child("mode"), item.Mode)
}

// downwardFile checks a file made of a field of the pod. Upstream does not
// tell which of several files is at fault.
func (f *faults) downwardFile(file *corev1.DownwardAPIVolumeFile, at *field.Path) {
	f.needs(at.Child("path"), file.Path)
	f.unreserved(at.Child("path"), file.Path)
	switch {
	case file.FieldRef != nil:
		f.fieldRef(file.FieldRef, fileFields, at.Child("fieldRef"))
		if file.ResourceFieldRef != nil {
			f.invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
		}
	case file.ResourceFieldRef != nil:
		f.containerFieldRef(file.ResourceFieldRef, at.Child("resourceFieldRef"))
	default:
		f.required(at, "one of fieldRef and resourceFieldRef is required")
	}
	f.fileMode(at.Child("mode"), file.Mode)
}

// containerFieldRef is resourceFieldRef where no container is implied.
func (f *faults) containerFieldRef(ref *corev1.ResourceFieldSelector, at *field.Path) {
	if f.needs(at.Child("containerName"), ref.ContainerName) {
		f.resourceFieldRef(ref, at)
	} else {
		f.divisor(ref, at.Child("divisor"))
	}
}

// projected checks a volume put together from several sources, whose files
// must not collide.
func (p *podChecker) projected(v *corev1.ProjectedVolumeSource, at *field.Path) {
	p.fileMode(at.Child("defaultMode"), v.DefaultMode)
	files := projection{faults: &p.faults, at: at, paths: seen[string]{}}
	for i := range v.Sources {
		files.source(&v.Sources[i], at.Child("sources").Index(i))
	}
}

// projection is what is known of a projected volume while its sources are
// being checked.
type projection struct {
	*faults
	at    *field.Path
	paths seen[string]
}

func (v *projection) source(s *corev1.VolumeProjection, at *field.Path) {
	sources := 0
	if s.Secret != nil {
		sources++
		v.keys(s.Secret.Name, s.Secret.Items, at.Child("secret"))
	}
	if s.ConfigMap != nil {
		sources++
		v.keys(s.ConfigMap.Name, s.ConfigMap.Items, at.Child("configMap"))
	}
	if s.DownwardAPI != nil {
		sources++
		for i := range s.DownwardAPI.Items {
			file := &s.DownwardAPI.Items[i]
			v.downwardFile(file, at.Child("downwardAPI"))
			if file.Path != "" {
				v.claim(file.Path, file.Path)
			}
		}
	}
	if s.ServiceAccountToken != nil {
		sources++
		v.token(s.ServiceAccountToken, at.Child("serviceAccountToken"))
	}
	if s.ClusterTrustBundle != nil {
		sources++
		v.trustBundle(s.ClusterTrustBundle, at.Child("clusterTrustBundle"))
	}
	if s.PodCertificate != nil {
		sources++
		v.certificate(s.PodCertificate, at.Child("podCertificate"))
	}
	if sources > 1 {
		v.forbidden(at, "may not specify more than 1 volume type per source")
	}
}

// claim takes a path for a file. A second claim is reported, under a name that
// tells who made it.
func (v *projection) claim(path, name string) {
	if v.paths.again(path) {
		v.invalid(v.at, name, "conflicting duplicate paths")
	}
}

func (v *projection) keys(name string, items []corev1.KeyToPath, at *field.Path) {
	v.needs(at.Child("name"), name)
	for i := range items {
		v.keyFile(&items[i], at.Child("items").Index(i))
		if items[i].Path != "" {
			v.claim(items[i].Path, name)
		}
	}
}

func (v *projection) token(t *corev1.ServiceAccountTokenProjection, at *field.Path) {
	if expiry := t.ExpirationSeconds; expiry != nil {
		if *expiry < 10*60 {
			v.invalid(at.Child("expirationSeconds"), *expiry, "may not specify a duration less than 10 minutes")
		}
		if *expiry > 1<<32 {
			v.invalid(at.Child("expirationSeconds"), *expiry, "may not specify a duration larger than 2^32 seconds")
		}
	}
	if v.needs(v.at.Child("path"), t.Path) {
		v.unreserved(v.at.Child("path"), t.Path)
	}
}

func (v *projection) trustBundle(b *corev1.ClusterTrustBundleProjection, at *field.Path) {
	switch {
	case b.Name != nil && b.SignerName != nil:
		v.invalid(at, b, "only one of name and signerName may be used")
	case b.Name != nil:
		if *b.Name == "" {
			v.required(at.Child("name"), "must be a valid object name")
		}
		for _, msg := range trustBundleName(*b.Name) {
			v.invalid(at.Child("name"), *b.Name, "not a valid clustertrustbundlename: "+msg)
		}
		if b.LabelSelector != nil {
			v.invalid(at.Child("labelSelector"), b.LabelSelector, "labelSelector must be unset if name is specified")
		}
	case b.SignerName != nil:
		if *b.SignerName == "" {
			v.required(at.Child("signerName"), "must be a valid signer name")
		}
		v.signerName(*b.SignerName, at.Child("signerName"))
		v.add(selectorAt(b.LabelSelector, at.Child("labelSelector"))...)
	default:
		v.required(at, "either name or signerName must be specified")
	}
	v.needs(at.Child("path"), b.Path)
	v.unreserved(at.Child("path"), b.Path)
	v.claim(b.Path, b.Path)
}

// trustBundleName checks a name in which the signer, if any, is a prefix
// before the last colon.
func trustBundleName(name string) []string {
	colon := strings.LastIndex(name, ":")
	if colon == 0 {
		return []string{`ClusterTrustBundle without signer name must not have ":" in its name`}
	}
	return isSubdomain(name[colon+1:])
}

func (v *projection) certificate(c *corev1.PodCertificateProjection, at *field.Path) {
	v.signerName(c.SignerName, at.Child("signerName"))
	if c.UserAnnotations != nil {
		v.userAnnotations(c.UserAnnotations, at.Child("userAnnotations"))
	}
	supported(v.faults, at.Child("keyType"), c.KeyType,
		"RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")
	v.certificateLife(c, at.Child("maxExpirationSeconds"))
	paths := 0
	for _, file := range []struct{ name, path string }{
		{"credentialBundlePath", c.CredentialBundlePath},
		{"keyPath", c.KeyPath},
		{"certificateChainPath", c.CertificateChainPath},
	} {
		if file.path != "" {
			paths++
			v.unreserved(at.Child(file.name), file.path)
			v.claim(file.path, file.path)
		}
	}
	if paths == 0 {
		v.required(at, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath")
	}
}

// certificateLife checks how long a certificate may be asked for: an hour to
// 91 days, or one day from Kubernetes' own signers.
func (f *faults) certificateLife(c *corev1.PodCertificateProjection, at *field.Path) {
	const hour = int32(60 * 60)
	longest := 91 * 24 * hour
	if domain, _, _ := strings.Cut(c.SignerName, "/"); strings.HasSuffix("."+domain, ".kubernetes.io") {
		longest = 24 * hour
	}
	switch life := c.MaxExpirationSeconds; {
	case life == nil:
	case *life < hour:
		f.invalid(at, *life, "if provided, maxExpirationSeconds must be >= 3600")
	case *life > longest:
		f.invalid(at, *life, fmt.Sprintf("if provided, maxExpirationSeconds must be <= %d", longest))
	}
}

func (f *faults) userAnnotations(annotations map[string]string, at *field.Path) {
	for _, key := range sortedKeys(annotations) {
		f.add(validation.IsDomainPrefixedKey(at, strings.ToLower(key))...)
	}
	if apivalidation.ValidateAnnotationsSize(annotations) != nil {
		f.add(field.TooLong(at, "", apivalidation.TotalAnnotationSizeLimitB))
	}
}

// signerName checks a name of the form domain/path.
func (f *faults) signerName(name string, at *field.Path) {
	if !f.needs(at, name) {
		return
	}
	domain, path, ok := strings.Cut(name, "/")
	if !ok || strings.Contains(path, "/") {
		f.invalid(at, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")
		return
	}
	if len(domain) > validation.DNS1123SubdomainMaxLength {
		f.add(field.TooLong(at, "", validation.DNS1123SubdomainMaxLength))
	}
	f.eachLabel(domain, validation.IsDNS1123Label, at)
	if !strings.Contains(domain, ".") {
		f.invalid(at, domain, "should be a domain with at least two segments separated by dots")
	}
	f.eachLabel(path, validation.IsDNS1123Subdomain, at)
	// room for domain/namespace.name
	longest := 2*validation.DNS1123SubdomainMaxLength + validation.DNS1123LabelMaxLength + 2
	if len(name) > longest {
		f.add(field.TooLong(at, "", longest))
	}
}

// eachLabel reports the first of the labels between dots that is not right.
func (f *faults) eachLabel(name string, check func(string) []string, at *field.Path) {
	for label := range strings.SplitSeq(name, ".") {
		msgs := check(label)
		for _, msg := range msgs {
			f.invalid(at, name, fmt.Sprintf("validating label %q: %s", label, msg))
		}
		if len(msgs) > 0 {
			return
		}
	}
}
