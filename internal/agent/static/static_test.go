package static

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestParse runs the transcripts in testdata/parse, from manifests to pods.
func TestParse(t *testing.T) {
	datadriven.RunTest(t, "testdata/parse", func(t *testing.T, d *datadriven.TestData) string {
		origin := Origin{Path: "/manifests/a.yaml", NodeName: "node-a"}
		pods, err := Parse(strings.ReplaceAll(d.Input, "\n===\n", "\n---\n"), origin)
		if err != nil {
			return err.Error() + "\n"
		}
		var out strings.Builder
		for _, pod := range pods {
			fmt.Fprintf(&out, "%s/%s %s on %s\n", pod.Namespace, pod.Name, pod.UID, pod.Spec.NodeName)
			if d.HasArg("whole") {
				text, err := yaml.Marshal(pod)
				if err != nil {
					t.Fatal(err)
				}
				out.Write(text)
			}
		}
		return out.String()
	})
}

// TestWatch changes a folder under a watch.
func TestWatch(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "manifests")
	folder, err := New(Options{Directory: directory, NodeName: "node-a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, read := folder.Pods(); read {
		t.Error("pods are known before they were read")
	}
	ctx, cancel := context.WithCancel(t.Context())
	changed := make(chan struct{}, 100)
	var watching sync.WaitGroup
	watching.Go(func() { folder.Watch(ctx, func() { changed <- struct{}{} }) })
	defer watching.Wait()
	defer cancel()

	// await waits until the pods have these images.
	await := func(what, images string) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for {
			pods, read := folder.Pods()
			if read && imagesOf(pods) == images {
				return
			}
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("%s: the images are %q, not %q", what, imagesOf(pods), images)
			}
		}
	}
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(directory, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	await("an empty folder", "")
	write("a.yaml", manifestOf("a", "one"))
	await("a new file", "one")
	before, _ := folder.Pods()
	write("b.yaml", manifestOf("b", "two")+"---\n"+manifestOf("c", "three"))
	await("two pods in another", "one two three")
	write(".hidden.yaml", manifestOf("h", "hidden"))
	write("z.yaml", manifestOf("a", "same-name"))
	write("a.yaml", "kind: Pod\nspec: {half")
	write("b.yaml", manifestOf("b", "four"))
	await("a file that cannot be read keeps its pods", "one four")
	write("a.yaml", manifestOf("a", "one"))
	await("the same contents", "one four")
	if after, _ := folder.Pods(); after[0].UID != before[0].UID {
		t.Error("equal contents have different UIDs")
	}
	if err := os.Remove(filepath.Join(directory, "z.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(directory, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	await("a removed file", "four")
}

func imagesOf(pods []*corev1.Pod) string {
	var images []string
	for _, pod := range pods {
		images = append(images, pod.Spec.Containers[0].Image)
	}
	return strings.Join(images, " ")
}

func manifestOf(name, image string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  containers: [{name: c, image: %s}]\n", name, image)
}
