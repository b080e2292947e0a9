package place

import (
	"math"

	corev1 "k8s.io/api/core/v1"
)

const (
	// maxScore is the best that a criterion gives, before its weight.
	maxScore = 100
	// hardAffinityWeight is what a required affinity term of a placed pod is
	// worth to a pod that it selects.
	hardAffinityWeight = 1
)

// criterion compares the nodes on which a pod fits: a score of 0 to maxScore
// for each, higher is better.
type criterion struct {
	weight int64
	score  func(*question, []*nodeState) []int64
}

var criteria = []criterion{
	{3, (*question).scoreTaints},
	{2, (*question).scoreNodeAffinity},
	{2, (*question).scorePodAffinity},
	{2, (*question).scoreSpread},
	{1, (*question).scoreFree},
	{1, (*question).scoreBalance},
	{1, (*question).scoreImages},
}

// scores adds up what the criteria give to each node.
func (q *question) scores(nodes []*nodeState) []int64 {
	sums := make([]int64, len(nodes))
	for _, c := range criteria {
		for i, score := range c.score(q, nodes) {
			sums[i] += c.weight * score
		}
	}
	return sums
}

// each scores nodes one by one.
func each(nodes []*nodeState, score func(*nodeState) int64) []int64 {
	out := make([]int64, len(nodes))
	for i, state := range nodes {
		out[i] = score(state)
	}
	return out
}

// scoreTaints prefers nodes with few taints that say so and are not tolerated.
func (q *question) scoreTaints(nodes []*nodeState) []int64 {
	intolerable := each(nodes, func(state *nodeState) int64 {
		var n int64
		for i := range state.node.Spec.Taints {
			taint := &state.node.Spec.Taints[i]
			if taint.Effect == corev1.TaintEffectPreferNoSchedule && !tolerates(q.s.tolerations, taint) {
				n++
			}
		}
		return n
	})
	scores := shareOfBest(intolerable)
	for i := range scores {
		scores[i] = maxScore - scores[i]
	}
	return scores
}

// scoreNodeAffinity prefers nodes by the preferred node affinity.
func (q *question) scoreNodeAffinity(nodes []*nodeState) []int64 {
	return shareOfBest(each(nodes, func(state *nodeState) int64 { return Preference(q.s, state.node) }))
}

// shareOfBest scales so that the highest gets maxScore; all zero stays zero.
func shareOfBest(scores []int64) []int64 {
	var best int64
	for _, s := range scores {
		best = max(best, s)
	}
	if best > 0 {
		for i := range scores {
			scores[i] = scores[i] * maxScore / best
		}
	}
	return scores
}

// scorePodAffinity prefers nodes by the preferred pod terms of the pod, and by
// those of the pods that are placed; required affinity of these counts a
// little as well. Each pod counts.
func (q *question) scorePodAffinity(nodes []*nodeState) []int64 {
	type weighted struct {
		*tally
		weight int64
	}
	var wants []weighted
	if q.s.pods != nil {
		for i := range q.s.pods.preferred {
			t := &q.s.pods.preferred[i]
			wants = append(wants, weighted{q.c.ask(&t.podTerm), t.weight})
		}
	}
	for id, t := range q.c.index.heldWeights {
		if q.c.selects(t.term, q.s) {
			wants = append(wants, weighted{t, id.weight})
		}
	}
	return spanned(each(nodes, func(state *nodeState) int64 {
		var sum int64
		for _, w := range wants {
			sum += w.weight * int64(len(w.in(state.node).pods))
		}
		return sum
	}))
}

// spanned scales so that the lowest gets 0 and the highest maxScore.
func spanned(scores []int64) []int64 {
	if len(scores) == 0 {
		return scores
	}
	low, high := scores[0], scores[0]
	for _, s := range scores {
		low, high = min(low, s), max(high, s)
	}
	for i, s := range scores {
		if scores[i] = 0; high > low {
			scores[i] = (s - low) * maxScore / (high - low)
		}
	}
	return scores
}

// scoreSpread prefers domains with few pods, by the constraints that should
// hold. A node that is not in a domain of each gets nothing.
func (q *question) scoreSpread(nodes []*nodeState) []int64 {
	if q.s.spread == nil || len(q.s.spread.soft) == 0 {
		return make([]int64, len(nodes))
	}
	soft := q.s.spread.soft
	tallies := newSpreadTallies(soft)
	for _, state := range nodes {
		if hasTopologies(state.node, soft) {
			for i := range tallies {
				tallies[i].domains[state.node.Labels[tallies[i].topologyKey]] += 0
			}
		}
	}
	for _, name := range q.c.Nodes() {
		if state := q.c.nodes[name]; hasTopologies(state.node, soft) {
			for i := range tallies {
				tallies[i].addKnown(q.s, state)
			}
		}
	}
	return q.fewest(nodes, tallies)
}

// addKnown counts the pods of a node if its domain is known.
func (t *spreadTally) addKnown(s *Subject, state *nodeState) {
	if _, known := t.domains[state.node.Labels[t.topologyKey]]; known {
		t.addNode(s, state)
	}
}

// fewest turns the counts of the domains into scores. Constraints with many
// domains weigh more, for they differ less.
func (q *question) fewest(nodes []*nodeState, tallies []spreadTally) []int64 {
	crowd := make([]int64, len(nodes))
	low, high := int64(math.MaxInt64), int64(0)
	for i, state := range nodes {
		if !hasTopologies(state.node, q.s.spread.soft) {
			crowd[i] = -1
			continue
		}
		var sum float64
		for j := range tallies {
			t := &tallies[j]
			there := float64(t.domains[state.node.Labels[t.topologyKey]])
			sum += there*math.Log(float64(len(t.domains)+2)) + float64(t.maxSkew-1)
		}
		crowd[i] = int64(math.Round(sum))
		low, high = min(low, crowd[i]), max(high, crowd[i])
	}
	for i, n := range crowd {
		switch {
		case n < 0:
			crowd[i] = 0
		case high == 0:
			crowd[i] = maxScore
		default:
			crowd[i] = maxScore * (high + low - n) / high
		}
	}
	return crowd
}

// scoreFree prefers nodes with much cpu and memory left.
func (q *question) scoreFree(nodes []*nodeState) []int64 {
	return each(nodes, func(state *nodeState) int64 {
		var sum, kinds int64
		for _, r := range []struct{ used, of int64 }{
			{state.typical.MilliCPU + q.s.typical.MilliCPU, state.allocatable.MilliCPU},
			{state.typical.Memory + q.s.typical.Memory, state.allocatable.Memory},
		} {
			if r.of == 0 {
				continue
			}
			kinds++
			sum += max(0, r.of-r.used) * maxScore / r.of
		}
		if kinds == 0 {
			return 0
		}
		return sum / kinds
	})
}

// scoreBalance prefers nodes whose cpu and memory are used in like measure.
func (q *question) scoreBalance(nodes []*nodeState) []int64 {
	if q.s.requests.MilliCPU == 0 && q.s.requests.Memory == 0 {
		return make([]int64, len(nodes))
	}
	fraction := func(used, of int64) float64 { return min(1, float64(used)/float64(of)) }
	return each(nodes, func(state *nodeState) int64 {
		a := state.allocatable
		if a.MilliCPU == 0 || a.Memory == 0 {
			return maxScore
		}
		cpu := fraction(state.used.MilliCPU+q.s.requests.MilliCPU, a.MilliCPU)
		memory := fraction(state.used.Memory+q.s.requests.Memory, a.Memory)
		return int64((1 - math.Abs(cpu-memory)/2) * maxScore)
	})
}

const (
	// Less than minImageBytes of images on a node is not worth a thought, and
	// more than maxImageBytes for each container makes no difference.
	minImageBytes = 23 << 20
	maxImageBytes = 1000 << 20
)

// scoreImages prefers nodes that have the pod's images, by their size. An image
// that few nodes have counts less, so that it does not draw all pods there.
func (q *question) scoreImages(nodes []*nodeState) []int64 {
	total := int64(len(q.c.Nodes()))
	ceiling := int64(maxImageBytes * len(q.s.images))
	return each(nodes, func(state *nodeState) int64 {
		var sum int64
		for _, image := range q.s.images {
			if size := state.images[image]; size > 0 {
				sum += size * int64(q.c.imageNodes[image]) / total
			}
		}
		if sum <= minImageBytes {
			return 0
		}
		return maxScore * (min(sum, ceiling) - minImageBytes) / (ceiling - minImageBytes)
	})
}

// imagesOf lists the images of a pod's containers.
func imagesOf(spec *corev1.PodSpec) []string {
	out := make([]string, 0, len(spec.InitContainers)+len(spec.Containers))
	for i := range spec.InitContainers {
		out = append(out, withTag(spec.InitContainers[i].Image))
	}
	for i := range spec.Containers {
		out = append(out, withTag(spec.Containers[i].Image))
	}
	return out
}

// withTag completes the name of an image as nodes report it.
func withTag(image string) string {
	for i := len(image) - 1; i >= 0 && image[i] != '/'; i-- {
		if image[i] == ':' {
			return image
		}
	}
	return image + ":latest"
}
