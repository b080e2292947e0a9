package place

// hardAffinityWeight is what a required affinity term of a placed pod is worth
// to a pod that it selects.
const hardAffinityWeight = 1
