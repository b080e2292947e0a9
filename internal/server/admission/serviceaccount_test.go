package admission

import (
	"context"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

func TestPodsGetAnAccount(t *testing.T) {
	robot := newAccount("robot")
	robot.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
	c := newChain(t, Options{}, newNamespace("privileged"), newAccount("default"), robot)
	if _, err := c.live.CoreV1().ServiceAccounts("ns").Create(context.Background(), newAccount("fresh"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name       string
		spec       corev1.PodSpec
		want       string
		wantSecret string
		wantErr    string
	}{
		{name: "default", want: "default"},
		{name: "named", spec: corev1.PodSpec{ServiceAccountName: "robot"}, want: "robot", wantSecret: "registry"},
		{name: "named by the old field", spec: corev1.PodSpec{DeprecatedServiceAccount: "robot"}, want: "robot", wantSecret: "registry"},
		{name: "own pull secret", spec: corev1.PodSpec{ServiceAccountName: "robot", ImagePullSecrets: []corev1.LocalObjectReference{{Name: "mine"}}},
			want: "robot", wantSecret: "mine"},
		{name: "unknown to the cache", spec: corev1.PodSpec{ServiceAccountName: "fresh"}, want: "fresh"},
		{name: "absent", spec: corev1.PodSpec{ServiceAccountName: "none"},
			wantErr: `pods "p" is forbidden: error looking up service account ns/none: serviceaccount "none" not found`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := newPod(func(p *corev1.Pod) { p.Spec = tt.spec })
			err := c.createPod(pod)
			wantError(t, err, tt.wantErr)
			if err != nil {
				return
			}
			var secrets []corev1.LocalObjectReference
			if tt.wantSecret != "" {
				secrets = []corev1.LocalObjectReference{{Name: tt.wantSecret}}
			}
			wantSame(t, pod.Spec.ServiceAccountName, tt.want)
			wantSame(t, pod.Spec.DeprecatedServiceAccount, tt.want)
			wantSame(t, pod.Spec.ImagePullSecrets, secrets)
			wantSame(t, pod.Spec.Volumes, []corev1.Volume(nil)) // the server issues no tokens
		})
	}
}

// A pod that follows its namespace closely waits for the account that the
// controller is about to make, for a second or two.
func TestTheDefaultAccountIsWaitedFor(t *testing.T) {
	tests := []struct {
		name    string
		after   time.Duration
		wantErr string
	}{
		{"soon", 300 * time.Millisecond, ""},
		{"too late", time.Minute, `pods "p" is forbidden: error looking up service account ns/default: serviceaccount "default" not found`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				p := &serviceAccount{
					Handler:  admission.NewHandler(admission.Create),
					client:   client,
					accounts: corelisters.NewServiceAccountLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})),
				}
				creation := time.AfterFunc(tt.after, func() {
					if _, err := client.CoreV1().ServiceAccounts("ns").Create(context.Background(), newAccount("default"), metav1.CreateOptions{}); err != nil {
						t.Error(err)
					}
				})
				defer creation.Stop()
				start := time.Now()
				err := p.Admit(t.Context(), request{resource: "pods", op: admission.Create, obj: newPod()}.attributes(), nil)
				wantError(t, err, tt.wantErr)
				if waited := time.Since(start); waited > 2*time.Second {
					t.Errorf("waited %v", waited)
				}
			})
		})
	}
}

func TestWantsToken(t *testing.T) {
	yes, no := ptr.To(true), ptr.To(false)
	tests := []struct {
		pod, account *bool
		want         bool
	}{{nil, nil, true}, {nil, no, false}, {nil, yes, true}, {no, yes, false}, {yes, no, true}}
	for _, tt := range tests {
		pod := newPod(func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = tt.pod })
		account := newAccount("default")
		account.AutomountServiceAccountToken = tt.account
		if got := wantsToken(pod, account); got != tt.want {
			t.Errorf("pod %v, account %v: got %v", tt.pod, tt.account, got)
		}
	}
}

func TestMountToken(t *testing.T) {
	at := func(name string) corev1.VolumeMount {
		return corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}
	}
	const name = "kube-api-access-abcde"

	pod := newPod(func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "i", VolumeMounts: []corev1.VolumeMount{at("mine")}}}
	})
	mountToken(pod, name)
	wantSame(t, pod.Spec.InitContainers[0].VolumeMounts, []corev1.VolumeMount{at("mine")})
	wantSame(t, pod.Spec.Containers[0].VolumeMounts, []corev1.VolumeMount{at("kube-api-access-abcde")})
	wantSame(t, pod.Spec.Volumes, []corev1.Volume{{Name: "kube-api-access-abcde", VolumeSource: corev1.VolumeSource{Projected: tokenSource()}}})

	brought := newPod(func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "kube-api-access-own"}} })
	mountToken(brought, name)
	wantSame(t, brought.Spec.Containers[0].VolumeMounts, []corev1.VolumeMount{at("kube-api-access-own")})
	wantSame(t, len(brought.Spec.Volumes), 1)

	covered := newPod(func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{at("mine")} })
	mountToken(covered, name)
	wantSame(t, len(covered.Spec.Volumes), 0)
}

// Pods of one account are alike, so that they can share memory.
func TestTokenVolumeName(t *testing.T) {
	names := map[string]string{}
	for _, account := range []string{"default", "agent", "robot"} {
		name := tokenVolumeName(newAccount(account))
		if !regexp.MustCompile("^kube-api-access-[a-z0-9]{5}$").MatchString(name) || name != tokenVolumeName(newAccount(account)) {
			t.Errorf("%s: %s", account, name)
		}
		if other := names[name]; other != "" {
			t.Errorf("%s and %s: %s", account, other, name)
		}
		names[name] = account
	}
}

func TestMountTokensIsAnOption(t *testing.T) {
	c := newChain(t, Options{MountTokens: true}, newNamespace("baseline"), newAccount("default"))
	pod := newPod()
	wantError(t, c.createPod(pod), "")
	wantSame(t, len(pod.Spec.Volumes), 1)
}

func TestMirrorPods(t *testing.T) {
	c := newChain(t, Options{}, newNamespace("privileged"))
	mirror := func(change func(*corev1.PodSpec)) *corev1.Pod {
		return newPod(func(p *corev1.Pod) {
			p.Annotations = map[string]string{"kubernetes.io/config.mirror": "x"}
			change(&p.Spec)
		})
	}
	tests := []struct {
		name    string
		pod     *corev1.Pod
		wantErr string
	}{
		{"plain", mirror(func(*corev1.PodSpec) {}), ""},
		{"account", mirror(func(s *corev1.PodSpec) { s.ServiceAccountName = "a" }), `pods "p" is forbidden: a mirror pod may not reference service accounts`},
		{"secret volume", mirror(func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}}}
		}), `pods "p" is forbidden: a mirror pod may not reference secrets`},
		{"token", mirror(func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: tokenSource()}}}
		}), `pods "p" is forbidden: a mirror pod may not use ServiceAccountToken volume projections`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := c.createPod(tt.pod)
			wantError(t, err, tt.wantErr)
			if err == nil {
				wantSame(t, tt.pod.Spec.ServiceAccountName, "")
			}
		})
	}
}

func TestMountableSecrets(t *testing.T) {
	account := newAccount("strict")
	account.Annotations = map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"}
	account.Secrets = []corev1.ObjectReference{{Name: "listed"}}
	c := newChain(t, Options{}, newNamespace("privileged"), account)
	env := func(secret string) []corev1.EnvVar {
		return []corev1.EnvVar{{Name: "E", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}}}}
	}
	const tail = " is not allowed because service account strict does not reference that secret"
	tests := []struct {
		name    string
		op      admission.Operation
		sub     string
		change  func(*corev1.PodSpec)
		wantErr string
	}{
		{"listed", admission.Create, "", func(s *corev1.PodSpec) { s.Containers[0].Env = env("listed") }, ""},
		{"env", admission.Create, "", func(s *corev1.PodSpec) { s.Containers[0].Env = env("other") },
			`pods "p" is forbidden: container c with envVar E referencing secret.secretName="other"` + tail},
		{"init env from", admission.Create, "", func(s *corev1.PodSpec) {
			s.InitContainers = []corev1.Container{{Name: "i", EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "other"}}}}}}
		}, `pods "p" is forbidden: init container i with envFrom referencing secret.secretName="other"` + tail},
		{"volume", admission.Create, "", func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "other"}}}}
		}, `pods "p" is forbidden: volume with secret.secretName="other"` + tail},
		{"pull secret", admission.Create, "", func(s *corev1.PodSpec) { s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "other"}} },
			`pods "p" is forbidden: imagePullSecrets[0].name="other" is not allowed because service account strict does not reference that imagePullSecret`},
		{"ephemeral", admission.Update, "ephemeralcontainers", func(s *corev1.PodSpec) {
			s.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "e", Env: env("other")}}}
		}, `pods "p" is forbidden: ephemeral container e with envVar E referencing secret.secretName="other"` + tail},
		{"plain update", admission.Update, "", func(s *corev1.PodSpec) { s.Containers[0].Env = env("other") }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := newPod(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "strict"; tt.change(&p.Spec) })
			wantError(t, c.send(request{resource: "pods", subresource: tt.sub, op: tt.op, obj: pod, old: newPod()}), tt.wantErr)
		})
	}
}
