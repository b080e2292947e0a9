package place

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/place/placetest"
)

// BenchmarkPodEvent is a pod that comes and goes, with daemons that follow such
// pods. It must cost the same however many nodes there are.
func BenchmarkPodEvent(b *testing.B) {
	for _, nodes := range []int{50, 5000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			c := filledCluster(b, nodes)
			s := ForPod(benchPod(b, "visitor app=db"))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				if len(c.Place(s, fmt.Sprintf("w-%d", i%nodes))) == 0 || len(c.Remove(s.Key)) == 0 {
					b.Fatal("a change affected nobody")
				}
			}
		})
	}
}

// filledCluster has a pod on every node and twenty daemons that follow pods.
func filledCluster(b *testing.B, nodes int) *Cluster {
	c := NewCluster()
	for i := range nodes {
		n, err := placetest.Node(fmt.Sprintf("w-%d kubernetes.io/hostname=w-%d zone=%d", i, i, i%3))
		if err != nil {
			b.Fatal(err)
		}
		c.SetNode(n)
		c.Place(ForPod(benchPod(b, fmt.Sprintf("web-%d app=web", i))), n.Name)
	}
	for i := range 20 {
		c.Follow(ForPod(benchPod(b, fmt.Sprintf(`ds-%d owner:ds-%d
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
    - {labelSelector: {matchLabels: {app: db}}, topologyKey: kubernetes.io/hostname}
    - {labelSelector: {matchLabels: {app: db, for: ds-%d}}, topologyKey: zone}`, i, i, i))))
	}
	return c
}

func benchPod(b *testing.B, text string) *corev1.Pod {
	pod, err := placetest.Pod(text)
	if err != nil {
		b.Fatal(err)
	}
	return pod
}

// BenchmarkPreempt looks for victims on a hundred nodes with thirty pods each.
func BenchmarkPreempt(b *testing.B) {
	c := NewCluster()
	for i := range 100 {
		n, err := placetest.Node(fmt.Sprintf("w-%d cpu:30", i))
		if err != nil {
			b.Fatal(err)
		}
		c.SetNode(n)
		for j := range 30 {
			c.Place(ForPod(benchPod(b, fmt.Sprintf("p-%d-%d cpu:1 priority:%d", i, j, j%5))), n.Name)
		}
	}
	s := ForPod(benchPod(b, "high cpu:3 priority:9"))
	d := c.Schedule(s)
	b.ReportAllocs()
	for b.Loop() {
		if p := c.Preempt(s, d, nil); len(p.Victims) != 3 {
			b.Fatalf("victims: %v", p.Victims)
		}
	}
}

// What a pod's coming and going leaves behind is nothing, however often.
func TestNothingAccumulates(t *testing.T) {
	c := NewCluster()
	n, err := placetest.Node("w-1 zone=a")
	if err != nil {
		t.Fatal(err)
	}
	c.SetNode(n)
	before := fingerprint(c)
	for i := range 3 * maxIdleTallies {
		pod, err := placetest.Pod(fmt.Sprintf(`p-%d app=x owner:o-%d
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
    - {labelSelector: {matchLabels: {only: p-%d}}, topologyKey: zone}`, i, i, i))
		if err != nil {
			t.Fatal(err)
		}
		s := ForPod(pod)
		if reasons := c.Fits(s, "w-1"); len(reasons) > 0 {
			t.Fatal(reasons)
		}
		c.Place(s, "w-1")
		c.Remove(types.NamespacedName{Namespace: "default", Name: pod.Name})
	}
	if after := fingerprint(c); after != before {
		t.Errorf("left behind:\n%s", after)
	}
	if got := len(c.index.asked); got > maxIdleTallies {
		t.Errorf("%d idle tallies, at most %d should be kept", got, maxIdleTallies)
	}
	filed := 0
	for _, tallies := range c.index.askedIn {
		filed += len(tallies)
	}
	if filed != len(c.index.asked) {
		t.Errorf("%d tallies are filed by namespace, %d exist", filed, len(c.index.asked))
	}
}

// BenchmarkDisplace asks who could leave a node of 110 pods for a daemon pod, among
// 5,000 nodes: where nobody can move for want of room; where many can, but not
// enough; and where there is room that nobody may use.
func BenchmarkDisplace(b *testing.B) {
	for name, other := range map[string]func(i int) (node, pod string){
		"full": func(int) (string, string) { return "", "cpu:11" },
		"almost": func(i int) (string, string) {
			if i > 4960 {
				return "", "cpu:10900m"
			}
			return "", "cpu:11"
		},
		"closed": func(int) (string, string) { return "!key=value:NoSchedule", "cpu:1" },
	} {
		b.Run(name, func(b *testing.B) {
			c := NewCluster()
			for i := range 5000 {
				node, pod := "", ""
				if i > 0 {
					node, pod = other(i)
				}
				n, err := placetest.Node(fmt.Sprintf("w-%d kubernetes.io/hostname=w-%d cpu:11 %s", i, i, node))
				if err != nil {
					b.Fatal(err)
				}
				c.SetNode(n)
				if i > 0 {
					c.Place(ForPod(benchPod(b, fmt.Sprintf("large-%d %s", i, pod))), n.Name)
				}
			}
			for i := range 110 {
				c.Place(ForPod(benchPod(b, fmt.Sprintf("small-%d app=small cpu:100m", i))), "w-0")
			}
			s := ForPod(benchPod(b, "daemon cpu:5 pin:w-0 owner:daemon"))
			d := c.Schedule(s)
			b.ReportAllocs()
			for b.Loop() {
				if p := c.Displace(s, d, nil); p.Node != "" {
					b.Fatalf("victims: %v", p.Victims)
				}
			}
		})
	}
}
