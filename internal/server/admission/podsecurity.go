package admission

import (
	"context"
	"errors"
	"fmt"
	"sync"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/component-base/metrics/legacyregistry"
	psadmission "k8s.io/pod-security-admission/admission"
	psload "k8s.io/pod-security-admission/admission/api/load"
	psapi "k8s.io/pod-security-admission/api"
	psmetrics "k8s.io/pod-security-admission/metrics"
	"k8s.io/pod-security-admission/policy"
)

// podSecurity is PodSecurity: it holds pods to the standard that the labels of
// their namespace set. The library decides; this is its place in the chain.
type podSecurity struct {
	*admission.Handler
	library *psadmission.Admission
}

var _ admission.ValidationInterface = (*podSecurity)(nil)

func newPodSecurity(o Options) (*podSecurity, error) {
	config, err := psload.LoadFromData(nil) // the defaults: nothing is enforced without labels
	if err != nil {
		return nil, fmt.Errorf("load the default configuration: %w", err)
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return nil, fmt.Errorf("register the checks: %w", err)
	}
	core := o.Informers.Core().V1()
	library := &psadmission.Admission{
		Configuration:    config,
		Evaluator:        evaluator,
		Metrics:          podSecurityMetrics(),
		PodSpecExtractor: psadmission.DefaultPodSpecExtractor{},
		NamespaceGetter:  psadmission.NamespaceGetterFromListerAndClient(core.Namespaces().Lister(), o.Client),
		PodLister:        psadmission.PodListerFromInformer(core.Pods().Lister()),
	}
	if err := library.CompleteConfiguration(); err != nil {
		return nil, fmt.Errorf("complete the configuration: %w", err)
	}
	if err := library.ValidateConfiguration(); err != nil {
		return nil, fmt.Errorf("validate the configuration: %w", err)
	}
	return &podSecurity{Handler: admission.NewHandler(admission.Create, admission.Update), library: library}, nil
}

// podSecurityMetrics returns the recorder that all servers of this process
// share: the registry takes each metric once.
var podSecurityMetrics = sync.OnceValue(func() psmetrics.Recorder {
	recorder := psmetrics.NewPrometheusRecorder(psapi.GetAPIVersion())
	recorder.MustRegister(legacyregistry.MustRegister)
	return recorder
})

func (p *podSecurity) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	resource := a.GetResource().GroupResource()
	if resource != namespaces && !p.library.PodSpecExtractor.HasPodSpec(resource) {
		return nil
	}
	response := p.library.Validate(ctx, podSecurityAttributes{a})
	for _, w := range response.Warnings {
		warning.AddWarning(ctx, "", w)
	}
	annotate(ctx, response.AuditAnnotations)
	if response.Allowed {
		return nil
	}
	return refusal(a, response)
}

func annotate(ctx context.Context, annotations map[string]string) {
	pairs := make([]string, 0, 2*len(annotations))
	for key, value := range annotations {
		pairs = append(pairs, psapi.AuditAnnotationPrefix+key, value)
	}
	if len(pairs) > 0 {
		audit.AddAuditAnnotations(ctx, pairs...)
	}
}

// refusal is the answer 403 in the library's words.
func refusal(a admission.Attributes, response *admissionv1.AdmissionResponse) error {
	err := admission.NewForbidden(a, errors.New("not allowed by PodSecurity"))
	var status *apierrors.StatusError
	if response.Result == nil || !errors.As(err, &status) {
		return err
	}
	if response.Result.Message != "" {
		status.ErrStatus.Message = response.Result.Message
	}
	if response.Result.Reason != "" {
		status.ErrStatus.Reason = response.Result.Reason
	}
	if response.Result.Details != nil {
		status.ErrStatus.Details = response.Result.Details
	}
	if response.Result.Code != 0 {
		status.ErrStatus.Code = response.Result.Code
	}
	return status
}

// podSecurityAttributes shows a request in the form that the library reads.
// Our objects are of the v1 types already, so nothing is converted.
type podSecurityAttributes struct{ admission.Attributes }

func (a podSecurityAttributes) GetObject() (runtime.Object, error) {
	return a.Attributes.GetObject(), nil
}

func (a podSecurityAttributes) GetOldObject() (runtime.Object, error) {
	return a.Attributes.GetOldObject(), nil
}

func (a podSecurityAttributes) GetOperation() admissionv1.Operation {
	return admissionv1.Operation(a.Attributes.GetOperation())
}

func (a podSecurityAttributes) GetUserName() string { return a.GetUserInfo().GetName() }
