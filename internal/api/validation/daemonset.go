package validation

import (
	appsv1 "k8s.io/api/apps/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DaemonSet checks a new DaemonSet.
func DaemonSet(ds *appsv1.DaemonSet) field.ErrorList {
	f := faults{list: namespaced(&ds.ObjectMeta, apivalidation.NameIsDNSSubdomain)}
	f.daemonSetSpec(&ds.Spec, specPath)
	return f.list
}

// DaemonSetUpdate checks a changed DaemonSet, whose selector must stay. That
// the template's generation counts its changes is seen to by the strategy.
func DaemonSetUpdate(ds, old *appsv1.DaemonSet) field.ErrorList {
	f := faults{list: metaUpdate(&ds.ObjectMeta, &old.ObjectMeta)}
	f.add(unchanged(ds.Spec.Selector, old.Spec.Selector, specPath.Child("selector"))...)
	f.daemonSetSpec(&ds.Spec, specPath)
	return f.list
}

// DaemonSetStatusUpdate checks a changed status of a DaemonSet.
func DaemonSetStatusUpdate(ds, old *appsv1.DaemonSet) field.ErrorList {
	f := faults{list: metaUpdate(&ds.ObjectMeta, &old.ObjectMeta)}
	for _, counter := range []struct {
		name  string
		value int64
	}{
		{"currentNumberScheduled", int64(ds.Status.CurrentNumberScheduled)},
		{"numberMisscheduled", int64(ds.Status.NumberMisscheduled)},
		{"desiredNumberScheduled", int64(ds.Status.DesiredNumberScheduled)},
		{"numberReady", int64(ds.Status.NumberReady)},
		{"observedGeneration", ds.Status.ObservedGeneration},
		{"updatedNumberScheduled", int64(ds.Status.UpdatedNumberScheduled)},
		{"numberAvailable", int64(ds.Status.NumberAvailable)},
		{"numberUnavailable", int64(ds.Status.NumberUnavailable)},
		{"collisionCount", int64(valueOf(ds.Status.CollisionCount))},
	} {
		f.nonNegative(statusPath.Child(counter.name), counter.value)
	}
	// Going back to an earlier count would bring back the names that collided.
	was, now := old.Status.CollisionCount, ds.Status.CollisionCount
	if was != nil && (now == nil || *now < *was) {
		f.invalid(statusPath.Child("collisionCount"), valueOf(now), "cannot be decremented")
	}
	return f.list
}

func (f *faults) daemonSetSpec(spec *appsv1.DaemonSetSpec, at *field.Path) {
	f.add(selectorAt(spec.Selector, at.Child("selector"))...)
	f.selects(spec.Selector, &spec.Template, at.Child("template"))
	if isEmpty(spec.Selector) {
		f.invalid(at.Child("selector"), spec.Selector, "empty selector is invalid for daemonset")
	}
	f.add(podTemplate(&spec.Template, at.Child("template"))...)
	f.alwaysRunning(&spec.Template, "DaemonSet", at.Child("template"))
	f.nonNegative(at.Child("minReadySeconds"), int64(spec.MinReadySeconds))
	f.updateStrategy(&spec.UpdateStrategy, at.Child("updateStrategy"))
	if spec.RevisionHistoryLimit != nil {
		f.nonNegative(at.Child("revisionHistoryLimit"), int64(*spec.RevisionHistoryLimit))
	}
}

func (f *faults) updateStrategy(strategy *appsv1.DaemonSetUpdateStrategy, at *field.Path) {
	switch strategy.Type {
	case appsv1.OnDeleteDaemonSetStrategyType:
	case appsv1.RollingUpdateDaemonSetStrategyType:
		if strategy.RollingUpdate == nil {
			f.required(at.Child("rollingUpdate"), "")
			return
		}
		f.rollingUpdate(strategy.RollingUpdate, at.Child("rollingUpdate"))
	default:
		f.add(field.NotSupported(at, strategy, []appsv1.DaemonSetUpdateStrategyType{
			appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType}))
	}
}

// rollingUpdate wants exactly one of the two budgets: a node is either left
// without the pod for a while or given a second one.
func (f *faults) rollingUpdate(r *appsv1.RollingUpdateDaemonSet, at *field.Path) {
	unavailable, surge := valueOf(r.MaxUnavailable), valueOf(r.MaxSurge)
	f.share(unavailable, at.Child("maxUnavailable"))
	f.share(surge, at.Child("maxSurge"))
	f.atMostAll(unavailable, at.Child("maxUnavailable"))
	f.atMostAll(surge, at.Child("maxSurge"))
	switch {
	case amount(unavailable) != 0 && amount(surge) != 0:
		f.invalid(at.Child("maxSurge"), surge, "may not be set when maxUnavailable is non-zero")
	case amount(unavailable) == 0 && amount(surge) == 0:
		f.required(at.Child("maxUnavailable"), "cannot be 0 when maxSurge is 0")
	}
}

// isEmpty says whether a selector is there but selects everything.
func isEmpty(selector *metav1.LabelSelector) bool {
	return selector != nil && len(selector.MatchLabels)+len(selector.MatchExpressions) == 0
}

// selectorMatches says whether a selector finds an object. A missing selector
// finds nothing; of a broken one no answer is expected.
func selectorMatches(selector *metav1.LabelSelector, of map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err != nil || s.Matches(labels.Set(of))
}

// valueOf is the number, or zero if there is none.
func valueOf[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}
