package daemonset

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/garrison-project/garrison/internal/cacheindex"
	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/rollout"
	"github.com/garrison-project/garrison/internal/view"
)

// plan asks the core what to do about the pods.
func (t *turn) plan(hash string, pods []*corev1.Pod) (rollout.Decision, error) {
	roster := t.roster.get()
	crowds, err := t.seekCrowds(pods)
	if err != nil {
		return rollout.Decision{}, err
	}
	in, err := view.RolloutInput(view.Observation{
		Now:           t.clock.Now(),
		DaemonSet:     t.ds,
		Hash:          hash,
		Roster:        roster,
		Standings:     t.standings(roster, pods),
		Pods:          pods,
		Crowds:        crowds.byNode,
		TakenNames:    t.memory.taken,
		CreateFailure: t.memory.createFailure,
		Memory:        t.memory.rollout,
	})
	if err != nil {
		return rollout.Decision{}, err
	}
	d := rollout.Plan(in)
	t.memory.rollout = d.Memory
	if again := crowds.again; !again.IsZero() && (d.WakeAt.IsZero() || again.Before(d.WakeAt)) {
		d.WakeAt = again
	}
	return d, nil
}

// standings returns how the nodes stand to the template, in view of other pods
// only where it asks for them.
func (t *turn) standings(roster *view.Roster, pods []*corev1.Pod) []view.Standing {
	if subject := t.memory.template.subject; !subject.SeesPods() {
		return t.memory.standingsOn(roster, byItself(subject))
	}
	return t.surroundings.stand(t, roster, pods)
}

// templateNow returns what the template comes to, computed anew only when it
// may have changed.
func (t *turn) templateNow() (template, error) {
	known := &t.memory.template
	collisions := int32(-1)
	if count := t.ds.Status.CollisionCount; count != nil {
		collisions = *count
	}
	if known.subject != nil && known.generation == t.ds.Generation && known.collisions == collisions {
		return *known, nil
	}
	data, err := view.RevisionData(t.ds)
	if err != nil {
		return template{}, err
	}
	hash := view.TemplateHash(t.ds)
	*known = template{
		generation: t.ds.Generation,
		collisions: collisions,
		subject:    place.ForRevision(t.ds, hash),
		data:       data,
		hash:       hash,
	}
	return *known, nil
}

// claimPods returns the pods that the DaemonSet owns. It adopts orphans that
// its selector matches and releases pods that it matches no more; having done
// so it reports true, and the turn ends: the caches are behind.
func (t *turn) claimPods(ctx context.Context) (pods []*corev1.Pod, claimed bool, err error) {
	owned, err := cacheindex.Dependents(t.podIndex, t.ds.UID)
	if err != nil {
		return nil, false, fmt.Errorf("daemon set %s: %w", t.key(), err)
	}
	orphans, err := cacheindex.Orphans(t.podIndex, t.ds.Namespace)
	if err != nil {
		return nil, false, fmt.Errorf("daemon set %s: %w", t.key(), err)
	}
	claim := t.newClaim(func(name string, patch []byte) (metav1.Object, error) {
		return t.client.CoreV1().Pods(t.ds.Namespace).Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	})
	pods = make([]*corev1.Pod, 0, len(owned))
	for _, object := range owned {
		pod := object.(*corev1.Pod)
		if !view.Controls(t.ds, pod) {
			continue
		}
		if t.selector.Matches(labels.Set(pod.Labels)) {
			pods = append(pods, pod)
		} else if err := claim.release(pod); err != nil {
			return nil, true, err
		}
	}
	for _, object := range orphans {
		pod := object.(*corev1.Pod)
		if t.selector.Matches(labels.Set(pod.Labels)) && pod.DeletionTimestamp == nil {
			if err := claim.adopt(ctx, pod); err != nil {
				return nil, true, err
			}
		}
	}
	return pods, claim.made, nil
}

// claimRevisions is claimPods for the history.
func (t *turn) claimRevisions(ctx context.Context) (revisions []*appsv1.ControllerRevision, claimed bool, err error) {
	all, err := t.revisions.ByIndex(cache.NamespaceIndex, t.ds.Namespace)
	if err != nil {
		return nil, false, fmt.Errorf("list revisions of daemon set %s: %w", t.key(), err)
	}
	claim := t.newClaim(func(name string, patch []byte) (metav1.Object, error) {
		return t.client.AppsV1().ControllerRevisions(t.ds.Namespace).Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	})
	for _, object := range all {
		r := object.(*appsv1.ControllerRevision)
		matches := t.selector.Matches(labels.Set(r.Labels))
		switch owned := view.Controls(t.ds, r); {
		case owned && matches:
			revisions = append(revisions, r)
		case owned:
			err = claim.release(r)
		case matches && metav1.GetControllerOfNoCopy(r) == nil && r.DeletionTimestamp == nil:
			err = claim.adopt(ctx, r)
		}
		if err != nil {
			return nil, true, err
		}
	}
	return revisions, claim.made, nil
}

// claim adopts and releases objects of one kind.
type claim struct {
	*turn
	patch func(name string, patch []byte) (metav1.Object, error)
	// checked: the DaemonSet is known to exist still, from the API itself.
	checked bool
	// made: something was written.
	made bool
}

func (t *turn) newClaim(patch func(string, []byte) (metav1.Object, error)) *claim {
	return &claim{turn: t, patch: patch}
}

// adopt makes the DaemonSet the controller of an orphan, once the API has
// confirmed that it exists still: what a deletion orphaned must stay so.
func (c *claim) adopt(ctx context.Context, object metav1.Object) error {
	if !c.checked {
		live, err := c.client.AppsV1().DaemonSets(c.ds.Namespace).Get(ctx, c.ds.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("recheck daemon set %s: %w", c.key(), err)
		}
		if live.UID != c.ds.UID || live.DeletionTimestamp != nil {
			return fmt.Errorf("daemon set %s is gone or going: it adopts nothing", c.key())
		}
		c.checked = true
	}
	return c.change(object, "adopt", map[string]any{"ownerReferences": []any{view.ControllerRef(c.ds)}})
}

// release ends the ownership of an object that the selector matches no more.
func (c *claim) release(object metav1.Object) error {
	err := c.change(object, "release", map[string]any{
		"ownerReferences": []any{map[string]any{"$patch": "delete", "uid": c.ds.UID}},
	})
	if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) {
		return nil // gone, or another object by now
	}
	return err
}

func (c *claim) change(object metav1.Object, verb string, metadata map[string]any) error {
	metadata["uid"] = object.GetUID() // or the patch would hit another object of the name
	body, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, object.GetName(), err)
	}
	c.made = true
	if _, err := c.patch(object.GetName(), body); err != nil {
		return fmt.Errorf("%s %s: %w", verb, object.GetName(), err)
	}
	return nil
}
