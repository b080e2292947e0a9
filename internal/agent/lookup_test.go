package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

// TestFind finds a static pod by its own UID and by its mirror's, and the attempts
// of its container.
func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer func() { w.stop(); w.api.source.Broadcaster.Shutdown() }()
		w.runtime.AddImage("busybox")
		pods := w.pods("metadata: {name: proxy, uid: own, annotations: {kubernetes.io/config.source: file}}\nspec: {containers: [{name: c, image: busybox, imagePullPolicy: IfNotPresent}]}\n")
		w.static.set(pods)
		w.run(5 * time.Second)
		w.runtime.Exit(w.container("c"), 1)
		w.run(5 * time.Second)

		name := types.NamespacedName{Namespace: "default", Name: "proxy"}
		mirror := w.api.get(name)
		for _, uid := range []types.UID{"", "own", mirror.UID} {
			found, known := w.agent.Find(name, uid)
			if !known || found.Object.UID != "own" || found.Object.Status.Phase != corev1.PodRunning {
				t.Fatalf("by %q: %t %+v", uid, known, found.Object)
			}
			if c, known := found.Container("c", false); !known || c.Attempt != 1 || c.State != podstep.Running {
				t.Errorf("the newest attempt is %+v", c)
			}
			if c, known := found.Container("c", true); !known || c.Attempt != 0 || c.State != podstep.Exited {
				t.Errorf("the attempt before is %+v", c)
			}
			if _, known := found.Container("other", false); known {
				t.Error("a container that does not exist is found")
			}
			if s, known := found.Sandbox(); !known || s.IP == "" {
				t.Errorf("the sandbox is %+v", s)
			}
		}
		if _, known := w.agent.Find(name, "another"); known {
			t.Error("a pod is found by a UID that is not its own")
		}
		if all := w.agent.All(); len(all) != 1 {
			t.Errorf("%d pods", len(all))
		}
	})
}
