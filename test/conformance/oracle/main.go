// Command oracle asks upstream's own code what it would decide in many made-up
// situations, and writes down question and answer. The tests in test/oracle
// hold Garrison to the answers, so that its core is not only compared with
// itself. It is run by hand when a new Kubernetes release is adopted:
//
//	cd test/conformance && go run ./oracle ../oracle/testdata
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/daemon"
)

// questions is how many situations are made up. Their seed is fixed: the same
// release gives the same file.
const questions = 500

// eligibility is one situation and upstream's verdict.
type eligibility struct {
	Template corev1.PodSpec `json:"template"`
	Node     corev1.Node    `json:"node"`
	Run      bool           `json:"run"`
	Continue bool           `json:"continue"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: oracle FOLDER")
		os.Exit(2)
	}
	klog.SetLogger(klog.Logger{}) // upstream's code thinks it is in a server, and complains
	folder := os.Args[1]
	err := errors.Join(
		writeEligibility(filepath.Join(folder, "eligible.jsonl")),
		writeDefaults(folder, filepath.Join(folder, "defaulted.yaml")),
		writeFaults(filepath.Join(folder, "manifests"), filepath.Join(folder, "faults.jsonl")))
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// writeEligibility puts one situation on each line.
func writeEligibility(path string) error {
	c := chance{rand.New(rand.NewPCG(1, 2))}
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for range questions {
		q := eligibility{Template: c.template(), Node: c.node()}
		ds := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: q.Template}}}
		q.Run, q.Continue = daemon.NodeShouldRunDaemonPod(klog.Background(), &q.Node, ds)
		if err := encoder.Encode(q); err != nil {
			return err
		}
	}
	return os.WriteFile(path, lines.Bytes(), 0o644)
}
