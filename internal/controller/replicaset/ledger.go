package replicaset

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
)

// ledger lists the writes for one ReplicaSet that the cache of pods has still to
// show. As long as there is one, the cache shows the past, and a plan made of it
// would repeat what has been done.
type ledger struct {
	owner   types.UID
	created map[types.UID]*corev1.Pod
	deleted map[types.UID]*corev1.Pod
}

func newLedger(owner types.UID) *ledger {
	return &ledger{owner: owner, created: map[types.UID]*corev1.Pod{}, deleted: map[types.UID]*corev1.Pod{}}
}

// behind strikes out what the cache shows, and reports whether anything is left.
func (l *ledger) behind(pods cache.Indexer) bool {
	for uid, pod := range l.created {
		// The cache may have skipped a pod that has come and gone.
		if cached(pods, pod) != nil || reached(pods.LastStoreSyncResourceVersion(), pod.ResourceVersion) {
			delete(l.created, uid)
		}
	}
	for uid, pod := range l.deleted {
		if p := cached(pods, pod); p == nil || p.DeletionTimestamp != nil {
			delete(l.deleted, uid)
		}
	}
	return len(l.created)+len(l.deleted) > 0
}

// cached returns a pod as the cache shows it, nil if it does not.
func cached(pods cache.Indexer, pod *corev1.Pod) *corev1.Pod {
	object, exists, err := pods.GetByKey(keyOf(pod).String())
	if err != nil || !exists || object.(*corev1.Pod).UID != pod.UID {
		return nil
	}
	return object.(*corev1.Pod)
}

// reached reports whether one resource version is another or later. Versions
// that cannot be compared count as not.
func reached(version, other string) bool {
	order, err := resourceversion.CompareResourceVersion(version, other)
	return err == nil && order >= 0
}
