package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// limitRanger is LimitRanger: it fills in the requests and limits that a
// namespace prescribes, and refuses pods outside its bounds.
type limitRanger struct {
	*admission.Handler
	client kubernetes.Interface
	ranges corelisters.LimitRangeLister
	live   *cache.LRUExpireCache // namespace -> []*corev1.LimitRange, as the server answered
}

const (
	liveLimitRanges    = 10_000 // namespaces to remember
	liveLimitRangesTTL = 30 * time.Second
)

var (
	_ admission.MutationInterface   = (*limitRanger)(nil)
	_ admission.ValidationInterface = (*limitRanger)(nil)
)

func newLimitRanger(o Options) *limitRanger {
	return &limitRanger{
		Handler: admission.NewHandler(admission.Create),
		client:  o.Client,
		ranges:  o.Informers.Core().V1().LimitRanges().Lister(),
		live:    cache.NewLRUExpireCacheWithClock(liveLimitRanges, o.Clock),
	}
}

func (p *limitRanger) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return p.decide(ctx, a, func(r *corev1.LimitRange, pod *corev1.Pod) error {
		applyLimitRange(r, pod)
		return nil
	})
}

func (p *limitRanger) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return p.decide(ctx, a, checkLimitRange)
}

func (p *limitRanger) decide(ctx context.Context, a admission.Attributes, decide func(*corev1.LimitRange, *corev1.Pod) error) error {
	pod, err := createdPod(a)
	if pod == nil || err != nil {
		return err
	}
	ranges, err := p.limitRanges(ctx, a.GetNamespace())
	if err != nil {
		return forbid(a, fmt.Errorf("list limit ranges of the namespace: %w", err))
	}
	for _, r := range ranges {
		if err := decide(r, pod); err != nil {
			return forbid(a, err)
		}
	}
	return nil
}

// limitRanges returns those of the namespace by name. An empty cache may be one
// that lags behind a limit range made a moment ago, so then the server is asked,
// and its answer kept for a while because most namespaces have none.
func (p *limitRanger) limitRanges(ctx context.Context, namespace string) ([]*corev1.LimitRange, error) {
	ranges, err := p.ranges.LimitRanges(namespace).List(labels.Everything())
	if err != nil {
		return nil, err
	}
	if len(ranges) == 0 {
		if ranges, err = p.liveLimitRanges(ctx, namespace); err != nil {
			return nil, err
		}
	}
	if len(ranges) > 1 {
		ranges = slices.SortedFunc(slices.Values(ranges), func(x, y *corev1.LimitRange) int {
			return strings.Compare(x.Name, y.Name)
		})
	}
	return ranges, nil
}

func (p *limitRanger) liveLimitRanges(ctx context.Context, namespace string) ([]*corev1.LimitRange, error) {
	if known, ok := p.live.Get(namespace); ok {
		return known.([]*corev1.LimitRange), nil
	}
	list, err := p.client.CoreV1().LimitRanges(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	ranges := make([]*corev1.LimitRange, 0, len(list.Items))
	for i := range list.Items {
		ranges = append(ranges, &list.Items[i])
	}
	p.live.Add(namespace, ranges, liveLimitRangesTTL)
	return ranges, nil
}
