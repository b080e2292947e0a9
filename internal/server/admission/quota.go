package admission

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	resourcequotalib "k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/utils/keymutex"

	"github.com/garrison-project/garrison/internal/quota"
)

// resourceQuota is ResourceQuota: it refuses what a namespace has no room for,
// and books what it lets through, in the status of the quotas concerned. It must
// come last, because what it has booked is not given back if another plugin
// refuses; the quota controller puts that right later.
//
// The library decides. Its own plugin batches requests in goroutines of its own;
// here a request does its work itself, and only where there is a quota.
type resourceQuota struct {
	*admission.Handler
	client     kubernetes.Interface
	quotas     corelisters.ResourceQuotaLister
	evaluators quotav1.Registry
	lanes      keymutex.KeyMutex // one request a namespace, so that bookings seldom collide
}

const (
	quotaLanes = 64
	// quotaTries is how often a booking is tried when others book too.
	quotaTries = 5
)

var _ admission.ValidationInterface = (*resourceQuota)(nil)

func newResourceQuota(o Options) *resourceQuota {
	return &resourceQuota{
		Handler:    admission.NewHandler(admission.Create, admission.Update),
		client:     o.Client,
		quotas:     o.Informers.Core().V1().ResourceQuotas().Lister(),
		evaluators: quota.NewRegistry(nil, o.Clock),
		lanes:      keymutex.NewHashed(quotaLanes),
	}
}

func (p *resourceQuota) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	namespace, resource := a.GetNamespace(), a.GetResource().GroupResource()
	if namespace == "" || resource == namespaces || unmetered[resource] {
		return nil
	}
	evaluator := p.evaluators.Get(resource)
	if evaluator == nil {
		evaluator = generic.NewObjectCountEvaluator(resource, nil, "")
	}
	if !evaluator.Handles(a) {
		return nil
	}
	known, err := p.quotas.ResourceQuotas(namespace).List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list the quotas of the namespace: %w", err)
	}
	if len(known) == 0 {
		return nil
	}
	p.lanes.LockKey(namespace)
	defer func() { _ = p.lanes.UnlockKey(namespace) }()
	return p.charge(ctx, a, evaluator)
}

// unmetered are resources that are not stored, or that nobody may be stopped
// from writing.
var unmetered = map[schema.GroupResource]bool{
	corev1.Resource("bindings"):                                            true,
	corev1.Resource("events"):                                              true,
	{Group: "events.k8s.io", Resource: "events"}:                           true,
	{Group: "authentication.k8s.io", Resource: "tokenreviews"}:             true,
	{Group: "authentication.k8s.io", Resource: "selfsubjectreviews"}:       true,
	{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}:      true,
	{Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews"}:  true,
	{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"}: true,
	{Group: "authorization.k8s.io", Resource: "selfsubjectrulesreviews"}:   true,
}

// charge books a request with every quota that it concerns. It reads the quotas
// from the server, because a booking on an old one would be refused.
func (p *resourceQuota) charge(ctx context.Context, a admission.Attributes, evaluator quotav1.Evaluator) error {
	booked := map[string]bool{}
	var conflict error
	for range quotaTries {
		list, err := p.client.CoreV1().ResourceQuotas(a.GetNamespace()).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("list the quotas of the namespace: %w", err)
		}
		open := slices.DeleteFunc(list.Items, func(q corev1.ResourceQuota) bool { return booked[q.Name] })
		charged, err := resourcequotalib.CheckRequest(open, a, evaluator, nil)
		if err != nil || a.IsDryRun() {
			return err
		}
		if conflict = p.book(ctx, open, charged, booked); !apierrors.IsConflict(conflict) {
			return conflict
		}
	}
	return conflict
}

// book writes those quotas whose use has changed and notes them as booked.
func (p *resourceQuota) book(ctx context.Context, before, after []corev1.ResourceQuota, booked map[string]bool) error {
	for i := range after {
		if quotav1.Equals(before[i].Status.Used, after[i].Status.Used) {
			continue
		}
		_, err := p.client.CoreV1().ResourceQuotas(after[i].Namespace).UpdateStatus(ctx, &after[i], metav1.UpdateOptions{})
		if err != nil {
			return fmt.Errorf("book with quota %s: %w", after[i].Name, err)
		}
		booked[after[i].Name] = true
	}
	return nil
}
