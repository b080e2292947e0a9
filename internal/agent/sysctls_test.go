package agent

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestSysctls(t *testing.T) {
	allowed, err := parseSysctls([]string{"kernel.msg*", "net/core/somaxconn", "net.ipv4.conf.eth0/7.*"})
	if err != nil {
		t.Fatal(err)
	}
	for names, want := range map[string]string{
		"":                               "",
		"kernel.shm_rmid_forced":         "",
		"kernel/shm_rmid_forced":         "",
		"kernel.msgmax":                  "",
		"net.core.somaxconn":             "",
		"net/ipv4/conf/eth0.7/rp_filter": "",
		"net.core.somaxconn2":            `"net.core.somaxconn2" not allowlisted`,
		"kernel.sem":                     `"kernel.sem" not allowlisted`,
		"kernel/shmmax":                  `"kernel.shmmax" not allowlisted`,
		"kernel.shm_rmid_forced kernel.sem vm.swap": `"kernel.sem" not allowlisted`,
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{}}}
		for name := range strings.FieldsSeq(names) {
			pod.Spec.SecurityContext.Sysctls = append(pod.Spec.SecurityContext.Sysctls, corev1.Sysctl{Name: name, Value: "1"})
		}
		if got := allowed.refuse(pod); got != want {
			t.Errorf("%s: %q, want %q", names, got, want)
		}
	}
}

func TestCheckSysctls(t *testing.T) {
	for pattern, want := range map[string]string{
		"kernel.msg*":            "",
		"net.core.*":             "",
		"kernel/sem":             "",
		"vm.swappiness":          `the sysctls "vm.swappiness" are not known to be namespaced`,
		"*":                      `the sysctls "" are not known to be namespaced`,
		"Kernel.sem":             `sysctl "Kernel.sem" must have at most 253 characters and match regex ^`,
		"net.*.x":                `sysctl "net.*.x" must have at most 253 characters and match regex ^`,
		"":                       `sysctl "" must have at most 253 characters and match regex ^`,
		strings.Repeat("a", 254): `must have at most 253 characters`,
	} {
		err := CheckSysctls([]string{"kernel.sem", pattern})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", pattern, err, want)
		}
	}
}
