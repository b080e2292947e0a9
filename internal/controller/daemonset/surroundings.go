package daemonset

import (
	"cmp"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/rollout"
	"github.com/garrison-project/garrison/internal/view"
)

// surroundings is all pods, nodes and namespaces as placement sees them, for
// DaemonSets whose terms look at other pods. It is made when the first of them
// appears: until then nothing is kept, and events cost nothing.
//
// What is told of an object is only that it has changed; its present state is
// read from the caches. So whatever the order of events, it is never put back.
type surroundings struct {
	pods       corelisters.PodLister
	nodes      corelisters.NodeLister
	namespaces corelisters.NamespaceLister

	mu       sync.Mutex
	cluster  *place.Cluster // nil until it is needed
	followed map[types.NamespacedName]*followed
}

// followed is a DaemonSet that other pods make eligible here and there.
type followed struct {
	subject *place.Subject
	// stale are the parts of the cluster to be judged anew.
	stale map[place.Affected]bool
}

func newSurroundings(f informers.SharedInformerFactory) *surroundings {
	core := f.Core().V1()
	return &surroundings{
		pods: core.Pods().Lister(), nodes: core.Nodes().Lister(), namespaces: core.Namespaces().Lister(),
		followed: map[types.NamespacedName]*followed{},
	}
}

// known returns the cluster, made from the caches if it is needed for the first
// time. Events that the caches have seen but the handlers have not follow.
func (s *surroundings) known() *place.Cluster {
	if s.cluster != nil {
		return s.cluster
	}
	s.cluster = place.NewCluster()
	// Listers that read from memory do not fail.
	nodes, _ := s.nodes.List(labels.Everything())
	for _, n := range nodes {
		s.cluster.SetNode(n)
	}
	namespaces, _ := s.namespaces.List(labels.Everything())
	for _, ns := range namespaces {
		s.cluster.SetNamespace(ns.Name, ns.Labels)
	}
	pods, _ := s.pods.List(labels.Everything())
	for _, pod := range pods {
		s.placePod(keyOf(pod), pod)
	}
	return s.cluster
}

// follow notes the present template of a DaemonSet. Where it has pod terms, the
// events that matter to them concern the DaemonSet from now on.
func (s *surroundings) follow(key types.NamespacedName, subject *place.Subject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(key)
	if subject.FollowsPods() {
		s.known().Follow(subject)
		s.followed[key] = &followed{subject: subject, stale: map[place.Affected]bool{{Daemon: key}: true}}
	}
}

// unfollow drops a DaemonSet that is gone.
func (s *surroundings) unfollow(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(key)
}

func (s *surroundings) drop(key types.NamespacedName) {
	if f := s.followed[key]; f != nil {
		s.cluster.Unfollow(f.subject)
		delete(s.followed, key)
	}
}

// podChanged takes in a change of a pod and returns the DaemonSets that it
// concerns, apart from the pod's own.
func (s *surroundings) podChanged(key types.NamespacedName) []types.NamespacedName {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == nil {
		return nil
	}
	pod, err := s.pods.Pods(key.Namespace).Get(key.Name)
	if err != nil {
		pod = nil
	}
	return s.concerned(s.placePod(key, pod))
}

// placePod places a pod, or removes one that has ended, is not bound or is gone.
func (s *surroundings) placePod(key types.NamespacedName, pod *corev1.Pod) []place.Affected {
	if pod == nil || pod.Spec.NodeName == "" || view.Ended(pod) {
		return s.cluster.Remove(key)
	}
	subject := place.ForPod(pod)
	if old, node := s.cluster.Placed(key); old != nil && node == pod.Spec.NodeName && subject.Equivalent(old) {
		return nil // most updates are of the status
	}
	return s.cluster.Place(subject, pod.Spec.NodeName)
}

// nodeChanged is podChanged for nodes. The node itself is not concerned.
func (s *surroundings) nodeChanged(name string) []types.NamespacedName {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == nil {
		return nil
	}
	node, err := s.nodes.Get(name)
	if err != nil {
		return s.concerned(s.cluster.RemoveNode(name))
	}
	if old := s.cluster.Node(name); old != nil && !changesPlacement(old, node) {
		return nil // a heartbeat
	}
	return s.concerned(s.cluster.SetNode(node))
}

func changesPlacement(old, now *corev1.Node) bool {
	return place.EligibilityChanged(old, now) || old.Spec.Unschedulable != now.Spec.Unschedulable ||
		!equality.Semantic.DeepEqual(old.Status.Allocatable, now.Status.Allocatable)
}

// namespaceChanged is podChanged for namespaces.
func (s *surroundings) namespaceChanged(name string) []types.NamespacedName {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == nil {
		return nil
	}
	var present map[string]string
	if ns, err := s.namespaces.Get(name); err == nil {
		present = ns.Labels
	}
	return s.concerned(s.cluster.SetNamespace(name, present))
}

// concerned marks what must be judged anew and returns whose that is.
func (s *surroundings) concerned(all []place.Affected) []types.NamespacedName {
	var keys []types.NamespacedName
	for _, a := range all {
		if f := s.followed[a.Daemon]; f != nil {
			f.stale[a] = true
			keys = append(keys, a.Daemon)
		}
	}
	return slices.Compact(keys) // they come in order
}

// stand returns how the nodes stand to a DaemonSet in view of the pods around.
// Only nodes for which that may have changed are judged anew.
func (s *surroundings) stand(t *turn, roster *view.Roster, own []*corev1.Pod) []view.Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, m, subject := s.known(), t.memory, t.memory.template.subject
	stale := s.takeStale(t.key())
	if c.ChoosesNodes(subject) {
		nodes := view.StandAll(c, subject, roster, m.chosen(own))
		m.standings = standings{roster: roster, subject: subject, nodes: nodes}
		return nodes
	}
	nodes := m.standingsOn(roster, judge{
		subject: subject, stale: stale,
		stand: func(n *corev1.Node) view.Standing { return view.StandAmong(c, subject, n.Name) },
	})
	if subject.PrefersPods() {
		for i, n := range roster.Nodes() {
			if nodes[i].Verdict == rollout.Run && c.Node(n.Name) != nil {
				nodes[i].Score = c.Preference(subject, n.Name)
			}
		}
	}
	return nodes
}

// takeStale returns the nodes that are to be judged anew, and forgets them.
func (s *surroundings) takeStale(key types.NamespacedName) map[string]bool {
	f := s.followed[key]
	if f == nil || len(f.stale) == 0 {
		return nil
	}
	nodes := map[string]bool{}
	for a := range f.stale {
		for _, name := range s.cluster.NodesIn(a) {
			nodes[name] = true
		}
	}
	clear(f.stale)
	return nodes
}

// chosen are the nodes that a DaemonSet chose before: they have a pod, be it
// bound or not, or should have one as of the last turn.
func (m *memory) chosen(own []*corev1.Pod) map[string]bool {
	chosen := map[string]bool{}
	for i, st := range m.standings.nodes {
		if st.Verdict == rollout.Run {
			chosen[m.standings.roster.Nodes()[i].Name] = true
		}
	}
	for _, pod := range own {
		if node, ok := place.PinnedNode(pod); ok && pod.DeletionTimestamp == nil {
			chosen[node] = true
		}
	}
	return chosen
}

// crowd returns the pods that take a daemon pod's room though they, unlike it,
// could run elsewhere, in order of name.
func (s *surroundings) crowd(pod *corev1.Pod, budgets []*policyv1.PodDisruptionBudget) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, subject := s.known(), place.ForPod(pod)
	victims := c.Displace(subject, c.Schedule(subject), budgets).Victims
	slices.SortFunc(victims, func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	names := make([]string, len(victims))
	for i, v := range victims {
		names[i] = v.String()
	}
	return names
}
